//===- KernelShapes.cpp - At which extents kernels run -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "penstock/Dialect/Pipe/Transforms/KernelShapes.h"

#include "Bounds.h"

using namespace mlir;
using namespace penstock;

namespace {
/// Values of the symbols of one kernel.
struct Shapes {
  SmallVector<int64_t> typical, lower, upper;
  bool isBounded = true;
};
} // namespace

/// Of several calls the largest typical extents count: the order of calls depends on the cut, and code must not.
static void addCall(nn::CallOp call, const pipe::SymbolBounds &bounds, Shapes &shapes) {
  ArrayRef<AffineExpr> symbols = call.getSymbols().getExprs();
  bool isFirst = shapes.typical.empty();
  SmallVector<int64_t> typical;
  for (auto [i, expr] : llvm::enumerate(symbols)) {
    typical.push_back(nn::evaluate(expr, bounds.getTypical()).value_or(0));
    pipe::Range range = bounds.getRange(expr);
    shapes.isBounded &= range.lower && range.upper;
    int64_t lower = range.lower.value_or(0), upper = range.upper.value_or(0);
    if (isFirst) {
      shapes.lower.push_back(lower);
      shapes.upper.push_back(upper);
    } else {
      shapes.lower[i] = std::min(shapes.lower[i], lower);
      shapes.upper[i] = std::max(shapes.upper[i], upper);
    }
  }
  shapes.typical = std::max(shapes.typical, typical);
}

void pipe::setKernelShapes(ModuleOp module) {
  SymbolBounds bounds(module);
  llvm::StringMap<Shapes> shapes;
  module.walk([&](nn::CallOp call) { addCall(call, bounds, shapes[call.getKernel()]); });
  Builder builder(module.getContext());
  for (auto kernel : module.getOps<nn::KernelDefOp>()) {
    auto set = [&](StringRef name, ArrayRef<int64_t> values) {
      kernel->setAttr(name, builder.getDenseI64ArrayAttr(values));
    };
    for (StringRef name : {"kernel.typical", "kernel.lower", "kernel.upper"})
      kernel->removeAttr(name);
    auto found = shapes.find(kernel.getSymName());
    if (found == shapes.end() || found->second.typical.empty())
      continue;
    set("kernel.typical", found->second.typical);
    if (!found->second.isBounded)
      continue;
    set("kernel.lower", found->second.lower);
    set("kernel.upper", found->second.upper);
  }
}
