//===- OneDnnEmit.cpp - Objects that call oneDNN ----------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "OneDnnEmit.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/OwningOpRef.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"

#include <cstring>

using namespace mlir;
using namespace penstock;

static_assert(sizeof(rt_dnnl_desc) % sizeof(int64_t) == 0, "descriptors are tables of words");

namespace {

class Emitter {
public:
  Emitter(const OneDnnKernel &kernel, int64_t numBuffers)
      : kernel(kernel), numBuffers(numBuffers), context(makeRegistry(), MLIRContext::Threading::DISABLED),
        builder(&context), loc(UnknownLoc::get(&context)) {
    context.loadDialect<LLVM::LLVMDialect>();
    pointer = LLVM::LLVMPointerType::get(&context);
    word = builder.getI64Type();
  }

  llvm::Expected<std::string> run(StringRef symbolName, const TargetProfile &profile) {
    module = ModuleOp::create(loc);
    builder.setInsertionPointToEnd(module->getBody());
    auto nothing = LLVM::LLVMVoidType::get(&context);
    LLVM::GlobalOp descriptor = addDescriptor();
    SmallVector<LLVM::GlobalOp> constants;
    for (const std::vector<float> &values : kernel.constants)
      constants.push_back(addTable("constant_" + std::to_string(constants.size()), builder.getF32Type(),
                                   DenseElementsAttr::get(tensorOf(values.size()), ArrayRef<float>(values))));
    auto entry = builder.create<LLVM::LLVMFuncOp>(
        loc, "rt_dnnl_run", LLVM::LLVMFunctionType::get(nothing, {pointer, pointer, pointer, pointer}));
    auto function = builder.create<LLVM::LLVMFuncOp>(loc, symbolName,
                                                     LLVM::LLVMFunctionType::get(nothing, {pointer, pointer, pointer}));
    Block *block = function.addEntryBlock(builder);
    builder.setInsertionPointToStart(block);
    Value buffers = addBuffers(block->getArgument(1), constants);
    Value extents = addExtents(block->getArgument(2));
    Value address = builder.create<LLVM::AddressOfOp>(loc, descriptor);
    builder.create<LLVM::CallOp>(loc, entry, ValueRange{block->getArgument(0), address, buffers, extents});
    builder.create<LLVM::ReturnOp>(loc, ValueRange());
    return emitObject(*module, profile);
  }

private:
  static DialectRegistry makeRegistry() {
    DialectRegistry registry;
    registerBuiltinDialectTranslation(registry);
    registerLLVMDialectTranslation(registry);
    return registry;
  }

  RankedTensorType tensorOf(int64_t size) { return RankedTensorType::get(size, builder.getF32Type()); }

  LLVM::GlobalOp addTable(StringRef name, Type element, DenseElementsAttr values) {
    auto type = LLVM::LLVMArrayType::get(element, values.getNumElements());
    return builder.create<LLVM::GlobalOp>(loc, type, /*isConstant=*/true, LLVM::Linkage::Internal, name, values,
                                          RT_ALIGNMENT);
  }

  LLVM::GlobalOp addDescriptor() {
    std::vector<int64_t> words(sizeof(rt_dnnl_desc) / sizeof(int64_t));
    std::memcpy(words.data(), &kernel.desc, sizeof(rt_dnnl_desc));
    return addTable("descriptor", word, builder.getI64TensorAttr(words));
  }

  Value number(int64_t value) { return builder.create<LLVM::ConstantOp>(loc, word, builder.getI64IntegerAttr(value)); }

  Value addArray(Type element, int64_t size) {
    return builder.create<LLVM::AllocaOp>(loc, pointer, element, number(size), /*alignment=*/8);
  }

  Value at(Type element, Value array, int64_t index) {
    return builder.create<LLVM::GEPOp>(loc, pointer, element, array, LLVM::GEPArg(static_cast<int32_t>(index)));
  }

  /// The kernel's buffers, with the constants before the workspace.
  Value addBuffers(Value given, ArrayRef<LLVM::GlobalOp> constants) {
    if (constants.empty())
      return given;
    bool hasWorkspace = kernel.desc.workspace_bytes > 0;
    Value all = addArray(pointer, numBuffers + constants.size() + hasWorkspace);
    auto copy = [&](int64_t from, int64_t to) {
      Value buffer = builder.create<LLVM::LoadOp>(loc, pointer, at(pointer, given, from));
      builder.create<LLVM::StoreOp>(loc, buffer, at(pointer, all, to));
    };
    for (int64_t i = 0; i < numBuffers; ++i)
      copy(i, i);
    if (hasWorkspace)
      copy(numBuffers, kernel.desc.workspace);
    for (auto [i, constant] : llvm::enumerate(constants)) {
      Value address = builder.create<LLVM::AddressOfOp>(loc, constant);
      builder.create<LLVM::StoreOp>(loc, address, at(pointer, all, numBuffers + i));
    }
    return all;
  }

  Value addExtents(Value symbols) {
    Value all = addArray(word, kernel.extents.size());
    for (auto [i, extent] : llvm::enumerate(kernel.extents))
      builder.create<LLVM::StoreOp>(loc, compute(extent, symbols), at(word, all, i));
    return all;
  }

  /// Divisors are positive constants.
  Value compute(AffineExpr expr, Value symbols) {
    if (auto constant = dyn_cast<AffineConstantExpr>(expr))
      return number(constant.getValue());
    if (auto symbol = dyn_cast<AffineSymbolExpr>(expr))
      return builder.create<LLVM::LoadOp>(loc, word, at(word, symbols, symbol.getPosition()));
    auto binary = cast<AffineBinaryOpExpr>(expr);
    Value lhs = compute(binary.getLHS(), symbols), rhs = compute(binary.getRHS(), symbols);
    switch (expr.getKind()) {
    case AffineExprKind::Add:
      return builder.create<LLVM::AddOp>(loc, lhs, rhs);
    case AffineExprKind::Mul:
      return builder.create<LLVM::MulOp>(loc, lhs, rhs);
    case AffineExprKind::FloorDiv:
      return divideDown(lhs, rhs);
    case AffineExprKind::CeilDiv: {
      Value last = builder.create<LLVM::SubOp>(loc, rhs, number(1));
      return divideDown(builder.create<LLVM::AddOp>(loc, lhs, last), rhs);
    }
    default: { // mod
      Value whole = builder.create<LLVM::MulOp>(loc, divideDown(lhs, rhs), rhs);
      return builder.create<LLVM::SubOp>(loc, lhs, whole);
    }
    }
  }

  Value divideDown(Value lhs, Value rhs) {
    Value quotient = builder.create<LLVM::SDivOp>(loc, lhs, rhs), rest = builder.create<LLVM::SRemOp>(loc, lhs, rhs);
    Value below = builder.create<LLVM::ICmpOp>(loc, LLVM::ICmpPredicate::slt, rest, number(0));
    Value one = builder.create<LLVM::ZExtOp>(loc, word, below);
    return builder.create<LLVM::SubOp>(loc, quotient, one);
  }

  const OneDnnKernel &kernel;
  int64_t numBuffers;
  MLIRContext context;
  OpBuilder builder;
  Location loc;
  Type pointer, word;
  OwningOpRef<ModuleOp> module;
};

} // namespace

llvm::Expected<std::string> penstock::emitOneDnnObject(const OneDnnKernel &kernel, int64_t numBuffers,
                                                       StringRef symbolName, const TargetProfile &profile) {
  return Emitter(kernel, numBuffers).run(symbolName, profile);
}
