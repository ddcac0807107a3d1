//===- AttentionTest.cpp - Attention where its operands lie -----*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "KernelText.h"

#include <cmath>
#include <limits>

using namespace penstock::test;

namespace {

const double kInfinity = std::numeric_limits<double>::infinity();

struct Options {
  double scale = 0.3;
  bool isCondition = false; ///< the mask is one
  bool zeroMaskedRows = false;
};

/// Query, key, value and perhaps a mask; the heads of the query are one axis, of which key and value may have fewer.
std::vector<Array> attention(const std::vector<Array> &in, const Options &options) {
  size_t last = in[0].dims.size() - 1;
  Indices dims = in[0].dims;
  dims[last] = in[2].dims[last];
  int64_t positions = in[1].dims[last - 1], features = in[1].dims[last];
  return {makeArray(dims, [&](const Indices &index) {
    Indices own = index;
    if (last > 1)
      own[last - 2] = index[last - 2] / (in[0].dims[last - 2] / in[1].dims[last - 2]);
    std::vector<double> scores(positions);
    double highest = -kInfinity, sum = 0, result = 0;
    for (int64_t j = 0; j < positions; ++j) {
      Indices q = index, k = own;
      k[last - 1] = j;
      for (int64_t i = 0; i < features; ++i) {
        q[last] = k[last] = i;
        scores[j] += at(in[0], q) * at(in[1], k) * options.scale;
      }
      if (in.size() > 3) {
        Indices m = index;
        m[last] = j;
        double mask = atBroadcast(in[3], m);
        scores[j] = options.isCondition ? (mask != 0 ? scores[j] : -kInfinity) : scores[j] + mask;
      }
      highest = std::max(highest, scores[j]);
    }
    if (options.zeroMaskedRows && highest == -kInfinity)
      return 0.0;
    for (int64_t j = 0; j < positions; ++j) {
      Indices v = own;
      v[last - 1] = j;
      sum += std::exp(scores[j] - highest);
      result += std::exp(scores[j] - highest) * at(in[2], v);
    }
    return result / sum;
  })};
}

std::string op(const std::string &operands, const std::string &mask, const std::string &flags,
               const std::string &types) {
  return "nn.attention " + operands + (mask.empty() ? "" : " mask " + mask) + " {scale = 3.0e-01 : f64" + flags +
         "} : " + types;
}

Tolerance toleranceFor(const std::string &element) {
  return element == "f32" ? Tolerance{2e-5, 2e-5} : toleranceOf(element);
}

} // namespace

TEST(Attention, Shapes) {
  struct Case {
    const char *query, *key, *value, *result;
  };
  const Case cases[] = {{"s0x8", "s1x8", "s1x5", "s0x5"},
                        {"s0x3xs1x16", "s0x3xs1x16", "s0x3xs1x16", "s0x3xs1x16"},
                        {"1x4xs0x64", "1x2xs1x64", "1x2xs1x64", "1x4xs0x64"},
                        {"2x2x50x24", "2x1x130x24", "2x1x130x70", "2x2x50x70"},
                        {"s0x3x1x32", "s0x3xs1x32", "s0x3xs1x32", "s0x3x1x32"}};
  for (const Case &test : cases)
    for (std::string element : {"f32", "f64", "f16", "bf16"}) {
      if (element != "f32" && &test != &cases[1])
        continue;
      std::string query = tensorType(test.query, element), key = tensorType(test.key, element),
                  value = tensorType(test.value, element);
      check(
          {{query, key, value},
           "%r = " + op("%0, %1, %2", "", "", query + ", " + key + ", " + value),
           {tensorType(test.result, element)}},
          {{1, 1}, {3, 17}, {49, 16}, {2, 100}}, [](const std::vector<Array> &in) { return attention(in, {}); },
          toleranceFor(element), -1, 1);
    }
}

TEST(Attention, Masks) {
  for (std::string mask : {"s1", "s0x1", "2x3xs0xs1", "3x1xs1"}) {
    std::string matrix = tensorType("2x3xs0x8"), keys = tensorType("2x3xs1x8"), type = tensorType(mask);
    check(
        {{matrix, keys, keys, type},
         "%r = " + op("%0, %1, %2", "%3 : " + type, "", matrix + ", " + keys + ", " + keys),
         {matrix}},
        {{1, 1}, {5, 33}, {60, 48}}, [](const std::vector<Array> &in) { return attention(in, {}); }, {2e-5, 2e-5}, -1,
        1);
  }
}

TEST(Attention, RowsThatSeeNothingAreZeros) {
  std::string matrix = tensorType("2xs0x8"), keys = tensorType("2xs1x8"), type = tensorType("s0xs1", "i1");
  auto hideSome = [](std::vector<Array> &in) {
    Array &mask = in[3];
    for (size_t i = 0; i < mask.values.size(); ++i)
      mask.values[i] = i >= static_cast<size_t>(mask.dims[1]) && i % 3 != 0;
  };
  check(
      {{matrix, keys, keys, type},
       "%r = " + op("%0, %1, %2", "%3 : " + type, ", zero_masked_rows", matrix + ", " + keys + ", " + keys),
       {matrix}},
      {{1, 4}, {5, 33}},
      [](const std::vector<Array> &in) { return attention(in, {0.3, /*isCondition=*/true, /*zeroMaskedRows=*/true}); },
      {2e-5, 2e-5}, -1, 1, hideSome);
}

/// Query, key and value are parts of one product's rows, the heads behind the rows; the result goes back to that order.
TEST(Attention, ReadsAndWritesThroughMovements) {
  std::string packed = tensorType("2xs0x72"), part = tensorType("2xs0x24"), split = tensorType("2xs0x3x8"),
              heads = tensorType("2x3xs0x8");
  std::string body;
  for (std::string number : {"0", "1", "2"})
    body += "%a" + number + " = nn.slice %0 from <[0, 0, " + std::to_string(24 * std::stoi(number)) +
            "]> step [1, 1, 1] : " + packed + " to " + part + "\n%b" + number + " = nn.reshape %a" + number + " : " +
            part + " to " + split + "\n%c" + number + " = nn.transpose %b" + number + " [0, 2, 1, 3] : " + split + "\n";
  body += "%d = " + op("%c0, %c1, %c2", "", "", heads + ", " + heads + ", " + heads) +
          "\n%e = nn.transpose %d [0, 2, 1, 3] : " + heads + "\n%r = nn.reshape %e : " + split + " to " + part;
  check(
      {{packed}, body, {part}}, {{1}, {17}, {50}, {96}},
      [](const std::vector<Array> &in) {
        int64_t rows = in[0].dims[1];
        auto part = [&](int64_t number) {
          return makeArray({2, 3, rows, 8},
                           [&](const Indices &i) { return at(in[0], {i[0], i[2], 24 * number + 8 * i[1] + i[3]}); });
        };
        Array made = attention({part(0), part(1), part(2)}, {})[0];
        return std::vector<Array>{
            makeArray({2, rows, 24}, [&](const Indices &i) { return at(made, {i[0], i[2] / 8, i[1], i[2] % 8}); })};
      },
      {2e-5, 2e-5}, -1, 1);
}

/// An operand that is computed in the kernel, and a result that is computed further.
TEST(Attention, BetweenOtherOps) {
  std::string matrix = tensorType("3xs0x8");
  check(
      {{matrix, matrix, matrix},
       "%a = nn.unary tanh %0 : " + matrix + "\n%b = " +
           op("%a, %1, %2", "", "", matrix + ", " + matrix + ", " + matrix) + "\n%r = nn.unary neg %b : " + matrix,
       {matrix}},
      {{1}, {20}, {49}},
      [](const std::vector<Array> &in) {
        Array query = makeArray(in[0].dims, [&](const Indices &i) { return std::tanh(at(in[0], i)); });
        Array made = attention({query, in[1], in[2]}, {})[0];
        return std::vector<Array>{makeArray(made.dims, [&](const Indices &i) { return -at(made, i); })};
      },
      {2e-5, 2e-5}, -1, 1);
}
