//===- Devices.cpp - Where stages run, and who makes their kernels -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "Devices.h"

#include "PhaseFunctions.h"

#include "penstock/Dialect/NN/IR/NNOps.h"
#include "penstock/Dialect/Pipe/IR/DeviceAttrs.h"
#include "penstock/Dialect/Pipe/IR/PipeOps.h"
#include "penstock/Driver/Partitioning.h"
#include "penstock/Support/Error.h"
#include "penstock/Target/TargetBackend.h"

#include "mlir/IR/SymbolTable.h"
#include "llvm/ADT/MapVector.h"

namespace penstock::driver {
using namespace mlir;

StringRef getDevice(Operation *op) {
  auto device = op->getAttrOfType<StringAttr>(pipe::kDeviceAttr);
  return device ? device.getValue() : "";
}

static void setDevice(Operation *op, StringRef device) {
  if (!device.empty())
    op->setAttr(pipe::kDeviceAttr, StringAttr::get(op->getContext(), device));
}

/// Calls of a kernel by the device that they are on. An entry without calls: it makes weights.
using CallsByDevice = llvm::MapVector<StringRef, SmallVector<nn::CallOp>>;

static llvm::StringMap<CallsByDevice> collectCalls(ModuleOp module) {
  llvm::StringMap<CallsByDevice> calls;
  for (auto weight : module.getOps<nn::WeightOp>())
    if (auto init = weight.getInit())
      (void)calls[*init][""];
  for (auto stage : module.getOps<pipe::StageOp>())
    stage.walk([&](nn::CallOp call) { calls[call.getKernel()][getDevice(stage)].push_back(call); });
  return calls;
}

void placeOnDevices(ModuleOp module, ArrayRef<std::string> devices) {
  for (auto stage : module.getOps<pipe::StageOp>())
    if (auto index = static_cast<size_t>(stage.getStageIndex()); index < devices.size())
      setDevice(stage, devices[index]);
  SymbolTable symbols(module);
  llvm::StringMap<CallsByDevice> calls = collectCalls(module);
  for (nn::KernelDefOp kernel : llvm::to_vector(module.getOps<nn::KernelDefOp>())) {
    nn::KernelDefOp next = kernel;
    for (auto &[device, itsCalls] : calls[kernel.getSymName()]) {
      if (!next) {
        next = cast<nn::KernelDefOp>(kernel->clone());
        next->removeAttr(pipe::kDeviceAttr);
        next.setSymName((kernel.getSymName() + "_" + (device.empty() ? "host" : device)).str());
        symbols.insert(next, std::next(Block::iterator(kernel.getOperation())));
      }
      setDevice(next, device);
      for (nn::CallOp call : itsCalls)
        call.setKernel(next.getSymName());
      next = nullptr;
    }
  }
}

/// What takes messages from the device of one stage to that of another: "host" or "nccl".
using TransportBetween = llvm::function_ref<std::string(size_t from, size_t to)>;

/// NCCL carries channels whose ends are all on devices, where it is wanted between all of them.
static void chooseCarriers(ModuleOp module, TransportBetween transportBetween) {
  SymbolTable symbols(module);
  for (auto channel : module.getOps<pipe::ChannelOp>()) {
    auto producer = symbols.lookup<pipe::StageOp>(channel.getProducer());
    bool isCarried = producer && !getDevice(producer).empty() && !channel.getControl();
    for (auto name : channel.getConsumers().getAsRange<FlatSymbolRefAttr>()) {
      auto consumer = symbols.lookup<pipe::StageOp>(name.getValue());
      isCarried = isCarried && consumer && !getDevice(consumer).empty() &&
                  transportBetween(producer.getStageIndex(), consumer.getStageIndex()) == "nccl";
    }
    if (isCarried)
      channel->setAttr(pipe::kCarrierAttr, StringAttr::get(module.getContext(), "nccl"));
  }
}

LogicalResult placeStages(Compilation &compilation) {
  if (failed(openTarget(compilation)))
    return failure();
  ModuleOp module = *compilation.module;
  const std::string &wanted = compilation.options.transport;
  if (compilation.options.clusterFile.empty()) {
    auto numStages = static_cast<size_t>(llvm::range_size(module.getOps<pipe::StageOp>()));
    placeOnDevices(module, std::vector<std::string>(numStages, compilation.target->getDevice().str()));
    chooseCarriers(module, [&](size_t, size_t) { return wanted; });
    return success();
  }
  llvm::Expected<Partitioning> partitioning = Partitioning::create(compilation.options, *compilation.target);
  if (!partitioning)
    return compilation.fail(partitioning.takeError());
  std::vector<std::string> devices = partitioning->getStageDevices();
  if (wanted == "nccl" && llvm::all_of(devices, [](const std::string &device) { return device.empty(); }))
    return compilation.fail(
        userError("--transport nccl is for stages on GPUs, and cluster file '{0}' puts none on one; "
                  "expected devices of a class with target = \"cuda\"",
                  compilation.options.clusterFile));
  placeOnDevices(module, devices);
  chooseCarriers(
      module, [&](size_t from, size_t to) { return wanted.empty() ? partitioning->getTransport(from, to) : wanted; });
  return success();
}

LogicalResult openTargetFor(Compilation &compilation, StringRef device, const TargetBackend *&target) {
  if (failed(openTarget(compilation)))
    return failure();
  target = compilation.target.get();
  if (target->getDevice() == device)
    return success();
  std::unique_ptr<TargetBackend> &other = compilation.others[device.str()];
  if (!other) {
    llvm::Expected<std::unique_ptr<TargetBackend>> opened =
        openTarget(compilation.options, device.empty() ? "cpu" : device);
    if (!opened)
      return compilation.fail(opened.takeError());
    other = std::move(*opened);
  }
  target = other.get();
  return success();
}

LogicalResult findProfiles(Compilation &compilation, TargetProfile &roles, TargetProfile &kernels) {
  std::optional<StringRef> chosen;
  for (auto stage : compilation.module->getOps<pipe::StageOp>())
    if (!chosen || getDevice(stage).empty())
      chosen = getDevice(stage);
  const TargetBackend *target = nullptr;
  if (failed(openTargetFor(compilation, chosen.value_or(""), target)))
    return failure();
  roles = target->getHostProfile();
  kernels = target->getProfile();
  return success();
}

} // namespace penstock::driver
