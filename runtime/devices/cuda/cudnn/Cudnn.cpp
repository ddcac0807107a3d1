//===- Cudnn.cpp - cuDNN of this machine -------------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "Cudnn.h"

#include "../CudaDriver.h"
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

Outcome Cudnn::make(const ConvolutionProblem &problem, std::unique_ptr<ConvolutionPlan> &plan, int64_t *next) const {
  auto made = std::make_unique<ConvolutionPlan>(problem);
  Opaque graph = nullptr;
  int64_t number = 0;
  Outcome outcome = ConvolutionGraph(calls, *made).make(handle, graph);
  for (HeuristicMode mode : {kHeuristicA, kHeuristicFallback})
    if (outcome == dnn::kSuccess && !made->plan)
      outcome = choose(*made, graph, mode, next ? *next : 0, number);
  if (next)
    *next = number;
  if (outcome == dnn::kSuccess && !made->plan)
    outcome = dnn::kNotSupported;
  if (outcome == dnn::kSuccess)
    plan = std::move(made);
  return outcome;
}

/// What an engine must not say of itself.
static bool isRefused(const ConvolutionProblem &problem, Note note) {
  switch (note) {
  case kTensorCore: // which takes f32 as TF32
    return problem.type == ConvolutionType::kF32 && !problem.allowsTf32;
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

Outcome Cudnn::allows(const ConvolutionProblem &problem, CudnnDescriptor &config, bool &isAllowed) const {
  CudnnDescriptor engine(calls, kEngine);
  Note notes[kMaxNotes] = {};
  int64_t count = 0;
  if (engine.outcome == dnn::kSuccess)
    config.get(kConfigEngine, kTypeDescriptor, 1, count, &engine.opaque);
  if (config.outcome == dnn::kSuccess)
    engine.get(kEngineNotes, kTypeNote, kMaxNotes, count, notes);
  isAllowed =
      std::none_of(notes, notes + std::min(count, kMaxNotes), [&](Note note) { return isRefused(problem, note); });
  return config.outcome ? config.outcome : engine.outcome;
}

/// Takes the first engine of those that the heuristic lists, from the one with number `first` on. None: the plan has
/// none. `number`: of the next engine.
Outcome Cudnn::choose(ConvolutionPlan &plan, Opaque graph, HeuristicMode mode, int64_t first, int64_t &number) const {
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
    if (Outcome outcome = allows(plan.problem, *configs[i], isAllowed))
      return outcome;
    if (isAllowed)
      tryEngine(plan, std::move(configs[i]));
  }
  return heuristic.outcome;
}

/// An engine that the library cannot use after all, or only with more scratch memory, is passed over.
void Cudnn::tryEngine(ConvolutionPlan &plan, std::unique_ptr<CudnnDescriptor> config) const {
  auto made = std::make_unique<CudnnDescriptor>(calls, kExecutionPlan);
  made->set(kPlanConfig, kTypeDescriptor, config->opaque);
  if (device)
    made->set(kPlanDevice, kTypeDescriptor, device->opaque);
  else
    made->set(kPlanHandle, kTypeHandle, handle);
  made->finish();
  int64_t numBytes = 0, count = 0;
  made->get(kPlanWorkspaceBytes, kTypeInt64, 1, count, &numBytes);
  if (made->outcome || numBytes > plan.problem.workspaceBytes)
    return;
  plan.plan = made->opaque, plan.usedBytes = numBytes;
  plan.parts.push_back(std::move(config));
  plan.parts.push_back(std::move(made));
}

Outcome Cudnn::run(const ConvolutionPlan &plan, const ConvolutionBuffers &buffers, Stream stream) const {
  std::vector<int64_t> ids;
  std::vector<const void *> pointers;
  auto add = [&](bool isUsed, int64_t id, const void *data) {
    if (isUsed)
      ids.push_back(id), pointers.push_back(data);
  };
  add(true, kInputId, buffers.input);
  add(true, kFilterId, buffers.filter);
  add(plan.problem.hasBias, kBiasId, buffers.bias);
  add(plan.problem.hasResidual, kResidualId, buffers.residual);
  add(true, kResultId, buffers.result);
  CudnnDescriptor pack(calls, kVariantPack);
  pack.setList(kPackIds, ids);
  pack.setMany(kPackPointers, kTypePointer, int64_t(pointers.size()), pointers.data());
  pack.set(kPackWorkspace, kTypePointer, buffers.workspace);
  pack.finish();
  Outcome outcome = pack.outcome ? pack.outcome : calls.setStream(handle, stream);
  return outcome ? outcome : calls.execute(handle, plan.plan, pack.opaque);
}

} // namespace cuda
} // namespace rt
} // namespace penstock
