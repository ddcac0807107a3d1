//===- HostObject.cpp - The object that launches ------------- -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The kernel's function on the host has launches and the arithmetic of their grids only. A launch becomes a call of
// rt_cuda_launch with arrays of words on the stack.
//
//===----------------------------------------------------------------------===//

#include "HostObject.h"
#include "DeviceFunction.h"
#include "penstock/Conversion/NNToLinalg/NNToLinalg.h"
#include "penstock/Kernels/CodeGenerator.h"
#include "penstock/rt/CudaKernel.h"

#include "mlir/Conversion/AffineToStandard/AffineToStandard.h"
#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/FuncToLLVM/ConvertFuncToLLVMPass.h"
#include "mlir/Conversion/ReconcileUnrealizedCasts/ReconcileUnrealizedCasts.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Pass/PassManager.h"

namespace penstock::cuda {
using namespace mlir;

namespace {

class HostEmitter {
public:
  HostEmitter(ModuleOp module, StringRef symbolName, StringRef chips, StringRef image)
      : module(module), b(module.getContext()), loc(module.getLoc()), symbolName(symbolName), chips(chips),
        image(image) {
    pointer = LLVM::LLVMPointerType::get(b.getContext());
    word = b.getI64Type();
    half = b.getI32Type();
  }

  llvm::Expected<std::string> run() {
    auto host = module.lookupSymbol<func::FuncOp>(kernels::kBodyName);
    auto device = *module.getOps<gpu::GPUModuleOp>().begin();
    addKernel(device);
    host.insertArgument(0, pointer, {}, loc);
    host->setAttr(kContextAttr, b.getUnitAttr());
    addLaunchFunction();
    SmallVector<gpu::LaunchFuncOp> launches(host.getOps<gpu::LaunchFuncOp>());
    for (gpu::LaunchFuncOp launch : launches)
      lower(launch, host.getArgument(0));
    lowerVerdicts(host);
    device.erase();
    module->removeAttr(gpu::GPUDialect::getContainerModuleAttrName());
    Attribute workspace = host->getAttr(kernels::kWorkspaceAttr);
    TargetProfile profile;
    if (failed(convert()) || failed(kernels::addWrapper(module, kernels::kBodyName, symbolName, profile)))
      return worldError("the code that launches could not be made");
    Operation *body = module.lookupSymbol(kernels::kBodyName);
    body->removeAttr(kernels::kWorkspaceAttr);
    llvm::Expected<std::string> object = emitObject(module, profile);
    body->setAttr(kernels::kWorkspaceAttr, workspace);
    return object;
  }

private:
  LogicalResult convert() {
    PassManager passes(module.getContext(), ModuleOp::getOperationName());
    passes.addPass(createLowerAffinePass());
    passes.addPass(arith::createArithExpandOpsPass());
    passes.addPass(createConvertFuncToLLVMPass());
    passes.addPass(createArithToLLVMConversionPass());
    passes.addPass(createReconcileUnrealizedCastsPass());
    return passes.run(module);
  }

  // Tables.

  LLVM::GlobalOp addBytes(StringRef name, StringRef bytes, unsigned alignment) {
    auto type = LLVM::LLVMArrayType::get(b.getI8Type(), bytes.size());
    return b.create<LLVM::GlobalOp>(loc, type, /*isConstant=*/true, LLVM::Linkage::Internal, name,
                                    b.getStringAttr(bytes), alignment);
  }

  LLVM::GlobalOp addText(StringRef name, StringRef text) {
    std::string bytes = text.str();
    bytes.push_back('\0');
    return addBytes(name, bytes, 1);
  }

  /// A constant whose initializer `fill` makes.
  LLVM::GlobalOp addTable(StringRef name, Type type, function_ref<Value()> fill) {
    auto global = b.create<LLVM::GlobalOp>(loc, type, /*isConstant=*/true, LLVM::Linkage::Internal, name, Attribute(),
                                           /*alignment=*/8);
    OpBuilder::InsertionGuard guard(b);
    b.createBlock(&global.getInitializerRegion());
    b.create<LLVM::ReturnOp>(loc, fill());
    return global;
  }

  Value number(Type type, int64_t value) {
    return b.create<LLVM::ConstantOp>(loc, type, b.getIntegerAttr(type, value));
  }
  Value addressOf(LLVM::GlobalOp global) { return b.create<LLVM::AddressOfOp>(loc, global); }

  Value fillStruct(Value aggregate, ArrayRef<Value> fields, ArrayRef<int64_t> prefix = {}) {
    for (auto [i, field] : llvm::enumerate(fields)) {
      SmallVector<int64_t> position(prefix);
      position.push_back(i);
      aggregate = b.create<LLVM::InsertValueOp>(loc, aggregate, field, position);
    }
    return aggregate;
  }

  static int64_t countSharedBytes(gpu::GPUFuncOp function) {
    int64_t bytes = 0;
    for (BlockArgument argument : function.getWorkgroupAttributions()) {
      auto type = cast<MemRefType>(argument.getType());
      bytes += type.getNumElements() * llvm::divideCeil(type.getElementTypeBitWidth(), 8);
    }
    return bytes;
  }

  void addKernel(gpu::GPUModuleOp device) {
    b.setInsertionPointToStart(module.getBody());
    SmallVector<gpu::GPUFuncOp> functions(device.getOps<gpu::GPUFuncOp>());
    SmallVector<LLVM::GlobalOp> names;
    for (auto [i, function] : llvm::enumerate(functions)) {
      names.push_back(addText("name_" + std::to_string(i), function.getName()));
      numbers[function.getName()] = i;
    }
    LLVM::GlobalOp name = addText("name", symbolName), archs = addText("archs", chips);
    LLVM::GlobalOp code = addBytes("image", image, RT_ALIGNMENT);
    Type block = LLVM::LLVMArrayType::get(half, 3);
    // rt_cuda_function and rt_cuda_kernel of CudaKernel.h, padded as C does.
    Type entry = LLVM::LLVMStructType::getLiteral(b.getContext(), {pointer, block, half, half});
    Type table = LLVM::LLVMArrayType::get(entry, functions.size());
    LLVM::GlobalOp entries = addTable("functions", table, [&]() -> Value {
      Value all = b.create<LLVM::UndefOp>(loc, table);
      for (auto [i, function] : llvm::enumerate(functions)) {
        ArrayRef<int32_t> threads = function.getKnownBlockSize().value();
        Value sizes = b.create<LLVM::UndefOp>(loc, block);
        sizes = fillStruct(sizes, {number(half, threads[0]), number(half, threads[1]), number(half, threads[2])});
        all = fillStruct(all,
                         {addressOf(names[i]), sizes, number(half, function.getNumArguments()),
                          number(half, countSharedBytes(function))},
                         static_cast<int64_t>(i));
      }
      return all;
    });
    Type type =
        LLVM::LLVMStructType::getLiteral(b.getContext(), {half, half, pointer, pointer, pointer, word, pointer});
    kernel = addTable("kernel", type, [&]() -> Value {
      return fillStruct(b.create<LLVM::UndefOp>(loc, type),
                        {number(half, RT_CUDA_KERNEL_VERSION), number(half, functions.size()), addressOf(name),
                         addressOf(archs), addressOf(code), number(word, image.size()), addressOf(entries)});
    });
    addRegistration();
  }

  /// A pointer to the kernel where the linker collects them, which nothing may drop.
  void addRegistration() {
    LLVM::GlobalOp entry = addTable("registration", pointer, [&] { return addressOf(kernel); });
    entry.setSection("rt_cuda_kernels");
    Type list = LLVM::LLVMArrayType::get(pointer, 1);
    LLVM::GlobalOp used =
        addTable("llvm.used", list, [&] { return fillStruct(b.create<LLVM::UndefOp>(loc, list), addressOf(entry)); });
    used.setLinkage(LLVM::Linkage::Appending);
    used.setSection("llvm.metadata");
    used.setConstant(false);
    used.removeAlignmentAttr();
  }

  // Launches.

  void addLaunchFunction() {
    auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(b.getContext()),
                                            {pointer, pointer, half, pointer, half, pointer});
    b.setInsertionPointToStart(module.getBody());
    launchFunction = b.create<LLVM::LLVMFuncOp>(loc, "rt_cuda_launch", type);
  }

  Value toWord(Value value) {
    if (isa<LLVM::LLVMPointerType>(value.getType()))
      return b.create<LLVM::PtrToIntOp>(loc, word, value);
    return b.create<arith::IndexCastOp>(loc, word, value);
  }

  Value addArray(Type element, ArrayRef<Value> values) {
    Value size = number(word, std::max<size_t>(values.size(), 1));
    Value array = b.create<LLVM::AllocaOp>(loc, pointer, element, size, /*alignment=*/8);
    for (auto [i, value] : llvm::enumerate(values)) {
      Value at = b.create<LLVM::GEPOp>(loc, pointer, element, array, LLVM::GEPArg(static_cast<int32_t>(i)));
      b.create<LLVM::StoreOp>(loc, value, at);
    }
    return array;
  }

  void lower(gpu::LaunchFuncOp launch, Value context) {
    b.setInsertionPoint(launch);
    gpu::KernelDim3 grid = launch.getGridSizeOperandValues();
    SmallVector<Value> sizes, arguments;
    for (Value size : {grid.x, grid.y, grid.z})
      sizes.push_back(b.create<arith::IndexCastOp>(loc, half, size));
    for (Value operand : launch.getKernelOperands())
      arguments.push_back(toWord(operand));
    Value index = number(half, numbers.lookup(launch.getKernelName().getValue()));
    b.create<LLVM::CallOp>(loc, launchFunction,
                           ValueRange{context, addressOf(kernel), index, addArray(half, sizes), number(half, 0),
                                      addArray(word, arguments)});
    launch.erase();
  }

  // Branches that took extents for granted.

  /// The calls get the context, and the address of their word on the device: part of the workspace.
  void lowerVerdicts(func::FuncOp host) {
    auto declared = module.lookupSymbol<LLVM::LLVMFuncOp>(kVerdictFunction);
    if (!declared)
      return;
    SmallVector<Type> types(declared.getArgumentTypes());
    types.insert(types.begin(), pointer);
    declared.setFunctionType(LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(b.getContext()), types));
    SmallVector<LLVM::CallOp> calls(host.getOps<LLVM::CallOp>());
    for (LLVM::CallOp call : calls) {
      if (call.getCallee() != kVerdictFunction)
        continue;
      b.setInsertionPoint(call);
      SmallVector<Value> arguments(call.getArgOperands());
      arguments[0] = getAddress(host, arguments[0]);
      arguments.insert(arguments.begin(), host.getArgument(0));
      b.create<LLVM::CallOp>(loc, declared, arguments);
      call.erase();
    }
    eraseUnused(host); // the buffers that the words were
  }

  /// Of a part of the workspace, whose descriptor `taken` is of.
  Value getAddress(func::FuncOp host, Value taken) {
    auto cast = taken.getDefiningOp<LLVM::ExtractValueOp>().getContainer().getDefiningOp<UnrealizedConversionCastOp>();
    auto view = cast.getOperand(0).getDefiningOp<memref::ViewOp>();
    Value workspace;
    for (BlockArgument argument : host.getArguments())
      if (isa<LLVM::LLVMPointerType>(argument.getType()))
        workspace = argument;
    Value offset = b.create<arith::IndexCastOp>(loc, word, view.getByteShift());
    return b.create<LLVM::GEPOp>(loc, pointer, b.getI8Type(), workspace, LLVM::GEPArg(offset));
  }

  ModuleOp module;
  OpBuilder b;
  Location loc;
  StringRef symbolName, chips, image;
  Type pointer, word, half;
  llvm::StringMap<int64_t> numbers;
  LLVM::GlobalOp kernel;
  LLVM::LLVMFuncOp launchFunction;
};

} // namespace

llvm::Expected<std::string> emitHostObject(ModuleOp module, StringRef symbolName, StringRef chips, StringRef image) {
  return HostEmitter(module, symbolName, chips, image).run();
}

} // namespace penstock::cuda
