//===- FuseKernels.cpp - nn-fuse-kernels -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// Ops are visited in order. Each either joins the group of an operand or starts one of its own; a group is built where
// its last op stands, which is legal because nothing but that op uses what the group made before.
//===----------------------------------------------------------------------===//
#include "penstock/Dialect/NN/IR/DataSymbols.h"
#include "penstock/Dialect/NN/IR/Layouts.h"
#include "penstock/Dialect/NN/Transforms/MakeKernel.h"
#include "penstock/Dialect/NN/Transforms/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/StringSet.h"

namespace penstock::nn {
#define GEN_PASS_DEF_FUSEKERNELSPASS
#include "penstock/Dialect/NN/Transforms/Passes.h.inc"

namespace {

bool isElementwise(Operation *op) { return isa<UnaryOp, BinaryOp, CompareOp, SelectOp, CastOp, BitcastOp>(op); }

/// Another look at a value for those who can work where it lies.
bool isMovement(Operation *op) { return isa<TransposeOp, SliceOp, ReshapeOp>(op); }

/// Costs nothing and reads nothing: copied into every kernel that uses it.
bool isCopiedIntoKernels(Operation *op) { return isa<ConstantOp, ExtentTensorOp, IotaOp>(op); }

/// A convolution that reads channels-last images.
bool isChannelsLastConv(Operation *op) {
  if (auto conv = dyn_cast<ConvOp>(op))
    return conv.getChannelsLast();
  auto conv = dyn_cast<ConvTransposeOp>(op);
  return conv && conv.getChannelsLast();
}

/// A change of layout costs nothing where a convolution's code reads or writes the other layout itself.
bool isFreeTranspose(Operation *op, ArrayRef<Operation *> group) {
  if (auto transpose = dyn_cast<TransposeOp>(op))
    return isFromChannelsLast(transpose.getPerm()) && llvm::any_of(group, isChannelsLastConv) &&
           !llvm::any_of(group, [](Operation *inner) { return isa<ReshapeOp>(inner); });
  auto transpose = dyn_cast<TransposeOp>(group.back());
  return transpose && group.size() == 1 && isToChannelsLast(transpose.getPerm()) && isChannelsLastConv(op);
}

/// May take over a purely elementwise group as the chain that makes its input.
bool takesElementwiseInput(Operation *op) { return isa<SoftmaxOp, LogSoftmaxOp, ReduceOp, LayerNormOp>(op); }

struct Group {
  SmallVector<Operation *> ops; ///< in order; the last one makes the results
  bool elementwiseOnly = true;
  bool reshapesOnly = true, movesOnly = true;
  bool isLight = true; ///< elementwise ops, movements, concatenations
  bool hasProduct = false;
  bool endsInAttention = false; ///< perhaps with movements of its result
};

class Fuser {
public:
  explicit Fuser(func::FuncOp function) : function(function), dataSymbols(function->getParentOfType<ModuleOp>()) {
    for (auto define : function.getOps<DefineExtentOp>())
      if (define.getSymbolAttr())
        counts[dataSymbols.getIndex(*define.getSymbol())] = define.getResult();
  }

  void run() {
    separateBiases();
    copyReturned();
    sinkMovements();
    for (Operation &op : function.getBody().front().without_terminator())
      if (!isa<LoadWeightOp>(op) && !isCopiedIntoKernels(&op))
        visit(&op);
    for (Group &group : groups)
      if (!group.ops.empty())
        build(group);
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(function.getBody().front())))
      if (isOpTriviallyDead(&op))
        op.erase();
  }

  unsigned numKernels() const {
    return llvm::count_if(groups, [](const Group &group) { return !group.ops.empty(); });
  }

private:
  /// What is only copied into kernels but is a result of the model is made by a kernel of its own.
  void copyReturned() {
    Operation *ret = function.getBody().front().getTerminator();
    OpBuilder builder(ret);
    for (OpOperand &operand : ret->getOpOperands()) {
      Operation *op = operand.get().getDefiningOp();
      if (!op || !isCopiedIntoKernels(op) || isa<ConstantOp>(op))
        continue;
      auto identity = UnaryKindAttr::get(builder.getContext(), UnaryKind::identity);
      auto copy = builder.create<UnaryOp>(op->getLoc(), identity, operand.get(), FloatAttr(), FloatAttr());
      takePlace(op, copy);
      operand.set(copy);
    }
  }

  /// The bias of a transposed convolution is a sum that follows it.
  void separateBiases() {
    for (auto conv : llvm::make_early_inc_range(function.getBody().front().getOps<ConvTransposeOp>())) {
      Value bias = conv.getBias();
      if (!bias)
        continue;
      OpBuilder builder(conv->getContext());
      builder.setInsertionPointAfter(conv);
      auto type = cast<RankedTensorType>(conv.getType());
      SmallVector<AffineExpr> extents{getExtent(cast<RankedTensorType>(bias.getType()), 0)};
      if (!conv.getChannelsLast())
        extents.append(type.getRank() - 2, builder.getAffineConstantExpr(1));
      Value perChannel = bias;
      if (extents.size() > 1)
        perChannel = builder.create<ReshapeOp>(conv.getLoc(), getTensorType(extents, type.getElementType()), bias);
      auto sum = builder.create<BinaryOp>(conv.getLoc(), type, BinaryKind::add, conv.getResult(), perChannel);
      for (NamedAttribute attribute : llvm::to_vector(conv->getDiscardableAttrs()))
        sum->setAttr(attribute.getName(), attribute.getValue());
      conv->removeAttr(kTensorAttr);
      conv.getBiasMutable().clear();
      conv.getResult().replaceAllUsesExcept(sum, sum);
    }
  }

  /// A reshape of a value with other users, or of an argument, is copied to each of its users, so that it never keeps a
  /// value alive by itself; one that is returned stays. So are all movements that only attentions look through.
  void sinkMovements() {
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(function.getBody().front()))) {
      if (!isMovement(&op) || op.hasOneUse() || (!isa<ReshapeOp>(op) && !onlyFeedsAttention(&op)))
        continue;
      for (OpOperand &use : llvm::make_early_inc_range(op.getUses())) {
        OpBuilder builder(use.getOwner());
        use.set(builder.clone(op)->getResult(0));
      }
      if (op.use_empty())
        op.erase();
    }
  }

  static bool onlyFeedsAttention(Operation *movement) {
    return llvm::all_of(movement->getUsers(), [](Operation *user) {
      return isa<AttentionOp>(user) || (isMovement(user) && onlyFeedsAttention(user));
    });
  }

  /// The group that makes `value`, if `value` has no other use and `op` could be its next op.
  Group *openGroup(Value value) {
    Operation *producer = value.getDefiningOp();
    if (!producer || !value.hasOneUse() || producer->getNumResults() != 1)
      return nullptr;
    auto found = groupOf.find(producer);
    if (found == groupOf.end() || groups[found->second].ops.back() != producer)
      return nullptr;
    return &groups[found->second];
  }

  static bool sameExtents(Value lhs, Value rhs) {
    return getExtents(cast<RankedTensorType>(lhs.getType())) == getExtents(cast<RankedTensorType>(rhs.getType()));
  }

  /// What follows a product is done while its result is written, which leaves room to read one other tensor of that
  /// extent, and only as a summand: libraries add to what lies there. What follows a transposed convolution is a kernel
  /// of its own: libraries do it element by element, much slower than the convolution. Nothing follows an attention but
  /// movements.
  static bool isEpilogue(Operation *op, Value operand, const Group &group) {
    auto contains = [&](auto isKind) { return llvm::any_of(group.ops, isKind); };
    if (group.endsInAttention || contains([](Operation *inner) { return isa<ConvTransposeOp>(inner); }))
      return false;
    if (!group.hasProduct)
      return true;
    // Libraries give back what they sum.
    if (auto cast = dyn_cast<CastOp>(op); cast && getElementTypeOrSelf(operand.getType()).isF32())
      return false;
    auto binary = dyn_cast<BinaryOp>(op);
    bool isSum = binary && binary.getKind() == BinaryKind::add;
    return isSum || llvm::none_of(op->getOperands(), [&](Value other) {
             return other != operand && sameExtents(other, operand) && !other.getDefiningOp<ConstantOp>();
           });
  }

  /// The operand whose group `op` joins: the youngest one that fits, so that of two contractions that are added the
  /// later one takes the sum.
  Group *chooseGroup(Operation *op) {
    Group *best = nullptr;
    for (Value operand : op->getOperands()) {
      Group *group = openGroup(operand);
      if (!group)
        continue;
      bool joins = isa<ReshapeOp>(op) || (isa<TransposeOp>(op) && group->endsInAttention) ||
                   (isFreeTranspose(op, group->ops) && operand == op->getOperand(0)) ||
                   (isa<DefineExtentOp>(op) && !group->hasProduct && !group->endsInAttention) ||
                   (isMovement(op) && group->movesOnly && onlyFeedsAttention(op)) ||
                   (isElementwise(op) && sameExtents(operand, op->getResult(0)) && isEpilogue(op, operand, *group)) ||
                   (takesElementwiseInput(op) && operand == op->getOperand(0) && group->elementwiseOnly);
      if (joins && (!best || best < group))
        best = group;
    }
    return best;
  }

  void visit(Operation *op) {
    Group *group = chooseGroup(op);
    if (!group)
      group = &groups.emplace_back();
    bool isLight = isElementwise(op) || isMovement(op) || isa<ConcatOp>(op);
    bool joinsLight = group->isLight && isLight && !isMovement(op);
    takeOver(*group, op, [&](const Group &made) {
      bool fits = isa<ConcatOp>(op) || sameExtents(made.ops.back()->getResult(0), op->getResult(0));
      return made.reshapesOnly || (isa<AttentionOp>(op) && made.movesOnly) || (joinsLight && made.isLight && fits);
    });
    group->ops.push_back(op);
    group->reshapesOnly &= isa<ReshapeOp>(op);
    group->movesOnly &= isMovement(op);
    group->hasProduct |= isa<MatmulOp, ConvOp, ConvTransposeOp>(op);
    group->isLight &= isLight;
    group->endsInAttention |= isa<AttentionOp>(op);
    group->elementwiseOnly &= isElementwise(op) || isa<ReshapeOp>(op);
    groupOf[op] = group - groups.data();
  }

  /// The groups that make operands of `op`, and nothing else, become part of `group` where they `fit`.
  void takeOver(Group &group, Operation *op, llvm::function_ref<bool(const Group &)> fit) {
    for (Value operand : op->getOperands()) {
      Group *made = openGroup(operand);
      if (!made || made == &group || !fit(*made))
        continue;
      for (Operation *taken : made->ops)
        groupOf[taken] = &group - groups.data();
      group.ops.append(made->ops);
      group.elementwiseOnly &= made->elementwiseOnly;
      made->ops.clear();
    }
  }

  /// Values from outside that the ops of a group use, regions included.
  void collectInputs(const Group &group, SetVector<Value> &inputs, SetVector<Operation *> &copied) {
    llvm::SmallPtrSet<Operation *, 8> inside(group.ops.begin(), group.ops.end());
    for (Operation *op : group.ops)
      op->walk([&](Operation *nested) {
        for (Value operand : nested->getOperands()) {
          Operation *producer = operand.getDefiningOp();
          Block *owner = operand.getParentBlock();
          if (owner != &function.getBody().front() || (producer && inside.contains(producer)))
            continue;
          if (producer && isCopiedIntoKernels(producer))
            copied.insert(producer);
          else
            inputs.insert(operand);
        }
      });
  }

  void build(Group &group) {
    SetVector<Value> inputs;
    SetVector<Operation *> copied;
    collectInputs(group, inputs, copied);
    Operation *last = group.ops.back();
    OpBuilder builder(last);
    KernelOp kernel = makeKernel(builder, last->getLoc(), kernelName(group), copied.getArrayRef(), group.ops,
                                 inputs.getArrayRef(), inputs.getArrayRef(), last->getResults());
    takeDefinition(kernel, kernel.getBody().front().getTerminator()->getOperand(0));
    addCounts(kernel);
    last->replaceAllUsesWith(kernel);
    for (Operation *op : llvm::reverse(group.ops))
      op->erase();
  }

  /// A data symbol that the last op of a kernel defines is defined by the kernel from now on.
  void takeDefinition(KernelOp kernel, Value first) {
    auto define = first.getDefiningOp<DefineExtentOp>();
    if (!define || !define.getSymbolAttr())
      return;
    kernel.setDefinesAttr(define.getSymbolAttr());
    define.removeSymbolAttr();
    counts[dataSymbols.getIndex(*kernel.getDefines())] = kernel.getResult(0);
  }

  /// Who needs a data symbol comes after it is known, in whatever stage: either it reads a value of such an extent, or
  /// it reads the number itself.
  void addCounts(KernelOp kernel) {
    SymbolSet needed, given;
    dataSymbols.collect(kernel, needed);
    for (Type type : kernel.getInputs().getTypes())
      dataSymbols.collect(type, given);
    for (unsigned symbol : needed)
      if (Value count = given.count(symbol) ? Value() : counts.lookup(symbol)) {
        kernel.getInputsMutable().append(count);
        kernel.getBody().addArgument(count.getType(), count.getLoc());
      }
  }

  /// The ONNX tensor that the kernel makes; unique, because tensors are. A change of layout at the end has no name.
  std::string kernelName(const Group &group) {
    Operation *last = group.ops.back();
    if (isa<TransposeOp>(last) && !last->hasAttr(kTensorAttr) && group.ops.size() > 1)
      last = group.ops[group.ops.size() - 2];
    if (auto tensor = last->getAttrOfType<StringAttr>(kTensorAttr))
      if (names.insert(tensor.getValue()).second)
        return tensor.str();
    std::string name;
    do
      name = ("kernel_" + Twine(nextNumber++)).str();
    while (!names.insert(name).second);
    return name;
  }

  func::FuncOp function;
  DataSymbols dataSymbols;
  DenseMap<unsigned, Value> counts; ///< the number that each data symbol is
  std::vector<Group> groups;
  DenseMap<Operation *, size_t> groupOf;
  llvm::StringSet<> names;
  unsigned nextNumber = 0;
};

struct FuseKernelsPass : impl::FuseKernelsPassBase<FuseKernelsPass> {
  void runOnOperation() override {
    auto function = getOperation().lookupSymbol<func::FuncOp>(kEntryName);
    if (!function || !llvm::hasSingleElement(function.getBody())) {
      getOperation().emitError() << "has no function '" << kEntryName << "' of one block; expected an imported model";
      return signalPassFailure();
    }
    WalkResult pure = function.getBody().walk([&](Operation *op) {
      if (op->hasTrait<OpTrait::IsTerminator>() || isa<DefineExtentOp>(op) || isMemoryEffectFree(op))
        return WalkResult::advance();
      op->emitOpError() << "is not pure; expected only pure ops before fusion";
      return WalkResult::interrupt();
    });
    if (pure.wasInterrupted())
      return signalPassFailure();
    Fuser fuser(function);
    fuser.run();
    numKernels += fuser.numKernels();
  }
};

} // namespace
} // namespace penstock::nn
