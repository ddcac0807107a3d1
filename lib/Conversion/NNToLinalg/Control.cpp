//===- Control.cpp - Control flow inside a kernel -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "Emitter.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

namespace penstock::linalg_lowering {
using namespace nn;

namespace {

SmallVector<Assumption> getAssumptions(std::optional<ExtentsAttr> exprs, std::optional<ArrayAttr> reasons) {
  SmallVector<Assumption> result;
  if (exprs && reasons)
    for (auto [i, reason] : llvm::enumerate(reasons->getAsRange<StringAttr>()))
      result.push_back({exprs->getExprs()[2 * i], exprs->getExprs()[2 * i + 1], reason.getValue()});
  return result;
}

LLVM::LLVMFuncOp getFunction(ModuleOp module, StringRef name, Type result, ArrayRef<Type> arguments) {
  if (auto known = module.lookupSymbol<LLVM::LLVMFuncOp>(name))
    return known;
  OpBuilder b = OpBuilder::atBlockBegin(module.getBody());
  return b.create<LLVM::LLVMFuncOp>(module.getLoc(), name, LLVM::LLVMFunctionType::get(result, arguments));
}

/// The runtime's `int32_t rt_check(ctx, lhs, rhs, what)`.
LLVM::LLVMFuncOp getCheckFunction(ModuleOp module) {
  MLIRContext *context = module.getContext();
  Type pointer = LLVM::LLVMPointerType::get(context), i64 = IntegerType::get(context, 64);
  return getFunction(module, "rt_check", IntegerType::get(context, 32), {pointer, i64, i64, pointer});
}

/// The address of a zero-terminated text in the object.
Value getText(Emitter &e, Location loc, ModuleOp module, StringRef text) {
  OpBuilder b = OpBuilder::atBlockBegin(module.getBody());
  std::string name = "text_" + std::to_string(llvm::range_size(module.getOps<LLVM::GlobalOp>()));
  auto type = LLVM::LLVMArrayType::get(b.getI8Type(), text.size() + 1);
  std::string bytes = text.str();
  bytes.push_back('\0');
  auto global =
      b.create<LLVM::GlobalOp>(loc, type, /*isConstant=*/true, LLVM::Linkage::Internal, name, b.getStringAttr(bytes));
  return e.b.create<LLVM::AddressOfOp>(loc, global);
}

/// Lowers the ops of a branch at the insertion point; gives what it yields.
FailureOr<SmallVector<Value>> emitOps(Emitter &e, Region &region) {
  for (Operation &op : region.front().without_terminator())
    if (failed(e.emit(&op)))
      return failure();
  SmallVector<Value> yielded;
  for (Value value : region.front().getTerminator()->getOperands())
    yielded.push_back(e.get(value));
  return yielded;
}

Value toI64(Emitter &e, Location loc, Value index) {
  return e.b.create<arith::IndexCastOp>(loc, e.b.getI64Type(), index);
}

/// A processor calls the runtime; a device, which cannot, leaves the number of the assumption.
void report(Emitter &e, Location loc, const Assumption &assumption, Value left, Value right, ModuleOp module) {
  if (e.verdict) {
    e.assumptions.push_back(assumption);
    Value number = e.b.create<arith::ConstantIntOp>(loc, e.assumptions.size(), 64);
    e.b.create<memref::StoreOp>(loc, number, e.verdict, e.index(loc, e.constantExpr(0)));
    return;
  }
  Value arguments[] = {e.context, toI64(e, loc, left), toI64(e, loc, right),
                       getText(e, loc, module, assumption.reason)};
  e.b.create<LLVM::CallOp>(loc, getCheckFunction(module), arguments);
}

/// The branch where all assumptions hold; else the first that does not is reported, and the results are anything.
FailureOr<SmallVector<Value>> emitChecked(Emitter &e, Region &region, ArrayRef<Assumption> assumptions) {
  if (assumptions.empty())
    return emitOps(e, region);
  Location loc = region.getLoc();
  Assumption first = assumptions.front();
  Value left = e.index(loc, first.left), right = e.index(loc, first.right);
  Value equal = e.b.create<arith::CmpIOp>(loc, arith::CmpIPredicate::eq, left, right);
  Operation *terminator = region.front().getTerminator();
  SmallVector<Type> types;
  for (Value value : terminator->getOperands())
    types.push_back(Emitter::storageType(Emitter::typeOf(value)));
  auto made = e.b.create<scf::IfOp>(loc, types, equal, /*addThenBlock=*/true, /*addElseBlock=*/true);
  OpBuilder::InsertionGuard guard(e.b);
  e.b.setInsertionPointToEnd(made.thenBlock());
  FailureOr<SmallVector<Value>> yielded = emitChecked(e, region, assumptions.drop_front());
  if (failed(yielded))
    return failure();
  e.b.create<scf::YieldOp>(loc, *yielded);
  e.b.setInsertionPointToEnd(made.elseBlock());
  report(e, loc, first, left, right, made->getParentOfType<ModuleOp>());
  SmallVector<Value> anything;
  for (Value value : terminator->getOperands())
    anything.push_back(e.zeros(loc, Emitter::typeOf(value)));
  e.b.create<scf::YieldOp>(loc, anything);
  return SmallVector<Value>(made.getResults());
}

LogicalResult emitBranch(Emitter &e, Region &region, Block *block, ArrayRef<Assumption> assumptions) {
  OpBuilder::InsertionGuard guard(e.b);
  e.b.setInsertionPointToEnd(block);
  FailureOr<SmallVector<Value>> yielded = emitChecked(e, region, assumptions);
  if (failed(yielded))
    return failure();
  e.b.create<scf::YieldOp>(region.getLoc(), *yielded);
  return success();
}

} // namespace

void openVerdict(Emitter &e, Location loc) {
  e.verdict = e.b.create<memref::AllocOp>(loc, MemRefType::get({1}, e.b.getI64Type()));
  Value zero = e.b.create<arith::ConstantIntOp>(loc, 0, 64);
  e.b.create<memref::StoreOp>(loc, zero, e.verdict, e.index(loc, e.constantExpr(0)));
}

void closeVerdict(Emitter &e, Location loc, ModuleOp module) {
  Type pointer = LLVM::LLVMPointerType::get(e.b.getContext()), i64 = e.b.getI64Type();
  Type array = LLVM::LLVMArrayType::get(i64, 1);
  auto descriptor = LLVM::LLVMStructType::getLiteral(e.b.getContext(), {pointer, pointer, i64, array, array});
  Value word = e.b.create<LLVM::ExtractValueOp>(
      loc, e.b.create<UnrealizedConversionCastOp>(loc, descriptor, e.verdict).getResult(0), ArrayRef<int64_t>{1});
  LLVM::LLVMFuncOp function = getFunction(module, kVerdictFunction, LLVM::LLVMVoidType::get(e.b.getContext()),
                                          {pointer, i64, i64, i64, pointer});
  for (auto [i, assumption] : llvm::enumerate(e.assumptions)) {
    Value number = e.b.create<LLVM::ConstantOp>(loc, i64, e.b.getI64IntegerAttr(i + 1));
    Value left = toI64(e, loc, e.index(loc, assumption.left)), right = toI64(e, loc, e.index(loc, assumption.right));
    e.b.create<LLVM::CallOp>(loc, function,
                             ValueRange{word, number, left, right, getText(e, loc, module, assumption.reason)});
  }
}

LogicalResult emitIf(Emitter &e, IfOp op) {
  Location loc = op.getLoc();
  RankedTensorType conditionType = Emitter::typeOf(op.getCondition());
  SmallVector<Value> zeros(conditionType.getRank(), e.index(loc, e.constantExpr(0)));
  Value condition = e.b.create<tensor::ExtractOp>(loc, e.get(op.getCondition()), zeros);
  SmallVector<Type> types;
  for (Value result : op.getResults())
    types.push_back(Emitter::storageType(Emitter::typeOf(result)));
  auto made = e.b.create<scf::IfOp>(loc, types, condition, /*addThenBlock=*/true, /*addElseBlock=*/true);
  if (failed(emitBranch(e, op.getThenRegion(), made.thenBlock(),
                        getAssumptions(op.getThenAssumes(), op.getThenReasons()))) ||
      failed(emitBranch(e, op.getElseRegion(), made.elseBlock(),
                        getAssumptions(op.getElseAssumes(), op.getElseReasons()))))
    return failure();
  for (auto [result, value] : llvm::zip(op.getResults(), made.getResults()))
    e.set(result, value);
  return success();
}

} // namespace penstock::linalg_lowering
