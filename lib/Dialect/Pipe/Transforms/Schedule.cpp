//===- Schedule.cpp - The program of each role, and its proof -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "penstock/Dialect/Pipe/Transforms/Passes.h"
#include "penstock/Dialect/Pipe/Transforms/ScheduleProblem.h"

#include <map>

namespace penstock::pipe {
#define GEN_PASS_DEF_SCHEDULEPASS
#include "penstock/Dialect/Pipe/Transforms/Passes.h.inc"
} // namespace penstock::pipe

using namespace mlir;
using namespace penstock;
using namespace penstock::pipe;

namespace {

/// Writes the programs of a schedule into the module.
class ProgramWriter {
public:
  ProgramWriter(ModuleOp module)
      : builder(OpBuilder::atBlockEnd(module.getBody())), loc(module.getLoc()), symbolTable(module),
        stages(llvm::to_vector(module.getOps<StageOp>())), channels(llvm::to_vector(module.getOps<ChannelOp>())) {}

  void write(const schedule::Program &program, const schedule::Problem &problem, FloatAttr period);

private:
  void writeSteps(Region &region, const std::vector<schedule::Step> &steps);

  OpBuilder builder;
  Location loc;
  SymbolTable symbolTable;
  SmallVector<StageOp> stages;
  SmallVector<ChannelOp> channels;
};

void ProgramWriter::write(const schedule::Program &program, const schedule::Problem &problem, FloatAttr period) {
  SmallVector<Attribute> names;
  for (auto [i, stage] : llvm::enumerate(problem.stages))
    if (stage.role == program.role)
      names.push_back(FlatSymbolRefAttr::get(stages[i]));
  auto op = builder.create<ProgramOp>(
      loc, builder.getStringAttr("r" + std::to_string(program.role)), builder.getArrayAttr(names),
      /*replicas=*/builder.getI64IntegerAttr(1), builder.getI64IntegerAttr(program.firstBase),
      builder.getI64IntegerAttr(program.period), period, /*sym_visibility=*/StringAttr());
  symbolTable.insert(op);
  OpBuilder::InsertionGuard guard(builder);
  writeSteps(op.getPrologue(), program.prologue);
  writeSteps(op.getSteady(), program.steady);
  writeSteps(op.getEpilogue(), program.epilogue);
}

void ProgramWriter::writeSteps(Region &region, const std::vector<schedule::Step> &steps) {
  if (steps.empty())
    return;
  builder.setInsertionPointToStart(&region.emplaceBlock());
  using Key = std::pair<int32_t, int64_t>;                 // stage or channel, microbatch
  std::map<std::pair<Key, int32_t>, Value> received, made; // by run and channel
  for (const schedule::Step &step : steps) {
    Key run = {step.stage, step.microbatch};
    StageOp stage = stages[step.stage];
    if (step.kind == schedule::Step::Kind::kReceive) {
      ChannelOp channel = channels[step.channel];
      Value message = builder.create<RecvOp>(loc, channel.getType(), channel.getSymName());
      if (isStaged(stage, channel))
        message = builder.create<UploadOp>(loc, message);
      received[{run, step.channel}] = message;
    } else if (step.kind == schedule::Step::Kind::kSend) {
      ChannelOp channel = channels[step.channel];
      Value output = made[{run, step.channel}];
      if (isStaged(stage, channel))
        output = builder.create<DownloadOp>(loc, output);
      builder.create<SendOp>(loc, output, channel.getSymName());
    } else {
      auto numberOf = [&](Attribute name) {
        return llvm::find_if(channels, [&](ChannelOp op) { return FlatSymbolRefAttr::get(op) == name; }) -
               channels.begin();
      };
      SmallVector<Value> inputs;
      for (Attribute name : stage.getReads())
        inputs.push_back(received[{run, numberOf(name)}]);
      auto op = builder.create<RunOp>(
          loc, TypeRange(stage.getReturn()->getOperandTypes()).take_front(stage.getWrites().size()), stage.getSymName(),
          inputs, step.microbatch);
      for (auto [name, output] : llvm::zip(stage.getWrites(), op.getOutputs()))
        made[{run, numberOf(name)}] = output;
    }
  }
}

struct SchedulePass : pipe::impl::SchedulePassBase<SchedulePass> {
  using SchedulePassBase::SchedulePassBase;

  void runOnOperation() override {
    if (failed(run()))
      signalPassFailure();
  }

  LogicalResult run() {
    ModuleOp module = getOperation();
    if (!module.getOps<ProgramOp>().empty())
      return verifyPrograms();
    if (module.getOps<StageOp>().empty())
      return module.emitError() << "the module has no pipe.stage; run pipe-split-stages first";
    FailureOr<schedule::Problem> problem =
        buildScheduleProblem(module, SmallVector<int64_t>(roles.begin(), roles.end()));
    if (failed(problem) || failed(limitDepths(*problem)))
      return failure();
    schedule::Schedule schedule;
    std::string error;
    if (!schedule::makeSchedule(*problem, schedule, error))
      return module.emitError() << error;
    FailureOr<FloatAttr> period = prove(*problem, schedule);
    if (failed(period))
      return failure();
    writeDepths(*problem);
    ProgramWriter writer(module);
    for (const schedule::Program &program : schedule.programs)
      writer.write(program, *problem, *period);
    return success();
  }

  LogicalResult limitDepths(schedule::Problem &problem) {
    if (maxDepth < 0)
      return getOperation().emitError() << "the most slots of a channel are " << maxDepth.getValue()
                                        << "; expected at least 1, or 0";
    for (auto [i, channel] : llvm::enumerate(problem.channels))
      if (maxDepth > 0 && channel.depth == 0)
        channel.depth = std::min<int64_t>(maxDepth, schedule::defaultDepth(problem, i));
    return success();
  }

  /// Programs written by hand (or resumed from a dump) are kept and proved.
  LogicalResult verifyPrograms() {
    FailureOr<SmallVector<int64_t>> given = getRoles(getOperation());
    if (failed(given))
      return failure();
    FailureOr<schedule::Problem> problem = buildScheduleProblem(getOperation(), *given);
    FailureOr<schedule::Schedule> schedule = readSchedule(getOperation());
    if (failed(problem) || failed(schedule))
      return failure();
    FailureOr<FloatAttr> period = prove(*problem, *schedule);
    if (failed(period))
      return failure();
    writeDepths(*problem);
    for (ProgramOp program : getOperation().getOps<ProgramOp>())
      if (*period)
        program.setPeriodAttr(*period);
    return success();
  }

  /// Period in seconds; null when no stage has a time.
  FailureOr<FloatAttr> prove(const schedule::Problem &problem, const schedule::Schedule &schedule) {
    FailureOr<schedule::Proof> proof = proveSchedule(getOperation(), problem, schedule);
    if (failed(proof))
      return failure();
    for (const schedule::DepthLoss &loss : schedule::lossOfDepths(problem, schedule))
      getOperation().emitRemark() << loss.message;
    if (proof->period.numerator == 0)
      return FloatAttr();
    return FloatAttr::get(Float64Type::get(&getContext()), proof->period.ns() * 1e-9);
  }

  void writeDepths(const schedule::Problem &problem) {
    for (auto [i, channel] : llvm::enumerate(getOperation().getOps<ChannelOp>()))
      channel.setDepth(schedule::depthOf(problem, i));
  }
};

} // namespace
