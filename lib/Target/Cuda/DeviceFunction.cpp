//===- DeviceFunction.cpp - A gpu.func and its launch -----------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "DeviceFunction.h"
#include "penstock/Dialect/NN/IR/Extents.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include "llvm/ADT/BitVector.h"

namespace penstock::cuda {

Value getBase(Value memref) {
  while (Operation *op = memref.getDefiningOp()) {
    auto view = dyn_cast<ViewLikeOpInterface>(op);
    if (!view || isa<memref::ViewOp>(op))
      break;
    memref = view.getViewSource();
  }
  return memref;
}

bool isRepeatable(Operation *op) { return isMemoryEffectFree(op) || isa<UnrealizedConversionCastOp>(op); }

void eraseUnused(func::FuncOp host) {
  SmallVector<Operation *> ops;
  for (Operation &op : host.getBody().front().without_terminator())
    ops.push_back(&op);
  for (Operation *op : llvm::reverse(ops))
    if (op->use_empty() && (isRepeatable(op) || isa<memref::LoadOp>(op)))
      op->erase();
}

AffineExpr ceilDiv(AffineExpr numerator, int64_t divisor) { return nn::simplifyExtent(numerator.ceilDiv(divisor)); }

AffineExpr product(MLIRContext *context, ArrayRef<AffineExpr> factors) {
  AffineExpr result = getAffineConstantExpr(1, context);
  for (AffineExpr factor : factors)
    result = result * factor;
  return nn::simplifyExtent(result);
}

DeviceFunction::DeviceFunction(func::FuncOp host, gpu::GPUModuleOp device, Operation *anchor, BlockShape block,
                               ArrayRef<MemRefType> shared)
    : b(host.getContext()), loc(anchor->getLoc()), host(host), anchor(anchor), block(block) {
  b.setInsertionPointToEnd(device.getBody());
  if (!device.getBody()->empty() && device.getBody()->back().hasTrait<OpTrait::IsTerminator>())
    b.setInsertionPoint(&device.getBody()->back());
  std::string name = "f" + std::to_string(llvm::range_size(device.getOps<gpu::GPUFuncOp>()));
  SmallVector<Type> sharedTypes(shared);
  function = b.create<gpu::GPUFuncOp>(loc, name, host.getFunctionType(), sharedTypes);
  function->setAttr(gpu::GPUDialect::getKernelFuncAttrName(), b.getUnitAttr());
  function.setKnownBlockSizeAttr(b.getDenseI32ArrayAttr(block));
  if (ArrayAttr attributes = host.getAllArgAttrs())
    function.setAllArgAttrs(attributes);
  b.setInsertionPointToStart(&function.getBody().front());
  for (auto [outer, inner] : llvm::zip(host.getArguments(), function.getBody().front().getArguments()))
    values.map(outer, inner);
  begin = b.create<gpu::BlockIdOp>(loc, gpu::Dimension::x);
  beginBranches();
}

void DeviceFunction::beginBranches() {
  SmallVector<std::pair<Value, bool>> branches; // condition, and what it must be; innermost first
  for (Operation *op = anchor; op->getParentOp() != host; op = op->getParentOp()) {
    auto branch = cast<scf::IfOp>(op->getParentOp());
    branches.push_back({branch.getCondition(), op->getParentRegion() == &branch.getThenRegion()});
  }
  for (auto [condition, expected] : llvm::reverse(branches)) {
    Value holds = get(condition);
    if (!expected)
      holds = b.create<arith::XOrIOp>(loc, holds, b.create<arith::ConstantOp>(loc, b.getBoolAttr(true)));
    auto op = b.create<scf::IfOp>(loc, holds, /*withElseRegion=*/false);
    b.setInsertionPointToStart(op.thenBlock());
    begin = b.create<gpu::BlockIdOp>(loc, gpu::Dimension::x);
  }
}

Value DeviceFunction::get(Value hostValue) {
  if (Value known = values.lookupOrNull(hostValue))
    return known;
  Operation *op = hostValue.getDefiningOp();
  for (Value operand : op->getOperands())
    get(operand);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(begin);
  b.clone(*op, values);
  return values.lookup(hostValue);
}

Value DeviceFunction::getShared(int64_t i) { return function.getWorkgroupAttributions()[i]; }

void DeviceFunction::clone(Operation *op, IRMapping &local) {
  op->walk([&](Operation *inner) {
    for (Value operand : inner->getOperands()) {
      Region *owner = operand.getParentRegion();
      if (!local.contains(operand) && !op->isAncestor(owner->getParentOp()))
        local.map(operand, get(operand));
    }
  });
  b.clone(*op, local);
}

Value DeviceFunction::index(int64_t number) { return b.create<arith::ConstantIndexOp>(loc, number); }

Value DeviceFunction::index(AffineExpr expr) {
  if (std::optional<int64_t> constant = nn::getConstant(expr))
    return index(*constant);
  SmallVector<Value> symbols;
  for (BlockArgument argument : host.getArguments())
    if (argument.getType().isIndex())
      symbols.push_back(get(argument));
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(begin);
  return b.create<affine::AffineApplyOp>(loc, AffineMap::get(0, symbols.size(), expr), symbols);
}

Value DeviceFunction::add(Value lhs, Value rhs) { return b.create<arith::AddIOp>(loc, lhs, rhs); }
Value DeviceFunction::multiply(Value lhs, Value rhs) { return b.create<arith::MulIOp>(loc, lhs, rhs); }
Value DeviceFunction::isBelow(Value lhs, Value rhs) {
  return b.create<arith::CmpIOp>(loc, arith::CmpIPredicate::slt, lhs, rhs);
}

Value DeviceFunction::isEqual(Value lhs, Value rhs) {
  return b.create<arith::CmpIOp>(loc, arith::CmpIPredicate::eq, lhs, rhs);
}

Value DeviceFunction::thread(gpu::Dimension dimension) { return b.create<gpu::ThreadIdOp>(loc, dimension); }
Value DeviceFunction::blockNumber() { return begin->getResult(0); }

Value DeviceFunction::threadNumber() {
  Value first = multiply(blockNumber(), index(block[0]));
  return add(first, thread(gpu::Dimension::x));
}

SmallVector<Value> DeviceFunction::delinearize(Value flat, ArrayRef<AffineExpr> extents) {
  SmallVector<Value> position(extents.size());
  for (int64_t i = extents.size() - 1; i > 0; --i) {
    Value extent = index(extents[i]);
    position[i] = b.create<arith::RemUIOp>(loc, flat, extent);
    flat = b.create<arith::DivUIOp>(loc, flat, extent);
  }
  if (!extents.empty())
    position[0] = flat;
  return position;
}

void DeviceFunction::when(Value condition, function_ref<void()> body) {
  auto op = b.create<scf::IfOp>(loc, condition, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(op.thenBlock());
  body();
}

SmallVector<Value> DeviceFunction::loop(Value low, Value high, Value step, ValueRange carried,
                                        function_ref<SmallVector<Value>(Value, ValueRange)> body) {
  auto op = b.create<scf::ForOp>(loc, low, high, step, carried);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(op.getBody());
  SmallVector<Value> next = body(op.getInductionVar(), op.getRegionIterArgs());
  if (!next.empty())
    b.create<scf::YieldOp>(loc, next);
  return SmallVector<Value>(op.getResults());
}

SmallVector<Value> DeviceFunction::mapIndices(AffineMap map, ValueRange position) {
  SmallVector<Value> indices;
  for (AffineExpr expr : map.getResults()) {
    if (auto dim = dyn_cast<AffineDimExpr>(expr))
      indices.push_back(position[dim.getPosition()]);
    else if (auto constant = dyn_cast<AffineConstantExpr>(expr))
      indices.push_back(index(constant.getValue()));
    else
      indices.push_back(b.create<affine::AffineApplyOp>(loc, AffineMap::get(map.getNumDims(), 0, expr), position));
  }
  return indices;
}

Value DeviceFunction::load(OpOperand &operand, ValueRange position) {
  auto op = cast<linalg::GenericOp>(operand.getOwner());
  SmallVector<Value> indices = mapIndices(op.getMatchingIndexingMap(&operand), position);
  if (!isa<MemRefType>(operand.get().getType()))
    return get(operand.get());
  return b.create<memref::LoadOp>(loc, get(operand.get()), indices);
}

void DeviceFunction::store(Value value, OpOperand &operand, ValueRange position) {
  auto op = cast<linalg::GenericOp>(operand.getOwner());
  SmallVector<Value> indices = mapIndices(op.getMatchingIndexingMap(&operand), position);
  b.create<memref::StoreOp>(loc, value, get(operand.get()), indices);
}

void DeviceFunction::store(ValueRange results, linalg::GenericOp op, ValueRange position) {
  for (auto [init, value] : llvm::zip(op.getDpsInitsMutable(), results))
    store(value, init, position);
}

SmallVector<Value> DeviceFunction::compute(linalg::GenericOp op, ValueRange position, ArrayRef<Value> given) {
  IRMapping local;
  for (OpOperand &operand : op->getOpOperands()) {
    BlockArgument argument = op.getMatchingBlockArgument(&operand);
    Value known = operand.getOperandNumber() < given.size() ? given[operand.getOperandNumber()] : Value();
    if (!argument.use_empty())
      local.map(argument, known ? known : load(operand, position));
  }
  for (Operation &inner : op.getBody()->without_terminator()) {
    if (auto number = dyn_cast<linalg::IndexOp>(inner))
      local.map(number.getResult(), position[number.getDim()]);
    else
      clone(&inner, local);
  }
  SmallVector<Value> results;
  for (Value yielded : op.getBody()->getTerminator()->getOperands())
    results.push_back(local.contains(yielded) ? local.lookup(yielded) : get(yielded));
  return results;
}

Value DeviceFunction::combine(Operation *combiner, Value lhs, Value rhs) {
  IRMapping operands;
  Operation *made = b.clone(*combiner, operands);
  made->setOperands({lhs, rhs});
  return made->getResult(0);
}

void DeviceFunction::finish(AffineExpr numBlocks) {
  b.setInsertionPointToEnd(&function.getBody().front());
  b.create<gpu::ReturnOp>(loc);
  llvm::BitVector unused(function.getNumArguments());
  SmallVector<Value> operands;
  for (auto [i, outer] : llvm::enumerate(host.getArguments())) {
    if (function.getArgument(i).use_empty())
      unused.set(i);
    else
      operands.push_back(outer);
  }
  function.eraseArguments(unused);
  OpBuilder at(host.getBody().front().findAncestorOpInBlock(*anchor));
  auto constant = [&](int64_t value) -> Value { return at.create<arith::ConstantIndexOp>(loc, value); };
  SmallVector<Value> symbols;
  for (BlockArgument argument : host.getArguments())
    if (argument.getType().isIndex())
      symbols.push_back(argument);
  std::optional<int64_t> fixed = nn::getConstant(numBlocks);
  Value blocks = fixed ? constant(*fixed)
                       : at.create<affine::AffineApplyOp>(loc, AffineMap::get(0, symbols.size(), numBlocks), symbols);
  Value one = constant(1);
  at.create<gpu::LaunchFuncOp>(loc, function, gpu::KernelDim3{blocks, one, one},
                               gpu::KernelDim3{constant(block[0]), constant(block[1]), constant(block[2])},
                               /*dynamicSharedMemorySize=*/Value(), operands);
}

} // namespace penstock::cuda
