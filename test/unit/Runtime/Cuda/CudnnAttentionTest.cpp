//===- CudnnAttentionTest.cpp - Attentions as generated code asks for them -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "KernelsRun.h"
#include "Numbers.h"

#include <array>
#include <cmath>
#include <random>
#include <tuple>

using namespace testdevice;

namespace {

/// Where an operand lies: as in its own memory, or as one of the tensors that `width` numbers of a row hold.
struct Way {
  int64_t offset = 0, image = 0, head = 0, row = 0;
};

struct Case {
  Case() = default;
  /// Batch, heads, heads of the key, rows, positions, features, features of the value.
  explicit Case(std::array<int64_t, 7> sizes) {
    std::tie(batch, heads, keyHeads, rows, positions, features, valueFeatures) = std::tuple_cat(sizes);
  }

  int64_t batch = 1, heads = 2, keyHeads = 2, rows = 3, positions = 5, features = 8, valueFeatures = 8;
  std::array<int64_t, 3> mask = {1, 1, 1};
  Way query, key, value, result;

  /// Heads one after the other, as a transposed tensor has them.
  Case &lieByHead() {
    auto way = [](int64_t heads, int64_t rows, int64_t features) {
      return Way{0, heads * rows * features, rows * features, features};
    };
    query = way(heads, rows, features), key = way(keyHeads, positions, features);
    value = way(keyHeads, positions, valueFeatures), result = way(heads, rows, valueFeatures);
    return *this;
  }
  /// Heads beside each other in a row, as a product leaves them.
  Case &lieByRow() {
    auto way = [](int64_t heads, int64_t rows, int64_t features) {
      return Way{0, heads * rows * features, features, heads * features};
    };
    query = way(heads, rows, features), key = way(keyHeads, positions, features);
    value = way(keyHeads, positions, valueFeatures), result = way(heads, rows, valueFeatures);
    return *this;
  }
  std::vector<int64_t> extents() const {
    std::vector<int64_t> all = {batch, heads, keyHeads, rows, positions, features, valueFeatures};
    for (const Way &way : {query, key, value, result})
      all.insert(all.end(), {way.offset, way.image, way.head, way.row});
    all.insert(all.end(), mask.begin(), mask.end());
    return all;
  }
};

class CudnnAttentionTest : public LibraryCallsRun {
protected:
  CudnnAttentionTest() : LibraryCallsRun(RT_CUDA_ATTENTION_WORKSPACE_BYTES) {}

  /// Of bf16, without a mask; its buffers are query, key, value, mask, result, workspace.
  static rt_cuda_attention_desc describe() {
    rt_cuda_attention_desc desc = {};
    desc.version = RT_CUDA_ATTENTION_VERSION, desc.type = RT_CUDA_ATTENTION_BF16;
    std::strcpy(desc.name, "k_1");
    desc.scale = 0.25;
    desc.query = 0, desc.key = 1, desc.value = 2, desc.mask = -1, desc.result = 4, desc.workspace = 5;
    return desc;
  }
  Status load(const rt_cuda_attention_desc &desc) {
    const rt_cuda_attention_desc *list[] = {&desc};
    return kernels->dnn().load({list, 1});
  }
  static standin::Float floatOf(int64_t type) {
    return type == RT_CUDA_ATTENTION_F16 ? standin::Float::kF16 : standin::Float::kBF16;
  }

  /// Fills a buffer; numbers are those that its type can have.
  std::vector<float> draw(size_t buffer, int64_t type) {
    standin::Float kind = floatOf(type);
    std::vector<float> numbers;
    std::vector<char> bytes(kRoom);
    for (size_t at = 0; at < kRoom; at += standin::bytesOf(kind)) {
      standin::store(&bytes[at], kind, double(int(random() % 257) - 128) / 64);
      numbers.push_back(standin::load(&bytes[at], kind));
    }
    device->write(buffers[buffer], bytes.data(), bytes.size());
    return numbers;
  }
  void drawAll(const rt_cuda_attention_desc &desc) {
    query = draw(0, desc.type), key = draw(1, desc.type), value = draw(2, desc.type), mask = draw(3, desc.type);
  }
  void run(const rt_cuda_attention_desc &desc, const Case &c) {
    std::vector<int64_t> extents = c.extents();
    ASSERT_EQ(extents.size(), size_t(RT_CUDA_ATTENTION_NUM_EXTENTS));
    rt_cuda_attention(ctx.get(), &desc, buffers.data(), extents.data());
  }

  static size_t at(const Way &way, int64_t image, int64_t head, int64_t row, int64_t feature) {
    return size_t(way.offset + image * way.image + head * way.head + row * way.row + feature);
  }
  float maskAt(const rt_cuda_attention_desc &desc, const Case &c, int64_t n, int64_t h, int64_t row, int64_t k) const {
    if (desc.mask < 0)
      return 0;
    auto along = [&](size_t axis, int64_t index) { return c.mask[axis] == 1 ? 0 : index; };
    return mask[size_t(((along(0, n) * c.mask[1] + along(1, h)) * c.mask[2] + along(2, row)) * c.positions + k)];
  }
  /// One row of the result, by plain loops.
  std::vector<double> attend(const rt_cuda_attention_desc &desc, const Case &c, int64_t n, int64_t h,
                             int64_t row) const {
    int64_t shared = h / (c.heads / c.keyHeads);
    std::vector<double> weights, made(size_t(c.valueFeatures), 0.0);
    double sum = 0;
    for (int64_t k = 0; k < c.positions; ++k) {
      double score = 0;
      for (int64_t i = 0; i < c.features; ++i)
        score += double(query[at(c.query, n, h, row, i)]) * double(key[at(c.key, n, shared, k, i)]);
      weights.push_back(std::exp(score * desc.scale + maskAt(desc, c, n, h, row, k)));
      sum += weights.back();
    }
    for (int64_t k = 0; k < c.positions; ++k)
      for (int64_t i = 0; i < c.valueFeatures; ++i)
        made[size_t(i)] += weights[size_t(k)] / sum * double(value[at(c.value, n, shared, k, i)]);
    return made;
  }
  /// Waits for the attention and compares.
  void expect(const rt_cuda_attention_desc &desc, const Case &c) {
    ASSERT_FALSE(ctx->kernelFailed) << ctx->kernelMessage;
    ASSERT_NO_FATAL_FAILURE(awaitCompute());
    std::vector<char> bytes(kRoom);
    device->read(bytes.data(), buffers[size_t(desc.result)], bytes.size());
    double tolerance = desc.type == RT_CUDA_ATTENTION_F16 ? 2e-3 : 2e-2;
    for (int64_t n = 0; n < c.batch; ++n)
      for (int64_t h = 0; h < c.heads; ++h)
        for (int64_t row = 0; row < c.rows; ++row) {
          std::vector<double> made = attend(desc, c, n, h, row);
          for (int64_t i = 0; i < c.valueFeatures; ++i)
            ASSERT_NEAR(standin::load(&bytes[2 * at(c.result, n, h, row, i)], floatOf(desc.type)), made[size_t(i)],
                        tolerance)
                << "image " << n << ", head " << h << ", row " << row << ", feature " << i;
        }
  }
  void check(const rt_cuda_attention_desc &desc, const Case &c) {
    drawAll(desc);
    run(desc, c);
    expect(desc, c);
  }

  std::mt19937 random{7};
  std::vector<float> query, key, value, mask;
};

// Shapes, heads that share one of the key, features of the value of their own, and both orders of heads and rows.
TEST_F(CudnnAttentionTest, shapes) {
  rt_cuda_attention_desc desc = describe();
  ASSERT_TRUE(load(desc).ok());
  for (int64_t type : {RT_CUDA_ATTENTION_F16, RT_CUDA_ATTENTION_BF16}) {
    desc.type = type;
    check(desc, Case().lieByHead());
    check(desc, Case({2, 3, 1, 7, 5, 16, 24}).lieByRow());
    check(desc, Case({2, 6, 2, 1, 9, 8, 8}).lieByRow());
    check(desc, Case({1, 1, 1, 1, 1, 8, 8}).lieByHead());
  }
}

// Query, key and value as parts of the rows that one product has made.
TEST_F(CudnnAttentionTest, partsOfOneProduct) {
  rt_cuda_attention_desc desc = describe();
  desc.key = desc.value = desc.query;
  ASSERT_TRUE(load(desc).ok());
  Case c = Case({2, 2, 2, 5, 5, 16, 16}).lieByRow();
  c.query = {0, 5 * 96, 16, 96}, c.key = {32, 5 * 96, 16, 96}, c.value = {64, 5 * 96, 16, 96};
  drawAll(desc);
  key = value = query;
  run(desc, c);
  expect(desc, c);
}

// A mask is added; it may be the same for all images, heads and rows.
TEST_F(CudnnAttentionTest, masks) {
  rt_cuda_attention_desc desc = describe();
  ASSERT_TRUE(load(desc).ok());
  desc.mask = 3;
  for (int64_t type : {RT_CUDA_ATTENTION_F16, RT_CUDA_ATTENTION_BF16}) {
    desc.type = type;
    for (std::array<int64_t, 3> extents :
         {std::array<int64_t, 3>{2, 4, 3}, {1, 1, 3}, {2, 1, 1}, {1, 4, 1}, {1, 1, 1}}) {
      Case c({2, 4, 2, 3, 5, 8, 8});
      c.mask = extents;
      check(desc, c.lieByRow());
    }
  }
}

// A problem that comes again finds its engine, whatever the buffers are; another one has its own.
TEST_F(CudnnAttentionTest, steadyState) {
  rt_cuda_attention_desc desc = describe(), other = describe();
  other.scale = 0.5;
  ASSERT_TRUE(load(desc).ok());
  Case c = Case().lieByRow();
  run(desc, c), run(other, c);
  ASSERT_NO_FATAL_FAILURE(awaitCompute());
  int64_t numFinished = standin::numCalls("cudnnBackendFinalize");
  for (int i = 0; i < 4; ++i)
    check(desc, c), check(other, c);
  EXPECT_EQ(standin::numCalls("cudnnBackendFinalize") - numFinished, 8); // the buffers of each
  EXPECT_EQ(standin::numCalls("cudnnCreate"), 1);
  EXPECT_EQ(kernels->dnn().numPlans(), 2u);
  EXPECT_EQ(standin::numCalls("cuMemAlloc"), 1);
}

// Attentions that wait are begun in their order; new ones outside of a graph, for the library may have to load code.
TEST_F(CudnnAttentionTest, collected) {
  rt_cuda_attention_desc first = describe(), second = describe();
  second.query = second.key = 4, second.result = 3;
  ASSERT_TRUE(load(first).ok());
  Case c = Case({1, 2, 2, 5, 5, 8, 8}).lieByRow();
  kernels->collect();
  for (int64_t numCalls : {2, 4, 4}) {
    drawAll(first);
    run(first, c), run(second, c);
    EXPECT_TRUE(kernels->flush().ok());
    EXPECT_EQ(standin::numCalls("cudnnBackendExecute on"), numCalls);
    expect(first, c);
  }
  EXPECT_EQ(standin::numCalls("cuGraphLaunch"), 2);
}

// What is empty is nothing to do, but for weights of nothing.
TEST_F(CudnnAttentionTest, emptyTensors) {
  rt_cuda_attention_desc desc = describe();
  ASSERT_TRUE(load(desc).ok());
  run(desc, Case({0, 2, 2, 3, 5, 8, 8}).lieByRow()), run(desc, Case({1, 2, 2, 0, 5, 8, 8}).lieByRow());
  run(desc, Case({1, 0, 0, 3, 5, 8, 8}).lieByRow());
  EXPECT_FALSE(ctx->kernelFailed) << ctx->kernelMessage;
  EXPECT_EQ(standin::numCalls("cudnnBackendFinalize"), 0);
  run(desc, Case({1, 2, 2, 3, 0, 8, 8}).lieByRow());
  EXPECT_EQ(ctx->kernelMessage,
            "stage 0: cannot attend from 1x2x3x8 to 1x2x0x8 in kernel 'k_1': expected at least 1 position");
}

// Every failure of the library is an error that names the kernel, and nothing comes after it.
TEST_F(CudnnAttentionTest, failures) {
  rt_cuda_attention_desc desc = describe();
  Case c = Case().lieByRow();
  run(desc, c);
  EXPECT_EQ(ctx->kernelMessage, "stage 0: the attention of kernel 'k_1' was not loaded");
  ASSERT_TRUE(load(desc).ok());
  const std::string kAttend =
      "stage 0: cannot attend from 1x2x3x8 to 1x2x5x8 in kernel 'k_1' on device 0 (NVIDIA H200, sm_90): ";
  for (const char *entry : {"cudnnBackendCreateDescriptor", "cudnnBackendSetAttribute", "cudnnBackendFinalize"})
    for (int64_t number : {1, 2, 9, 21}) {
      ctx->kernelFailed = false;
      standin::failCall(entry, number, 4000);
      run(desc, c);
      EXPECT_EQ(ctx->kernelMessage, kAttend + "CUDNN_STATUS_INTERNAL_ERROR") << entry << " " << number;
    }
  ctx->kernelFailed = false;
  standin::failCall("cudnnBackendExecute", 1, 5000);
  run(desc, c);
  EXPECT_EQ(ctx->kernelMessage, "stage 0: cannot run the attention of kernel 'k_1' on device 0 (NVIDIA H200, sm_90): "
                                "CUDNN_STATUS_EXECUTION_FAILED");
  ctx->kernelFailed = false;
  Case narrow = Case({1, 2, 2, 3, 5, 12, 8}).lieByRow();
  run(desc, narrow);
  EXPECT_EQ(ctx->kernelMessage, "stage 0: cannot attend from 1x2x3x12 to 1x2x5x8 in kernel 'k_1' on device 0 (NVIDIA "
                                "H200, sm_90): cuDNN has no engine for it; some need libnvrtc.so.13");
}

// An attention of another version of the compiler; one in a role without a device.
TEST_F(CudnnAttentionTest, refusesAttentions) {
  rt_cuda_attention_desc desc = describe();
  desc.version = 9;
  EXPECT_EQ(load(desc).message(), "stage 0: kernel 'k_1' calls cuDNN with version 9, expected 1; compile the model "
                                  "again with this version");
  ctx->cudaKernels = nullptr;
  run(desc, Case().lieByRow());
  EXPECT_EQ(ctx->kernelMessage, "a kernel for a CUDA device, and this role has none");
}

} // namespace
