//===- PackingTest.cpp - Weights packed ahead of time -----------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Kernels whose weights come packed as oneDNN wants them at the typical extents, and whose scratch memory is their
// workspace.
//
//===----------------------------------------------------------------------===//

#include "Layout.h"
#include "OneDnnHarness.h"

#include "penstock/Target/TargetBackend.h"

#include "gmock/gmock.h"
#include <cmath>
#include <malloc.h>
#include <thread>

extern "C" void omp_set_num_threads(int numThreads);

using namespace penstock;
using namespace penstock::test;
using namespace penstock::rt;
using testing::HasSubstr;
using Tag = dnnl::memory::format_tag;

namespace {

// Layouts as text.

TEST(OneDnnLayout, SaysWhatOneDnnMeans) {
  struct Case {
    dnnl::memory::dims dims;
    Tag tag;
    const char *text;
  };
  const Case cases[] = {{{40, 25}, Tag::ab, "ab"},
                        {{40, 25}, Tag::ba, "ba"},
                        {{8, 3, 5, 5}, Tag::acdb, "acdb"},
                        {{40, 25}, Tag::BA16a64b, "BA16a64b"},
                        {{24, 16, 3, 3}, Tag::ABcd16b16a, "ABcd16b16a"},
                        {{24, 16, 3, 3}, Tag::ABcd8b8a, "ABcd8b8a"},
                        {{32, 1, 1, 3, 3}, Tag::Abcde16a, "Abcde16a"}};
  for (const Case &c : cases) {
    dnnl::memory::desc desc(c.dims, dnnl::memory::data_type::f32, c.tag), again;
    EXPECT_EQ(onednn::formatLayout(desc), c.text);
    EXPECT_TRUE(onednn::parseLayout(c.dims, c.text, again)) << c.text;
    EXPECT_TRUE(again == desc) << c.text;
  }
  // Axes of extent 1 have the stride of another one; the text still means the same bytes.
  dnnl::memory::desc flat({24, 1, 1, 16}, dnnl::memory::data_type::f32, Tag::acdb), again;
  ASSERT_NE(onednn::formatLayout(flat), "");
  EXPECT_TRUE(onednn::parseLayout({24, 1, 1, 16}, onednn::formatLayout(flat), again) && again == flat);
}

TEST(OneDnnLayout, RefusesWhatIsNone) {
  dnnl::memory::desc desc;
  for (const char *text :
       {"", "a", "aa", "abc", "AB", "ab16a", "Ab16", "Ab16c", "Ab1a", "Ab0a", "Ab999999999999a", "a b", "xy"})
    EXPECT_FALSE(onednn::parseLayout({40, 25}, text, desc)) << text;
  dnnl::memory::desc gaps({4, 5}, dnnl::memory::data_type::f32, dnnl::memory::dims{10, 1});
  EXPECT_EQ(onednn::formatLayout(gaps), "");
}

// Kernels.

/// rows x 40 times 40 x 25, and tanh; the right side is a weight.
KernelText productText(const std::string &rows) {
  KernelText text;
  text.inputs = {tensorType(rows + "x40"), tensorType("40x25")};
  text.types = {tensorType(rows + "x25")};
  text.body = "%c = nn.matmul %0, %1 : " + text.inputs[0] + ", " + text.inputs[1] +
              "\n%r = nn.unary tanh %c : " + text.types[0];
  return text;
}

/// batch x 16 x 9 x 9 with 24 filters of 3x3.
KernelText convText(const std::string &batch) {
  KernelText text;
  text.inputs = {tensorType(batch + "x16x9x9"), tensorType("24x16x3x3")};
  text.types = {tensorType(batch + "x24x9x9")};
  text.body = "%r = nn.conv %0, %1 {strides = array<i64: 1, 1>, dilations = array<i64: 1, 1>, "
              "pads = array<i64: 1, 1, 1, 1>, group = 1 : i64} : " +
              text.inputs[0] + ", " + text.inputs[1];
  return text;
}

/// The text with what a module says of the kernel's symbols.
std::string withShapes(std::string text, const std::string &shapes) {
  std::string place = "symbols 4 {";
  return text.replace(text.find(place), place.size(), "symbols 4 attributes {" + shapes + "} {");
}
const char *const kTypical = "kernel.typical = array<i64: 3, 1, 1, 1>";
const char *const kBounded = "kernel.typical = array<i64: 3, 1, 1, 1>, kernel.lower = array<i64: 1, 1, 1, 1>, "
                             "kernel.upper = array<i64: 17, 1, 1, 1>";

/// What a kernel gives with the weight packed is what it gives when the weight is an input.
void expectSameNumbers(const KernelText &text, const std::string &shapes, int64_t rows) {
  auto unpacked = makeLibraryKernel(text.str());
  std::vector<Array> inputs = unpacked->randomInputs({rows, 1, 1, 1});
  std::vector<double> expected = unpacked->run(inputs, {rows, 1, 1, 1})[0].values;
  auto kernel = makeLibraryKernel(shapes.empty() ? withWeight(text, 1) : withShapes(withWeight(text, 1), shapes));
  ASSERT_EQ(kernel->compiled.kind, "library");
  std::vector<double> got = kernel->run(packInputs(*kernel, inputs), {rows, 1, 1, 1})[0].values;
  ASSERT_EQ(got.size(), expected.size());
  double largest = 0;
  for (double value : expected)
    largest = std::max(largest, std::abs(value));
  for (size_t i = 0; i < got.size(); ++i)
    ASSERT_NEAR(got[i], expected[i], 4e-6 * std::max(1.0, largest)) << text.body;
}

TEST(OneDnn, PackedWeightsGiveTheSameNumbers) {
  for (int64_t rows : {1, 3, 5, 64}) {
    expectSameNumbers(productText("s0"), kTypical, rows);
    expectSameNumbers(convText("s0"), kTypical, rows);
  }
  expectSameNumbers(productText("5"), "", 1);
  expectSameNumbers(convText("2"), "", 1);
}

/// Extents of what oneDNN's log says was reordered.
std::vector<std::string> listReorders(const std::string &log) {
  std::vector<std::string> found;
  llvm::SmallVector<llvm::StringRef> lines, fields;
  llvm::StringRef(log).split(lines, '\n');
  for (llvm::StringRef line : lines) {
    fields.clear();
    line.split(fields, ',');
    if (fields.size() > 9 && fields[1] == "exec" && fields[3] == "reorder")
      found.push_back(fields[9].str());
  }
  return found;
}

/// oneDNN's log of a run.
std::string logOf(Kernel &kernel, const std::vector<Array> &inputs, const std::vector<int64_t> &symbols) {
  testing::internal::CaptureStdout();
  dnnl::set_verbose(1);
  kernel.run(inputs, symbols);
  dnnl::set_verbose(0);
  std::fflush(stdout);
  return testing::internal::GetCapturedStdout();
}

// At the typical extents nothing is done to packed weights; without packing the log shows that something is.
TEST(OneDnn, NoReorderOfPackedWeights) {
  KernelText text = convText("s0");
  auto kernel = makeLibraryKernel(withShapes(withWeight(text, 1), kTypical));
  ASSERT_FALSE(kernel->compiled.packing.empty());
  std::vector<Array> inputs = kernel->randomInputs({3, 1, 1, 1});
  std::string log = logOf(*kernel, packInputs(*kernel, inputs), {3, 1, 1, 1});
  EXPECT_THAT(log, HasSubstr("exec,cpu,convolution"));
  EXPECT_THAT(listReorders(log), testing::Not(testing::Contains("24x16x3x3"))) << log;
  EXPECT_EQ(currentLibrary()->usage().packedBytes, 0u);
  auto late = makeLibraryKernel(withWeight(text, 1));
  log = logOf(*late, inputs, {3, 1, 1, 1});
  EXPECT_THAT(listReorders(log), testing::Contains("24x16x3x3")) << log;
  EXPECT_GT(currentLibrary()->usage().packedBytes, 0u);
}

// Whatever differs from what the kernel was made with is an error, never a silent repack.
TEST(OneDnn, RefusesAnotherVersionOrLayout) {
  auto kernel = makeLibraryKernel(withWeight(convText("2"), 1));
  ASSERT_FALSE(kernel->compiled.packing.empty());
  std::vector<Array> inputs = packInputs(*kernel, kernel->randomInputs({1, 1, 1, 1}));
  auto run = [&](const std::function<void(rt_dnnl_desc &)> &alter) {
    return runAltered(*kernel, inputs, {1, 1, 1, 1}, alter);
  };
  auto setLayout = [](const char *text) { return [=](rt_dnnl_desc &desc) { std::strcpy(desc.packed, text); }; };
  EXPECT_EQ(run([](rt_dnnl_desc &) {}), "");
  EXPECT_THAT(run([](rt_dnnl_desc &desc) { desc.library_version = 20704; }),
              HasSubstr("made for oneDNN 2.7.4, and oneDNN " + onednn::version() + " is loaded"));
  EXPECT_THAT(run(setLayout("dcba")), HasSubstr("and they were packed in layout 'dcba'"));
  EXPECT_THAT(run(setLayout("abc")), HasSubstr("packed weights of an unknown layout"));
  EXPECT_THAT(run([](rt_dnnl_desc &desc) { std::fill_n(desc.packed, RT_DNNL_LAYOUT_BYTES, 'a'); }),
              HasSubstr("packed weights of an unknown layout"));
  EXPECT_THAT(run([](rt_dnnl_desc &desc) { desc.isa = 77; }), HasSubstr("instruction set 77"));
}

TEST(OneDnn, RefusesToPackForAnotherLibrary) {
  llvm::Expected<std::unique_ptr<TargetBackend>> target = createCpuTarget("native");
  ASSERT_TRUE(bool(target));
  mlir::MLIRContext context;
  context.loadDialect<nn::NNDialect>();
  auto pack = [&](const std::string &library, const std::string &layout) {
    mlir::Builder builder(&context);
    std::vector<char> from(4000), to(4000);
    auto packing =
        nn::PackingAttr::get(&context, builder.getStringAttr(library), builder.getStringAttr(layout), to.size());
    return llvm::toString((*target)->getLibrary()->pack(packing, from, to));
  };
  std::string own = "oneDNN " + onednn::version();
  EXPECT_EQ(pack(own, "40x25 ab to ba"), "");
  EXPECT_THAT(pack("oneDNN 1.0.0", "40x25 ab to ba"),
              HasSubstr("packed by 'oneDNN 1.0.0', and '" + own + "' is loaded"));
  EXPECT_THAT(pack(own, "40xq ab to ba"), HasSubstr("is no packing of"));
  EXPECT_THAT(pack(own, "40x25 ab to bc"), HasSubstr("is no layout of 2 axes"));
  EXPECT_THAT(pack(own, "40x26 ab to ba"), HasSubstr("expected 4000 and 4000"));
}

/// Packs in parts of at most `maxBytes` and compares with the whole; how many parts there were.
size_t countParts(const std::string &layout, std::vector<float> source, int64_t numPacked, int64_t maxBytes) {
  llvm::Expected<std::unique_ptr<TargetBackend>> target = createCpuTarget("native");
  if (!target)
    return 0;
  const kernels::LibraryTable &library = *(*target)->getLibrary();
  mlir::MLIRContext context;
  context.loadDialect<nn::NNDialect>();
  mlir::Builder builder(&context);
  auto packing = nn::PackingAttr::get(&context, builder.getStringAttr("oneDNN " + onednn::version()),
                                      builder.getStringAttr(layout), numPacked * sizeof(float));
  std::vector<char> from(source.size() * sizeof(float)), whole(packing.getNumBytes()), joined;
  std::memcpy(from.data(), source.data(), from.size());
  llvm::cantFail(library.pack(packing, from, whole));
  std::vector<kernels::PackingPart> parts = library.split(packing, maxBytes);
  size_t position = 0;
  for (const kernels::PackingPart &part : parts) {
    std::vector<char> packed(part.packing.getNumBytes());
    llvm::cantFail(library.pack(part.packing, llvm::ArrayRef(from).slice(position, part.sourceBytes), packed));
    position += part.sourceBytes;
    joined.insert(joined.end(), packed.begin(), packed.end());
  }
  if (!parts.empty()) {
    EXPECT_EQ(position, from.size());
    EXPECT_EQ(joined, whole) << layout;
  }
  return parts.size();
}

// What is packed part by part has the bytes of the whole, the padding at its end included.
TEST(OneDnn, PartsOfPackedWeights) {
  std::vector<float> source(40 * 1000);
  for (size_t i = 0; i < source.size(); ++i)
    source[i] = static_cast<float>(i);
  EXPECT_EQ(countParts("40x1000 ba to BA16a64b", source, 48 * 1024, 48 * 64 * 4), 16u);
  EXPECT_EQ(countParts("40x1000 ba to BA16a64b", source, 48 * 1024, 48 * 64 * 4 * 5), 4u);
  EXPECT_EQ(countParts("40x1000 ba to BA16a64b", source, 48 * 1024, 1), 16u);
  EXPECT_EQ(countParts("1000x10x2x2 abcd to Acdb64a", source, 1024 * 40, 64 * 40 * 4 * 2), 8u);
  EXPECT_EQ(countParts("1000x10x2x2 abcd to ABcd16b64a", source, 1024 * 64, 1 << 30), 1u);
  // These mix all parts of the source.
  EXPECT_EQ(countParts("40x1000 ab to BA16a64b", source, 48 * 1024, 4096), 0u);
}

// The compiler asks from threads of its own, and OpenMP has a number of threads for each of them.
TEST(OneDnn, CallersThreadsDoNotMatter) {
  makeLibraryKernel(convText("2").str());
  auto build = [](const std::string &text, int numThreads) {
    std::string object;
    std::thread([&] {
      omp_set_num_threads(numThreads);
      object = makeLibraryKernel(text)->compiled.object;
    }).join();
    return object;
  };
  for (const std::string &text :
       {convText("2").str(), withWeight(convText("2"), 1), productText("64").str(), withWeight(productText("64"), 1)})
    EXPECT_TRUE(build(text, 1) == build(text, 8)) << text;
}

// Scratch memory is the workspace where the extents have bounds; no run after the first one allocates anything that
// stays.
TEST(OneDnn, NoAllocationAfterTheFirstRun) {
  // malloc's own caches move by a few hundred bytes; what every run kept would be this much at least.
  constexpr int64_t kNumRuns = 200, kLeastAllocation = 16;
  for (const KernelText &text : {convText("s0"), productText("s0")}) {
    auto kernel = makeLibraryKernel(withShapes(withWeight(text, 1), kBounded));
    EXPECT_FALSE(kernel->compiled.hasGrowingScratch);
    for (int64_t rows : {1, 3, 17}) {
      std::vector<Array> inputs = packInputs(*kernel, kernel->randomInputs({rows, 1, 1, 1}));
      for (int i = 0; i < 20; ++i) // the harness and malloc's own caches settle
        kernel->run(inputs, {rows, 1, 1, 1});
      EXPECT_EQ(currentLibrary()->usage().scratchBytes, 0u) << rows;
      int64_t numPrimitives = currentLibrary()->usage().numPrimitives;
      auto before = mallinfo2();
      for (int i = 0; i < kNumRuns; ++i)
        kernel->run(inputs, {rows, 1, 1, 1});
      auto after = mallinfo2();
      EXPECT_LT(int64_t(after.uordblks) - int64_t(before.uordblks), kNumRuns * kLeastAllocation);
      EXPECT_EQ(after.hblkhd, before.hblkhd);
      EXPECT_EQ(currentLibrary()->usage().numPrimitives, numPrimitives);
    }
  }
  auto unbounded = makeLibraryKernel(withShapes(withWeight(convText("s0"), 1), kTypical));
  EXPECT_TRUE(unbounded->compiled.hasGrowingScratch);
  EXPECT_TRUE(nn::getConstant(unbounded->compiled.workspaceBytes) == 0);
  auto fixed = makeLibraryKernel(withWeight(convText("2"), 1));
  EXPECT_GT(nn::getConstant(fixed->compiled.workspaceBytes).value_or(0), 0);
}

// An instruction set that this processor lacks is refused when the model is compiled.
TEST(CpuTarget, RefusesWhatThisProcessorLacks) {
  llvm::StringMap<bool> host;
  for (const char *feature : {"avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe"})
    host[feature] = true;
  EXPECT_EQ(llvm::toString(checkArch("x86-64-v3", host)), "");
  EXPECT_THAT(llvm::toString(checkArch("x86-64-v4", host)), HasSubstr("lacks 'avx512f'"));
  host["fma"] = false;
  EXPECT_THAT(llvm::toString(checkArch("native", host)), HasSubstr("lacks 'fma'"));
  EXPECT_THAT(llvm::toString(checkArch("vax", host)), HasSubstr("expected native, x86-64-v3 or x86-64-v4"));
}

} // namespace
