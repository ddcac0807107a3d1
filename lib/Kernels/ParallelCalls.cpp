//===- ParallelCalls.cpp - Calls of parts become the runtime's --*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// After OutlineParallelLoops and the conversion to the LLVM dialect, where a memref is pointers and numbers:
//
//   call @part_0(0, %n, %grain, %a, %b)
//
// becomes a record of %a and %b on the stack and `rt_parallel_for(ctx, %n, %grain, @part_0_range, record)`;
// part_0_range reads the record and calls part_0 for its range. The body gets the context as a further argument, its
// last.
//
//===----------------------------------------------------------------------===//

#include "Passes.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

using namespace mlir;
using namespace penstock;
using namespace penstock::kernels;

namespace {

constexpr unsigned kNumRangeArguments = 3; // begin, end, grain

class Rewriter {
public:
  Rewriter(ModuleOp module, LLVM::LLVMFuncOp body) : module(module), body(body), b(module.getContext()) {
    pointer = LLVM::LLVMPointerType::get(module.getContext());
    nothing = LLVM::LLVMVoidType::get(module.getContext());
    i64 = b.getI64Type();
  }

  void run(ArrayRef<LLVM::CallOp> calls) {
    b.setInsertionPointToStart(module.getBody());
    parallelFor = b.create<LLVM::LLVMFuncOp>(
        body.getLoc(), "rt_parallel_for", LLVM::LLVMFunctionType::get(nothing, {pointer, i64, i64, pointer, pointer}));
    SmallVector<Type> types(body.getArgumentTypes());
    types.push_back(pointer);
    body.setFunctionType(LLVM::LLVMFunctionType::get(body.getFunctionType().getReturnType(), types));
    if (ArrayAttr attributes = body.getArgAttrsAttr()) {
      SmallVector<Attribute> all(attributes.begin(), attributes.end());
      all.push_back(b.getDictionaryAttr({}));
      body.setArgAttrsAttr(b.getArrayAttr(all));
    }
    context = body.front().addArgument(pointer, body.getLoc());
    for (LLVM::CallOp call : calls)
      rewrite(call, module.lookupSymbol<LLVM::LLVMFuncOp>(*call.getCallee()));
  }

private:
  void rewrite(LLVM::CallOp call, LLVM::LLVMFuncOp part) {
    Location loc = call.getLoc();
    auto passed = call.getArgOperands().drop_front(kNumRangeArguments);
    auto record = LLVM::LLVMStructType::getLiteral(b.getContext(), llvm::to_vector(passed.getTypes()));
    b.setInsertionPointToStart(&body.front());
    Value one = b.create<LLVM::ConstantOp>(loc, i64, b.getI64IntegerAttr(1));
    Value place = b.create<LLVM::AllocaOp>(loc, pointer, record, one);
    b.setInsertionPoint(call);
    for (auto [i, value] : llvm::enumerate(passed))
      b.create<LLVM::StoreOp>(loc, value, fieldOf(loc, record, place, i));
    Value function = b.create<LLVM::AddressOfOp>(loc, createRange(loc, part, record));
    b.create<LLVM::CallOp>(loc, parallelFor,
                           ValueRange{context, call.getArgOperands()[1], call.getArgOperands()[2], function, place});
    call.erase();
  }

  Value fieldOf(Location loc, Type record, Value place, size_t index) {
    return b.create<LLVM::GEPOp>(loc, pointer, record, place, ArrayRef<LLVM::GEPArg>{0, static_cast<int32_t>(index)});
  }

  /// void part_0_range(void *record, int64_t begin, int64_t end, int32_t thread)
  LLVM::LLVMFuncOp createRange(Location loc, LLVM::LLVMFuncOp part, LLVM::LLVMStructType record) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointAfter(part);
    auto range = b.create<LLVM::LLVMFuncOp>(loc, (part.getSymName() + "_range").str(),
                                            LLVM::LLVMFunctionType::get(nothing, {pointer, i64, i64, b.getI32Type()}));
    range.setLinkage(LLVM::Linkage::Internal);
    Block *entry = range.addEntryBlock(b);
    b.setInsertionPointToStart(entry);
    Value grain = b.create<LLVM::ConstantOp>(loc, i64, b.getI64IntegerAttr(0));
    SmallVector<Value> arguments{entry->getArgument(1), entry->getArgument(2), grain};
    for (auto [i, type] : llvm::enumerate(record.getBody()))
      arguments.push_back(b.create<LLVM::LoadOp>(loc, type, fieldOf(loc, record, entry->getArgument(0), i)));
    b.create<LLVM::CallOp>(loc, part, arguments);
    b.create<LLVM::ReturnOp>(loc, ValueRange());
    return range;
  }

  ModuleOp module;
  LLVM::LLVMFuncOp body, parallelFor;
  OpBuilder b;
  Type pointer, nothing, i64;
  Value context;
};

} // namespace

bool kernels::useParallelFor(ModuleOp module, LLVM::LLVMFuncOp body, ArrayAttr passthrough) {
  SmallVector<LLVM::CallOp> calls;
  body.walk([&](LLVM::CallOp call) {
    auto callee = call.getCallee() ? module.lookupSymbol<LLVM::LLVMFuncOp>(*call.getCallee()) : LLVM::LLVMFuncOp();
    if (!callee || !callee->hasAttr(kParallelAttr))
      return;
    callee.setLinkage(LLVM::Linkage::Internal);
    callee.setPassthroughAttr(passthrough);
    calls.push_back(call);
  });
  if (calls.empty())
    return false;
  Rewriter(module, body).run(calls);
  return true;
}
