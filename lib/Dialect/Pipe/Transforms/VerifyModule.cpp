//===- VerifyModule.cpp - What must hold after schedule and place -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "penstock/Dialect/Pipe/Transforms/Passes.h"
#include "penstock/Dialect/Pipe/Transforms/ScheduleProblem.h"
#include "penstock/Dialect/Pipe/Transforms/Verification.h"

#include "Bounds.h"

#include "penstock/Place/Planner.h"

#include <deque>

namespace penstock::pipe {
#define GEN_PASS_DEF_VERIFYPLACEMENTPASS
#define GEN_PASS_DEF_VERIFYSCHEDULEPASS
#include "penstock/Dialect/Pipe/Transforms/Passes.h.inc"
} // namespace penstock::pipe

using namespace mlir;
using namespace penstock;
using namespace penstock::pipe;

LogicalResult pipe::verifySchedule(ModuleOp module) {
  for (ChannelOp channel : module.getOps<ChannelOp>())
    if (!channel.getDepth())
      return channel.emitError() << "channel @" << channel.getSymName() << " has no depth; expected one after schedule";
  FailureOr<SmallVector<int64_t>> roles = getRoles(module);
  if (failed(roles))
    return failure();
  FailureOr<schedule::Problem> problem = buildScheduleProblem(module, *roles);
  FailureOr<schedule::Schedule> schedule = readSchedule(module);
  if (failed(problem) || failed(schedule))
    return failure();
  return proveSchedule(module, *problem, *schedule);
}

namespace {

/// The storages of one role, as they are written down.
class PlacementChecker {
public:
  PlacementChecker(ProgramOp program, const SymbolTable &symbolTable, const SymbolBounds &bounds)
      : program(program), symbolTable(symbolTable), bounds(bounds) {}

  LogicalResult check();

private:
  LogicalResult checkStage(StageOp stage);
  LogicalResult checkArguments(StageOp stage);
  LogicalResult checkWeight(nn::LoadWeightOp load, StorageAttr storage);
  LogicalResult checkEmpty(nn::EmptyOp empty, StorageAttr storage, StageOp stage);
  LogicalResult checkReturned(StageOp stage);
  LogicalResult checkArena();

  ProgramOp program;
  const SymbolTable &symbolTable;
  const SymbolBounds &bounds;
  DenseMap<Operation *, int64_t> steps;
  place::Problem problem;
  place::Plan plan;
  std::deque<std::string> names;          // of what is in the arena, for messages
  DenseMap<Operation *, int32_t> numbers; // of what is in the arena
  int64_t nextStep = 0, numAtRunTime = 0;
};

StorageAttr getStorage(Operation *op) { return op->getAttrOfType<StorageAttr>(PipeDialect::getStorageAttrName()); }

LogicalResult PlacementChecker::checkArguments(StageOp stage) {
  auto storages = stage->getAttrOfType<ArrayAttr>(PipeDialect::getStorageAttrName());
  size_t numReads = stage.getReads().size();
  if (!storages || storages.size() != stage.getBody().getNumArguments())
    return stage.emitError() << "stage @" << stage.getSymName() << " has no storage for each argument";
  for (auto [i, attribute] : llvm::enumerate(storages)) {
    auto storage = dyn_cast<StorageAttr>(attribute);
    StorageKind kind = i < numReads ? StorageKind::channel_in : StorageKind::state;
    Attribute symbol = i < numReads ? stage.getReads()[i] : stage.getStates()[i - numReads];
    if (!storage || storage.getKind() != kind || storage.getSymbol() != symbol)
      return stage.emitError() << "argument #" << i << " of stage @" << stage.getSymName() << " is not in "
                               << stringifyStorageKind(kind) << " " << symbol;
  }
  return success();
}

LogicalResult PlacementChecker::checkWeight(nn::LoadWeightOp load, StorageAttr storage) {
  if (storage.getKind() != StorageKind::weight || storage.getSymbol() != load.getWeightAttr() ||
      storage.getOffset() % problem.alignment != 0)
    return load.emitError() << "weight " << load.getWeightAttr() << " has storage " << storage
                            << "; expected an aligned offset in the weights file";
  return success();
}

/// Long enough for the call that fills it and for all that read the result, and large enough for the bound.
LogicalResult PlacementChecker::checkEmpty(nn::EmptyOp empty, StorageAttr storage, StageOp stage) {
  if (storage.getKind() != StorageKind::arena)
    return success(); // Checked from the return.
  auto call = dyn_cast<nn::CallOp>(*empty->user_begin());
  if (!call || !empty.getResult().hasOneUse())
    return empty.emitError() << "storage is used by more than one call";
  int64_t first = steps.lookup(call), last = first;
  if (call.getWorkspace() != empty.getResult())
    for (Operation *user :
         call.getResult(llvm::find(call.getOuts(), empty.getResult()) - call.getOuts().begin()).getUsers())
      last = std::max(last, steps.lookup(user));
  if (storage.getFirst() > first || storage.getLast() < last)
    return empty.emitError() << "storage is held from step " << storage.getFirst() << " to " << storage.getLast()
                             << " but used from " << first << " to " << last;
  AffineExpr bytes = bounds.getUpperOverData(nn::getNumBytes(empty.getType()));
  if (!bytes)
    return empty.emitError() << "storage of " << empty.getType() << " depends on data in a way that has no bound";
  std::optional<int64_t> needed = bounds.getUpper(nn::getNumBytes(empty.getType())),
                         given = nn::getConstant(storage.getBytes().getExprs()[0]);
  numAtRunTime += storage.getOffset() == -1;
  if (storage.getOffset() == -1) {
    if (storage.getBytes().getExprs()[0] != bytes && (!needed || !given || *given < *needed))
      return empty.emitError() << "storage has " << storage.getBytes() << " bytes; expected "
                               << nn::formatExtents(bytes);
  } else if (!needed || !given || *given < *needed) {
    return empty.emitError() << "storage at a fixed offset has " << storage.getBytes()
                             << " bytes; expected the bound of " << nn::formatExtents(bytes);
  }
  place::Lifetime lifetime;
  lifetime.numBytes = given.value_or(0);
  lifetime.firstUse = storage.getFirst();
  lifetime.lastUse = storage.getLast();
  auto name = call->getAttrOfType<StringAttr>("nn.kernel_name");
  lifetime.name = names.emplace_back(name ? name.str() : call.getKernel().str()).c_str();
  if (storage.getAlias() >= 0) {
    auto kernel = symbolTable.lookup<nn::KernelDefOp>(call.getKernel());
    auto allowed = kernel ? kernel->getAttrOfType<IntegerAttr>("kernel.in_place") : IntegerAttr();
    if (!allowed || allowed.getInt() != storage.getAlias() || call.getOuts()[0] != empty.getResult())
      return empty.emitError() << "storage takes over input " << storage.getAlias() << ", but kernel @"
                               << call.getKernel() << " does not work in place on it";
    auto input = storage.getAlias() < static_cast<int64_t>(call.getInputs().size())
                     ? call.getInputs()[storage.getAlias()].getDefiningOp<nn::CallOp>()
                     : nn::CallOp();
    unsigned index = input ? cast<OpResult>(call.getInputs()[storage.getAlias()]).getResultNumber() : 0;
    auto target = input ? numbers.find(input.getOuts()[index].getDefiningOp()) : numbers.end();
    if (target == numbers.end())
      return empty.emitError() << "storage takes over input " << storage.getAlias() << ", which is not in the arena";
    lifetime.aliasOf = target->second;
  }
  numbers[empty] = problem.values.size();
  problem.values.push_back(lifetime);
  plan.offsets.push_back(storage.getOffset());
  return success();
}

/// What leaves the stage, and what it keeps, is written where it belongs.
LogicalResult PlacementChecker::checkReturned(StageOp stage) {
  size_t numWrites = stage.getWrites().size();
  for (auto [i, value] : llvm::enumerate(stage.getReturn()->getOperands())) {
    auto call = value.getDefiningOp<nn::CallOp>();
    Operation *out = call ? call.getOuts()[cast<OpResult>(value).getResultNumber()].getDefiningOp() : nullptr;
    StorageAttr storage = out ? getStorage(out) : StorageAttr();
    StorageKind kind = i < numWrites ? StorageKind::channel_out : StorageKind::state;
    Attribute symbol = i < numWrites ? stage.getWrites()[i] : stage.getStates()[i - numWrites];
    if (!storage || storage.getKind() != kind || storage.getSymbol() != symbol)
      return stage.emitError() << "result #" << i << " of stage @" << stage.getSymName() << " is not written to "
                               << stringifyStorageKind(kind) << " " << symbol;
  }
  return success();
}

LogicalResult PlacementChecker::checkStage(StageOp stage) {
  if (failed(checkArguments(stage)))
    return failure();
  for (Operation &op : stage.getBody().front())
    if (isa<nn::CallOp>(op))
      steps[&op] = nextStep++;
  for (Operation &op : stage.getBody().front().without_terminator()) {
    if (isa<nn::CallOp>(op) || op.use_empty())
      continue;
    StorageAttr storage = getStorage(&op);
    if (!storage)
      return op.emitError() << "'" << op.getName() << "' has no storage; expected one for every value after place";
    auto load = dyn_cast<nn::LoadWeightOp>(op);
    auto empty = dyn_cast<nn::EmptyOp>(op);
    if ((load && failed(checkWeight(load, storage))) || (empty && failed(checkEmpty(empty, storage, stage))))
      return failure();
    if (isa<nn::ConstantOp>(op) && storage.getKind() != StorageKind::constant)
      return op.emitError() << "a constant has storage " << storage;
  }
  return checkReturned(stage);
}

LogicalResult PlacementChecker::checkArena() {
  auto memory = program->getAttrOfType<DictionaryAttr>(PipeDialect::getMemoryAttrName());
  auto arena = memory ? memory.getAs<IntegerAttr>("arena") : IntegerAttr();
  if (!arena)
    return program.emitError() << "@" << program.getSymName() << " has no " << PipeDialect::getMemoryAttrName()
                               << " with its arena";
  bool isAtRunTime = arena.getInt() == -1;
  if (isAtRunTime != (numAtRunTime > 0) || (isAtRunTime && numAtRunTime != static_cast<int64_t>(problem.values.size())))
    return program.emitError() << "@" << program.getSymName() << " has an arena of " << arena.getInt() << " bytes and "
                               << numAtRunTime << " of " << problem.values.size()
                               << " values that are placed at run time; expected all of them or none";
  if (isAtRunTime)
    return success();
  plan.numBytes = arena.getInt();
  std::string error;
  if (!place::check(problem, error) || !place::verify(problem, plan, error))
    return program.emitError() << "the arena of @" << program.getSymName() << " is wrong: " << error;
  return success();
}

LogicalResult PlacementChecker::check() {
  for (auto name : program.getStages().getAsRange<FlatSymbolRefAttr>())
    if (failed(checkStage(symbolTable.lookup<StageOp>(name.getValue()))))
      return failure();
  return checkArena();
}

struct VerifySchedulePass : pipe::impl::VerifySchedulePassBase<VerifySchedulePass> {
  void runOnOperation() override {
    if (failed(verifySchedule(getOperation())))
      signalPassFailure();
  }
};

struct VerifyPlacementPass : pipe::impl::VerifyPlacementPassBase<VerifyPlacementPass> {
  void runOnOperation() override {
    if (failed(verifyPlacement(getOperation())))
      signalPassFailure();
  }
};

} // namespace

LogicalResult pipe::verifyPlacement(ModuleOp module) {
  SymbolTable symbolTable(module);
  SymbolBounds bounds(module);
  for (ChannelOp channel : module.getOps<ChannelOp>())
    if (!channel.getSlotBytes())
      return channel.emitError() << "channel @" << channel.getSymName()
                                 << " has no slot_bytes; expected them after place";
  for (ProgramOp program : module.getOps<ProgramOp>())
    if (failed(PlacementChecker(program, symbolTable, bounds).check()))
      return failure();
  return success();
}
