//===- StageGraph.cpp - The entry function seen as kernels with stages -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "StageGraph.h"

#include "penstock/Dialect/NN/Transforms/Passes.h"
#include "penstock/Dialect/Pipe/IR/PipeOps.h"

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

void pipe::copyTrivialOutputs(func::FuncOp entry) {
  auto ret = cast<func::ReturnOp>(entry.getBody().front().getTerminator());
  DenseMap<Value, Value> copies;
  for (auto [i, operand] : llvm::enumerate(ret->getOpOperands())) {
    Value value = operand.get();
    if (value.getDefiningOp<nn::KernelOp>())
      continue;
    Value &copy = copies[value];
    if (!copy) {
      OpBuilder builder(ret);
      std::string name = getOutputName(entry, i);
      Location loc = NameLoc::get(builder.getStringAttr(name));
      auto kernel = builder.create<nn::KernelOp>(loc, value.getType(), name, value);
      if (Attribute stage = chooseCopyStage(entry, value))
        kernel->setAttr(PipeDialect::getStageIdAttrName(), stage);
      kernel->setAttr(nn::kTensorsAttr, builder.getStrArrayAttr(StringRef(name)));
      Block &body = kernel.getBody().emplaceBlock();
      builder.setInsertionPointToStart(&body);
      Value inside = builder.create<nn::UnaryOp>(
          loc, nn::UnaryKindAttr::get(builder.getContext(), nn::UnaryKind::identity),
          body.addArgument(value.getType(), loc), /*alpha=*/FloatAttr(), /*beta=*/FloatAttr());
      inside.getDefiningOp()->setAttr(nn::kTensorAttr, builder.getStringAttr(name));
      builder.create<nn::YieldOp>(loc, inside);
      copy = kernel.getResult(0);
    }
    operand.set(copy);
  }
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
