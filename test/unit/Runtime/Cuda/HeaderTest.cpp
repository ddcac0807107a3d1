//===- HeaderTest.cpp - Our declarations beside those of CUDA ----*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Compiled against the headers of CUDA, cuBLASLt and NCCL where these are installed: each entry point must exist under
// its name, with as many parameters of the same kinds and sizes.
//
//===----------------------------------------------------------------------===//
#include "CublasLtApi.h"
#include "CudaApi.h"
#include "NcclApi.h"

#include <gtest/gtest.h>
#include <type_traits>

#if __has_include(<cuda.h>)
#include <cuda.h>
#define PENSTOCK_HAS_CUDA
#endif
#if __has_include(<cublasLt.h>)
#include <cublasLt.h>
#define PENSTOCK_HAS_CUBLASLT
#endif
#if __has_include(<nccl.h>)
#include <nccl.h>
#define PENSTOCK_HAS_NCCL
#endif

namespace {

/// Whether a value of one type is passed as one of the other is.
template <typename A, typename B> constexpr bool alike() {
  if (std::is_same<A, B>::value)
    return true;
  if (std::is_pointer<A>::value || std::is_pointer<B>::value)
    return std::is_pointer<A>::value && std::is_pointer<B>::value;
  constexpr bool whole =
      (std::is_integral<A>::value || std::is_enum<A>::value) && (std::is_integral<B>::value || std::is_enum<B>::value);
  constexpr bool records = std::is_class<A>::value && std::is_class<B>::value;
  return (whole || records) && sizeof(A) == sizeof(B);
}

template <typename A, typename B> struct Alike : std::false_type {};
template <typename A, typename... As, typename B, typename... Bs> struct Alike<A(As...), B(Bs...)> {
  static constexpr bool check() {
    if constexpr (sizeof...(As) != sizeof...(Bs))
      return false;
    else
      return alike<A, B>() && (alike<As, Bs>() && ...);
  }
  static constexpr bool value = check();
};

// The check itself can fail.
static_assert(Alike<int(char *, unsigned), int(void *, int)>::value, "");
static_assert(!Alike<int(char *), int(int)>::value, "");
static_assert(!Alike<int(long), int(int)>::value, "");
static_assert(!Alike<int(int, int), int(int)>::value, "");

// The driver's declarations are ours.
TEST(CudaHeaders, driver) {
#ifdef PENSTOCK_HAS_CUDA
  using namespace penstock::rt::cuda;
#define PENSTOCK_CUDA_CALL(member, symbol, ...)                                                                        \
  static_assert(Alike<__VA_ARGS__, std::remove_pointer_t<decltype(&::symbol)>>::value, #symbol);
#include "CudaCalls.def"
#undef PENSTOCK_CUDA_CALL
  EXPECT_EQ(kOutOfMemory, CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(kNoDevice, CUDA_ERROR_NO_DEVICE);
  EXPECT_EQ(kNoBinaryForDevice, CUDA_ERROR_NO_BINARY_FOR_GPU);
  EXPECT_EQ(kUnsupportedPtx, CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
  EXPECT_EQ(kNotFound, CUDA_ERROR_NOT_FOUND);
  EXPECT_EQ(kNotReady, CUDA_ERROR_NOT_READY);
  EXPECT_EQ(kProcessorCount, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
  EXPECT_EQ(kCapabilityMajor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
  EXPECT_EQ(kCapabilityMinor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
  EXPECT_EQ(kMaxDynamicShared, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES);
  EXPECT_EQ(kPeerAccess, CU_DEVICE_P2P_ATTRIBUTE_ACCESS_SUPPORTED);
  EXPECT_EQ(kPeerNativeAtomics, CU_DEVICE_P2P_ATTRIBUTE_NATIVE_ATOMIC_SUPPORTED);
  EXPECT_EQ(kStreamNonBlocking, uint32_t(CU_STREAM_NON_BLOCKING));
  EXPECT_EQ(kEventWithoutTiming, uint32_t(CU_EVENT_DISABLE_TIMING));
  EXPECT_EQ(kCaptureThreadLocal, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
#else
  GTEST_SKIP() << "no cuda.h in /usr/local/cuda/include";
#endif
}

// cuBLASLt's declarations are ours, and what it writes down of an algorithm lies as ours does.
TEST(CudaHeaders, cublasLt) {
#ifdef PENSTOCK_HAS_CUBLASLT
  using namespace penstock::rt::cuda;
  using namespace penstock::rt::cuda::blas;
#define PENSTOCK_CUBLASLT_CALL(member, symbol, ...)                                                                    \
  static_assert(Alike<__VA_ARGS__, std::remove_pointer_t<decltype(&::symbol)>>::value, #symbol);
#include "CublasLtCalls.def"
#undef PENSTOCK_CUBLASLT_CALL
  EXPECT_EQ(blas::kSuccess, CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(blas::kNotInitialized, CUBLAS_STATUS_NOT_INITIALIZED);
  EXPECT_EQ(kAllocFailed, CUBLAS_STATUS_ALLOC_FAILED);
  EXPECT_EQ(blas::kInvalidValue, CUBLAS_STATUS_INVALID_VALUE);
  EXPECT_EQ(kNotSupported, CUBLAS_STATUS_NOT_SUPPORTED);
  EXPECT_EQ(kFloat32, CUDA_R_32F);
  EXPECT_EQ(kFloat16, CUDA_R_16F);
  EXPECT_EQ(kBFloat16, CUDA_R_16BF);
  EXPECT_EQ(kComputeFloat32, CUBLAS_COMPUTE_32F);
  EXPECT_EQ(kComputeTf32, CUBLAS_COMPUTE_32F_FAST_TF32);
  EXPECT_EQ(kAsItIs, CUBLAS_OP_N);
  EXPECT_EQ(kTransposed, CUBLAS_OP_T);
  EXPECT_EQ(kBatchCount, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT);
  EXPECT_EQ(kBatchStride, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET);
  EXPECT_EQ(kTransposeA, CUBLASLT_MATMUL_DESC_TRANSA);
  EXPECT_EQ(kTransposeB, CUBLASLT_MATMUL_DESC_TRANSB);
  EXPECT_EQ(kEpilogue, CUBLASLT_MATMUL_DESC_EPILOGUE);
  EXPECT_EQ(kBiasPointer, CUBLASLT_MATMUL_DESC_BIAS_POINTER);
  EXPECT_EQ(kWorkspaceBytes, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES);
  EXPECT_EQ(kReductionSchemes, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK);
  EXPECT_EQ(kAlignmentA, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES);
  EXPECT_EQ(kAlignmentB, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES);
  EXPECT_EQ(kAlignmentC, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES);
  EXPECT_EQ(kAlignmentD, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES);
  EXPECT_EQ(kNoEpilogue, uint32_t(CUBLASLT_EPILOGUE_DEFAULT));
  EXPECT_EQ(kRelu | kBias, uint32_t(CUBLASLT_EPILOGUE_RELU_BIAS));
  EXPECT_EQ(kGelu | kBias, uint32_t(CUBLASLT_EPILOGUE_GELU_BIAS));
  EXPECT_EQ(kReduceComputeType, uint32_t(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
  EXPECT_EQ(sizeof(Algorithm), sizeof(cublasLtMatmulAlgo_t));
  EXPECT_EQ(sizeof(Heuristic), sizeof(cublasLtMatmulHeuristicResult_t));
  EXPECT_EQ(offsetof(Heuristic, algorithm), offsetof(cublasLtMatmulHeuristicResult_t, algo));
  EXPECT_EQ(offsetof(Heuristic, workspaceBytes), offsetof(cublasLtMatmulHeuristicResult_t, workspaceSize));
  EXPECT_EQ(offsetof(Heuristic, state), offsetof(cublasLtMatmulHeuristicResult_t, state));
  EXPECT_EQ(offsetof(Heuristic, waves), offsetof(cublasLtMatmulHeuristicResult_t, wavesCount));
#else
  GTEST_SKIP() << "no cublasLt.h in /usr/local/cuda/include";
#endif
}

// NCCL's declarations are ours, and its configuration begins as ours does.
TEST(CudaHeaders, nccl) {
#if defined(PENSTOCK_HAS_NCCL)
  using namespace penstock::rt::nccl;
#define PENSTOCK_NCCL_CALL(member, symbol, ...)                                                                        \
  static_assert(Alike<__VA_ARGS__, std::remove_pointer_t<decltype(&::symbol)>>::value, #symbol);
#include "NcclCalls.def"
#undef PENSTOCK_NCCL_CALL
  EXPECT_EQ(kRemoteError, ncclRemoteError);
  EXPECT_EQ(kInProgress, ncclInProgress);
  EXPECT_EQ(kUint8, ncclUint8);
  EXPECT_EQ(kUndefined, NCCL_CONFIG_UNDEF_INT);
  ncclConfig_t theirs = NCCL_CONFIG_INITIALIZER;
  EXPECT_EQ(kConfigMagic, theirs.magic);
  EXPECT_EQ(offsetof(Config, version), offsetof(ncclConfig_t, version));
  EXPECT_EQ(offsetof(Config, blocking), offsetof(ncclConfig_t, blocking));
  EXPECT_EQ(offsetof(Config, maxBlocks), offsetof(ncclConfig_t, maxCTAs));
  EXPECT_EQ(offsetof(Config, network), offsetof(ncclConfig_t, netName));
  EXPECT_EQ(offsetof(Config, splitShare), offsetof(ncclConfig_t, splitShare));
  EXPECT_EQ(offsetof(Config, trafficClass), offsetof(ncclConfig_t, trafficClass));
  EXPECT_LE(sizeof(Config), sizeof(ncclConfig_t));
#else
  GTEST_SKIP() << "no nccl.h in /usr/local/cuda/include";
#endif
}

} // namespace
