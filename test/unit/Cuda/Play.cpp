//===- Play.cpp - The kernels of a dump on the played GPU -------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
//   gpu_play DUMP VALUE
//
// Runs each kernel of a dump of the schedule phase with random inputs, every symbol at VALUE, on the CPU target and on
// the machine. One line per kernel that fails, differs or has no code; the last line is `N kernels, N wrong, N without
// code`. Exit status 1 if one is wrong.
//
//===----------------------------------------------------------------------===//

#include "GpuHarness.h"

#include "penstock/Dialect/NN/IR/Extents.h"
#include "penstock/Driver/Compiler.h"

#include "mlir/Parser/Parser.h"

#include <cstdio>

using namespace penstock;
using namespace penstock::test;

namespace {

enum class Verdict { Right, Wrong, NoCode };

Verdict play(nn::KernelDefOp op, int64_t value, std::string &message) {
  std::string text;
  llvm::raw_string_ostream(text) << *op;
  Kernel kernel(text);
  if (!kernel.ok()) {
    message = kernel.error;
    return Verdict::Wrong;
  }
  auto gpu = GpuKernel::create(kernel.op);
  if (!gpu) {
    message = llvm::toString(gpu.takeError());
    return Verdict::NoCode;
  }
  std::vector<int64_t> symbols(kernel.op.getNumSymbols(), value);
  for (size_t i = 0; i < kernel.numInputs() + kernel.numResults(); ++i)
    for (mlir::AffineExpr extent : nn::getExtents(kernel.typeOf(i)))
      if (nn::evaluate(extent, symbols).value_or(-1) < 0) {
        message = "an extent is below zero when every symbol is " + std::to_string(value);
        return Verdict::Wrong;
      }
  std::vector<Array> inputs = kernel.randomInputs(symbols, -1, 1), expected = kernel.run(inputs, symbols);
  std::vector<Array> got = runOnMachine(kernel, **gpu, inputs, symbols, message);
  for (size_t i = 0; i < got.size() && message.empty(); ++i)
    message = findDifference(got[i], expected[i], kernel.typeOf(inputs.size() + i).getElementType());
  return message.empty() ? Verdict::Right : Verdict::Wrong;
}

} // namespace

int main(int argc, char **argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: gpu_play DUMP VALUE\n");
    return 2;
  }
  mlir::DialectRegistry registry;
  driver::registerDialects(registry);
  mlir::MLIRContext context(registry);
  auto module = mlir::parseSourceFile<mlir::ModuleOp>(argv[1], mlir::ParserConfig(&context));
  if (!module)
    return 2;
  int numKernels = 0, numWrong = 0, numWithout = 0;
  for (auto kernel : module->getOps<nn::KernelDefOp>()) {
    std::string message;
    Verdict verdict = play(kernel, std::atoll(argv[2]), message);
    ++numKernels;
    numWrong += verdict == Verdict::Wrong;
    numWithout += verdict == Verdict::NoCode;
    if (verdict != Verdict::Right)
      std::printf("%s: %s: %s\n", kernel.getSymName().str().c_str(), verdict == Verdict::Wrong ? "wrong" : "no code",
                  message.c_str());
  }
  std::printf("%d kernels, %d wrong, %d without code\n", numKernels, numWrong, numWithout);
  return numWrong > 0;
}
