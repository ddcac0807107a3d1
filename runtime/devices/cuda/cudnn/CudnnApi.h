//===- CudnnApi.h - The part of cuDNN's interface in use ---------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Our own declarations of the binary interface of cuDNN 9's graphs, so that the plug-in builds where no CUDA is
// installed. Types are as wide as the library's; numbers are those of its header.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_DEVICES_CUDNNAPI_H
#define PENSTOCK_RT_DEVICES_CUDNNAPI_H

#include "../CudaApi.h"

namespace penstock {
namespace rt {
namespace cuda {
namespace dnn {

using Outcome = int32_t;
using Kind = int32_t; ///< of a descriptor
using Attribute = int32_t;
using ValueType = int32_t; ///< of an attribute
using DataType = int32_t;
using PointwiseMode = int32_t;
using ReductionMode = int32_t;
using ConvolutionMode = int32_t;
using HeuristicMode = int32_t;
using Note = int32_t; ///< what an engine says of its numbers
using Handle = struct HandleTag *;
using Opaque = void *; ///< a descriptor

enum : Outcome {
  kSuccess = 0,
  kNotInitialized = 1001,
  kBadParameter = 2000,
  kNotSupported = 3000, ///< to kInternalError: why
  kInternalError = 4000,
  kExecutionFailed = 5000
};
constexpr bool isNotSupported(Outcome outcome) { return outcome >= kNotSupported && outcome < kInternalError; }
enum : Kind {
  kPointwise = 0,
  kConvolution = 1,
  kEngine = 2,
  kEngineConfig = 3,
  kHeuristic = 4,
  kExecutionPlan = 5,
  kConvolutionForward = 10,
  kPointwiseOperation = 13,
  kOperationGraph = 15,
  kVariantPack = 16,
  kTensor = 17,
  kProduct = 18,
  kProductOperation = 19,
  kReduction = 21,
  kReductionOperation = 22,
  kDeviceProperties = 38
};
enum : ValueType {
  kTypeHandle = 0,
  kTypeDataType = 1,
  kTypeBoolean = 2,
  kTypeInt64 = 3,
  kTypeFloat = 4,
  kTypePointer = 6,
  kTypeConvolutionMode = 7,
  kTypeHeuristicMode = 8,
  kTypeNote = 11,
  kTypePointwiseMode = 14,
  kTypeDescriptor = 15,
  kTypeReductionMode = 18,
  kTypeChar = 24
};
enum : Attribute {
  kPointwiseModeOf = 0,
  kPointwisePrecision = 1,
  kConvolutionPrecision = 100,
  kConvolutionModeOf = 101,
  kConvolutionDilations = 102,
  kConvolutionStrides = 103,
  kConvolutionPostPads = 104,
  kConvolutionPrePads = 105,
  kConvolutionSpatialDims = 106,
  kHeuristicModeOf = 200,
  kHeuristicGraph = 201,
  kHeuristicResults = 202,
  kHeuristicDevice = 204,
  kConfigEngine = 300,
  kPlanHandle = 400,
  kPlanConfig = 401,
  kPlanWorkspaceBytes = 402,
  kPlanDevice = 407,
  kForwardAlpha = 700,
  kForwardBeta = 701,
  kForwardConvolution = 702,
  kForwardFilter = 703,
  kForwardInput = 704,
  kForwardResult = 705,
  kOperationPointwise = 750,
  kOperationInput = 751,
  kOperationOther = 752,
  kOperationResult = 753,
  kGraphHandle = 800,
  kGraphOperations = 801,
  kTensorAlignment = 900,
  kTensorType = 901,
  kTensorDims = 902,
  kTensorStrides = 903,
  kTensorId = 906,
  kTensorIsVirtual = 907,
  kTensorIsByValue = 908,
  kPackIds = 1000,
  kPackPointers = 1001,
  kPackWorkspace = 1003,
  kEngineNotes = 1303,
  kProductPrecision = 1500,
  kOperationLhs = 1520,
  kOperationRhs = 1521,
  kOperationMade = 1522,
  kOperationProduct = 1523,
  kReductionModeOf = 1600,
  kReductionPrecision = 1601,
  kOperationReduced = 1610,
  kOperationReducedTo = 1611,
  kOperationReduction = 1612,
  kDeviceJson = 2702
};
enum : DataType { kFloat32 = 0, kFloat16 = 2, kBFloat16 = 9 };
enum : PointwiseMode {
  kAdd = 0,
  kMultiply = 1,
  kDivide = 6,
  kSubtract = 9,
  kExponential = 13,
  kLogarithm = 15,
  kRelu = 100
};
enum : ReductionMode { kReduceAdd = 0, kReduceMax = 3 };
enum : ConvolutionMode { kCrossCorrelation = 1 };
enum : HeuristicMode { kHeuristicFallback = 2, kHeuristicA = 3 };
enum : Note {
  kTensorCore = 0,
  kDownConvertsInputs = 1,
  kReducedPrecision = 2,
  kNondeterministic = 4,
  kWinograd6x6 = 7,
  kWinograd13x13 = 8
};
constexpr int64_t kMaxNotes = 32; ///< more than there are

constexpr const char *kLibrary = "libcudnn.so.9";
constexpr size_t kLeastVersion = 90000;

struct Calls {
#define PENSTOCK_CUDNN_CALL(member, symbol, ...) Pointer<__VA_ARGS__> member = nullptr;
#include "CudnnCalls.def"
#undef PENSTOCK_CUDNN_CALL
};

} // namespace dnn
} // namespace cuda
} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_DEVICES_CUDNNAPI_H
