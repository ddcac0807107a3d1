//===- CudnnKernelTest.cpp - Kernels that cuDNN does ------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Every kernel that a case of this program runs on the CPU runs on a device of the machine that is not there too, if
// cuDNN does it (LibraryRun.h).
//
//===----------------------------------------------------------------------===//

#include "GpuHarness.h"
#include "KernelText.h"
#include "LibraryRun.h"

#include "penstock/Target/Cuda/CudnnTable.h"

using namespace penstock;
using namespace penstock::test;

namespace {

rt::Status openConvolutions(rt::CudaKernels &kernels) {
  rt_cuda_convolution_desc any = {};
  any.version = RT_CUDA_CONVOLUTION_VERSION;
  const rt_cuda_convolution_desc *list[] = {&any};
  return kernels.dnn().load({list, 1});
}

const testing::Environment *const environment = observeLibrary(
    {[] { return cuda::createCudnnTable(/*allowsTf32=*/false); }, "rt_cuda_convolution",
     reinterpret_cast<void *>(&rt_cuda_convolution), openConvolutions, "expected extents of at least 1"});

std::string describe(const std::string &text) {
  return describeKernel(*cuda::createCudnnTable(/*allowsTf32=*/false), text);
}

/// Numbers along the spatial axes, as attributes have them.
struct Window {
  std::string strides = "1, 1", dilations = "1, 1", pads = "0, 0, 0, 0", group = "1";
  std::string more = ""; ///< attributes

  std::string str() const {
    return "{dilations = array<i64: " + dilations + ">, group = " + group + " : i64, pads = array<i64: " + pads +
           ">, strides = array<i64: " + strides + ">" + more + "}";
  }
};

/// `%r` of `body`, in which `%a` is a convolution of `%0` with `%1`, biased by `%2` if `isBiased`; `%3` is of the
/// result's shape. "$T" is the type of that, "$B" that of the bias.
std::string makeText(const std::string &element, const std::string &image, const std::string &filter,
                     const std::string &bias, const std::string &result, const Window &window, bool isBiased,
                     const std::string &body) {
  std::string text = body;
  for (auto [word, dims] : {std::pair("$T", result), std::pair("$B", bias)})
    for (size_t at = text.find(word); at != std::string::npos; at = text.find(word))
      text.replace(at, 2, tensorType(dims, element));
  std::string imageType = tensorType(image, element), filterType = tensorType(filter, element);
  std::string operands = isBiased ? "%0, %1 bias %2 : " + tensorType(bias, element) : "%0, %1";
  return KernelText{{imageType, filterType, tensorType(bias, element), tensorType(result, element)},
                    "%a = nn.conv " + operands + " " + window.str() + " : " + imageType + ", " + filterType + "\n  " +
                        text,
                    {tensorType(result, element)}}
      .str();
}

std::string makeText(const std::string &element, const std::string &body, bool isBiased = true,
                     const std::string &bias = "6") {
  return makeText(element, "s0x4x9x7", "6x4x3x3", bias, "s0x6x7x5", Window(), isBiased, body);
}

constexpr const char *kTaken[] = {
    "%r = nn.unary relu %a : $T",
    "%r = nn.unary identity %a : $T",
    "%r = nn.binary add %a, %3 : $T, $T",
    "%b = nn.binary add %3, %a : $T, $T\n  %r = nn.unary relu %b : $T",
};

void expectTaken(const std::string &text, const std::vector<std::vector<int64_t>> &symbols) {
  Kernel kernel(text);
  ASSERT_TRUE(kernel.ok()) << kernel.error;
  for (const std::vector<int64_t> &values : symbols) {
    int64_t before = getNumLibraryRuns();
    kernel.run(kernel.randomInputs(values, -1, 1), values);
    EXPECT_EQ(getNumLibraryRuns(), before + 1) << getText(kernel);
  }
}

} // namespace

// Strides, spread-out filters, zeros on both sides and on one, groups, one axis, and symbols, empty images too.
TEST(CudnnKernel, Images) {
  struct Case {
    const char *image, *filter, *bias, *result;
    Window window;
  };
  const Case cases[] = {
      {"s0x4x9x7", "6x4x3x2", "6", "s0x6x7x6", {}},
      {"2x4xs0xs1", "6x4x1x1", "6", "2x6xs0xs1", {}},
      {"2x4xs0xs1",
       "6x4x3x3",
       "6",
       "2x6x((s0 - 1) floordiv 2 + 1)x((s1 - 1) floordiv 3 + 1)",
       {"2, 3", "1, 1", "1, 1, 1, 1"}},
      {"1x4x9x7", "6x4x3x2", "6", "1x6x7x9", {"1, 1", "2, 1", "1, 2, 1, 1"}},
      {"1x4x9x7", "6x4x3x3", "6", "1x6x4x3", {"2, 2", "1, 1", "0, 0, 0, 1"}},
      {"1x4x9x7", "6x2x3x3", "6", "1x6x9x7", {"1, 1", "1, 1", "1, 1, 1, 1", "2"}},
      {"1x4x9x7", "8x1x3x3", "8", "1x8x5x4", {"2, 2", "1, 1", "1, 1, 1, 1", "4"}},
      {"2x4xs0", "6x4x3", "6", "2x6x((s0 - 2) floordiv 2 + 1)", {"2", "1", "0, 1"}},
  };
  for (const Case &test : cases)
    for (bool isBiased : {false, true})
      expectTaken(makeText("f32", test.image, test.filter, test.bias, test.result, test.window, isBiased,
                           "%r = nn.unary identity %a : $T"),
                  {{3, 5}, {4, 4}});
  expectTaken(makeText("f32", kTaken[0]), {{0}, {1}, {4}});
}

// What is done to each element, in every type.
TEST(CudnnKernel, Epilogues) {
  for (std::string element : {"f32", "f16", "bf16"})
    for (const char *body : kTaken)
      expectTaken(makeText(element, body), {{1}, {3}});
}

// A bias that is added, and one that is seen in another shape.
TEST(CudnnKernel, AddedBiases) {
  for (const char *bias : {"6x1x1", "1x6x1x1"})
    expectTaken(makeText("f32",
                         "%b = nn.binary add %a, %2 : $T, $B\n  %c = nn.binary add %b, %3 : $T, $T\n  %r = "
                         "nn.unary relu %c : $T",
                         /*isBiased=*/false, bias),
                {{2}});
  expectTaken(makeText("f32",
                       "%b = nn.reshape %2 : $B to tensor<6x1x1xf32>\n  %c = nn.binary add %b, %a : "
                       "tensor<6x1x1xf32>, $T\n  %r = nn.unary relu %c : $T",
                       /*isBiased=*/false),
              {{2}});
}

// Images that are seen in another shape, before and after.
TEST(CudnnKernel, Reshapes) {
  expectTaken(
      KernelText{{tensorType("2x36"), tensorType("3x4x2x2"), tensorType("3")},
                 "%a = nn.reshape %0 : tensor<2x36xf32> to tensor<2x4x3x3xf32>\n  %b = nn.conv %a, %1 bias %2 : "
                 "tensor<3xf32> " +
                     Window().str() +
                     " : tensor<2x4x3x3xf32>, tensor<3x4x2x2xf32>\n  %r = nn.reshape %b : "
                     "tensor<2x3x2x2xf32> to tensor<2x12xf32>",
                 {tensorType("2x12")}}
          .str(),
      {{}});
}

// Images with their channels last, whose filters lie in memory alike, or the same in both orders.
TEST(CudnnKernel, ChannelsLast) {
  struct Case {
    const char *filter, *stored, *group;
  };
  for (std::string element : {"f32", "f16", "bf16"})
    for (const Case &test : {Case{"6x4x3x3", "6x3x3x4", "1"},
                             {"6x2x3x3", "6x3x3x2", "2"},
                             {"6x4x1x1", nullptr, "1"},
                             {"8x1x3x3", nullptr, "4"}}) {
      bool isPointwise = std::string(test.filter) == "6x4x1x1";
      std::string count = std::string(test.filter).substr(0, 1), size = isPointwise ? "9x7x" : "7x5x";
      std::string image = tensorType("s0x9x7x4", element), filter = tensorType(test.filter, element);
      std::string stored = test.stored ? tensorType(test.stored, element) : filter;
      std::string bias = tensorType(count, element), result = tensorType("s0x" + size + count, element);
      Window window{"1, 1", "1, 1", "0, 0, 0, 0", test.group, ", channels_last"};
      std::string turn = test.stored ? "%f = nn.transpose %1 [0, 3, 1, 2] : " + stored
                                     : "%f = nn.reshape %1 : " + filter + " to " + filter;
      expectTaken(KernelText{{image, stored, bias, result},
                             turn + "\n  %a = nn.conv %0, %f " + window.str() + " : " + image + ", " + filter +
                                 "\n  %b = nn.binary add %a, %2 : " + result + ", " + bias +
                                 "\n  %c = nn.binary add %b, %3 : " + result + ", " + result +
                                 "\n  %r = nn.unary relu %c : " + result,
                             {result}}
                      .str(),
                  {{0}, {1}, {3}});
    }
}

// What the library's engines do not do together is left to generated code, and so are other types and layouts.
TEST(CudnnKernel, LeftToGeneratedCode) {
  for (const char *body :
       {"%r = nn.unary sigmoid %a : $T", "%r = nn.binary mul %a, %3 : $T, $T", "%r = nn.binary sub %a, %3 : $T, $T",
        "%b = nn.unary relu %a : $T\n  %r = nn.binary add %b, %3 : $T, $T",
        "%b = nn.unary relu %a : $T\n  %r = nn.unary relu %b : $T",
        "%b = nn.binary add %a, %3 : $T, $T\n  %r = nn.binary add %b, %3 : $T, $T"})
    EXPECT_EQ(describe(makeText("f32", body)), "") << body;
  for (const char *body : kTaken) {
    bool isBare = body == kTaken[1];
    EXPECT_EQ(describe(makeText("f32", body, /*isBiased=*/false)).empty(), !isBare) << body; // no bias
    EXPECT_EQ(describe(makeText("f64", body)), "") << body;
  }
  const char *same = "%r = nn.unary identity %a : $T";
  EXPECT_EQ(describe(makeText("f32", "1x4x5x5x5", "6x4x3x3x3", "6", "1x6x3x3x3",
                              {"1, 1, 1", "1, 1, 1", "0, 0, 0, 0, 0, 0"}, true, same)),
            ""); // three axes
  EXPECT_EQ(describe(makeText("f32", "1x9x7x4", "6x4x3x3", "6", "1x7x5x6",
                              {"1, 1", "1, 1", "0, 0, 0, 0", "1", ", channels_last"}, true, same)),
            "");
}

// TF32 is part of what the object depends on, for f32 only.
TEST(CudnnKernel, Tf32) {
  for (std::string element : {"f32", "bf16"}) {
    Kernel kernel(makeText(element, kTaken[0]));
    auto exact = cuda::createCudnnTable(false), rounded = cuda::createCudnnTable(true);
    bool isSame = kernels::hashKernel(kernel.op, TargetProfile(), exact.get()) ==
                  kernels::hashKernel(kernel.op, TargetProfile(), rounded.get());
    EXPECT_EQ(isSame, element != "f32");
  }
}
