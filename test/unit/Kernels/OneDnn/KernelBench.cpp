//===- KernelBench.cpp - Library kernels beside generated ones --*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Times contractions of well-known networks on one thread, as generated code and as oneDNN kernels with row-major edges
// and packed weights, in turns. Prints a table; nothing is judged.
//
//===----------------------------------------------------------------------===//

#include "OneDnnHarness.h"

#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/raw_ostream.h"

using namespace penstock;
using namespace penstock::test;

namespace {

struct Case {
  const char *name;
  KernelText text;
  double flops;
};

Case conv(const char *name, int64_t channels, int64_t extent, int64_t filters, int64_t kernel, int64_t stride,
          int64_t group = 1) {
  int64_t pad = kernel / 2, out = (extent + 2 * pad - kernel) / stride + 1;
  auto number = [](int64_t value) { return std::to_string(value); };
  std::string input = "1x" + number(channels) + "x" + number(extent) + "x" + number(extent);
  std::string filter = number(filters) + "x" + number(channels / group) + "x" + number(kernel) + "x" + number(kernel);
  KernelText text;
  std::string bias = tensorType(number(filters));
  text.inputs = {tensorType(input), tensorType(filter), bias};
  text.types = {tensorType("1x" + number(filters) + "x" + number(out) + "x" + number(out))};
  text.body = "%c = nn.conv %0, %1 bias %2 : " + bias + " {strides = array<i64: " + number(stride) + ", " +
              number(stride) + ">, dilations = array<i64: 1, 1>, pads = array<i64: " + number(pad) + ", " +
              number(pad) + ", " + number(pad) + ", " + number(pad) + ">, group = " + number(group) +
              " : i64} : " + text.inputs[0] + ", " + text.inputs[1] + "\n%r = nn.unary relu %c : " + text.types[0];
  return {name, text, 2.0 * filters * (channels / group) * kernel * kernel * out * out};
}

Case product(const char *name, int64_t rows, int64_t inner, int64_t columns, const char *activation,
             int64_t batch = 0) {
  auto number = [](int64_t value) { return std::to_string(value); };
  std::string lead = batch ? number(batch) + "x" : "";
  KernelText text;
  text.inputs = {tensorType(lead + number(rows) + "x" + number(inner)),
                 tensorType(lead + number(inner) + "x" + number(columns))};
  text.types = {tensorType(lead + number(rows) + "x" + number(columns))};
  text.body = "%c = nn.matmul %0, %1 : " + text.inputs[0] + ", " + text.inputs[1] + "\n%r = nn.unary " + activation +
              " %c : " + text.types[0];
  return {name, text, 2.0 * rows * inner * columns * std::max<int64_t>(batch, 1)};
}

std::vector<Case> makeCases() {
  return {conv("resnet50 stem 7x7", 3, 224, 64, 7, 2),
          conv("resnet50 3x3 64@56", 64, 56, 64, 3, 1),
          conv("resnet50 1x1 64-256@56", 64, 56, 256, 1, 1),
          conv("resnet50 1x1 256-64@56", 256, 56, 64, 1, 1),
          conv("resnet50 3x3 128@28", 128, 28, 128, 3, 1),
          conv("resnet50 3x3 256@14", 256, 14, 256, 3, 1),
          conv("resnet50 1x1 1024-256@14", 1024, 14, 256, 1, 1),
          conv("resnet50 3x3 512@7", 512, 7, 512, 3, 1),
          conv("resnet50 1x1 512-2048@7", 512, 7, 2048, 1, 1),
          conv("mobilenet 1x1 16-96@112", 16, 112, 96, 1, 1),
          conv("mobilenet dw 96@112 /2", 96, 112, 96, 3, 2, 96),
          conv("mobilenet dw 144@56", 144, 56, 144, 3, 1, 144),
          conv("mobilenet dw 384@14", 384, 14, 384, 3, 1, 384),
          conv("mobilenet dw 960@7", 960, 7, 960, 3, 1, 960),
          conv("mobilenet 1x1 160-960@7", 160, 7, 960, 1, 1),
          product("bert 128x768x768", 128, 768, 768, "identity"),
          product("bert 128x768x3072 gelu", 128, 768, 3072, "gelu"),
          product("bert 128x3072x768", 128, 3072, 768, "identity"),
          product("attention 12x128x64x128", 128, 64, 128, "identity", 12),
          product("attention 12x128x128x64", 128, 128, 64, "identity", 12),
          product("one row 1x2048x1000", 1, 2048, 1000, "identity"),
          product("one row 1x768x3072", 1, 768, 3072, "identity")};
}

} // namespace

int main() {
  constexpr int kRepeats = 20;
  llvm::outs() << "kernel                        generated ms    oneDNN ms   ratio   oneDNN GFLOP/s\n";
  for (const Case &c : makeCases()) {
    Kernel generated(c.text.str());
    // Products with leading axes are those of activations.
    bool hasWeight = c.text.inputs[1].find("12x") == std::string::npos;
    std::unique_ptr<Kernel> library = makeLibraryKernel(hasWeight ? withWeight(c.text, 1) : c.text.str());
    if (!generated.ok() || !library->ok()) {
      llvm::errs() << c.name << ": " << generated.error << library->error << '\n';
      return 1;
    }
    if (library->compiled.kind != "library") {
      llvm::outs() << c.name << ": stays generated\n";
      continue;
    }
    std::vector<Array> inputs = generated.randomInputs({});
    double slow = generated.time(inputs, {}, kRepeats),
           fast = library->time(packInputs(*library, inputs), {}, kRepeats);
    llvm::outs() << llvm::formatv("{0,-28} {1,13:f3} {2,13:f3} {3,7:f2} {4,12:f0}\n", c.name, slow * 1e3, fast * 1e3,
                                  slow / fast, c.flops / fast / 1e9);
  }
  return 0;
}
