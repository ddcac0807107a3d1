//===- Cudnn.cpp - libcudnn.so.9 of the machine that is not there -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Graphs of one convolution and what may follow it, and of an attention. Each is work on a stream, done in double
// precision, element by element. Descriptors take what the library's header lists for them, and only before they are
// finished. The heuristic lists engines as the library does: first those that the program must not take.
//
//===----------------------------------------------------------------------===//
#include "Cudnn.h"
#include "CudnnAttention.h"
#include "CudnnConvolution.h"

using namespace standin;
using namespace standin::dnn;

namespace {

/// What a kind of descriptor may be told.
struct Rule {
  Kind kind;
  Attribute attribute;
  ValueType type;
};
constexpr Rule kRules[] = {{kPointwise, kPointwiseModeOf, kTypePointwiseMode},
                           {kPointwise, kPointwisePrecision, kTypeDataType},
                           {kConvolution, kConvolutionPrecision, kTypeDataType},
                           {kConvolution, kConvolutionModeOf, kTypeConvolutionMode},
                           {kConvolution, kConvolutionDilations, kTypeInt64},
                           {kConvolution, kConvolutionStrides, kTypeInt64},
                           {kConvolution, kConvolutionPostPads, kTypeInt64},
                           {kConvolution, kConvolutionPrePads, kTypeInt64},
                           {kConvolution, kConvolutionSpatialDims, kTypeInt64},
                           {kHeuristic, kHeuristicModeOf, kTypeHeuristicMode},
                           {kHeuristic, kHeuristicGraph, kTypeDescriptor},
                           {kExecutionPlan, kPlanHandle, kTypeHandle},
                           {kExecutionPlan, kPlanConfig, kTypeDescriptor},
                           {kConvolutionForward, kForwardAlpha, kTypeFloat},
                           {kConvolutionForward, kForwardBeta, kTypeFloat},
                           {kConvolutionForward, kForwardConvolution, kTypeDescriptor},
                           {kConvolutionForward, kForwardFilter, kTypeDescriptor},
                           {kConvolutionForward, kForwardInput, kTypeDescriptor},
                           {kConvolutionForward, kForwardResult, kTypeDescriptor},
                           {kPointwiseOperation, kOperationPointwise, kTypeDescriptor},
                           {kPointwiseOperation, kOperationInput, kTypeDescriptor},
                           {kPointwiseOperation, kOperationOther, kTypeDescriptor},
                           {kPointwiseOperation, kOperationResult, kTypeDescriptor},
                           {kProduct, kProductPrecision, kTypeDataType},
                           {kProductOperation, kOperationProduct, kTypeDescriptor},
                           {kProductOperation, kOperationLhs, kTypeDescriptor},
                           {kProductOperation, kOperationRhs, kTypeDescriptor},
                           {kProductOperation, kOperationMade, kTypeDescriptor},
                           {kReduction, kReductionModeOf, kTypeReductionMode},
                           {kReduction, kReductionPrecision, kTypeDataType},
                           {kReductionOperation, kOperationReduction, kTypeDescriptor},
                           {kReductionOperation, kOperationReduced, kTypeDescriptor},
                           {kReductionOperation, kOperationReducedTo, kTypeDescriptor},
                           {kOperationGraph, kGraphHandle, kTypeHandle},
                           {kOperationGraph, kGraphOperations, kTypeDescriptor},
                           {kTensor, kTensorAlignment, kTypeInt64},
                           {kTensor, kTensorType, kTypeDataType},
                           {kTensor, kTensorDims, kTypeInt64},
                           {kTensor, kTensorStrides, kTypeInt64},
                           {kTensor, kTensorId, kTypeInt64},
                           {kTensor, kTensorIsVirtual, kTypeBoolean},
                           {kTensor, kTensorIsByValue, kTypeBoolean},
                           {kVariantPack, kPackIds, kTypeInt64},
                           {kVariantPack, kPackPointers, kTypePointer},
                           {kVariantPack, kPackWorkspace, kTypePointer}};

size_t bytesOf(ValueType type) {
  switch (type) {
  case kTypeBoolean:
    return 1;
  case kTypeInt64:
  case kTypePointer:
  case kTypeHandle:
    return 8;
  default:
    return 4;
  }
}

struct Library {
  std::set<void *> handles;
  std::map<Opaque, std::shared_ptr<State>> descriptors;
  void *stream = nullptr;
};
Library &library() {
  static auto *theLibrary = [] {
    auto *made = new Library;
    addReset([made] { *made = Library(); });
    addLeakCheck([made] {
      if (size_t left = made->handles.size() + made->descriptors.size())
        addFault("leak: " + std::to_string(left) + " handles and descriptors of cuDNN");
    });
    return made;
  }();
  return *theLibrary;
}

std::shared_ptr<State> stateOf(Opaque opaque) {
  auto found = library().descriptors.find(opaque);
  return found == library().descriptors.end() ? nullptr : found->second;
}

Outcome setParts(State &state, Attribute attribute, int64_t count, const void *values) {
  std::vector<std::shared_ptr<State>> parts;
  for (int64_t i = 0; i < count; ++i) {
    std::shared_ptr<State> part = stateOf(static_cast<const Opaque *>(values)[i]);
    if (!part || !part->isFinished)
      return kBadParameter;
    parts.push_back(part);
  }
  state.parts[attribute] = parts;
  return dnn::kSuccess;
}

bool canDoGraph(const State &graph, Engine engine) {
  return isAttention(graph) ? canAttend(graph) : canDo(graph, engine);
}

int64_t scratchOf(const State &graph, Engine engine) {
  if (!isAttention(graph) || engine == Engine::kRoomy)
    return workspaceOf(graph, engine);
  return engine == Engine::kFallback ? 0 : kAttentionWorkspaceBytes;
}

/// Whether all that was told fits together.
Outcome check(State &state) {
  switch (state.kind) {
  case kTensor:
    return checkTensor(state);
  case kConvolution:
    return checkConvolution(state);
  case kPointwise:
    return state.has({kPointwiseModeOf, kPointwisePrecision}) ? dnn::kSuccess : kBadParameter;
  case kConvolutionForward:
    return checkForward(state);
  case kPointwiseOperation:
    return checkPointwise(state);
  case kProduct:
    return state.number<DataType>(kProductPrecision) == kFloat32 ? dnn::kSuccess : kBadParameter;
  case kReduction:
    return state.has({kReductionModeOf, kReductionPrecision}) ? dnn::kSuccess : kBadParameter;
  case kProductOperation:
    return checkProduct(state);
  case kReductionOperation:
    return checkReduction(state);
  case kOperationGraph:
    return isAttention(state) ? checkAttention(state) : checkGraph(state);
  case kHeuristic:
    return state.part(kHeuristicGraph) && state.has({kHeuristicModeOf}) ? dnn::kSuccess : kBadParameter;
  case kExecutionPlan:
    if (!state.part(kPlanConfig) || !state.has({kPlanHandle}))
      return kBadParameter;
    state.graph = state.part(kPlanConfig)->graph, state.engine = state.part(kPlanConfig)->engine;
    return canDoGraph(*state.graph, state.engine) ? dnn::kSuccess : kNotSupported;
  case kVariantPack:
    return state.has({kPackIds, kPackPointers, kPackWorkspace}) ? dnn::kSuccess : kBadParameter;
  default:
    return kBadParameter;
  }
}

/// Fills descriptors that the caller has made.
Outcome fill(Opaque opaque, Kind kind, const std::shared_ptr<State> &graph, Engine engine) {
  std::shared_ptr<State> state = stateOf(opaque);
  if (!state || state->kind != kind)
    return kBadParameter;
  state->graph = graph, state->engine = engine, state->isFinished = true;
  return dnn::kSuccess;
}

Outcome listEngines(const State &heuristic, int64_t room, int64_t *count, void *values) {
  std::shared_ptr<State> graph = heuristic.part(kHeuristicGraph);
  auto mode = heuristic.number<HeuristicMode>(kHeuristicModeOf);
  std::vector<Engine> engines = isAttention(*graph) ? attentionEnginesFor(mode) : enginesFor(*graph, mode);
  *count = room == 0 ? int64_t(engines.size()) : std::min<int64_t>(room, int64_t(engines.size()));
  for (int64_t i = 0; i < (room == 0 ? 0 : *count); ++i)
    if (Outcome outcome = fill(static_cast<Opaque *>(values)[i], kEngineConfig, graph, engines[size_t(i)]))
      return outcome;
  return dnn::kSuccess;
}

Outcome run(const State &plan, const State &pack, void *stream) {
  std::vector<int64_t> ids = pack.numbers(kPackIds);
  std::vector<int64_t> pointers = pack.numbers(kPackPointers);
  if (ids.size() != pointers.size())
    return kBadParameter;
  std::map<int64_t, char *> data;
  for (size_t i = 0; i < ids.size(); ++i)
    data[ids[i]] = reinterpret_cast<char *>(pointers[i]);
  auto *workspace = reinterpret_cast<char *>(pack.number<int64_t>(kPackWorkspace));
  std::shared_ptr<BoundGraph> graph;
  if (isAttention(*plan.graph))
    graph = std::make_shared<Attention>();
  else
    graph = std::make_shared<Convolution>(plan.engine);
  if (Outcome outcome = graph->bind(*plan.graph, data))
    return outcome;
  if (!plan.hasRun && isCapturing())
    addFault("out of place: an engine of cuDNN is used for the first time while a graph is recorded");
  plan.hasRun = true;
  if (reinterpret_cast<uintptr_t>(workspace) % 256 != 0)
    addFault("out of place: scratch memory that is not aligned to 256 bytes");
  graph->checkPlaces();
  auto work = std::make_shared<standin::Operation>();
  work->name = graph->name();
  work->accesses = graph->accesses();
  if (int64_t numBytes = scratchOf(*plan.graph, plan.engine))
    work->accesses.push_back({workspace, size_t(numBytes), true});
  work->run = [graph] { graph->run(); };
  return enqueue(stream, work) == 0 ? int32_t(dnn::kSuccess) : int32_t(kExecutionFailed);
}

} // namespace

extern "C" {

size_t cudnnGetVersion() { return 91900; }

const char *cudnnGetErrorString(Outcome outcome) {
  return outcome == kNotInitialized    ? "CUDNN_STATUS_NOT_INITIALIZED"
         : outcome == kBadParameter    ? "CUDNN_STATUS_BAD_PARAM"
         : outcome == kNotSupported    ? "CUDNN_STATUS_NOT_SUPPORTED"
         : outcome == kExecutionFailed ? "CUDNN_STATUS_EXECUTION_FAILED"
                                       : "CUDNN_STATUS_INTERNAL_ERROR";
}

Outcome cudnnCreate(Handle *handle) {
  Entry entry("cudnnCreate");
  if (entry.code || currentDevice() < 0)
    return entry.code ? entry.code : kNotInitialized;
  if (isCapturing())
    addFault("out of place: cuDNN starts while a graph is recorded");
  auto *made = new char;
  library().handles.insert(made);
  *handle = reinterpret_cast<Handle>(made);
  return dnn::kSuccess;
}
Outcome cudnnDestroy(Handle handle) {
  Entry entry("cudnnDestroy");
  if (library().handles.erase(handle) == 0)
    return kBadParameter;
  delete reinterpret_cast<char *>(handle);
  return dnn::kSuccess;
}
Outcome cudnnSetStream(Handle handle, Stream stream) {
  Entry entry("cudnnSetStream");
  if (entry.code || library().handles.count(handle) == 0)
    return entry.code ? entry.code : kBadParameter;
  library().stream = stream;
  return dnn::kSuccess;
}

Outcome cudnnBackendCreateDescriptor(Kind kind, Opaque *descriptor) {
  Entry entry("cudnnBackendCreateDescriptor");
  if (entry.code)
    return entry.code;
  auto made = std::make_shared<State>();
  made->kind = kind;
  library().descriptors[ *descriptor = made.get()] = made;
  return dnn::kSuccess;
}
Outcome cudnnBackendDestroyDescriptor(Opaque descriptor) {
  Entry entry("cudnnBackendDestroyDescriptor");
  return library().descriptors.erase(descriptor) ? int32_t(dnn::kSuccess) : int32_t(kBadParameter);
}
Outcome cudnnBackendFinalize(Opaque descriptor) {
  Entry entry("cudnnBackendFinalize");
  std::shared_ptr<State> state = stateOf(descriptor);
  if (entry.code || !state || state->isFinished)
    return entry.code ? entry.code : kBadParameter;
  Outcome outcome = check(*state);
  state->isFinished = outcome == dnn::kSuccess;
  return outcome;
}
Outcome cudnnBackendSetAttribute(Opaque descriptor, Attribute attribute, ValueType type, int64_t count,
                                 const void *values) {
  Entry entry("cudnnBackendSetAttribute");
  std::shared_ptr<State> state = stateOf(descriptor);
  if (entry.code || !state || state->isFinished)
    return entry.code ? entry.code : kBadParameter;
  auto isTold = [&](const Rule &r) { return r.kind == state->kind && r.attribute == attribute && r.type == type; };
  if (std::none_of(std::begin(kRules), std::end(kRules), isTold))
    return kBadParameter;
  if (type == kTypeDescriptor)
    return setParts(*state, attribute, count, values);
  const char *bytes = static_cast<const char *>(values);
  state->values[attribute] = std::vector<char>(bytes, bytes + size_t(count) * ::bytesOf(type));
  return dnn::kSuccess;
}
Outcome cudnnBackendGetAttribute(Opaque descriptor, Attribute attribute, ValueType type, int64_t room, int64_t *count,
                                 void *values) {
  Entry entry("cudnnBackendGetAttribute");
  std::shared_ptr<State> state = stateOf(descriptor);
  if (entry.code || !state || !state->isFinished)
    return entry.code ? entry.code : kBadParameter;
  *count = 1;
  if (state->kind == kHeuristic && attribute == kHeuristicResults && type == kTypeDescriptor)
    return listEngines(*state, room, count, values);
  if (state->kind == kEngineConfig && attribute == kConfigEngine && type == kTypeDescriptor && room == 1)
    return fill(*static_cast<Opaque *>(values), kEngine, state->graph, state->engine);
  if (state->kind == kEngine && attribute == kEngineNotes && type == kTypeNote) {
    std::vector<Note> notes = notesOf(state->engine);
    *count = int64_t(notes.size());
    std::copy_n(notes.begin(), std::min(room, *count), static_cast<Note *>(values));
    return dnn::kSuccess;
  }
  if (state->kind != kExecutionPlan || attribute != kPlanWorkspaceBytes || type != kTypeInt64 || room != 1)
    return kBadParameter;
  *static_cast<int64_t *>(values) = scratchOf(*state->graph, state->engine);
  return dnn::kSuccess;
}
Outcome cudnnBackendExecute(Handle handle, Opaque plan, Opaque pack) {
  Entry entry("cudnnBackendExecute", streamName(library().stream));
  std::shared_ptr<State> planState = stateOf(plan), packState = stateOf(pack);
  if (entry.code || library().handles.count(handle) == 0 || !planState || !packState || !planState->isFinished ||
      !packState->isFinished || planState->kind != kExecutionPlan || packState->kind != kVariantPack)
    return entry.code ? entry.code : kBadParameter;
  return run(*planState, *packState, library().stream);
}

} // extern "C"
