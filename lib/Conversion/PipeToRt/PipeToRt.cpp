//===- PipeToRt.cpp - From placed stages to calls of the runtime -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// One role after the other: first what it touches (channels, storages, steps) as tables, then its calls. The order of
// the calls is the one that the schedule's proof assumes.
//===----------------------------------------------------------------------===//
#include "penstock/Conversion/PipeToRt/PipeToRt.h"

#include "RoleTables.h"
#include "penstock/Dialect/NN/IR/DataSymbols.h"
#include "penstock/Dialect/Pipe/IR/DeviceAttrs.h"

#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SetOperations.h"

namespace penstock {
#define GEN_PASS_DEF_CONVERTPIPETORTPASS
#include "penstock/Conversion/PipeToRt/Passes.h.inc"
} // namespace penstock

using namespace mlir;
using namespace penstock;

std::string penstock::getKernelFunctionName(nn::KernelDefOp kernel) {
  auto object = kernel->getAttrOfType<StringAttr>("kernel.object");
  return object ? ("k_" + object.getValue()).str() : "";
}

namespace {

class RoleBuilder {
public:
  RoleBuilder(pipe::ProgramOp program, int64_t number, ModuleOp module, SymbolTable &table)
      : program(program), number(number), module(module), table(table), builder(module.getContext()), symbols(module),
        extents(symbols), dataSymbols(module) {}

  FailureOr<rtir::RoleOp> build(int64_t numThreads, StringRef requiredFeatures);

private:
  LogicalResult checkProgram();
  void createRole(int64_t numThreads, StringRef requiredFeatures);
  LogicalResult createChannel(FlatSymbolRefAttr name, bool isRead);
  LogicalResult createStorages();
  FailureOr<int64_t> createStorage(Value value, pipe::StorageAttr storage, StringRef name);
  FailureOr<int64_t> createArenaStorage(Value value, pipe::StorageAttr storage, StringRef name);
  LogicalResult createSteps();
  LogicalResult createCalls();
  LogicalResult createCall(nn::CallOp call, int64_t step);
  LogicalResult finishCalls();
  void findCopies();
  void learnFromMessages();
  void createSetSymbol(nn::CallOp call);
  /// Creates what could not be created yet, where everything that it needs is known now.
  void createPending();
  bool isKnown(ArrayRef<AffineExpr> exprs);

  int64_t stageNumber(FlatSymbolRefAttr name);
  nn::KernelDefOp getKernel(nn::CallOp call) { return table.lookup<nn::KernelDefOp>(call.getKernel()); }
  static std::string nameOf(nn::CallOp call);
  pipe::StorageAttr getStorageOf(Operation *op) {
    return op->getAttrOfType<pipe::StorageAttr>(pipe::PipeDialect::getStorageAttrName());
  }
  template <typename OpT, typename... Args> OpT make(Location loc, Args &&...args) {
    return builder.create<OpT>(loc, std::forward<Args>(args)...);
  }

  pipe::ProgramOp program;
  int64_t number;
  ModuleOp module;
  SymbolTable &table;
  OpBuilder builder;
  RoleSymbols symbols;
  ExtentTable extents;
  nn::DataSymbols dataSymbols;
  nn::SymbolSet known;                       // the data symbols that have values here
  SmallVector<nn::ConstraintOp> constraints; // not checked yet
  SmallVector<FlatSymbolRefAttr> writes;     // not acquired yet
  DenseSet<Attribute> uploaded, downloaded;  // channels
  pipe::StageOp stage;
  rtir::RoleOp role;
  SmallVector<nn::CallOp> calls;
  llvm::StringMap<int64_t> channels; // position in the role, by symbol
  llvm::StringMap<int64_t> states;   // storage, by symbol
  DenseMap<Value, int64_t> storages; // of block arguments, nn.empty, weights, constants and results
  SmallVector<rtir::StorageOp> storageOps;
};

} // namespace

std::string RoleBuilder::nameOf(nn::CallOp call) {
  auto name = call->getAttrOfType<StringAttr>("nn.kernel_name");
  return (name ? name.getValue() : call.getKernel()).str();
}

/// What no runtime can do yet is refused here, by name.
LogicalResult RoleBuilder::checkProgram() {
  if (program.getStages().size() != 1)
    return program.emitOpError() << "runs " << program.getStages().size()
                                 << " stages; a role of several stages cannot be emitted yet, expected 1";
  if (program.getReplicas() != 1)
    return program.emitOpError() << "has " << program.getReplicas() << " replicas; only 1 can be emitted yet";
  stage = table.lookup<pipe::StageOp>(cast<FlatSymbolRefAttr>(program.getStages()[0]).getValue());
  for (auto name : stage.getStates().getAsRange<FlatSymbolRefAttr>()) {
    auto state = table.lookup<pipe::StateOp>(name.getValue());
    if (state.getInit() || state.getPerSession())
      return state.emitOpError() << "starts as a weight or belongs to a session; neither can be emitted yet";
  }
  if (stage.getGroup())
    return stage.emitOpError() << "belongs to group '" << *stage.getGroup() << "', which cannot be emitted yet";
  auto memory = program->getAttrOfType<DictionaryAttr>(pipe::PipeDialect::getMemoryAttrName());
  if (!memory || !memory.getAs<IntegerAttr>("arena"))
    return program.emitOpError() << "has no memory plan; expected pipe-place-buffers to have run";
  for (Operation &op : stage.getBody().front().without_terminator())
    if (auto call = dyn_cast<nn::CallOp>(op))
      calls.push_back(call);
  return success();
}

int64_t RoleBuilder::stageNumber(FlatSymbolRefAttr name) {
  if (name.getValue() == pipe::PipeDialect::getSourceName())
    return -1;
  if (name.getValue() == pipe::PipeDialect::getSinkName())
    return -2;
  return table.lookup<pipe::StageOp>(name.getValue()).getStageIndex();
}

void RoleBuilder::createRole(int64_t numThreads, StringRef requiredFeatures) {
  auto memory = program->getAttrOfType<DictionaryAttr>(pipe::PipeDialect::getMemoryAttrName());
  auto model = module->getAttrOfType<StringAttr>("nn.model");
  int64_t numRoles = llvm::range_size(module.getOps<pipe::ProgramOp>());
  int64_t numStages = llvm::range_size(module.getOps<pipe::StageOp>());
  builder.clearInsertionPoint();
  role = builder.create<rtir::RoleOp>(program.getLoc(), "role_" + std::to_string(number), number, numRoles,
                                      ArrayRef<int64_t>{stage.getStageIndex()}, numStages,
                                      model ? model.getValue() : "", memory.getAs<IntegerAttr>("arena").getInt());
  role.setNumThreads(numThreads);
  role.setRequiredFeatures(requiredFeatures);
  if (auto device = stage->getAttrOfType<StringAttr>(pipe::kDeviceAttr)) {
    role.setDeviceAttr(device);
    auto isEarlier = [&](pipe::StageOp other) {
      return other->getAttr(pipe::kDeviceAttr) == device && other.getStageIndex() < stage.getStageIndex();
    };
    role.setDeviceNumber(llvm::count_if(module.getOps<pipe::StageOp>(), isEarlier));
  }
  builder.setInsertionPointToEnd(&role.getBody().front());
  symbols.create(builder);
}

LogicalResult RoleBuilder::createChannel(FlatSymbolRefAttr name, bool isRead) {
  auto channel = table.lookup<pipe::ChannelOp>(name.getValue());
  if (channel.getDelay() != 0 || channel.getPerSession())
    return channel.emitOpError() << "has a delay or belongs to a session; neither can be emitted yet";
  if (!channel.getDepth() || !channel.getSlotBytes())
    return channel.emitOpError()
           << "has no depth or no slot bytes; expected pipe-schedule and pipe-place-buffers to have run";
  auto type = cast<RankedTensorType>(channel.getType());
  if (!rtir::getRuntimeType(type.getElementType()))
    return channel.emitOpError() << "carries elements of type " << type.getElementType()
                                 << ", which the runtime does not know";
  SmallVector<int64_t> dims, consumers;
  for (AffineExpr extent : nn::getExtents(type))
    dims.push_back(extents.refer(extent));
  for (auto consumer : channel.getConsumers().getAsRange<FlatSymbolRefAttr>())
    consumers.push_back(stageNumber(consumer));
  int64_t id = 0;
  for (auto other : module.getOps<pipe::ChannelOp>()) {
    if (other == channel)
      break;
    ++id;
  }
  std::optional<int64_t> slotBytes = nn::getConstant(channel.getSlotBytes()->getExprs()[0]);
  IntegerAttr consumer;
  if (isRead)
    consumer = builder.getI64IntegerAttr(channel.getConsumerIndex(stage.getSymName()));
  auto i64 = [&](int64_t value) { return builder.getI64IntegerAttr(value); };
  channels[channel.getSymName()] = channels.size();
  make<rtir::ChannelOp>(channel.getLoc(), channel.getSymNameAttr(), i64(id),
                        builder.getStringAttr(channel.getTensor().value_or(channel.getSymName())),
                        TypeAttr::get(type.getElementType()), builder.getDenseI64ArrayAttr(dims),
                        i64(stageNumber(channel.getProducerAttr())), builder.getDenseI64ArrayAttr(consumers),
                        i64(*channel.getDepth()), i64(slotBytes.value_or(-1)), consumer,
                        isRead ? UnitAttr() : builder.getUnitAttr(),
                        channel->getAttrOfType<StringAttr>(pipe::kCarrierAttr), StringAttr());
  return success();
}

FailureOr<int64_t> RoleBuilder::createStorage(Value value, pipe::StorageAttr storage, StringRef name) {
  auto type = cast<RankedTensorType>(value.getType());
  if (!storage)
    return emitError(value.getLoc()) << "value '" << name
                                     << "' has no storage; expected pipe-place-buffers to have run";
  if (storage.getKind() == pipe::StorageKind::arena)
    return createArenaStorage(value, storage, name);
  // The present and the next value of a state are one storage.
  if (storage.getKind() == pipe::StorageKind::state)
    if (auto kept = states.find(storage.getSymbol().getValue()); kept != states.end())
      return kept->second;
  // The kinds have the same numbers in both dialects.
  auto op =
      make<rtir::StorageOp>(value.getLoc(), storageOps.size(), static_cast<rtir::StorageKind>(storage.getKind()), name);
  // A packed weight has bytes of its own.
  bool isStored = storage.getKind() == pipe::StorageKind::weight && storage.getBytes();
  op.setNumBytes(extents.refer(isStored ? storage.getBytes().getExprs()[0] : nn::getNumBytes(type)));
  if (storage.getKind() == pipe::StorageKind::weight)
    op.setWeightAttr(storage.getSymbol());
  else if (storage.getKind() == pipe::StorageKind::constant)
    op.setValueAttr(value.getDefiningOp<nn::ConstantOp>().getValueAttr());
  else if (storage.getKind() == pipe::StorageKind::state)
    states[storage.getSymbol().getValue()] = storageOps.size();
  else if (auto found = channels.find(storage.getSymbol().getValue()); found != channels.end())
    op.setChannel(found->second);
  else
    return emitError(value.getLoc()) << "value '" << name << "' lies in channel " << storage.getSymbol()
                                     << ", which the stage does not touch";
  storageOps.push_back(op);
  return storageOps.size() - 1;
}

FailureOr<int64_t> RoleBuilder::createArenaStorage(Value value, pipe::StorageAttr storage, StringRef name) {
  if (!storage.getBytes() || storage.getBytes().getExprs().size() != 1)
    return emitError(value.getLoc()) << "value '" << name << "' has storage in the arena without its bytes";
  // Where the arena is planned at run time, taking over an input's bytes means being the same storage for longer.
  if (storage.getAlias() >= 0 && storage.getOffset() == -1) {
    auto call = cast<nn::CallOp>(*value.user_begin());
    if (storage.getAlias() >= static_cast<int64_t>(call.getInputs().size()))
      return emitError(value.getLoc()) << "value '" << name << "' takes over input " << storage.getAlias()
                                       << " of a call of " << call.getInputs().size() << " inputs";
    int64_t shared = storages.lookup(call.getInputs()[storage.getAlias()]);
    rtir::StorageOp op = storageOps[shared];
    op.setLast(std::max<int64_t>(op.getLast(), storage.getLast()));
    return shared;
  }
  auto op = make<rtir::StorageOp>(value.getLoc(), storageOps.size(), rtir::StorageKind::arena, name);
  op.setOffset(storage.getOffset());
  op.setNumBytes(extents.refer(storage.getBytes().getExprs()[0]));
  op.setFirst(storage.getFirst());
  op.setLast(storage.getLast());
  storageOps.push_back(op);
  return storageOps.size() - 1;
}

/// Block arguments first, then weights, constants and results in the order of the body.
LogicalResult RoleBuilder::createStorages() {
  auto add = [&](Value value, pipe::StorageAttr storage, StringRef name) -> LogicalResult {
    FailureOr<int64_t> index = createStorage(value, storage, name);
    if (failed(index))
      return failure();
    storages[value] = *index;
    return success();
  };
  Block &body = stage.getBody().front();
  auto arguments = stage->getAttrOfType<ArrayAttr>(pipe::PipeDialect::getStorageAttrName());
  for (BlockArgument argument : body.getArguments()) {
    unsigned i = argument.getArgNumber();
    auto storage = arguments && i < arguments.size() ? dyn_cast<pipe::StorageAttr>(arguments[i]) : pipe::StorageAttr();
    size_t numReads = stage.getReads().size();
    Attribute source = i < numReads ? stage.getReads()[i] : stage.getStates()[i - numReads];
    if (failed(add(argument, storage, cast<FlatSymbolRefAttr>(source).getValue())))
      return failure();
  }
  for (Operation &op : body.without_terminator()) {
    if (auto call = dyn_cast<nn::CallOp>(op)) {
      for (auto [result, out] : llvm::zip(call.getResults(), call.getOuts()))
        storages[result] = storages.lookup(out);
      continue;
    }
    std::string name;
    if (auto load = dyn_cast<nn::LoadWeightOp>(op))
      name = load.getWeight().str();
    else if (isa<nn::ConstantOp>(op))
      name = "constant";
    else if (isa<nn::EmptyOp>(op) && !op.use_empty())
      name = nameOf(cast<nn::CallOp>(*op.user_begin()));
    else if (!isa<nn::EmptyOp>(op))
      return op.emitOpError() << "cannot be emitted; expected calls of kernels, storage, weights and constants";
    if (!op.use_empty() && failed(add(op.getResult(0), getStorageOf(&op), name)))
      return failure();
  }
  return success();
}

LogicalResult RoleBuilder::createSteps() {
  for (auto [i, call] : llvm::enumerate(calls)) {
    std::string function = getKernelFunctionName(getKernel(call));
    if (function.empty())
      return call.emitOpError() << "calls kernel '" << call.getKernel()
                                << "', which has no object; expected the kernels to be compiled";
    SmallVector<int64_t> results;
    for (Value result : call.getResults())
      results.push_back(storages.lookup(result));
    make<rtir::StepOp>(call.getLoc(), i, nameOf(call), function, results);
  }
  return success();
}

/// The header of a message has the values that its stage knew when it was sent: those that the payload's extents need,
/// and the one that the payload is.
void RoleBuilder::learnFromMessages() {
  for (auto read : stage.getReads().getAsRange<FlatSymbolRefAttr>()) {
    auto channel = table.lookup<pipe::ChannelOp>(read.getValue());
    dataSymbols.collect(channel.getType(), known);
    auto producer = table.lookup<pipe::StageOp>(channel.getProducer());
    for (int64_t i = 0; producer && i < static_cast<int64_t>(producer.getWrites().size()); ++i)
      if (auto call = producer.getWritten(i).getDefiningOp<nn::CallOp>();
          call && producer.getWrites()[i] == read && call.getDefines())
        known.insert(dataSymbols.getIndex(*call.getDefines()));
  }
}

bool RoleBuilder::isKnown(ArrayRef<AffineExpr> exprs) {
  nn::SymbolSet needed;
  for (AffineExpr expr : exprs)
    dataSymbols.collect(expr, needed);
  return llvm::set_is_subset(needed, known);
}

void RoleBuilder::createPending() {
  llvm::erase_if(constraints, [&](nn::ConstraintOp constraint) {
    ArrayRef<AffineExpr> exprs = constraint.getExprs().getExprs();
    if (!isKnown(exprs))
      return false;
    int64_t lhs = extents.position(exprs[0]), rhs = extents.position(exprs[1]);
    if (lhs != rhs)
      make<rtir::CheckOp>(constraint.getLoc(), lhs, rhs, constraint.getReason());
    return true;
  });
  llvm::erase_if(writes, [&](FlatSymbolRefAttr write) {
    auto type = cast<RankedTensorType>(table.lookup<pipe::ChannelOp>(write.getValue()).getType());
    if (!isKnown(nn::getExtents(type)))
      return false;
    make<rtir::AcquireOp>(program.getLoc(), write);
    return true;
  });
}

void RoleBuilder::createSetSymbol(nn::CallOp call) {
  auto symbol = table.lookup<nn::SymbolOp>(*call.getDefines());
  IntegerAttr bound;
  if (symbol.getExprs() && !symbol.getExprs()->getExprs().empty())
    bound = builder.getI64IntegerAttr(extents.position(symbol.getExprs()->getExprs()[0]));
  auto name = dyn_cast<NameLoc>(call.getLoc());
  make<rtir::SetSymbolOp>(call.getLoc(), symbol.getSymNameAttr(),
                          builder.getI64IntegerAttr(storages.lookup(call.getOuts()[0])),
                          builder.getI64IntegerAttr(symbol.getLower().value_or(0)), symbol.getUpperAttr(), bound,
                          name ? name.getName() : builder.getStringAttr(nameOf(call)));
  known.insert(symbol.getIndex());
}

LogicalResult RoleBuilder::createCall(nn::CallOp call, int64_t step) {
  if (!isKnown(call.getSymbols().getExprs()))
    return call.emitOpError() << "needs an extent that a kernel finds, and comes before it is known in stage @"
                              << stage.getSymName();
  SmallVector<int64_t> buffers;
  for (Value value : call.getInputs())
    buffers.push_back(storages.lookup(value));
  for (Value value : call.getOuts())
    buffers.push_back(storages.lookup(value));
  if (call.getWorkspace())
    buffers.push_back(storages.lookup(call.getWorkspace()));
  make<rtir::KernelCallOp>(call.getLoc(), getKernelFunctionName(getKernel(call)), buffers,
                           extents.sequence(call.getSymbols().getExprs()));
  make<rtir::DoneOp>(call.getLoc(), step);
  if (call.getDefines())
    createSetSymbol(call);
  return success();
}

LogicalResult RoleBuilder::createCalls() {
  Location loc = program.getLoc();
  auto body = make<rtir::ProgramOp>(loc);
  builder.setInsertionPointToEnd(&body.getBody().emplaceBlock());
  make<rtir::BeginOp>(loc);
  findCopies();
  for (auto read : stage.getReads().getAsRange<FlatSymbolRefAttr>()) {
    make<rtir::WaitOp>(loc, read);
    if (uploaded.contains(read))
      make<rtir::UploadOp>(loc, read);
  }
  make<rtir::BindOp>(loc);
  learnFromMessages();
  llvm::append_range(constraints, module.getOps<nn::ConstraintOp>());
  llvm::append_range(writes, stage.getWrites().getAsRange<FlatSymbolRefAttr>());
  createPending();
  return finishCalls();
}

/// The channels whose messages the program copies between host and device. Its verifier has seen to it that a copy
/// stands beside its receive or send, and that all parts of the program have the same.
void RoleBuilder::findCopies() {
  for (auto upload : program.getSteady().getOps<pipe::UploadOp>())
    uploaded.insert(upload.getValue().getDefiningOp<pipe::RecvOp>().getChannelAttr());
  for (auto download : program.getSteady().getOps<pipe::DownloadOp>())
    downloaded.insert(cast<pipe::SendOp>(*download.getResult().user_begin()).getChannelAttr());
}

/// The calls of the kernels, each followed by what may happen after it.
LogicalResult RoleBuilder::finishCalls() {
  llvm::MapVector<Operation *, SmallVector<FlatSymbolRefAttr>> published, released;
  Block &body = stage.getBody().front();
  for (auto [i, write] : llvm::enumerate(stage.getWrites().getAsRange<FlatSymbolRefAttr>())) {
    auto call = stage.getWritten(i).getDefiningOp<nn::CallOp>();
    if (!call || storageOps[storages.lookup(stage.getWritten(i))].getKind() != rtir::StorageKind::channel_out)
      return stage.emitOpError() << "writes to channel " << write << " what no kernel makes there";
    published[call].push_back(write);
  }
  for (auto [argument, read] : llvm::zip(body.getArguments(), stage.getReads().getAsRange<FlatSymbolRefAttr>())) {
    Operation *last = nullptr;
    for (Operation *user : argument.getUsers())
      if (!last || last->isBeforeInBlock(user))
        last = user;
    if (!last) // Read by nothing, such as a message that only starts the stage.
      make<rtir::ReleaseOp>(program.getLoc(), read);
    released[last].push_back(read);
  }
  for (auto [step, call] : llvm::enumerate(calls)) {
    if (failed(createCall(call, step)))
      return failure();
    createPending();
    for (FlatSymbolRefAttr channel : published.lookup(call)) {
      if (downloaded.contains(channel))
        make<rtir::DownloadOp>(call.getLoc(), channel);
      make<rtir::PublishOp>(call.getLoc(), channel);
    }
    for (FlatSymbolRefAttr channel : released.lookup(call))
      make<rtir::ReleaseOp>(call.getLoc(), channel);
  }
  make<rtir::EndOp>(program.getLoc());
  return success();
}

FailureOr<rtir::RoleOp> RoleBuilder::build(int64_t numThreads, StringRef requiredFeatures) {
  if (failed(checkProgram()))
    return failure();
  createRole(numThreads, requiredFeatures);
  OwningOpRef<rtir::RoleOp> owner(role);
  for (auto name : stage.getReads().getAsRange<FlatSymbolRefAttr>())
    if (failed(createChannel(name, /*isRead=*/true)))
      return failure();
  for (auto name : stage.getWrites().getAsRange<FlatSymbolRefAttr>())
    if (failed(createChannel(name, /*isRead=*/false)))
      return failure();
  if (failed(createStorages()) || failed(createSteps()) || failed(createCalls()))
    return failure();
  role.setExtents(extents.getMap(builder.getContext()));
  if (llvm::any_of(storageOps, [](rtir::StorageOp op) { return op.getKind() == rtir::StorageKind::weight; }))
    role.setWeightsFile("stage-" + std::to_string(number) + ".weights");
  return owner.release();
}

namespace {
struct ConvertPipeToRtPass : penstock::impl::ConvertPipeToRtPassBase<ConvertPipeToRtPass> {
  using ConvertPipeToRtPassBase::ConvertPipeToRtPassBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    SymbolTable table(module);
    for (auto [number, program] : llvm::enumerate(llvm::to_vector(module.getOps<pipe::ProgramOp>()))) {
      FailureOr<rtir::RoleOp> role = RoleBuilder(program, number, module, table).build(numThreads, requiredFeatures);
      if (failed(role))
        return signalPassFailure();
      table.insert(*role, module.getBody()->end());
    }
  }
};
} // namespace
