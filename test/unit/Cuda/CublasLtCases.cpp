//===- CublasLtCases.cpp - Contractions that cuBLASLt does ------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Which kernels are the library's, and runs of those. The observer of the program counts what it takes for such a run.
//
//===----------------------------------------------------------------------===//

#include "GpuHarness.h"
#include "KernelText.h"

#include "penstock/Target/Cuda/CublasLtTable.h"

using namespace penstock;
using namespace penstock::test;

namespace {

/// `%r` of a product of 9 x 40 and 40 x 70, which `%a` is, in a type.
std::string makeText(const std::string &element, const std::string &body, const std::string &operand = "70") {
  auto type = [&](const char *dims) { return tensorType(dims, element); };
  std::string text = body;
  for (auto [word, dims] : {std::pair("$T", "s0x70"), std::pair("$B", operand.c_str()), std::pair("$1", "")})
    for (size_t at = text.find(word); at != std::string::npos; at = text.find(word))
      text.replace(at, 2, type(dims));
  return KernelText{{type("s0x40"), type("40x70"), type(operand.c_str()), type("s0x70")},
                    "%a = nn.matmul %0, %1 : " + type("s0x40") + ", " + type("40x70") + "\n  " + text,
                    {type("s0x70")}}
      .str();
}

std::string describe(const std::string &text) {
  return describeKernel(*cuda::createCublasLtTable(/*allowsTf32=*/false), text);
}

constexpr const char *kScale = "%f = nn.constant dense<0.125> : $1\n  %b = nn.binary mul %a, %f : $T, $1\n  ";
constexpr const char *kTaken[] = {
    "%r = nn.binary add %a, %2 : $T, $B",
    "%r = nn.binary add %3, %a : $T, $T",
    "%r = nn.unary relu %a : $T",
    "%r = nn.unary gelu_tanh %a : $T",
    "%b = nn.binary add %a, %2 : $T, $B\n  %c = nn.binary add %b, %3 : $T, $T\n  %r = nn.unary relu %c : $T",
    "%b = nn.binary add %a, %3 : $T, $T\n  %c = nn.binary add %2, %b : $B, $T\n  %r = nn.unary gelu_tanh %c : $T",
};

} // namespace

// Both orders of both factors, leading axes that are equal, or one side's alone, and symbols, empty ones too.
TEST(CublasLtKernel, Layouts) {
  struct Case {
    const char *lhs, *rhs, *result;
    const char *flags = "";
    bool isTaken = true;
  };
  const Case cases[] = {{"s0x7", "7xs1", "s0xs1"},
                        {"s0x7", "s1x7", "s0xs1", " {transpose_rhs}"},
                        {"7xs0", "7xs1", "s0xs1", " {transpose_lhs}"},
                        {"7xs0", "s1x7", "s0xs1", " {transpose_lhs, transpose_rhs}"},
                        {"3x5x7", "7xs1", "3x5xs1"},
                        {"3x7x5", "7xs1", "3x5xs1", " {transpose_lhs}"},
                        {"5x7", "3x7xs1", "3x5xs1"},
                        {"2xs0xs1", "2xs1x5", "2xs0x5"},
                        {"s0x2x9x16", "s0x2x9x16", "s0x2x9x9", " {transpose_rhs}"},
                        {"1xs0", "s0x40", "1x40"},
                        {"s0x1x4x7", "3x7xs1", "s0x3x4xs1", "", false}};
  for (const Case &test : cases)
    for (std::string element : {"f32", "f16", "bf16"}) {
      if (element != "f32" && &test != &cases[1])
        continue;
      std::string lhs = tensorType(test.lhs, element), rhs = tensorType(test.rhs, element);
      Kernel kernel(KernelText{{lhs, rhs},
                               "%r = nn.matmul %0, %1" + std::string(test.flags) + " : " + lhs + ", " + rhs,
                               {tensorType(test.result, element)}}
                        .str());
      ASSERT_TRUE(kernel.ok()) << kernel.error;
      for (const std::vector<int64_t> &symbols : {std::vector<int64_t>{0, 1}, {1, 1}, {3, 17}, {13, 65}}) {
        int64_t before = getNumLibraryRuns();
        kernel.run(kernel.randomInputs(symbols, -1, 1), symbols);
        EXPECT_EQ(getNumLibraryRuns(), before + test.isTaken) << getText(kernel);
      }
    }
}

// What is done to each element of a product, in every type.
TEST(CublasLtKernel, Epilogues) {
  for (std::string element : {"f32", "f16", "bf16"})
    for (const char *body : llvm::ArrayRef(kTaken).take_back(element == "f32" ? std::size(kTaken) : 1)) {
      Kernel kernel(makeText(element, body));
      ASSERT_TRUE(kernel.ok()) << kernel.error;
      for (int64_t rows : {1, 9}) {
        int64_t before = getNumLibraryRuns();
        kernel.run(kernel.randomInputs({rows}, -1, 1), {rows});
        EXPECT_EQ(getNumLibraryRuns(), before + 1) << getText(kernel);
      }
    }
}

// A factor before what is added is the library's; one after it is not.
TEST(CublasLtKernel, Factors) {
  Kernel kernel(makeText("f32", std::string(kScale) + "%r = nn.binary add %b, %2 : $T, $B"));
  int64_t before = getNumLibraryRuns();
  kernel.run(kernel.randomInputs({9}, -1, 1), {9});
  EXPECT_EQ(getNumLibraryRuns(), before + 1);
}

// What the epilogue cannot do is left to generated code: GELU by erf, other functions, sums after the activation.
TEST(CublasLtKernel, LeftToGeneratedCode) {
  for (const char *body :
       {"%r = nn.unary gelu %a : $T", "%r = nn.unary sigmoid %a : $T", "%r = nn.binary mul %a, %3 : $T, $T",
        "%r = nn.binary sub %a, %3 : $T, $T", "%b = nn.unary relu %a : $T\n  %r = nn.binary add %b, %3 : $T, $T",
        "%b = nn.unary relu %a : $T\n  %r = nn.unary relu %b : $T",
        "%b = nn.binary add %a, %3 : $T, $T\n  %r = nn.binary add %b, %3 : $T, $T",
        "%f = nn.constant dense<0.125> : $1\n  %b = nn.binary add %a, %3 : $T, $T\n  %r = nn.binary mul %b, %f : $T, "
        "$1"})
    EXPECT_EQ(describe(makeText("f32", body)), "") << body;
  EXPECT_EQ(describe(makeText("f64", kTaken[0])), "");
  EXPECT_EQ(describe(makeText("f32", kTaken[0], "1")), "");    // one number for all columns
  EXPECT_EQ(describe(makeText("f32", kTaken[0], "s0x1")), ""); // one per row
}

// TF32 is part of what the object depends on, for f32 only.
TEST(CublasLtKernel, Tf32) {
  for (std::string element : {"f32", "bf16"}) {
    Kernel kernel(makeText(element, kTaken[0]));
    auto exact = cuda::createCublasLtTable(false), rounded = cuda::createCublasLtTable(true);
    bool isSame = kernels::hashKernel(kernel.op, TargetProfile(), exact.get()) ==
                  kernels::hashKernel(kernel.op, TargetProfile(), rounded.get());
    EXPECT_EQ(isSame, element != "f32");
  }
}

// Factors that are seen in another shape, or with their last axes swapped.
TEST(CublasLtKernel, ViewsOfOperands) {
  std::string wide = tensorType("(s0 * 6)x8"), flat = tensorType("5x8");
  int64_t before = getNumLibraryRuns();
  check(
      {{wide, flat},
       "%a = nn.transpose %1 [1, 0] : " + flat + "\n  %r = nn.matmul %0, %a : " + wide + ", " + tensorType("8x5"),
       {tensorType("(s0 * 6)x5")}},
      {{1}, {4}},
      [](const std::vector<Array> &in) {
        int64_t rows = in[0].dims[0];
        return std::vector<Array>{makeArray({rows, 5}, [&](const Indices &i) {
          double sum = 0;
          for (int64_t k = 0; k < 8; ++k)
            sum += at(in[0], {i[0], k}) * at(in[1], {i[1], k});
          return sum;
        })};
      },
      {1e-5, 1e-5}, -1, 1);
  EXPECT_EQ(getNumLibraryRuns(), before + 2);
}

// 16-bit factors whose products are f32. Both have to be widened, from the same type.
TEST(CublasLtKernel, WidenedFactors) {
  auto makeKernelText = [](const std::string &left, const std::string &right) {
    auto cast = [](const char *name, const std::string &operand, const char *dims, const std::string &element) {
      return std::string(name) + " = nn.cast " + operand + " to f32 : " + tensorType(dims, element) + "\n  ";
    };
    std::string lhs = tensorType("3xs0x16", "f32"), rhs = tensorType("3xs1x16", "f32");
    return KernelText{{tensorType("3xs0x16", left), tensorType("3xs1x16", right)},
                      cast("%a", "%0", "3xs0x16", left) + cast("%b", "%1", "3xs1x16", right) +
                          "%c = nn.matmul %a, %b {transpose_rhs} : " + lhs + ", " + rhs +
                          "\n  %f = nn.constant dense<0.125> : tensor<f32>\n  %r = nn.binary mul %c, %f : " +
                          tensorType("3xs0xs1") + ", tensor<f32>",
                      {tensorType("3xs0xs1")}}
        .str();
  };
  for (std::string element : {"f16", "bf16"}) {
    Kernel kernel(makeKernelText(element, element));
    ASSERT_TRUE(kernel.ok()) << kernel.error;
    for (const std::vector<int64_t> &symbols : {std::vector<int64_t>{1, 1}, {0, 5}, {17, 33}}) {
      int64_t before = getNumLibraryRuns();
      kernel.run(kernel.randomInputs(symbols, -1, 1), symbols);
      EXPECT_EQ(getNumLibraryRuns(), before + 1) << getText(kernel);
    }
  }
  EXPECT_EQ(describe(makeKernelText("f16", "bf16")), "");
  EXPECT_EQ(describe(makeKernelText("f64", "f64")), "");
}
