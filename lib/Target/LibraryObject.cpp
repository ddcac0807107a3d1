//===- LibraryObject.cpp - Objects that call a library ----------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "penstock/Target/LibraryObject.h"
#include "penstock/Dialect/NN/IR/Extents.h"
#include "penstock/rt/Abi.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/OwningOpRef.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"

using namespace mlir;
using namespace penstock;

AffineExpr penstock::multiplyExtents(ArrayRef<AffineExpr> extents, MLIRContext *context) {
  AffineExpr product = getAffineConstantExpr(1, context);
  for (AffineExpr extent : extents)
    product = nn::simplifyExtent(product * extent);
  return product;
}

bool penstock::isSafeExtent(AffineExpr extent) {
  bool safe = true;
  extent.walk([&](AffineExpr part) {
    auto kind = part.getKind();
    if (kind != AffineExprKind::FloorDiv && kind != AffineExprKind::CeilDiv && kind != AffineExprKind::Mod)
      return;
    auto divisor = dyn_cast<AffineConstantExpr>(cast<AffineBinaryOpExpr>(part).getRHS());
    safe &= divisor && divisor.getValue() > 0;
  });
  return safe;
}

namespace {

class Emitter {
public:
  explicit Emitter(const LibraryCall &call)
      : call(call), context(makeRegistry(), MLIRContext::Threading::DISABLED), builder(&context),
        loc(UnknownLoc::get(&context)) {
    context.loadDialect<LLVM::LLVMDialect>();
    pointer = LLVM::LLVMPointerType::get(&context);
    word = builder.getI64Type();
  }

  llvm::Expected<std::string> run(StringRef symbolName, const TargetProfile &profile) {
    module = ModuleOp::create(loc);
    builder.setInsertionPointToEnd(module->getBody());
    auto nothing = LLVM::LLVMVoidType::get(&context);
    LLVM::GlobalOp descriptor = addTable("descriptor", word, builder.getI64TensorAttr(call.descriptor));
    if (!call.section.empty())
      addRegistration(descriptor);
    SmallVector<LLVM::GlobalOp> constants;
    for (const std::vector<float> &values : call.constants)
      constants.push_back(addTable("constant_" + std::to_string(constants.size()), builder.getF32Type(),
                                   DenseElementsAttr::get(tensorOf(values.size()), ArrayRef<float>(values))));
    auto entry = builder.create<LLVM::LLVMFuncOp>(
        loc, call.entry, LLVM::LLVMFunctionType::get(nothing, {pointer, pointer, pointer, pointer}));
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

  /// A constant whose initializer `fill` makes.
  LLVM::GlobalOp addPointers(StringRef name, Type type, function_ref<Value()> fill) {
    auto global = builder.create<LLVM::GlobalOp>(loc, type, /*isConstant=*/true, LLVM::Linkage::Internal, name,
                                                 Attribute(), /*alignment=*/8);
    OpBuilder::InsertionGuard guard(builder);
    builder.createBlock(&global.getInitializerRegion());
    builder.create<LLVM::ReturnOp>(loc, fill());
    return global;
  }

  /// A pointer to the descriptor where the linker collects them, which nothing may drop.
  void addRegistration(LLVM::GlobalOp descriptor) {
    auto addressOf = [&](LLVM::GlobalOp global) -> Value { return builder.create<LLVM::AddressOfOp>(loc, global); };
    LLVM::GlobalOp entry = addPointers("registration", pointer, [&] { return addressOf(descriptor); });
    entry.setSection(call.section);
    Type list = LLVM::LLVMArrayType::get(pointer, 1);
    LLVM::GlobalOp used = addPointers("llvm.used", list, [&]() -> Value {
      Value empty = builder.create<LLVM::UndefOp>(loc, list);
      return builder.create<LLVM::InsertValueOp>(loc, empty, addressOf(entry), ArrayRef<int64_t>{0});
    });
    used.setLinkage(LLVM::Linkage::Appending);
    used.setSection("llvm.metadata");
    used.setConstant(false);
    used.removeAlignmentAttr();
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
    int64_t numBuffers = call.numBuffers, numAll = numBuffers + constants.size();
    Value all = addArray(pointer, numAll + call.hasWorkspace);
    auto copy = [&](int64_t from, int64_t to) {
      Value buffer = builder.create<LLVM::LoadOp>(loc, pointer, at(pointer, given, from));
      builder.create<LLVM::StoreOp>(loc, buffer, at(pointer, all, to));
    };
    for (int64_t i = 0; i < numBuffers; ++i)
      copy(i, i);
    if (call.hasWorkspace)
      copy(numBuffers, numAll);
    for (auto [i, constant] : llvm::enumerate(constants)) {
      Value address = builder.create<LLVM::AddressOfOp>(loc, constant);
      builder.create<LLVM::StoreOp>(loc, address, at(pointer, all, numBuffers + i));
    }
    return all;
  }

  Value addExtents(Value symbols) {
    Value all = addArray(word, call.extents.size());
    for (auto [i, extent] : llvm::enumerate(call.extents))
      builder.create<LLVM::StoreOp>(loc, compute(extent, symbols), at(word, all, i));
    return all;
  }

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

  const LibraryCall &call;
  MLIRContext context;
  OpBuilder builder;
  Location loc;
  Type pointer, word;
  OwningOpRef<ModuleOp> module;
};

} // namespace

llvm::Expected<std::string> penstock::emitLibraryObject(const LibraryCall &call, StringRef symbolName,
                                                        const TargetProfile &profile) {
  return Emitter(call).run(symbolName, profile);
}
