//===- SplitEpilogues.cpp - cuda-split-epilogues -------------- -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CublasLtMatch.h"
#include "CudnnMatch.h"
#include "CutKernel.h"
#include "penstock/Dialect/NN/IR/Layouts.h"
#include "penstock/Dialect/NN/Transforms/Passes.h"
#include "penstock/Target/Cuda/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace penstock::cuda {
#define GEN_PASS_DEF_CUDASPLITEPILOGUESPASS
#include "penstock/Target/Cuda/Passes.h.inc"

using namespace mlir;

namespace {

/// The tensor that `value` is in the model, or a name of its own.
std::string nameOf(nn::KernelOp kernel, Value value) {
  auto tensor = value.getDefiningOp()->getAttrOfType<StringAttr>(nn::kTensorAttr);
  return tensor && tensor != kernel.getNameAttr() ? tensor.str() : (kernel.getName() + ".product").str();
}

LibraryEnd findEnd(nn::KernelOp kernel) {
  Block &body = kernel.getBody().front();
  LibraryEnd end;
  if (!kernel.getDefines())
    end = findCublasLtEnd(body);
  if (!end.value && !kernel.getDefines())
    end = findCudnnEnd(body);
  return end;
}

bool split(nn::KernelOp kernel, Value end) {
  if (llvm::is_contained(kernel.getBody().front().getTerminator()->getOperands(), end))
    return false;
  cutKernel(kernel, Cut{end, nameOf(kernel, end)});
  return true;
}

/// Makes constants in kernels weights, which have memory on the device.
class ConstantOutliner {
public:
  explicit ConstantOutliner(ModuleOp module) : symbols(module), builder(module.getContext()) {}

  void run(nn::KernelOp kernel, nn::ConstantOp constant) {
    Location loc = constant.getLoc();
    builder.setInsertionPoint(kernel->getParentOfType<func::FuncOp>());
    auto weight =
        builder.create<nn::WeightOp>(loc, builder.getStringAttr("constant"), TypeAttr::get(constant.getType()),
                                     nn::FileRangeAttr(), FlatSymbolRefAttr::get(makeKernel(constant)),
                                     builder.getArrayAttr({}), FlatSymbolRefAttr(), nn::PackingAttr(), StringAttr());
    StringAttr name = symbols.insert(weight);
    builder.setInsertionPoint(kernel);
    auto load = builder.create<nn::LoadWeightOp>(loc, constant.getType(), FlatSymbolRefAttr::get(name));
    kernel.getInputsMutable().append(load.getResult());
    constant.replaceAllUsesWith(kernel.getBody().addArgument(constant.getType(), loc));
    constant.erase();
  }

private:
  /// What computes the weight when the executables are linked.
  StringAttr makeKernel(nn::ConstantOp constant) {
    Location loc = constant.getLoc();
    auto kernel = builder.create<nn::KernelDefOp>(loc, builder.getStringAttr("init"), builder.getI64IntegerAttr(0),
                                                  /*sym_visibility=*/StringAttr());
    OpBuilder inner = OpBuilder::atBlockEnd(&kernel.getBody().emplaceBlock());
    Value value = inner.clone(*constant)->getResult(0);
    auto identity = nn::UnaryKindAttr::get(builder.getContext(), nn::UnaryKind::identity);
    Value copy = inner.create<nn::UnaryOp>(loc, identity, value, FloatAttr(), FloatAttr());
    inner.create<nn::YieldOp>(loc, copy);
    return symbols.insert(kernel);
  }

  SymbolTable symbols;
  OpBuilder builder;
};

/// Keeps filters of convolutions whose images have their channels last like that, as weights of their own.
class FilterTurner {
public:
  explicit FilterTurner(ModuleOp module) : symbols(module), builder(module.getContext()) {}

  bool run(nn::KernelOp kernel) {
    auto convolutions = kernel.getBody().front().getOps<nn::ConvOp>();
    if (!llvm::hasSingleElement(convolutions))
      return false;
    nn::ConvOp convolution = *convolutions.begin();
    auto argument = dyn_cast<BlockArgument>(convolution.getFilter());
    auto type = cast<RankedTensorType>(convolution.getFilter().getType());
    if (!convolution.getChannelsLast() || !argument || !argument.hasOneUse() || type.getRank() > 4 ||
        isSameChannelsLast(type))
      return false;
    unsigned number = argument.getArgNumber();
    auto load = kernel.getInputs()[number].getDefiningOp<nn::LoadWeightOp>();
    if (!load)
      return false;
    RankedTensorType turned = nn::getImageType(nn::getExtents(type), type.getElementType(), /*channelsLast=*/true);
    StringAttr weight = getTurned(load, turned);
    builder.setInsertionPoint(kernel);
    auto made = builder.create<nn::LoadWeightOp>(load.getLoc(), turned, FlatSymbolRefAttr::get(weight));
    kernel.getInputsMutable()[number].set(made);
    argument.setType(turned);
    builder.setInsertionPoint(convolution);
    convolution.getFilterMutable().assign(
        builder.create<nn::TransposeOp>(convolution.getLoc(), type, argument, nn::getFromChannelsLast(type.getRank())));
    return true;
  }

private:
  /// The weight that is computed from the loaded one when the executables are linked.
  StringAttr getTurned(nn::LoadWeightOp load, RankedTensorType type) {
    StringAttr &name = weights[load.getWeight()];
    if (name)
      return name;
    Location loc = load.getLoc();
    auto source = FlatSymbolRefAttr::get(builder.getContext(), load.getWeight());
    builder.setInsertionPoint(load->getParentOfType<func::FuncOp>());
    auto kernel = builder.create<nn::KernelDefOp>(loc, builder.getStringAttr("init"), builder.getI64IntegerAttr(0),
                                                  /*sym_visibility=*/StringAttr());
    Block &body = kernel.getBody().emplaceBlock();
    OpBuilder inner = OpBuilder::atBlockEnd(&body);
    Value given = body.addArgument(load.getType(), loc);
    inner.create<nn::YieldOp>(
        loc, inner.create<nn::TransposeOp>(loc, type, given, nn::getToChannelsLast(type.getRank())).getResult());
    auto weight =
        builder.create<nn::WeightOp>(loc, builder.getStringAttr("filter"), TypeAttr::get(type), nn::FileRangeAttr(),
                                     FlatSymbolRefAttr::get(symbols.insert(kernel)), builder.getArrayAttr({source}),
                                     FlatSymbolRefAttr(), nn::PackingAttr(), StringAttr());
    return name = symbols.insert(weight);
  }

  SymbolTable symbols;
  OpBuilder builder;
  llvm::StringMap<StringAttr> weights; ///< by those that they are made of
};

struct CudaSplitEpiloguesPass : impl::CudaSplitEpiloguesPassBase<CudaSplitEpiloguesPass> {
  void runOnOperation() override {
    SmallVector<nn::KernelOp> kernels;
    getOperation().walk([&](nn::KernelOp kernel) { kernels.push_back(kernel); });
    FilterTurner turner(getOperation());
    for (nn::KernelOp kernel : kernels)
      numTurned += !kernel.getDefines() && turner.run(kernel);
    ConstantOutliner outliner(getOperation());
    for (nn::KernelOp kernel : kernels) {
      LibraryEnd end = findEnd(kernel);
      if (!end.value)
        continue;
      for (nn::ConstantOp constant : end.constants)
        outliner.run(kernel, constant);
      numOutlined += end.constants.size();
      numSplit += split(kernel, end.value);
    }
  }
};

} // namespace
} // namespace penstock::cuda
