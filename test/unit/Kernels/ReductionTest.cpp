//===- ReductionTest.cpp - Reductions and normalizations --------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "KernelText.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

using namespace penstock::test;

namespace {

const double kInfinity = std::numeric_limits<double>::infinity();

/// The result's axes of size 1 stand for the reduced ones; `fold` gets each element.
Array reduceTo(const Array &in, const Indices &kept, double initial, double (*fold)(double, double)) {
  Array result = makeArray(kept, [&](const Indices &) { return initial; });
  forEachIndex(in.dims, [&](const Indices &indices) {
    Indices own = indices;
    for (size_t i = 0; i < own.size(); ++i)
      own[i] = kept[i] == 1 ? 0 : own[i];
    double &value = result.values[flatten(kept, own)];
    value = fold(value, at(in, indices));
  });
  return result;
}

Array reshaped(Array array, const Indices &dims) {
  array.dims = dims;
  return array;
}

struct ReduceCase {
  const char *kind;
  double initial;
  double (*fold)(double, double);
};
const ReduceCase kReduceCases[] = {
    {"sum", 0, [](double x, double y) { return x + y; }},
    {"mean", 0, [](double x, double y) { return x + y; }},
    {"max", -kInfinity, [](double x, double y) { return std::max(x, y); }},
    {"min", kInfinity, [](double x, double y) { return std::min(x, y); }},
    {"prod", 1, [](double x, double y) { return x * y; }},
};

/// Shape, reduced axes, result with and without kept axes.
struct Axes {
  const char *shape, *axes, *kept, *squeezed;
};
const Axes kAxes[] = {{"s0xs1", "1", "s0x1", "s0"},
                      {"s0xs1", "0", "1xs1", "s1"},
                      {"s0xs1", "0, 1", "1x1", ""},
                      {"3x40", "1", "3x1", "3"},
                      {"s0x3xs1x5", "2, 3", "s0x3x1x1", "s0x3"},
                      {"s0x3xs1x5", "0, 2", "1x3x1x5", "3x5"},
                      {"s0x128", "1", "s0x1", "s0"},
                      {"s0x3xs1", "0, 2", "1x3x1", "3"}};

Indices keptDims(const Indices &dims, const std::string &axes) {
  Indices result = dims;
  for (char c : axes)
    if (std::isdigit(c))
      result[c - '0'] = 1;
  return result;
}

std::vector<Array> softmax(const Array &in, int64_t axis, bool logarithm) {
  Indices kept = in.dims;
  kept[axis] = 1;
  Array highest = reduceTo(in, kept, -kInfinity, [](double x, double y) { return std::max(x, y); });
  Array exponentials =
      makeArray(in.dims, [&](const Indices &i) { return std::exp(at(in, i) - atBroadcast(highest, i)); });
  Array sum = reduceTo(exponentials, kept, 0, [](double x, double y) { return x + y; });
  return {makeArray(in.dims, [&](const Indices &i) {
    return logarithm ? at(in, i) - atBroadcast(highest, i) - std::log(atBroadcast(sum, i))
                     : at(exponentials, i) / atBroadcast(sum, i);
  })};
}

std::vector<Array> layerNorm(const std::vector<Array> &in, size_t axis, bool rms) {
  Indices kept = in[0].dims;
  double count = 1;
  for (size_t i = axis; i < kept.size(); ++i) {
    count *= kept[i];
    kept[i] = 1;
  }
  auto sum = [](double x, double y) { return x + y; };
  Array mean = reduceTo(in[0], kept, 0, sum);
  Array centered = makeArray(
      in[0].dims, [&](const Indices &i) { return rms ? at(in[0], i) : at(in[0], i) - atBroadcast(mean, i) / count; });
  Array squares = makeArray(in[0].dims, [&](const Indices &i) { return at(centered, i) * at(centered, i); });
  Array variance = reduceTo(squares, kept, 0, sum);
  return {makeArray(in[0].dims, [&](const Indices &i) {
    double result = at(centered, i) / std::sqrt(atBroadcast(variance, i) / count + 1e-5) * atBroadcast(in[1], i);
    return in.size() > 2 ? result + atBroadcast(in[2], i) : result;
  })};
}

} // namespace

TEST(Reduction, Reduce) {
  for (const ReduceCase &test : kReduceCases)
    for (const Axes &axes : kAxes)
      for (bool keep : {false, true}) {
        std::string type = tensorType(axes.shape), result = tensorType(keep ? axes.kept : axes.squeezed);
        std::string kind = test.kind;
        auto reference = [&](const std::vector<Array> &in) {
          Indices kept = keptDims(in[0].dims, axes.axes);
          Array made = reduceTo(in[0], kept, test.initial, test.fold);
          if (kind == "mean")
            for (double &value : made.values)
              value /= double(in[0].size()) / made.size();
          Indices squeezed;
          for (size_t i = 0; i < kept.size(); ++i)
            if (std::string(axes.axes).find(char('0' + i)) == std::string::npos)
              squeezed.push_back(kept[i]);
          return std::vector<Array>{keep ? made : reshaped(made, squeezed)};
        };
        double low = kind == "prod" ? 0.9 : -1, high = kind == "prod" ? 1.1 : 1;
        check({{type},
               "%r = nn.reduce " + kind + " %0 axes [" + axes.axes + "]" + (keep ? " {keep_dims}" : "") + " : " + type,
               {result}},
              {{1, 1}, {2, 17}, {5, 100}}, reference, {1e-5, 1e-5}, low, high);
      }
}

TEST(Reduction, ElementTypes) {
  for (const ReduceCase &test : kReduceCases)
    for (std::string element : {"f64", "f16", "bf16", "i32", "i64", "ui8"}) {
      std::string kind = test.kind, type = tensorType("s0x70", element), result = tensorType("s0", element);
      bool isInteger = element.find('i') != std::string::npos;
      if (isInteger && kind == "prod")
        continue;
      auto reference = [&](const std::vector<Array> &in) {
        Array made = reduceTo(in[0], {in[0].dims[0], 1}, test.initial, test.fold);
        for (double &value : made.values)
          value = kind != "mean" ? value : isInteger ? std::trunc(value / 70) : value / 70;
        return std::vector<Array>{reshaped(made, {in[0].dims[0]})};
      };
      Tolerance tolerance = toleranceOf(element);
      tolerance.absolute *= 20;
      check({{type}, "%r = nn.reduce " + kind + " %0 axes [1] : " + type, {result}}, {{1}, {5}}, reference, tolerance,
            kind == "prod" ? 0.9 : 0, kind == "prod" ? 1.1 : 3);
    }
}

TEST(Reduction, OfNothing) {
  std::string type = tensorType("3xs0"), result = tensorType("3");
  const std::pair<const char *, double> cases[] = {
      {"sum", 0.0}, {"max", -kInfinity}, {"min", kInfinity}, {"prod", 1.0}};
  for (auto [kind, expected] : cases)
    check({{type}, std::string("%r = nn.reduce ") + kind + " %0 axes [1] : " + type, {result}}, {{0}},
          [expected = expected](const std::vector<Array> &) {
            return std::vector<Array>{makeArray({3}, [=](const Indices &) { return expected; })};
          });
}

TEST(Reduction, Softmax) {
  const std::pair<const char *, int> cases[] = {
      {"s0xs1", 1}, {"s0xs1", 0}, {"s0x128", 1}, {"2xs0x17", 2}, {"s0x3xs1", 1}};
  for (bool logarithm : {false, true})
    for (std::string element : {"f32", "f64", "f16", "bf16"})
      for (auto [shape, axis] : cases) {
        std::string type = tensorType(shape, element);
        check(
            {{type},
             std::string("%r = nn.") + (logarithm ? "log_softmax" : "softmax") + " %0 axis " + std::to_string(axis) +
                 " : " + type,
             {type}},
            {{1, 1}, {3, 17}, {7, 133}},
            [&, axis = axis](const std::vector<Array> &in) { return softmax(in[0], axis, logarithm); },
            toleranceOf(element), -8, 8);
      }
}

// Rows of a transposed tensor lie across memory, those of the result too; in a branch nothing turns them before.
TEST(Reduction, SoftmaxAcross) {
  std::string type = tensorType("s0xs1"), across = tensorType("s1xs0");
  const std::string body = "%t = nn.transpose %0 [1, 0] : " + type + "\n  %s = nn.softmax %t axis 1 : " + across +
                           "\n  %u = nn.transpose %s [1, 0] : " + across + "\n  ";
  const std::string branches = "%r = nn.if %1 : tensor<i1> -> (" + type + ") {\n  " + body + "nn.yield %u : " + type +
                               "\n  } else {\n  %n = nn.unary neg %0 : " + type + "\n  nn.yield %n : " + type + "\n  }";
  auto expected = [](const std::vector<Array> &in) { return softmax(in[0], 0, false); };
  check({{type}, body + "%r = nn.unary abs %u : " + type, {type}}, {{1, 1}, {3, 17}, {130, 7}}, expected);
  check({{type, "tensor<i1>"}, branches, {type}}, {{1, 1}, {3, 17}, {130, 7}}, expected, {}, -1, 1,
        [](std::vector<Array> &in) { in[1].values[0] = 1; });
}

TEST(Reduction, SoftmaxOfLargeNumbers) {
  std::string type = tensorType("4x33");
  check(
      {{type}, "%r = nn.softmax %0 axis 1 : " + type, {type}}, {{}},
      [](const std::vector<Array> &in) { return softmax(in[0], 1, false); }, {2e-6, 1e-12}, -1, 1,
      [](std::vector<Array> &in) {
        for (double &value : in[0].values)
          value = float(value * 1e4);
        for (size_t i = 33; i < 50; ++i)
          in[0].values[i] = -kInfinity; // a masked part
      });
}

TEST(Reduction, LayerNorm) {
  struct Case {
    const char *shape, *scale;
    int axis;
  };
  const Case cases[] = {{"s0x384", "384", 1}, {"s0xs1", "s1", 1}, {"s0x3x5", "3x5", 1}, {"2xs0x70", "70", 2}};
  for (const Case &test : cases)
    for (std::string element : {"f32", "f64", "f16"})
      for (bool rms : {false, true}) {
        std::string type = tensorType(test.shape, element), scale = tensorType(test.scale, element);
        std::string axis = std::to_string(test.axis);
        KernelText text{{type, scale}, "%r = nn.layer_norm %0 scale %1 : " + scale, {type}};
        if (!rms) {
          text.inputs.push_back(scale);
          text.body += " bias %2 : " + scale;
        }
        text.body += " axis " + axis + " {epsilon = 1.0e-5" + (rms ? ", rms" : "") + "} : " + type;
        Tolerance tolerance = toleranceOf(element);
        tolerance.absolute *= 5;
        check(
            text, {{1, 3}, {5, 129}}, [&](const std::vector<Array> &in) { return layerNorm(in, test.axis, rms); },
            tolerance);
      }
}

TEST(Reduction, ArgReduce) {
  for (bool isMax : {true, false})
    for (bool last : {false, true})
      for (std::string element : {"f32", "f16", "i64", "ui8"}) {
        std::string type = tensorType("s0x5xs1", element), result = tensorType("s0x5", "i64");
        auto reference = [&](const std::vector<Array> &in) {
          const Indices &dims = in[0].dims;
          return std::vector<Array>{makeArray({dims[0], dims[1]}, [&](const Indices &i) {
            int64_t best = 0;
            for (int64_t k = 1; k < dims[2]; ++k) {
              double value = at(in[0], {i[0], i[1], k}), record = at(in[0], {i[0], i[1], best});
              if (isMax ? value > record : value < record)
                best = k;
              else if (last && value == record)
                best = k;
            }
            return double(best);
          })};
        };
        check({{type},
               std::string("%r = nn.arg_reduce ") + (isMax ? "max" : "min") + " %0 axis 2" +
                   (last ? " {select_last}" : "") + " : " + type,
               {result}},
              {{1, 1}, {3, 20}, {2, 67}}, reference, {0, 0}, 0, 9);
      }
}

TEST(Reduction, CumSum) {
  for (int axis : {0, 1})
    for (bool exclusive : {false, true})
      for (bool reverse : {false, true})
        for (std::string element : {"f32", "i64"}) {
          std::string type = tensorType("s0xs1", element);
          auto reference = [&](const std::vector<Array> &in) {
            return std::vector<Array>{makeArray(in[0].dims, [&](const Indices &i) {
              double sum = 0;
              for (int64_t k = 0; k < in[0].dims[axis]; ++k) {
                Indices other = i;
                other[axis] = k;
                bool before = reverse ? k > i[axis] : k < i[axis];
                if (before || (!exclusive && k == i[axis]))
                  sum += at(in[0], other);
              }
              return sum;
            })};
          };
          std::string flags = std::string(exclusive ? "exclusive" : "") + (exclusive && reverse ? ", " : "") +
                              (reverse ? "reverse" : "");
          check({{type},
                 "%r = nn.cumsum %0 axis " + std::to_string(axis) + (flags.empty() ? "" : " {" + flags + "}") + " : " +
                     type,
                 {type}},
                {{1, 1}, {4, 9}, {17, 33}}, reference, {1e-5, 1e-5});
        }
}

TEST(Reduction, TopK) {
  for (bool largest : {true, false})
    for (std::string element : {"f32", "i64"}) {
      std::string type = tensorType("2xs0x3", element), values = tensorType("2x4x3", element),
                  indices = tensorType("2x4x3", "i64");
      auto reference = [&](const std::vector<Array> &in) {
        std::vector<Array> results(2, makeArray({2, 4, 3}, [](const Indices &) { return 0.0; }));
        forEachIndex({2, 3}, [&](const Indices &outer) {
          std::vector<int64_t> order(in[0].dims[1]);
          std::iota(order.begin(), order.end(), 0);
          auto value = [&](int64_t k) { return at(in[0], {outer[0], k, outer[1]}); };
          std::stable_sort(order.begin(), order.end(),
                           [&](int64_t x, int64_t y) { return largest ? value(x) > value(y) : value(x) < value(y); });
          for (int64_t k = 0; k < 4; ++k) {
            results[0].values[flatten({2, 4, 3}, {outer[0], k, outer[1]})] = value(order[k]);
            results[1].values[flatten({2, 4, 3}, {outer[0], k, outer[1]})] = double(order[k]);
          }
        });
        return results;
      };
      KernelText text{{type},
                      "%r, %i = nn.topk %0 axis 1 {largest = " + std::string(largest ? "true" : "false") +
                          "} : " + type + " to " + values + ", " + indices,
                      {values, indices},
                      {"%r", "%i"}};
      check(text, {{4}, {5}, {40}}, reference, {0, 0}, 0, 20);
    }
}
