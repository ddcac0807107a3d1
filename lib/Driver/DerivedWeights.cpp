//===- DerivedWeights.cpp - Constant arithmetic at link time -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "DerivedWeights.h"

#include "penstock/Support/Error.h"

#include "llvm/Support/MathExtras.h"

#include <cerrno>
#include <cstdlib>
#include <fstream>

namespace penstock::driver {
using namespace mlir;

namespace {

constexpr size_t kAlignment = 64;

/// Aligned bytes of a tensor.
class Buffer {
public:
  explicit Buffer(int64_t numBytes)
      : data(static_cast<char *>(std::aligned_alloc(kAlignment, llvm::alignTo(std::max<int64_t>(numBytes, 1), kAlignment)))),
        numBytes(numBytes) {}
  Buffer(Buffer &&other) noexcept : data(std::exchange(other.data, nullptr)), numBytes(other.numBytes) {}
  ~Buffer() { std::free(data); }
  char *data;
  int64_t numBytes;
};

class Derivation {
public:
  Derivation(ModuleOp module, const llvm::StringMap<kernels::CompiledKernel> &kernels) : module(module), kernels(kernels) {}

  llvm::Error compute(nn::WeightOp weight);
  llvm::StringMap<std::string> results;

private:
  llvm::Error read(nn::WeightOp weight, Buffer &into);

  ModuleOp module;
  const llvm::StringMap<kernels::CompiledKernel> &kernels;
  std::unique_ptr<kernels::KernelRunner> runner;
};

llvm::Error Derivation::read(nn::WeightOp weight, Buffer &into) {
  if (auto known = results.find(weight.getSymName()); known != results.end()) {
    std::memcpy(into.data, known->second.data(), known->second.size());
    return llvm::Error::success();
  }
  auto range = weight.getFile();
  if (!range)
    return userError("weight '@{0}' is derived, but after the one that needs it", weight.getSymName());
  std::string path = range->getPath().str();
  std::ifstream file(path, std::ios::binary);
  if (!file)
    return systemError("read", path, errno);
  file.seekg(range->getOffset());
  file.read(into.data, into.numBytes);
  if (file.gcount() != into.numBytes)
    return userError("'{0}' ends before byte {1}; weight '@{2}' lies at {3} with {4} bytes", path,
                     range->getOffset() + into.numBytes, weight.getSymName(), range->getOffset(), into.numBytes);
  return llvm::Error::success();
}

int64_t numBytesOf(nn::WeightOp weight) {
  return *nn::getConstant(nn::getNumBytes(cast<RankedTensorType>(weight.getType())));
}

llvm::Error Derivation::compute(nn::WeightOp weight) {
  auto kernel = module.lookupSymbol<nn::KernelDefOp>(*weight.getInit());
  auto name = kernel ? kernel->getAttrOfType<StringAttr>("kernel.object") : StringAttr();
  auto compiled = name ? kernels.find(name.getValue()) : kernels.end();
  if (compiled == kernels.end())
    return userError("weight '@{0}' is derived by '@{1}', which has no compiled kernel", weight.getSymName(),
                     *weight.getInit());
  std::vector<Buffer> buffers;
  for (auto operand : weight.getInitOperandsAttr().getAsRange<FlatSymbolRefAttr>()) {
    auto source = module.lookupSymbol<nn::WeightOp>(operand.getValue());
    if (!source)
      return userError("weight '@{0}' is derived from '@{1}', which is no weight", weight.getSymName(), operand.getValue());
    if (llvm::Error error = read(source, buffers.emplace_back(numBytesOf(source))))
      return error;
  }
  Buffer &result = buffers.emplace_back(numBytesOf(weight));
  SmallVector<void *> pointers;
  for (Buffer &buffer : buffers)
    pointers.push_back(buffer.data);
  if (!runner) {
    llvm::Expected<std::unique_ptr<kernels::KernelRunner>> created = kernels::KernelRunner::create();
    if (!created)
      return created.takeError();
    runner = std::move(*created);
  }
  if (llvm::Error error = runner->add(compiled->second))
    return error;
  if (llvm::Error error = runner->run(compiled->second, pointers, {}))
    return error;
  results[weight.getSymName()] = std::string(result.data, result.numBytes);
  return llvm::Error::success();
}

} // namespace

llvm::Expected<llvm::StringMap<std::string>>
computeDerivedWeights(ModuleOp module, const llvm::StringMap<kernels::CompiledKernel> &kernels) {
  Derivation derivation(module, kernels);
  for (auto weight : module.getOps<nn::WeightOp>())
    if (weight.getInit())
      if (llvm::Error error = derivation.compute(weight))
        return std::move(error);
  return std::move(derivation.results);
}

} // namespace penstock::driver
