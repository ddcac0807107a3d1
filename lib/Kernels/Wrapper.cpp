//===- Wrapper.cpp - The function that the runtime calls --------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Loads pointers and symbols from the two arrays of the runtime's ABI and calls the kernel's body. The body stays a
// function of its own, never inlined: its pointers are arguments, so that `noalias` and `align` hold in all of it.
//
//===----------------------------------------------------------------------===//

#include "Passes.h"
#include "penstock/Conversion/NNToLinalg/NNToLinalg.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

using namespace mlir;
using namespace penstock;
using namespace penstock::kernels;

/// Registers as wide as the profile says: some processors' defaults prefer half of what they have.
static ArrayAttr getPassthrough(OpBuilder &builder, const TargetProfile &profile) {
  std::string bits = std::to_string(profile.vectorBits);
  return builder.getArrayAttr({builder.getStringAttr("noinline"), builder.getStringAttr("nounwind"),
                               builder.getStrArrayAttr({"prefer-vector-width", bits})});
}

LogicalResult kernels::addWrapper(ModuleOp module, StringRef bodyName, StringRef symbolName,
                                  const TargetProfile &profile) {
  auto body = module.lookupSymbol<LLVM::LLVMFuncOp>(bodyName);
  if (!body)
    return module.emitError() << "has no function '" << bodyName << "' after the lowering";
  OpBuilder builder(module.getContext());
  body.setLinkage(LLVM::Linkage::Internal);
  body.setPassthroughAttr(getPassthrough(builder, profile));
  bool usesContext = useParallelFor(module, body, getPassthrough(builder, profile));
  Type pointer = LLVM::LLVMPointerType::get(module.getContext());
  auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(module.getContext()), {pointer, pointer, pointer});
  builder.setInsertionPointToEnd(module.getBody());
  Location loc = body.getLoc();
  auto wrapper = builder.create<LLVM::LLVMFuncOp>(loc, symbolName, type);
  Block *entry = wrapper.addEntryBlock(builder);
  builder.setInsertionPointToStart(entry);
  Value buffers = entry->getArgument(1), symbols = entry->getArgument(2);
  SmallVector<Value> arguments;
  int32_t numPointers = 0, numSymbols = 0;
  if (body->removeAttr(kContextAttr))
    arguments.push_back(entry->getArgument(0));
  ArrayRef<Type> types = body.getArgumentTypes();
  for (Type argument : types.drop_front(arguments.size()).drop_back(usesContext)) {
    bool isPointer = isa<LLVM::LLVMPointerType>(argument);
    LLVM::GEPArg position = isPointer ? numPointers++ : numSymbols++;
    Value address = builder.create<LLVM::GEPOp>(loc, pointer, argument, isPointer ? buffers : symbols, position);
    arguments.push_back(builder.create<LLVM::LoadOp>(loc, argument, address));
  }
  if (usesContext)
    arguments.push_back(entry->getArgument(0));
  builder.create<LLVM::CallOp>(loc, body, arguments);
  builder.create<LLVM::ReturnOp>(loc, ValueRange());
  return success();
}
