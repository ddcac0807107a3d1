//===- TreeEnsemble.cpp - Decision trees -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// All trees walk at once: a table per property of the nodes, one current node per row and tree, and as many steps as
// the deepest tree has. A leaf leads to itself.
//===----------------------------------------------------------------------===//
#include "../Constants.h"
#include "../GraphImporter.h"
#include "../NodeContext.h"
#include "Families.h"
#include "penstock/Import/Onnx/OperatorRegistry.h"
#include <cmath>

namespace penstock::onnximport {
namespace {

using nn::BinaryKind;
using nn::CompareKind;
using nn::UnaryKind;

constexpr int64_t kMaxDepth = 256; ///< each step is about ten ops
enum Aggregate { kAverage, kSum, kMin, kMax };
enum PostTransform { kNone, kSoftmax, kLogistic, kSoftmaxZero };
enum Mode { kEqual = 4, kMember = 6 }; ///< those before kMember compare as `kCompareKinds` says
constexpr CompareKind kCompareKinds[] = {CompareKind::le, CompareKind::lt, CompareKind::ge,
                                         CompareKind::gt, CompareKind::eq, CompareKind::ne};

/// Inner nodes, then leaves, then the nodes that a set of several members was taken apart into.
struct Nodes {
  Ints features, modes, yes, no, missing, targets;
  std::vector<double> splits, weights;

  void add(int64_t feature, int64_t mode, double split, int64_t onYes, int64_t onNo, bool missingIsYes) {
    features.push_back(feature);
    modes.push_back(mode);
    splits.push_back(split);
    yes.push_back(onYes);
    no.push_back(onNo);
    missing.push_back(missingIsYes);
    targets.push_back(0);
    weights.push_back(0);
  }
  int64_t getCount() const { return static_cast<int64_t>(features.size()); }
  bool isLeaf(int64_t node) const { return yes[node] == node && no[node] == node; }
};

class TreeWalker {
public:
  explicit TreeWalker(NodeContext &n) : n(n) {}

  LogicalResult convert() {
    input = n.getInput(0);
    if (!input || failed(readNodes()))
      return failure();
    if (n.typeOf(input).getRank() != 2)
      return n.emitError() << "input has type " << n.typeOf(input) << "; expected two axes";
    FailureOr<int64_t> depth = getDepth();
    if (failed(depth))
      return failure();
    i64 = n.builder().getI64Type();
    type = n.elementOf(input);
    numRows = n.extentsOf(input)[0];
    auto numTrees = static_cast<int64_t>(roots.size());
    Value node = n.broadcastTo(n.intTensor(roots, i64, {1, numTrees}), {numRows, n.cst(numTrees)});
    for (int64_t i = 0; i < *depth; ++i)
      node = step(node);
    Value result = aggregate(n.gather(numbers(nodes.weights), node, 0), n.gather(integers(nodes.targets), node, 0));
    return n.setOutput(0, transform(result));
  }

private:
  FailureOr<std::vector<double>> readTensor(StringRef name) {
    std::vector<double> result;
    const onnx::AttributeProto *attribute = n.findAttr(name);
    if (!attribute)
      return result;
    OnnxValue *value = n.getImporter().importTensor(attribute->t(), name, n.getLoc());
    const Elements *elements = value ? n.getImporter().getElements(*value) : nullptr;
    if (!elements)
      return (n.emitError() << name << " is not a list of numbers, or too long"), failure();
    for (const Element &element : *elements)
      result.push_back(*element.getDouble());
    return result;
  }

  LogicalResult readNodes() {
    FailureOr<std::vector<double>> modes = readTensor("nodes_modes"), splits = readTensor("nodes_splits"),
                                   members = readTensor("membership_values"), weights = readTensor("leaf_weights");
    if (failed(modes) || failed(splits) || failed(members) || failed(weights))
      return failure();
    auto ints = [&](StringRef name) { return n.getInts(name).value_or(Ints()); };
    Ints features = ints("nodes_featureids"), yes = ints("nodes_truenodeids"), no = ints("nodes_falsenodeids"),
         yesIsLeaf = ints("nodes_trueleafs"), noIsLeaf = ints("nodes_falseleafs"), targets = ints("leaf_targetids"),
         missing = ints("nodes_missing_value_tracks_true");
    roots = ints("tree_roots");
    numTargets = n.getInt("n_targets", 1);
    size_t count = features.size(), numLeaves = targets.size();
    bool fits = modes->size() == count && splits->size() == count && yes.size() == count && no.size() == count &&
                yesIsLeaf.size() == count && noIsLeaf.size() == count && weights->size() == numLeaves &&
                (missing.empty() || missing.size() == count) && !roots.empty() && numLeaves > 0 && numTargets > 0;
    auto isBelow = [](ArrayRef<int64_t> values, size_t end) {
      return llvm::all_of(values, [&](int64_t value) { return value >= 0 && value < static_cast<int64_t>(end); });
    };
    for (size_t i = 0; i < count && fits; ++i)
      fits = isBelow(yes[i], yesIsLeaf[i] ? numLeaves : count) && isBelow(no[i], noIsLeaf[i] ? numLeaves : count) &&
             (*modes)[i] >= 0 && (*modes)[i] <= kMember;
    if (!fits || !isBelow(roots, count) || !isBelow(targets, numTargets) || !isBelow(features, int64_t(1) << 31))
      return n.emitError() << "its lists do not describe trees: " << count << " nodes, " << numLeaves << " leaves, "
                           << numTargets << " targets";
    auto child = [&](int64_t id, int64_t isLeaf) { return isLeaf ? static_cast<int64_t>(count) + id : id; };
    for (size_t i = 0; i < count; ++i)
      nodes.add(features[i], static_cast<int64_t>((*modes)[i]), (*splits)[i], child(yes[i], yesIsLeaf[i]),
                child(no[i], noIsLeaf[i]), !missing.empty() && missing[i]);
    for (size_t i = 0; i < numLeaves; ++i) {
      nodes.add(0, 0, 0, nodes.getCount(), nodes.getCount(), false);
      nodes.targets.back() = targets[i];
      nodes.weights.back() = (*weights)[i];
    }
    return expandSets(*members);
  }

  /// Sets stand in `members` in the order in which the trees meet their nodes, yes before no, each ended by a NaN. A
  /// node becomes a chain of comparisons with one member each.
  LogicalResult expandSets(ArrayRef<double> members) {
    size_t next = 0;
    Ints pending(llvm::reverse(roots));
    std::vector<bool> isSeen(nodes.getCount());
    while (!pending.empty()) {
      int64_t node = pending.pop_back_val();
      if (isSeen[node] || nodes.isLeaf(node))
        continue;
      isSeen[node] = true;
      pending.append({nodes.no[node], nodes.yes[node]});
      if (nodes.modes[node] != kMember)
        continue;
      int64_t at = node;
      bool isFirst = true;
      for (; next < members.size() && !std::isnan(members[next]); ++next, isFirst = false) {
        if (!isFirst) {
          nodes.add(nodes.features[node], 0, 0, nodes.yes[node], nodes.no[at], nodes.missing[node]);
          nodes.no[at] = nodes.getCount() - 1;
          at = nodes.no[at];
        }
        nodes.modes[at] = kEqual;
        nodes.splits[at] = members[next];
      }
      if (next++ >= members.size())
        return n.emitError() << "membership_values has no set for node " << node;
      if (isFirst) { // the empty set has no member
        nodes.modes[node] = kEqual;
        nodes.splits[node] = std::nan("");
      }
    }
    return success();
  }

  /// Steps from the roots to the last leaf.
  FailureOr<int64_t> getDepth() {
    llvm::SetVector<int64_t> level(roots.begin(), roots.end());
    for (int64_t depth = 0; depth <= kMaxDepth; ++depth) {
      llvm::SetVector<int64_t> below;
      for (int64_t node : level)
        if (!nodes.isLeaf(node)) {
          below.insert(nodes.yes[node]);
          below.insert(nodes.no[node]);
        }
      if (below.empty())
        return depth;
      level = std::move(below);
    }
    return (n.emitError() << "a tree is more than " << kMaxDepth << " deep"), failure();
  }

  Value integers(ArrayRef<int64_t> values) { return n.intTensor(values, i64, {static_cast<int64_t>(values.size())}); }
  Value numbers(ArrayRef<double> values) {
    Elements elements;
    for (double value : values)
      elements.push_back({n.cst(1), value});
    return n.constant(toDense(RankedTensorType::get({static_cast<int64_t>(values.size())}, type), elements));
  }

  /// The next node of every row and tree.
  Value step(Value node) {
    auto of = [&](ArrayRef<int64_t> table) { return n.gather(integers(table), node, 0); };
    Value element = n.make<nn::GatherElementsOp>({input, of(nodes.features)}, n.integer("axis", 1));
    Value split = n.gather(numbers(nodes.splits), node, 0), goesYes;
    llvm::SetVector<int64_t> modes;
    for (int64_t i = 0; i < nodes.getCount(); ++i)
      if (!nodes.isLeaf(i))
        modes.insert(nodes.modes[i]);
    Value mode = modes.size() > 1 ? of(nodes.modes) : Value();
    for (int64_t one : modes) {
      Value compared = n.compare(kCompareKinds[one], element, split);
      goesYes = goesYes ? n.select(n.compare(CompareKind::eq, mode, n.scalar(static_cast<double>(one), i64)), compared,
                                   goesYes)
                        : compared;
    }
    if (llvm::is_contained(nodes.missing, 1)) {
      Value missing = n.compare(CompareKind::ne, of(nodes.missing), n.scalar(0, i64));
      Value isMissing = n.binary(BinaryKind::logical_and, n.unary(UnaryKind::is_nan, element), missing);
      goesYes = n.binary(BinaryKind::logical_or, goesYes, isMissing);
    }
    return n.select(goesYes, of(nodes.yes), of(nodes.no));
  }

  /// Weights and targets are [rows, trees]; the result is [rows, targets]. A target that no tree chose is 0.
  Value aggregate(Value weights, Value targets) {
    int64_t function = n.getInt("aggregate_function", kSum);
    if (function < kAverage || function > kMax)
      return (n.emitError() << "aggregate_function is " << function << "; expected 0 to 3"), Value();
    double none = function == kMin ? HUGE_VAL : function == kMax ? -HUGE_VAL : 0;
    nn::ScatterKind kind = function == kMin   ? nn::ScatterKind::min
                           : function == kMax ? nn::ScatterKind::max
                                              : nn::ScatterKind::add;
    Value start = n.broadcastTo(n.scalar(none, type), {numRows, n.cst(numTargets)});
    Value result = n.make<nn::ScatterElementsOp>(
        {start, targets, weights},
        {n.attr("kind", nn::ScatterKindAttr::get(n.getContext(), kind)), n.integer("axis", 1)});
    if (function == kAverage)
      return n.div(result, n.scalar(static_cast<double>(roots.size()), type));
    if (function == kSum)
      return result;
    return n.select(n.unary(UnaryKind::is_inf, result, 1.0, 1.0), n.scalar(0, type), result);
  }

  Value transform(Value scores) {
    int64_t function = n.getInt("post_transform", kNone);
    NamedAttribute axis = n.integer("axis", 1);
    Value zero = n.scalar(0, type);
    switch (function) {
    case kNone:
      return scores;
    case kSoftmax:
      return n.make<nn::SoftmaxOp>(scores, axis);
    case kLogistic:
      return n.unary(UnaryKind::sigmoid, scores);
    case kSoftmaxZero: {
      // Zeros take no part and stay.
      Value isZero = n.compare(CompareKind::eq, scores, zero);
      Value share = n.make<nn::SoftmaxOp>(n.select(isZero, n.scalar(-HUGE_VAL, type), scores), axis);
      return n.select(isZero, zero, share);
    }
    default:
      return (n.emitError() << "post_transform is " << function << "; expected 0 to 3"), Value();
    }
  }

  NodeContext &n;
  Value input;
  Type type, i64;
  AffineExpr numRows;
  Nodes nodes;
  Ints roots;
  int64_t numTargets = 1;
};

} // namespace

void registerTreeEnsembleOperators(OperatorRegistry &r) {
  r.add("ai.onnx.ml", "TreeEnsemble", 5, [](NodeContext &n) { return TreeWalker(n).convert(); });
}

} // namespace penstock::onnximport
