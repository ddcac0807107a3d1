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

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/Dominance.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace penstock;
using namespace penstock::kernels;

namespace {

/// Bytes of the stack that a kernel may use.
constexpr int64_t kMaxStackBytes = 8192;

/// Index values as expressions over the function's index arguments.
class ExtentFinder {
public:
  explicit ExtentFinder(func::FuncOp function) : context(function.getContext()) {
    for (BlockArgument argument : function.getArguments())
      if (argument.getType().isIndex())
        known[argument] = getAffineSymbolExpr(numSymbols++, context);
  }

  /// Null if the value depends on more than the symbols.
  AffineExpr find(Value value) {
    auto [it, isNew] = known.try_emplace(value, AffineExpr());
    if (!isNew)
      return it->second;
    AffineExpr expr = compute(value);
    return known[value] = expr;
  }

private:
  AffineExpr compute(Value value) {
    if (std::optional<int64_t> constant = getConstantIntValue(value))
      return getAffineConstantExpr(*constant, context);
    Operation *op = value.getDefiningOp();
    if (!op)
      return {};
    if (auto apply = dyn_cast<affine::AffineApplyOp>(op))
      return applyMap(apply.getAffineMap(), apply.getMapOperands());
    if (auto dim = dyn_cast<memref::DimOp>(op))
      return extentOf(dim);
    if (isa<arith::IndexCastOp>(op))
      return find(op->getOperand(0));
    return binary(op);
  }

  AffineExpr applyMap(AffineMap map, ValueRange operands) {
    SmallVector<AffineExpr> values;
    for (Value operand : operands) {
      values.push_back(find(operand));
      if (!values.back())
        return {};
    }
    ArrayRef<AffineExpr> all = values;
    return map.getResult(0).replaceDimsAndSymbols(all.take_front(map.getNumDims()), all.drop_front(map.getNumDims()));
  }

  AffineExpr binary(Operation *op) {
    if (op->getNumOperands() != 2 || !isa<arith::AddIOp, arith::SubIOp, arith::MulIOp, arith::FloorDivSIOp,
                                          arith::CeilDivSIOp, arith::DivSIOp, arith::DivUIOp>(op))
      return {};
    AffineExpr lhs = find(op->getOperand(0)), rhs = find(op->getOperand(1));
    if (!lhs || !rhs)
      return {};
    if (isa<arith::AddIOp>(op))
      return lhs + rhs;
    if (isa<arith::SubIOp>(op))
      return lhs - rhs;
    if (isa<arith::MulIOp>(op))
      return lhs * rhs;
    if (isa<arith::CeilDivSIOp>(op))
      return lhs.ceilDiv(rhs);
    return lhs.floorDiv(rhs);
  }

  AffineExpr extentOf(memref::DimOp dim) {
    std::optional<int64_t> axis = dim.getConstantIndex();
    return axis ? extentOf(dim.getSource(), *axis) : AffineExpr();
  }

  AffineExpr findMixed(OpFoldResult size) {
    if (auto value = dyn_cast<Value>(size))
      return find(value);
    return getAffineConstantExpr(*getConstantIntValue(size), context);
  }

  AffineExpr extentOf(Value memref, int64_t axis) {
    auto type = dyn_cast<MemRefType>(memref.getType());
    Operation *source = memref.getDefiningOp();
    if (!type || !source)
      return {};
    if (!type.isDynamicDim(axis))
      return getAffineConstantExpr(type.getDimSize(axis), context);
    if (auto cast = dyn_cast<UnrealizedConversionCastOp>(source))
      return extentOfDescriptor(cast.getInputs()[0], axis);
    if (auto alloc = dyn_cast<memref::AllocOp>(source))
      return find(alloc.getDynamicSizes()[type.getDynamicDimIndex(axis)]);
    if (auto view = dyn_cast<memref::ViewOp>(source))
      return find(view.getSizes()[type.getDynamicDimIndex(axis)]);
    if (auto expand = dyn_cast<memref::ExpandShapeOp>(source))
      return find(Value(expand.getOutputShape()[type.getDynamicDimIndex(axis)]));
    if (auto cast = dyn_cast<memref::CastOp>(source))
      return extentOf(cast.getSource(), axis);
    if (auto collapse = dyn_cast<memref::CollapseShapeOp>(source))
      return extentOfGroup(collapse, axis);
    if (auto slice = dyn_cast<memref::SubViewOp>(source))
      if (slice.getSourceType().getRank() == type.getRank())
        return findMixed(slice.getMixedSizes()[axis]);
    return {};
  }

  AffineExpr extentOfGroup(memref::CollapseShapeOp collapse, int64_t axis) {
    AffineExpr product = getAffineConstantExpr(1, context);
    for (int64_t inner : collapse.getReassociationIndices()[axis]) {
      AffineExpr extent = extentOf(collapse.getSrc(), inner);
      if (!extent)
        return {};
      product = product * extent;
    }
    return product;
  }

  /// The value that was put at position [3, axis] of the descriptor.
  AffineExpr extentOfDescriptor(Value descriptor, int64_t axis) {
    while (auto insert = descriptor.getDefiningOp<LLVM::InsertValueOp>()) {
      if (insert.getPosition() == ArrayRef<int64_t>{3, axis})
        return find(insert.getValue());
      descriptor = insert.getContainer();
    }
    return {};
  }

  MLIRContext *context;
  DenseMap<Value, AffineExpr> known;
  unsigned numSymbols = 0;
};

class PlaceTemporariesPass : public PassWrapper<PlaceTemporariesPass, OperationPass<func::FuncOp>> {
public:
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(PlaceTemporariesPass)
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
        type.getNumElements() * nn::getElementBytes(type.getElementType()) + stackBytes <= kMaxStackBytes) {
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
  int64_t stackBytes = 0;
};

} // namespace

std::unique_ptr<Pass> kernels::createPlaceTemporariesPass() { return std::make_unique<PlaceTemporariesPass>(); }
