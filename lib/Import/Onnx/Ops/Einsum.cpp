//===- Einsum.cpp - Sums of products by letters -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Operands are joined from left to right, each pair by one product of matrices. An ellipsis stands for letters of its
// own.
//===----------------------------------------------------------------------===//
#include "../NodeContext.h"
#include "Families.h"
#include "penstock/Import/Onnx/OperatorRegistry.h"

namespace penstock::onnximport {
namespace {

/// One label per axis: a letter, or a number above all letters for an axis of the ellipsis.
using Labels = SmallVector<int>;
constexpr int kEllipsis = 256;

struct Term {
  Value value;
  Labels labels;
};

bool contains(ArrayRef<int> labels, int label) { return llvm::is_contained(labels, label); }

Ints axesOf(const Term &term, ArrayRef<int> labels) {
  Ints axes;
  for (int label : labels)
    axes.push_back(llvm::find(term.labels, label) - term.labels.begin());
  return axes;
}

class Einsum {
public:
  explicit Einsum(NodeContext &n) : n(n) {}

  LogicalResult convert() {
    std::string equation = n.getString("equation", "");
    llvm::erase(equation, ' ');
    auto [left, right] = StringRef(equation).split("->");
    SmallVector<StringRef> parts;
    left.split(parts, ',');
    if (static_cast<int>(parts.size()) != n.getNumInputs())
      return n.emitError() << "equation '" << equation << "' has " << parts.size() << " terms; the node has "
                           << n.getNumInputs() << " inputs";
    SmallVector<Term> terms;
    for (auto [i, part] : llvm::enumerate(parts)) {
      Term term{n.getInput(i), {}};
      if (!term.value || failed(readLabels(part, n.typeOf(term.value).getRank(), term.labels)) ||
          failed(takeDiagonals(term)))
        return failure();
      terms.push_back(term);
    }
    Labels output;
    if (StringRef(equation).contains("->")) {
      if (failed(readOutput(right, terms, output)))
        return failure();
    } else {
      output = inferOutput(terms);
    }
    Term result = terms.front();
    for (size_t i = 1; i < terms.size(); ++i) {
      Labels needed = output;
      for (size_t j = i + 1; j < terms.size(); ++j)
        llvm::append_range(needed, terms[j].labels);
      result = multiply(sumOut(result, needed, terms[i].labels), sumOut(terms[i], needed, result.labels), needed);
    }
    result = sumOut(result, output, {});
    if (!result.value)
      return failure();
    return n.setOutput(0, n.transpose(result.value, axesOf(result, output)));
  }

private:
  LogicalResult readLabels(StringRef text, int64_t numDims, Labels &labels) {
    auto [before, after] = text.split("...");
    bool hasEllipsis = text.contains("...");
    int64_t numLetters = before.size() + after.size();
    if (hasEllipsis ? numLetters > numDims : numLetters != numDims)
      return n.emitError() << "term '" << text << "' does not fit an operand of " << numDims << " axes";
    for (char letter : before)
      labels.push_back(letter);
    // Axes of an ellipsis are aligned at its end, as in broadcasting.
    for (int64_t i = numDims - numLetters; hasEllipsis && i > 0; --i)
      labels.push_back(kEllipsis + static_cast<int>(i));
    for (char letter : after)
      labels.push_back(letter);
    for (int label : labels)
      if (label < kEllipsis && !isalpha(label))
        return n.emitError() << "term '" << text << "' has a character that is no letter";
    return success();
  }

  Labels ellipsisOf(ArrayRef<Term> terms) {
    Labels result;
    for (const Term &term : terms) {
      Labels own;
      for (int label : term.labels)
        if (label >= kEllipsis)
          own.push_back(label);
      if (own.size() > result.size())
        result = own;
    }
    return result;
  }

  LogicalResult readOutput(StringRef text, ArrayRef<Term> terms, Labels &output) {
    auto [before, after] = text.split("...");
    for (char letter : before)
      output.push_back(letter);
    if (text.contains("..."))
      llvm::append_range(output, ellipsisOf(terms));
    for (char letter : after)
      output.push_back(letter);
    for (auto [i, label] : llvm::enumerate(output)) {
      bool isKnown = llvm::any_of(terms, [&, l = label](const Term &term) { return contains(term.labels, l); });
      if (!isKnown || contains(ArrayRef(output).take_front(i), label))
        return n.emitError() << "output term '" << text << "' has a letter twice or one that no operand has";
    }
    return success();
  }

  /// The ellipsis, then every letter that stands once, in alphabetical order.
  Labels inferOutput(ArrayRef<Term> terms) {
    std::map<int, int> counts;
    for (const Term &term : terms)
      for (int label : term.labels)
        ++counts[label];
    Labels output = ellipsisOf(terms);
    for (auto [label, count] : counts)
      if (label < kEllipsis && count == 1)
        output.push_back(label);
    return output;
  }

  /// A letter twice in one operand: only elements with equal positions count.
  LogicalResult takeDiagonals(Term &term) {
    for (size_t i = 0; i < term.labels.size(); ++i)
      for (size_t j = i + 1; j < term.labels.size(); ++j) {
        if (term.labels[i] != term.labels[j])
          continue;
        Extents extents = n.extentsOf(term.value), rows(extents.size(), n.cst(1)), columns = rows;
        rows[i] = extents[i];
        columns[j] = extents[j];
        Type i64 = n.builder().getI64Type();
        Value same = n.compare(nn::CompareKind::eq, n.iota(nn::getTensorType(rows, i64), i),
                               n.iota(nn::getTensorType(columns, i64), j));
        Value kept = n.select(same, term.value, n.scalar(0, n.elementOf(term.value)));
        term.value = n.reduce(nn::ReduceKind::sum, kept, static_cast<int64_t>(j), false);
        term.labels.erase(term.labels.begin() + j);
        if (!term.value)
          return failure();
        --j;
      }
    return success();
  }

  /// Sums over axes that neither the result nor the other operand has.
  Term sumOut(const Term &term, ArrayRef<int> needed, ArrayRef<int> other) {
    Term result;
    Ints axes;
    for (auto [axis, label] : llvm::enumerate(term.labels)) {
      if (contains(needed, label) || contains(other, label))
        result.labels.push_back(label);
      else
        axes.push_back(axis);
    }
    result.value = axes.empty() ? term.value : n.reduce(nn::ReduceKind::sum, term.value, axes, false);
    return result;
  }

  /// The operand with its axes in this order.
  Value arrange(const Term &term, ArrayRef<int> order) {
    return term.value ? n.transpose(term.value, axesOf(term, order)) : Value();
  }

  Extents extentsOf(const Term &term, ArrayRef<int> labels) {
    Extents all = n.extentsOf(term.value), result;
    for (int64_t axis : axesOf(term, labels))
      result.push_back(all[axis]);
    return result;
  }

  /// An extent of 1 in a shared axis is stretched to the other operand's.
  Term stretch(const Term &term, const Term &other) {
    Term result = term;
    Extents extents = n.extentsOf(term.value), target = extents, theirs = n.extentsOf(other.value);
    for (auto [axis, label] : llvm::enumerate(term.labels))
      if (contains(other.labels, label) && nn::getConstant(extents[axis]) == 1)
        target[axis] = theirs[axesOf(other, label)[0]];
    result.value = n.broadcastTo(term.value, target);
    return result;
  }

  Term multiply(const Term &first, const Term &second, ArrayRef<int> needed) {
    if (!first.value || !second.value)
      return {};
    Term lhs = stretch(first, second), rhs = stretch(second, first);
    Labels batch, contracted, rows, columns;
    for (int label : lhs.labels)
      (!contains(rhs.labels, label) ? rows : contains(needed, label) ? batch : contracted).push_back(label);
    for (int label : rhs.labels)
      if (!contains(lhs.labels, label))
        columns.push_back(label);
    auto join = [](std::initializer_list<Labels> lists) {
      Labels all;
      for (const Labels &list : lists)
        llvm::append_range(all, list);
      return all;
    };
    Extents batchExtents = extentsOf(lhs, batch), rowExtents = extentsOf(lhs, rows),
            columnExtents = extentsOf(rhs, columns);
    AffineExpr depth = n.algebra().product(extentsOf(lhs, contracted));
    Extents left = batchExtents, right = batchExtents, result = batchExtents;
    left.append({n.algebra().product(rowExtents), depth});
    right.append({depth, n.algebra().product(columnExtents)});
    result.append(rowExtents);
    result.append(columnExtents);
    Value product = n.matmul(n.reshape(arrange(lhs, join({batch, rows, contracted})), left),
                             n.reshape(arrange(rhs, join({batch, contracted, columns})), right));
    return {n.reshape(product, result), join({batch, rows, columns})};
  }

  NodeContext &n;
};

} // namespace

void registerEinsumOperators(OperatorRegistry &r) {
  r.add("Einsum", 12, [](NodeContext &n) { return Einsum(n).convert(); });
}

} // namespace penstock::onnximport
