//===- MapLaunches.cpp - Functions of the device and launches ---*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The function's ops in order, each of them one of
//
//   tensors   linalg on buffers, spread over threads
//   serial    other ops with effects; neighbours share one thread
//   scalars   a memref.load outside of loops, repeated by those who use it
//   pure      repeated by those who use it
//
//===----------------------------------------------------------------------===//

#include "EmitLoops.h"
#include "RowGroup.h"
#include "penstock/Conversion/NNToLinalg/NNToLinalg.h"
#include "penstock/Target/Cuda/Passes.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Linalg/Utils/Utils.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

namespace penstock::cuda {

#define GEN_PASS_DEF_CUDAMAPLAUNCHESPASS
#include "penstock/Target/Cuda/Passes.h.inc"

namespace {

/// Copies and named ops as linalg.generic.
void generalize(func::FuncOp function) {
  SmallVector<Operation *> ops;
  function.walk([&](Operation *op) {
    if (isa<memref::CopyOp, linalg::LinalgOp>(op) && !isa<linalg::GenericOp>(op))
      ops.push_back(op);
  });
  IRRewriter rewriter(function.getContext());
  for (Operation *op : ops) {
    rewriter.setInsertionPoint(op);
    if (auto copy = dyn_cast<memref::CopyOp>(op)) {
      linalg::makeMemRefCopyOp(rewriter, op->getLoc(), copy.getSource(), copy.getTarget());
      rewriter.eraseOp(op);
    } else {
      (void)linalg::generalizeNamedOp(rewriter, cast<linalg::LinalgOp>(op));
    }
  }
}

/// May others make the value anew?
bool isRepeatable(Operation *op) { return isMemoryEffectFree(op) || isa<UnrealizedConversionCastOp>(op); }

class LaunchMapper {
public:
  LaunchMapper(func::FuncOp host, gpu::GPUModuleOp device) : host(host), device(device), finder(host) {}

  LogicalResult run() {
    if (host->hasAttr(kContextAttr))
      return host.emitOpError() << "reports failures to the runtime, which a device cannot";
    generalize(host);
    if (failed(checkScalars()))
      return failure();
    SmallVector<Operation *> ops;
    for (Operation &op : host.getBody().front().without_terminator())
      if (!isRepeatable(&op) && !isa<memref::LoadOp>(op))
        ops.push_back(&op);
    for (size_t i = 0; i < ops.size();) {
      size_t end = i;
      bool isTensors = isa<linalg::GenericOp>(ops[i]);
      while (end < ops.size() && isa<linalg::GenericOp>(ops[end]) == isTensors)
        ++end;
      ArrayRef<Operation *> part = ArrayRef(ops).slice(i, end - i);
      if (failed(isTensors ? mapTensors(part) : mapSerial(part)))
        return failure();
      i = end;
    }
    return success();
  }

  int64_t numSerial = 0;

private:
  /// A scalar that is read late must still be what it was.
  LogicalResult checkScalars() {
    DenseMap<Value, Operation *> loads; // by buffer
    for (Operation &op : host.getBody().front()) {
      if (auto load = dyn_cast<memref::LoadOp>(op)) {
        loads[getBase(load.getMemRef())] = load;
        continue;
      }
      if (isRepeatable(&op))
        continue;
      WalkResult result = op.walk([&](Operation *inner) {
        for (Value written : getWritten(inner))
          if (loads.contains(getBase(written)))
            return WalkResult::interrupt();
        return WalkResult::advance();
      });
      if (result.wasInterrupted())
        return op.emitOpError() << "writes a buffer of which a number was read before; the device would read it after";
    }
    return success();
  }

  static SmallVector<Value> getWritten(Operation *op) {
    if (auto store = dyn_cast<memref::StoreOp>(op))
      return {store.getMemRef()};
    if (auto generic = dyn_cast<linalg::GenericOp>(op))
      return SmallVector<Value>(generic.getDpsInits());
    return {};
  }

  LogicalResult mapTensors(ArrayRef<Operation *> part) {
    SmallVector<linalg::GenericOp> ops =
        llvm::map_to_vector(part, [](Operation *op) { return cast<linalg::GenericOp>(op); });
    // Groups first, each around its first reduction; what is left goes alone.
    SmallVector<std::pair<size_t, RowGroup>> groups;
    size_t begin = 0;
    for (size_t i = 0; i < ops.size(); ++i) {
      if (i < begin)
        continue;
      size_t first = 0;
      ArrayRef<linalg::GenericOp> rest = ArrayRef(ops).drop_front(begin);
      std::optional<RowGroup> group = findRowGroup(rest, i - begin, finder, first);
      if (!group)
        continue;
      first += begin;
      begin = first + group->ops.size();
      groups.push_back({first, std::move(*group)});
    }
    size_t next = 0;
    for (auto &[first, group] : groups) {
      for (; next < first; ++next)
        if (failed(mapOne(ops[next])))
          return failure();
      next = first + group.ops.size();
      emitRowGroup(group, host, device);
    }
    for (; next < ops.size(); ++next)
      if (failed(mapOne(ops[next])))
        return failure();
    return success();
  }

  LogicalResult mapOne(linalg::GenericOp op) {
    std::optional<SmallVector<AffineExpr>> extents = getLoopExtents(op, finder);
    if (!extents)
      return op.emitOpError() << "has an extent that depends on data; the cuda target launches as symbols say";
    if (OpOperand *operand = findTransposed(op, *extents))
      emitTransposed(op, *operand, *extents, host, device);
    else
      emitElements(op, *extents, host, device);
    return success();
  }

  LogicalResult mapSerial(ArrayRef<Operation *> part) {
    for (Operation *op : part)
      for (Operation *user : op->getUsers())
        if (!llvm::is_contained(part, host.getBody().front().findAncestorOpInBlock(*user)))
          return op->emitOpError() << "makes a value that other threads need; the cuda target cannot hand it on";
    emitSerial(part, host, device);
    ++numSerial;
    return success();
  }

  func::FuncOp host;
  gpu::GPUModuleOp device;
  kernels::ExtentFinder finder;
};

class CudaMapLaunchesPass : public impl::CudaMapLaunchesPassBase<CudaMapLaunchesPass> {
public:
  void runOnOperation() override {
    ModuleOp module = getOperation();
    auto functions = llvm::to_vector(module.getOps<func::FuncOp>());
    if (functions.size() != 1 || !llvm::hasSingleElement(functions[0].getBody())) {
      module.emitError() << "has " << functions.size() << " functions; expected one, of one block";
      return signalPassFailure();
    }
    module->setAttr(gpu::GPUDialect::getContainerModuleAttrName(), UnitAttr::get(&getContext()));
    OpBuilder b = OpBuilder::atBlockEnd(module.getBody());
    auto device = b.create<gpu::GPUModuleOp>(module.getLoc(), kDeviceModule);
    LaunchMapper mapper(functions[0], device);
    if (failed(mapper.run()))
      return signalPassFailure();
    eraseUnused(functions[0]);
    for (auto constant : llvm::make_early_inc_range(module.getOps<memref::GlobalOp>()))
      constant->moveBefore(device.getBody(), device.getBody()->begin());
    numFunctions += llvm::range_size(device.getOps<gpu::GPUFuncOp>());
    numSerial += mapper.numSerial;
  }

private:
  /// Buffers are the device's now.
  static void eraseUnused(func::FuncOp host) {
    SmallVector<Operation *> ops;
    for (Operation &op : host.getBody().front().without_terminator())
      ops.push_back(&op);
    for (Operation *op : llvm::reverse(ops))
      if (op->use_empty() && (isRepeatable(op) || isa<memref::LoadOp>(op)))
        op->erase();
  }
};

} // namespace

} // namespace penstock::cuda
