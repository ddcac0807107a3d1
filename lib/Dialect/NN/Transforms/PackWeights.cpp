//===- PackWeights.cpp - nn-pack-weights -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "penstock/Dialect/NN/Transforms/Passes.h"

namespace penstock::nn {
#define GEN_PASS_DEF_PACKWEIGHTSPASS
#include "penstock/Dialect/NN/Transforms/Passes.h.inc"

/// How the kernel wants input `index`; null: as it is.
static PackingAttr getPacking(KernelDefOp kernel, unsigned index) {
  auto all = kernel ? kernel->getAttrOfType<ArrayAttr>(kKernelPackingAttr) : ArrayAttr();
  return all && index < all.size() ? dyn_cast<PackingAttr>(all[index]) : PackingAttr();
}

static std::string describe(PackingAttr packing) {
  if (!packing)
    return "unpacked";
  std::string text;
  llvm::raw_string_ostream(text) << "packed as " << packing;
  return text;
}

static LogicalResult verifyCall(CallOp call, const SymbolTable &symbols) {
  auto kernel = symbols.lookup<KernelDefOp>(call.getKernel());
  for (auto [i, input] : llvm::enumerate(call.getInputs())) {
    PackingAttr wanted = getPacking(kernel, i), given;
    if (auto load = input.getDefiningOp<LoadWeightOp>())
      if (auto weight = symbols.lookup<WeightOp>(load.getWeight()))
        given = weight.getPacking().value_or(PackingAttr());
    if (wanted != given)
      return call.emitOpError() << "gives @" << call.getKernel() << " input " << i << " " << describe(given)
                                << "; expected it " << describe(wanted);
  }
  return success();
}

LogicalResult verifyPacking(ModuleOp module) {
  SymbolTable symbols(module);
  return failure(module.walk([&](CallOp call) -> WalkResult { return verifyCall(call, symbols); }).wasInterrupted());
}

namespace {

struct PackWeightsPass : impl::PackWeightsPassBase<PackWeightsPass> {
  void runOnOperation() override {
    SymbolTable symbols(getOperation());
    for (auto weight : getOperation().getOps<WeightOp>())
      if (weight.getPacked())
        known.try_emplace({weight.getPackedAttr().getAttr(), weight.getPackingAttr()}, weight.getSymNameAttr());
    getOperation().walk([&](CallOp call) {
      auto kernel = symbols.lookup<KernelDefOp>(call.getKernel());
      for (auto [i, input] : llvm::enumerate(call.getInputs()))
        if (auto load = input.getDefiningOp<LoadWeightOp>())
          if (StringAttr name = find(load, getPacking(kernel, i), symbols); name != load.getWeightAttr().getAttr())
            call.getInputsMutable()[i].set(loadAt(load, name));
    });
    getOperation().walk([](LoadWeightOp load) {
      if (load.use_empty())
        load.erase();
    });
  }

private:
  /// The weight that `load` should load for an input that is wanted so.
  StringAttr find(LoadWeightOp load, PackingAttr packing, SymbolTable &symbols) {
    auto weight = symbols.lookup<WeightOp>(load.getWeight());
    WeightOp source = weight.getPacked() ? symbols.lookup<WeightOp>(*weight.getPacked()) : weight;
    if (!packing)
      return source.getSymNameAttr();
    StringAttr &name = known[{source.getSymNameAttr(), packing}];
    if (name)
      return name;
    OpBuilder builder(&getContext());
    auto packed = builder.create<WeightOp>(source.getLoc(), builder.getStringAttr(source.getSymName() + ".packed"),
                                           source.getTypeAttr(), FileRangeAttr(), FlatSymbolRefAttr(), ArrayAttr(),
                                           FlatSymbolRefAttr::get(source), packing, StringAttr());
    ++numPacked;
    return name = symbols.insert(packed, std::next(source->getIterator()));
  }

  /// One load of each weight beside the one it takes the place of.
  Value loadAt(LoadWeightOp original, StringAttr name) {
    LoadWeightOp &load = loads[{original, name}];
    if (!load) {
      OpBuilder builder(original);
      load = builder.create<LoadWeightOp>(original.getLoc(), original.getType(), FlatSymbolRefAttr::get(name));
    }
    return load;
  }

  llvm::DenseMap<std::pair<Attribute, Attribute>, StringAttr> known;
  llvm::DenseMap<std::pair<Operation *, Attribute>, LoadWeightOp> loads;
};

} // namespace
} // namespace penstock::nn
