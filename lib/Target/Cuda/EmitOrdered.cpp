//===- EmitOrdered.cpp - Loops whose order matters ----------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A loop over time, over rows, over updates. What of it is independent has threads of its own:
//
//   rows    the loop's maker says that iterations are independent (kParallelLoopAttr): a thread each
//   lanes   a running sum: ops on slices in which an element meets itself only, so that a thread may take it through
//           the whole loop
//   team    recurrent layers: one block goes through the loop together; each op on tensors is shared by its threads,
//           and a barrier stands where one reads what another wrote
//   serial  one thread
//
//===----------------------------------------------------------------------===//

#include "EmitLoops.h"
#include "RowGroup.h"
#include "penstock/Conversion/NNToLinalg/NNToLinalg.h"
#include "penstock/Dialect/NN/IR/Extents.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "llvm/ADT/DenseSet.h"

namespace penstock::cuda {

/// Threads of a block of rows, whose iterations are long, and of a team.
static constexpr int32_t kRowThreads = 64, kTeamThreads = 512;

//===----------------------------------------------------------------------===//
// Forms
//===----------------------------------------------------------------------===//

/// Does it count from 0 in steps of 1, as often as symbols say?
static bool isCounted(scf::ForOp loop, kernels::ExtentFinder &finder) {
  return getConstantIntValue(loop.getLowerBound()) == 0 && getConstantIntValue(loop.getStep()) == 1 &&
         finder.find(loop.getUpperBound());
}

/// Does the operand show, at each position of the op's loops, the element of its buffer with that position on all axes
/// but those of extent 1? Those may stand anywhere.
static bool isAligned(linalg::GenericOp op, OpOperand &operand) {
  Value memref = operand.get();
  if (!op.getMatchingIndexingMap(&operand).isIdentity())
    return false;
  auto slice = memref.getDefiningOp<memref::SubViewOp>();
  if (!slice)
    return memref == getBase(memref);
  if (slice.getSource() != getBase(memref) || slice.getType().getRank() != slice.getSourceType().getRank())
    return false;
  for (auto [offset, size, step] : llvm::zip(slice.getMixedOffsets(), slice.getMixedSizes(), slice.getMixedStrides()))
    if (getConstantIntValue(step) != 1 || (getConstantIntValue(size) != 1 && getConstantIntValue(offset) != 0))
      return false;
  return true;
}

/// The loops that all ops of a loop's body have; nothing if an element may meet another.
static std::optional<SmallVector<AffineExpr>> findLanes(scf::ForOp loop, kernels::ExtentFinder &finder) {
  std::optional<SmallVector<AffineExpr>> space;
  SmallVector<linalg::GenericOp> ops;
  llvm::DenseSet<Value> written;
  for (Operation &op : loop.getBody()->without_terminator()) {
    auto generic = dyn_cast<linalg::GenericOp>(op);
    if (!generic && !(isRepeatable(&op) && op.getNumRegions() == 0))
      return std::nullopt;
    if (!generic)
      continue;
    std::optional<SmallVector<AffineExpr>> extents = getLoopExtents(generic, finder);
    if (!extents || (space && *extents != *space) || generic.getNumReductionLoops() > 0 || readsElsewhere(generic))
      return std::nullopt;
    space = extents;
    ops.push_back(generic);
    for (Value init : generic.getDpsInits())
      written.insert(getBase(init));
  }
  for (linalg::GenericOp op : ops)
    for (OpOperand &operand : op->getOpOperands())
      if (written.contains(getBase(operand.get())) && !isAligned(op, operand))
        return std::nullopt;
  return loop.getNumResults() == 0 ? space : std::nullopt;
}

/// Can a block go through the op together? What its threads do not share one of them does.
static bool suitsTeam(Operation *op, kernels::ExtentFinder &finder) {
  if (auto generic = dyn_cast<linalg::GenericOp>(op))
    return getLoopExtents(generic, finder).has_value();
  auto isPlain = [](Value value) { return !isa<MemRefType>(value.getType()); };
  bool goesInto =
      isa<scf::ForOp>(op) ? llvm::all_of(op->getResults(), isPlain) : isa<scf::IfOp>(op) && op->getNumResults() == 0;
  if (!goesInto)
    return op->getNumRegions() == 0 && (isRepeatable(op) || isa<memref::LoadOp, memref::StoreOp>(op));
  for (Region &region : op->getRegions())
    for (Operation &inner : region.getOps())
      if (!inner.hasTrait<OpTrait::IsTerminator>() && !suitsTeam(&inner, finder))
        return false;
  return true;
}

OrderedForm chooseForm(Operation *op, kernels::ExtentFinder &finder) {
  auto loop = dyn_cast<scf::ForOp>(op);
  if (!loop)
    return OrderedForm::Serial;
  if (loop->hasAttr(kParallelLoopAttr) && loop.getNumResults() == 0 && isCounted(loop, finder))
    return OrderedForm::Rows;
  if (findLanes(loop, finder))
    return OrderedForm::Lanes;
  bool hasTensors = loop.walk([](linalg::GenericOp) { return WalkResult::interrupt(); }).wasInterrupted();
  return hasTensors && suitsTeam(loop, finder) ? OrderedForm::Team : OrderedForm::Serial;
}

//===----------------------------------------------------------------------===//
// Rows and lanes
//===----------------------------------------------------------------------===//

static void emitRows(scf::ForOp loop, kernels::ExtentFinder &finder, func::FuncOp host, gpu::GPUModuleOp device) {
  AffineExpr count = nn::simplifyExtent(finder.find(loop.getUpperBound()));
  DeviceFunction f(host, device, loop, {kRowThreads, 1, 1});
  Value row = f.threadNumber();
  f.when(f.isBelow(row, f.index(count)), [&] {
    f.map(loop.getInductionVar(), row);
    for (Operation &op : loop.getBody()->without_terminator())
      f.repeat(&op);
  });
  f.finish(ceilDiv(count, kRowThreads));
}

static void emitLanes(scf::ForOp loop, ArrayRef<AffineExpr> space, func::FuncOp host, gpu::GPUModuleOp device) {
  AffineExpr count = product(loop.getContext(), space);
  DeviceFunction f(host, device, loop, {kThreads, 1, 1});
  Value lane = f.threadNumber();
  f.when(f.isBelow(lane, f.index(count)), [&] {
    SmallVector<Value> position = f.delinearize(lane, space);
    Value low = f.get(loop.getLowerBound()), high = f.get(loop.getUpperBound()), step = f.get(loop.getStep());
    f.loop(low, high, step, {}, [&](Value i, ValueRange) {
      f.map(loop.getInductionVar(), i);
      for (Operation &op : loop.getBody()->without_terminator()) {
        auto generic = dyn_cast<linalg::GenericOp>(op);
        if (!generic) {
          f.repeat(&op);
          continue;
        }
        f.store(f.compute(generic, position), generic, position);
      }
      return SmallVector<Value>();
    });
  });
  f.finish(ceilDiv(count, kThreads));
}

//===----------------------------------------------------------------------===//
// Teams
//===----------------------------------------------------------------------===//

namespace {

class TeamEmitter {
public:
  TeamEmitter(scf::ForOp loop, kernels::ExtentFinder &finder, func::FuncOp host, gpu::GPUModuleOp device)
      : top(loop), finder(finder), numThreads(countThreads(loop, finder)), f(host, device, loop, {numThreads, 1, 1}) {}

  void run() {
    thread = f.thread(gpu::Dimension::x);
    emitLoop(top);
    f.finish(getAffineConstantExpr(1, top.getContext()));
  }

private:
  /// As many as the largest op has elements, in warps.
  static int32_t countThreads(scf::ForOp loop, kernels::ExtentFinder &finder) {
    int64_t most = 1;
    loop.walk([&](linalg::GenericOp op) {
      SmallVector<AffineExpr> space = extentsOf(LoopOrder(op).parallel, *getLoopExtents(op, finder));
      most = std::max(most, nn::getConstant(product(op.getContext(), space)).value_or(kTeamThreads));
    });
    return static_cast<int32_t>(std::min<int64_t>(llvm::alignTo(most, 32), kTeamThreads));
  }

  void emitBlock(Block &block) {
    for (Operation &op : block.without_terminator())
      emit(&op);
  }

  void emit(Operation *op) {
    if (auto loop = dyn_cast<scf::ForOp>(op))
      return emitLoop(loop);
    if (auto branch = dyn_cast<scf::IfOp>(op))
      return emitBranch(branch);
    if (auto generic = dyn_cast<linalg::GenericOp>(op))
      return share(generic);
    if (auto load = dyn_cast<memref::LoadOp>(op))
      touch({{load.getMemRef(), false}}, {});
    auto store = dyn_cast<memref::StoreOp>(op);
    if (!store)
      return f.repeat(op);
    touch({}, {{store.getMemRef(), false}});
    f.when(f.isEqual(thread, f.index(0)), [&] { f.repeat(op); });
  }

  void emitLoop(scf::ForOp loop) {
    meet();
    SmallVector<Value> carried;
    for (Value init : loop.getInitArgs())
      carried.push_back(f.get(init));
    Value low = f.get(loop.getLowerBound()), high = f.get(loop.getUpperBound()), step = f.get(loop.getStep());
    SmallVector<Value> results = f.loop(low, high, step, carried, [&](Value i, ValueRange current) {
      f.map(loop.getInductionVar(), i);
      for (auto [argument, value] : llvm::zip(loop.getRegionIterArgs(), current))
        f.map(argument, value);
      emitBlock(*loop.getBody());
      meet();
      SmallVector<Value> next;
      for (Value yielded : loop.getYieldedValues())
        next.push_back(f.get(yielded));
      return next;
    });
    for (auto [result, value] : llvm::zip(loop.getResults(), results))
      f.map(result, value);
  }

  /// All threads find the same condition, so that they meet in a branch too.
  void emitBranch(scf::IfOp branch) {
    meet();
    Value condition = f.get(branch.getCondition());
    auto op = f.b.create<scf::IfOp>(f.loc, condition, /*withElseRegion=*/!branch.getElseRegion().empty());
    for (auto [from, to] : llvm::zip(branch->getRegions(), op->getRegions())) {
      if (from.empty())
        continue;
      OpBuilder::InsertionGuard guard(f.b);
      f.b.setInsertionPointToStart(&to.front());
      emitBlock(from.front());
      meet();
    }
  }

  void share(linalg::GenericOp op) {
    LoopOrder order(op);
    SmallVector<Touch> reads, writes;
    for (OpOperand &operand : op->getOpOperands())
      if (isa<MemRefType>(operand.get().getType()))
        reads.push_back({operand.get(), isOwn(op, operand, order)});
    for (OpOperand &init : op.getDpsInitsMutable())
      writes.push_back({init.get(), isOwn(op, init, order)});
    op.getBody()->walk([&](memref::LoadOp load) { reads.push_back({load.getMemRef(), false}); });
    touch(reads, writes);
    SmallVector<AffineExpr> extents = *getLoopExtents(op, finder), space = extentsOf(order.parallel, extents);
    Value count = f.index(product(op.getContext(), space));
    f.loop(thread, count, f.index(numThreads), {}, [&](Value flat, ValueRange) {
      SmallVector<Value> position(extents.size());
      place(f, flat, order.parallel, space, position);
      f.store(makeElement(f, op, extents, order, position), op, position);
      return SmallVector<Value>();
    });
  }

  struct Touch {
    Value memref;
    bool isOwn; ///< each thread touches the elements whose row-major number it shares an op by
  };

  static bool isOwn(linalg::GenericOp op, OpOperand &operand, const LoopOrder &order) {
    ArrayRef<AffineExpr> results = op.getMatchingIndexingMap(&operand).getResults();
    return results.size() == order.parallel.size() && llvm::all_of(llvm::zip(results, order.parallel), [&](auto pair) {
             return std::get<0>(pair) == getAffineDimExpr(std::get<1>(pair), op.getContext());
           });
  }

  /// Buffers touched since the threads last met, and through which view alone every thread touched its own elements:
  /// null if there is none such.
  using Touched = llvm::DenseMap<Value, Value>;

  static bool meets(const Touch &touch, const Touched &touched) {
    auto known = touched.find(getBase(touch.memref));
    return known != touched.end() && !(touch.isOwn && known->second == touch.memref);
  }

  static void note(const Touch &touch, Touched &touched) {
    Value view = touch.isOwn ? touch.memref : Value();
    auto [known, isNew] = touched.try_emplace(getBase(touch.memref), view);
    if (!isNew && known->second != view)
      known->second = Value();
  }

  /// The next op reads and writes these: a barrier if a thread must not overtake another.
  void touch(ArrayRef<Touch> reads, ArrayRef<Touch> writes) {
    auto isMet = [](const Touched &touched) { return [&](const Touch &touch) { return meets(touch, touched); }; };
    if (llvm::any_of(reads, isMet(written)) || llvm::any_of(writes, isMet(written)) ||
        llvm::any_of(writes, isMet(read)))
      meet();
    for (const Touch &touch : reads)
      note(touch, read);
    for (const Touch &touch : writes)
      note(touch, written);
  }

  void meet() {
    if (!read.empty() || !written.empty())
      f.b.create<gpu::BarrierOp>(f.loc);
    read.clear();
    written.clear();
  }

  scf::ForOp top;
  kernels::ExtentFinder &finder;
  int32_t numThreads;
  DeviceFunction f;
  Value thread;
  Touched read, written;
};

} // namespace

void emitLoop(scf::ForOp loop, OrderedForm form, kernels::ExtentFinder &finder, func::FuncOp host,
              gpu::GPUModuleOp device) {
  if (form == OrderedForm::Rows)
    emitRows(loop, finder, host, device);
  else if (form == OrderedForm::Lanes)
    emitLanes(loop, *findLanes(loop, finder), host, device);
  else
    TeamEmitter(loop, finder, host, device).run();
  loop.erase();
}

//===----------------------------------------------------------------------===//
// One thread
//===----------------------------------------------------------------------===//

void emitSerial(ArrayRef<Operation *> ops, func::FuncOp host, gpu::GPUModuleOp device) {
  DeviceFunction f(host, device, ops.back(), {1, 1, 1});
  for (Operation *op : ops)
    f.repeat(op);
  f.finish(getAffineConstantExpr(1, host.getContext()));
  for (Operation *op : llvm::reverse(ops))
    op->erase();
}

} // namespace penstock::cuda
