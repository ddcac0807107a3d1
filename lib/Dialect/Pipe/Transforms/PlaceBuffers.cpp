//===- PlaceBuffers.cpp - Where each value of each stage lives -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "penstock/Dialect/Pipe/Transforms/Passes.h"

#include "Bounds.h"
#include "RoleMemory.h"

#include "penstock/Place/Planner.h"

#include "llvm/ADT/SetVector.h"

namespace penstock::pipe {
#define GEN_PASS_DEF_PLACEBUFFERSPASS
#include "penstock/Dialect/Pipe/Transforms/Passes.h.inc"
} // namespace penstock::pipe

using namespace mlir;
using namespace penstock;
using namespace penstock::pipe;

namespace {

constexpr int64_t kAlignment = 64;

/// A value in the arena of a role.
struct ArenaValue {
  nn::EmptyOp empty;
  AffineExpr bytes;
  int64_t first = 0, last = 0;
  int32_t target = -1; ///< the value whose bytes it takes over
  int64_t input = -1;  ///< the input of the call that this value is
  bool isWorkspace = false;
};

/// Storage of one role.
class RolePlacer {
public:
  RolePlacer(ProgramOp program, const SymbolTable &symbolTable, const SymbolBounds &bounds)
      : program(program), symbolTable(symbolTable), bounds(bounds), context(program.getContext()) {}

  LogicalResult place(int64_t memoryLimit, int64_t numThreads);

private:
  LogicalResult collectStage(StageOp stage);
  void addWorkspace(nn::CallOp call);
  void takeOver(nn::CallOp call);
  LogicalResult placeResult(nn::CallOp call, unsigned index, StageOp stage,
                            const DenseMap<Operation *, int64_t> &steps);
  LogicalResult placeNextState(nn::CallOp call, nn::EmptyOp empty, StageOp stage, unsigned index,
                               const DenseMap<Operation *, int64_t> &steps);
  void placeWeight(nn::LoadWeightOp load);
  LogicalResult planArena();
  LogicalResult countSlots(ArrayAttr channels, int64_t &numBytes);
  LogicalResult writeMemory(int64_t memoryLimit, int64_t numThreads);

  nn::ExtentsAttr getBytesAttr(AffineExpr bytes) { return nn::ExtentsAttr::get(context, bytes); }
  void setStorage(Operation *op, StorageAttr storage) { op->setAttr(PipeDialect::getStorageAttrName(), storage); }
  StorageAttr getStorage(StorageKind kind, FlatSymbolRefAttr symbol) {
    return StorageAttr::get(context, kind, symbol, -1, nn::ExtentsAttr(), -1, -1, -1);
  }

  ProgramOp program;
  const SymbolTable &symbolTable;
  const SymbolBounds &bounds;
  MLIRContext *context;
  std::vector<ArenaValue> values;
  DenseMap<Operation *, int32_t> valueOf; // of the nn.empty ops in the arena
  RoleMemory memory;
  SmallVector<nn::CallOp> allCalls;
  DenseMap<Attribute, int64_t> weightOffsets; // by file range, or by name
  int64_t nextStep = 0, numSlots = 0;
  place::Plan plan;
};

/// Block arguments lie in the slots of their channels; everything else is decided value by value.
LogicalResult RolePlacer::collectStage(StageOp stage) {
  SmallVector<Attribute> arguments;
  for (auto name : stage.getReads().getAsRange<FlatSymbolRefAttr>())
    arguments.push_back(getStorage(StorageKind::channel_in, name));
  for (auto name : stage.getStates().getAsRange<FlatSymbolRefAttr>()) {
    auto type = cast<RankedTensorType>(symbolTable.lookup<StateOp>(name.getValue()).getType());
    if (!type.hasStaticShape())
      return stage.emitError() << "state " << name << " has type " << type
                               << "; expected static extents, so bind its dimensions";
    memory.states += llvm::alignTo(*nn::getConstant(nn::getNumBytes(type)), kAlignment);
    arguments.push_back(getStorage(StorageKind::state, name));
  }
  stage->setAttr(PipeDialect::getStorageAttrName(), ArrayAttr::get(context, arguments));
  SmallVector<nn::CallOp> calls;
  for (Operation &op : stage.getBody().front()) {
    if (auto load = dyn_cast<nn::LoadWeightOp>(op))
      placeWeight(load);
    else if (isa<nn::ConstantOp>(op))
      setStorage(&op, getStorage(StorageKind::constant, FlatSymbolRefAttr()));
    else if (auto call = dyn_cast<nn::CallOp>(op))
      calls.push_back(call);
    else if (!isa<nn::EmptyOp, ReturnOp>(op))
      return op.emitError() << "'" << op.getName() << "' has no storage; expected only calls of kernels in a stage";
  }
  DenseMap<Operation *, int64_t> steps;
  for (nn::CallOp call : calls)
    steps[call] = nextStep++;
  llvm::append_range(allCalls, calls);
  for (nn::CallOp call : calls) {
    addWorkspace(call);
    if (call.getWorkspace())
      values.push_back({call.getWorkspace().getDefiningOp<nn::EmptyOp>(),
                        nn::getNumBytes(cast<RankedTensorType>(call.getWorkspace().getType())), steps[call],
                        steps[call], /*target=*/-1, /*input=*/-1, /*isWorkspace=*/true});
    for (unsigned i = 0; i < call.getNumResults(); ++i)
      if (failed(placeResult(call, i, stage, steps)))
        return failure();
    takeOver(call);
  }
  return success();
}

/// A kernel that works on what lies in its result before the call gets it there without a copy, if nothing else needs
/// that input any more. Otherwise the kernel copies it, with the same bits.
void RolePlacer::takeOver(nn::CallOp call) {
  auto kernel = symbolTable.lookup<nn::KernelDefOp>(call.getKernel());
  auto input = kernel->getAttrOfType<IntegerAttr>("kernel.in_place");
  if (!input)
    return;
  ++memory.numCopied;
  Value given = call.getInputs()[input.getInt()];
  auto producer = given.getDefiningOp<nn::CallOp>();
  auto result = valueOf.find(call.getOuts()[0].getDefiningOp());
  if (!producer || result == valueOf.end() || llvm::count(call.getInputs(), given) != 1)
    return;
  auto target = valueOf.find(producer.getOuts()[cast<OpResult>(given).getResultNumber()].getDefiningOp());
  ArenaValue &value = values[result->second];
  if (target == valueOf.end() || values[target->second].last > value.first ||
      values[target->second].bytes != value.bytes)
    return;
  value.target = target->second;
  value.input = input.getInt();
  --memory.numCopied;
  ++memory.numOverwritten;
}

/// Scratch storage, if the kernel asks for it and the call has none yet.
void RolePlacer::addWorkspace(nn::CallOp call) {
  auto kernel = symbolTable.lookup<nn::KernelDefOp>(call.getKernel());
  auto workspace = kernel->getAttrOfType<nn::ExtentsAttr>("kernel.workspace");
  if (!workspace || workspace.getExprs().empty() || call.getWorkspace())
    return;
  AffineExpr bytes = nn::simplifyExtent(workspace.getExprs()[0].replaceSymbols(call.getSymbols().getExprs()));
  if (nn::getConstant(bytes) == 0)
    return;
  OpBuilder builder(call);
  Value empty = builder.create<nn::EmptyOp>(call.getLoc(), nn::getTensorType(bytes, builder.getI8Type()));
  call.getWorkspaceMutable().assign(empty);
}

/// A result that leaves the stage is written into its slot; another one lives in the arena until its last reader.
LogicalResult RolePlacer::placeResult(nn::CallOp call, unsigned index, StageOp stage,
                                      const DenseMap<Operation *, int64_t> &steps) {
  auto empty = call.getOuts()[index].getDefiningOp<nn::EmptyOp>();
  if (!empty || !empty.getResult().hasOneUse())
    return call.emitError() << "result #" << index << " of the call of @" << call.getKernel()
                            << " has no storage of its own; expected an nn.empty that only this call uses";
  ArenaValue value = {empty, nn::getNumBytes(empty.getType()), steps.lookup(call), steps.lookup(call)};
  if (!value.bytes)
    return call.emitError() << "result #" << index << " has type " << empty.getType()
                            << ", which has an extent without expression";
  for (OpOperand &use : call.getResult(index).getUses()) {
    if (isa<ReturnOp>(use.getOwner()) && use.getOperandNumber() >= stage.getWrites().size()) {
      if (failed(placeNextState(call, empty, stage, use.getOperandNumber() - stage.getWrites().size(), steps)))
        return failure();
      continue;
    }
    if (auto ret = dyn_cast<ReturnOp>(use.getOwner())) {
      auto channel = cast<FlatSymbolRefAttr>(stage.getWrites()[use.getOperandNumber()]);
      if (auto known = empty->getAttrOfType<StorageAttr>(PipeDialect::getStorageAttrName());
          known && known.getKind() == StorageKind::channel_out && known.getSymbol() != channel)
        return ret.emitError() << "one value is written to " << known.getSymbol() << " and " << channel
                               << "; expected one channel with all consumers";
      setStorage(empty, getStorage(StorageKind::channel_out, channel));
    }
    value.last = std::max(value.last, steps.lookup(use.getOwner()));
  }
  auto storage = empty->getAttrOfType<StorageAttr>(PipeDialect::getStorageAttrName());
  if (!storage || (storage.getKind() != StorageKind::channel_out && storage.getKind() != StorageKind::state)) {
    valueOf[empty] = values.size();
    values.push_back(value);
  }
  return success();
}

/// The next value of a state is written over the present one, which nothing may read from then on.
LogicalResult RolePlacer::placeNextState(nn::CallOp call, nn::EmptyOp empty, StageOp stage, unsigned index,
                                         const DenseMap<Operation *, int64_t> &steps) {
  auto name = cast<FlatSymbolRefAttr>(stage.getStates()[index]);
  if (!call.getResult(0).hasOneUse())
    return call.emitError() << "the next value of state " << name << " is used elsewhere; expected a copy of its own";
  for (Operation *user : stage.getBody().getArgument(stage.getReads().size() + index).getUsers())
    if (!isa<nn::CallOp>(user) || steps.lookup(user) >= steps.lookup(call))
      return user->emitError() << "state " << name << " is read when its next value is already there";
  setStorage(empty, getStorage(StorageKind::state, name));
  return success();
}

/// Weights in the order of their first use; those that come from the same bytes of a file, in the same way, are one.
void RolePlacer::placeWeight(nn::LoadWeightOp load) {
  auto weight = symbolTable.lookup<nn::WeightOp>(load.getWeight());
  auto source = weight.getPacked() ? symbolTable.lookup<nn::WeightOp>(*weight.getPacked()) : weight;
  int64_t numBytes = weight.getStoredBytes();
  Attribute key = source.getFile() ? Attribute(*source.getFile()) : Attribute(source.getSymNameAttr());
  if (weight.getPacking())
    key = ArrayAttr::get(context, {key, *weight.getPacking()});
  auto [entry, isNew] = weightOffsets.try_emplace(key, memory.weights);
  if (isNew)
    memory.weights += llvm::alignTo(numBytes, kAlignment);
  setStorage(load, StorageAttr::get(context, StorageKind::weight, load.getWeightAttr(), entry->second,
                                    getBytesAttr(getAffineConstantExpr(numBytes, context)), -1, -1, -1));
}

/// Offsets for the arena, if every size has a bound.
LogicalResult RolePlacer::planArena() {
  place::Problem problem;
  problem.alignment = kAlignment;
  bool isPlanned = true;
  for (ArenaValue &value : values) {
    std::optional<int64_t> upper = bounds.getUpper(value.bytes);
    AffineExpr bytes = bounds.getUpperOverData(value.bytes);
    if (!bytes)
      return value.empty.emitError() << "the bytes of a value, " << nn::formatExtents(value.bytes)
                                     << ", depend on data in a way that has no bound; give one with --dim";
    value.bytes = bytes;
    if (!upper) {
      SmallVector<StringRef> free = bounds.getFree(value.bytes);
      if (free.empty())
        return value.empty.emitError() << "the bytes of a value, " << nn::formatExtents(value.bytes)
                                       << ", are not known to fit into 64 bits";
      memory.unbounded.insert(free.begin(), free.end());
      isPlanned = false;
      continue;
    }
    place::Lifetime lifetime;
    lifetime.numBytes = std::max<int64_t>(0, *upper);
    lifetime.firstUse = value.first;
    lifetime.lastUse = value.last;
    lifetime.aliasOf = value.target;
    problem.values.push_back(lifetime);
  }
  std::string error;
  if (isPlanned && !place::plan(problem, plan, error))
    return program.emitError() << "the arena of @" << program.getSymName() << " cannot be planned: " << error;
  for (auto [i, value] : llvm::enumerate(values)) {
    AffineExpr bytes = isPlanned ? getAffineConstantExpr(problem.values[i].numBytes, context) : value.bytes;
    setStorage(value.empty,
               StorageAttr::get(context, StorageKind::arena, FlatSymbolRefAttr(), isPlanned ? plan.offsets[i] : -1,
                                getBytesAttr(bytes), value.first, value.last, value.input));
  }
  return success();
}

/// The slots of some channels, all of them and for as long as the role lives.
LogicalResult RolePlacer::countSlots(ArrayAttr channels, int64_t &numBytes) {
  for (auto name : channels.getAsRange<FlatSymbolRefAttr>()) {
    auto channel = symbolTable.lookup<ChannelOp>(name.getValue());
    AffineExpr bytes = channel.getSlotBytes()->getExprs()[0];
    std::optional<int64_t> slot = nn::getConstant(bytes);
    int64_t count = channel.getDepth().value_or(1) + channel.getDelay(), all = 0;
    numSlots += count;
    if (!slot) {
      SmallVector<StringRef> free = bounds.getFree(bytes);
      memory.unbounded.insert(free.begin(), free.end());
    } else if (llvm::MulOverflow(static_cast<int64_t>(llvm::alignTo(*slot, kAlignment)), count, all) ||
               llvm::AddOverflow(numBytes, all, numBytes)) {
      return channel.emitError() << "the slots of channel @" << channel.getSymName() << " do not fit into 64 bits";
    }
  }
  return success();
}

/// The contract: what the role needs, and of which symbols it is not known.
LogicalResult RolePlacer::writeMemory(int64_t memoryLimit, int64_t numThreads) {
  for (auto name : program.getStages().getAsRange<FlatSymbolRefAttr>()) {
    auto stage = symbolTable.lookup<StageOp>(name.getValue());
    if (failed(countSlots(stage.getWrites(), memory.slots)) || failed(countSlots(stage.getReads(), memory.slotsRead)))
      return failure();
  }
  bool isPlanned = true;
  for (ArenaValue &value : values) {
    std::optional<int64_t> upper = bounds.getUpper(value.bytes);
    isPlanned &= upper.has_value();
    if (upper && value.isWorkspace)
      memory.workspaces = std::max(memory.workspaces, *upper);
  }
  memory.arena = isPlanned ? plan.numBytes : -1;
  memory.arenaLowerBound = isPlanned ? plan.lowerBound : -1;
  memory.arenaNoReuse = isPlanned ? plan.noReuse : -1;
  countRuntime(allCalls, numSlots, numThreads, symbolTable, memory);
  std::optional<int64_t> total = memory.getTotal();
  if (!total && memory.unbounded.empty())
    return program.emitError() << "the memory of @" << program.getSymName() << " does not fit into 64 bits";
  program->setAttr(PipeDialect::getMemoryAttrName(), memory.toAttr(context));
  if (memoryLimit > 0 && total && *total > memoryLimit)
    return program.emitError() << "@" << program.getSymName() << " needs " << *total << " bytes (" << memory.describe()
                               << "), " << *total - memoryLimit << " more than the limit of " << memoryLimit;
  return success();
}

LogicalResult RolePlacer::place(int64_t memoryLimit, int64_t numThreads) {
  for (auto name : program.getStages().getAsRange<FlatSymbolRefAttr>())
    if (failed(collectStage(symbolTable.lookup<StageOp>(name.getValue()))))
      return failure();
  if (failed(planArena()))
    return failure();
  return writeMemory(memoryLimit, numThreads);
}

struct PlaceBuffersPass : pipe::impl::PlaceBuffersPassBase<PlaceBuffersPass> {
  using PlaceBuffersPassBase::PlaceBuffersPassBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    SymbolTable symbolTable(module);
    SymbolBounds bounds(module);
    for (ChannelOp channel : module.getOps<ChannelOp>())
      if (failed(setSlotBytes(channel, bounds)))
        return signalPassFailure();
    for (StageOp stage : module.getOps<StageOp>())
      if (!llvm::any_of(module.getOps<ProgramOp>(), [&](ProgramOp program) {
            return llvm::is_contained(program.getStages(), FlatSymbolRefAttr::get(stage));
          })) {
        stage.emitError() << "stage @" << stage.getSymName() << " is run by no pipe.program; run pipe-schedule first";
        return signalPassFailure();
      }
    for (ProgramOp program : module.getOps<ProgramOp>())
      if (failed(RolePlacer(program, symbolTable, bounds).place(memoryLimit, numThreads)))
        return signalPassFailure();
  }

  /// Bytes of one message: the bound where there is one, else the expression.
  LogicalResult setSlotBytes(ChannelOp channel, const SymbolBounds &bounds) {
    AffineExpr bytes = nn::getNumBytes(cast<RankedTensorType>(channel.getType()));
    if (!bytes)
      return channel.emitError() << "channel @" << channel.getSymName() << " has an extent without expression";
    if (std::optional<int64_t> upper = bounds.getUpper(bytes))
      bytes = getAffineConstantExpr(std::max<int64_t>(0, *upper), &getContext());
    channel.setSlotBytesAttr(nn::ExtentsAttr::get(&getContext(), bytes));
    return success();
  }
};

} // namespace
