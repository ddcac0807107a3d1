//===- OneDnnTest.cpp - Kernels that oneDNN runs ----------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "OneDnnHarness.h"

#include <cmath>

using namespace penstock;
using namespace penstock::test;

namespace {

double largest(const Array &array) {
  double result = 0;
  for (double value : array.values)
    result = std::max(result, std::abs(value));
  return result;
}

/// Runs as library kernel and as generated code, with the weight as an input and as a weight.
void checkLibrary(const KernelText &text, size_t weight, const std::vector<std::vector<int64_t>> &symbols,
                  const std::function<Array(const std::vector<Array> &)> &reference, double tolerance = 4e-6) {
  Kernel generated(text.str());
  ASSERT_TRUE(generated.ok()) << generated.error << text.str();
  for (const std::string &source : {text.str(), withWeight(text, weight)}) {
    auto kernel = makeLibraryKernel(source);
    ASSERT_TRUE(kernel->ok()) << kernel->error << source;
    ASSERT_EQ(kernel->compiled.kind, "library") << source;
    for (const std::vector<int64_t> &values : symbols) {
      // Weights must not change while a library lives, and here each run has its own.
      currentLibrary() = std::make_unique<rt::onednn::Library>(1);
      std::vector<Array> inputs = kernel->randomInputs(values);
      std::vector<Array> packed = packInputs(*kernel, inputs);
      Array expected = reference(inputs), got = kernel->run(packed, values)[0],
            other = generated.run(inputs, values)[0];
      ASSERT_EQ(got.dims, expected.dims) << source;
      double scale = std::max(largest(expected), 1.0);
      for (int64_t i = 0; i < got.size(); ++i) {
        ASSERT_NEAR(got.values[i], expected.values[i], tolerance * scale) << "element " << i << "\n" << source;
        ASSERT_NEAR(other.values[i], expected.values[i], tolerance * scale) << "generated, element " << i << "\n"
                                                                            << source;
      }
      // Again, and after everything was made anew: the same bits.
      EXPECT_EQ(kernel->run(packed, values)[0].values, got.values) << source;
      currentLibrary() = std::make_unique<rt::onednn::Library>(1);
      EXPECT_EQ(kernel->run(packed, values)[0].values, got.values) << source;
    }
  }
}

// Convolutions.

struct ConvCase {
  Indices input, filter; ///< without the batch
  Indices strides, dilations, pads;
  int64_t group = 1;
  bool transposed = false;
  Indices outputPads = {};
  bool channelsLast = false;
};

Indices resultDims(const ConvCase &c, int64_t batch) {
  size_t numSpatial = c.input.size() - 1;
  Indices dims = {batch, c.transposed ? c.filter[1] * c.group : c.filter[0]};
  for (size_t i = 0; i < numSpatial; ++i) {
    int64_t reach = (c.filter[2 + i] - 1) * c.dilations[i] + 1, pad = c.pads[i] + c.pads[numSpatial + i];
    dims.push_back(c.transposed ? (c.input[1 + i] - 1) * c.strides[i] + reach - pad +
                                      (c.outputPads.empty() ? 0 : c.outputPads[i])
                                : (c.input[1 + i] + pad - reach) / c.strides[i] + 1);
  }
  return dims;
}

/// Adds up every product that belongs to a result, for both kinds.
Array convolve(const ConvCase &c, const Array &input, const Array &filter, const Array *bias) {
  if (c.channelsLast) {
    ConvCase rowMajor = c;
    rowMajor.channelsLast = false;
    return toChannelsLast(convolve(rowMajor, fromChannelsLast(input), filter, bias));
  }
  size_t numSpatial = c.input.size() - 1;
  Array result =
      makeArray(resultDims(c, input.dims[0]), [&](const Indices &at) { return bias ? bias->values[at[1]] : 0.0; });
  int64_t perGroupIn = c.input[0] / c.group, perGroupOut = result.dims[1] / c.group;
  const Array &moving = c.transposed ? input : result; // whose positions are multiplied by the strides
  Indices taps(filter.dims.begin() + 2, filter.dims.end());
  forEachIndex(moving.dims, [&](const Indices &from) {
    bool fromInput = c.transposed;
    int64_t group = from[1] / (fromInput ? perGroupIn : perGroupOut);
    int64_t numOther = fromInput ? perGroupOut : perGroupIn;
    forEachIndex(taps, [&](const Indices &tap) {
      Indices to = {from[0], 0};
      const Array &other = fromInput ? result : input;
      for (size_t i = 0; i < numSpatial; ++i) {
        to.push_back(from[2 + i] * c.strides[i] - c.pads[i] + tap[i] * c.dilations[i]);
        if (to.back() < 0 || to.back() >= other.dims[2 + i])
          return;
      }
      for (int64_t k = 0; k < numOther; ++k) {
        to[1] = group * numOther + k;
        Indices weight = {from[1], k};
        weight.insert(weight.end(), tap.begin(), tap.end());
        double product = filter.values[flatten(filter.dims, weight)];
        if (fromInput)
          result.values[flatten(result.dims, to)] += product * at(input, from);
        else
          result.values[flatten(result.dims, from)] += product * at(input, to);
      }
    });
  });
  return result;
}

std::string dimsText(const Indices &dims, const std::string &first = "") {
  std::string text = first;
  for (int64_t dim : dims)
    text += (text.empty() ? "" : "x") + std::to_string(dim);
  return text;
}

std::string arrayText(const Indices &values) {
  std::string text;
  for (int64_t value : values)
    text += (text.empty() ? "" : ", ") + std::to_string(value);
  return "array<i64: " + text + ">";
}

std::string plainText(const Indices &values) {
  std::string text;
  for (int64_t value : values)
    text += (text.empty() ? "" : ", ") + std::to_string(value);
  return "[" + text + "]";
}

std::string replaceAll(std::string text, const std::string &from, const std::string &to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
  return text;
}

/// input %0, filter %1, bias %2 if any; the result is %c.
KernelText convText(const ConvCase &c, bool hasBias, const std::string &batch = "s0") {
  Indices result = resultDims(c, 1);
  result.erase(result.begin());
  KernelText text;
  auto image = [&](std::string dims) { return tensorType(c.channelsLast ? toChannelsLast(dims) : dims); };
  text.inputs = {image(dimsText(c.input, batch)), tensorType(dimsText(c.filter))};
  std::string bias = tensorType(std::to_string(result[0]));
  if (hasBias)
    text.inputs.push_back(bias);
  text.body =
      "%c = nn.conv" + std::string(c.transposed ? "_transpose" : "") + " %0, %1" +
      (hasBias ? " bias %2 : " + bias : "") + " {strides = " + arrayText(c.strides) +
      ", dilations = " + arrayText(c.dilations) + ", pads = " + arrayText(c.pads) +
      ", group = " + std::to_string(c.group) + " : i64" + (c.channelsLast ? ", channels_last" : "") +
      (c.transposed ? ", output_pads = " + arrayText(c.outputPads.empty() ? Indices(c.strides.size(), 0) : c.outputPads)
                    : "") +
      "} : " + text.inputs[0] + ", " + text.inputs[1];
  text.types = {image(dimsText(result, batch))};
  text.results = {"%c"};
  return text;
}

const ConvCase kConvCases[] = {
    {{3, 17, 19}, {8, 3, 3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}},
    {{16, 9, 7}, {24, 16, 1, 1}, {1, 1}, {1, 1}, {0, 0, 0, 0}},
    {{5, 11, 13}, {7, 5, 3, 5}, {1, 2}, {1, 1}, {1, 2, 0, 1}},       // nothing a multiple of anything
    {{16, 12, 12}, {32, 16, 3, 3}, {1, 1}, {2, 3}, {2, 3, 2, 3}},    // dilated
    {{32, 10, 10}, {32, 1, 3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, 32}, // depthwise
    {{18, 10, 10}, {18, 1, 5, 5}, {2, 2}, {1, 1}, {2, 2, 1, 1}, 18}, // depthwise, odd
    {{12, 8, 8}, {18, 4, 3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, 3},    // grouped
    {{8, 31}, {16, 8, 4}, {2}, {1}, {1, 2}},                         // one axis
    {{4, 5, 6, 7}, {8, 4, 3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1, 1, 1, 1}},
    {{8, 6, 6}, {8, 5, 2, 2}, {2, 2}, {1, 1}, {0, 0, 0, 0}, 1, true}, // transposed
    {{6, 5, 7}, {6, 4, 3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}, 1, true, {1, 1}},
    {{8, 6, 6}, {8, 4, 3, 3}, {2, 1}, {1, 1}, {1, 0, 1, 0}, 2, true},
};

TEST(OneDnn, Convolutions) {
  for (const ConvCase &c : kConvCases)
    for (bool hasBias : {false, true})
      checkLibrary(convText(c, hasBias), 1, {{1, 1, 1, 1}, {3, 1, 1, 1}}, [&](const std::vector<Array> &inputs) {
        return convolve(c, inputs[0], inputs[1], hasBias ? &inputs[2] : nullptr);
      });
}

TEST(OneDnn, ConvolutionsOfChannelsLastImages) {
  for (ConvCase c : kConvCases) {
    c.channelsLast = true;
    checkLibrary(convText(c, true), 1, {{1, 1, 1, 1}, {3, 1, 1, 1}},
                 [&](const std::vector<Array> &inputs) { return convolve(c, inputs[0], inputs[1], &inputs[2]); });
  }
}

/// A channels-last convolution of a row-major image, whose result is row-major too, with all that may stand between.
TEST(OneDnn, ConvolutionsThatChangeTheLayout) {
  for (const ConvCase &c : kConvCases) {
    ConvCase last = c;
    last.channelsLast = true;
    KernelText rows = convText(c, true), text = convText(last, true);
    std::string type = text.types[0];
    size_t rank = c.filter.size();
    Indices axes(rank), to, from;
    for (size_t i = 0; i < rank; ++i)
      axes[i] = i;
    to = toChannelsLast(axes);
    from = fromChannelsLast(axes);
    text.body = "%t = nn.transpose %0 " + plainText(to) + " : " + rows.inputs[0] + "\n" +
                replaceAll(text.body, "%0", "%t") + "\n%u = nn.transpose %3 " + plainText(to) + " : " + rows.types[0] +
                "\n%a = nn.binary add %c, %u : " + type + ", " + type + "\n%b = nn.unary relu %a : " + type +
                "\n%r = nn.transpose %b " + plainText(from) + " : " + type;
    text.inputs[0] = rows.inputs[0];
    text.inputs.push_back(rows.types[0]);
    text.types = rows.types;
    text.results = {"%r"};
    checkLibrary(text, 1, {{1, 1, 1, 1}, {3, 1, 1, 1}}, [&](const std::vector<Array> &inputs) {
      Array result = convolve(c, inputs[0], inputs[1], &inputs[2]);
      return makeArray(result.dims, [&](const Indices &i) { return std::max(at(result, i) + at(inputs[3], i), 0.0); });
    });
  }
}

// Products.

struct MatmulCase {
  std::string lhs, rhs, result;
  bool transposeLhs = false, transposeRhs = false;
};

KernelText matmulText(const MatmulCase &c) {
  KernelText text;
  text.inputs = {tensorType(c.lhs), tensorType(c.rhs)};
  text.body = "%c = nn.matmul %0, %1 {" + std::string(c.transposeLhs ? "transpose_lhs" : "") +
              (c.transposeLhs && c.transposeRhs ? ", " : "") + (c.transposeRhs ? "transpose_rhs" : "") +
              "} : " + text.inputs[0] + ", " + text.inputs[1];
  text.types = {tensorType(c.result)};
  text.results = {"%c"};
  return text;
}

Array multiply(const MatmulCase &c, const Array &lhs, const Array &rhs) {
  size_t left = lhs.dims.size(), right = rhs.dims.size();
  Indices leftBatch(lhs.dims.begin(), lhs.dims.end() - 2), rightBatch(rhs.dims.begin(), rhs.dims.end() - 2);
  Indices dims = broadcastDims(leftBatch, rightBatch);
  dims.push_back(lhs.dims[left - (c.transposeLhs ? 1 : 2)]);
  dims.push_back(rhs.dims[right - (c.transposeRhs ? 2 : 1)]);
  int64_t inner = lhs.dims[left - (c.transposeLhs ? 2 : 1)];
  return makeArray(dims, [&](const Indices &at) {
    Indices batch(at.begin(), at.end() - 2);
    int64_t row = at[at.size() - 2], column = at.back();
    double sum = 0;
    for (int64_t k = 0; k < inner; ++k) {
      Indices l = batch, r = batch;
      l.push_back(c.transposeLhs ? k : row);
      l.push_back(c.transposeLhs ? row : k);
      r.push_back(c.transposeRhs ? column : k);
      r.push_back(c.transposeRhs ? k : column);
      sum += atBroadcast(lhs, l) * atBroadcast(rhs, r);
    }
    return sum;
  });
}

const MatmulCase kStaticRight[] = {
    {"4x8", "8x6", "4x6"},
    {"1x33", "33x17", "1x17"},
    {"s0x40", "40x25", "s0x25"},
    {"s0x40", "25x40", "s0x25", false, true},
    {"40x7", "40x25", "7x25", true, false},
    {"s0xs1x64", "64x96", "s0xs1x96"},
    {"s0x1x64", "64x96", "s0x1x96"},
    {"2xs1x16", "1x16x8", "2xs1x8"},
};
const MatmulCase kProducts[] = {
    {"s0x3xs1x16", "s0x3x16xs1", "s0x3xs1xs1"},       {"s0x3xs1x16", "s0x3xs1x16", "s0x3xs1xs1", false, true},
    {"s0x3xs1xs1", "s0x3xs1x16", "s0x3xs1x16"},       {"s0x16xs1", "s0x16x24", "s0xs1x24", true, false},
    {"s0x16xs1", "s0x24x16", "s0xs1x24", true, true},
};

TEST(OneDnn, ProductsWithOneRightSide) {
  for (const MatmulCase &c : kStaticRight)
    checkLibrary(matmulText(c), 1, {{1, 1, 1, 1}, {3, 17, 1, 1}, {5, 128, 1, 1}},
                 [&](const std::vector<Array> &inputs) { return multiply(c, inputs[0], inputs[1]); });
}

TEST(OneDnn, ProductsOfActivations) {
  for (const MatmulCase &c : kProducts) {
    auto kernel = makeLibraryKernel(matmulText(c).str());
    ASSERT_EQ(kernel->compiled.kind, "library") << c.lhs << " * " << c.rhs;
    for (const std::vector<int64_t> &symbols :
         std::vector<std::vector<int64_t>>{{1, 1, 1, 1}, {2, 9, 1, 1}, {3, 65, 1, 1}}) {
      std::vector<Array> inputs = kernel->randomInputs(symbols);
      Array expected = multiply(c, inputs[0], inputs[1]), got = kernel->run(inputs, symbols)[0];
      ASSERT_EQ(got.dims, expected.dims);
      for (int64_t i = 0; i < got.size(); ++i)
        ASSERT_NEAR(got.values[i], expected.values[i], 4e-6 * std::max(1.0, largest(expected)))
            << c.lhs << " * " << c.rhs;
    }
  }
}

// What is done to each element.

struct PostOpCase {
  std::string ops;                        ///< from %c to %r, of type T
  std::vector<std::string> inputs;        ///< %2.. as dims
  double (*function)(double x, double v); ///< v: the element of %2 that belongs to x
};

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

const PostOpCase kPostOpCases[] = {
    {"%r = nn.unary relu %c : T", {}, [](double x, double) { return std::max(x, 0.0); }},
    {"%r = nn.unary leaky_relu %c {alpha = 0.1} : T", {}, [](double x, double) { return x < 0 ? 0.1f * x : x; }},
    {"%r = nn.unary sigmoid %c : T", {}, [](double x, double) { return sigmoid(x); }},
    {"%r = nn.unary tanh %c : T", {}, [](double x, double) { return std::tanh(x); }},
    {"%r = nn.unary elu %c {alpha = 0.5} : T", {}, [](double x, double) { return x < 0 ? 0.5 * std::expm1(x) : x; }},
    {"%r = nn.unary gelu %c : T", {}, [](double x, double) { return x / 2 * (1 + std::erf(x / std::sqrt(2.0))); }},
    {"%r = nn.unary gelu_tanh %c : T",
     {},
     [](double x, double) { return x / 2 * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))); }},
    {"%r = nn.unary silu %c : T", {}, [](double x, double) { return x * sigmoid(x); }},
    {"%r = nn.unary hard_swish %c : T",
     {},
     [](double x, double) { return x * std::max(0.0, std::min(1.0, x / 6 + 0.5)); }},
    {"%r = nn.unary hard_sigmoid %c {alpha = 0.2, beta = 0.5} : T",
     {},
     [](double x, double) { return std::max(0.0, std::min(1.0, 0.2f * x + 0.5)); }},
    {"%a = nn.unary abs %c : T %r = nn.unary sqrt %a : T", {}, [](double x, double) { return std::sqrt(std::abs(x)); }},
    {"%k = nn.constant dense<0.0> : tensor<f32> %h = nn.constant dense<6.0> : tensor<f32>\n"
     "%a = nn.binary maximum %c, %k : T, tensor<f32> %r = nn.binary minimum %a, %h : T, tensor<f32>",
     {},
     [](double x, double) { return std::min(std::max(x, 0.0), 6.0); }},
    {"%k = nn.constant dense<1.5> : tensor<1xf32> %a = nn.binary mul %c, %k : T, tensor<1xf32>\n"
     "%b = nn.binary add %k, %a : tensor<1xf32>, T %r = nn.binary sub %k, %b : tensor<1xf32>, T",
     {},
     [](double x, double) { return 1.5 - (1.5 + 1.5 * x); }},
    {"%k = nn.constant dense<1.5> : tensor<1xf32> %h = nn.constant dense<0.25> : tensor<1xf32>\n"
     "%a = nn.binary mul %c, %k : T, tensor<1xf32> %b = nn.binary add %a, %h : T, tensor<1xf32>\n"
     "%s = nn.unary hard_swish %b : T %d = nn.binary mul %s, %h : T, tensor<1xf32>\n"
     "%r = nn.binary sub %d, %k : T, tensor<1xf32>",
     {},
     [](double x, double) {
       double y = 1.5 * x + 0.25;
       return y * std::max(0.0, std::min(1.0, y / 6 + 0.5)) * 0.25 - 1.5;
     }},
    {"%r = nn.binary add %c, %2 : T, C", {"C"}, [](double x, double v) { return x + v; }},
    {"%a = nn.binary mul %2, %c : C, T %r = nn.unary relu %a : T",
     {"C"},
     [](double x, double v) { return std::max(x * v, 0.0); }},
    {"%a = nn.binary mul %c, %2 : T, C %r = nn.binary mul %a, %2 : T, C",
     {"C"},
     [](double x, double v) { return x * v * v; }},
    {"%a = nn.unary relu %c : T %r = nn.binary sub %a, %2 : T, C",
     {"C"},
     [](double x, double v) { return std::max(x, 0.0) - v; }},
    {"%a = nn.unary relu %c : T %b = nn.binary sub %a, %2 : T, C %r = nn.unary leaky_relu %b {alpha = 0.1} : T",
     {"C"},
     [](double x, double v) {
       double y = std::max(x, 0.0) - v;
       return y < 0 ? 0.1f * y : y;
     }},
    {"%a = nn.unary leaky_relu %c {alpha = 0.1} : T %b = nn.binary sub %a, %2 : T, C %r = nn.unary relu %b : T",
     {"C"},
     [](double x, double v) { return std::max((x < 0 ? 0.1f * x : x) - v, 0.0); }},
    {"%r = nn.binary mul %c, %2 : T, tensor<1xf32>", {"1"}, [](double x, double v) { return x * v; }},
    {"%a = nn.binary add %2, %c : T, T %r = nn.unary relu %a : T",
     {"T"},
     [](double x, double v) { return std::max(x + v, 0.0); }},
    {"%a = nn.unary relu %c : T %r = nn.binary add %a, %2 : T, T",
     {"T"},
     [](double x, double v) { return std::max(x, 0.0) + v; }},
};

/// `channels` are the dims of a per-channel operand.
void checkPostOp(KernelText text, const PostOpCase &c, const std::string &channels,
                 const std::function<Array(const std::vector<Array> &)> &contraction) {
  std::string type = text.types[0];
  for (const std::string &input : c.inputs)
    text.inputs.push_back(input == "T" ? type : tensorType(input == "C" ? channels : input));
  std::string ops = replaceAll(c.ops, ": T", ": <T>");
  ops = replaceAll(replaceAll(ops, ", T", ", <T>"), ", C", ", " + tensorType(channels));
  ops = replaceAll(replaceAll(ops, ": C", ": " + tensorType(channels)), "<T>", type);
  text.body += "\n" + ops;
  text.results = {"%r"};
  checkLibrary(text, 1, {{1, 1, 1, 1}, {3, 1, 1, 1}}, [&](const std::vector<Array> &inputs) {
    Array result = contraction(inputs);
    return makeArray(result.dims, [&](const Indices &indices) {
      return c.function(at(result, indices), inputs.size() > 2 ? atBroadcast(inputs[2], indices) : 0);
    });
  });
}

TEST(OneDnn, PostOpsOfConvolutions) {
  ConvCase wide{{16, 9, 7}, {24, 16, 1, 1}, {1, 1}, {1, 1}, {0, 0, 0, 0}};
  ConvCase square{{6, 8, 9}, {10, 6, 3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}};
  ConvCase deep{{20, 8, 9}, {20, 1, 3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, 20};
  ConvCase wideLast = wide, deepLast = deep;
  wideLast.channelsLast = deepLast.channelsLast = true;
  for (const ConvCase &conv : {wide, square, deep, wideLast, deepLast})
    for (const PostOpCase &c : kPostOpCases)
      checkPostOp(convText(conv, false), c, std::to_string(conv.filter[0]) + (conv.channelsLast ? "" : "x1x1"),
                  [&](const std::vector<Array> &inputs) { return convolve(conv, inputs[0], inputs[1], nullptr); });
}

TEST(OneDnn, PostOpsOfProducts) {
  MatmulCase product{"s0x5x40", "40x25", "s0x5x25"};
  for (const PostOpCase &c : kPostOpCases)
    checkPostOp(matmulText(product), c, "25",
                [&](const std::vector<Array> &inputs) { return multiply(product, inputs[0], inputs[1]); });
}

/// The result in another shape, a summand per channel of it, and no negative numbers.
KernelText reshapedText(KernelText text, const std::string &shape, const std::string &channels) {
  std::string type = tensorType(shape), summand = tensorType(channels);
  text.body += "\n%s = nn.reshape %c : " + text.types[0] + " to " + type + "\n%a = nn.binary add %s, %2 : " + type +
               ", " + summand + " %r = nn.unary relu %a : " + type;
  text.inputs.push_back(summand);
  text.types = {type};
  text.results = {"%r"};
  return text;
}

void checkReshaped(const KernelText &text, const Indices &dims,
                   const std::function<Array(const std::vector<Array> &)> &contraction) {
  checkLibrary(text, 1, {{1, 1, 1, 1}, {3, 1, 1, 1}}, [&](const std::vector<Array> &inputs) {
    Array result = contraction(inputs);
    result.dims = dims;
    int64_t behind = 1;
    for (size_t i = 1; i < dims.size(); ++i)
      behind *= dims[i];
    result.dims[0] = result.values.size() / behind;
    return makeArray(result.dims, [&](const Indices &indices) {
      return std::max(at(result, indices) + atBroadcast(inputs[2], indices), 0.0);
    });
  });
}

// As models have it that write convolutions along one axis with two.
TEST(OneDnn, PostOpsBehindReshapes) {
  ConvCase rows{{16, 31, 1}, {24, 16, 5, 1}, {1, 1}, {1, 1}, {2, 0, 2, 0}}, last = rows;
  last.channelsLast = true;
  for (auto [conv, shape, channels, dims] :
       {std::make_tuple(rows, "s0x24x31", "24x1", Indices{0, 24, 31}), {last, "s0x31x24", "24", Indices{0, 31, 24}}})
    checkReshaped(
        reshapedText(convText(conv, false), shape, channels), dims,
        [&conv = conv](const std::vector<Array> &inputs) { return convolve(conv, inputs[0], inputs[1], nullptr); });
  MatmulCase product{"s0x6x40", "40x25", "s0x6x25"};
  checkReshaped(reshapedText(matmulText(product), "s0x2x3x25", "25"), {0, 2, 3, 25},
                [&](const std::vector<Array> &inputs) { return multiply(product, inputs[0], inputs[1]); });
}

// A summand lies where the result will, unless the product reads it while the result is written.
TEST(OneDnn, WorksInPlaceOfASummandOnly) {
  KernelText text = matmulText({"s0x40", "40x40", "s0x40"});
  text.results = {"%r"};
  KernelText apart = text, own = text;
  apart.inputs.push_back(text.types[0]);
  std::string type = text.types[0], relu = "\n%a = nn.unary relu %c : " + type + " %r = nn.binary add %a, ";
  apart.body += relu + "%2 : " + type + ", " + type;
  own.body += relu + "%0 : " + type + ", " + type;
  EXPECT_EQ(makeLibraryKernel(apart.str())->compiled.inPlaceInput, 2);
  auto kernel = makeLibraryKernel(own.str());
  EXPECT_EQ(kernel->compiled.kind, "library");
  EXPECT_EQ(kernel->compiled.inPlaceInput, -1);
}

// What stays generated.

bool isTaken(const KernelText &text) {
  auto kernel = makeLibraryKernel(text.str());
  return kernel->compiled.kind == "library";
}

TEST(OneDnn, LeavesTheRestToGeneratedCode) {
  ConvCase conv{{16, 9, 7}, {24, 16, 1, 1}, {1, 1}, {1, 1}, {0, 0, 0, 0}};
  KernelText plain = convText(conv, true);
  EXPECT_TRUE(isTaken(plain));
  auto with = [&](const std::string &ops) {
    KernelText text = plain;
    text.body += "\n" + replaceAll(ops, "T", plain.types[0]);
    text.results = {"%r"};
    return text;
  };
  EXPECT_TRUE(isTaken(with("%r = nn.unary relu %c : T")));
  EXPECT_FALSE(isTaken(with("%r = nn.unary ceil %c : T")));        // no such function
  EXPECT_FALSE(isTaken(with("%r = nn.binary mul %c, %c : T, T"))); // twice the result
  EXPECT_FALSE(isTaken(with("%r = nn.softmax %c axis 1 : T")));    // not elementwise
  // Two functions of one kind with numbers of their own.
  EXPECT_FALSE(isTaken(with("%a = nn.unary leaky_relu %c {alpha = 0.1} : T %b = nn.unary abs %a : T "
                            "%r = nn.unary leaky_relu %b {alpha = 0.2} : T")));
  KernelText doubles = convText(conv, true);
  doubles.body = replaceAll(doubles.body, "xf32", "xf64");
  for (std::string *type : {&doubles.inputs[0], &doubles.inputs[1], &doubles.inputs[2], &doubles.types[0]})
    *type = replaceAll(*type, "xf32", "xf64");
  EXPECT_FALSE(isTaken(doubles));
  // Depthwise over long rows: two reorders for little work.
  EXPECT_TRUE(isTaken(convText({{32, 9, 14}, {32, 1, 3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, 32}, false)));
  EXPECT_FALSE(isTaken(convText({{32, 9, 64}, {32, 1, 3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, 32}, false)));
  // Channels-last it needs none.
  EXPECT_TRUE(
      isTaken(convText({{32, 9, 64}, {32, 1, 3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, 32, false, {}, true}, false)));
  // A summand of each channel of a result whose channels are no longer an axis.
  ConvCase square{{6, 8, 9}, {10, 6, 3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}};
  EXPECT_TRUE(isTaken(reshapedText(convText(square, false), "s0x10x72", "10x1")));
  EXPECT_FALSE(isTaken(reshapedText(convText(square, false), "s0x2x5x72", "5x1")));
  // Both sides with leading axes that broadcast.
  KernelText broadcast = matmulText({"3x1x4x8", "1x2x8x6", "3x2x4x6"});
  EXPECT_FALSE(isTaken(broadcast));
}

TEST(OneDnn, SaysWhatItIs) {
  auto kernel = makeLibraryKernel(matmulText({"s0x40", "40x25", "s0x25"}).str());
  EXPECT_EQ(kernel->compiled.library, "oneDNN " + rt::onednn::version());
  Kernel generated(matmulText({"s0x40", "40x25", "s0x25"}).str());
  EXPECT_NE(kernel->compiled.hash, generated.compiled.hash);
}

} // namespace
