//===- NNToLinalg.cpp - One kernel as linalg on tensors -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "penstock/Conversion/NNToLinalg/NNToLinalg.h"
#include "Emitter.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace penstock {
using namespace mlir;
using linalg_lowering::Emitter;

/// What RT_ALIGNMENT of the runtime's header promises for every buffer.
static constexpr int64_t kAlignment = 64;

Type getStorageType(Type type) {
  if (auto integer = dyn_cast<IntegerType>(type))
    return IntegerType::get(type.getContext(), integer.getWidth());
  return type;
}

void registerLinalgDialects(DialectRegistry &registry) {
  registry.insert<affine::AffineDialect, arith::ArithDialect, bufferization::BufferizationDialect, func::FuncDialect,
                  linalg::LinalgDialect, LLVM::LLVMDialect, math::MathDialect, memref::MemRefDialect, nn::NNDialect,
                  scf::SCFDialect, tensor::TensorDialect, vector::VectorDialect>();
}

namespace {

class KernelLowering {
public:
  KernelLowering(nn::KernelDefOp kernel, ModuleOp module, LoopStyle style)
      : kernel(kernel), module(module), style(style), b(module.getContext()) {
    kernel.walk([&](nn::IfOp op) { mayFail |= op.getThenAssumes() || op.getElseAssumes(); });
    takesContext = mayFail && style == LoopStyle::Rows;
  }

  FailureOr<func::FuncOp> run(StringRef name) {
    func::FuncOp function = createFunction(name);
    Block *entry = function.addEntryBlock();
    b.setInsertionPointToStart(entry);
    size_t numPointers = takesContext + numInputs() + numResults() + 1;
    SmallVector<Value> symbols(entry->getArguments().drop_front(numPointers));
    Emitter emitter(b, symbols, style);
    if (takesContext)
      emitter.context = entry->getArgument(0);
    for (auto [i, argument] : llvm::enumerate(kernel.getBody().getArguments())) {
      Value memref = makeMemRef(emitter, entry->getArgument(takesContext + i), Emitter::typeOf(argument));
      emitter.setBuffer(argument, memref);
      emitter.set(argument, b.create<bufferization::ToTensorOp>(kernel.getLoc(), memref, /*restrict=*/true));
    }
    // Results come before what makes them, so that it may be made in place.
    SmallVector<Value> outputs;
    for (auto [i, value] : llvm::enumerate(kernel.getYield()->getOperands())) {
      outputs.push_back(
          makeMemRef(emitter, entry->getArgument(takesContext + numInputs() + i), Emitter::typeOf(value)));
      if (value.hasOneUse())
        emitter.setDestination(value, outputs.back());
    }
    if (mayFail && !takesContext)
      linalg_lowering::openVerdict(emitter, kernel.getLoc());
    for (Operation &op : kernel.getBody().front().without_terminator())
      if (!emitter.isWritten(&op) && failed(emitter.emit(&op))) {
        function.erase();
        return failure();
      }
    for (auto [value, memref] : llvm::zip(kernel.getYield()->getOperands(), outputs))
      if (!value.getDefiningOp() || !emitter.isWritten(value.getDefiningOp()))
        b.create<bufferization::MaterializeInDestinationOp>(kernel.getLoc(), /*result=*/Type(), emitter.get(value),
                                                            memref,
                                                            /*restrict=*/true, /*writable=*/true);
    if (emitter.verdict)
      linalg_lowering::closeVerdict(emitter, kernel.getLoc(), module);
    b.create<func::ReturnOp>(kernel.getLoc());
    return function;
  }

private:
  size_t numInputs() { return kernel.getBody().getNumArguments(); }
  size_t numResults() { return kernel.getYield()->getNumOperands(); }

  func::FuncOp createFunction(StringRef name) {
    size_t numPointers = takesContext + numInputs() + numResults() + 1;
    SmallVector<Type> types(numPointers, LLVM::LLVMPointerType::get(b.getContext()));
    types.append(kernel.getNumSymbols(), b.getIndexType());
    b.setInsertionPointToEnd(module.getBody());
    auto function = b.create<func::FuncOp>(kernel.getLoc(), name, b.getFunctionType(types, {}));
    function.setPrivate();
    if (takesContext)
      function->setAttr(kContextAttr, b.getUnitAttr());
    for (size_t i = takesContext; i < numPointers; ++i) {
      function.setArgAttr(i, LLVM::LLVMDialect::getNoAliasAttrName(), b.getUnitAttr());
      function.setArgAttr(i, LLVM::LLVMDialect::getAlignAttrName(), b.getI64IntegerAttr(kAlignment));
    }
    return function;
  }

  /// A row-major memref over a pointer: its descriptor, put together by hand, so that the pointer stays an argument of
  /// its own with its attributes.
  Value makeMemRef(Emitter &emitter, Value pointer, RankedTensorType type) {
    Location loc = kernel.getLoc();
    RankedTensorType storage = Emitter::storageType(type);
    auto memrefType = MemRefType::get(storage.getShape(), storage.getElementType());
    Type i64 = b.getI64Type();
    SmallVector<Type> fields{pointer.getType(), pointer.getType(), i64};
    if (type.getRank() > 0)
      fields.append(2, LLVM::LLVMArrayType::get(i64, type.getRank()));
    auto structType = LLVM::LLVMStructType::getLiteral(b.getContext(), fields);
    Value descriptor = b.create<LLVM::UndefOp>(loc, structType);
    auto insert = [&](Value value, ArrayRef<int64_t> position) {
      descriptor = b.create<LLVM::InsertValueOp>(loc, descriptor, value, position);
    };
    insert(pointer, 0);
    insert(pointer, 1);
    insert(b.create<LLVM::ConstantOp>(loc, i64, b.getI64IntegerAttr(0)), 2);
    AffineExpr stride = b.getAffineConstantExpr(1);
    SmallVector<AffineExpr> extents = nn::getExtents(type);
    for (int64_t i = type.getRank() - 1; i >= 0; --i) {
      insert(toI64(emitter.index(loc, extents[i])), {3, i});
      insert(toI64(emitter.index(loc, nn::simplifyExtent(stride))), {4, i});
      stride = stride * extents[i];
    }
    return b.create<UnrealizedConversionCastOp>(loc, memrefType, descriptor).getResult(0);
  }

  Value toI64(Value index) { return b.create<arith::IndexCastOp>(kernel.getLoc(), b.getI64Type(), index); }

  nn::KernelDefOp kernel;
  ModuleOp module;
  LoopStyle style;
  OpBuilder b;
  bool mayFail = false, takesContext = false;
};

} // namespace

FailureOr<func::FuncOp> lowerKernelToLinalg(nn::KernelDefOp kernel, ModuleOp module, StringRef name, LoopStyle style) {
  return KernelLowering(kernel, module, style).run(name);
}

} // namespace penstock
