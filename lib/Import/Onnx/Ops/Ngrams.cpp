//===- Ngrams.cpp - Counting n-grams -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Of every length and distance, the rows are compared with all n-grams of that length at every start; hits are counted.
//===----------------------------------------------------------------------===//
#include "../Constants.h"
#include "../NodeContext.h"
#include "Families.h"
#include "penstock/Import/Onnx/OperatorRegistry.h"

namespace penstock::onnximport {
namespace {

using nn::BinaryKind;
using nn::CompareKind;
using nn::ReduceKind;

/// N-grams of one length, and the columns of the result that they count for.
struct Grams {
  int64_t length = 0;
  Ints items; ///< n-gram after n-gram
  Ints columns;
};

/// The n-grams whose lengths count; the pool has them by length, and `ngram_counts` where each length starts.
FailureOr<std::vector<Grams>> readPool(NodeContext &n) {
  Ints pool = n.getInts("pool_int64s").value_or(Ints()), starts = n.getInts("ngram_counts").value_or(Ints()),
       columns = n.getInts("ngram_indexes").value_or(Ints());
  int64_t least = n.getInt("min_gram_length", 1), most = n.getInt("max_gram_length", 1);
  auto fail = [&](const Twine &what) { return (n.emitError() << what.str()), failure(); };
  if (!n.getStrings("pool_strings").empty())
    return fail("pool_strings is given; expected pool_int64s, as texts are not supported");
  std::vector<Grams> result;
  size_t next = 0;
  for (size_t i = 0; i < starts.size(); ++i) {
    int64_t length = static_cast<int64_t>(i) + 1, start = starts[i],
            end = i + 1 < starts.size() ? starts[i + 1] : static_cast<int64_t>(pool.size());
    if (start < 0 || end < start || end > static_cast<int64_t>(pool.size()) || (end - start) % length != 0)
      return fail("ngram_counts does not divide the pool into n-grams");
    size_t count = (end - start) / length;
    if (next + count > columns.size())
      return fail("ngram_indexes has " + Twine(columns.size()) + " entries; expected one for each n-gram");
    Grams grams{length, Ints(pool.begin() + start, pool.begin() + end),
                Ints(columns.begin() + next, columns.begin() + next + count)};
    next += count;
    if (llvm::any_of(grams.columns, [](int64_t column) { return column < 0 || column >= int64_t(1) << 31; }))
      return fail("ngram_indexes has an entry below 0");
    if (count > 0 && length >= least && length <= most)
      result.push_back(std::move(grams));
  }
  return result;
}

/// How often each of the n-grams occurs in each row with `distance` from item to item: [rows, n-grams].
Value countGrams(NodeContext &n, Value rows, const Grams &grams, int64_t distance) {
  Type type = n.elementOf(rows);
  auto count = static_cast<int64_t>(grams.columns.size());
  AffineExpr numStarts = n.algebra().sub(n.extentsOf(rows)[1], n.cst((grams.length - 1) * distance));
  if (!n.algebra().isNonNegative(numStarts))
    numStarts = n.algebra().maximum(numStarts, n.cst(0));
  if (nn::getConstant(numStarts) == 0)
    return n.broadcastTo(n.scalar(0, n.builder().getF32Type()), {n.extentsOf(rows)[0], n.cst(count)});
  Value hits;
  for (int64_t i = 0; i < grams.length; ++i) {
    Ints items;
    for (int64_t gram = 0; gram < count; ++gram)
      items.push_back(grams.items[gram * grams.length + i]);
    Value part = n.unsqueeze(n.sliceAxis(rows, 1, n.cst(i * distance), numStarts), 2);
    Value isItem = n.compare(CompareKind::eq, part, n.intTensor(items, type, {1, 1, count}));
    hits = hits ? n.binary(BinaryKind::logical_and, hits, isItem) : isItem;
  }
  return n.reduce(ReduceKind::sum, n.cast_(hits, n.builder().getF32Type()), 1, /*keepDims=*/false);
}

LogicalResult convertTfIdfVectorizer(NodeContext &n) {
  Value rows = n.getInput(0);
  FailureOr<std::vector<Grams>> pool = readPool(n);
  std::string mode = n.getString("mode", "TF");
  int64_t maxSkip = n.getInt("max_skip_count", 0);
  if (!rows || failed(pool))
    return failure();
  if ((mode != "TF" && mode != "IDF" && mode != "TFIDF") || maxSkip < 0)
    return n.emitError() << "mode is '" << mode << "' and max_skip_count " << maxSkip
                         << "; expected TF, IDF or TFIDF, and at least 0";
  Extents extents = n.extentsOf(rows);
  if (extents.size() > 2 || !isIntegerType(n.elementOf(rows)))
    return n.emitError() << "input has type " << n.typeOf(rows) << "; expected integers of at most two axes";
  bool isBatch = extents.size() == 2;
  if (!isBatch)
    rows = n.reshape(rows, {n.cst(1), extents.empty() ? n.cst(1) : extents[0]});
  AffineExpr numRows = n.extentsOf(rows)[0];
  Ints columns = n.getInts("ngram_indexes").value_or(Ints());
  int64_t width = columns.empty() ? 0 : *std::max_element(columns.begin(), columns.end()) + 1;

  Type real = n.builder().getF32Type(), i64 = n.builder().getI64Type();
  if (failed(n.checkExtents({numRows, n.cst(width)}, i64)))
    return failure();
  Value counts = n.broadcastTo(n.scalar(0, real), {numRows, n.cst(width)});
  NamedAttribute kind = n.attr("kind", nn::ScatterKindAttr::get(n.getContext(), nn::ScatterKind::add));
  for (const Grams &grams : *pool) {
    // Single items are the same at every distance, and count once.
    Value found;
    for (int64_t skip = 0; skip <= (grams.length == 1 ? 0 : maxSkip); ++skip) {
      Value part = countGrams(n, rows, grams, skip + 1);
      found = found ? n.add(found, part) : part;
    }
    auto numGrams = static_cast<int64_t>(grams.columns.size());
    Value places = n.broadcastTo(n.intTensor(grams.columns, i64, {1, numGrams}), {numRows, n.cst(numGrams)});
    counts = n.make<nn::ScatterElementsOp>({counts, places, found}, {kind, n.integer("axis", 1)});
  }
  std::vector<double> weights = n.getFloats("weights");
  if (!weights.empty() && static_cast<int64_t>(weights.size()) != width)
    return n.emitError() << "has " << weights.size() << " weights; expected " << width;
  if (mode == "IDF")
    counts = n.cast_(n.compare(CompareKind::gt, counts, n.scalar(0, real)), real);
  if (mode != "TF" && !weights.empty()) {
    Elements elements;
    for (double weight : weights)
      elements.push_back({n.cst(1), weight});
    counts = n.mul(counts, n.constant(toDense(RankedTensorType::get({1, width}, real), elements)));
  }
  return n.setOutput(0, isBatch ? counts : n.reshape(counts, n.cst(width)));
}

} // namespace

void registerNgramsOperators(OperatorRegistry &r) { r.add("TfIdfVectorizer", 9, convertTfIdfVectorizer); }

} // namespace penstock::onnximport
