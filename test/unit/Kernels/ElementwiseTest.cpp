//===- ElementwiseTest.cpp - Functions of single elements -------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "KernelText.h"

#include <cmath>

using namespace penstock::test;

namespace {

constexpr double kAlpha = 0.25, kBeta = 1.5;

struct UnaryCase {
  const char *kind;
  double (*function)(double);
  double low = -6, high = 6;
};

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double softplus(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); }
double clamp(double x, double low, double high) { return std::min(std::max(x, low), high); }

const UnaryCase kUnaryCases[] = {
    {"identity", [](double x) { return x; }},
    {"abs", [](double x) { return std::abs(x); }},
    {"neg", [](double x) { return -x; }},
    {"sign", [](double x) { return double((x > 0) - (x < 0)); }},
    {"ceil", [](double x) { return std::ceil(x); }},
    {"floor", [](double x) { return std::floor(x); }},
    {"round_even", [](double x) { return std::nearbyint(x); }},
    {"sqrt", [](double x) { return std::sqrt(x); }, 0, 9},
    {"reciprocal", [](double x) { return 1 / x; }, 0.1, 9},
    {"exp", [](double x) { return std::exp(x); }},
    {"log", [](double x) { return std::log(x); }, 0.01, 9},
    {"sin", [](double x) { return std::sin(x); }},
    {"cos", [](double x) { return std::cos(x); }},
    {"tan", [](double x) { return std::tan(x); }, -1.4, 1.4},
    {"asin", [](double x) { return std::asin(x); }, -1, 1},
    {"acos", [](double x) { return std::acos(x); }, -1, 1},
    {"atan", [](double x) { return std::atan(x); }},
    {"sinh", [](double x) { return std::sinh(x); }},
    {"cosh", [](double x) { return std::cosh(x); }},
    {"tanh", [](double x) { return std::tanh(x); }},
    {"asinh", [](double x) { return std::asinh(x); }},
    {"acosh", [](double x) { return std::acosh(x); }, 1.1, 9},
    {"atanh", [](double x) { return std::atanh(x); }, -0.95, 0.95},
    {"erf", [](double x) { return std::erf(x); }},
    {"relu", [](double x) { return std::max(x, 0.0); }},
    {"leaky_relu", [](double x) { return x < 0 ? kAlpha * x : x; }},
    {"thresholded_relu", [](double x) { return x > kAlpha ? x : 0; }},
    {"elu", [](double x) { return x < 0 ? kAlpha * std::expm1(x) : x; }},
    {"celu", [](double x) { return x < 0 ? kAlpha * std::expm1(x / kAlpha) : x; }},
    {"selu", [](double x) { return kBeta * (x <= 0 ? kAlpha * std::expm1(x) : x); }},
    {"sigmoid", sigmoid},
    {"hard_sigmoid", [](double x) { return clamp(kAlpha * x + kBeta, 0, 1); }},
    {"hard_swish", [](double x) { return x * clamp(x / 6 + 0.5, 0, 1); }},
    {"softplus", softplus},
    {"softsign", [](double x) { return x / (1 + std::abs(x)); }},
    {"mish", [](double x) { return x * std::tanh(softplus(x)); }},
    {"gelu", [](double x) { return x * (1 + std::erf(x / std::sqrt(2.0))) / 2; }},
    {"gelu_tanh", [](double x) { return x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))) / 2; }},
    {"silu", [](double x) { return x * sigmoid(x); }},
    {"shrink", [](double x) { return x < -kAlpha  ? x + kBeta
                                     : x > kAlpha ? x - kBeta
                                                  : 0; }},
};

struct BinaryCase {
  const char *kind;
  double (*function)(double, double);
  double low = -6, high = 6;
  const char *elements = "f32 f64 f16 bf16 i8 i16 i32 i64";
};

double floorMod(double x, double y) { return x - std::floor(x / y) * y; }

const BinaryCase kBinaryCases[] = {
    {"add", [](double x, double y) { return x + y; }},
    {"sub", [](double x, double y) { return x - y; }},
    {"mul", [](double x, double y) { return x * y; }},
    {"div", [](double x, double y) { return x / y; }, 0.5, 6, "f32 f64 f16 bf16"},
    {"div", [](double x, double y) { return std::trunc(x / y); }, 1, 90, "i8 ui8 i16 ui16 i32 ui32 i64 ui64"},
    {"pow", [](double x, double y) { return std::pow(x, y); }, 0.5, 3},
    {"minimum", [](double x, double y) { return std::min(x, y); }},
    {"maximum", [](double x, double y) { return std::max(x, y); }},
    {"mod", floorMod, 1, 50, "i8 ui8 i32 ui32 i64 ui64"},
    {"fmod", [](double x, double y) { return std::fmod(x, y); }, 1, 50, "f32 f64 i8 ui8 i32 ui32 i64 ui64"},
    {"prelu", [](double x, double y) { return x < 0 ? x * y : x; }, -6, 6, "f32 f64 f16 bf16"},
    {"bitwise_and", [](double x, double y) { return double(int64_t(x) & int64_t(y)); }, 0, 99, "i8 ui8 i32 ui32 i64"},
    {"bitwise_or", [](double x, double y) { return double(int64_t(x) | int64_t(y)); }, 0, 99, "i8 ui8 i32 ui32 i64"},
    {"bitwise_xor", [](double x, double y) { return double(int64_t(x) ^ int64_t(y)); }, 0, 99, "i8 ui8 i32 ui32 i64"},
    {"logical_and", [](double x, double y) { return double(x && y); }, -1, 1, "i1"},
    {"logical_or", [](double x, double y) { return double(x || y); }, -1, 1, "i1"},
    {"logical_xor", [](double x, double y) { return double(x != y); }, -1, 1, "i1"},
};

/// Two operands whose shapes broadcast, and the shape that comes out.
const char *const kBroadcasts[][3] = {
    {"s0x5", "s0x5", "s0x5"}, {"", "", ""},        {"s0x5", "", "s0x5"},        {"s0x1", "1x7", "s0x7"},
    {"4xs0", "s0", "4xs0"},   {"1", "3x1", "3x1"}, {"2x1xs0", "3x1", "2x3xs0"}, {"s0xs1", "s0xs1", "s0xs1"},
};

std::vector<std::string> words(const char *text) {
  std::vector<std::string> result;
  for (std::string rest = text; !rest.empty();) {
    size_t end = std::min(rest.find(' '), rest.size());
    result.push_back(rest.substr(0, end));
    rest.erase(0, end + 1);
  }
  return result;
}

Reference unaryReference(double (*function)(double)) {
  return [=](const std::vector<Array> &in) {
    return std::vector<Array>{makeArray(in[0].dims, [&](const Indices &i) { return function(at(in[0], i)); })};
  };
}

Reference binaryReference(double (*function)(double, double)) {
  return [=](const std::vector<Array> &in) {
    return std::vector<Array>{makeArray(broadcastDims(in[0].dims, in[1].dims), [&](const Indices &i) {
      return function(atBroadcast(in[0], i), atBroadcast(in[1], i));
    })};
  };
}

} // namespace

TEST(Elementwise, Unary) {
  for (const UnaryCase &test : kUnaryCases)
    for (std::string element : {"f32", "f64", "f16", "bf16"}) {
      std::string type = tensorType("s0x3", element);
      check({{type}, std::string("%r = nn.unary ") + test.kind + " %0 {alpha = 0.25, beta = 1.5} : " + type, {type}},
            {{0}, {1}, {13}, {67}}, unaryReference(test.function), toleranceOf(element), test.low, test.high);
    }
}

TEST(Elementwise, UnaryOfIntegers) {
  const UnaryCase cases[] = {{"neg", [](double x) { return -x; }},
                             {"abs", [](double x) { return std::abs(x); }},
                             {"sign", [](double x) { return double((x > 0) - (x < 0)); }},
                             {"relu", [](double x) { return std::max(x, 0.0); }},
                             {"bitwise_not", [](double x) { return -x - 1; }}};
  for (const UnaryCase &test : cases)
    for (std::string element : {"i8", "i16", "i32", "i64"}) {
      std::string type = tensorType("s0x3", element);
      check({{type}, std::string("%r = nn.unary ") + test.kind + " %0 : " + type, {type}}, {{1}, {67}},
            unaryReference(test.function), {0, 0}, -100, 100);
    }
}

TEST(Elementwise, SpecialNumbers) {
  const double infinity = std::numeric_limits<double>::infinity(), nan = std::nan("");
  for (const UnaryCase &test : kUnaryCases) {
    std::string type = tensorType("20"), kind = test.kind;
    if (kind == "sin" || kind == "cos" || kind == "tan" || kind == "sign" || kind == "gelu" || kind == "gelu_tanh" ||
        kind == "silu" || kind == "mish" || kind == "softsign" || kind == "hard_swish" || kind == "relu")
      continue; // infinity times zero, or NaN by the choice of the operator
    auto adjust = [&](std::vector<Array> &in) {
      const double values[] = {0, 1e-30, -1e-30, 1e30, 1e-37, 88, 89, 104, infinity, nan};
      for (size_t i = 0; i < 10; ++i) {
        in[0].values[i] = static_cast<float>(values[i]);
        in[0].values[10 + i] = static_cast<float>(-values[i]);
      }
    };
    if (kind == "thresholded_relu" || kind == "shrink" || kind == "hard_sigmoid")
      continue; // comparisons with NaN
    check({{type}, "%r = nn.unary " + kind + " %0 {alpha = 0.25, beta = 1.5} : " + type, {type}}, {{}},
          unaryReference(test.function), {2e-6, 1e-7}, -1, 1, adjust);
  }
}

TEST(Elementwise, Binary) {
  for (const BinaryCase &test : kBinaryCases)
    for (const std::string &element : words(test.elements)) {
      std::string type = tensorType("s0x3", element);
      check({{type, type}, std::string("%r = nn.binary ") + test.kind + " %0, %1 : " + type + ", " + type, {type}},
            {{0}, {1}, {67}}, binaryReference(test.function), toleranceOf(element), test.low, test.high);
    }
}

TEST(Elementwise, Broadcasts) {
  for (auto &shapes : kBroadcasts) {
    std::string lhs = tensorType(shapes[0]), rhs = tensorType(shapes[1]), type = tensorType(shapes[2]);
    check({{lhs, rhs}, "%r = nn.binary sub %0, %1 : " + lhs + ", " + rhs, {type}}, {{1, 2}, {7, 3}, {33, 1}},
          binaryReference([](double x, double y) { return x - y; }));
  }
}

TEST(Elementwise, DivisionByZeroDoesNotTrap) {
  for (std::string kind : {"div", "mod", "fmod"})
    for (std::string element : {"i8", "ui8", "i32", "i64", "ui64"}) {
      std::string type = tensorType("9", element);
      Kernel kernel(
          KernelText{{type, type}, "%r = nn.binary " + kind + " %0, %1 : " + type + ", " + type, {type}}.str());
      ASSERT_TRUE(kernel.ok()) << kernel.error;
      Array lhs = makeArray({9}, [](const Indices &i) { return double(i[0]); });
      kernel.run({lhs, makeArray({9}, [](const Indices &) { return 0.0; })}, {0, 0, 0, 0});
      lhs.values[0] = element == "i8"    ? -128
                      : element == "i32" ? -2147483648.0
                      : element == "i64" ? -9223372036854775808.0
                                         : 1;
      kernel.run({lhs, makeArray({9}, [&](const Indices &) { return element[0] == 'u' ? 255.0 : -1.0; })},
                 {0, 0, 0, 0});
    }
}

TEST(Elementwise, CompareAndSelect) {
  using Compare = double (*)(double, double);
  const std::pair<const char *, Compare> cases[] = {{"eq", [](double x, double y) { return double(x == y); }},
                                                    {"ne", [](double x, double y) { return double(x != y); }},
                                                    {"lt", [](double x, double y) { return double(x < y); }},
                                                    {"le", [](double x, double y) { return double(x <= y); }},
                                                    {"gt", [](double x, double y) { return double(x > y); }},
                                                    {"ge", [](double x, double y) { return double(x >= y); }}};
  for (auto [kind, function] : cases)
    for (std::string element : {"f32", "f64", "f16", "bf16", "i8", "i16", "i32", "i64"}) {
      std::string type = tensorType("s0x3", element), bits = tensorType("s0x3", "i1");
      check({{type, type}, std::string("%r = nn.compare ") + kind + " %0, %1 : " + type + ", " + type, {bits}},
            {{1}, {41}}, binaryReference(function), {0, 0}, -3, 3);
    }
  for (std::string element : {"f32", "f16", "i64", "ui8", "i1"}) {
    std::string type = tensorType("s0x3", element), row = tensorType("3", element), bits = tensorType("s0x1", "i1");
    check(
        {{bits, type, row}, "%r = nn.select %0, %1, %2 : " + bits + ", " + type + ", " + row, {type}}, {{1}, {41}},
        [](const std::vector<Array> &in) {
          return std::vector<Array>{makeArray(in[1].dims, [&](const Indices &i) {
            return atBroadcast(in[0], i) ? at(in[1], i) : atBroadcast(in[2], i);
          })};
        },
        {0, 0}, 0, 9);
  }
}

TEST(Elementwise, Cast) {
  for (std::string from : {"f32", "f64", "f16", "bf16", "i8", "ui8", "i16", "ui16", "i32", "ui32", "i64", "ui64", "i1"})
    for (std::string to :
         {"f32", "f64", "f16", "bf16", "i8", "ui8", "i16", "ui16", "i32", "ui32", "i64", "ui64", "i1"}) {
      std::string source = tensorType("s0", from), type = tensorType("s0", to);
      bool toFloat = to.find('f') != std::string::npos;
      check(
          {{source}, "%r = nn.cast %0 to " + to + " : " + source, {type}}, {{0}, {1}, {100}},
          [&](const std::vector<Array> &in) {
            return std::vector<Array>{makeArray(in[0].dims, [&](const Indices &i) {
              double x = at(in[0], i);
              return to == "i1" ? double(x != 0) : toFloat ? x : std::trunc(x);
            })};
          },
          {0, 0}, 0, 100);
    }
}

TEST(Elementwise, SaturatingCast) {
  std::string source = tensorType("6"), type = tensorType("6", "ui8");
  check(
      {{source}, "%r = nn.cast %0 to ui8 {saturate} : " + source, {type}}, {{}},
      [](const std::vector<Array> &in) {
        return std::vector<Array>{
            makeArray(in[0].dims, [&](const Indices &i) { return std::trunc(clamp(at(in[0], i), 0, 255)); })};
      },
      {0, 0}, -900, 900);
}

TEST(Elementwise, ChainsAreOneLoop) {
  std::string type = tensorType("s0xs1");
  KernelText text{{type, type},
                  "%a = nn.binary add %0, %1 : " + type + ", " + type + "\n  %b = nn.unary sigmoid %a : " + type +
                      "\n  %r = nn.binary mul %a, %b : " + type + ", " + type,
                  {type}};
  check(text, {{1, 1}, {5, 33}}, binaryReference([](double x, double y) { return (x + y) * sigmoid(x + y); }));
  Kernel kernel(text.str());
  auto fused = penstock::kernels::printKernel(kernel.op, hostProfile(), penstock::kernels::KernelForm::Fused);
  ASSERT_TRUE(succeeded(fused));
  size_t first = fused->find("linalg.generic");
  EXPECT_NE(first, std::string::npos);
  EXPECT_EQ(fused->find("linalg.generic", first + 1), std::string::npos) << *fused;
}
