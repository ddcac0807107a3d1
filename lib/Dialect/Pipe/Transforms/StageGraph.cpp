//===- StageGraph.cpp - The entry function seen as kernels with stages -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "StageGraph.h"

#include "penstock/Dialect/NN/Transforms/Passes.h"
#include "penstock/Dialect/Pipe/Transforms/Passes.h"

using namespace mlir;
using namespace penstock;
using namespace penstock::pipe;

func::FuncOp pipe::findEntry(ModuleOp module) {
  auto entry = module.lookupSymbol<func::FuncOp>(nn::kEntryName);
  if (!entry || !entry.getBody().hasOneBlock()) {
    module.emitError() << "the module has no function @" << nn::kEntryName << " of one block";
    return {};
  }
  for (Operation &op : entry.getBody().front())
    if (!isa<nn::KernelOp, nn::LoadWeightOp, nn::ConstantOp, func::ReturnOp>(op)) {
      op.emitError() << "'" << op.getName() << "' is outside of a kernel; run nn-fuse-kernels first";
      return {};
    }
  return entry;
}

SmallVector<nn::KernelOp> pipe::getKernels(func::FuncOp entry) { return llvm::to_vector(entry.getOps<nn::KernelOp>()); }

/// Stage of the copy of `value`, or null where nothing is annotated.
static Attribute chooseCopyStage(func::FuncOp entry, Value value) {
  Attribute last;
  for (nn::KernelOp kernel : getKernels(entry)) {
    Attribute stage = kernel->getAttr(PipeDialect::getStageIdAttrName());
    if (stage && isa<BlockArgument>(value) && llvm::is_contained(kernel.getInputs(), value))
      return stage;
    auto number = dyn_cast_or_null<IntegerAttr>(stage), most = dyn_cast_or_null<IntegerAttr>(last);
    if (number && (!most || number.getInt() > most.getInt()))
      last = stage;
  }
  return last;
}

nn::KernelOp pipe::createCopy(func::ReturnOp ret, unsigned output, const std::string &name) {
  OpBuilder builder(ret);
  Value value = ret.getOperand(output);
  Location loc = NameLoc::get(builder.getStringAttr(name));
  auto kernel = builder.create<nn::KernelOp>(loc, value.getType(), name, value, /*defines=*/FlatSymbolRefAttr());
  Block &body = kernel.getBody().emplaceBlock();
  builder.setInsertionPointToStart(&body);
  Value inside =
      builder.create<nn::UnaryOp>(loc, nn::UnaryKindAttr::get(builder.getContext(), nn::UnaryKind::identity),
                                  body.addArgument(value.getType(), loc), /*alpha=*/FloatAttr(), /*beta=*/FloatAttr());
  inside.getDefiningOp()->setAttr(nn::kTensorAttr, builder.getStringAttr(name));
  builder.create<nn::YieldOp>(loc, inside);
  ret.setOperand(output, kernel.getResult(0));
  return kernel;
}

void pipe::copyTrivialOutputs(func::FuncOp entry) {
  auto ret = cast<func::ReturnOp>(entry.getBody().front().getTerminator());
  DenseMap<Value, Value> copies;
  for (auto [i, operand] : llvm::enumerate(ret->getOpOperands())) {
    Value value = operand.get();
    if (value.getDefiningOp<nn::KernelOp>())
      continue;
    if (Value copy = copies.lookup(value)) {
      operand.set(copy);
      continue;
    }
    std::string name = getOutputName(entry, i);
    Attribute stage = chooseCopyStage(entry, value);
    nn::KernelOp kernel = createCopy(ret, i, name);
    if (stage)
      kernel->setAttr(PipeDialect::getStageIdAttrName(), stage);
    kernel->setAttr(nn::kTensorsAttr, Builder(entry.getContext()).getStrArrayAttr(StringRef(name)));
    copies[value] = kernel.getResult(0);
  }
}

FailureOr<SmallVector<StateEdge>> pipe::getStates(func::FuncOp entry) {
  SmallVector<StateEdge> states;
  auto list = entry->getParentOp()->getAttrOfType<ArrayAttr>(kStatesAttr);
  for (Attribute attribute : list ? list.getValue() : ArrayRef<Attribute>()) {
    auto pair = dyn_cast<ArrayAttr>(attribute);
    auto in = pair && pair.size() == 2 ? dyn_cast<StringAttr>(pair[0]) : StringAttr();
    auto out = pair && pair.size() == 2 ? dyn_cast<StringAttr>(pair[1]) : StringAttr();
    if (!in || !out)
      return entry.emitError() << kStatesAttr << " has " << attribute << "; expected a pair of names";
    std::optional<unsigned> input, output;
    for (unsigned i = 0; i < entry.getNumArguments(); ++i)
      if (getInputName(entry, i) == in)
        input = i;
    for (unsigned i = 0; i < entry.getNumResults(); ++i)
      if (getOutputName(entry, i) == out)
        output = i;
    if (!input || !output)
      return entry.emitError() << "state '" << in.getValue() << "=" << out.getValue() << "': the model has no "
                               << (input ? "output" : "input") << " of that name";
    if (entry.getArgumentTypes()[*input] != entry.getResultTypes()[*output])
      return entry.emitError() << "state '" << in.getValue() << "=" << out.getValue() << "': the input has type "
                               << entry.getArgumentTypes()[*input] << ", the output " << entry.getResultTypes()[*output]
                               << "; expected the same";
    for (StateEdge other : states)
      if (other.input == *input || other.output == *output)
        return entry.emitError() << "state '" << in.getValue() << "=" << out.getValue()
                                 << "': one of the two is part of another state";
    states.push_back({*input, *output});
  }
  return states;
}

std::string pipe::getInputName(func::FuncOp entry, unsigned index) {
  auto name = entry.getArgAttrOfType<StringAttr>(index, "nn.name");
  return name ? name.str() : "input_" + std::to_string(index);
}

std::string pipe::getOutputName(func::FuncOp entry, unsigned index) {
  auto name = entry.getResultAttrOfType<StringAttr>(index, "nn.name");
  return name ? name.str() : "output_" + std::to_string(index);
}

std::string pipe::getTensorName(OpResult result) {
  auto kernel = cast<nn::KernelOp>(result.getOwner());
  Value inside = kernel.getBody().front().getTerminator()->getOperand(result.getResultNumber());
  if (auto tensor = inside.getDefiningOp()->getAttrOfType<StringAttr>(nn::kTensorAttr))
    return tensor.str();
  return kernel.getName().str();
}

SmallVector<nn::LoadWeightOp> pipe::getWeights(nn::KernelOp kernel) {
  SmallVector<nn::LoadWeightOp> weights;
  for (Value input : kernel.getInputs())
    if (auto load = input.getDefiningOp<nn::LoadWeightOp>())
      weights.push_back(load);
  return weights;
}
