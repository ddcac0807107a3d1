//===- GpuOrderedTest.cpp - Order, branches and wide accesses ---*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Which threads do what, in kernels that the other tests of this program only run. Every kernel that runs here runs on
// the machine too, and must have the CPU target's numbers there.
//
//===----------------------------------------------------------------------===//

#include "GpuHarness.h"
#include "KernelText.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"

using namespace penstock;
using namespace penstock::test;
using namespace mlir;

namespace {

/// Runs the kernel for some symbols; gives its functions as text.
std::string run(const KernelText &text, const std::vector<std::vector<int64_t>> &symbols = {{0, 0, 0, 0}}) {
  Kernel kernel(text.str());
  EXPECT_TRUE(kernel.ok()) << kernel.error;
  for (const std::vector<int64_t> &values : symbols)
    kernel.run(kernel.randomInputs(values, -1, 3), values);
  auto gpu = GpuKernel::create(kernel.op);
  EXPECT_TRUE(static_cast<bool>(gpu));
  return gpu ? (*gpu)->getText() : llvm::toString(gpu.takeError());
}

int64_t count(const std::string &text, const std::string &part) {
  int64_t number = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
    ++number;
  return number;
}

std::string block(const std::string &threads) { return "known_block_size = array<i32: " + threads + ">"; }

KernelText recurrent(const std::string &kind, const std::string &direction, int64_t numGates, int64_t batch) {
  int64_t hidden = 16, width = numGates * hidden;
  std::string directions = direction == "bidirectional" ? "2" : "1", wide = std::to_string(width);
  std::string rows = std::to_string(batch),
              activations = kind == "gru" ? "\"Sigmoid\", \"Tanh\"" : "\"Sigmoid\", \"Tanh\", \"Tanh\"";
  std::string x = tensorType("s0x" + rows + "x3"), w = tensorType(directions + "x3x" + wide),
              r = tensorType(directions + "x16x" + wide),
              bias = tensorType(directions + "x" + std::to_string(2 * width)), lengths = tensorType(rows, "i32"),
              state = tensorType(directions + "x" + rows + "x16"),
              output = tensorType("s0x" + directions + "x" + rows + "x16");
  bool isLstm = kind == "lstm";
  std::string results = output + ", " + state + (isLstm ? ", " + state : "");
  KernelText text;
  text.inputs = {x, w, r, bias, lengths, state};
  text.types = {output, state};
  text.results = {"%r#0", "%r#1"};
  if (isLstm) {
    text.types.push_back(state);
    text.results.push_back("%r#2");
  }
  text.body = "%r:" + std::to_string(text.types.size()) + " = nn.recurrent " + kind + " " + direction +
              " %0, %1, %2 bias %3 lengths %4 initial_h %5 {activation_alpha = array<f64>, activation_beta = "
              "array<f64>, activations = [" +
              activations + (directions == "2" ? ", " + activations : "") + "], hidden_size = 16 : i64} : (" + x +
              ", " + w + ", " + r + ", " + bias + ", " + lengths + ", " + state + ") -> (" + results + ")";
  return text;
}

} // namespace

TEST(GpuOrdered, RecurrentLayersAreATeam) {
  for (const char *direction : {"forward", "reverse", "bidirectional"}) {
    // As many threads as gates of all rows, at most 512.
    std::string lstm = run(recurrent("lstm", direction, 4, 2), {{1}, {5}});
    EXPECT_EQ(count(lstm, block("128, 1, 1")), direction[0] == 'b' ? 2 : 1) << lstm;
    EXPECT_EQ(count(lstm, block("1, 1, 1")), 0) << lstm;
    std::string gru = run(recurrent("gru", direction, 3, 33), {{4}});
    EXPECT_EQ(count(gru, block("512, 1, 1")), direction[0] == 'b' ? 2 : 1) << gru;
    EXPECT_EQ(count(gru, block("1, 1, 1")), 0) << gru;
  }
}

TEST(GpuOrdered, TeamsNeedTheirBarriers) {
  Kernel::Observer observer;
  std::swap(observer, Kernel::getObserver());
  Kernel kernel(recurrent("lstm", "forward", 4, 2).str());
  ASSERT_TRUE(kernel.ok()) << kernel.error;
  int64_t numBarriers = 0;
  auto made =
      GpuKernel::create(kernel.op, [&](ModuleOp module) { module.walk([&](gpu::BarrierOp) { ++numBarriers; }); });
  ASSERT_TRUE(static_cast<bool>(made));
  ASSERT_GT(numBarriers, 0);
  int64_t numFound = 0;
  for (int64_t dropped = 0; dropped < numBarriers; ++dropped) {
    auto gpu = GpuKernel::create(kernel.op, [&](ModuleOp module) {
      int64_t next = 0;
      SmallVector<gpu::BarrierOp> barriers;
      module.walk([&](gpu::BarrierOp barrier) {
        if (next++ == dropped)
          barriers.push_back(barrier);
      });
      barriers.front().erase();
    });
    ASSERT_TRUE(static_cast<bool>(gpu));
    std::string finding;
    runOnMachine(kernel, **gpu, kernel.randomInputs({5}, -1, 3), {5}, finding);
    numFound += finding.find("race: ") != std::string::npos || finding.find("unwritten: ") != std::string::npos;
  }
  EXPECT_EQ(numFound, numBarriers) << made->get()->getText();
  std::swap(observer, Kernel::getObserver());
}

TEST(GpuOrdered, RunningSumsHaveAThreadPerLane) {
  for (const char *flags : {"", " {exclusive}", " {exclusive, reverse}"}) {
    std::string type = tensorType("5xs0x7");
    std::string made =
        run({{type}, "%r = nn.cumsum %0 axis 1" + std::string(flags) + " : " + type, {type}}, {{0}, {9}});
    EXPECT_EQ(count(made, block("1, 1, 1")), 0) << made;
  }
}

TEST(GpuOrdered, RankingHasAThreadPerRow) {
  for (const char *element : {"f32", "f16"}) {
    std::string type = tensorType("70xs0", element), values = tensorType("70x3", element),
                places = tensorType("70x3", "i64");
    std::string made = run({{type},
                            "%r, %i = nn.topk %0 axis 1 {largest = true} : " + type + " to " + values + ", " + places,
                            {values, places},
                            {"%r", "%i"}},
                           {{2}, {40}});
    EXPECT_EQ(count(made, block("64, 1, 1")), 1) << made;
    EXPECT_EQ(count(made, block("1, 1, 1")), 0) << made;
  }
}

TEST(GpuOrdered, UpdatesThatNeverMeetHaveThreads) {
  std::string type = tensorType("4x3x50"), indices = tensorType("4x6x50", "i64"), updates = tensorType("4x6x50");
  std::string made = run({{type, indices, updates},
                          "%r = nn.scatter_elements add %0, %1, %2 axis 1 : " + type + ", " + indices + ", " + updates,
                          {type}});
  EXPECT_EQ(count(made, block("64, 1, 1")), 1) << made;
  EXPECT_EQ(count(made, block("1, 1, 1")), 0) << made;
  std::string tuples = tensorType("9x1", "i64"), rows = tensorType("9x50"), whole = tensorType("3x50");
  made = run({{whole, tuples, rows},
              "%r = nn.scatter_nd replace %0, %1, %2 : " + whole + ", " + tuples + ", " + rows,
              {whole}});
  EXPECT_EQ(count(made, block("64, 1, 1")), 1) << made;
  EXPECT_EQ(count(made, block("1, 1, 1")), 0) << made;
  // Single elements may meet.
  std::string single = tensorType("9"), line = tensorType("3");
  made = run(
      {{line, tuples, single}, "%r = nn.scatter_nd add %0, %1, %2 : " + line + ", " + tuples + ", " + single, {line}});
  EXPECT_EQ(count(made, block("1, 1, 1")), 1) << made;
}

TEST(GpuOrdered, BranchesAreLaunchedAndLeft) {
  std::string type = tensorType("40x50"), flag = "tensor<i1>";
  auto branch = [&](const std::string &taken, const std::string &other) {
    return "%r = nn.if %0 : tensor<i1> -> (" + type + ") {\n" + taken + "\n    nn.yield %a : " + type +
           "\n  } else {\n" + other + "\n    nn.yield %b : " + type + "\n  }";
  };
  std::string softmax = "%a = nn.softmax %1 axis 1 : " + type, negated = "%b = nn.unary neg %1 : " + type;
  std::string columns = "%b = nn.softmax %1 axis 0 : " + type;
  for (const std::string &other : {negated, columns}) {
    KernelText text{{flag, type}, branch(softmax, other), {type}};
    Kernel kernel(text.str());
    ASSERT_TRUE(kernel.ok()) << kernel.error;
    for (bool holds : {false, true}) {
      std::vector<Array> inputs = kernel.randomInputs({0, 0, 0, 0});
      inputs[0].values[0] = holds;
      kernel.run(inputs, {0, 0, 0, 0});
    }
    auto gpu = GpuKernel::create(kernel.op);
    ASSERT_TRUE(static_cast<bool>(gpu));
    // A row per warp in the first branch, as without a condition.
    EXPECT_EQ(count((*gpu)->getText(), "gpu.shuffle"), 10) << (*gpu)->getText();
    EXPECT_EQ(count((*gpu)->getText(), block("1, 1, 1")), 0) << (*gpu)->getText();
  }
}

TEST(GpuOrdered, SumsOfColumnsAreShared) {
  for (const char *kind : {"sum", "max", "mean"}) {
    for (const char *shape : {"200x40", "3xs0x70", "64x1"}) {
      std::string type = tensorType(shape), text = shape;
      int64_t axis = text == "3xs0x70" ? 1 : 0;
      std::string result = tensorType(text == "200x40" ? "40" : text == "64x1" ? "1" : "3x70");
      std::string made =
          run({{type},
               "%r = nn.reduce " + std::string(kind) + " %0 axes [" + std::to_string(axis) + "] : " + type,
               {result}},
              {{1}, {90}});
      EXPECT_EQ(count(made, block("32, 16, 1")), 1) << made;
    }
  }
}

TEST(GpuOrdered, LongElementwiseWorkGoesByVectors) {
  for (auto [element, width] : {std::pair("f32", 4), std::pair("bf16", 8), std::pair("i64", 2), std::pair("i1", 8)}) {
    std::string type = tensorType("256x512", element), one = element == std::string("i1") ? "logical_not" : "neg";
    std::string made = run({{type}, "%r = nn.unary " + one + " %0 : " + type, {type}});
    EXPECT_EQ(count(made, "memref.store"), width) << made;
    // Not all accesses would be aligned.
    type = tensorType("256x513", element);
    if (width > 1 && element != std::string("f32"))
      continue;
    std::string bias = tensorType("513", element);
    made = run({{type, bias}, "%r = nn.binary add %0, %1 : " + type + ", " + bias, {type}});
    EXPECT_EQ(count(made, "memref.store"), 1) << made;
  }
  std::string type = tensorType("256x512"), bias = tensorType("512"), column = tensorType("256x1");
  for (const std::string &other : {bias, column}) {
    std::string made = run({{type, other}, "%r = nn.binary add %0, %1 : " + type + ", " + other, {type}});
    EXPECT_EQ(count(made, "memref.store"), 4) << made;
  }
}

TEST(GpuOrdered, RowsGoByVectors) {
  for (auto [shape, width] :
       {std::pair("3x512", 4), std::pair("3x4096", 4), std::pair("3x100", 1), std::pair("3x514", 1)}) {
    std::string type = tensorType(shape);
    std::string made = run({{type}, "%r = nn.softmax %0 axis 1 : " + type, {type}});
    EXPECT_EQ(count(made, "arith.maximumf"), width + (std::string(shape) == "3x4096" ? 10 : 5)) << made;
  }
}
