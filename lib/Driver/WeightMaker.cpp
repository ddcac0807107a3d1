//===- WeightMaker.cpp - Weights that are made at link time -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "WeightMaker.h"

#include "penstock/Support/Error.h"

#include "llvm/Support/MathExtras.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fstream>

namespace penstock::driver {
using namespace mlir;

static constexpr size_t kAlignment = 64;
/// Packed bytes that are made at a time, where that is possible.
static constexpr int64_t kPartBytes = 4 << 20;
/// Weights made of weights made of weights; more is a cycle.
static constexpr int kMaxDepth = 64;

/// Memory that is kept for the next weights; more than a weight and what it is made of is never in use by one role.
static constexpr size_t kMostSpare = 4;

WeightMaker::Buffer::Buffer(int64_t numBytes)
    : data(static_cast<char *>(
          std::aligned_alloc(kAlignment, llvm::alignTo(std::max<int64_t>(numBytes, 1), kAlignment)))),
      numBytes(numBytes), capacity(numBytes) {}

WeightMaker::Buffer &WeightMaker::Buffer::operator=(Buffer &&other) noexcept {
  std::swap(data, other.data);
  std::swap(numBytes, other.numBytes);
  std::swap(capacity, other.capacity);
  return *this;
}

WeightMaker::Buffer::~Buffer() { std::free(data); }

/// Memory that has been used before, if there is some: pages that are new to a process cost more than what is done here
/// with their bytes.
WeightMaker::Buffer WeightMaker::take(int64_t numBytes) {
  auto best = spare.end();
  for (auto it = spare.begin(); it != spare.end(); ++it)
    if (it->capacity >= numBytes && (best == spare.end() || it->capacity < best->capacity))
      best = it;
  if (best == spare.end())
    return Buffer(numBytes);
  Buffer result = std::move(*best);
  spare.erase(best);
  result.numBytes = numBytes;
  return result;
}

/// The largest are kept.
void WeightMaker::give(Buffer buffer) {
  spare.push_back(std::move(buffer));
  auto smaller = [](const Buffer &a, const Buffer &b) { return a.capacity < b.capacity; };
  if (spare.size() > kMostSpare)
    spare.erase(std::min_element(spare.begin(), spare.end(), smaller));
}

WeightMaker::WeightMaker(ModuleOp module, const llvm::StringMap<kernels::CompiledKernel> &kernels,
                         const kernels::LibraryTable *library)
    : symbols(module), kernels(kernels), library(library) {}

static llvm::Error outOfMemory(nn::WeightOp weight, int64_t numBytes) {
  return worldError("out of memory: {0} bytes for weight '@{1}'", numBytes, weight.getSymName());
}

llvm::Expected<WeightMaker::Buffer> WeightMaker::read(nn::WeightOp weight) {
  return read(weight, 0, weight.getFile()->getNumBytes());
}

llvm::Expected<WeightMaker::Buffer> WeightMaker::read(nn::WeightOp weight, int64_t position, int64_t numBytes) {
  auto range = weight.getFile();
  std::string path = range->getPath().str();
  Buffer result = take(numBytes);
  if (!result.data)
    return outOfMemory(weight, result.numBytes);
  std::ifstream file(path, std::ios::binary);
  if (!file)
    return systemError("read", path, errno);
  file.seekg(range->getOffset() + position);
  file.read(result.data, result.numBytes);
  if (file.gcount() != result.numBytes)
    return userError("'{0}' ends before byte {1}; weight '@{2}' lies at {3} with {4} bytes", path,
                     range->getOffset() + result.numBytes, weight.getSymName(), range->getOffset(), result.numBytes);
  return result;
}

llvm::Expected<WeightMaker::Buffer> WeightMaker::compute(nn::WeightOp weight) {
  auto kernel = symbols.lookup<nn::KernelDefOp>(*weight.getInit());
  auto name = kernel ? kernel->getAttrOfType<StringAttr>("kernel.object") : StringAttr();
  auto compiled = name ? kernels.find(name.getValue()) : kernels.end();
  if (compiled == kernels.end())
    return userError("weight '@{0}' is derived by '@{1}', which has no compiled kernel", weight.getSymName(),
                     *weight.getInit());
  std::vector<Buffer> operands;
  llvm::StringMap<void *> known;
  SmallVector<void *> pointers;
  for (auto operand : weight.getInitOperandsAttr().getAsRange<FlatSymbolRefAttr>()) {
    void *&pointer = known[operand.getValue()];
    if (!pointer) {
      llvm::Expected<Buffer> fetched = fetch(operand.getValue());
      if (!fetched)
        return fetched.takeError();
      pointer = operands.emplace_back(std::move(*fetched)).data;
    }
    pointers.push_back(pointer);
  }
  Buffer result = take(weight.getStoredBytes());
  if (!result.data)
    return outOfMemory(weight, result.numBytes);
  pointers.push_back(result.data);
  if (!runner) {
    llvm::Expected<std::unique_ptr<kernels::KernelRunner>> created = kernels::KernelRunner::create();
    if (!created)
      return created.takeError();
    runner = std::move(*created);
  }
  if (llvm::Error error = runner->add(compiled->second))
    return std::move(error);
  if (llvm::Error error = runner->run(compiled->second, pointers, {}))
    return std::move(error);
  for (Buffer &operand : operands)
    give(std::move(operand));
  return result;
}

llvm::Expected<WeightMaker::Buffer> WeightMaker::pack(nn::WeightOp weight) {
  if (!library)
    return userError("weight '@{0}' is packed for '{1}', which this target does not have", weight.getSymName(),
                     weight.getPacking()->getLibrary().getValue());
  llvm::Expected<Buffer> source = fetch(*weight.getPacked());
  if (!source)
    return source.takeError();
  llvm::Expected<Buffer> result = pack(weight, *weight.getPacking(), *source);
  give(std::move(*source));
  return result;
}

llvm::Expected<WeightMaker::Buffer> WeightMaker::pack(nn::WeightOp weight, nn::PackingAttr packing,
                                                      const Buffer &source) {
  Buffer result = take(packing.getNumBytes());
  if (!result.data)
    return outOfMemory(weight, result.numBytes);
  if (llvm::Error error = library->pack(packing, source.bytes(), {result.data, static_cast<size_t>(result.numBytes)}))
    return std::move(error);
  return result;
}

llvm::Error WeightMaker::packInParts(nn::WeightOp weight, nn::WeightOp source, ArrayRef<kernels::PackingPart> parts,
                                     link::ByteConsumer consume, std::unique_lock<std::mutex> &lock) {
  int64_t position = 0;
  for (const kernels::PackingPart &part : parts) {
    llvm::Expected<Buffer> given = read(source, position, part.sourceBytes);
    if (!given)
      return given.takeError();
    llvm::Expected<Buffer> packed = pack(weight, part.packing, *given);
    if (!packed)
      return packed.takeError();
    give(std::move(*given));
    lock.unlock();
    llvm::Error error = consume(packed->bytes());
    lock.lock();
    give(std::move(*packed));
    if (error)
      return error;
    position += part.sourceBytes;
  }
  return llvm::Error::success();
}

llvm::Expected<WeightMaker::Buffer> WeightMaker::fetch(StringRef name) {
  auto weight = symbols.lookup<nn::WeightOp>(name);
  if (!weight)
    return userError("a weight is made of '@{0}', which is no weight", name);
  if (depth > kMaxDepth)
    return userError("weight '@{0}' is made of itself", name);
  ++depth;
  llvm::Expected<Buffer> result = weight.getInit() ? compute(weight) : weight.getPacked() ? pack(weight) : read(weight);
  --depth;
  return result;
}

llvm::Error WeightMaker::make(StringRef name, link::ByteConsumer consume) {
  std::unique_lock<std::mutex> lock(making);
  auto weight = symbols.lookup<nn::WeightOp>(name);
  auto source = weight && weight.getPacked() ? symbols.lookup<nn::WeightOp>(*weight.getPacked()) : nn::WeightOp();
  if (library && source && source.getFile()) {
    std::vector<kernels::PackingPart> parts = library->split(*weight.getPacking(), kPartBytes);
    int64_t numBytes = 0;
    for (const kernels::PackingPart &part : parts)
      numBytes += part.sourceBytes;
    if (!parts.empty() && numBytes == source.getFile()->getNumBytes())
      return packInParts(weight, source, parts, consume, lock);
  }
  llvm::Expected<Buffer> result = fetch(name);
  lock.unlock();
  if (!result)
    return result.takeError();
  llvm::Error error = consume(result->bytes());
  lock.lock();
  give(std::move(*result));
  return error;
}

} // namespace penstock::driver
