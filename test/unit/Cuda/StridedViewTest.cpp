//===- StridedViewTest.cpp - Tensors where they lie -----------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Random chains of transposes, reshapes and slices: where a view says strides, they lead to the element that the ops,
// done one after the other on the places themselves, have put there.
//
//===----------------------------------------------------------------------===//

#include "StridedView.h"
#include "penstock/Dialect/NN/IR/Extents.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/OwningOpRef.h"

#include <gtest/gtest.h>
#include <numeric>
#include <random>

using namespace mlir;
using namespace penstock;
using namespace penstock::cuda;

namespace {

using Dims = std::vector<int64_t>;

int64_t sizeOf(const Dims &dims) { return std::accumulate(dims.begin(), dims.end(), int64_t(1), std::multiplies<>()); }

/// For each element of a tensor, row-major, its place in some memory.
struct Places {
  Dims dims;
  std::vector<int64_t> of;

  /// An own memory.
  explicit Places(Dims extents) : dims(std::move(extents)), of(sizeOf(dims)) { std::iota(of.begin(), of.end(), 0); }

  /// Calls `visit` with the number and the indices of each element of a tensor.
  template <typename Visit> static void forEach(const Dims &dims, const Visit &visit) {
    Dims index(dims.size());
    for (int64_t number = 0, size = sizeOf(dims); number < size; ++number) {
      for (int64_t rest = number, i = int64_t(dims.size()) - 1; i >= 0; rest /= dims[i--])
        index[i] = rest % dims[i];
      visit(number, index);
    }
  }
  int64_t at(const Dims &index) const {
    int64_t number = 0;
    for (size_t i = 0; i < dims.size(); ++i)
      number = number * dims[i] + index[i];
    return of[number];
  }

  Places transposed(ArrayRef<int64_t> perm) const {
    Dims made;
    for (int64_t axis : perm)
      made.push_back(dims[axis]);
    return taken(made, [&](const Dims &index) {
      Dims from(index.size());
      for (size_t i = 0; i < index.size(); ++i)
        from[perm[i]] = index[i];
      return from;
    });
  }
  Places sliced(const Dims &starts, const Dims &steps, const Dims &made) const {
    return taken(made, [&](Dims index) {
      for (size_t i = 0; i < index.size(); ++i)
        index[i] = starts[i] + index[i] * steps[i];
      return index;
    });
  }
  Places reshaped(const Dims &made) const {
    Places result(*this);
    result.dims = made;
    return result;
  }

private:
  template <typename From> Places taken(const Dims &made, const From &from) const {
    Places result(made);
    forEach(made, [&](int64_t number, const Dims &index) { result.of[number] = at(from(index)); });
    return result;
  }
};

class Chain : public testing::TestWithParam<unsigned> {
protected:
  Chain() : b(&context), random(GetParam()) {
    context.loadDialect<nn::NNDialect>();
    module = ModuleOp::create(b.getUnknownLoc());
    b.setInsertionPointToStart(module->getBody());
    for (int64_t &value : symbols)
      value = pick(1, 5);
  }

  int64_t pick(int64_t low, int64_t high) { return low + int64_t(random() % uint64_t(high - low + 1)); }
  AffineExpr number(int64_t value) { return b.getAffineConstantExpr(value); }
  /// An extent: a number, or a symbol.
  AffineExpr pickExtent() { return pick(0, 2) == 0 ? b.getAffineSymbolExpr(pick(0, 1)) : number(pick(1, 4)); }
  int64_t valueOf(AffineExpr expr) { return *nn::evaluate(expr, symbols); }
  Dims valuesOf(ArrayRef<AffineExpr> exprs) {
    Dims values;
    for (AffineExpr expr : exprs)
      values.push_back(valueOf(expr));
    return values;
  }
  RankedTensorType typeOf(ArrayRef<AffineExpr> extents) { return nn::getTensorType(extents, b.getBF16Type()); }
  Value makeInput() {
    SmallVector<AffineExpr> extents;
    for (int64_t i = 0, rank = pick(2, 4); i < rank; ++i)
      extents.push_back(pickExtent());
    auto made = b.create<UnrealizedConversionCastOp>(b.getUnknownLoc(), TypeRange{typeOf(extents)}, ValueRange());
    return made.getResult(0);
  }
  static SmallVector<AffineExpr> extentsOf(Value value) {
    return nn::getExtents(cast<RankedTensorType>(value.getType()));
  }

  Operation *transpose(Value value, Places &places) {
    SmallVector<int64_t> perm(extentsOf(value).size());
    std::iota(perm.begin(), perm.end(), 0);
    std::shuffle(perm.begin(), perm.end(), random);
    places = places.transposed(perm);
    return b.create<nn::TransposeOp>(b.getUnknownLoc(), value, perm);
  }
  /// Splits an axis of a number of elements, joins two axes, or puts one of one element somewhere.
  Operation *reshape(Value value, Places &places) {
    SmallVector<AffineExpr> extents = extentsOf(value);
    int64_t axis = pick(0, extents.size() - 1), kind = pick(0, 2);
    std::optional<int64_t> known = nn::getConstant(extents[axis]);
    if (kind == 0 && known && *known % 2 == 0) {
      extents[axis] = number(*known / 2);
      extents.insert(extents.begin() + axis + pick(0, 1), number(2));
    } else if (kind == 1 && axis + 1 < int64_t(extents.size())) {
      extents[axis] = nn::simplifyExtent(extents[axis] * extents[axis + 1]);
      extents.erase(extents.begin() + axis + 1);
    } else if (extents.size() < 6) {
      extents.insert(extents.begin() + axis, number(1));
    }
    places = places.reshaped(valuesOf(extents));
    return b.create<nn::ReshapeOp>(b.getUnknownLoc(), typeOf(extents), value);
  }
  Operation *slice(Value value, Places &places) {
    SmallVector<AffineExpr> extents = extentsOf(value), starts(extents.size(), number(0));
    SmallVector<int64_t> steps(extents.size(), 1);
    int64_t axis = pick(0, extents.size() - 1);
    if (std::optional<int64_t> known = nn::getConstant(extents[axis]); known && *known > 1) {
      int64_t start = pick(0, *known - 1);
      steps[axis] = pick(1, 2);
      starts[axis] = number(start);
      extents[axis] = number((*known - start + steps[axis] - 1) / steps[axis]);
    }
    places = places.sliced(valuesOf(starts), Dims(steps.begin(), steps.end()), valuesOf(extents));
    return b.create<nn::SliceOp>(b.getUnknownLoc(), typeOf(extents), value, nn::ExtentsAttr::get(&context, starts),
                                 b.getDenseI64ArrayAttr(steps));
  }

  /// Whether all axes have strides; those must lead to `places`.
  bool check(const StridedView &view, const Places &places) {
    std::vector<int64_t> strides;
    for (size_t i = 0; i < places.dims.size(); ++i) {
      AffineExpr stride = view.getStride(i);
      if (!stride)
        return false;
      strides.push_back(valueOf(stride));
    }
    int64_t offset = valueOf(view.getOffset());
    Places::forEach(places.dims, [&](int64_t number, const Dims &index) {
      EXPECT_EQ(std::inner_product(index.begin(), index.end(), strides.begin(), offset), places.of[number]);
    });
    return true;
  }

  MLIRContext context;
  OpBuilder b;
  OwningOpRef<ModuleOp> module;
  std::mt19937 random;
  std::vector<int64_t> symbols = {0, 0};
};

// From memory on.
TEST_P(Chain, leadsToTheElement) {
  int64_t numSeen = 0;
  for (int round = 0; round < 200 && !HasFailure(); ++round) {
    Value value = makeInput();
    StridedView view(cast<RankedTensorType>(value.getType()));
    Places places(valuesOf(extentsOf(value)));
    bool isKnown = true;
    for (int64_t i = 0, length = pick(1, 6); i < length && isKnown; ++i) {
      int64_t kind = pick(0, 2);
      Operation *op = kind == 0 ? transpose(value, places) : kind == 1 ? reshape(value, places) : slice(value, places);
      isKnown = view.apply(op);
      value = op->getResult(0);
    }
    numSeen += isKnown && check(view, places);
  }
  EXPECT_GE(numSeen, 100);
}

// Back from the memory that the last tensor of a chain has.
TEST_P(Chain, leadsBackFromTheResult) {
  int64_t numSeen = 0;
  for (int round = 0; round < 200 && !HasFailure(); ++round) {
    Value value = makeInput();
    Dims dims = valuesOf(extentsOf(value));
    Places places(dims);
    SmallVector<Operation *> ops;
    for (int64_t i = 0, length = pick(1, 6); i < length; ++i) {
      ops.push_back(pick(0, 1) ? transpose(value, places) : reshape(value, places));
      value = ops.back()->getResult(0);
    }
    StridedView view(cast<RankedTensorType>(value.getType()));
    if (!llvm::all_of(llvm::reverse(ops), [&](Operation *op) { return view.applyInverse(op); }))
      continue;
    // The element that came from place p of the first tensor is at place `number` of the last.
    Places first(dims);
    for (size_t number = 0; number < places.of.size(); ++number)
      first.of[places.of[number]] = int64_t(number);
    numSeen += check(view, first);
  }
  EXPECT_GE(numSeen, 100);
}

INSTANTIATE_TEST_SUITE_P(Seeds, Chain, testing::Range(0u, 8u));

// What is no view of the kind, and what is not known.
TEST(StridedView, refuses) {
  MLIRContext context;
  context.loadDialect<nn::NNDialect>();
  OpBuilder b(&context);
  auto s0 = b.getAffineSymbolExpr(0), s1 = b.getAffineSymbolExpr(1);
  auto type = [&](ArrayRef<AffineExpr> extents) { return nn::getTensorType(extents, b.getF32Type()); };
  StridedView parts(type({s0, s1}));
  EXPECT_FALSE(parts.reshape({s1, s0}));
  StridedView sums(type({s0 + 1, b.getAffineConstantExpr(6)}));
  EXPECT_TRUE(sums.reshape({s0 + 1, b.getAffineConstantExpr(2), b.getAffineConstantExpr(3)}));
  EXPECT_EQ(sums.getStride(0), b.getAffineConstantExpr(6));
  StridedView unknown(RankedTensorType::get({ShapedType::kDynamic, 4}, b.getF32Type()));
  EXPECT_FALSE(unknown.reshape({s0, b.getAffineConstantExpr(4)}));
}

} // namespace
