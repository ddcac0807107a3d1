//===- Program.cpp - The program of a role as code -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// A loop over microbatches. Each op becomes the call that it names; a negative result ends the program with it.
//===----------------------------------------------------------------------===//
#include "Functions.h"

#include "penstock/rt/Abi.h"

using namespace mlir;
using namespace penstock;

namespace {

class ProgramEmitter {
public:
  ProgramEmitter(ModuleOp module, rtir::RoleOp role, TableBuilder &tables)
      : module(module), role(role), tables(tables), builder(module.getContext()), loc(role.getLoc()),
        ptr(LLVM::LLVMPointerType::get(module.getContext())), i32(builder.getI32Type()), i64(builder.getI64Type()) {}

  std::string emit();

private:
  void emitEntry();
  void emitOp(Operation &op);
  void emitBegin();
  void emitKernelCall(rtir::KernelCallOp op);
  void emitCheck(rtir::CheckOp op);
  void emitSetSymbol(rtir::SetSymbolOp op);
  /// `if (rc < 0) return rc;` and goes on in a new block.
  void returnIfNegative(Value code);
  Value call(StringRef name, ArrayRef<Value> arguments, Type result);
  Value callWithNumber(StringRef name, int64_t number) { return call(name, {context, constant(number)}, i32); }
  Value callWithChannel(StringRef name, StringRef channel) { return callWithNumber(name, channels.lookup(channel)); }
  Value constant(int64_t value) { return builder.create<LLVM::ConstantOp>(loc, i32, builder.getI32IntegerAttr(value)); }
  Value element(Type type, Value base, int64_t position) {
    return builder.create<LLVM::GEPOp>(loc, ptr, type, base, LLVM::GEPArg(static_cast<int32_t>(position)));
  }
  Block *addBlock() {
    auto *block = new Block();
    function.getBody().push_back(block);
    return block;
  }

  ModuleOp module;
  rtir::RoleOp role;
  TableBuilder &tables;
  OpBuilder builder;
  Location loc;
  Type ptr, i32, i64;
  LLVM::LLVMFuncOp function;
  llvm::StringMap<int64_t> channels;
  Block *loop = nullptr, *failed = nullptr;
  Value context, buffers, extents, arguments;
};

} // namespace

Value ProgramEmitter::call(StringRef name, ArrayRef<Value> operands, Type result) {
  auto callee = module.lookupSymbol<LLVM::LLVMFuncOp>(name);
  if (!callee) {
    SmallVector<Type> types;
    for (Value operand : operands)
      types.push_back(operand.getType());
    OpBuilder declarations = OpBuilder::atBlockEnd(module.getBody());
    callee = declarations.create<LLVM::LLVMFuncOp>(loc, name, LLVM::LLVMFunctionType::get(result, types));
  }
  auto op = builder.create<LLVM::CallOp>(loc, callee, operands);
  return op.getNumResults() ? op.getResult() : Value();
}

void ProgramEmitter::returnIfNegative(Value code) {
  Value isFailure = builder.create<LLVM::ICmpOp>(loc, LLVM::ICmpPredicate::slt, code, constant(0));
  Block *next = addBlock();
  builder.create<LLVM::CondBrOp>(loc, isFailure, failed, ValueRange(code), next, ValueRange());
  builder.setInsertionPointToEnd(next);
}

/// What stays the same for all microbatches: the addresses of the runtime's tables, and room for a kernel's arguments.
void ProgramEmitter::emitEntry() {
  buffers = call("rt_buffers", {context}, ptr);
  extents = call("rt_extents", {context}, ptr);
  int64_t most = 1;
  for (auto op : role.getProgram().getBody().getOps<rtir::KernelCallOp>())
    most = std::max<int64_t>(most, op.getBuffers().size());
  arguments = builder.create<LLVM::AllocaOp>(loc, ptr, ptr, constant(most));
  builder.create<LLVM::BrOp>(loc, ValueRange(), loop);
}

/// The end of the stream is a success of the program.
void ProgramEmitter::emitBegin() {
  Value code = call("rt_begin", {context}, i32);
  Value goesOn = builder.create<LLVM::ICmpOp>(loc, LLVM::ICmpPredicate::eq, code, constant(RT_OK));
  Value hasEnded = builder.create<LLVM::ICmpOp>(loc, LLVM::ICmpPredicate::eq, code, constant(RT_END));
  Value result = builder.create<LLVM::SelectOp>(loc, hasEnded, constant(RT_OK), code);
  Block *next = addBlock();
  builder.create<LLVM::CondBrOp>(loc, goesOn, next, ValueRange(), failed, ValueRange(result));
  builder.setInsertionPointToEnd(next);
}

void ProgramEmitter::emitCheck(rtir::CheckOp op) {
  Value lhs = builder.create<LLVM::LoadOp>(loc, i64, element(i64, extents, op.getLhs()));
  Value rhs = builder.create<LLVM::LoadOp>(loc, i64, element(i64, extents, op.getRhs()));
  Value reason = builder.create<LLVM::AddressOfOp>(loc, ptr, tables.addString(op.getReason()));
  returnIfNegative(call("rt_check", {context, lhs, rhs, reason}, i32));
}

/// An extent without a value is the least integer, which no value fits.
void ProgramEmitter::emitSetSymbol(rtir::SetSymbolOp op) {
  auto number = [&](int64_t value) -> Value {
    return builder.create<LLVM::ConstantOp>(loc, i64, builder.getI64IntegerAttr(value));
  };
  Value upper = number(op.getUpper().value_or(INT64_MAX));
  if (op.getBound()) {
    Value bound = builder.create<LLVM::LoadOp>(loc, i64, element(i64, extents, *op.getBound()));
    upper = builder.create<LLVM::SMinOp>(loc, bound, upper);
  }
  int64_t position = 0;
  for (auto [i, symbol] : llvm::enumerate(role.getBody().front().getOps<rtir::SymbolOp>()))
    if (symbol.getName() == op.getSymbol())
      position = i;
  Value node = builder.create<LLVM::AddressOfOp>(loc, ptr, tables.addString(op.getNode()));
  returnIfNegative(call("rt_set_symbol",
                        {context, constant(position), constant(op.getStorage()), number(op.getLower()), upper, node},
                        i32));
}

void ProgramEmitter::emitKernelCall(rtir::KernelCallOp op) {
  for (auto [i, storage] : llvm::enumerate(op.getBuffers())) {
    Value buffer = builder.create<LLVM::LoadOp>(loc, ptr, element(ptr, buffers, storage));
    builder.create<LLVM::StoreOp>(loc, buffer, element(ptr, arguments, i));
  }
  call(op.getKernel(), {context, arguments, element(i64, extents, op.getSymbols())},
       LLVM::LLVMVoidType::get(builder.getContext()));
}

void ProgramEmitter::emitOp(Operation &op) {
  llvm::TypeSwitch<Operation *>(&op)
      .Case<rtir::BeginOp>([&](auto) { emitBegin(); })
      .Case<rtir::WaitOp>([&](auto wait) { returnIfNegative(callWithChannel("rt_wait", wait.getChannel())); })
      .Case<rtir::UploadOp>([&](auto upload) { returnIfNegative(callWithChannel("rt_upload", upload.getChannel())); })
      .Case<rtir::BindOp>([&](auto) { returnIfNegative(call("rt_bind", {context}, i32)); })
      .Case<rtir::CheckOp>([&](auto check) { emitCheck(check); })
      .Case<rtir::AcquireOp>(
          [&](auto acquire) { returnIfNegative(callWithChannel("rt_acquire", acquire.getChannel())); })
      .Case<rtir::SetSymbolOp>([&](auto set) { emitSetSymbol(set); })
      .Case<rtir::KernelCallOp>([&](auto kernel) { emitKernelCall(kernel); })
      .Case<rtir::DoneOp>([&](auto done) { returnIfNegative(callWithNumber("rt_done", done.getStep())); })
      .Case<rtir::DownloadOp>(
          [&](auto download) { returnIfNegative(callWithChannel("rt_download", download.getChannel())); })
      .Case<rtir::PublishOp>(
          [&](auto publish) { returnIfNegative(callWithChannel("rt_publish", publish.getChannel())); })
      .Case<rtir::ReleaseOp>(
          [&](auto release) { returnIfNegative(callWithChannel("rt_release", release.getChannel())); })
      .Case<rtir::EndOp>([&](auto) { returnIfNegative(call("rt_end", {context}, i32)); });
}

std::string ProgramEmitter::emit() {
  builder.setInsertionPointToEnd(module.getBody());
  function = builder.create<LLVM::LLVMFuncOp>(loc, "program", LLVM::LLVMFunctionType::get(i32, {ptr}),
                                              LLVM::Linkage::Internal);
  for (auto [i, channel] : llvm::enumerate(role.getChannels()))
    channels[channel.getSymName()] = i;
  Block *entry = function.addEntryBlock(builder);
  context = entry->getArgument(0);
  loop = addBlock();
  failed = new Block();
  failed->addArgument(i32, loc);
  builder.setInsertionPointToEnd(entry);
  emitEntry();
  builder.setInsertionPointToEnd(loop);
  for (Operation &op : role.getProgram().getBody().front()) {
    loc = op.getLoc();
    emitOp(op);
  }
  loc = role.getLoc();
  builder.create<LLVM::BrOp>(loc, ValueRange(), loop);
  function.getBody().push_back(failed);
  builder.setInsertionPointToEnd(failed);
  builder.create<LLVM::ReturnOp>(loc, failed->getArgument(0));
  return "program";
}

std::string penstock::createProgramFunction(ModuleOp module, rtir::RoleOp role, TableBuilder &tables) {
  return ProgramEmitter(module, role, tables).emit();
}
