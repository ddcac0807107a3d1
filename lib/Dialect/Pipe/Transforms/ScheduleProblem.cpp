//===- ScheduleProblem.cpp - Stages and channels for the scheduler -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "penstock/Dialect/Pipe/Transforms/ScheduleProblem.h"

#include "penstock/Dialect/NN/Transforms/Passes.h"
#include "penstock/Dialect/Pipe/Transforms/Passes.h"

#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace penstock;
using namespace penstock::pipe;

namespace {

/// Numbers of the stages and channels of a module, by name.
struct Numbers {
  explicit Numbers(ModuleOp module) {
    stages[PipeDialect::getSourceName()] = schedule::kSource;
    stages[PipeDialect::getSinkName()] = schedule::kSink;
    for (auto [i, stage] : llvm::enumerate(module.getOps<StageOp>()))
      stages[stage.getSymName()] = i;
    for (auto [i, channel] : llvm::enumerate(module.getOps<ChannelOp>()))
      channels[channel.getSymName()] = i;
  }
  llvm::StringMap<int32_t> stages, channels;
};

std::string printType(Type type) {
  std::string text;
  llvm::raw_string_ostream(text) << type;
  return text;
}

/// Compute time of a stage in ns, from the plan; 0 if there is none.
int64_t getTimeNs(ModuleOp module, size_t stage) {
  auto plan = module->getAttrOfType<DictionaryAttr>(PipeDialect::getPlanAttrName());
  auto stages = plan ? plan.getAs<ArrayAttr>("stages") : ArrayAttr();
  auto entry = stages && stage < stages.size() ? dyn_cast<DictionaryAttr>(stages[stage]) : DictionaryAttr();
  auto seconds = entry ? entry.getAs<FloatAttr>("compute_seconds") : FloatAttr();
  double ns = seconds ? seconds.getValueAsDouble() * 1e9 : 0;
  return ns > 0 ? static_cast<int64_t>(std::min(ns, static_cast<double>(schedule::kMaxTimeNs))) : 0;
}

/// A slot size in text is not needed: only what the proof compares.
schedule::Channel readChannel(ChannelOp op, const Numbers &numbers) {
  schedule::Channel channel;
  channel.name = op.getSymName().str();
  channel.tensor = op.getTensor().value_or("").str();
  channel.type = printType(op.getType());
  channel.producer = numbers.stages.lookup(op.getProducer());
  for (auto consumer : op.getConsumers().getAsRange<FlatSymbolRefAttr>())
    channel.consumers.push_back(numbers.stages.lookup(consumer.getValue()));
  channel.delay = op.getDelay();
  channel.depth = op.getDepth().value_or(0);
  return channel;
}

/// The calls of a stage by the names that `pipe-split-stages` gave them.
std::vector<schedule::Kernel> readKernels(StageOp stage) {
  std::vector<schedule::Kernel> kernels;
  for (auto call : stage.getBody().getOps<nn::CallOp>()) {
    schedule::Kernel &kernel = kernels.emplace_back();
    auto name = call->getAttrOfType<StringAttr>("nn.kernel_name"),
         original = call->getAttrOfType<StringAttr>(kCloneOfAttr);
    auto tensors = call->getAttrOfType<ArrayAttr>(nn::kTensorsAttr);
    auto tensor = tensors && !tensors.empty() ? dyn_cast<StringAttr>(tensors.getValue().back()) : StringAttr();
    kernel.name = name ? name.str() : call.getKernel().str();
    kernel.tensor = tensor ? tensor.str() : "";
    kernel.cloneOf = original ? original.str() : "";
  }
  return kernels;
}

} // namespace

FailureOr<schedule::Problem> pipe::buildScheduleProblem(ModuleOp module, ArrayRef<int64_t> roles) {
  Numbers numbers(module);
  schedule::Problem problem;
  for (auto [i, op] : llvm::enumerate(module.getOps<StageOp>())) {
    schedule::Stage stage;
    stage.name = op.getSymName().str();
    stage.role = roles.empty() ? i : i < roles.size() ? roles[i] : -1;
    stage.timeNs = getTimeNs(module, i);
    stage.kernels = readKernels(op);
    problem.stages.push_back(stage);
  }
  if (auto kernels = module->getAttrOfType<ArrayAttr>(kKernelsAttr))
    for (auto name : kernels.getAsRange<StringAttr>())
      problem.kernels.push_back(name.str());
  if (!roles.empty() && roles.size() != problem.stages.size())
    return module.emitError() << "roles are given for " << roles.size() << " stages; the module has "
                              << problem.stages.size();
  for (ChannelOp op : module.getOps<ChannelOp>()) {
    if (op.getDelay() > INT32_MAX || op.getDepth().value_or(0) > INT32_MAX)
      return op.emitError() << "depth or delay is above " << INT32_MAX;
    problem.channels.push_back(readChannel(op, numbers));
  }
  std::string error;
  if (!schedule::check(problem, error))
    return module.emitError() << error;
  return problem;
}

FailureOr<SmallVector<int64_t>> pipe::getRoles(ModuleOp module) {
  Numbers numbers(module);
  SmallVector<int64_t> roles(llvm::range_size(module.getOps<StageOp>()), -1);
  for (auto [role, program] : llvm::enumerate(module.getOps<ProgramOp>()))
    for (auto name : program.getStages().getAsRange<FlatSymbolRefAttr>())
      roles[numbers.stages.lookup(name.getValue())] = role;
  for (auto [stage, role] : llvm::zip(module.getOps<StageOp>(), roles))
    if (role < 0)
      return stage.emitError() << "stage @" << stage.getSymName() << " is run by no pipe.program";
  return roles;
}

FailureOr<schedule::Proof> pipe::proveSchedule(ModuleOp module, const schedule::Problem &problem,
                                               const schedule::Schedule &schedule) {
  schedule::Verdict verdict = schedule::verify(problem, schedule);
  for (const std::string &fault : verdict.faults)
    module.emitError() << fault;
  if (!verdict.holds())
    return failure();
  return verdict.proof;
}

/// The steps of one region. A receive and a send are for the stage and microbatch of their run, and a copy between host
/// and device is part of its receive or send.
static std::vector<schedule::Step> readSteps(Region &region, const Numbers &numbers) {
  std::vector<schedule::Step> steps;
  for (Operation &op : region.getOps()) {
    if (isa<UploadOp, DownloadOp>(op))
      continue;
    schedule::Step &step = steps.emplace_back();
    RunOp run;
    if (auto recv = dyn_cast<RecvOp>(op)) {
      step.kind = schedule::Step::Kind::kReceive;
      step.channel = numbers.channels.lookup(recv.getChannel());
      step.type = printType(recv.getType());
      run = recv.getRun();
    } else if (auto send = dyn_cast<SendOp>(op)) {
      step.kind = schedule::Step::Kind::kSend;
      step.channel = numbers.channels.lookup(send.getChannel());
      step.type = printType(send.getValue().getType());
      run = cast<RunOp>(send.getOutput().getOwner());
    } else {
      run = cast<RunOp>(op);
    }
    step.stage = numbers.stages.lookup(run.getStage());
    step.microbatch = run.getMicrobatch();
  }
  return steps;
}

FailureOr<schedule::Schedule> pipe::readSchedule(ModuleOp module) {
  Numbers numbers(module);
  schedule::Schedule result;
  for (auto [role, op] : llvm::enumerate(module.getOps<ProgramOp>())) {
    for (Region &region : op->getRegions())
      for (auto run : region.getOps<RunOp>())
        if (run.getTask() != Task::forward)
          return run.emitError() << "task '" << stringifyTask(run.getTask())
                                 << "' cannot be proved yet; expected forward";
    schedule::Program &program = result.programs.emplace_back();
    program.role = role;
    program.period = op.getRound();
    program.firstBase = op.getBase();
    program.prologue = readSteps(op.getPrologue(), numbers);
    program.steady = readSteps(op.getSteady(), numbers);
    program.epilogue = readSteps(op.getEpilogue(), numbers);
  }
  return result;
}
