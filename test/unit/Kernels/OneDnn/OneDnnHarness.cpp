//===- OneDnnHarness.cpp - Library kernels in this process ------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "OneDnnHarness.h"

#include "penstock/Target/TargetBackend.h"

#include "llvm/ADT/StringExtras.h"

using namespace penstock;
using namespace penstock::test;

static const kernels::LibraryTable &getTable() {
  static std::unique_ptr<TargetBackend> target = llvm::cantFail(createCpuTarget("native"));
  return *target->getLibrary();
}

std::unique_ptr<rt::onednn::Library> &test::currentLibrary() {
  static std::unique_ptr<rt::onednn::Library> library;
  return library;
}

namespace {
/// Set while descriptors are changed before they are run.
struct Alteration {
  std::function<void(rt_dnnl_desc &)> alter;
  std::string error;
};
} // namespace

static Alteration &currentAlteration() {
  static Alteration alteration;
  return alteration;
}

static void runKernel(rt_ctx *, const rt_dnnl_desc *desc, void *const *buffers, const int64_t *extents) {
  Alteration &alteration = currentAlteration();
  if (!alteration.alter) {
    EXPECT_EQ(currentLibrary()->run(*desc, buffers, extents), "");
    return;
  }
  auto altered = std::make_unique<rt_dnnl_desc>(*desc);
  alteration.alter(*altered);
  alteration.error = rt::onednn::Library(1).run(*altered, buffers, extents);
}

std::string test::runAltered(Kernel &kernel, const std::vector<Array> &inputs, const std::vector<int64_t> &symbols,
                             const std::function<void(rt_dnnl_desc &)> &alter) {
  currentAlteration() = {alter, ""};
  kernel.run(inputs, symbols);
  std::string error = currentAlteration().error;
  currentAlteration() = {};
  return error;
}

std::vector<Array> test::packInputs(const Kernel &kernel, std::vector<Array> inputs) {
  for (auto [i, attribute] : llvm::enumerate(kernel.compiled.packing)) {
    auto packing = mlir::dyn_cast<nn::PackingAttr>(attribute);
    if (!packing)
      continue;
    std::vector<float> given(inputs[i].values.begin(), inputs[i].values.end()),
        packed(packing.getNumBytes() / sizeof(float));
    auto bytes = [](std::vector<float> &values) {
      return llvm::MutableArrayRef<char>(reinterpret_cast<char *>(values.data()), values.size() * sizeof(float));
    };
    llvm::cantFail(getTable().pack(packing, bytes(given), bytes(packed)));
    inputs[i] = {{packing.getNumBytes() / 4}, std::vector<double>(packed.begin(), packed.end())};
  }
  return inputs;
}

std::unique_ptr<Kernel> test::makeLibraryKernel(const std::string &text) {
  auto kernel = std::make_unique<Kernel>(
      text, hostProfile(), &getTable(),
      std::vector<std::pair<std::string, void *>>{{"rt_dnnl_run", reinterpret_cast<void *>(&runKernel)}});
  EXPECT_TRUE(kernel->ok()) << kernel->error;
  currentLibrary() = std::make_unique<rt::onednn::Library>(1);
  return kernel;
}

std::string test::withWeight(const KernelText &text, size_t index) {
  std::string arguments, inputs, names;
  for (size_t i = 0; i < text.inputs.size(); ++i) {
    if (i != index)
      arguments += "%a" + std::to_string(i) + ": " + text.inputs[i] + ", ";
    names += (i ? ", %a" : "%a") + std::to_string(i);
    inputs += (i ? ", " : "") + text.inputs[i];
  }
  // The range of the file must have the tensor's size.
  int64_t bytes = 4;
  llvm::SmallVector<llvm::StringRef> parts;
  llvm::StringRef(text.inputs[index]).drop_front(7).split(parts, 'x');
  for (llvm::StringRef part : parts) {
    int64_t extent;
    if (!part.getAsInteger(10, extent))
      bytes *= extent;
  }
  const std::string &type = text.inputs[index], &result = text.types[0];
  return text.str() + "nn.weight @w : " + type + " from <\"w\", 0, " + std::to_string(bytes) + ">\n" +
         "func.func @use(" + arguments + "%o: " + result + ") -> " + result + " {\n  %a" + std::to_string(index) +
         " = nn.load_weight @w : " + type + "\n  %r = nn.call @kernel ins(" + names + " : " + inputs +
         ") outs(%o : " + result + ") symbols #nn.extents<[s0, s1, s2, s3]> -> " + result +
         "\n  return %r : " + result + "\n}\n";
}
