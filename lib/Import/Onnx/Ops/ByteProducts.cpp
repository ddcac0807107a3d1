//===- ByteProducts.cpp - Sums of products of bytes -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "ByteProducts.h"
#include "Products.h"

namespace penstock::onnximport {
namespace {

/// The greatest difference of two bytes.
constexpr int64_t kMaxDifference = 255;
/// f32 holds every integer up to here.
constexpr int64_t kMaxExact = 1 << 24;

/// How large the products' right factors are: an upper bound of what one position of the summed axis adds to one sum,
/// by the number of the sum and the position.
using Magnitude = llvm::function_ref<int64_t(int64_t sum, int64_t position)>;

/// Where parts of the summed axis begin, so that no partial sum of one leaves what f32 holds; nothing if one position
/// alone can.
std::optional<Ints> findParts(int64_t numSums, int64_t numPositions, Magnitude magnitude) {
  Ints starts = {0};
  std::vector<int64_t> sums(numSums), added(numSums);
  for (int64_t position = 0; position < numPositions; ++position) {
    bool fits = true;
    for (int64_t sum = 0; sum < numSums; ++sum) {
      added[sum] = magnitude(sum, position) * kMaxDifference;
      if (added[sum] > kMaxExact)
        return std::nullopt;
      fits &= sums[sum] + added[sum] <= kMaxExact;
    }
    if (!fits) {
      starts.push_back(position);
      std::fill(sums.begin(), sums.end(), 0);
    }
    for (int64_t sum = 0; sum < numSums; ++sum)
      sums[sum] += added[sum];
  }
  return starts;
}

/// The numbers of a constant of 8 bits.
class ConstantBytes {
public:
  ConstantBytes(NodeContext &n, int index) {
    if (!n.hasInput(index)) {
      numElements = 1;
      bytes = StringRef("", 1); // a zero point that is not there is 0
      return;
    }
    RankedTensorType type = n.getType(index);
    std::optional<StringRef> data = n.getData(index);
    if (!data || !type || !type.hasStaticShape() || !type.getElementType().isInteger(8))
      return;
    bytes = *data;
    numElements = type.getNumElements();
    isUnsigned = type.getElementType().isUnsignedInteger();
  }

  /// A splat's data is one element.
  bool isKnown() const { return numElements > 0 && (bytes.size() == 1 || int64_t(bytes.size()) == numElements); }
  int64_t size() const { return numElements; }
  int64_t operator[](int64_t i) const {
    char byte = bytes[bytes.size() == 1 ? 0 : i];
    return isUnsigned ? int64_t(uint8_t(byte)) : int64_t(int8_t(byte));
  }

private:
  StringRef bytes;
  int64_t numElements = 0;
  bool isUnsigned = false;
};

/// Right factors that may be any difference of bytes, or constants whose size is known.
class RightSide {
public:
  RightSide(NodeContext &n, const ByteOperand &operand) : bytes(n, operand.bytesIndex), zeros(n, operand.zeroIndex) {}

  /// `element(sum, position)` is the first of `count` elements that lie together.
  std::optional<Ints> findParts(int64_t numSums, int64_t numPositions, int64_t count,
                                llvm::function_ref<int64_t(int64_t, int64_t)> element) const {
    bool isKnown = bytes.isKnown() && zeros.isKnown() && bytes.size() == numSums * numPositions * count &&
                   (zeros.size() == 1 || zeros.size() == numSums);
    if (!isKnown)
      return onnximport::findParts(1, numPositions, [&](int64_t, int64_t) { return count * kMaxDifference; });
    return onnximport::findParts(numSums, numPositions, [&](int64_t sum, int64_t position) {
      int64_t zero = zeros[zeros.size() == 1 ? 0 : sum], first = element(sum, position), total = 0;
      for (int64_t i = 0; i < count; ++i)
        total += std::abs(bytes[first + i] - zero);
      return total;
    });
  }

private:
  ConstantBytes bytes, zeros;
};

/// The sum over all parts of a product in f32, each as i32. `cut` gives an operand's part.
Value sumParts(NodeContext &n, ArrayRef<int64_t> starts, int64_t length,
               llvm::function_ref<Value(int64_t start, int64_t length)> multiply) {
  Type i32 = IntegerType::get(n.getContext(), 32);
  Value sum;
  for (size_t i = 0; i < starts.size(); ++i) {
    int64_t end = i + 1 < starts.size() ? starts[i + 1] : length;
    Value part = n.cast_(multiply(starts[i], end - starts[i]), i32);
    sum = sum ? n.add(sum, part) : part;
  }
  return sum;
}

Value cutAxis(NodeContext &n, Value value, int64_t axis, int64_t start, int64_t length) {
  return n.sliceAxis(value, axis, n.cst(start), n.cst(length));
}

} // namespace

Value multiplyByteMatrices(NodeContext &n, Value lhs, const ByteOperand &rhs, bool transposeLhs, bool transposeRhs) {
  if (!lhs || !rhs.value)
    return {};
  int64_t left = n.typeOf(lhs).getRank(), right = n.typeOf(rhs.value).getRank();
  int64_t leftAxis = left - (transposeLhs ? 2 : 1), rightAxis = right - (transposeRhs ? 1 : 2);
  std::optional<int64_t> depth = nn::getConstant(n.extentsOf(rhs.value)[rightAxis]);
  std::optional<int64_t> columns = nn::getConstant(n.extentsOf(rhs.value)[right - (transposeRhs ? 2 : 1)]);
  std::optional<Ints> starts;
  if (depth && *depth > 0 && nn::getConstant(n.extentsOf(lhs)[leftAxis]) == depth)
    starts = RightSide(n, rhs).findParts(columns.value_or(0), *depth, 1, [&](int64_t sum, int64_t position) {
      return transposeRhs ? sum * *depth + position : position * *columns + sum;
    });
  if (!starts)
    return n.matmul(lhs, rhs.value, transposeLhs, transposeRhs);
  Type f32 = Float32Type::get(n.getContext());
  Value leftReal = n.cast_(lhs, f32), rightReal = n.cast_(rhs.value, f32);
  return sumParts(n, *starts, *depth, [&](int64_t start, int64_t length) {
    return n.matmul(cutAxis(n, leftReal, leftAxis, start, length), cutAxis(n, rightReal, rightAxis, start, length),
                    transposeLhs, transposeRhs);
  });
}

Value multiplyBytes(NodeContext &n, Value lhs, const ByteOperand &rhs) {
  return asMatrices(n, lhs, rhs.value, [&](Value left, Value right) {
    return multiplyByteMatrices(n, left, {right, rhs.bytesIndex, rhs.zeroIndex}, false, false);
  });
}

Value convolveBytes(NodeContext &n, Value input, const ByteOperand &filter, int64_t group,
                    ArrayRef<NamedAttribute> attributes) {
  if (!input || !filter.value)
    return {};
  RankedTensorType type = n.typeOf(filter.value);
  std::optional<Ints> starts;
  if (type.hasStaticShape() && type.getRank() > 2 && type.getNumElements() > 0 && group > 0 &&
      nn::getConstant(n.extentsOf(input)[1]) == type.getDimSize(1) * group) {
    int64_t window = type.getNumElements() / (type.getDimSize(0) * type.getDimSize(1));
    starts = RightSide(n, filter).findParts(
        type.getDimSize(0), type.getDimSize(1), window,
        [&](int64_t sum, int64_t position) { return (sum * type.getDimSize(1) + position) * window; });
  }
  // Parts of the channels of several groups do not lie together.
  if (!starts || (group > 1 && starts->size() > 1))
    return n.make<nn::ConvOp>({input, filter.value}, attributes);
  Type f32 = Float32Type::get(n.getContext());
  Value inputReal = n.cast_(input, f32), filterReal = n.cast_(filter.value, f32);
  if (starts->size() == 1)
    return n.cast_(n.make<nn::ConvOp>({inputReal, filterReal}, attributes), IntegerType::get(n.getContext(), 32));
  return sumParts(n, *starts, type.getDimSize(1), [&](int64_t start, int64_t length) {
    return n.make<nn::ConvOp>({cutAxis(n, inputReal, 1, start, length), cutAxis(n, filterReal, 1, start, length)},
                              attributes);
  });
}

} // namespace penstock::onnximport
