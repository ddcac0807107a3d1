//===- SelectionTest.cpp - Ops that choose by the data ----------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "KernelText.h"

#include <algorithm>
#include <limits>

using namespace penstock::test;

namespace {

/// Rows of four floats; low and high corner of a box.
struct Box {
  float low[2], high[2];

  float area() const { return (high[0] - low[0]) * (high[1] - low[1]); }
};

Box boxOf(const Array &boxes, int64_t batch, int64_t i, bool isCentered) {
  float v[4];
  for (int k = 0; k < 4; ++k)
    v[k] = static_cast<float>(at(boxes, {batch, i, k}));
  Box box;
  for (int k = 0; k < 2; ++k) {
    box.low[k] = isCentered ? v[k] - v[k + 2] / 2 : std::min(v[k], v[k + 2]);
    box.high[k] = isCentered ? v[k] + v[k + 2] / 2 : std::max(v[k], v[k + 2]);
  }
  return box;
}

bool overlap(const Box &a, const Box &b, float threshold) {
  Box common;
  for (int k = 0; k < 2; ++k) {
    common.low[k] = std::max(a.low[k], b.low[k]);
    common.high[k] = std::min(a.high[k], b.high[k]);
    if (common.high[k] <= common.low[k])
      return false;
  }
  float all = a.area() + b.area() - common.area();
  return a.area() > 0 && b.area() > 0 && all > 0 && common.area() / all > threshold;
}

/// Sorts first, then looks at each box once: another way than the kernel's.
std::vector<Array> suppress(const std::vector<Array> &in, const Indices &rowDims, bool isCentered) {
  const Array &boxes = in[0], &scores = in[1];
  auto limit = static_cast<int64_t>(in[2].values[0]);
  std::vector<double> rows;
  for (int64_t batch = 0; batch < scores.dims[0]; ++batch)
    for (int64_t cls = 0; cls < scores.dims[1]; ++cls) {
      std::vector<int64_t> order, taken;
      for (int64_t i = 0; i < scores.dims[2]; ++i)
        if (at(scores, {batch, cls, i}) > in[4].values[0])
          order.push_back(i);
      // Of equal scores the first box comes first.
      std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
        double left = at(scores, {batch, cls, a}), right = at(scores, {batch, cls, b});
        return left > right || (left == right && a < b);
      });
      for (int64_t i : order) {
        bool isOut = std::any_of(taken.begin(), taken.end(), [&](int64_t other) {
          return overlap(boxOf(boxes, batch, other, isCentered), boxOf(boxes, batch, i, isCentered),
                         static_cast<float>(in[3].values[0]));
        });
        if (isOut || int64_t(taken.size()) >= limit)
          continue;
        taken.push_back(i);
        for (int64_t value : {batch, cls, i})
          rows.push_back(static_cast<double>(value));
      }
    }
  Array count = {{}, {static_cast<double>(rows.size() / 3)}};
  rows.resize(numElements(rowDims), 0);
  return {Array{rowDims, rows}, count};
}

} // namespace

// As many positions as there are true elements, whatever their number.
TEST(Selection, Positions) {
  std::string type = tensorType("s0", "i1"), result = tensorType("s1", "i64");
  Kernel kernel(KernelText{{type}, "%r = nn.positions %0 : " + type + " to " + result, {result}}.str());
  ASSERT_TRUE(kernel.ok()) << kernel.error;
  for (int64_t length : {0, 1, 13, 64, 1009})
    for (int64_t period : {1, 3, 2000}) {
      Array mask = makeArray({length}, [&](const Indices &i) { return (i[0] + 1) % period == 0; });
      Array expected;
      for (int64_t i = 0; i < length; ++i)
        if (mask.values[i] != 0)
          expected.values.push_back(i);
      EXPECT_EQ(kernel.run({mask}, {length, expected.size(), 0, 0})[0].values, expected.values) << length;
    }
}

// Boxes on a coarse grid, so that scores are equal, boxes too, and corners come in any order.
TEST(Selection, NonMaxSuppression) {
  for (bool isCentered : {false, true}) {
    std::string boxes = tensorType("2xs0x4"), scores = tensorType("2x3xs0"), rows = tensorType("(s0 * 6)x3", "i64");
    std::string limit = tensorType("", "i64"), number = tensorType("");
    std::string types = "(" + boxes + ", " + scores + ", " + limit + ", " + number + ", " + number + ") -> (" + rows +
                        ", " + limit + ")";
    KernelText text{{boxes, scores, limit, number, number},
                    std::string("%r, %n = nn.non_max_suppression %0, %1 limit %2 iou %3 score %4 ") +
                        (isCentered ? "{center_point_box} : " : ": ") + types,
                    {rows, limit},
                    {"%r", "%n"}};
    Kernel kernel(text.str());
    ASSERT_TRUE(kernel.ok()) << kernel.error;
    for (int64_t count : {0, 1, 7, 31})
      for (double most : {0.0, 2.0, 1000.0})
        for (double iou : {0.0, 0.3, 1.0}) {
          std::vector<int64_t> symbols = {count, 0, 0, 0};
          std::vector<Array> in = kernel.randomInputs(symbols, 0, 4);
          for (double &value : in[0].values)
            value = static_cast<int64_t>(value);
          for (double &value : in[1].values)
            value = static_cast<int64_t>(value * 4);
          in[2].values = {most};
          in[3].values = {iou};
          in[4].values = {3};
          std::vector<Array> out = kernel.run(in, symbols), expected = suppress(in, {count * 6, 3}, isCentered);
          EXPECT_EQ(out[1].values, expected[1].values) << count << " boxes, at most " << most << ", overlap " << iou;
          EXPECT_EQ(out[0].values, expected[0].values) << count << " boxes, at most " << most << ", overlap " << iou;
        }
  }
}
