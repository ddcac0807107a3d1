//===- KernelHarness.cpp - Kernels from text, run on arrays -----*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "KernelHarness.h"

#include "penstock/Dialect/NN/IR/Extents.h"
#include "penstock/Target/TargetBackend.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/Parser/Parser.h"
#include "llvm/ADT/APFloat.h"

#include <chrono>
#include <cstring>

using namespace penstock;
using namespace penstock::test;
using namespace mlir;

const TargetProfile &test::hostProfile() {
  static const TargetProfile profile = [] {
    auto target = createCpuTarget("native");
    return target ? (*target)->getProfile() : TargetProfile();
  }();
  return profile;
}

TargetProfile test::baselineProfile() {
  auto target = createCpuTarget("x86-64-v3");
  return target ? (*target)->getProfile() : TargetProfile();
}

namespace {

constexpr size_t kGuard = 64;
constexpr unsigned char kGuardByte = 0xA5;

/// Elements in memory between two guards, 64-byte aligned.
class Buffer {
public:
  explicit Buffer(size_t numBytes) : numBytes(numBytes) {
    size_t total = llvm::alignTo(numBytes + 2 * kGuard, kGuard);
    bytes.reset(static_cast<unsigned char *>(std::aligned_alloc(kGuard, total)));
    std::memset(bytes.get(), kGuardByte, total);
  }
  unsigned char *data() { return bytes.get() + kGuard; }
  bool intact() const {
    for (size_t i = 0; i < kGuard; ++i)
      if (bytes.get()[i] != kGuardByte || bytes.get()[kGuard + numBytes + i] != kGuardByte)
        return false;
    return true;
  }

private:
  size_t numBytes;
  std::unique_ptr<unsigned char, decltype(&std::free)> bytes{nullptr, &std::free};
};

} // namespace

void test::storeElement(Type type, double value, unsigned char *to) {
  if (auto floating = dyn_cast<FloatType>(type)) {
    llvm::APFloat number(value);
    bool lost;
    number.convert(floating.getFloatSemantics(), llvm::APFloat::rmNearestTiesToEven, &lost);
    uint64_t bits = number.bitcastToAPInt().getZExtValue();
    std::memcpy(to, &bits, type.getIntOrFloatBitWidth() / 8);
    return;
  }
  auto integer = static_cast<int64_t>(value);
  std::memcpy(to, &integer, nn::getElementBytes(type));
}

double test::loadElement(Type type, const unsigned char *from) {
  uint64_t bits = 0;
  int64_t numBytes = nn::getElementBytes(type);
  std::memcpy(&bits, from, numBytes);
  if (auto floating = dyn_cast<FloatType>(type)) {
    llvm::APFloat number(floating.getFloatSemantics(), llvm::APInt(type.getIntOrFloatBitWidth(), bits));
    bool lost;
    number.convert(llvm::APFloat::IEEEdouble(), llvm::APFloat::rmNearestTiesToEven, &lost);
    return number.convertToDouble();
  }
  if (cast<IntegerType>(type).isUnsigned() || type.isInteger(1))
    return static_cast<double>(bits);
  return static_cast<double>(llvm::SignExtend64(bits, numBytes * 8));
}

Kernel::Kernel(const std::string &text, const TargetProfile &profile, const kernels::LibraryTable *library,
               const std::vector<std::pair<std::string, void *>> &functions) {
  context.loadDialect<nn::NNDialect, func::FuncDialect>();
  ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) { error += diagnostic.str() + "\n"; });
  module = parseSourceString<ModuleOp>(text, ParserConfig(&context));
  if (!module)
    return;
  op = *module->getOps<nn::KernelDefOp>().begin();
  FailureOr<kernels::CompiledKernel> made = kernels::compileKernel(op, profile, library);
  if (failed(made))
    return;
  compiled = std::move(*made);
  auto created = kernels::KernelRunner::create();
  if (!created) {
    error = llvm::toString(created.takeError());
    return;
  }
  runner = std::move(*created);
  for (const auto &[name, function] : functions)
    llvm::cantFail(runner->define(name, function));
  if (llvm::Error failure = runner->add(compiled))
    error = llvm::toString(std::move(failure));
}

size_t Kernel::numInputs() { return op.getBody().getNumArguments(); }
size_t Kernel::numResults() { return op.getYield()->getNumOperands(); }

RankedTensorType Kernel::typeOf(size_t i) {
  Type type =
      i < numInputs() ? op.getBody().getArgument(i).getType() : op.getYield()->getOperand(i - numInputs()).getType();
  return cast<RankedTensorType>(type);
}

std::vector<int64_t> Kernel::dimsOf(size_t i, const std::vector<int64_t> &symbols) {
  std::vector<int64_t> dims;
  for (AffineExpr expr : nn::getExtents(typeOf(i)))
    dims.push_back(*nn::evaluate(expr, symbols));
  return dims;
}

static int64_t product(const std::vector<int64_t> &dims) {
  int64_t result = 1;
  for (int64_t dim : dims)
    result *= dim;
  return result;
}

static Buffer toBuffer(Type element, const Array &array) {
  int64_t bytes = nn::getElementBytes(element);
  Buffer buffer(array.size() * bytes);
  for (int64_t i = 0; i < array.size(); ++i)
    storeElement(element, array.values[i], buffer.data() + i * bytes);
  return buffer;
}

static Array toArray(Type element, std::vector<int64_t> dims, Buffer &buffer) {
  Array array{std::move(dims), {}};
  int64_t bytes = nn::getElementBytes(element);
  for (int64_t i = 0, n = product(array.dims); i < n; ++i)
    array.values.push_back(loadElement(element, buffer.data() + i * bytes));
  return array;
}

Array Kernel::rounded(size_t i, const Array &values) {
  Type element = typeOf(i).getElementType();
  Buffer buffer = toBuffer(element, values);
  return toArray(element, values.dims, buffer);
}

std::vector<Array> Kernel::randomInputs(const std::vector<int64_t> &symbols, double low, double high, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<Array> inputs;
  for (size_t i = 0; i < numInputs(); ++i) {
    Array array{dimsOf(i, symbols), {}};
    Type element = typeOf(i).getElementType();
    for (int64_t k = 0, n = product(array.dims); k < n; ++k) {
      double value = std::uniform_real_distribution<double>(low, high)(random);
      if (!isa<FloatType>(element))
        value = element.isInteger(1) ? value > (low + high) / 2 : std::floor(value);
      array.values.push_back(value);
    }
    inputs.push_back(rounded(i, array));
  }
  return inputs;
}

std::vector<Array> Kernel::run(const std::vector<Array> &inputs, const std::vector<int64_t> &symbols) {
  std::vector<Buffer> buffers;
  for (size_t i = 0; i < numInputs(); ++i)
    buffers.push_back(toBuffer(typeOf(i).getElementType(), inputs[i]));
  for (size_t i = 0; i < numResults(); ++i) {
    size_t k = numInputs() + i;
    buffers.emplace_back(product(dimsOf(k, symbols)) * nn::getElementBytes(typeOf(k).getElementType()));
  }
  std::vector<void *> pointers;
  for (Buffer &buffer : buffers)
    pointers.push_back(buffer.data());
  if (llvm::Error failure = runner->run(compiled, pointers, symbols))
    ADD_FAILURE() << llvm::toString(std::move(failure));
  std::vector<Array> results;
  for (size_t i = 0; i < buffers.size(); ++i)
    EXPECT_TRUE(buffers[i].intact()) << "argument " << i << " was written outside";
  for (size_t i = numInputs(); i < buffers.size(); ++i)
    results.push_back(toArray(typeOf(i).getElementType(), dimsOf(i, symbols), buffers[i]));
  if (getObserver())
    getObserver()(*this, inputs, symbols, results);
  return results;
}

Kernel::Observer &Kernel::getObserver() {
  static Observer observer;
  return observer;
}

double Kernel::time(const std::vector<Array> &inputs, const std::vector<int64_t> &symbols, int repeats) {
  std::vector<Buffer> buffers;
  for (size_t i = 0; i < numInputs(); ++i)
    buffers.push_back(toBuffer(typeOf(i).getElementType(), inputs[i]));
  for (size_t i = numInputs(); i < numInputs() + numResults(); ++i)
    buffers.emplace_back(product(dimsOf(i, symbols)) * nn::getElementBytes(typeOf(i).getElementType()));
  std::vector<void *> pointers;
  for (Buffer &buffer : buffers)
    pointers.push_back(buffer.data());
  double best = 1e30;
  for (int i = 0; i < repeats; ++i) {
    auto start = std::chrono::steady_clock::now();
    llvm::cantFail(runner->run(compiled, pointers, symbols));
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}
