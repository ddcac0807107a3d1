//===- VerifyBatch.cpp - Marks the batch axis of inputs and outputs -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "penstock/Dialect/Pipe/Transforms/BatchAnalysis.h"
#include "penstock/Dialect/Pipe/Transforms/Passes.h"

#include "penstock/Dialect/NN/Transforms/Passes.h"

namespace penstock::pipe {
#define GEN_PASS_DEF_VERIFYBATCHPASS
#include "penstock/Dialect/Pipe/Transforms/Passes.h.inc"
} // namespace penstock::pipe

using namespace mlir;
using namespace penstock;
using namespace penstock::pipe;

namespace {

struct VerifyBatchPass : pipe::impl::VerifyBatchPassBase<VerifyBatchPass> {
  using VerifyBatchPassBase::VerifyBatchPassBase;

  void runOnOperation() override {
    auto entry = getOperation().lookupSymbol<func::FuncOp>(nn::kEntryName);
    if (!entry || !entry.getBody().hasOneBlock()) {
      getOperation().emitError() << "the module has no function @" << nn::kEntryName << " of one block";
      return signalPassFailure();
    }
    BatchProof proof = proveBatch(entry, batchDim);
    if (auto states = getOperation()->getAttrOfType<ArrayAttr>(kStatesAttr); states && !states.empty()) {
      proof = BatchProof();
      proof.reason = "the model keeps states from one call to the next";
    }
    if (!proof.isProved) {
      if (isRequired || !batchDim.empty()) {
        Operation *where = proof.mixing ? proof.mixing : entry.getOperation();
        where->emitError() << "requests cannot be cut into microbatches: " << proof.reason;
        return signalPassFailure();
      }
      getOperation()->setAttr(kBatchUnprovedAttr, StringAttr::get(&getContext(), proof.reason));
      return;
    }
    Builder builder(&getContext());
    for (auto [i, axis] : llvm::enumerate(proof.inputAxes))
      if (axis >= 0)
        entry.setArgAttr(i, kBatchDimAttr, builder.getI64IntegerAttr(axis));
    for (auto [i, axis] : llvm::enumerate(proof.outputAxes))
      if (axis >= 0)
        entry.setResultAttr(i, kBatchDimAttr, builder.getI64IntegerAttr(axis));
  }
};

} // namespace
