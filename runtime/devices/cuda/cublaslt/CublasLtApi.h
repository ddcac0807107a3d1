//===- CublasLtApi.h - The part of cuBLASLt's interface in use ---*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Our own declarations of the binary interface of cuBLASLt 13, so that the plug-in builds where no CUDA is installed.
// Types are as wide as the library's; numbers are those of its header.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_DEVICES_CUBLASLTAPI_H
#define PENSTOCK_RT_DEVICES_CUBLASLTAPI_H

#include "../CudaApi.h"

namespace penstock {
namespace rt {
namespace cuda {
namespace blas {

using Outcome = int32_t;
using DataType = int32_t;
using ComputeType = int32_t;
using Order = int32_t;
using LayoutAttribute = int32_t;
using ProductAttribute = int32_t;
using PreferenceAttribute = int32_t;
using Handle = struct HandleTag *;
using Layout = struct LayoutTag *;
using Product = struct ProductTag *; ///< what the header calls a matmul descriptor
using Preference = struct PreferenceTag *;

enum : Outcome {
  kSuccess = 0,
  kNotInitialized = 1,
  kAllocFailed = 3,
  kInvalidValue = 7,
  kNotSupported = 15,
};
enum : DataType { kFloat32 = 0, kFloat16 = 2, kBFloat16 = 14 };
enum : ComputeType { kComputeFloat32 = 68, kComputeTf32 = 77 };
enum : Order { kAsItIs = 0, kTransposed = 1 };
enum : LayoutAttribute { kBatchCount = 5, kBatchStride = 6 };
enum : ProductAttribute { kTransposeA = 3, kTransposeB = 4, kEpilogue = 7, kBiasPointer = 8 };
enum : PreferenceAttribute {
  kWorkspaceBytes = 1,
  kReductionSchemes = 3,
  kAlignmentA = 5,
  kAlignmentB = 6,
  kAlignmentC = 7,
  kAlignmentD = 8,
};
/// Values of kEpilogue; a bias may be joined with an activation.
enum : uint32_t { kNoEpilogue = 1, kRelu = 2, kBias = 4, kGelu = 32 };
/// A bit of kReductionSchemes: parts of a sum are kept in f32, apart from the result.
constexpr uint32_t kReduceComputeType = 2;

/// May be copied, and kept for the same version of the library.
struct Algorithm {
  uint64_t data[8];
};
struct Heuristic {
  Algorithm algorithm;
  size_t workspaceBytes;
  Outcome state;
  float waves;
  int reserved[4];
};

constexpr const char *kLibrary = "libcublasLt.so.13";
constexpr size_t kLeastVersion = 130000;

struct Calls {
#define PENSTOCK_CUBLASLT_CALL(member, symbol, ...) Pointer<__VA_ARGS__> member = nullptr;
#include "CublasLtCalls.def"
#undef PENSTOCK_CUBLASLT_CALL
};

} // namespace blas
} // namespace cuda
} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_DEVICES_CUBLASLTAPI_H
