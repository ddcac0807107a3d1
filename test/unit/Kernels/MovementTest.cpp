//===- MovementTest.cpp - Ops that move elements ----------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "KernelText.h"

#include <algorithm>
#include <cmath>

using namespace penstock::test;

namespace {

const std::vector<std::vector<int64_t>> kSymbols = {{1, 1}, {2, 9}, {3, 33}};

/// Result elements are input elements found by index.
Reference moved(const std::function<Indices(const Indices &in)> &dims,
                const std::function<Indices(const Indices &dims, const Indices &indices)> &source) {
  return [=](const std::vector<Array> &in) {
    return std::vector<Array>{
        makeArray(dims(in[0].dims), [&](const Indices &i) { return at(in[0], source(in[0].dims, i)); })};
  };
}

Reference relabeled(const std::function<Indices(const Indices &in)> &dims) {
  return [=](const std::vector<Array> &in) {
    Array result = in[0];
    result.dims = dims(in[0].dims);
    return std::vector<Array>{result};
  };
}

} // namespace

TEST(Movement, Transpose) {
  const std::vector<Indices> permutations = {{0, 1, 2}, {2, 1, 0}, {1, 0, 2}, {2, 0, 1}, {0, 2, 1}};
  const char *names[] = {"s0", "4", "s1"};
  for (const Indices &perm : permutations)
    for (std::string element : {"f32", "i64", "f16", "i1"}) {
      std::string type = tensorType("s0x4xs1", element), shape, list;
      for (int64_t axis : perm) {
        shape += (shape.empty() ? "" : "x") + std::string(names[axis]);
        list += (list.empty() ? "" : ", ") + std::to_string(axis);
      }
      check({{type}, "%r = nn.transpose %0 [" + list + "] : " + type, {tensorType(shape, element)}}, kSymbols,
            moved([&](const Indices &d) { return Indices{d[perm[0]], d[perm[1]], d[perm[2]]}; },
                  [&](const Indices &, const Indices &i) {
                    Indices source(3);
                    for (int k = 0; k < 3; ++k)
                      source[perm[k]] = i[k];
                    return source;
                  }));
    }
}

TEST(Movement, Reshape) {
  struct Case {
    const char *from, *to;
    Indices (*dims)(const Indices &);
  };
  const Case cases[] = {{"s0x4xs1", "(s0 * 4)xs1", [](const Indices &d) { return Indices{d[0] * 4, d[2]}; }},
                        {"s0x4xs1", "s0x(s1 * 4)", [](const Indices &d) { return Indices{d[0], d[2] * 4}; }},
                        {"s0x(s1 * 2)", "s0xs1x2", [](const Indices &d) { return Indices{d[0], d[1] / 2, 2}; }},
                        {"2x6", "3x4", [](const Indices &) { return Indices{3, 4}; }},
                        {"1x1", "", [](const Indices &) { return Indices{}; }},
                        {"", "1x1", [](const Indices &) { return Indices{1, 1}; }},
                        {"s0x3", "s0x3x1x1", [](const Indices &d) { return Indices{d[0], 3, 1, 1}; }}};
  for (const Case &test : cases) {
    std::string type = tensorType(test.from), result = tensorType(test.to);
    check({{type}, "%r = nn.reshape %0 : " + type + " to " + result, {result}}, kSymbols, relabeled(test.dims));
    // Between two elementwise ops, where it must not stop the numbers.
    check({{type},
           "%a = nn.unary neg %0 : " + type + "\n  %b = nn.reshape %a : " + type + " to " + result +
               "\n  %r = nn.unary neg %b : " + result,
           {result}},
          kSymbols, relabeled(test.dims));
  }
}

TEST(Movement, BroadcastTo) {
  std::string type = tensorType("4x1"), result = tensorType("s0x4xs1");
  Kernel kernel(KernelText{{type}, "%r = nn.broadcast_to %0 : " + type + " to " + result, {result}}.str());
  ASSERT_TRUE(kernel.ok()) << kernel.error;
  for (std::vector<int64_t> symbols : {std::vector<int64_t>{0, 3, 0, 0}, {3, 20, 0, 0}}) {
    std::vector<Array> in = kernel.randomInputs(symbols), out = kernel.run(in, symbols);
    Array expected = makeArray(out[0].dims, [&](const Indices &i) { return at(in[0], {i[1], 0}); });
    EXPECT_EQ(out[0].values, expected.values);
  }
}

TEST(Movement, Slice) {
  std::string type = tensorType("s0x5xs1");
  check({{type},
         "%r = nn.slice %0 from #nn.extents<[0, 1, 0]> step [1, 2, 1] : " + type + " to " + tensorType("s0x2xs1"),
         {tensorType("s0x2xs1")}},
        kSymbols,
        moved([](const Indices &d) { return Indices{d[0], 2, d[2]}; },
              [](const Indices &, const Indices &i) { return Indices{i[0], 1 + 2 * i[1], i[2]}; }));
  check(
      {{type}, "%r = nn.slice %0 from #nn.extents<[0, 4, s1 - 1]> step [1, -1, -1] : " + type + " to " + type, {type}},
      kSymbols,
      moved([](const Indices &d) { return d; },
            [](const Indices &d, const Indices &i) { return Indices{i[0], 4 - i[1], d[2] - 1 - i[2]}; }));
}

TEST(Movement, Concat) {
  for (int axis : {1, 2}) {
    std::string type = tensorType("s0x4xs1"), other = tensorType(axis == 1 ? "s0x3xs1" : "s0x4x3");
    std::string result = tensorType(axis == 1 ? "s0x7xs1" : "s0x4x(s1 + 3)");
    check({{type, other}, "%r = nn.concat %0, %1 axis " + std::to_string(axis) + " : " + type + ", " + other, {result}},
          kSymbols, [axis](const std::vector<Array> &in) {
            Indices dims = in[0].dims;
            dims[axis] += in[1].dims[axis];
            return std::vector<Array>{makeArray(dims, [&](Indices i) {
              if (i[axis] < in[0].dims[axis])
                return at(in[0], i);
              i[axis] -= in[0].dims[axis];
              return at(in[1], i);
            })};
          });
  }
}

TEST(Movement, Pad) {
  for (std::string mode : {"constant", "reflect", "edge", "wrap"})
    for (std::string element : {"f32", "i32"}) {
      std::string type = tensorType("s0x4xs1", element), result = tensorType("s0x7x(s1 + 2)", element);
      auto source = [mode](int64_t position, int64_t extent) -> int64_t {
        if (mode == "edge")
          return std::clamp<int64_t>(position, 0, extent - 1);
        if (mode == "wrap")
          return (position % extent + extent) % extent;
        if (mode == "reflect" && extent > 1) {
          int64_t period = 2 * (extent - 1), inside = (position % period + period) % period;
          return std::min(inside, period - inside);
        }
        return mode == "reflect" ? 0 : position;
      };
      check({{type},
             "%r = nn.pad " + mode + " %0 : " + type + " low #nn.extents<[0, 2, 1]> high #nn.extents<[0, 1, 1]>",
             {result}},
            kSymbols, [=](const std::vector<Array> &in) {
              const Indices &d = in[0].dims;
              return std::vector<Array>{makeArray({d[0], 7, d[2] + 2}, [&](const Indices &i) {
                int64_t row = source(i[1] - 2, 4), column = source(i[2] - 1, d[2]);
                bool inside = row >= 0 && row < 4 && column >= 0 && column < d[2];
                return inside ? at(in[0], {i[0], row, column}) : 0.0;
              })};
            });
    }
}

TEST(Movement, Gather) {
  std::string type = tensorType("s0x4xs1");
  for (std::string element : {"i64", "i32"}) {
    std::string indices = tensorType("2x3", element), result = tensorType("s0x2x3xs1");
    check(
        {{type, indices}, "%r = nn.gather %0, %1 axis 1 : " + type + ", " + indices, {result}}, kSymbols,
        [](const std::vector<Array> &in) {
          const Indices &d = in[0].dims;
          return std::vector<Array>{makeArray({d[0], 2, 3, d[2]}, [&](const Indices &i) {
            auto k = static_cast<int64_t>(at(in[1], {i[1], i[2]}));
            return at(in[0], {i[0], std::clamp<int64_t>(k < 0 ? k + 4 : k, 0, 3), i[3]});
          })};
        },
        {0, 0}, -6, 6);
  }
  std::string each = tensorType("s0x2xs1", "i64"), result = tensorType("s0x2xs1");
  check(
      {{type, each}, "%r = nn.gather_elements %0, %1 axis 1 : " + type + ", " + each, {result}}, kSymbols,
      [](const std::vector<Array> &in) {
        return std::vector<Array>{makeArray(in[1].dims, [&](const Indices &i) {
          auto k = static_cast<int64_t>(at(in[1], i));
          return at(in[0], {i[0], k < 0 ? k + 4 : k, i[2]});
        })};
      },
      {0, 0}, -4, 4);
  std::string tuples = tensorType("5x2", "i64"), rows = tensorType("5xs1");
  check(
      {{type, tuples}, "%r = nn.gather_nd %0, %1 batch_dims 0 : " + type + ", " + tuples, {rows}}, {{4, 1}, {4, 9}},
      [](const std::vector<Array> &in) {
        return std::vector<Array>{makeArray({5, in[0].dims[2]}, [&](const Indices &i) {
          auto k = [&](int64_t axis) {
            auto value = static_cast<int64_t>(at(in[1], {i[0], axis}));
            return value < 0 ? value + 4 : value;
          };
          return at(in[0], {k(0), k(1), i[1]});
        })};
      },
      {0, 0}, -4, 4);
}

TEST(Movement, Scatter) {
  auto combine = [](const std::string &kind, double old, double update) {
    return kind == "replace" ? update
           : kind == "add"   ? old + update
           : kind == "mul"   ? old * update
           : kind == "min"   ? std::min(old, update)
                             : std::max(old, update);
  };
  for (std::string kind : {"replace", "add", "mul", "min", "max"}) {
    std::string type = tensorType("s0x4xs1"), indices = tensorType("s0x2xs1", "i64"), updates = tensorType("s0x2xs1");
    check(
        {{type, indices, updates},
         "%r = nn.scatter_elements " + kind + " %0, %1, %2 axis 1 : " + type + ", " + indices + ", " + updates,
         {type}},
        kSymbols,
        [&](const std::vector<Array> &in) {
          Array result = in[0];
          forEachIndex(in[1].dims, [&](const Indices &i) {
            auto k = static_cast<int64_t>(at(in[1], i));
            double &value = result.values[flatten(result.dims, {i[0], k < 0 ? k + 4 : k, i[2]})];
            value = combine(kind, value, at(in[2], i));
          });
          return std::vector<Array>{result};
        },
        {1e-6, 1e-6}, -4, 4);
    std::string tuples = tensorType("5x2", "i64"), rows = tensorType("5xs1"), whole = tensorType("4x4xs1");
    check(
        {{whole, tuples, rows},
         "%r = nn.scatter_nd " + kind + " %0, %1, %2 : " + whole + ", " + tuples + ", " + rows,
         {whole}},
        {{0, 1}, {0, 9}},
        [&](const std::vector<Array> &in) {
          Array result = in[0];
          forEachIndex(in[2].dims, [&](const Indices &i) {
            auto k = [&](int64_t axis) {
              auto value = static_cast<int64_t>(at(in[1], {i[0], axis}));
              return value < 0 ? value + 4 : value;
            };
            double &value = result.values[flatten(result.dims, {k(0), k(1), i[1]})];
            value = combine(kind, value, at(in[2], i));
          });
          return std::vector<Array>{result};
        },
        {1e-6, 1e-6}, -4, 4);
  }
}

TEST(Movement, ResizeByTwo) {
  std::string type = tensorType("s0x3xs1x4"), result = tensorType("s0x3x(s1 * 2)x8");
  for (std::string mode : {"nearest", "linear"})
    check({{type},
           "%r = nn.resize " + mode +
               " asymmetric floor %0 scales [1.0, 1.0, 2.0, 2.0] {cubic_coeff = -0.75, extrapolation = 0.0} : " + type +
               " to " + result,
           {result}},
          kSymbols, [&](const std::vector<Array> &in) {
            const Indices &d = in[0].dims;
            return std::vector<Array>{makeArray({d[0], 3, d[2] * 2, 8}, [&](const Indices &i) {
              auto pick = [&](int64_t y, int64_t x) {
                return at(in[0], {i[0], i[1], std::min(y, d[2] - 1), std::min<int64_t>(x, 3)});
              };
              int64_t y = i[2] / 2, x = i[3] / 2;
              if (mode == "nearest")
                return pick(y, x);
              double v = i[2] % 2 * 0.5, u = i[3] % 2 * 0.5;
              return (1 - v) * ((1 - u) * pick(y, x) + u * pick(y, x + 1)) +
                     v * ((1 - u) * pick(y + 1, x) + u * pick(y + 1, x + 1));
            })};
          });
}

TEST(Movement, Iota) {
  std::string type = tensorType("3xs0", "i64");
  Kernel kernel(KernelText{{}, "%r = nn.iota axis 1 start 5 : i64 step -2 : i64 : " + type, {type}}.str());
  ASSERT_TRUE(kernel.ok()) << kernel.error;
  Array out = kernel.run({}, {20, 0, 0, 0})[0];
  EXPECT_EQ(out.values, makeArray({3, 20}, [](const Indices &i) { return 5.0 - 2 * i[1]; }).values);
}
