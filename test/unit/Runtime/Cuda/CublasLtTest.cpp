//===- CublasLtTest.cpp - Products as generated code asks for them -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "Folder.h"
#include "KernelsRun.h"

#include <cmath>
#include <filesystem>
#include <fstream>
#include <random>
#include <sys/stat.h>

using namespace testdevice;

namespace {

/// What a product should be, by plain loops over row-major matrices.
struct Reference {
  int64_t batch = 1, rows, inner, columns;
  std::vector<float> lhs, rhs, bias, residual;

  Reference(int64_t batch, int64_t rows, int64_t inner, int64_t columns)
      : batch(batch), rows(rows), inner(inner), columns(columns) {
    std::mt19937 random(7);
    for (auto [numbers, count] : {std::pair(&lhs, batch * rows * inner), std::pair(&rhs, batch * inner * columns),
                                  std::pair(&bias, columns), std::pair(&residual, batch * rows * columns)})
      for (int64_t i = 0; i < count; ++i)
        numbers->push_back(float(int(random() % 257) - 128) / 64);
  }

  float at(const rt_cuda_product_desc &desc, int64_t b, int64_t i, int64_t k) const {
    int64_t left = desc.repeats_lhs ? 0 : b * rows * inner, right = desc.repeats_rhs ? 0 : b * inner * columns;
    double sum = 0;
    for (int64_t j = 0; j < inner; ++j)
      sum += double(lhs[size_t(left + (desc.transposes_lhs ? j * rows + i : i * inner + j))]) *
             double(rhs[size_t(right + (desc.transposes_rhs ? k * inner + j : j * columns + k))]);
    sum = desc.alpha * sum + (desc.bias >= 0 ? bias[size_t(k)] : 0) +
          (desc.residual >= 0 ? residual[size_t((b * rows + i) * columns + k)] : 0);
    if (desc.activation == RT_CUDA_PRODUCT_RELU)
      return float(std::max(sum, 0.0));
    if (desc.activation == RT_CUDA_PRODUCT_GELU_TANH)
      return float(sum * (1 + std::tanh(0.7978845608028654 * (sum + 0.044715 * sum * sum * sum))) / 2);
    return float(sum);
  }
};

class CublasLtTest : public LibraryCallsRun {
protected:
  CublasLtTest() : LibraryCallsRun(RT_CUDA_PRODUCT_WORKSPACE_BYTES) {}

  /// A plain product of f32; its buffers are lhs, rhs, bias, residual, result, workspace.
  static rt_cuda_product_desc describe() {
    rt_cuda_product_desc desc = {};
    desc.version = RT_CUDA_PRODUCT_VERSION, desc.type = RT_CUDA_PRODUCT_F32, desc.alpha = 1;
    std::strcpy(desc.name, "k_1");
    desc.lhs = 0, desc.rhs = 1, desc.bias = -1, desc.residual = -1, desc.result = 4, desc.workspace = 5;
    return desc;
  }
  Status load(const rt_cuda_product_desc &desc) {
    const rt_cuda_product_desc *list[] = {&desc};
    return kernels->products().load({list, 1});
  }

  void writeAll(const Reference &reference) {
    write(0, reference.lhs), write(1, reference.rhs), write(2, reference.bias), write(3, reference.residual);
  }
  void run(const rt_cuda_product_desc &desc, const Reference &reference) {
    int64_t extents[] = {reference.batch, reference.rows, reference.inner, reference.columns};
    rt_cuda_product(ctx.get(), &desc, buffers.data(), extents);
  }
  /// Waits for the product and compares.
  void expect(const rt_cuda_product_desc &desc, const Reference &reference) {
    std::vector<float> result(size_t(reference.batch * reference.rows * reference.columns));
    ASSERT_NO_FATAL_FAILURE(read(size_t(desc.result), result));
    for (int64_t b = 0, at = 0; b < reference.batch; ++b)
      for (int64_t i = 0; i < reference.rows; ++i)
        for (int64_t k = 0; k < reference.columns; ++k, ++at)
          EXPECT_NEAR(result[size_t(at)], reference.at(desc, b, i, k), 1e-5)
              << "matrix " << b << ", row " << i << ", column " << k;
  }
};

// Both orders of both factors, one matrix and several, one factor for all of a batch.
TEST_F(CublasLtTest, layouts) {
  rt_cuda_product_desc desc = describe();
  ASSERT_TRUE(load(desc).ok());
  for (int64_t batch : {1, 3})
    for (int bits = 0; bits < 16; ++bits) {
      Reference reference(batch, 5, 7, 6);
      desc.transposes_lhs = bits & 1, desc.transposes_rhs = bits >> 1 & 1;
      desc.repeats_lhs = bits >> 2 & 1, desc.repeats_rhs = bits >> 3 & 1;
      writeAll(reference);
      run(desc, reference);
      expect(desc, reference);
    }
}

// What is done to each element, alone and together.
TEST_F(CublasLtTest, epilogues) {
  rt_cuda_product_desc desc = describe();
  ASSERT_TRUE(load(desc).ok());
  Reference reference(2, 4, 3, 9);
  writeAll(reference);
  for (int64_t bias : {-1, 2})
    for (int64_t residual : {-1, 3})
      for (int64_t activation : {RT_CUDA_PRODUCT_NO_ACTIVATION, RT_CUDA_PRODUCT_RELU, RT_CUDA_PRODUCT_GELU_TANH})
        for (double alpha : {1.0, 0.125}) {
          desc.bias = bias, desc.residual = residual, desc.activation = activation, desc.alpha = alpha;
          run(desc, reference);
          expect(desc, reference);
        }
}

// The other summand may lie where the result will.
TEST_F(CublasLtTest, residualInPlace) {
  rt_cuda_product_desc desc = describe();
  ASSERT_TRUE(load(desc).ok());
  Reference reference(1, 4, 3, 9);
  writeAll(reference);
  desc.residual = desc.result = 3;
  run(desc, reference);
  expect(desc, reference);
}

// TF32 rounds the factors, and only where it is allowed.
TEST_F(CublasLtTest, tf32OnRequest) {
  rt_cuda_product_desc desc = describe();
  ASSERT_TRUE(load(desc).ok());
  Reference exact(1, 1, 1, 1), rounded(1, 1, 1, 1);
  exact.lhs[0] = 1 + 1.0f / 4096, exact.rhs[0] = rounded.rhs[0] = rounded.lhs[0] = 1;
  writeAll(exact);
  run(desc, exact);
  expect(desc, exact);
  desc.allows_tf32 = 1;
  run(desc, exact);
  expect(desc, rounded);
}

// A problem that comes again finds its algorithm; another one has its own, and old ones are forgotten at last.
TEST_F(CublasLtTest, steadyState) {
  rt_cuda_product_desc desc = describe(), other = describe();
  std::strcpy(other.name, "k_2");
  ASSERT_TRUE(load(desc).ok());
  Reference reference(1, 5, 7, 6), longer(1, 8, 7, 6);
  writeAll(longer);
  run(desc, reference), run(desc, longer);
  int64_t numCalls = int64_t(standin::calls().size());
  for (int i = 0; i < 4; ++i)
    run(desc, reference), run(other, longer);
  EXPECT_EQ(int64_t(standin::calls().size()) - numCalls, 8); // a product each
  EXPECT_EQ(standin::numCalls("cublasLtMatmulAlgoGetHeuristic"), 2);
  EXPECT_EQ(standin::numCalls("cublasLtCreate"), 1);
  EXPECT_EQ(standin::numCalls("cuMemAlloc"), 1);
  for (int64_t rows = 1; rows <= int64_t(CudaProducts::kMaxPlans) + 9; ++rows)
    run(desc, Reference(1, rows, 1, 1));
  EXPECT_FALSE(ctx->kernelFailed) << ctx->kernelMessage;
  EXPECT_EQ(kernels->products().numPlans(), size_t(CudaProducts::kMaxPlans));
}

/// A file in a folder of its own that may be kept between starts.
class TuningTest : public CublasLtTest {
protected:
  /// A new start in which one product of each length is run: how often the heuristic is asked, and a choice is checked.
  std::pair<int64_t, int64_t> start(const std::vector<int64_t> &lengths) {
    CudaKernels again(*stage);
    ctx->cudaKernels = &again;
    rt_cuda_product_desc desc = describe();
    const rt_cuda_product_desc *list[] = {&desc};
    EXPECT_TRUE(again.products().load({list, 1}).ok());
    again.products().tune(path);
    std::pair<int64_t, int64_t> before = count();
    for (int64_t rows : lengths) {
      Reference reference(1, rows, 7, 6);
      writeAll(reference);
      run(desc, reference);
      expect(desc, reference);
    }
    again.products().keepTuning();
    ctx->cudaKernels = kernels.get();
    std::pair<int64_t, int64_t> after = count();
    return {after.first - before.first, after.second - before.second};
  }
  static std::pair<int64_t, int64_t> count() {
    return {standin::numCalls("cublasLtMatmulAlgoGetHeuristic"), standin::numCalls("cublasLtMatmulAlgoCheck")};
  }
  std::vector<std::string> lines() const {
    std::ifstream file(path);
    std::vector<std::string> found;
    for (std::string line; std::getline(file, line);)
      found.push_back(line);
    return found;
  }
  void write(const std::vector<std::string> &text) {
    std::ofstream file(path);
    for (const std::string &line : text)
      file << line << "\n";
  }
  using Counts = std::pair<int64_t, int64_t>;

  testrole::TemporaryFolder folder;
  std::string path = folder.path + "/tuning/stage-0.sm_90.txt";
};

// Algorithms of earlier starts are taken, new ones are added.
TEST_F(TuningTest, laterStarts) {
  EXPECT_EQ(start({5, 8}), (Counts{2, 0}));
  std::vector<std::string> kept = lines();
  ASSERT_EQ(kept.size(), 3u);
  EXPECT_EQ(kept[0], "penstock tuning 1: cuBLASLt 130100, NVIDIA H200");
  EXPECT_EQ(start({5, 8}), (Counts{0, 2}));
  EXPECT_EQ(lines(), kept);
  EXPECT_EQ(start({8, 9}), (Counts{1, 1}));
  EXPECT_EQ(lines().size(), 4u);
}

// A file of another library, a damaged one, and one whose algorithms are not those of its problems are no failures.
TEST_F(TuningTest, filesThatDoNotFit) {
  start({5, 8});
  const std::vector<std::string> kept = lines();
  std::vector<std::string> changed = kept;
  changed[0].replace(changed[0].find("130100"), 6, "130200");
  write(changed);
  EXPECT_EQ(start({5, 8}), (Counts{2, 0}));
  EXPECT_EQ(lines(), kept);
  for (size_t length : {size_t(0), size_t(1), size_t(20), kept[1].size() - 17}) {
    changed = kept;
    changed[1].resize(length);
    write(changed);
    EXPECT_EQ(start({5, 8}), (Counts{1, 1})) << length;
    EXPECT_EQ(lines(), kept);
  }
  changed = kept;
  size_t colon = kept[1].find(':');
  changed[1].replace(colon + 2, 4, "abcd");
  changed.insert(changed.begin() + 1, std::string(5000, '1'));
  write(changed);
  EXPECT_EQ(start({5, 8}), (Counts{1, 2})); // it was asked, and said no
  EXPECT_EQ(lines(), kept);
}

// More scratch memory than there is now.
TEST_F(TuningTest, tooMuchScratchMemory) {
  start({5});
  std::vector<std::string> kept = lines(), changed = kept;
  size_t at = changed[1].find(':') + 2 + 5 * 17;
  changed[1].replace(at, 16, "0000000100000000");
  write(changed);
  EXPECT_EQ(start({5}), (Counts{1, 1}));
  EXPECT_EQ(lines(), kept);
}

// A folder that cannot be written keeps nothing, and a pipe is not waited for.
TEST_F(TuningTest, nowhereToKeepIt) {
  std::ofstream(folder.path + "/tuning") << "a file";
  EXPECT_EQ(start({5}), (Counts{1, 0}));
  EXPECT_EQ(start({5}), (Counts{1, 0}));
  std::filesystem::remove(folder.path + "/tuning");
  std::filesystem::create_directory(folder.path + "/tuning");
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  EXPECT_EQ(start({5}), (Counts{1, 0}));
}

// Products may be part of a graph, also when a shape comes for the first time.
TEST_F(CublasLtTest, withinGraphs) {
  rt_cuda_product_desc desc = describe();
  desc.bias = 2;
  ASSERT_TRUE(load(desc).ok());
  Reference reference(1, 5, 7, 6);
  writeAll(reference);
  for (int i = 0; i < 3; ++i)
    EXPECT_TRUE(stage->runGraph({0}, [&] { return run(desc, reference), Status(); }).ok());
  EXPECT_EQ(standin::numCalls("cublasLtMatmul on"), 1);
  expect(desc, reference);
}

// Products that wait are begun in their order; new ones outside of a graph, for the library may have to load code.
TEST_F(CublasLtTest, collected) {
  rt_cuda_product_desc first = describe(), second = describe();
  second.residual = 4, second.result = 3;
  ASSERT_TRUE(load(first).ok());
  Reference product(1, 5, 7, 6), sum(1, 5, 7, 6);
  for (int64_t i = 0; i < 30; ++i)
    sum.residual[size_t(i)] = product.at(first, 0, i / 6, i % 6);
  writeAll(product);
  kernels->collect();
  for (int64_t numCalls : {2, 4, 4}) {
    run(first, product), run(second, sum);
    EXPECT_TRUE(kernels->flush().ok());
    EXPECT_EQ(standin::numCalls("cublasLtMatmul on"), numCalls);
    expect(second, sum);
  }
  EXPECT_EQ(standin::numCalls("cuGraphLaunch"), 2);
}

// What is empty is nothing to do, but for sums over nothing, which the library does not have.
TEST_F(CublasLtTest, emptyProducts) {
  rt_cuda_product_desc desc = describe();
  ASSERT_TRUE(load(desc).ok());
  run(desc, Reference(0, 5, 7, 6)), run(desc, Reference(1, 0, 7, 6)), run(desc, Reference(1, 5, 0, 0));
  EXPECT_FALSE(ctx->kernelFailed);
  EXPECT_EQ(standin::numCalls("cublasLtMatmulAlgoGetHeuristic"), 0);
  run(desc, Reference(1, 5, 0, 6));
  EXPECT_EQ(ctx->kernelMessage,
            "stage 0: kernel 'k_1' multiplies matrices with an inner extent of 0, expected at least 1");
}

// Every failure of the library is an error that names the kernel, and nothing comes after it.
TEST_F(CublasLtTest, failures) {
  rt_cuda_product_desc desc = describe();
  Reference reference(2, 5, 7, 6);
  run(desc, reference);
  EXPECT_EQ(ctx->kernelMessage, "stage 0: the product of kernel 'k_1' was not loaded");
  standin::failCall("cublasLtCreate", 1, 3);
  EXPECT_EQ(load(desc).message(),
            "stage 0: kernel 'k_1' needs cuBLASLt on device 0 (NVIDIA H200, sm_90): libcublasLt.so.13 does not start: "
            "the resource allocation failed");
  ASSERT_TRUE(load(desc).ok());
  desc.bias = 2;
  struct Failing {
    const char *entry;
    int32_t code;
    const char *words;
  };
  const char *kMultiply = "multiply 2 matrices of 5 x 7 with 7 x 6 in kernel 'k_1'";
  for (const Failing &failing : {Failing{"cublasLtMatmulAlgoGetHeuristic", 15, "cuBLASLt has no algorithm for it"},
                                 {"cublasLtMatmulAlgoGetHeuristic", 14, "an internal operation failed"},
                                 {"cublasLtMatmulDescCreate", 3, "the resource allocation failed"},
                                 {"cublasLtMatmulDescSetAttribute", 14, "an internal operation failed"},
                                 {"cublasLtMatrixLayoutCreate", 3, "the resource allocation failed"},
                                 {"cublasLtMatrixLayoutSetAttribute", 14, "an internal operation failed"},
                                 {"cublasLtMatmulPreferenceCreate", 3, "the resource allocation failed"},
                                 {"cublasLtMatmulPreferenceSetAttribute", 14, "an internal operation failed"}}) {
    ctx->kernelFailed = false;
    standin::failCall(failing.entry, 1, failing.code);
    run(desc, reference);
    EXPECT_EQ(ctx->kernelMessage,
              std::string("stage 0: cannot ") + kMultiply + " on device 0 (NVIDIA H200, sm_90): " + failing.words)
        << failing.entry;
  }
  ctx->kernelFailed = false;
  standin::failCall("cublasLtMatmul", 1, 13);
  run(desc, reference);
  EXPECT_EQ(ctx->kernelMessage, "stage 0: cannot run the product of kernel 'k_1' on device 0 (NVIDIA H200, sm_90): an "
                                "internal operation failed");
  run(desc, reference);
  EXPECT_EQ(standin::numCalls("cublasLtMatmul on"), 1);
}

// A product of another version of the compiler; one in a role without a device; one before the library is there.
TEST_F(CublasLtTest, refusesProducts) {
  rt_cuda_product_desc desc = describe();
  desc.version = 9;
  EXPECT_EQ(load(desc).message(), "stage 0: kernel 'k_1' calls cuBLASLt with version 9, expected 3; compile the model "
                                  "again with this version");
  ctx->cudaKernels = nullptr;
  run(desc, Reference(1, 1, 1, 1));
  EXPECT_EQ(ctx->kernelMessage, "a kernel for a CUDA device, and this role has none");
}

// Executables without products open no library.
TEST_F(CublasLtTest, openedWhenUsed) {
  EXPECT_TRUE(kernels->load({}).ok());
  EXPECT_EQ(standin::numCalls("cublasLt"), 0);
}

// The stand-in finds what cuBLASLt would answer with wrong numbers.
TEST(CublasLtStandin, findsMisuse) {
  standin::reset();
  auto device = std::make_unique<OpenDevice>();
  std::unique_ptr<DeviceStage> stage;
  ASSERT_TRUE(DeviceStage::open(device->table, "stage 0", {{"arena", 4096}, {"other", 4096}}, Watch(), stage).ok());
  const Device &table = device->table;
  char error[64] = "";
  ASSERT_EQ(table.openProducts(table.self, error, sizeof(error)), 0);
  ProductProblem problem;
  problem.rows = problem.inner = problem.columns = 4, problem.workspaceBytes = 256, problem.alignment = 64;
  void *plan = nullptr;
  ProductChoice choice;
  ASSERT_EQ(table.makeProduct(table.self, &problem, &choice, &plan), 0);
  EXPECT_TRUE(choice.isKnown);
  auto *arena = static_cast<char *>(stage->part(0));
  ProductBuffers buffers;
  auto use = [&](size_t lhs, size_t rhs, size_t result) {
    buffers.lhs = arena + lhs, buffers.rhs = arena + rhs, buffers.result = arena + result;
    buffers.workspace = stage->part(1);
    EXPECT_EQ(table.runProduct(table.self, plan, &buffers, stage->compute().handle), 0);
  };
  use(0, 64, 128);
  EXPECT_EQ(faultWords(), "");
  use(0, 64, 64);
  use(0, 68, 192);
  EXPECT_EQ(standin::faults(),
            (std::vector<std::string>{
                "out of place: a product is written over what it reads",
                "out of place: a factor that is not aligned as was said when the algorithm was chosen"}));
  EXPECT_EQ(table.dropProduct(table.self, plan), 0);
  stage.reset(), device.reset();
  standin::reset();
}

} // namespace
