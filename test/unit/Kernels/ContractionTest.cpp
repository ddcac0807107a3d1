//===- ContractionTest.cpp - Products, convolutions, pooling ----*- C++ -*-===//
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

std::string list(const Indices &values) {
  std::string result = "array<i64: ";
  for (size_t i = 0; i < values.size(); ++i)
    result += (i ? ", " : "") + std::to_string(values[i]);
  return result + ">";
}

Tolerance productTolerance(const std::string &element, double terms) {
  Tolerance tolerance = toleranceOf(element);
  if (element == "f32")
    tolerance.absolute = 4e-7 * terms;
  return tolerance;
}

Array matmul(const Array &lhs, const Array &rhs, bool transposeLhs, bool transposeRhs) {
  Indices left(lhs.dims.begin(), lhs.dims.end() - 2), right(rhs.dims.begin(), rhs.dims.end() - 2);
  Indices dims = broadcastDims(left, right);
  size_t numLeft = lhs.dims.size(), numRight = rhs.dims.size(), numBatch = dims.size();
  int64_t depth = lhs.dims[numLeft - (transposeLhs ? 2 : 1)];
  dims.push_back(lhs.dims[numLeft - (transposeLhs ? 1 : 2)]);
  dims.push_back(rhs.dims[numRight - (transposeRhs ? 2 : 1)]);
  return makeArray(dims, [&](const Indices &i) {
    double sum = 0;
    for (int64_t k = 0; k < depth; ++k) {
      Indices a(i.begin(), i.begin() + numBatch), b = a;
      a.insert(a.end(), {transposeLhs ? k : i[numBatch], transposeLhs ? i[numBatch] : k});
      b.insert(b.end(), {transposeRhs ? i[numBatch + 1] : k, transposeRhs ? k : i[numBatch + 1]});
      sum += atBroadcast(lhs, a) * atBroadcast(rhs, b);
    }
    return sum;
  });
}

struct Window {
  Indices strides, dilations, pads;
  int64_t group = 1;
};

/// Calls `fn` with the input position of each tap that lies inside; positions are spatial.
void forEachTap(const Indices &position, const Indices &kernel, const Indices &extents, const Window &window,
                const std::function<void(const Indices &tap, const Indices &source)> &fn) {
  forEachIndex(kernel, [&](const Indices &tap) {
    Indices source(position.size());
    for (size_t i = 0; i < source.size(); ++i) {
      source[i] = position[i] * window.strides[i] + tap[i] * window.dilations[i] - window.pads[i];
      if (source[i] < 0 || source[i] >= extents[i])
        return;
    }
    fn(tap, source);
  });
}

Indices join(Indices head, const Indices &tail) {
  head.insert(head.end(), tail.begin(), tail.end());
  return head;
}

Array conv(const std::vector<Array> &in, const Indices &outDims, const Window &window) {
  int64_t perGroup = in[1].dims[0] / window.group, numInputs = in[1].dims[1];
  Indices kernel(in[1].dims.begin() + 2, in[1].dims.end()), extents(in[0].dims.begin() + 2, in[0].dims.end());
  return makeArray(outDims, [&](const Indices &i) {
    double sum = in.size() > 2 ? in[2].values[i[1]] : 0;
    Indices position(i.begin() + 2, i.end());
    forEachTap(position, kernel, extents, window, [&](const Indices &tap, const Indices &source) {
      for (int64_t c = 0; c < numInputs; ++c)
        sum += at(in[0], join({i[0], i[1] / perGroup * numInputs + c}, source)) * at(in[1], join({i[1], c}, tap));
    });
    return sum;
  });
}

Array convTranspose(const std::vector<Array> &in, const Indices &outDims, const Window &window) {
  int64_t perGroup = in[1].dims[1], inputsPerGroup = in[1].dims[0] / window.group;
  Indices kernel(in[1].dims.begin() + 2, in[1].dims.end()), extents(outDims.begin() + 2, outDims.end());
  Array result = makeArray(outDims, [&](const Indices &i) { return in.size() > 2 ? in[2].values[i[1]] : 0; });
  forEachIndex(in[0].dims, [&](const Indices &i) {
    Indices position(i.begin() + 2, i.end());
    forEachTap(position, kernel, extents, window, [&](const Indices &tap, const Indices &source) {
      for (int64_t m = 0; m < perGroup; ++m) {
        int64_t output = i[1] / inputsPerGroup * perGroup + m;
        result.values[flatten(outDims, join({i[0], output}, source))] += at(in[0], i) * at(in[1], join({i[1], m}, tap));
      }
    });
  });
  return result;
}

struct ConvCase {
  const char *input, *filter, *output;
  Window window;
};

void checkConv(const ConvCase &test, const std::string &element, bool hasBias, bool transposed,
               const std::string &epilogue = "", bool channelsLast = false) {
  auto image = [&](std::string dims) { return tensorType(channelsLast ? toChannelsLast(dims) : dims, element); };
  std::string type = image(test.input), filter = tensorType(test.filter, element), result = image(test.output);
  std::string channels(test.output);
  channels = channels.substr(channels.find('x') + 1);
  std::string bias = tensorType(channels.substr(0, channels.find('x')), element);
  KernelText text{{type, filter}, "", {result}};
  std::string attributes = " {strides = " + list(test.window.strides) + ", dilations = " + list(test.window.dilations) +
                           ", pads = " + list(test.window.pads) + ", group = " + std::to_string(test.window.group);
  if (transposed)
    attributes += ", output_pads = " + list(Indices(test.window.strides.size(), 0));
  if (channelsLast)
    attributes += ", channels_last";
  if (hasBias)
    text.inputs.push_back(bias);
  text.body = std::string(epilogue.empty() ? "%r" : "%c") + " = nn.conv" + (transposed ? "_transpose" : "") +
              " %0, %1" + (hasBias ? " bias %2 : " + bias : "") + attributes + "} : " + type + ", " + filter;
  if (!epilogue.empty())
    text.body += "\n  %r = nn.unary " + epilogue + " %c : " + result;
  Kernel kernel(text.str());
  ASSERT_TRUE(kernel.ok()) << kernel.error << text.str();
  for (std::vector<int64_t> symbols : {std::vector<int64_t>{1, 8, 0, 0}, {2, 9, 0, 0}, {3, 17, 0, 0}}) {
    Indices outDims = kernel.dimsOf(kernel.numInputs(), symbols);
    if (channelsLast)
      outDims = fromChannelsLast(outDims);
    check(
        text, {symbols},
        [&](std::vector<Array> in) {
          if (channelsLast)
            in[0] = fromChannelsLast(in[0]);
          Array made = transposed ? convTranspose(in, outDims, test.window) : conv(in, outDims, test.window);
          if (epilogue == "relu")
            for (double &value : made.values)
              value = std::max(value, 0.0);
          return std::vector<Array>{channelsLast ? toChannelsLast(made) : made};
        },
        productTolerance(element, 40), -1, 1);
  }
}

const ConvCase kConvCases[] = {
    {"s0x3x12xs1", "8x3x3x3", "s0x8x12xs1", {{1, 1}, {1, 1}, {1, 1, 1, 1}}},
    {"s0x3x12x20", "8x3x3x3", "s0x8x6x10", {{2, 2}, {1, 1}, {1, 1, 1, 1}}},
    {"s0x5xs1x7", "6x5x1x1", "s0x6xs1x7", {{1, 1}, {1, 1}, {0, 0, 0, 0}}},
    {"s0x5x9x9", "6x5x1x1", "s0x6x5x5", {{2, 2}, {1, 1}, {0, 0, 0, 0}}},
    {"s0x6xs1x9", "6x1x3x3", "s0x6xs1x9", {{1, 1}, {1, 1}, {1, 1, 1, 1}, 6}},
    {"s0x6x9x9", "12x1x3x3", "s0x12x4x4", {{2, 2}, {1, 1}, {0, 0, 0, 0}, 6}},
    {"s0x4xs1x9", "6x2x3x5", "s0x6xs1x9", {{1, 1}, {1, 1}, {1, 2, 1, 2}, 2}},
    {"s0x3x11xs1", "4x3x3x3", "s0x4x7xs1", {{1, 1}, {2, 2}, {0, 2, 0, 2}}},
    {"s0x8xs1", "6x8x3", "s0x6xs1", {{1}, {1}, {1, 1}}},
    {"s0x3x205", "40x3x6", "s0x40x40", {{5}, {1}, {0, 0}}},
    {"s0x3x205", "7x3x6", "s0x7x40", {{5}, {1}, {0, 0}}},
    {"s0x1x1000", "40x1x60", "s0x40x8", {{128}, {1}, {0, 0}}},
    {"s0x2x5x6x7", "4x2x3x3x3", "s0x4x3x4x5", {{1, 1, 1}, {1, 1, 1}, {0, 0, 0, 0, 0, 0}}},
    {"s0x3x33x70", "33x3x3x3", "s0x33x17x35", {{2, 2}, {1, 1}, {1, 1, 1, 1}}},
    {"s0x17x7x7", "70x17x3x3", "s0x70x7x7", {{1, 1}, {1, 1}, {1, 1, 1, 1}}},
};

} // namespace

TEST(Contraction, Matmul) {
  struct Case {
    const char *lhs, *rhs, *result;
    bool transposeLhs = false, transposeRhs = false;
  };
  const Case cases[] = {{"s0x7", "7xs1", "s0xs1"},           {"s0x7", "s1x7", "s0xs1", false, true},
                        {"7xs0", "7xs1", "s0xs1", true},     {"7xs0", "s1x7", "s0xs1", true, true},
                        {"s0x70", "70x96", "s0x96"},         {"64x33", "33x64", "64x64"},
                        {"s0x1x4x7", "3x7xs1", "s0x3x4xs1"}, {"3x5x7", "7xs1", "3x5xs1"},
                        {"2xs0xs1", "2xs1x5", "2xs0x5"},     {"s0x2x9x16", "s0x2x9x16", "s0x2x9x9", false, true},
                        {"1xs0", "s0x40", "1x40"},           {"s0xs1", "s1x1", "s0x1"}};
  for (const Case &test : cases)
    for (std::string element : {"f32", "f64", "f16", "bf16", "i32"}) {
      std::string lhs = tensorType(test.lhs, element), rhs = tensorType(test.rhs, element);
      std::string flags = test.transposeLhs && test.transposeRhs ? " {transpose_lhs, transpose_rhs}"
                          : test.transposeLhs                    ? " {transpose_lhs}"
                          : test.transposeRhs                    ? " {transpose_rhs}"
                                                                 : "";
      check(
          {{lhs, rhs}, "%r = nn.matmul %0, %1" + flags + " : " + lhs + ", " + rhs, {tensorType(test.result, element)}},
          {{0, 1}, {1, 1}, {3, 17}, {13, 65}},
          [&](const std::vector<Array> &in) {
            return std::vector<Array>{matmul(in[0], in[1], test.transposeLhs, test.transposeRhs)};
          },
          productTolerance(element, 70), -1, 1);
    }
}

TEST(Contraction, MatmulWithEpilogue) {
  std::string lhs = tensorType("s0x40"), rhs = tensorType("40x70"), bias = tensorType("70"), type = tensorType("s0x70");
  check(
      {{lhs, rhs, bias},
       "%a = nn.matmul %0, %1 : " + lhs + ", " + rhs + "\n  %b = nn.binary add %a, %2 : " + type + ", " + bias +
           "\n  %r = nn.unary gelu %b : " + type,
       {type}},
      {{1}, {9}, {64}},
      [](const std::vector<Array> &in) {
        Array product = matmul(in[0], in[1], false, false);
        return std::vector<Array>{makeArray(product.dims, [&](const Indices &i) {
          double x = at(product, i) + atBroadcast(in[2], i);
          return x * (1 + std::erf(x / std::sqrt(2.0))) / 2;
        })};
      },
      {1e-5, 1e-5}, -1, 1);
}

TEST(Contraction, Conv) {
  for (const ConvCase &test : kConvCases)
    for (bool hasBias : {false, true})
      checkConv(test, "f32", hasBias, /*transposed=*/false, hasBias ? "relu" : "");
  for (std::string element : {"f64", "f16", "bf16"})
    checkConv(kConvCases[0], element, true, /*transposed=*/false);
}

TEST(Contraction, ConvChannelsLast) {
  for (const ConvCase &test : kConvCases)
    for (bool hasBias : {false, true})
      checkConv(test, "f32", hasBias, /*transposed=*/false, hasBias ? "relu" : "", /*channelsLast=*/true);
  for (std::string element : {"f64", "f16"})
    checkConv(kConvCases[0], element, true, /*transposed=*/false, "", /*channelsLast=*/true);
}

TEST(Contraction, ConvTranspose) {
  const ConvCase cases[] = {
      {"s0x4x5xs1", "4x3x2x2", "s0x3x10x(s1 * 2)", {{2, 2}, {1, 1}, {0, 0, 0, 0}}},
      {"s0x4x5x6", "4x3x3x3", "s0x3x9x11", {{2, 2}, {1, 1}, {1, 1, 1, 1}}},
      {"s0x4x5x6", "4x3x3x3", "s0x6x5x6", {{1, 1}, {1, 1}, {1, 1, 1, 1}, 2}},
      {"s0x4x7", "4x2x3", "s0x2x13", {{1}, {3}, {0, 0}}},
  };
  for (const ConvCase &test : cases)
    for (bool hasBias : {false, true})
      for (bool channelsLast : {false, true})
        checkConv(test, "f32", hasBias, /*transposed=*/true, "", channelsLast);
}

static void checkPools(bool channelsLast) {
  struct Case {
    const char *input, *result;
    Indices kernel;
    Window window;
    bool ceil = false;
  };
  const Case cases[] = {
      {"s0x4x8x8", "s0x4x4x4", {3, 3}, {{2, 2}, {1, 1}, {1, 1, 1, 1}}},
      {"s0x4x8x8", "s0x4x4x4", {3, 3}, {{2, 2}, {1, 1}, {0, 0, 0, 0}}, true},
      {"s0x2xs1x9", "s0x2xs1x9", {3, 3}, {{1, 1}, {1, 1}, {1, 1, 1, 1}}},
      {"s0x2x12", "s0x2x8", {3}, {{1}, {2}, {0, 0}}},
      {"s0x2x4x5x6", "s0x2x2x2x3", {2, 2, 2}, {{2, 2, 2}, {1, 1, 1}, {0, 0, 0, 0, 0, 0}}},
  };
  for (const Case &test : cases)
    for (std::string kind : {"max", "average", "average_include_pad"})
      for (std::string element : {"f32", "f16"}) {
        auto image = [&](std::string dims) { return tensorType(channelsLast ? toChannelsLast(dims) : dims, element); };
        std::string type = image(test.input), result = image(test.result);
        KernelText text{{type},
                        "%r = nn.pool " + kind + " %0 {kernel = " + list(test.kernel) +
                            ", strides = " + list(test.window.strides) +
                            ", dilations = " + list(test.window.dilations) + ", pads = " + list(test.window.pads) +
                            (channelsLast ? ", channels_last" : "") + (test.ceil ? ", ceil_mode} : " : "} : ") + type,
                        {result}};
        Kernel kernel(text.str());
        ASSERT_TRUE(kernel.ok()) << kernel.error << text.str();
        for (std::vector<int64_t> symbols : {std::vector<int64_t>{1, 7, 0, 0}, {2, 20, 0, 0}}) {
          Indices dims = kernel.dimsOf(1, symbols);
          if (channelsLast)
            dims = fromChannelsLast(dims);
          auto reference = [&](std::vector<Array> in) {
            if (channelsLast)
              in[0] = fromChannelsLast(in[0]);
            Indices extents(in[0].dims.begin() + 2, in[0].dims.end()), padded = extents;
            Window inPadded = test.window;
            for (size_t i = 0; i < extents.size(); ++i) {
              padded[i] += test.window.pads[i] + test.window.pads[extents.size() + i];
              inPadded.pads[i] = 0;
            }
            Array made = makeArray(dims, [&](const Indices &i) {
              double sum = 0, highest = -std::numeric_limits<double>::infinity(), count = 0, countPadded = 0;
              Indices position(i.begin() + 2, i.end());
              forEachTap(position, test.kernel, padded, inPadded,
                         [&](const Indices &, const Indices &) { ++countPadded; });
              forEachTap(position, test.kernel, extents, test.window, [&](const Indices &, const Indices &source) {
                double value = at(in[0], join({i[0], i[1]}, source));
                sum += value;
                highest = std::max(highest, value);
                ++count;
              });
              return kind == "max" ? highest : sum / (kind == "average" ? count : countPadded);
            });
            return std::vector<Array>{channelsLast ? toChannelsLast(made) : made};
          };
          check(text, {symbols}, reference, toleranceOf(element));
        }
      }
}

TEST(Contraction, Pool) { checkPools(/*channelsLast=*/false); }
TEST(Contraction, PoolChannelsLast) { checkPools(/*channelsLast=*/true); }
