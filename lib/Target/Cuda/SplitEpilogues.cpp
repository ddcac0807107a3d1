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

/// The rest of a kernel, which begins behind `end`; null: there is none.
nn::KernelOp split(nn::KernelOp kernel, Value end) {
  if (llvm::is_contained(kernel.getBody().front().getTerminator()->getOperands(), end))
    return nn::KernelOp();
  return cutKernel(kernel, Cut{end, nameOf(kernel, end)}).back();
}

/// Whether code is generated for a kernel, so that it reads what it likes.
bool isGenerated(nn::KernelOp kernel) {
  auto isLibrarys = [](Operation &op) { return isa<nn::MatmulOp, nn::ConvOp, nn::AttentionOp>(op); };
  return !kernel.getDefines() && llvm::none_of(kernel.getBody().front(), isLibrarys);
}

/// Adds weights that are computed when the executables are linked.
class WeightAdder {
public:
  explicit WeightAdder(ModuleOp module) : symbols(module), builder(module.getContext()) {}

  /// The loaded value, in front of `reader`. `source`: a weight that it is made of, or null. `compute`: gets its value.
  nn::LoadWeightOp add(nn::KernelOp reader, StringRef name, nn::LoadWeightOp source,
                       function_ref<Value(OpBuilder &, Value)> compute) {
    Location loc = reader.getLoc();
    builder.setInsertionPoint(reader->getParentOfType<func::FuncOp>());
    auto kernel = builder.create<nn::KernelDefOp>(loc, builder.getStringAttr("init"), builder.getI64IntegerAttr(0),
                                                  /*sym_visibility=*/StringAttr());
    Block &body = kernel.getBody().emplaceBlock();
    OpBuilder inner = OpBuilder::atBlockEnd(&body);
    Value made = compute(inner, source ? body.addArgument(source.getType(), loc) : Value());
    inner.create<nn::YieldOp>(loc, made);
    SmallVector<Attribute> operands;
    if (source)
      operands.push_back(FlatSymbolRefAttr::get(builder.getContext(), source.getWeight()));
    auto weight = builder.create<nn::WeightOp>(loc, builder.getStringAttr(name), TypeAttr::get(made.getType()),
                                               nn::FileRangeAttr(), FlatSymbolRefAttr::get(symbols.insert(kernel)),
                                               builder.getArrayAttr(operands), FlatSymbolRefAttr(), nn::PackingAttr(),
                                               StringAttr());
    return load(reader, symbols.insert(weight), made.getType());
  }

  nn::LoadWeightOp load(nn::KernelOp reader, StringAttr weight, Type type) {
    builder.setInsertionPoint(reader);
    return builder.create<nn::LoadWeightOp>(reader.getLoc(), type, FlatSymbolRefAttr::get(weight));
  }

private:
  SymbolTable symbols;
  OpBuilder builder;
};

/// Makes a constant of a kernel a weight, which has memory on the device.
void outlineConstant(nn::KernelOp kernel, nn::ConstantOp constant, WeightAdder &weights) {
  nn::LoadWeightOp load = weights.add(kernel, "constant", nn::LoadWeightOp(), [&](OpBuilder &b, Value) -> Value {
    Value value = b.clone(*constant)->getResult(0);
    auto identity = nn::UnaryKindAttr::get(b.getContext(), nn::UnaryKind::identity);
    return b.create<nn::UnaryOp>(constant.getLoc(), identity, value, FloatAttr(), FloatAttr());
  });
  kernel.getInputsMutable().append(load.getResult());
  constant.replaceAllUsesWith(kernel.getBody().addArgument(constant.getType(), constant.getLoc()));
  constant.erase();
}

/// Keeps filters of convolutions whose images have their channels last like that, as weights of their own.
class FilterTurner {
public:
  explicit FilterTurner(WeightAdder &weights) : weights(weights) {}

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
    nn::LoadWeightOp turned = getTurned(kernel, load, type);
    kernel.getInputsMutable()[number].set(turned);
    argument.setType(turned.getType());
    OpBuilder builder(convolution);
    convolution.getFilterMutable().assign(
        builder.create<nn::TransposeOp>(convolution.getLoc(), type, argument, nn::getFromChannelsLast(type.getRank())));
    return true;
  }

private:
  nn::LoadWeightOp getTurned(nn::KernelOp kernel, nn::LoadWeightOp source, RankedTensorType type) {
    RankedTensorType turned = nn::getImageType(nn::getExtents(type), type.getElementType(), /*channelsLast=*/true);
    FlatSymbolRefAttr &known = turnedOf[source.getWeight()];
    if (known)
      return weights.load(kernel, known.getAttr(), turned);
    nn::LoadWeightOp load = weights.add(kernel, "filter", source, [&](OpBuilder &b, Value given) -> Value {
      return b.create<nn::TransposeOp>(source.getLoc(), turned, given, nn::getToChannelsLast(type.getRank()));
    });
    known = load.getWeightAttr();
    return load;
  }

  WeightAdder &weights;
  llvm::StringMap<FlatSymbolRefAttr> turnedOf; ///< by the weight
};

struct CudaSplitEpiloguesPass : impl::CudaSplitEpiloguesPassBase<CudaSplitEpiloguesPass> {
  void runOnOperation() override {
    SmallVector<nn::KernelOp> kernels;
    getOperation().walk([&](nn::KernelOp kernel) { kernels.push_back(kernel); });
    WeightAdder weights(getOperation());
    FilterTurner turner(weights);
    for (nn::KernelOp kernel : kernels)
      numTurned += !kernel.getDefines() && turner.run(kernel);
    SmallVector<nn::KernelOp> rests;
    for (nn::KernelOp kernel : kernels) {
      LibraryEnd end = findEnd(kernel);
      if (!end.value)
        continue;
      for (nn::ConstantOp constant : end.constants)
        outlineConstant(kernel, constant, weights);
      numOutlined += end.constants.size();
      if (nn::KernelOp rest = split(kernel, end.value))
        rests.push_back(rest);
    }
    numSplit += rests.size();
    for (nn::KernelOp rest : rests)
      numJoined += joinCasts(rest, isGenerated);
  }
};

} // namespace
} // namespace penstock::cuda
