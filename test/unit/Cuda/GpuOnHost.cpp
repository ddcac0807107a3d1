//===- GpuOnHost.cpp - Device functions as code of the host -- -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "GpuOnHost.h"

#include "penstock/Conversion/NNToLinalg/NNToLinalg.h"
#include "penstock/Dialect/NN/IR/Extents.h"
#include "penstock/Kernels/CodeGenerator.h"
#include "penstock/Target/Cuda/Pipeline.h"

#include "mlir/AsmParser/AsmParser.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/OwningOpRef.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/Support/TargetSelect.h"

using namespace mlir;
using namespace penstock;
using namespace penstock::test;

namespace {

constexpr llvm::StringLiteral kName = "kernel";

/// Launches become calls of the machine, device functions become functions that ask it for their place.
class HostLowering {
public:
  explicit HostLowering(ModuleOp module) : module(module), b(module.getContext()), loc(module.getLoc()) {
    pointer = LLVM::LLVMPointerType::get(b.getContext());
    i32 = b.getI32Type();
    i64 = b.getI64Type();
  }

  LogicalResult run(const TargetProfile &profile) {
    // Nobody is there to be told that a branch took extents for granted that it must not.
    auto body = module.lookupSymbol<func::FuncOp>(kernels::kBodyName);
    for (auto call : llvm::make_early_inc_range(body.getOps<LLVM::CallOp>()))
      if (call.getCallee() == kVerdictFunction)
        call.erase();
    return failed(runAll()) ? failure() : kernels::addWrapper(module, kernels::kBodyName, kName, profile);
  }

  /// The device functions without what launches them.
  LogicalResult runDevice() {
    module.lookupSymbol(kernels::kBodyName)->erase();
    return runAll();
  }

private:
  LogicalResult runAll() {
    auto nothing = LLVM::LLVMVoidType::get(b.getContext());
    declare("gpu_index", i64, {i32, i32});
    declare("gpu_barrier", nothing, {});
    declare("gpu_shuffle", i64, {i64, i32, i32, i32});
    declare("gpu_shared", pointer, {i32, i64});
    declare("gpu_constant", pointer, {pointer, i64});
    declare("gpu_access", nothing, {pointer, i64, i32});
    declare("gpu_launch", nothing, {pointer, pointer, pointer, pointer});
    auto device = *module.getOps<gpu::GPUModuleOp>().begin();
    for (auto constant : llvm::make_early_inc_range(device.getOps<memref::GlobalOp>()))
      constant->moveBefore(module.getBody(), module.getBody()->begin());
    SmallVector<gpu::GPUFuncOp> functions(device.getOps<gpu::GPUFuncOp>());
    for (gpu::GPUFuncOp function : functions)
      takeOut(function);
    SmallVector<gpu::LaunchFuncOp> launches;
    module.walk([&](gpu::LaunchFuncOp launch) { launches.push_back(launch); });
    for (gpu::LaunchFuncOp launch : launches)
      lower(launch);
    device.erase();
    module->removeAttr(gpu::GPUDialect::getContainerModuleAttrName());
    PassManager passes(module.getContext(), ModuleOp::getOperationName());
    kernels::addConversionToLLVM(passes);
    if (failed(passes.run(module)))
      return failure();
    announceAccesses();
    return success();
  }

  void declare(StringRef name, Type result, ArrayRef<Type> arguments) {
    b.setInsertionPointToStart(module.getBody());
    functions[name] = b.create<LLVM::LLVMFuncOp>(loc, name, LLVM::LLVMFunctionType::get(result, arguments));
  }

  Value call(StringRef name, ValueRange arguments) {
    auto op = b.create<LLVM::CallOp>(loc, functions[name], arguments);
    return op->getNumResults() ? op->getResult(0) : Value();
  }

  Value number(Type type, int64_t value) {
    return b.create<LLVM::ConstantOp>(loc, type, b.getIntegerAttr(type, value));
  }

  void takeOut(gpu::GPUFuncOp device) {
    b.setInsertionPointToEnd(module.getBody());
    SmallVector<Type> types(device.getFunctionType().getInputs());
    auto function = b.create<func::FuncOp>(loc, device.getName(), b.getFunctionType(types, {}));
    function.setPrivate();
    function.getBody().takeBody(device.getBody());
    Block &entry = function.getBody().front();
    b.setInsertionPointToStart(&entry);
    unsigned numArguments = types.size();
    for (int32_t i = 0; entry.getNumArguments() > numArguments; ++i) {
      BlockArgument shared = entry.getArgument(numArguments);
      shared.replaceAllUsesWith(makeShared(i, cast<MemRefType>(shared.getType())));
      entry.eraseArgument(numArguments);
    }
    function.walk([&](memref::GetGlobalOp op) { lower(op); });
    SmallVector<Operation *> ops;
    function.walk([&](Operation *op) {
      if (isa_and_nonnull<gpu::GPUDialect>(op->getDialect()))
        ops.push_back(op);
    });
    for (Operation *op : ops)
      lowerOp(op);
    addThread(function);
  }

  static int64_t bytesOf(MemRefType type) { return type.getNumElements() * nn::getElementBytes(type.getElementType()); }

  Value makeShared(int32_t i, MemRefType type) {
    return makeBuffer(call("gpu_shared", {number(i32, i), number(i64, bytesOf(type))}), type);
  }

  /// A constant is read in a copy that the machine knows.
  void lower(memref::GetGlobalOp op) {
    b.setInsertionPointAfter(op);
    MemRefType type = op.getType();
    Value address = b.create<memref::ExtractAlignedPointerAsIndexOp>(loc, op.getResult());
    Value host = b.create<LLVM::IntToPtrOp>(loc, pointer, b.create<arith::IndexCastOp>(loc, i64, address).getResult());
    Value copy = makeBuffer(call("gpu_constant", {host, number(i64, bytesOf(type))}), type);
    op.getResult().replaceAllUsesExcept(copy, address.getDefiningOp());
  }

  /// The machine's memory as a buffer of the host.
  Value makeBuffer(Value memory, MemRefType type) {
    Type array = LLVM::LLVMArrayType::get(i64, type.getRank());
    Value descriptor = b.create<LLVM::UndefOp>(
        loc, LLVM::LLVMStructType::getLiteral(b.getContext(), {pointer, pointer, i64, array, array}));
    auto insert = [&](Value value, ArrayRef<int64_t> position) {
      descriptor = b.create<LLVM::InsertValueOp>(loc, descriptor, value, position);
    };
    insert(memory, 0);
    insert(memory, 1);
    insert(number(i64, 0), 2);
    int64_t stride = 1;
    for (int64_t axis = type.getRank(); axis-- > 0;) {
      insert(number(i64, type.getDimSize(axis)), {3, axis});
      insert(number(i64, stride), {4, axis});
      stride *= type.getDimSize(axis);
    }
    auto plain = MemRefType::get(type.getShape(), type.getElementType());
    return b.create<UnrealizedConversionCastOp>(loc, plain, descriptor).getResult(0);
  }

  Value askIndex(int32_t what, gpu::Dimension axis) {
    Value index = call("gpu_index", {number(i32, what), number(i32, static_cast<int32_t>(axis))});
    return b.create<arith::IndexCastOp>(loc, b.getIndexType(), index);
  }

  void lowerOp(Operation *op) {
    b.setInsertionPoint(op);
    if (auto id = dyn_cast<gpu::ThreadIdOp>(op))
      op->getResult(0).replaceAllUsesWith(askIndex(0, id.getDimension()));
    else if (auto id = dyn_cast<gpu::BlockIdOp>(op))
      op->getResult(0).replaceAllUsesWith(askIndex(1, id.getDimension()));
    else if (isa<gpu::BarrierOp>(op))
      call("gpu_barrier", {});
    else if (isa<gpu::ReturnOp>(op))
      b.create<func::ReturnOp>(loc);
    else if (auto shuffle = dyn_cast<gpu::ShuffleOp>(op))
      lower(shuffle);
    else
      op->emitOpError() << "is not known to the machine";
    op->erase();
  }

  void lower(gpu::ShuffleOp op) {
    Type type = op.getValue().getType();
    Type bits = b.getIntegerType(type.getIntOrFloatBitWidth());
    Value given = type == bits ? op.getValue() : b.create<arith::BitcastOp>(loc, bits, op.getValue()).getResult();
    if (bits != i64)
      given = b.create<arith::ExtUIOp>(loc, i64, given);
    Value mode = number(i32, static_cast<int32_t>(op.getMode()));
    Value got = call("gpu_shuffle", {given, mode, op.getOffset(), op.getWidth()});
    if (bits != i64)
      got = b.create<arith::TruncIOp>(loc, bits, got);
    op.getShuffleResult().replaceAllUsesWith(type == bits ? got
                                                          : b.create<arith::BitcastOp>(loc, type, got).getResult());
    op.getValid().replaceAllUsesWith(b.create<arith::ConstantOp>(loc, b.getBoolAttr(true)).getResult());
  }

  /// `void <name>_thread(void *arguments)`: the function with arguments from an array of words.
  void addThread(func::FuncOp function) {
    b.setInsertionPointToEnd(module.getBody());
    auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(b.getContext()), pointer);
    auto thread = b.create<LLVM::LLVMFuncOp>(loc, (function.getName() + "_thread").str(), type);
    Block *entry = thread.addEntryBlock(b);
    b.setInsertionPointToStart(entry);
    SmallVector<Value> arguments;
    for (auto [i, argument] : llvm::enumerate(function.getArgumentTypes())) {
      Value at = b.create<LLVM::GEPOp>(loc, pointer, i64, entry->getArgument(0), LLVM::GEPArg(static_cast<int32_t>(i)));
      bool isPointer = isa<LLVM::LLVMPointerType>(argument);
      Value word = b.create<LLVM::LoadOp>(loc, isPointer ? argument : i64, at);
      arguments.push_back(isPointer ? word : b.create<arith::IndexCastOp>(loc, argument, word).getResult());
    }
    b.create<func::CallOp>(loc, function, arguments);
    b.create<LLVM::ReturnOp>(loc, ValueRange());
    b.setInsertionPointToEnd(module.getBody());
    b.create<LLVM::GlobalOp>(loc, i64, /*isConstant=*/true, LLVM::Linkage::External,
                             (function.getName() + "_arguments").str(), b.getI64IntegerAttr(arguments.size()));
    deviceFunctions.push_back(function.getName().str());
  }

  Value addArray(ArrayRef<Value> values) {
    Value array = b.create<LLVM::AllocaOp>(loc, pointer, i64, number(i64, std::max<size_t>(values.size(), 1)), 8);
    for (auto [i, value] : llvm::enumerate(values)) {
      Value at = b.create<LLVM::GEPOp>(loc, pointer, i64, array, LLVM::GEPArg(static_cast<int32_t>(i)));
      bool isIndex = value.getType().isIndex();
      b.create<LLVM::StoreOp>(loc, isIndex ? b.create<arith::IndexCastOp>(loc, i64, value).getResult() : value, at);
    }
    return array;
  }

  void lower(gpu::LaunchFuncOp launch) {
    b.setInsertionPoint(launch);
    std::string name = launch.getKernelName().str();
    gpu::KernelDim3 grid = launch.getGridSizeOperandValues(), block = launch.getBlockSizeOperandValues();
    Value sizes = addArray({grid.x, grid.y, grid.z, block.x, block.y, block.z});
    Value arguments = addArray(SmallVector<Value>(launch.getKernelOperands()));
    Value thread = b.create<LLVM::AddressOfOp>(loc, pointer, name + "_thread");
    call("gpu_launch", {addText(name), thread, arguments, sizes});
    launch.erase();
  }

  Value addText(const std::string &text) {
    std::string bytes = text + '\0';
    auto type = LLVM::LLVMArrayType::get(b.getI8Type(), bytes.size());
    std::string name = "text_" + std::to_string(llvm::range_size(module.getOps<LLVM::GlobalOp>()));
    OpBuilder top = OpBuilder::atBlockBegin(module.getBody());
    auto global = top.create<LLVM::GlobalOp>(loc, type, true, LLVM::Linkage::Internal, name, top.getStringAttr(bytes));
    return b.create<LLVM::AddressOfOp>(loc, global);
  }

  void announceAccesses() {
    DataLayout layout(module);
    for (const std::string &name : deviceFunctions)
      module.lookupSymbol<LLVM::LLVMFuncOp>(name).walk([&](Operation *op) {
        auto load = dyn_cast<LLVM::LoadOp>(op);
        auto store = dyn_cast<LLVM::StoreOp>(op);
        if (!load && !store)
          return;
        b.setInsertionPoint(op);
        Value address = load ? load.getAddr() : store.getAddr();
        Type type = load ? load.getResult().getType() : store.getValue().getType();
        call("gpu_access", {address, number(i64, layout.getTypeSize(type)), number(i32, store ? 1 : 0)});
      });
  }

  ModuleOp module;
  OpBuilder b;
  Location loc;
  Type pointer, i32, i64;
  llvm::StringMap<LLVM::LLVMFuncOp> functions;
  std::vector<std::string> deviceFunctions;
};

llvm::Error fail(const std::string &what, const std::string &messages) {
  return llvm::createStringError(what + ": " + messages);
}

} // namespace

llvm::Expected<std::string> test::emitDeviceFunctions(ModuleOp launches) {
  std::string messages;
  ScopedDiagnosticHandler handler(launches.getContext(),
                                  [&](Diagnostic &diagnostic) { messages += diagnostic.str() + "\n"; });
  OwningOpRef<ModuleOp> module = launches.clone();
  if (failed(HostLowering(*module).runDevice()))
    return fail("no code of the host", messages);
  return emitObject(*module, TargetProfile());
}

GpuKernel::GpuKernel() = default;
GpuKernel::~GpuKernel() = default;

llvm::Expected<std::unique_ptr<GpuKernel>> GpuKernel::create(nn::KernelDefOp kernel,
                                                             const std::function<void(ModuleOp)> &alter) {
  static const bool isReady = !llvm::InitializeNativeTarget() && !llvm::InitializeNativeTargetAsmPrinter();
  if (!isReady)
    return fail("no code for this machine", "");
  DialectRegistry registry;
  kernels::registerKernelDialects(registry);
  cuda::registerCudaDialects(registry);
  MLIRContext context(registry, MLIRContext::Threading::DISABLED);
  context.loadAllAvailableDialects();
  std::string messages, source;
  ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) { messages += diagnostic.str() + "\n"; });
  llvm::raw_string_ostream(source) << *kernel;
  auto parsed = parseSourceString<ModuleOp>(source, ParserConfig(&context));
  if (!parsed)
    return fail("the kernel does not parse", messages);
  OwningOpRef<ModuleOp> module = ModuleOp::create(UnknownLoc::get(&context));
  if (failed(lowerKernelToLinalg(*parsed->getOps<nn::KernelDefOp>().begin(), *module, kernels::kBodyName,
                                 LoopStyle::Tensors)))
    return fail("no linalg", messages);
  PassManager passes(&context, ModuleOp::getOperationName());
  cuda::addBufferPasses(passes);
  cuda::addDevicePasses(passes);
  if (failed(passes.run(*module)))
    return fail("no launches", messages);
  if (alter)
    alter(*module);
  std::unique_ptr<GpuKernel> result(new GpuKernel);
  llvm::raw_string_ostream(result->text) << *module;
  Operation *body = module->lookupSymbol(kernels::kBodyName);
  llvm::raw_string_ostream(result->workspace) << body->getAttr(kernels::kWorkspaceAttr);
  body->removeAttr(kernels::kWorkspaceAttr);
  TargetProfile profile;
  if (failed(HostLowering(*module).run(profile)))
    return fail("no code of the host", messages);
  llvm::Expected<std::string> object = emitObject(*module, profile);
  if (!object)
    return object.takeError();
  auto jit = llvm::orc::LLJITBuilder().create();
  if (!jit)
    return jit.takeError();
  result->jit = std::move(*jit);
  llvm::orc::SymbolMap symbols;
  for (auto &[name, address] : GpuMachine::getFunctions())
    symbols[result->jit->mangleAndIntern(name)] = {llvm::orc::ExecutorAddr::fromPtr(address),
                                                   llvm::JITSymbolFlags::Exported};
  if (llvm::Error error = result->jit->getMainJITDylib().define(llvm::orc::absoluteSymbols(symbols)))
    return std::move(error);
  if (llvm::Error error = result->jit->addObjectFile(llvm::MemoryBuffer::getMemBufferCopy(*object, "kernel")))
    return std::move(error);
  auto address = result->jit->lookup(kName);
  if (!address)
    return address.takeError();
  result->function = address->toPtr<void *>();
  return std::move(result);
}

void GpuKernel::run(GpuMachine &machine, llvm::ArrayRef<void *> buffers, llvm::ArrayRef<int64_t> symbols) {
  MLIRContext context;
  auto map = cast<AffineMapAttr>(parseAttribute(workspace, &context)).getValue();
  int64_t numBytes = nn::evaluate(nn::simplifyExtent(map.getResult(0)), symbols).value_or(0);
  SmallVector<void *> all(buffers.begin(), buffers.end());
  all.push_back(machine.allocate("workspace", numBytes, /*isWritten=*/false));
  machine.use();
  using Function = void (*)(void *, void *const *, const int64_t *);
  reinterpret_cast<Function>(function)(nullptr, all.data(), symbols.data());
}
