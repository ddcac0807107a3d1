//===- MakeKernel.cpp - Ops become a kernel -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "penstock/Dialect/NN/Transforms/MakeKernel.h"
#include "penstock/Dialect/NN/Transforms/Passes.h"

#include "mlir/IR/IRMapping.h"

namespace penstock::nn {

KernelOp makeKernel(OpBuilder &builder, Location loc, StringRef name, ArrayRef<Operation *> shared,
                    ArrayRef<Operation *> ops, ValueRange used, ValueRange inputs, ValueRange values) {
  auto kernel = builder.create<KernelOp>(loc, values.getTypes(), name, inputs, /*defines=*/FlatSymbolRefAttr());
  Block &body = kernel.getBody().emplaceBlock();
  IRMapping mapping;
  for (Value value : used)
    mapping.map(value, body.addArgument(value.getType(), value.getLoc()));
  OpBuilder inner = OpBuilder::atBlockEnd(&body);
  for (Operation *op : shared)
    inner.clone(*op, mapping);
  SmallVector<Attribute> tensors;
  for (Operation *op : ops) {
    inner.clone(*op, mapping);
    if (Attribute tensor = op->getAttr(kTensorAttr))
      tensors.push_back(tensor);
  }
  inner.create<YieldOp>(loc, llvm::map_to_vector(values, [&](Value value) { return mapping.lookup(value); }));
  kernel->setAttr(kTensorsAttr, builder.getArrayAttr(tensors));
  return kernel;
}

} // namespace penstock::nn
