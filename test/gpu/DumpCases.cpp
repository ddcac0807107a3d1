//===- DumpCases.cpp - The kernels of a model as cases -------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "DumpCases.h"

#include "penstock/Dialect/NN/IR/Extents.h"
#include "penstock/Driver/Compiler.h"
#include "penstock/Support/Error.h"

#include "mlir/Parser/Parser.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/Path.h"

using namespace penstock;
using namespace penstock::test;

/// A prime, so that rows differ.
static constexpr int64_t kPeriod = 4099;
/// Of all results of a kernel, whose bits no compression shortens; and of its inputs.
static constexpr int64_t kMaxResults = 1 << 16, kMaxInputs = 1 << 22;

/// Elements of the tensors from `begin` to `end`; -1 where an extent is below zero.
static int64_t countElements(Kernel &kernel, size_t begin, size_t end, const std::vector<int64_t> &symbols) {
  int64_t total = 0;
  for (size_t i = begin; i < end; ++i) {
    int64_t size = 1;
    for (mlir::AffineExpr extent : nn::getExtents(kernel.typeOf(i))) {
      int64_t value = nn::evaluate(extent, symbols).value_or(-1);
      if (value < 0)
        return -1;
      size *= value;
    }
    total += size;
  }
  return total;
}

/// Why there is no run of the kernel; empty if there is one.
static std::string addKernel(nn::KernelDefOp op, const std::string &name, int64_t value, CaseWriter &writer) {
  std::string text;
  llvm::raw_string_ostream(text) << *op;
  Kernel kernel(text);
  if (!kernel.ok())
    return kernel.error;
  std::vector<int64_t> symbols(kernel.op.getNumSymbols(), value);
  size_t numInputs = kernel.numInputs(), numAll = numInputs + kernel.numResults();
  int64_t in = countElements(kernel, 0, numInputs, symbols), out = countElements(kernel, numInputs, numAll, symbols);
  if (in < 0 || out < 0)
    return "an extent is below zero";
  if (in > kMaxInputs || out > kMaxResults)
    return llvm::formatv("{0} elements in, {1} out, of which {2} and {3} are taken", in, out, kMaxInputs, kMaxResults);
  std::vector<Array> inputs = kernel.randomInputs(symbols, -1, 1);
  for (Array &input : inputs)
    for (int64_t i = kPeriod; i < input.size(); ++i)
      input.values[i] = input.values[i - kPeriod];
  std::vector<Array> results = kernel.run(inputs, symbols);
  writer.add(kernel, name, inputs, symbols, results);
  return "";
}

llvm::Error test::addDump(const std::string &path, int64_t value, CaseWriter &writer, llvm::raw_ostream &says) {
  mlir::DialectRegistry registry;
  driver::registerDialects(registry);
  mlir::MLIRContext context(registry);
  auto module = mlir::parseSourceFile<mlir::ModuleOp>(path, mlir::ParserConfig(&context));
  if (!module)
    return userError("'{0}' is no dump", path);
  std::string model = llvm::sys::path::filename(path).split('.').first.str();
  llvm::StringSet<> known;
  for (auto kernel : module->getOps<nn::KernelDefOp>()) {
    if (!known.insert(kernels::hashKernel(kernel, TargetProfile())).second)
      continue; // the same in another layer
    std::string name = model + "." + kernel.getSymName().str();
    if (std::string why = addKernel(kernel, name, value, writer); !why.empty())
      says << name << ": left out: " << why << '\n';
  }
  return llvm::Error::success();
}
