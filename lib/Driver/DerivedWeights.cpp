//===- DerivedWeights.cpp - Constant arithmetic at link time -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "DerivedWeights.h"

#include "penstock/Support/Error.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

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
        size(numBytes) {}
  Buffer(Buffer &&other) noexcept : data(std::exchange(other.data, nullptr)), size(other.size) {}
  ~Buffer() { std::free(data); }
  char *data;
  int64_t size;
};

llvm::Error readRange(const FileRange &range, char *into) {
  std::ifstream file(range.path, std::ios::binary);
  if (!file)
    return systemError("read", range.path, errno);
  file.seekg(range.offset);
  file.read(into, range.numBytes);
  if (file.gcount() != range.numBytes)
    return userError("'{0}' ends before byte {1}; a weight lies at {2} with {3} bytes", range.path,
                     range.offset + range.numBytes, range.offset, range.numBytes);
  return llvm::Error::success();
}

int64_t numBytesOf(Type type) { return *nn::getConstant(nn::getNumBytes(cast<RankedTensorType>(type))); }

} // namespace

llvm::Error DerivedWeights::computeOne(nn::WeightOp weight, ModuleOp module,
                                       const llvm::StringMap<kernels::CompiledKernel> &kernels,
                                       llvm::raw_ostream &file) {
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
    FileRange range;
    if (auto from = source.getFile())
      range = {from->getPath().str(), from->getOffset(), from->getNumBytes()};
    else if (auto found = ranges.find(source.getSymName()); found != ranges.end())
      range = found->second;
    else
      return userError("weight '@{0}' is derived from '@{1}', which comes after it", weight.getSymName(), operand.getValue());
    Buffer &buffer = buffers.emplace_back(range.numBytes);
    if (llvm::Error error = readRange(range, buffer.data))
      return error;
  }
  buffers.emplace_back(numBytesOf(weight.getType()));
  SmallVector<void *> pointers;
  for (Buffer &buffer : buffers)
    pointers.push_back(buffer.data);
  if (llvm::Error error = runner->add(compiled->second))
    return error;
  if (llvm::Error error = runner->run(compiled->second, pointers, {}))
    return error;
  Buffer &result = buffers.back();
  file.write(result.data, result.size);
  SmallString<128> path(folder);
  llvm::sys::path::append(path, "derived.bin");
  ranges[weight.getSymName()] = {path.str().str(), position, result.size};
  position += result.size;
  return llvm::Error::success();
}

llvm::Expected<std::unique_ptr<DerivedWeights>>
DerivedWeights::compute(ModuleOp module, const llvm::StringMap<kernels::CompiledKernel> &kernels) {
  std::unique_ptr<DerivedWeights> result(new DerivedWeights());
  auto derived = llvm::make_filter_range(module.getOps<nn::WeightOp>(), [](nn::WeightOp weight) { return weight.getInit().has_value(); });
  if (derived.empty())
    return std::move(result);
  llvm::Expected<std::unique_ptr<kernels::KernelRunner>> runner = kernels::KernelRunner::create();
  if (!runner)
    return runner.takeError();
  result->runner = std::move(*runner);
  SmallString<128> folder;
  if (std::error_code code = llvm::sys::fs::createUniqueDirectory("penstock", folder))
    return systemError("create a folder for derived weights in", folder, code.value());
  result->folder = folder.str().str();
  llvm::sys::path::append(folder, "derived.bin");
  std::error_code code;
  llvm::raw_fd_ostream file(folder, code);
  if (code)
    return systemError("write", folder, code.value());
  for (nn::WeightOp weight : derived)
    if (llvm::Error error = result->computeOne(weight, module, kernels, file))
      return std::move(error);
  file.close();
  if (file.has_error()) {
    code = file.error();
    file.clear_error();
    return systemError("write", folder, code.value());
  }
  return std::move(result);
}

DerivedWeights::~DerivedWeights() {
  if (!folder.empty())
    llvm::sys::fs::remove_directories(folder);
}

} // namespace penstock::driver
