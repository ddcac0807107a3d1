//===- OneDnnTable.cpp - The kernels that oneDNN runs -----------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "OneDnnTable.h"
#include "Library.h"
#include "OneDnnMatch.h"

#include "penstock/Dialect/NN/IR/Extents.h"
#include "penstock/Target/LibraryObject.h"

#include "llvm/ADT/StringExtras.h"

#include <mutex>

using namespace mlir;
using namespace penstock;
using namespace penstock::rt;

/// The instruction set of oneDNN that a profile allows.
static int64_t getIsa(const TargetProfile &profile) {
  if (profile.vectorBits < 512)
    return RT_DNNL_AVX2;
  StringRef features = profile.features;
  if (features.contains("+avx512bf16") && features.contains("+avx512vnni"))
    return RT_DNNL_AVX512_BF16;
  return features.contains("+avx512vnni") ? RT_DNNL_AVX512_VNNI : RT_DNNL_AVX512;
}

/// How many operands of a kernel are this buffer.
static int64_t countReads(const rt_dnnl_desc &desc, int64_t buffer) {
  int64_t count = (desc.source.buffer == buffer) + (desc.weights.buffer == buffer) + (desc.bias.buffer == buffer);
  for (int64_t i = 0; i < desc.num_post_ops; ++i)
    count += desc.post_ops[i].operand.buffer == buffer;
  return count;
}

/// The input that is added to the result, as oneDNN wants to find it there; -1: none, or it is read elsewhere too.
static int64_t getSum(const rt_dnnl_desc &desc, int64_t numInputs) {
  for (int64_t i = 0; i < desc.num_post_ops; ++i)
    if (int64_t buffer = desc.post_ops[i].operand.buffer;
        desc.post_ops[i].kind == RT_DNNL_SUM && buffer < numInputs && countReads(desc, buffer) == 1)
      return buffer;
  return -1;
}

namespace {

/// What the text of a packing says: extents, and layouts as in Layout.h.
struct PackingText {
  dnnl::memory::dims dims;
  std::string from, to;

  static std::optional<PackingText> parse(StringRef text) {
    auto [extents, layouts] = text.split(' ');
    auto [from, to] = layouts.split(" to ");
    PackingText result{{}, from.str(), to.str()};
    for (StringRef extent : llvm::split(extents, 'x'))
      if (extent.getAsInteger(10, result.dims.emplace_back()))
        return std::nullopt;
    return result;
  }

  std::string str() const {
    auto extents = llvm::map_range(dims, [](int64_t extent) { return std::to_string(extent); });
    return llvm::join(extents, "x") + " " + from + " to " + to;
  }

  /// The axis along which both layouts can be cut; nothing if these differ.
  std::optional<size_t> findOutermost() const {
    if (from.size() != dims.size() || to.size() < dims.size() || llvm::toLower(from[0]) != llvm::toLower(to[0]))
      return std::nullopt;
    size_t axis = llvm::toLower(to[0]) - 'a';
    return axis < dims.size() ? std::optional(axis) : std::nullopt;
  }

  /// Elements along the axis that lie in one block.
  int64_t blockOf(size_t axis) const {
    int64_t block = 1;
    for (StringRef rest = StringRef(to).drop_front(dims.size()); !rest.empty(); rest = rest.drop_front()) {
      int64_t extent;
      if (rest.consumeInteger(10, extent) || rest.empty())
        return 0;
      if (rest[0] == static_cast<char>('a' + axis))
        block *= extent;
    }
    return block;
  }
};

/// Extents at some values of a kernel's symbols.
using Extents = SmallVector<int64_t>;

class OneDnnTable : public kernels::LibraryTable {
public:
  std::string describe(nn::KernelDefOp kernel, const TargetProfile &profile) const override {
    std::optional<OneDnnKernel> found = find(kernel, profile);
    if (!found)
      return "";
    std::string text;
    llvm::raw_string_ostream stream(text);
    stream << getName() << '\n';
    stream << llvm::toHex(StringRef(reinterpret_cast<const char *>(&found->desc), sizeof(found->desc))) << '\n';
    for (AffineExpr extent : found->extents)
      stream << extent << ',';
    return text;
  }

  FailureOr<kernels::CompiledKernel> compile(nn::KernelDefOp kernel, StringRef hash,
                                             const TargetProfile &profile) const override {
    std::optional<OneDnnKernel> found = find(kernel, profile);
    if (!found)
      return kernel.emitError() << "kernel '" << kernel.getSymName() << "' is not one that oneDNN runs";
    kernels::CompiledKernel result;
    result.hash = hash.str();
    result.symbolName = ("k_" + hash).str();
    result.kind = "library";
    result.library = getName();
    result.isa = onednn::isaName(found->desc.isa);
    result.workspaceBytes = getAffineConstantExpr(found->desc.workspace_bytes, kernel.getContext());
    result.hasGrowingScratch = found->desc.workspace < 0;
    result.packing = std::move(found->packing);
    result.inPlaceInput = getSum(found->desc, kernel.getBody().getNumArguments());
    LibraryCall call = {"rt_dnnl_run",    toWords(found->desc),
                        found->extents,   kernel.getBody().getNumArguments() + 1,
                        found->constants, found->desc.workspace_bytes > 0,
                        /*section=*/""};
    llvm::Expected<std::string> object = emitLibraryObject(call, result.symbolName, profile);
    if (!object)
      return kernel.emitError() << "kernel '" << kernel.getSymName() << "': " << llvm::toString(object.takeError());
    result.object = std::move(*object);
    return result;
  }

  llvm::Error pack(nn::PackingAttr packing, ArrayRef<char> source, MutableArrayRef<char> result) const override {
    if (packing.getLibrary() != getName())
      return userError("weights are to be packed by '{0}', and '{1}' is loaded; compile the model again",
                       packing.getLibrary().getValue(), getName());
    std::optional<PackingText> text = PackingText::parse(packing.getLayout());
    if (!text)
      return userError("'{0}' is no packing of '{1}'", packing.getLayout().getValue(), getName());
    std::lock_guard<std::mutex> lock(mutex);
    std::string error = getLibrary(1).pack(text->dims, text->from, text->to, source.data(), source.size(),
                                           result.data(), result.size());
    return error.empty() ? llvm::Error::success() : userError("weights cannot be packed: {0}", error);
  }

  std::vector<kernels::PackingPart> split(nn::PackingAttr packing, int64_t maxBytes) const override {
    std::optional<PackingText> text = PackingText::parse(packing.getLayout());
    std::optional<size_t> axis = text ? text->findOutermost() : std::nullopt;
    int64_t block = axis ? text->blockOf(*axis) : 0;
    if (block == 0 || llvm::any_of(text->dims, [](int64_t extent) { return extent < 1; }))
      return {};
    int64_t extent = text->dims[*axis], numBlocks = llvm::divideCeil(extent, block);
    int64_t bytesOfBlock = packing.getNumBytes() / numBlocks;
    int64_t blocksOfPart = std::max<int64_t>(maxBytes / std::max<int64_t>(bytesOfBlock, 1), 1);
    Builder builder(packing.getContext());
    std::vector<kernels::PackingPart> parts;
    for (int64_t begin = 0; begin < numBlocks; begin += blocksOfPart) {
      int64_t count = std::min(blocksOfPart, numBlocks - begin);
      text->dims[*axis] = std::min(count * block, extent - begin * block);
      auto part = nn::PackingAttr::get(packing.getContext(), packing.getLibrary(), builder.getStringAttr(text->str()),
                                       count * bytesOfBlock);
      int64_t numElements = 1;
      for (int64_t each : text->dims)
        numElements *= each;
      parts.push_back({part, numElements * static_cast<int64_t>(sizeof(float))});
    }
    return parts;
  }

private:
  static std::string getName() { return "oneDNN " + onednn::version(); }

  onednn::Library &getLibrary(int32_t numThreads) const {
    if (!library)
      library = std::make_unique<onednn::Library>(numThreads);
    return *library;
  }

  std::optional<OneDnnKernel> find(nn::KernelDefOp kernel, const TargetProfile &profile) const {
    std::optional<OneDnnKernel> found = matchOneDnn(kernel);
    if (!found || isComputedAtLinkTime(kernel))
      return std::nullopt;
    found->desc.isa = onednn::lowerIsa(getIsa(profile));
    found->desc.library_version = onednn::versionNumber();
    found->desc.is_static =
        llvm::all_of(found->extents, [](AffineExpr extent) { return bool(nn::getConstant(extent)); });
    std::lock_guard<std::mutex> lock(mutex);
    if (!onednn::selectIsa(found->desc.isa).empty())
      return std::nullopt;
    onednn::Library &oneDnn = getLibrary(profile.numThreads);
    if (!isFast(*found, kernel.getNumSymbols(), oneDnn))
      return std::nullopt;
    choosePacking(*found, kernel, oneDnn);
    chooseWorkspace(*found, kernel, oneDnn);
    return found;
  }

  /// Weights that are made of others are made in the compiler's own process, by generated code.
  static bool isComputedAtLinkTime(nn::KernelDefOp kernel) {
    auto module = kernel->getParentOfType<ModuleOp>();
    return module && llvm::any_of(module.getOps<nn::WeightOp>(), [&](nn::WeightOp weight) {
             return weight.getInit() && *weight.getInit() == kernel.getSymName();
           });
  }

  /// The extents; nothing where one of them is zero, and oneDNN is not called, or has no value.
  static std::optional<Extents> evaluate(const OneDnnKernel &kernel, ArrayRef<int64_t> symbols) {
    Extents extents;
    for (AffineExpr extent : kernel.extents)
      extents.push_back(nn::evaluate(extent, symbols).value_or(0));
    if (llvm::any_of(extents, [](int64_t extent) { return extent <= 0; }))
      return std::nullopt;
    return extents;
  }

  /// oneDNN has a fast implementation for each of a few values of the symbols, one at least of which is possible.
  static bool isFast(const OneDnnKernel &kernel, int64_t numSymbols, onednn::Library &oneDnn) {
    bool possible = false;
    for (int64_t value : {1, 5, 64, 320}) {
      std::optional<Extents> extents = evaluate(kernel, SmallVector<int64_t>(numSymbols, value));
      if (!extents)
        continue;
      possible = true;
      onednn::Probe probe;
      if (!oneDnn.probe(kernel.desc, extents->data(), probe).empty() || StringRef(probe.implementation).contains("ref"))
        return false;
      if (numSymbols == 0)
        break;
    }
    return possible;
  }

  static ArrayRef<int64_t> getValues(nn::KernelDefOp kernel, StringRef name) {
    auto values = kernel->getAttrOfType<DenseI64ArrayAttr>(name);
    return values && values.size() == static_cast<int64_t>(kernel.getNumSymbols()) ? values.asArrayRef()
                                                                                   : ArrayRef<int64_t>();
  }

  /// The layout of constant weights is the one that oneDNN likes best at the typical extents.
  void choosePacking(OneDnnKernel &found, nn::KernelDefOp kernel, onednn::Library &oneDnn) const {
    ArrayRef<int64_t> typical = getValues(kernel, kernels::kTypicalAttr);
    bool isKnown = found.desc.is_static || !typical.empty();
    std::optional<Extents> extents = isKnown ? evaluate(found, typical) : std::nullopt;
    onednn::Probe probe;
    if (!found.desc.constant_weights || countReads(found.desc, found.desc.weights.buffer) > 1 || !extents ||
        !oneDnn.probe(found.desc, extents->data(), probe).empty() || probe.given.empty() || probe.wanted.empty() ||
        probe.wanted.size() >= RT_DNNL_LAYOUT_BYTES)
      return;
    std::string layout = PackingText{probe.weights, probe.given, probe.wanted}.str();
    int64_t numArguments = kernel.getBody().getNumArguments(), index = found.desc.weights.buffer;
    Builder builder(kernel.getContext());
    auto packing = nn::PackingAttr::get(kernel.getContext(), builder.getStringAttr(getName()),
                                        builder.getStringAttr(layout), probe.wantedBytes);
    if (index > numArguments && probe.given != probe.wanted) {
      // A constant inside the kernel.
      std::vector<float> &values = found.constants[index - numArguments - 1];
      std::vector<float> packed(probe.wantedBytes / sizeof(float));
      if (!oneDnn
               .pack(probe.weights, probe.given, probe.wanted, values.data(), values.size() * sizeof(float),
                     packed.data(), packed.size() * sizeof(float))
               .empty())
        return;
      values = std::move(packed);
    } else if (probe.given != probe.wanted) {
      found.packing.assign(numArguments, builder.getUnitAttr());
      found.packing[index] = packing;
    }
    std::copy(probe.wanted.begin(), probe.wanted.end(), found.desc.packed);
  }

  /// Scratch memory is the kernel's workspace where the extents have bounds.
  static void chooseWorkspace(OneDnnKernel &found, nn::KernelDefOp kernel, onednn::Library &oneDnn) {
    found.desc.workspace = -1;
    SmallVector<SmallVector<int64_t>> corners = {{}};
    if (!found.desc.is_static)
      corners = listCorners(kernel);
    int64_t numBytes = 0;
    for (ArrayRef<int64_t> symbols : corners) {
      std::optional<Extents> extents = evaluate(found, symbols);
      onednn::Probe probe;
      if (!extents)
        continue;
      if (!oneDnn.probe(found.desc, extents->data(), probe).empty())
        return;
      numBytes = std::max<int64_t>(numBytes, probe.scratchBytes);
    }
    if (corners.empty())
      return;
    found.desc.workspace = kernel.getBody().getNumArguments() + 1 + found.constants.size();
    found.desc.workspace_bytes = numBytes;
  }

  /// Values of the symbols between which all others lie, and typical ones; none if one of them is free.
  static SmallVector<SmallVector<int64_t>> listCorners(nn::KernelDefOp kernel) {
    constexpr uint64_t kMaxSymbols = 6;
    ArrayRef<int64_t> lower = getValues(kernel, kernels::kLowerAttr), upper = getValues(kernel, kernels::kUpperAttr);
    uint64_t numSymbols = kernel.getNumSymbols();
    if (upper.empty() || lower.empty() || numSymbols > kMaxSymbols)
      return {};
    SmallVector<SmallVector<int64_t>> corners = {SmallVector<int64_t>(getValues(kernel, kernels::kTypicalAttr))};
    for (uint64_t corner = 0; corner < uint64_t(1) << numSymbols; ++corner) {
      SmallVector<int64_t> &values = corners.emplace_back();
      for (uint64_t i = 0; i < numSymbols; ++i)
        values.push_back(corner >> i & 1 ? upper[i] : std::max<int64_t>(lower[i], 1));
    }
    return corners;
  }

  mutable std::mutex mutex;
  mutable std::unique_ptr<onednn::Library> library;
};

} // namespace

std::unique_ptr<kernels::LibraryTable> penstock::createOneDnnTable() { return std::make_unique<OneDnnTable>(); }
