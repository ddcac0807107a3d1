//===- ExtentFinder.cpp - Extents of buffers from symbols - -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "penstock/Kernels/ExtentFinder.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;
using namespace penstock::kernels;

ExtentFinder::ExtentFinder(func::FuncOp function) : context(function.getContext()) {
  for (BlockArgument argument : function.getArguments())
    if (argument.getType().isIndex())
      known[argument] = getAffineSymbolExpr(numSymbols++, context);
}

AffineExpr ExtentFinder::find(Value value) {
  auto [it, isNew] = known.try_emplace(value, AffineExpr());
  if (!isNew)
    return it->second;
  AffineExpr expr = compute(value);
  return known[value] = expr;
}

AffineExpr ExtentFinder::compute(Value value) {
  if (std::optional<int64_t> constant = getConstantIntValue(value))
    return getAffineConstantExpr(*constant, context);
  Operation *op = value.getDefiningOp();
  if (!op)
    return {};
  if (auto apply = dyn_cast<affine::AffineApplyOp>(op))
    return applyMap(apply.getAffineMap(), apply.getMapOperands());
  if (auto dim = dyn_cast<memref::DimOp>(op)) {
    std::optional<int64_t> axis = dim.getConstantIndex();
    return axis ? extentOf(dim.getSource(), *axis) : AffineExpr();
  }
  if (isa<arith::IndexCastOp>(op))
    return find(op->getOperand(0));
  return binary(op);
}

AffineExpr ExtentFinder::applyMap(AffineMap map, ValueRange operands) {
  SmallVector<AffineExpr> values;
  for (Value operand : operands) {
    values.push_back(find(operand));
    if (!values.back())
      return {};
  }
  ArrayRef<AffineExpr> all = values;
  return map.getResult(0).replaceDimsAndSymbols(all.take_front(map.getNumDims()), all.drop_front(map.getNumDims()));
}

AffineExpr ExtentFinder::binary(Operation *op) {
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

AffineExpr ExtentFinder::findMixed(OpFoldResult size) {
  if (auto value = dyn_cast<Value>(size))
    return find(value);
  return getAffineConstantExpr(*getConstantIntValue(size), context);
}

AffineExpr ExtentFinder::extentOf(Value memref, int64_t axis) {
  auto type = dyn_cast<MemRefType>(memref.getType());
  if (type && !type.isDynamicDim(axis))
    return getAffineConstantExpr(type.getDimSize(axis), context);
  Operation *source = memref.getDefiningOp();
  if (!type || !source)
    return {};
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
  if (auto show = dyn_cast<memref::ReinterpretCastOp>(source))
    return findMixed(show.getMixedSizes()[axis]);
  if (auto choice = dyn_cast<arith::SelectOp>(source)) {
    AffineExpr extent = extentOf(choice.getTrueValue(), axis);
    return extent == extentOf(choice.getFalseValue(), axis) ? extent : AffineExpr();
  }
  if (auto collapse = dyn_cast<memref::CollapseShapeOp>(source))
    return extentOfGroup(collapse, axis);
  if (auto slice = dyn_cast<memref::SubViewOp>(source)) {
    llvm::SmallBitVector dropped = slice.getDroppedDims();
    int64_t inner = 0; // the axis of the source that is the slice's
    for (int64_t left = axis; dropped[inner] || left-- > 0;)
      ++inner;
    return findMixed(slice.getMixedSizes()[inner]);
  }
  return {};
}

AffineExpr ExtentFinder::extentOfGroup(memref::CollapseShapeOp collapse, int64_t axis) {
  AffineExpr product = getAffineConstantExpr(1, context);
  SmallVector<ReassociationIndices> groups = collapse.getReassociationIndices();
  for (int64_t inner : groups[axis]) {
    AffineExpr extent = extentOf(collapse.getSrc(), inner);
    if (!extent)
      return {};
    product = product * extent;
  }
  return product;
}

/// The value that was put at position [3, axis] of the descriptor.
AffineExpr ExtentFinder::extentOfDescriptor(Value descriptor, int64_t axis) {
  while (auto insert = descriptor.getDefiningOp<LLVM::InsertValueOp>()) {
    if (insert.getPosition() == ArrayRef<int64_t>{3, axis})
      return find(insert.getValue());
    descriptor = insert.getContainer();
  }
  return {};
}
