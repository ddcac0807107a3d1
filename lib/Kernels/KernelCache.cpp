//===- KernelCache.cpp - Compiled kernels as bytes --------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "KernelCache.h"

#include "mlir/AsmParser/AsmParser.h"
#include "mlir/IR/AffineMap.h"
#include "llvm/Support/Endian.h"

using namespace mlir;
using namespace penstock;
using namespace penstock::kernels;

namespace {

/// Texts one after the other, each behind its length.
class FieldWriter {
public:
  void add(StringRef text) {
    char length[8];
    llvm::support::endian::write64le(length, text.size());
    bytes.append(length, sizeof(length));
    bytes += text;
  }
  void add(int64_t number) { add(StringRef(std::to_string(number))); }
  std::string bytes;
};

class FieldReader {
public:
  explicit FieldReader(StringRef bytes) : rest(bytes) {}

  StringRef take() {
    uint64_t length = rest.size() < 8 ? UINT64_MAX : llvm::support::endian::read64le(rest.data());
    if (length > rest.size() - std::min<size_t>(rest.size(), 8))
      return isSound = false, StringRef();
    StringRef text = rest.substr(8, length);
    rest = rest.drop_front(8 + length);
    return text;
  }
  int64_t takeNumber() {
    int64_t number = 0;
    isSound &= !take().getAsInteger(10, number);
    return number;
  }
  bool isDone() const { return isSound && rest.empty(); }

  bool isSound = true;

private:
  StringRef rest;
};

} // namespace

static std::string print(Attribute attribute) {
  std::string text;
  llvm::raw_string_ostream(text) << attribute;
  return text;
}

/// An expression as the map that has it as its only result.
static std::string printExtent(AffineExpr extent) {
  int64_t numSymbols = 0;
  extent.walk([&](AffineExpr part) {
    if (auto symbol = dyn_cast<AffineSymbolExpr>(part))
      numSymbols = std::max<int64_t>(numSymbols, symbol.getPosition() + 1);
  });
  return print(AffineMapAttr::get(AffineMap::get(0, numSymbols, extent)));
}

std::optional<CompiledKernel> kernels::findKernel(BuildCache &cache, StringRef key, MLIRContext *context) {
  std::optional<std::string> bytes = cache.find(key);
  if (!bytes)
    return std::nullopt;
  FieldReader reader(*bytes);
  CompiledKernel kernel;
  for (std::string *text : {&kernel.symbolName, &kernel.hash, &kernel.kind, &kernel.library, &kernel.isa})
    *text = reader.take().str();
  kernel.inPlaceInput = reader.takeNumber();
  kernel.hasGrowingScratch = reader.takeNumber() != 0;
  auto workspace = dyn_cast_or_null<AffineMapAttr>(parseAttribute(reader.take(), context));
  int64_t numPacked = reader.takeNumber();
  for (int64_t i = 0; i < numPacked && reader.isSound; ++i)
    kernel.packing.push_back(parseAttribute(reader.take(), context));
  kernel.object = reader.take().str();
  if (!reader.isDone() || !workspace || workspace.getValue().getNumResults() != 1 ||
      llvm::is_contained(kernel.packing, Attribute()))
    return std::nullopt;
  kernel.workspaceBytes = workspace.getValue().getResult(0);
  kernel.isReused = true;
  return kernel;
}

void kernels::addKernel(BuildCache &cache, StringRef key, const CompiledKernel &kernel, MLIRContext *context) {
  FieldWriter writer;
  for (const std::string *text : {&kernel.symbolName, &kernel.hash, &kernel.kind, &kernel.library, &kernel.isa})
    writer.add(*text);
  writer.add(kernel.inPlaceInput);
  writer.add(int64_t(kernel.hasGrowingScratch));
  writer.add(printExtent(kernel.workspaceBytes));
  writer.add(int64_t(kernel.packing.size()));
  for (Attribute packing : kernel.packing)
    writer.add(print(packing));
  writer.add(kernel.object);
  cache.add(key, writer.bytes);
}
