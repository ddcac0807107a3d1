//===- AssignStages.cpp - A stage for every kernel -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "penstock/Dialect/Pipe/Transforms/PartitionProblem.h"
#include "penstock/Dialect/Pipe/Transforms/Passes.h"

#include "StageGraph.h"

#include "penstock/Partition/PlanFile.h"

#include <map>

namespace penstock::pipe {
#define GEN_PASS_DEF_ASSIGNSTAGESPASS
#include "penstock/Dialect/Pipe/Transforms/Passes.h.inc"
} // namespace penstock::pipe

using namespace mlir;
using namespace penstock;
using namespace penstock::pipe;

FailureOr<std::vector<std::vector<std::string>>> pipe::readPlanFile(StringRef path, Location loc) {
  partition::PlanStages read = partition::readPlanStages(path.str());
  if (!read.error.empty())
    return emitError(loc) << read.error;
  return std::move(read.stages);
}

//===----------------------------------------------------------------------===//
// Applying a plan
//===----------------------------------------------------------------------===//

namespace {

void setStage(nn::KernelOp kernel, int64_t stage) {
  kernel->setAttr(PipeDialect::getStageIdAttrName(), Builder(kernel.getContext()).getI32IntegerAttr(stage));
}

/// Repeats cheap producers in the stages that the plan says, and lets the kernels of those stages read the copies.
void makeClones(ArrayRef<nn::KernelOp> kernels, const partition::Plan &plan) {
  std::map<std::pair<Operation *, int>, nn::KernelOp> copies; // by original and stage
  SmallVector<std::pair<nn::KernelOp, int>> all;
  for (auto [kernel, stage] : llvm::zip(kernels, plan.stageOf))
    all.emplace_back(kernel, stage);
  for (const partition::Clone &clone : plan.clones) {
    nn::KernelOp original = kernels[clone.kernel];
    OpBuilder builder(original.getContext());
    builder.setInsertionPointAfter(original);
    auto copy = cast<nn::KernelOp>(builder.clone(*original));
    copy.setName((original.getName() + "@" + Twine(clone.stage)).str());
    copy->setAttr(kCloneOfAttr, original.getNameAttr());
    setStage(copy, clone.stage);
    copies[{original, clone.stage}] = copy;
    all.emplace_back(copy, clone.stage);
  }
  for (auto [kernel, stage] : all)
    for (OpOperand &operand : kernel->getOpOperands())
      if (auto producer = operand.get().getDefiningOp<nn::KernelOp>())
        if (auto copy = copies.find({producer, stage}); copy != copies.end())
          operand.set(copy->second->getResult(cast<OpResult>(operand.get()).getResultNumber()));
}

/// A plan as attributes, for reports and for resuming.
class PlanWriter {
public:
  explicit PlanWriter(MLIRContext *context) : builder(context) {}

  DictionaryAttr write(const partition::Problem &problem, const partition::Plan &plan, StringRef method) {
    SmallVector<Attribute> stages, channels;
    for (const partition::StageCost &stage : plan.stages)
      stages.push_back(writeStage(stage));
    for (const partition::ChannelUse &channel : plan.channels)
      channels.push_back(writeChannel(problem, channel));
    return builder.getDictionaryAttr(
        {text("balance", partition::toString(problem.balance)), real("bottleneck", plan.bottleneck),
         list("channels", channels), text("costs", problem.costTier), list("devices", writeDevices(problem)),
         real("gap", plan.gap), real("lower_bound", plan.lowerBound), text("method", method),
         builder.getNamedAttr("proved_optimal", builder.getBoolAttr(plan.isProvedOptimal)), list("stages", stages),
         number("traffic_bytes", plan.trafficBytes)});
  }

private:
  NamedAttribute number(StringRef name, int64_t value) {
    return builder.getNamedAttr(name, builder.getI64IntegerAttr(value));
  }
  NamedAttribute real(StringRef name, double value) {
    return builder.getNamedAttr(name, builder.getF64FloatAttr(value));
  }
  NamedAttribute text(StringRef name, StringRef value) {
    return builder.getNamedAttr(name, builder.getStringAttr(value));
  }
  NamedAttribute list(StringRef name, ArrayRef<Attribute> values) {
    return builder.getNamedAttr(name, builder.getArrayAttr(values));
  }

  /// The profile of each stage's device.
  SmallVector<Attribute> writeDevices(const partition::Problem &problem) {
    SmallVector<Attribute> names;
    for (const partition::Device &device : problem.stages)
      names.push_back(builder.getStringAttr(problem.deviceClasses[device.deviceClass]));
    return names;
  }

  Attribute writeStage(const partition::StageCost &stage) {
    return builder.getDictionaryAttr(
        {number("clones", stage.clones.size()), real("compute_seconds", stage.computeSeconds),
         number("kernels", stage.kernels.size()), number("memory_bytes", stage.memoryBytes),
         number("recv_bytes", stage.recvBytes), real("recv_seconds", stage.recvSeconds),
         number("send_bytes", stage.sendBytes), real("send_seconds", stage.sendSeconds),
         number("slot_bytes", stage.slotBytes), number("weight_bytes", stage.weightBytes),
         number("workspace_bytes", stage.workspaceBytes)});
  }

  /// `from` is -1 for the source.
  Attribute writeChannel(const partition::Problem &problem, const partition::ChannelUse &channel) {
    const partition::Value &value = problem.values[channel.value];
    SmallVector<int64_t> to(channel.to.begin(), channel.to.end());
    return builder.getDictionaryAttr({number("bytes", value.numBytes), number("from", channel.from),
                                      text("tensor", value.name),
                                      builder.getNamedAttr("to", builder.getDenseI64ArrayAttr(to)),
                                      builder.getNamedAttr("to_sink", builder.getBoolAttr(channel.toSink))});
  }

  Builder builder;
};

} // namespace

void pipe::applyPlan(ModuleOp module, const partition::Problem &problem, const partition::Plan &plan) {
  SmallVector<nn::KernelOp> kernels = getKernels(findEntry(module));
  for (auto [kernel, cost] : llvm::zip(kernels, problem.kernels))
    kernel->setAttr(kSecondsAttr, Builder(module.getContext()).getF64FloatAttr(cost.seconds.front()));
  makeClones(kernels, plan);
  for (auto [kernel, stage] : llvm::zip(kernels, plan.stageOf))
    setStage(kernel, stage);
  module->setAttr(PipeDialect::getPlanAttrName(),
                  PlanWriter(module.getContext()).write(problem, plan, partition::toString(plan.method)));
}

/// What the plan says of its stages, to be compared with what the kernels say.
static bool isPlanOf(DictionaryAttr plan, ArrayRef<nn::KernelOp> kernels, int64_t numStages) {
  auto stages = plan ? plan.getAs<ArrayAttr>("stages") : ArrayAttr();
  if (!stages || static_cast<int64_t>(stages.size()) != numStages)
    return false;
  SmallVector<double> seconds(numStages, 0);
  SmallVector<int64_t> counts(numStages, 0);
  for (nn::KernelOp kernel : kernels) {
    int64_t stage = kernel->getAttrOfType<IntegerAttr>(PipeDialect::getStageIdAttrName()).getInt();
    auto cost = kernel->getAttrOfType<FloatAttr>(kSecondsAttr);
    if (!cost)
      return false;
    seconds[stage] += cost.getValueAsDouble();
    ++counts[stage];
  }
  for (auto [i, attribute] : llvm::enumerate(stages)) {
    auto stage = dyn_cast<DictionaryAttr>(attribute);
    auto compute = stage ? stage.getAs<FloatAttr>("compute_seconds") : FloatAttr();
    auto owned = stage ? stage.getAs<IntegerAttr>("kernels") : IntegerAttr();
    auto clones = stage ? stage.getAs<IntegerAttr>("clones") : IntegerAttr();
    if (!compute || !owned || !clones || owned.getInt() + clones.getInt() != counts[i] ||
        std::abs(compute.getValueAsDouble() - seconds[i]) > 1e-9 * seconds[i])
      return false;
  }
  return true;
}

LogicalResult pipe::assignStages(ModuleOp module, const PartitionOptions &options) {
  FailureOr<partition::Problem> problem = buildPartitionProblem(module, options);
  if (failed(problem))
    return failure();
  FailureOr<partition::Plan> plan = solvePartition(module, *problem);
  if (failed(plan))
    return failure();
  applyPlan(module, *problem, *plan);
  return success();
}

LogicalResult pipe::refreshPlan(ModuleOp module) {
  SmallVector<nn::KernelOp> kernels = getKernels(findEntry(module));
  partition::Plan plan;
  int64_t numStages = 0;
  for (nn::KernelOp kernel : kernels) {
    int64_t stage = kernel->getAttrOfType<IntegerAttr>(PipeDialect::getStageIdAttrName()).getInt();
    plan.stageOf.push_back(stage);
    numStages = std::max(numStages, stage + 1);
  }
  auto old = module->getAttrOfType<DictionaryAttr>(PipeDialect::getPlanAttrName());
  if (isPlanOf(old, kernels, numStages))
    return success();
  PartitionOptions options;
  options.numStages = numStages;
  FailureOr<partition::Problem> problem = buildPartitionProblem(module, options);
  if (failed(problem))
    return failure();
  for (auto [kernel, cost] : llvm::zip(kernels, problem->kernels))
    if (auto seconds = kernel->getAttrOfType<FloatAttr>(kSecondsAttr))
      std::fill(cost.seconds.begin(), cost.seconds.end(), seconds.getValueAsDouble());
  if (auto costs = old ? old.getAs<StringAttr>("costs") : StringAttr())
    problem->costTier = costs.str();
  auto devices = old ? old.getAs<ArrayAttr>("devices") : ArrayAttr();
  if (auto device = devices && !devices.empty() ? dyn_cast<StringAttr>(devices[0]) : StringAttr())
    problem->deviceClasses.front() = device.str();
  partition::evaluate(*problem, plan);
  // The bound holds for all plans, so also for this one.
  auto bound = old ? old.getAs<FloatAttr>("lower_bound") : FloatAttr();
  auto balance = old ? old.getAs<StringAttr>("balance") : StringAttr();
  if (bound && balance && balance.getValue() == partition::toString(problem->balance))
    plan.lowerBound = std::min(bound.getValueAsDouble(), plan.bottleneck);
  plan.gap = plan.lowerBound > 0 ? plan.bottleneck / plan.lowerBound - 1 : std::numeric_limits<double>::infinity();
  module->setAttr(PipeDialect::getPlanAttrName(), PlanWriter(module.getContext()).write(*problem, plan, "given"));
  return success();
}

namespace {

struct AssignStagesPass : pipe::impl::AssignStagesPassBase<AssignStagesPass> {
  using AssignStagesPassBase::AssignStagesPassBase;

  void runOnOperation() override {
    if (failed(run()))
      signalPassFailure();
  }

  LogicalResult run() {
    ModuleOp module = getOperation();
    PartitionOptions options;
    options.numStages = numStages;
    options.cuts = std::vector<std::string>(cuts.begin(), cuts.end());
    options.fromOnnxStages = fromOnnxStages;
    options.memoryLimitBytes = memoryLimit;
    if (numStages < 0 || memoryLimit < 0)
      return module.emitError() << "the number of stages is " << numStages.getValue() << " and the memory limit "
                                << memoryLimit.getValue() << "; expected neither to be negative";
    if (failed(parseBalance(options.balance)))
      return failure();
    if (!plan.empty()) {
      FailureOr<std::vector<std::vector<std::string>>> stages = readPlanFile(plan, module.getLoc());
      if (failed(stages))
        return failure();
      options.plan = *stages;
      options.planFile = plan;
    }
    if (failed(assignStages(module, options)))
      return failure();
    for (nn::KernelOp kernel : getKernels(findEntry(module)))
      numClones += kernel->hasAttr(kCloneOfAttr);
    return success();
  }

  LogicalResult parseBalance(partition::Balance &result) {
    for (partition::Balance balance : {partition::Balance::Time, partition::Balance::Params, partition::Balance::Memory,
                                       partition::Balance::Uniform})
      if (StringRef(this->balance) == partition::toString(balance)) {
        result = balance;
        return success();
      }
    return getOperation().emitError() << "balance is '" << this->balance
                                      << "'; expected time, params, memory or uniform";
  }
};

} // namespace
