//===- OutlineParallelLoops.cpp - Loops that threads share ------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// An outermost loop whose iterations do not depend on each other becomes a function of a range of them:
//
//   scf.parallel (%i, %j) = (0, 0) to (%m, %n) ...     ->     func.call @part_0(0, %m, %grain, what it uses ...)
//
// Of a nest of parallel dimensions one is shared out: the first that has enough iterations. What the loop uses of the
// function's own arguments is passed as it came, with `noalias` and alignment, and cheap values are computed again, so
// that the code of a part is as good as that of the whole loop. Each iteration does what it did before, whatever range
// it is in, so the bits do not depend on the number of threads.
//
//===----------------------------------------------------------------------===//

#include "Passes.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Transforms/RegionUtils.h"

using namespace mlir;
using namespace penstock;
using namespace penstock::kernels;

namespace {

/// Iterations that are worth sharing out.
constexpr int64_t kEnoughIterations = 16;
/// What a function such as exp takes.
constexpr int64_t kFunctionOperations = 16;
/// What an unknown extent is taken for, when a dimension is chosen, and where it cannot be asked for beforehand.
constexpr int64_t kUsualExtent = 128;

/// One dimension of a loop nest.
struct Dimension {
  Value lower, upper, step;

  std::optional<int64_t> getConstantCount() const {
    std::optional<int64_t> low = getConstantIntValue(lower), high = getConstantIntValue(upper),
                           by = getConstantIntValue(step);
    if (!low || !high || !by || *by <= 0)
      return std::nullopt;
    return *high > *low ? llvm::divideCeil(*high - *low, *by) : 0;
  }
};

SmallVector<Dimension> getDimensions(Operation *loop) {
  if (auto forOp = dyn_cast<scf::ForOp>(loop))
    return {{forOp.getLowerBound(), forOp.getUpperBound(), forOp.getStep()}};
  auto parallel = cast<scf::ParallelOp>(loop);
  SmallVector<Dimension> result;
  for (auto [lower, upper, step] : llvm::zip(parallel.getLowerBound(), parallel.getUpperBound(), parallel.getStep()))
    result.push_back({lower, upper, step});
  return result;
}

/// The first dimension with enough iterations, else the one with the most.
size_t chooseDimension(ArrayRef<Dimension> dimensions) {
  size_t best = 0;
  int64_t most = -1;
  for (auto [i, dimension] : llvm::enumerate(dimensions)) {
    // A leading dimension of unknown extent is nearly always a batch of one.
    int64_t count = dimension.getConstantCount().value_or(i == 0 && dimensions.size() > 1 ? 1 : kUsualExtent);
    if (count >= kEnoughIterations)
      return i;
    if (count > most) {
      most = count;
      best = i;
    }
  }
  return best;
}

/// Values that are computed again rather than passed: cheap, without effects, without regions.
bool isRepeatable(Operation *op) {
  return isa<arith::ArithDialect, affine::AffineDialect>(op->getDialect())
             ? op->getNumRegions() == 0
             : isa<LLVM::UndefOp, LLVM::ConstantOp, LLVM::InsertValueOp, UnrealizedConversionCastOp, memref::ViewOp,
                   memref::SubViewOp, memref::ReinterpretCastOp, memref::ExpandShapeOp, memref::CollapseShapeOp,
                   memref::CastOp, memref::DimOp, memref::ExtractStridedMetadataOp>(op);
}

class Outliner {
public:
  Outliner(func::FuncOp function, unsigned &numParts)
      : function(function), b(function.getContext()), numParts(numParts) {}

  void run() {
    SmallVector<Operation *> loops;
    for (Operation &op : function.front())
      if (isParallel(&op))
        loops.push_back(&op);
    for (Operation *loop : loops)
      outline(loop);
  }

private:
  static bool isParallel(Operation *op) {
    if (auto parallel = dyn_cast<scf::ParallelOp>(op))
      return parallel.getNumResults() == 0;
    return isa<scf::ForOp>(op) && op->hasAttr(kParallelAttr) && op->getNumResults() == 0;
  }

  void outline(Operation *loop) {
    SmallVector<Dimension> dimensions = getDimensions(loop);
    size_t chosen = chooseDimension(dimensions);
    if (std::optional<int64_t> count = dimensions[chosen].getConstantCount(); count && *count < 2)
      return;
    if (std::optional<int64_t> work = getConstantWork(loop); work && *work < 2 * kEnoughOperations)
      return;
    SmallVector<Value> leaves = findLeaves(loop);
    func::FuncOp part = createPart(loop, chosen, leaves);
    b.setInsertionPoint(loop);
    Location loc = loop->getLoc();
    Value zero = b.create<arith::ConstantIndexOp>(loc, 0);
    SmallVector<Value> arguments{zero, countOf(loc, dimensions[chosen]), grainOf(loop, chosen)};
    llvm::append_range(arguments, leaves);
    b.create<func::CallOp>(loc, part, arguments);
    loop->erase();
  }

  /// Scalar operations of all iterations, as far as extents are known; nullopt where one is not.
  static std::optional<int64_t> getConstantWork(Operation *loop) {
    std::optional<int64_t> work = countOperations(loop);
    for (const Dimension &dimension : getDimensions(loop)) {
      std::optional<int64_t> count = dimension.getConstantCount();
      if (!count || !work)
        return std::nullopt;
      work = *work * *count;
    }
    return work;
  }

  static int64_t countOperation(Operation &op) {
    int64_t operations =
        isa<math::MathDialect>(op.getDialect()) && !isa<math::FmaOp, math::AbsFOp>(op) ? kFunctionOperations : 1;
    for (Type type : op.getResultTypes())
      if (auto vector = dyn_cast<VectorType>(type))
        operations = std::max(operations, vector.getNumElements());
    return operations;
  }

  /// Of one iteration of a loop, or of a branch; inner loops count with their extents, conditions as if they held.
  static std::optional<int64_t> countOperations(Operation *parent) {
    int64_t sum = 0;
    for (Operation &op : parent->getRegion(0).front()) {
      std::optional<int64_t> operations = isa<scf::ForOp, scf::ParallelOp>(op) ? getConstantWork(&op)
                                          : isa<scf::IfOp>(op)                 ? countOperations(&op)
                                                                               : countOperation(op);
      if (!operations)
        return std::nullopt;
      sum += *operations;
    }
    return sum;
  }

  Value countOf(Location loc, const Dimension &dimension) {
    if (std::optional<int64_t> count = dimension.getConstantCount())
      return b.create<arith::ConstantIndexOp>(loc, *count);
    Value span = b.create<arith::SubIOp>(loc, dimension.upper, dimension.lower);
    return b.create<arith::CeilDivSIOp>(loc, span, dimension.step);
  }

  /// What countOperations says of `parent`, as a value before `outermost`. Where an extent is known only in the loops,
  /// it is a usual one.
  Value workOf(Operation *parent, Operation *outermost) {
    Location loc = parent->getLoc();
    if (std::optional<int64_t> operations = countOperations(parent))
      return b.create<arith::ConstantIndexOp>(loc, std::max<int64_t>(*operations, 1));
    int64_t plain = 0;
    SmallVector<Value> parts;
    for (Operation &op : parent->getRegion(0).front()) {
      if (!isa<scf::ForOp, scf::ParallelOp, scf::IfOp>(op)) {
        plain += countOperation(op);
        continue;
      }
      Value work = workOf(&op, outermost);
      if (!isa<scf::IfOp>(op))
        for (const Dimension &dimension : getDimensions(&op))
          work = b.create<arith::MulIOp>(loc, work, countBefore(loc, dimension, outermost));
      parts.push_back(work);
    }
    Value sum = b.create<arith::ConstantIndexOp>(loc, plain);
    for (Value part : parts)
      sum = b.create<arith::AddIOp>(loc, sum, part);
    return sum;
  }

  Value countBefore(Location loc, const Dimension &dimension, Operation *outermost) {
    bool isKnown = llvm::all_of(ArrayRef<Value>{dimension.lower, dimension.upper, dimension.step}, [&](Value value) {
      return !outermost->isAncestor(value.getParentBlock()->getParentOp());
    });
    return isKnown ? countOf(loc, dimension) : b.create<arith::ConstantIndexOp>(loc, kUsualExtent).getResult();
  }

  /// Iterations of the chosen dimension that are worth a thread.
  Value grainOf(Operation *loop, size_t chosen) {
    Location loc = loop->getLoc();
    Value work = workOf(loop, loop);
    for (auto [i, dimension] : llvm::enumerate(getDimensions(loop)))
      if (i != chosen)
        work = b.create<arith::MulIOp>(loc, work, countOf(loc, dimension));
    Value one = b.create<arith::ConstantIndexOp>(loc, 1),
          enough = b.create<arith::ConstantIndexOp>(loc, kEnoughOperations);
    return b.create<arith::CeilDivSIOp>(loc, enough, b.create<arith::MaxSIOp>(loc, work, one));
  }

  /// What a part needs to be given: what the loop uses, or what that is computed from.
  static SmallVector<Value> findLeaves(Operation *loop) {
    SetVector<Value> used, leaves;
    getUsedValuesDefinedAbove(loop->getRegions(), used);
    used.insert(loop->operand_begin(), loop->operand_end());
    llvm::SmallPtrSet<Operation *, 16> seen;
    SmallVector<Value> open(used.begin(), used.end());
    while (!open.empty()) {
      Value value = open.pop_back_val();
      Operation *op = value.getDefiningOp();
      if (!op || !isRepeatable(op))
        leaves.insert(value);
      else if (seen.insert(op).second)
        llvm::append_range(open, op->getOperands());
    }
    return leaves.takeVector();
  }

  func::FuncOp createPart(Operation *loop, size_t chosen, ArrayRef<Value> leaves) {
    Location loc = loop->getLoc();
    SmallVector<Type> types(3, b.getIndexType());
    for (Value leaf : leaves)
      types.push_back(leaf.getType());
    b.setInsertionPoint(function);
    auto part = b.create<func::FuncOp>(loc, (kPartPrefix + Twine(numParts++)).str(), b.getFunctionType(types, {}));
    part.setPrivate();
    part->setAttr(kParallelAttr, b.getUnitAttr());
    Block *entry = part.addEntryBlock();
    IRMapping mapping;
    for (auto [i, leaf] : llvm::enumerate(leaves)) {
      mapping.map(leaf, entry->getArgument(i + 3));
      auto argument = dyn_cast<BlockArgument>(leaf);
      if (argument && argument.getOwner() == &function.front())
        if (DictionaryAttr attributes = function.getArgAttrDict(argument.getArgNumber()))
          part.setArgAttrs(i + 3, attributes);
    }
    b.setInsertionPointToStart(entry);
    repeat(loop, mapping);
    Operation *copy = b.clone(*loop, mapping);
    b.create<func::ReturnOp>(loc);
    narrow(copy, chosen, entry->getArgument(0), entry->getArgument(1));
    return part;
  }

  /// Clones what the loop uses, in the order in which it stands in the function.
  void repeat(Operation *loop, IRMapping &mapping) {
    SetVector<Value> used;
    getUsedValuesDefinedAbove(loop->getRegions(), used);
    used.insert(loop->operand_begin(), loop->operand_end());
    std::function<void(Value)> make = [&](Value value) {
      if (mapping.contains(value))
        return;
      Operation *op = value.getDefiningOp();
      for (Value operand : op->getOperands())
        make(operand);
      b.clone(*op, mapping);
    };
    for (Value value : used)
      make(value);
  }

  /// Iterations [begin, end) of the dimension.
  void narrow(Operation *loop, size_t chosen, Value begin, Value end) {
    b.setInsertionPoint(loop);
    Location loc = loop->getLoc();
    Dimension dimension = getDimensions(loop)[chosen];
    auto at = [&](Value count) {
      return b.create<arith::AddIOp>(loc, dimension.lower, b.create<arith::MulIOp>(loc, count, dimension.step))
          .getResult();
    };
    Value lower = at(begin), upper = at(end);
    if (auto forOp = dyn_cast<scf::ForOp>(loop)) {
      forOp.setLowerBound(lower);
      forOp.setUpperBound(upper);
      return;
    }
    auto parallel = cast<scf::ParallelOp>(loop);
    parallel.getLowerBoundMutable()[chosen].set(lower);
    parallel.getUpperBoundMutable()[chosen].set(upper);
  }

  func::FuncOp function;
  OpBuilder b;
  unsigned &numParts;
};

/// What loops keep on the stack gets its place when the function is entered, not in each iteration.
void enterWithStack(func::FuncOp function) {
  Block *entry = &function.front();
  SmallVector<memref::AllocaOp> allocas;
  function.walk([&](memref::AllocaOp op) {
    if (op->getBlock() != entry && op.getDynamicSizes().empty())
      allocas.push_back(op);
  });
  for (memref::AllocaOp op : llvm::reverse(allocas))
    op->moveBefore(entry, entry->begin());
}

class OutlineParallelLoopsPass : public PassWrapper<OutlineParallelLoopsPass, OperationPass<ModuleOp>> {
public:
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(OutlineParallelLoopsPass)
  StringRef getArgument() const override { return "kernel-outline-parallel-loops"; }
  void getDependentDialects(DialectRegistry &registry) const override {
    registry.insert<arith::ArithDialect, func::FuncDialect, scf::SCFDialect>();
  }

  void runOnOperation() override {
    unsigned numParts = 0;
    auto functions = llvm::to_vector(getOperation().getOps<func::FuncOp>());
    for (func::FuncOp function : functions)
      if (!function.isExternal())
        Outliner(function, numParts).run();
    for (auto function : getOperation().getOps<func::FuncOp>())
      if (!function.isExternal())
        enterWithStack(function);
  }
};

} // namespace

std::unique_ptr<Pass> kernels::createOutlineParallelLoopsPass() { return std::make_unique<OutlineParallelLoopsPass>(); }
