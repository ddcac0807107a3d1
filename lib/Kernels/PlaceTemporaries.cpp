//===- PlaceTemporaries.cpp - Storage of a kernel's temporaries -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A kernel never allocates. What bufferization left as memref.alloc goes to the stack if it is static and small, else
// to a range of the workspace, whose size is an expression over the kernel's symbols that the caller evaluates.
//
//===----------------------------------------------------------------------===//

#include "Passes.h"
#include "penstock/Dialect/NN/IR/Extents.h"
#include "penstock/Kernels/ExtentFinder.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace penstock;
using namespace penstock::kernels;

namespace {

class PlaceTemporariesPass : public PassWrapper<PlaceTemporariesPass, OperationPass<func::FuncOp>> {
public:
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(PlaceTemporariesPass)
  explicit PlaceTemporariesPass(int64_t maxStackBytes) : maxStackBytes(maxStackBytes) {}
  StringRef getArgument() const override { return "kernel-place-temporaries"; }

  void runOnOperation() override {
    func::FuncOp function = getOperation();
    SmallVector<memref::AllocOp> allocs;
    function.walk([&](memref::AllocOp op) { allocs.push_back(op); });
    function.walk([](memref::DeallocOp op) { op.erase(); });
    for (BlockArgument argument : function.getArguments()) {
      if (argument.getType().isIndex())
        symbols.push_back(argument);
      else
        workspacePointer = argument;
    }
    finder.emplace(function);
    used = getAffineConstantExpr(0, &getContext());
    OpBuilder builder(&getContext());
    builder.setInsertionPointToStart(&function.front());
    // Uses may precede the place where an alloc stands now only in other blocks, so the entry dominates them all.
    for (memref::AllocOp alloc : allocs)
      if (failed(place(alloc, builder)))
        return signalPassFailure();
    function->setAttr(kWorkspaceAttr, AffineMapAttr::get(AffineMap::get(0, symbols.size(), used)));
  }

private:
  LogicalResult place(memref::AllocOp alloc, OpBuilder &builder) {
    MemRefType type = alloc.getType();
    if (type.hasStaticShape() &&
        type.getNumElements() * nn::getElementBytes(type.getElementType()) + stackBytes <= maxStackBytes) {
      stackBytes += llvm::alignTo(type.getNumElements() * nn::getElementBytes(type.getElementType()), kAlignment);
      replace(alloc, builder.create<memref::AllocaOp>(alloc.getLoc(), type, ValueRange(), ValueRange(),
                                                      builder.getI64IntegerAttr(kAlignment)));
      return success();
    }
    return placeInWorkspace(alloc, builder);
  }

  LogicalResult placeInWorkspace(memref::AllocOp alloc, OpBuilder &builder) {
    MemRefType type = alloc.getType();
    Location loc = alloc.getLoc();
    AffineExpr bytes = getAffineConstantExpr(nn::getElementBytes(type.getElementType()), &getContext());
    SmallVector<Value> sizes;
    for (int64_t i = 0, dynamic = 0; i < type.getRank(); ++i) {
      AffineExpr extent = type.isDynamicDim(i) ? finder->find(alloc.getDynamicSizes()[dynamic++])
                                               : getAffineConstantExpr(type.getDimSize(i), &getContext());
      if (!extent)
        return alloc.emitError() << "a temporary's size depends on more than the kernel's symbols";
      bytes = bytes * extent;
      if (type.isDynamicDim(i))
        sizes.push_back(value(builder, loc, extent));
    }
    if (!type.getLayout().isIdentity())
      return alloc.emitError() << "a temporary has the layout " << type.getLayout() << "; expected row-major";
    Value offset = value(builder, loc, used);
    replace(alloc, builder.create<memref::ViewOp>(loc, type, getWorkspace(builder, loc), offset, sizes));
    used = nn::simplifyExtent(used + nn::simplifyExtent(bytes).ceilDiv(kAlignment) * kAlignment);
    return success();
  }

  void replace(memref::AllocOp alloc, Value storage) {
    alloc.replaceAllUsesWith(storage);
    alloc.erase();
  }

  Value value(OpBuilder &builder, Location loc, AffineExpr expr) {
    if (std::optional<int64_t> constant = nn::getConstant(expr))
      return builder.create<arith::ConstantIndexOp>(loc, *constant);
    return builder.create<affine::AffineApplyOp>(loc, AffineMap::get(0, symbols.size(), expr), symbols);
  }

  /// The workspace as bytes; its extent is never read.
  Value getWorkspace(OpBuilder &builder, Location loc) {
    if (workspace)
      return workspace;
    Type pointer = workspacePointer.getType(), i64 = builder.getI64Type();
    Type array = LLVM::LLVMArrayType::get(i64, 1);
    auto structType = LLVM::LLVMStructType::getLiteral(&getContext(), {pointer, pointer, i64, array, array});
    Value descriptor = builder.create<LLVM::UndefOp>(loc, structType);
    Value zero = builder.create<LLVM::ConstantOp>(loc, i64, builder.getI64IntegerAttr(0));
    Value one = builder.create<LLVM::ConstantOp>(loc, i64, builder.getI64IntegerAttr(1));
    Value most = builder.create<LLVM::ConstantOp>(loc, i64, builder.getI64IntegerAttr(INT64_MAX));
    auto insert = [&](Value field, ArrayRef<int64_t> position) {
      descriptor = builder.create<LLVM::InsertValueOp>(loc, descriptor, field, position);
    };
    insert(workspacePointer, 0);
    insert(workspacePointer, 1);
    insert(zero, 2);
    insert(most, {3, 0});
    insert(one, {4, 0});
    auto type = MemRefType::get({ShapedType::kDynamic}, builder.getI8Type());
    workspace = builder.create<UnrealizedConversionCastOp>(loc, type, descriptor).getResult(0);
    return workspace;
  }

  std::optional<ExtentFinder> finder;
  SmallVector<Value> symbols;
  Value workspacePointer, workspace;
  AffineExpr used;
  int64_t maxStackBytes, stackBytes = 0;
};

} // namespace

std::unique_ptr<Pass> kernels::createPlaceTemporariesPass(int64_t maxStackBytes) {
  return std::make_unique<PlaceTemporariesPass>(maxStackBytes);
}
