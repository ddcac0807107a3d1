//===- Cudnn.cpp - cuDNN of this machine -------------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "Cudnn.h"

#include "../CudaDriver.h"
#include "AttentionGraph.h"
#include "ConvolutionGraph.h"

#include <algorithm>
#include <dlfcn.h>

namespace penstock {
namespace rt {
namespace cuda {

using namespace dnn;

static constexpr const char *kWhatToInstall = "install cuDNN 9";

CudnnDescriptor::CudnnDescriptor(const Calls &calls, Kind kind) : calls(calls) { outcome = calls.make(kind, &opaque); }

CudnnDescriptor::~CudnnDescriptor() {
  if (opaque)
    (void)calls.drop(opaque);
}

void CudnnDescriptor::setMany(Attribute attribute, ValueType type, int64_t count, const void *values) {
  if (outcome == dnn::kSuccess)
    outcome = calls.set(opaque, attribute, type, count, values);
}

void CudnnDescriptor::get(Attribute attribute, ValueType type, int64_t room, int64_t &count, void *values) {
  count = 0;
  if (outcome == dnn::kSuccess)
    outcome = calls.get(opaque, attribute, type, room, &count, values);
}

void CudnnDescriptor::finish() {
  if (outcome == dnn::kSuccess)
    outcome = calls.finish(opaque);
}

static const char *findCalls(void *library, Calls &calls) {
#define PENSTOCK_CUDNN_CALL(member, symbol, ...)                                                                       \
  calls.member = reinterpret_cast<Pointer<__VA_ARGS__>>(dlsym(library, #symbol));                                      \
  if (!calls.member)                                                                                                   \
    return #symbol;
#include "CudnnCalls.def"
#undef PENSTOCK_CUDNN_CALL
  return nullptr;
}

std::unique_ptr<Cudnn> Cudnn::load(const char *path, std::string &error) {
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    error = text("no cuDNN: %s; %s", dlerror(), kWhatToInstall);
    return nullptr;
  }
  std::unique_ptr<Cudnn> opened(new Cudnn);
  if (const char *missing = findCalls(library, opened->calls)) {
    error = text("%s has no '%s'; %s", path, missing, kWhatToInstall);
    return nullptr;
  }
  if (size_t version = opened->calls.version(); version < kLeastVersion) {
    error = text("%s has version %zu, expected %zu or newer; %s", path, version, kLeastVersion, kWhatToInstall);
    return nullptr;
  }
  return opened;
}

std::unique_ptr<Cudnn> Cudnn::open(std::string &error) {
  std::unique_ptr<Cudnn> opened = load(kLibrary, error);
  if (!opened)
    return nullptr;
  if (Outcome outcome = opened->calls.create(&opened->handle)) {
    error = text("%s does not start: %s", kLibrary, opened->wordsOf(outcome));
    return nullptr;
  }
  return opened;
}

std::unique_ptr<Cudnn> Cudnn::openWithout(const char *path, const std::string &properties, std::string &error) {
  std::unique_ptr<Cudnn> opened = load(path, error);
  if (!opened)
    return nullptr;
  opened->device = std::make_unique<CudnnDescriptor>(opened->calls, kDeviceProperties);
  opened->device->setMany(kDeviceJson, kTypeChar, int64_t(properties.size()), properties.data());
  opened->device->finish();
  if (Outcome outcome = opened->device->outcome) {
    error = text("%s does not know the device: %s", path, opened->wordsOf(outcome));
    return nullptr;
  }
  return opened;
}

Cudnn::~Cudnn() {
  device.reset();
  if (handle)
    (void)calls.destroy(handle);
}

Cudnn::Limits Cudnn::limitsOf(const ConvolutionProblem &problem) {
  // Tensor cores take f32 as TF32.
  return {problem.workspaceBytes, problem.type != ConvolutionType::kF32 || problem.allowsTf32};
}

static Outcome makeGraph(const Calls &calls, const ConvolutionProblem &problem, CudnnPlan &plan, Handle handle,
                         Opaque &graph) {
  return ConvolutionGraph(calls, problem, plan).make(handle, graph);
}
static Outcome makeGraph(const Calls &calls, const AttentionProblem &problem, CudnnPlan &plan, Handle handle,
                         Opaque &graph) {
  return AttentionGraph(calls, problem, plan).make(handle, graph);
}

Outcome Cudnn::make(const DnnProblem &problem, std::unique_ptr<CudnnPlan> &plan, int64_t *next) const {
  auto made = std::make_unique<CudnnPlan>(problem);
  Opaque graph = nullptr;
  int64_t number = 0;
  Outcome outcome =
      std::visit([&](const auto &kind) { return makeGraph(calls, kind, *made, handle, graph); }, problem.kinds());
  Limits limits = std::visit([](const auto &kind) { return limitsOf(kind); }, problem.kinds());
  for (HeuristicMode mode : {kHeuristicA, kHeuristicFallback})
    if (outcome == dnn::kSuccess && !made->plan)
      outcome = choose(*made, limits, graph, mode, next ? *next : 0, number);
  if (next)
    *next = number;
  if (outcome == dnn::kSuccess && !made->plan)
    outcome = dnn::kNotSupported;
  if (outcome == dnn::kSuccess)
    plan = std::move(made);
  return outcome;
}

/// What an engine must not say of itself.
static bool isRefused(bool allowsTensorCores, Note note) {
  switch (note) {
  case kTensorCore:
    return !allowsTensorCores;
  case kDownConvertsInputs:
  case kReducedPrecision:
  case kNondeterministic:
  case kWinograd6x6: // whose intermediate numbers are far from those of the result
  case kWinograd13x13:
    return true;
  default:
    return false;
  }
}

Outcome Cudnn::allows(const Limits &limits, CudnnDescriptor &config, bool &isAllowed) const {
  CudnnDescriptor engine(calls, kEngine);
  Note notes[kMaxNotes] = {};
  int64_t count = 0;
  if (engine.outcome == dnn::kSuccess)
    config.get(kConfigEngine, kTypeDescriptor, 1, count, &engine.opaque);
  if (config.outcome == dnn::kSuccess)
    engine.get(kEngineNotes, kTypeNote, kMaxNotes, count, notes);
  isAllowed = std::none_of(notes, notes + std::min(count, kMaxNotes),
                           [&](Note note) { return isRefused(limits.allowsTensorCores, note); });
  return config.outcome ? config.outcome : engine.outcome;
}

/// Takes the first engine of those that the heuristic lists, from the one with number `first` on. None: the plan has
/// none. `number`: of the next engine.
Outcome Cudnn::choose(CudnnPlan &plan, const Limits &limits, Opaque graph, HeuristicMode mode, int64_t first,
                      int64_t &number) const {
  CudnnDescriptor heuristic(calls, kHeuristic);
  heuristic.set(kHeuristicGraph, kTypeDescriptor, graph);
  heuristic.set(kHeuristicModeOf, kTypeHeuristicMode, mode);
  if (device)
    heuristic.set(kHeuristicDevice, kTypeDescriptor, device->opaque);
  heuristic.finish();
  if (isNotSupported(heuristic.outcome))
    return dnn::kSuccess;
  int64_t count = 0;
  heuristic.get(kHeuristicResults, kTypeDescriptor, 0, count, nullptr);
  std::vector<std::unique_ptr<CudnnDescriptor>> configs;
  std::vector<Opaque> opaque;
  for (int64_t i = 0; i < count; ++i) {
    configs.push_back(std::make_unique<CudnnDescriptor>(calls, kEngineConfig));
    if (configs.back()->outcome)
      return configs.back()->outcome;
    opaque.push_back(configs.back()->opaque);
  }
  if (count > 0)
    heuristic.get(kHeuristicResults, kTypeDescriptor, count, count, opaque.data());
  for (size_t i = 0; i < size_t(count) && heuristic.outcome == dnn::kSuccess && !plan.plan; ++i) {
    bool isAllowed = false;
    if (number++ < first)
      continue;
    if (Outcome outcome = allows(limits, *configs[i], isAllowed))
      return outcome;
    if (isAllowed)
      tryEngine(plan, limits, std::move(configs[i]));
  }
  return heuristic.outcome;
}

/// An engine that the library cannot use after all, or only with more scratch memory, is passed over.
void Cudnn::tryEngine(CudnnPlan &plan, const Limits &limits, std::unique_ptr<CudnnDescriptor> config) const {
  auto made = std::make_unique<CudnnDescriptor>(calls, kExecutionPlan);
  made->set(kPlanConfig, kTypeDescriptor, config->opaque);
  if (device)
    made->set(kPlanDevice, kTypeDescriptor, device->opaque);
  else
    made->set(kPlanHandle, kTypeHandle, handle);
  made->finish();
  int64_t numBytes = 0, count = 0;
  made->get(kPlanWorkspaceBytes, kTypeInt64, 1, count, &numBytes);
  if (made->outcome || numBytes > limits.workspaceBytes)
    return;
  plan.plan = made->opaque, plan.usedBytes = numBytes;
  plan.parts.push_back(std::move(config));
  plan.parts.push_back(std::move(made));
}

Cudnn::Operands Cudnn::operandsOf(const CudnnPlan &plan, const ConvolutionBuffers &buffers) {
  using Id = ConvolutionGraph::TensorId;
  const auto &problem = std::get<ConvolutionProblem>(plan.problem);
  Operands operands = {{Id::kInputId, buffers.input}, {Id::kFilterId, buffers.filter}, {Id::kResultId, buffers.result}};
  if (problem.hasBias)
    operands.emplace_back(Id::kBiasId, buffers.bias);
  if (problem.hasResidual)
    operands.emplace_back(Id::kResidualId, buffers.residual);
  return operands;
}

Cudnn::Operands Cudnn::operandsOf(const CudnnPlan &plan, const AttentionBuffers &buffers) {
  using Id = AttentionGraph::TensorId;
  const auto &problem = std::get<AttentionProblem>(plan.problem);
  Operands operands = {{Id::kQueryId, buffers.query},
                       {Id::kKeyId, buffers.key},
                       {Id::kValueId, buffers.value},
                       {Id::kScaleId, &problem.scale},
                       {Id::kResultId, buffers.result}};
  if (problem.hasMask)
    operands.emplace_back(Id::kMaskId, buffers.mask);
  return operands;
}

Outcome Cudnn::run(const CudnnPlan &plan, const DnnBuffers &buffers, Stream stream) const {
  std::vector<int64_t> ids;
  std::vector<const void *> pointers;
  for (auto [id, data] : std::visit([&](const auto &kind) { return operandsOf(plan, kind); }, buffers.kinds()))
    ids.push_back(id), pointers.push_back(data);
  void *workspace = std::visit([](const auto &kind) { return kind.workspace; }, buffers.kinds());
  CudnnDescriptor pack(calls, kVariantPack);
  pack.setList(kPackIds, ids);
  pack.setMany(kPackPointers, kTypePointer, int64_t(pointers.size()), pointers.data());
  pack.set(kPackWorkspace, kTypePointer, workspace);
  pack.finish();
  Outcome outcome = pack.outcome ? pack.outcome : calls.setStream(handle, stream);
  return outcome ? outcome : calls.execute(handle, plan.plan, pack.opaque);
}

} // namespace cuda
} // namespace rt
} // namespace penstock
