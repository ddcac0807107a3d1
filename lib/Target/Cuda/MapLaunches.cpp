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
//   branches  their ops, each launched and left by its threads where the condition does not hold
//   ordered   loops and other ops with effects, in the form that EmitOrdered.cpp finds; neighbours without one share a
//             thread
//   calls     of the runtime, which stay on the host
//   scalars   a memref.load outside of loops, repeated by those who use it
//   pure      repeated by those who use it
//
//===----------------------------------------------------------------------===//

#include "EmitLoops.h"
#include "RowGroup.h"
#include "penstock/Target/Cuda/Passes.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
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

bool isInside(Value value, Operation *op) { return op->isAncestor(value.getParentRegion()->getParentOp()); }

/// A branch with ops that deserve threads of their own.
bool isWide(Operation *op) {
  return isa<scf::IfOp>(op) && op->walk([](Operation *inner) {
                                   return isa<linalg::GenericOp, scf::ForOp>(inner) ? WalkResult::interrupt()
                                                                                    : WalkResult::advance();
                                 }).wasInterrupted();
}

/// A branch gives buffers: those who use one choose it by the condition. What shows the buffers moves before the
/// branch.
LogicalResult dropResults(scf::IfOp branch) {
  for (Region *region : {&branch.getThenRegion(), &branch.getElseRegion()})
    for (Operation &op : llvm::make_early_inc_range(region->getOps()))
      if (isRepeatable(&op) && op.getNumRegions() == 0 && !op.hasTrait<OpTrait::IsTerminator>() &&
          llvm::none_of(op.getOperands(), [&](Value operand) { return isInside(operand, branch); }))
        op.moveBefore(branch);
  if (branch.getNumResults() == 0)
    return success();
  OpBuilder b(branch->getContext());
  b.setInsertionPointAfter(branch);
  for (auto [result, yes, no] :
       llvm::zip(branch.getResults(), branch.thenYield().getOperands(), branch.elseYield().getOperands())) {
    if (!isa<MemRefType>(result.getType()) || isInside(yes, branch) || isInside(no, branch))
      return branch.emitOpError() << "makes a value that other threads need; the cuda target cannot hand it on";
    result.replaceAllUsesWith(b.create<arith::SelectOp>(branch.getLoc(), branch.getCondition(), yes, no).getResult());
  }
  auto made = b.create<scf::IfOp>(branch.getLoc(), TypeRange(), branch.getCondition(), /*addThenBlock=*/false,
                                  /*addElseBlock=*/false);
  for (auto [from, to] : llvm::zip(branch->getRegions(), made->getRegions())) {
    to.takeBody(from);
    to.front().getTerminator()->setOperands({});
  }
  branch.erase();
  return success();
}

class LaunchMapper {
public:
  LaunchMapper(func::FuncOp host, gpu::GPUModuleOp device) : host(host), device(device), finder(host) {}

  LogicalResult run() {
    generalize(host);
    SmallVector<scf::IfOp> branches; // inner ones first
    host.walk([&](scf::IfOp branch) {
      if (isWide(branch) && !branch->getParentOfType<scf::ForOp>() && !branch->getParentOfType<scf::WhileOp>())
        branches.push_back(branch);
    });
    for (scf::IfOp branch : branches)
      if (failed(dropResults(branch)))
        return failure();
    DenseMap<Value, Operation *> loads;
    Block &body = host.getBody().front();
    return failed(checkScalars(body, loads)) ? failure() : mapBlock(body);
  }

  int64_t numSerial = 0;

private:
  enum class Kind { Tensors, Branch, Ordered };

  static Kind kindOf(Operation *op) {
    return isa<linalg::GenericOp>(op) ? Kind::Tensors : isWide(op) ? Kind::Branch : Kind::Ordered;
  }

  LogicalResult mapBlock(Block &block) {
    SmallVector<Operation *> ops;
    for (Operation &op : block.without_terminator())
      if (!isRepeatable(&op) && !isa<memref::LoadOp, LLVM::CallOp>(op))
        ops.push_back(&op);
    for (size_t i = 0; i < ops.size();) {
      size_t end = i;
      Kind kind = kindOf(ops[i]);
      while (end < ops.size() && kindOf(ops[end]) == kind)
        ++end;
      ArrayRef<Operation *> part = ArrayRef(ops).slice(i, end - i);
      if (failed(kind == Kind::Tensors  ? mapTensors(part)
                 : kind == Kind::Branch ? mapBranches(part)
                                        : mapOrdered(part)))
        return failure();
      i = end;
    }
    return success();
  }

  LogicalResult mapBranches(ArrayRef<Operation *> part) {
    for (Operation *branch : part) {
      for (Region &region : branch->getRegions())
        if (!region.empty() && failed(mapBlock(region.front())))
          return failure();
      branch->erase();
    }
    return success();
  }

  /// A scalar that is read late must still be what it was. `loads`: by buffer.
  LogicalResult checkScalars(Block &block, DenseMap<Value, Operation *> &loads) {
    for (Operation &op : block) {
      if (auto load = dyn_cast<memref::LoadOp>(op)) {
        loads[getBase(load.getMemRef())] = load;
        continue;
      }
      if (isWide(&op)) {
        for (Region &region : op.getRegions())
          if (!region.empty() && failed(checkScalars(region.front(), loads)))
            return failure();
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
    else if (reducesColumns(op, *extents))
      emitColumns(op, *extents, host, device);
    else
      emitElements(op, *extents, host, device);
    return success();
  }

  LogicalResult mapOrdered(ArrayRef<Operation *> part) {
    for (Operation *op : part)
      for (Operation *user : op->getUsers())
        if (llvm::none_of(part, [&](Operation *other) { return other->isAncestor(user); }))
          return op->emitOpError() << "makes a value that other threads need; the cuda target cannot hand it on";
    SmallVector<Operation *> serial;
    auto flush = [&] {
      if (!serial.empty())
        emitSerial(serial, host, device), ++numSerial;
      serial.clear();
    };
    for (Operation *op : part) {
      OrderedForm form = op->use_empty() ? chooseForm(op, finder) : OrderedForm::Serial;
      if (form == OrderedForm::Serial) {
        serial.push_back(op);
        continue;
      }
      flush();
      emitLoop(cast<scf::ForOp>(op), form, finder, host, device);
    }
    flush();
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
    eraseUnused(functions[0]); // buffers are the device's now
    for (auto constant : llvm::make_early_inc_range(module.getOps<memref::GlobalOp>()))
      constant->moveBefore(device.getBody(), device.getBody()->begin());
    numFunctions += llvm::range_size(device.getOps<gpu::GPUFuncOp>());
    numSerial += mapper.numSerial;
  }
};

} // namespace

} // namespace penstock::cuda
