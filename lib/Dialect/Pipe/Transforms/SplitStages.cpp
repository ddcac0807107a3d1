//===- SplitStages.cpp - Pure stages joined by channels -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "penstock/Dialect/Pipe/Transforms/PartitionProblem.h"
#include "penstock/Dialect/Pipe/Transforms/Passes.h"

#include "KernelOutliner.h"
#include "StageGraph.h"

#include "penstock/Dialect/NN/Transforms/Passes.h"

#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/StringSet.h"
#include <set>

namespace penstock::pipe {
#define GEN_PASS_DEF_SPLITSTAGESPASS
#include "penstock/Dialect/Pipe/Transforms/Passes.h.inc"
} // namespace penstock::pipe

using namespace mlir;
using namespace penstock;
using namespace penstock::pipe;

namespace {

constexpr int64_t kSource = -1;

/// A value that leaves its stage.
struct Crossing {
  std::string name, tensor;
  Type type;
  int64_t producer = kSource;
  std::set<int64_t> consumers;
  bool toSink = false;
  bool isControl = false;
};

/// A value that a stage keeps. `next` is what `@main` returns for it.
struct KeptState {
  std::string name;
  BlockArgument current;
  unsigned output;
  int64_t stage;
};

/// The stages of one module, from annotations to ops.
class Splitter {
public:
  Splitter(ModuleOp module, func::FuncOp entry)
      : module(module), entry(entry), symbolTable(module), builder(entry), outliner(symbolTable, entry) {}

  LogicalResult readStages();
  LogicalResult readStates();
  void copyStates();
  void listKernels();
  void findCrossings();
  void createGraph();
  void createStages();
  void eraseEntry() { symbolTable.erase(entry); }

  bool isState(BlockArgument argument) {
    return llvm::any_of(states, [&](const KeptState &state) { return state.current == argument; });
  }
  bool isStateOutput(unsigned output) {
    return llvm::any_of(states, [&](const KeptState &state) { return state.output == output; });
  }
  int64_t getNumChannels() const { return crossings.size(); }
  int64_t numCalls = 0;

private:
  std::string makeName(StringRef wanted);
  std::string makeKernelName(std::string wanted);
  void addCrossing(Value value, int64_t producer, StringRef name, StringRef tensor);
  void createStage(int64_t stage);
  Value getValueIn(Value value, int64_t stage, IRMapping &values);
  void createCall(nn::KernelOp kernel, int64_t stage, IRMapping &values);
  FlatSymbolRefAttr getStageRef(int64_t stage) {
    return FlatSymbolRefAttr::get(module.getContext(), stageNames[stage]);
  }

  ModuleOp module;
  func::FuncOp entry;
  SymbolTable symbolTable;
  OpBuilder builder;
  KernelOutliner outliner;
  llvm::StringSet<> reserved;
  SmallVector<nn::KernelOp> kernels;
  DenseMap<Operation *, int64_t> stageOf;
  DenseMap<Operation *, OutlinedKernel> outlinedKernels;
  SmallVector<std::string> stageNames;
  llvm::MapVector<Value, Crossing> crossings;
  SmallVector<Crossing> controls;
  SmallVector<KeptState> states;
  unsigned numNamed = 0;
};

/// Stages from the annotations: 0, 1, ... without a gap, and no value flows back.
LogicalResult Splitter::readStages() {
  kernels = getKernels(entry);
  if (kernels.empty())
    return entry.emitError() << "the model has no kernel; expected at least one";
  std::set<int64_t> used;
  for (nn::KernelOp kernel : kernels) {
    auto stage = kernel->getAttrOfType<IntegerAttr>(PipeDialect::getStageIdAttrName());
    if (!stage || stage.getInt() < 0)
      return kernel.emitError() << "kernel '" << kernel.getName() << "' has no stage; expected the attribute "
                                << PipeDialect::getStageIdAttrName() << " with a number of at least 0";
    stageOf[kernel] = stage.getInt();
    used.insert(stage.getInt());
    for (auto [i, input] : llvm::enumerate(kernel.getInputs())) {
      auto producer = input.getDefiningOp<nn::KernelOp>();
      if (!producer || stageOf[producer] <= stage.getInt())
        continue;
      InFlightDiagnostic diag = kernel.emitError()
                                << "kernel '" << kernel.getName() << "' is in stage " << stage.getInt()
                                << " but operand #" << i << " comes from stage " << stageOf[producer]
                                << "; expected stage " << stageOf[producer] << " or later";
      diag.attachNote(producer.getLoc()) << "made here, in stage " << stageOf[producer];
      return diag;
    }
  }
  for (int64_t stage = 0; stage <= *used.rbegin(); ++stage) {
    if (!used.count(stage))
      return entry.emitError() << "stage " << stage << " has no kernel but stage " << *used.rbegin()
                               << " has; expected stages 0, 1, ... without a gap";
    stageNames.push_back(makeName("s" + std::to_string(stage)));
  }
  return success();
}

/// Every state lies in one stage: that of the kernels that read it and of the one that makes its next value.
LogicalResult Splitter::readStates() {
  FailureOr<SmallVector<StateEdge>> edges = getStates(entry);
  if (failed(edges))
    return failure();
  auto ret = cast<func::ReturnOp>(entry.getBody().front().getTerminator());
  for (StateEdge edge : *edges) {
    BlockArgument current = entry.getArgument(edge.input);
    int64_t stage = stageOf[ret.getOperand(edge.output).getDefiningOp()];
    for (Operation *user : current.getUsers())
      if (stageOf[user] != stage)
        return user->emitError() << "state '" << getInputName(entry, edge.input) << "' is read in stage "
                                 << stageOf[user] << " but made in stage " << stage << "; expected one stage";
    states.push_back({makeName(getInputName(entry, edge.input)), current, edge.output, stage});
  }
  return success();
}

/// The next value is copied by a kernel of its own, the last of its stage, when nothing reads the present one any more.
void Splitter::copyStates() {
  auto ret = cast<func::ReturnOp>(entry.getBody().front().getTerminator());
  for (const KeptState &state : states) {
    nn::KernelOp copy = createCopy(ret, state.output, makeKernelName("state_" + state.name));
    kernels.push_back(copy);
    stageOf[copy] = state.stage;
  }
}

/// What the proof compares the stages with.
void Splitter::listKernels() {
  SmallVector<StringRef> names;
  for (nn::KernelOp kernel : kernels)
    if (!kernel->hasAttr(kCloneOfAttr))
      names.push_back(kernel.getName());
  module->setAttr(kKernelsAttr, builder.getStrArrayAttr(names));
}

/// The wanted name, or one made from it that no kernel has.
std::string Splitter::makeKernelName(std::string wanted) {
  while (llvm::any_of(kernels, [&](nn::KernelOp kernel) { return kernel.getName() == wanted; }))
    wanted += "_";
  return wanted;
}

/// The wanted name, or one made from it that nothing in the module has. Never a name of a pseudo-stage.
std::string Splitter::makeName(StringRef wanted) {
  std::string name = wanted.str();
  for (unsigned i = 0; symbolTable.lookup(name) || name == PipeDialect::getSourceName() ||
                       name == PipeDialect::getSinkName() || reserved.contains(name);
       ++i)
    name = (wanted + "_" + Twine(i)).str();
  reserved.insert(name);
  return name;
}

/// A channel for `value` if anything outside of its stage reads it. `name` is empty for a numbered one.
void Splitter::addCrossing(Value value, int64_t producer, StringRef name, StringRef tensor) {
  Crossing crossing;
  crossing.producer = producer;
  crossing.type = value.getType();
  for (OpOperand &use : value.getUses()) {
    Operation *user = use.getOwner();
    if (isa<func::ReturnOp>(user))
      crossing.toSink |= !isStateOutput(use.getOperandNumber());
    else if (stageOf[user] != producer)
      crossing.consumers.insert(stageOf[user]);
  }
  if (crossing.consumers.empty() && !crossing.toSink)
    return;
  crossing.name = makeName(name.empty() ? "c" + std::to_string(numNamed++) : name.str());
  crossing.tensor = tensor.str();
  crossings[value] = crossing;
}

void Splitter::findCrossings() {
  for (BlockArgument argument : entry.getArguments()) {
    std::string name = getInputName(entry, argument.getArgNumber());
    if (isState(argument))
      continue;
    addCrossing(argument, kSource, name, name);
  }
  DenseMap<Value, std::string> outputNames;
  auto ret = cast<func::ReturnOp>(entry.getBody().front().getTerminator());
  for (auto [i, value] : llvm::enumerate(ret.getOperands()))
    if (!isStateOutput(i))
      outputNames.try_emplace(value, getOutputName(entry, i));
  for (nn::KernelOp kernel : kernels)
    for (OpResult result : kernel->getResults())
      addCrossing(result, stageOf[kernel], outputNames.lookup(result), getTensorName(result));
  for (auto [stage, name] : llvm::enumerate(stageNames)) {
    int64_t number = stage;
    if (llvm::any_of(crossings, [&](auto &pair) { return pair.second.consumers.count(number); }))
      continue;
    Crossing &control = controls.emplace_back();
    control.name = makeName("start_" + name);
    control.type = RankedTensorType::get({0}, builder.getI8Type());
    control.consumers.insert(number);
    control.isControl = true;
  }
}

/// Inputs, outputs and channels.
void Splitter::createGraph() {
  auto ref = [&](StringRef name) { return FlatSymbolRefAttr::get(module.getContext(), name); };
  for (BlockArgument argument : entry.getArguments()) {
    if (isState(argument))
      continue;
    auto crossing = crossings.find(argument);
    builder.create<InputOp>(entry.getLoc(), builder.getStringAttr(getInputName(entry, argument.getArgNumber())),
                            crossing == crossings.end() ? FlatSymbolRefAttr() : ref(crossing->second.name),
                            entry.getArgAttrOfType<IntegerAttr>(argument.getArgNumber(), kBatchDimAttr),
                            TypeAttr::get(argument.getType()));
  }
  auto ret = cast<func::ReturnOp>(entry.getBody().front().getTerminator());
  for (auto [i, value] : llvm::enumerate(ret.getOperands()))
    if (!isStateOutput(i))
      builder.create<OutputOp>(entry.getLoc(), builder.getStringAttr(getOutputName(entry, i)),
                               ref(crossings[value].name), entry.getResultAttrOfType<IntegerAttr>(i, kBatchDimAttr),
                               TypeAttr::get(value.getType()));
  auto create = [&](Location loc, const Crossing &crossing) {
    SmallVector<Attribute> consumers;
    for (int64_t consumer : crossing.consumers)
      consumers.push_back(getStageRef(consumer));
    if (crossing.toSink)
      consumers.push_back(ref(PipeDialect::getSinkName()));
    auto producer = crossing.producer == kSource ? ref(PipeDialect::getSourceName()) : getStageRef(crossing.producer);
    auto channel = builder.create<ChannelOp>(
        loc, builder.getStringAttr(crossing.name), producer, builder.getArrayAttr(consumers), /*depth=*/IntegerAttr(),
        /*delay=*/builder.getI64IntegerAttr(0),
        crossing.isControl ? StringAttr() : builder.getStringAttr(crossing.tensor), TypeAttr::get(crossing.type),
        /*slot_bytes=*/nn::ExtentsAttr(), crossing.isControl ? builder.getUnitAttr() : UnitAttr(),
        /*per_session=*/UnitAttr(), /*sym_visibility=*/StringAttr());
    symbolTable.insert(channel);
  };
  for (auto &[value, crossing] : crossings)
    create(value.getLoc(), crossing);
  for (Crossing &control : controls)
    create(entry.getLoc(), control);
  for (const KeptState &state : states)
    symbolTable.insert(builder.create<StateOp>(entry.getLoc(), builder.getStringAttr(state.name),
                                               getStageRef(state.stage),
                                               /*init=*/FlatSymbolRefAttr(), TypeAttr::get(state.current.getType()),
                                               /*per_session=*/UnitAttr(), /*sym_visibility=*/StringAttr()));
}

/// What stands for a value of `@main` in a stage. Weights and constants are repeated in each stage that uses them.
Value Splitter::getValueIn(Value value, int64_t stage, IRMapping &values) {
  if (Value known = values.lookupOrNull(value))
    return known;
  return builder.clone(*value.getDefiningOp(), values)->getResult(0);
}

void Splitter::createCall(nn::KernelOp kernel, int64_t stage, IRMapping &values) {
  const OutlinedKernel &outlined = outlinedKernels[kernel];
  SmallVector<Value> inputs, outs;
  for (Value input : kernel.getInputs())
    inputs.push_back(getValueIn(input, stage, values));
  for (Type type : kernel.getResultTypes())
    outs.push_back(builder.create<nn::EmptyOp>(kernel.getLoc(), type));
  auto call = builder.create<nn::CallOp>(
      kernel.getLoc(), kernel.getResultTypes(), outlined.name, inputs, outs,
      /*workspace=*/Value(), nn::ExtentsAttr::get(module.getContext(), outlined.symbols), kernel.getDefinesAttr());
  call->setAttr("nn.kernel_name", kernel.getNameAttr());
  for (StringRef name : {StringRef(nn::kTensorsAttr), StringRef(kCloneOfAttr)})
    if (Attribute value = kernel->getAttr(name))
      call->setAttr(name, value);
  values.map(kernel.getResults(), call.getResults());
  ++numCalls;
}

void Splitter::createStage(int64_t stage) {
  SmallVector<Attribute> reads, writes;
  SmallVector<Value> readValues, writtenValues;
  for (auto &[value, crossing] : crossings) {
    Attribute name = FlatSymbolRefAttr::get(module.getContext(), crossing.name);
    if (crossing.consumers.count(stage)) {
      reads.push_back(name);
      readValues.push_back(value);
    }
    if (crossing.producer == stage) {
      writes.push_back(name);
      writtenValues.push_back(value);
    }
  }
  OpBuilder::InsertionGuard guard(builder);
  auto op = builder.create<StageOp>(entry.getLoc(), builder.getStringAttr(stageNames[stage]), ArrayAttr(), ArrayAttr(),
                                    builder.getArrayAttr({}), /*group=*/StringAttr(), /*sym_visibility=*/StringAttr());
  symbolTable.insert(op);
  Block &body = op.getBody().emplaceBlock();
  IRMapping values;
  for (Value value : readValues)
    values.map(value, body.addArgument(value.getType(), value.getLoc()));
  for (Crossing &control : controls)
    if (control.consumers.count(stage)) {
      reads.push_back(FlatSymbolRefAttr::get(module.getContext(), control.name));
      body.addArgument(control.type, entry.getLoc());
    }
  SmallVector<Attribute> kept;
  for (const KeptState &state : states)
    if (state.stage == stage) {
      kept.push_back(FlatSymbolRefAttr::get(module.getContext(), state.name));
      values.map(state.current, body.addArgument(state.current.getType(), state.current.getLoc()));
      writtenValues.push_back(entry.getBody().front().getTerminator()->getOperand(state.output));
    }
  op.setStatesAttr(builder.getArrayAttr(kept));
  op.setReadsAttr(builder.getArrayAttr(reads));
  op.setWritesAttr(builder.getArrayAttr(writes));
  builder.setInsertionPointToStart(&body);
  for (nn::KernelOp kernel : kernels)
    if (stageOf[kernel] == stage)
      createCall(kernel, stage, values);
  SmallVector<Value> results;
  for (Value value : writtenValues)
    results.push_back(values.lookup(value));
  builder.create<ReturnOp>(entry.getLoc(), results);
}

void Splitter::createStages() {
  for (nn::KernelOp kernel : kernels)
    outlinedKernels[kernel] = outliner.outline(kernel);
  for (size_t stage = 0; stage < stageNames.size(); ++stage)
    createStage(stage);
}

struct SplitStagesPass : pipe::impl::SplitStagesPassBase<SplitStagesPass> {
  void runOnOperation() override {
    func::FuncOp entry = findEntry(getOperation());
    if (!entry)
      return signalPassFailure();
    copyTrivialOutputs(entry);
    Splitter splitter(getOperation(), entry);
    if (failed(splitter.readStages()) || failed(splitter.readStates()) || failed(refreshPlan(getOperation())))
      return signalPassFailure();
    splitter.copyStates();
    splitter.listKernels();
    getOperation()->removeAttr(kStatesAttr);
    splitter.findCrossings();
    splitter.createGraph();
    splitter.createStages();
    splitter.eraseEntry();
    numChannels = splitter.getNumChannels();
    numCalls = splitter.numCalls;
    numKernels = llvm::range_size(getOperation().getOps<nn::KernelDefOp>());
  }
};

} // namespace
