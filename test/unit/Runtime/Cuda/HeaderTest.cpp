//===- HeaderTest.cpp - Our declarations beside those of CUDA ----*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Compiled against the headers of CUDA, cuBLASLt, cuDNN and NCCL where these are installed: each entry point must exist
// under its name, with as many parameters of the same kinds and sizes.
//
//===----------------------------------------------------------------------===//
#include "CublasLtApi.h"
#include "CudaApi.h"
#include "CudnnApi.h"
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
#if __has_include(<cudnn_graph.h>)
#include <cudnn_graph.h>
#define PENSTOCK_HAS_CUDNN
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

#ifdef PENSTOCK_HAS_CUDNN
namespace cudnn {
using namespace penstock::rt::cuda::dnn;
/// Ours, and the library's.
constexpr int kNumbers[][2] = {{kSuccess, CUDNN_STATUS_SUCCESS},
                               {kNotInitialized, CUDNN_STATUS_NOT_INITIALIZED},
                               {kBadParameter, CUDNN_STATUS_BAD_PARAM},
                               {kNotSupported, CUDNN_STATUS_NOT_SUPPORTED},
                               {kInternalError, CUDNN_STATUS_INTERNAL_ERROR},
                               {kExecutionFailed, CUDNN_STATUS_EXECUTION_FAILED},
                               {kPointwise, CUDNN_BACKEND_POINTWISE_DESCRIPTOR},
                               {kConvolution, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR},
                               {kEngine, CUDNN_BACKEND_ENGINE_DESCRIPTOR},
                               {kEngineConfig, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR},
                               {kHeuristic, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR},
                               {kExecutionPlan, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR},
                               {kConvolutionForward, CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR},
                               {kPointwiseOperation, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR},
                               {kOperationGraph, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR},
                               {kVariantPack, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR},
                               {kTensor, CUDNN_BACKEND_TENSOR_DESCRIPTOR},
                               {kDeviceProperties, CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR},
                               {kTypeHandle, CUDNN_TYPE_HANDLE},
                               {kTypeDataType, CUDNN_TYPE_DATA_TYPE},
                               {kTypeBoolean, CUDNN_TYPE_BOOLEAN},
                               {kTypeInt64, CUDNN_TYPE_INT64},
                               {kTypeFloat, CUDNN_TYPE_FLOAT},
                               {kTypePointer, CUDNN_TYPE_VOID_PTR},
                               {kTypeConvolutionMode, CUDNN_TYPE_CONVOLUTION_MODE},
                               {kTypeHeuristicMode, CUDNN_TYPE_HEUR_MODE},
                               {kTypeNote, CUDNN_TYPE_NUMERICAL_NOTE},
                               {kTypePointwiseMode, CUDNN_TYPE_POINTWISE_MODE},
                               {kTypeDescriptor, CUDNN_TYPE_BACKEND_DESCRIPTOR},
                               {kTypeChar, CUDNN_TYPE_CHAR},
                               {kPointwiseModeOf, CUDNN_ATTR_POINTWISE_MODE},
                               {kPointwisePrecision, CUDNN_ATTR_POINTWISE_MATH_PREC},
                               {kConvolutionPrecision, CUDNN_ATTR_CONVOLUTION_COMP_TYPE},
                               {kConvolutionModeOf, CUDNN_ATTR_CONVOLUTION_CONV_MODE},
                               {kConvolutionDilations, CUDNN_ATTR_CONVOLUTION_DILATIONS},
                               {kConvolutionStrides, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES},
                               {kConvolutionPostPads, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS},
                               {kConvolutionPrePads, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS},
                               {kConvolutionSpatialDims, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS},
                               {kHeuristicModeOf, CUDNN_ATTR_ENGINEHEUR_MODE},
                               {kHeuristicGraph, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH},
                               {kHeuristicResults, CUDNN_ATTR_ENGINEHEUR_RESULTS},
                               {kHeuristicDevice, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP},
                               {kConfigEngine, CUDNN_ATTR_ENGINECFG_ENGINE},
                               {kPlanHandle, CUDNN_ATTR_EXECUTION_PLAN_HANDLE},
                               {kPlanConfig, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG},
                               {kPlanWorkspaceBytes, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE},
                               {kPlanDevice, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP},
                               {kForwardAlpha, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA},
                               {kForwardBeta, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA},
                               {kForwardConvolution, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC},
                               {kForwardFilter, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W},
                               {kForwardInput, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X},
                               {kForwardResult, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y},
                               {kOperationPointwise, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR},
                               {kOperationInput, CUDNN_ATTR_OPERATION_POINTWISE_XDESC},
                               {kOperationOther, CUDNN_ATTR_OPERATION_POINTWISE_BDESC},
                               {kOperationResult, CUDNN_ATTR_OPERATION_POINTWISE_YDESC},
                               {kGraphHandle, CUDNN_ATTR_OPERATIONGRAPH_HANDLE},
                               {kGraphOperations, CUDNN_ATTR_OPERATIONGRAPH_OPS},
                               {kTensorAlignment, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT},
                               {kTensorType, CUDNN_ATTR_TENSOR_DATA_TYPE},
                               {kTensorDims, CUDNN_ATTR_TENSOR_DIMENSIONS},
                               {kTensorStrides, CUDNN_ATTR_TENSOR_STRIDES},
                               {kTensorId, CUDNN_ATTR_TENSOR_UNIQUE_ID},
                               {kTensorIsVirtual, CUDNN_ATTR_TENSOR_IS_VIRTUAL},
                               {kPackIds, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS},
                               {kPackPointers, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS},
                               {kPackWorkspace, CUDNN_ATTR_VARIANT_PACK_WORKSPACE},
                               {kEngineNotes, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE},
                               {kDeviceJson, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION},
                               {kFloat32, CUDNN_DATA_FLOAT},
                               {kFloat16, CUDNN_DATA_HALF},
                               {kBFloat16, CUDNN_DATA_BFLOAT16},
                               {kAdd, CUDNN_POINTWISE_ADD},
                               {kRelu, CUDNN_POINTWISE_RELU_FWD},
                               {kCrossCorrelation, CUDNN_CROSS_CORRELATION},
                               {kHeuristicFallback, CUDNN_HEUR_MODE_FALLBACK},
                               {kHeuristicA, CUDNN_HEUR_MODE_A},
                               {kTensorCore, CUDNN_NUMERICAL_NOTE_TENSOR_CORE},
                               {kDownConvertsInputs, CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS},
                               {kReducedPrecision, CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION},
                               {kNondeterministic, CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC},
                               {kWinograd6x6, CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_6x6},
                               {kWinograd13x13, CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13}};
} // namespace cudnn
#endif

// cuDNN's declarations are ours.
TEST(CudaHeaders, cudnn) {
#ifdef PENSTOCK_HAS_CUDNN
  using namespace penstock::rt::cuda::dnn;
  using penstock::rt::cuda::Stream;
#define PENSTOCK_CUDNN_CALL(member, symbol, ...)                                                                       \
  static_assert(Alike<__VA_ARGS__, std::remove_pointer_t<decltype(&::symbol)>>::value, #symbol);
#include "CudnnCalls.def"
#undef PENSTOCK_CUDNN_CALL
  for (size_t i = 0; i < std::size(cudnn::kNumbers); ++i)
    EXPECT_EQ(cudnn::kNumbers[i][0], cudnn::kNumbers[i][1]) << "entry " << i;
  EXPECT_GE(kMaxNotes, CUDNN_NUMERICAL_NOTE_TYPE_COUNT);
#else
  GTEST_SKIP() << "no cudnn_graph.h in /usr/local/cuda/include";
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
