//===- CudnnTest.cpp - Convolutions as generated code asks for them -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "KernelsRun.h"

#include <array>
#include <random>

using namespace testdevice;

namespace {

using Shape = std::array<int64_t, 4>;

/// What a convolution should be, by plain loops.
struct Reference {
  Shape input, filter, result = {};
  std::vector<float> image, weights, bias, residual;

  Reference(const rt_cuda_convolution_desc &desc, Shape input, Shape filter) : input(input), filter(filter) {
    result = {input[0], filter[0], 0, 0};
    for (size_t i = 0; i < 2; ++i) {
      int64_t room = input[i + 2] + desc.pads_before[i] + desc.pads_after[i] - desc.dilations[i] * (filter[i + 2] - 1);
      result[i + 2] = room < 1 ? 0 : (room - 1) / desc.strides[i] + 1;
    }
    std::mt19937 random(7);
    for (auto [numbers, count] : {std::pair(&image, sizeOf(input)), std::pair(&weights, sizeOf(filter)),
                                  std::pair(&bias, filter[0]), std::pair(&residual, sizeOf(result))})
      for (int64_t i = 0; i < count; ++i)
        numbers->push_back(float(int(random() % 257) - 128) / 64);
  }
  static int64_t sizeOf(const Shape &shape) { return shape[0] * shape[1] * shape[2] * shape[3]; }
  static size_t indexOf(const Shape &shape, int64_t a, int64_t b, int64_t c, int64_t d) {
    return size_t(((a * shape[1] + b) * shape[2] + c) * shape[3] + d);
  }

  float at(const rt_cuda_convolution_desc &desc, int64_t n, int64_t k, int64_t h, int64_t w) const {
    int64_t first = k / (filter[0] / (input[1] / filter[1])) * filter[1];
    double sum = desc.bias >= 0 ? bias[size_t(k)] : 0;
    for (int64_t c = 0; c < filter[1]; ++c)
      for (int64_t i = 0; i < filter[2]; ++i)
        for (int64_t j = 0; j < filter[3]; ++j) {
          int64_t row = h * desc.strides[0] - desc.pads_before[0] + i * desc.dilations[0];
          int64_t column = w * desc.strides[1] - desc.pads_before[1] + j * desc.dilations[1];
          if (row >= 0 && row < input[2] && column >= 0 && column < input[3])
            sum +=
                double(image[indexOf(input, n, first + c, row, column)]) * double(weights[indexOf(filter, k, c, i, j)]);
        }
    sum += desc.residual >= 0 ? residual[indexOf(result, n, k, h, w)] : 0;
    return float(desc.activation == RT_CUDA_CONVOLUTION_RELU ? std::max(sum, 0.0) : sum);
  }
};

class CudnnTest : public LibraryCallsRun {
protected:
  CudnnTest() : LibraryCallsRun(RT_CUDA_CONVOLUTION_WORKSPACE_BYTES) {}

  /// A plain convolution of f32; its buffers are input, filter, bias, residual, result, workspace.
  static rt_cuda_convolution_desc describe() {
    rt_cuda_convolution_desc desc = {};
    desc.version = RT_CUDA_CONVOLUTION_VERSION, desc.type = RT_CUDA_CONVOLUTION_F32;
    std::strcpy(desc.name, "k_1");
    desc.strides[0] = desc.strides[1] = desc.dilations[0] = desc.dilations[1] = 1;
    desc.input = 0, desc.filter = 1, desc.bias = -1, desc.residual = -1, desc.result = 4, desc.workspace = 5;
    return desc;
  }
  Status load(const rt_cuda_convolution_desc &desc) {
    const rt_cuda_convolution_desc *list[] = {&desc};
    return kernels->dnn().load({list, 1});
  }

  void writeAll(const Reference &reference) {
    write(0, reference.image), write(1, reference.weights), write(2, reference.bias), write(3, reference.residual);
  }
  void run(const rt_cuda_convolution_desc &desc, const Reference &reference) {
    std::vector<int64_t> extents(reference.input.begin(), reference.input.end());
    extents.insert(extents.end(), reference.filter.begin(), reference.filter.end());
    extents.insert(extents.end(), {reference.result[2], reference.result[3], RT_CUDA_CONVOLUTION_WORKSPACE_BYTES});
    ASSERT_EQ(extents.size(), size_t(RT_CUDA_CONVOLUTION_NUM_EXTENTS));
    rt_cuda_convolution(ctx.get(), &desc, buffers.data(), extents.data());
  }
  /// Waits for the convolution and compares.
  void expect(const rt_cuda_convolution_desc &desc, const Reference &reference) {
    const Shape &shape = reference.result;
    std::vector<float> result(size_t(Reference::sizeOf(shape)));
    ASSERT_NO_FATAL_FAILURE(read(size_t(desc.result), result));
    for (int64_t n = 0; n < shape[0]; ++n)
      for (int64_t k = 0; k < shape[1]; ++k)
        for (int64_t h = 0; h < shape[2]; ++h)
          for (int64_t w = 0; w < shape[3]; ++w)
            ASSERT_NEAR(result[Reference::indexOf(shape, n, k, h, w)], reference.at(desc, n, k, h, w), 1e-5)
                << "image " << n << ", filter " << k << ", row " << h << ", column " << w;
  }
  /// The same numbers with the channels behind the width.
  static std::vector<float> turned(const std::vector<float> &numbers, const Shape &shape) {
    std::vector<float> result(numbers.size());
    for (int64_t n = 0; n < shape[0]; ++n)
      for (int64_t c = 0; c < shape[1]; ++c)
        for (int64_t h = 0; h < shape[2]; ++h)
          for (int64_t w = 0; w < shape[3]; ++w)
            result[size_t(((n * shape[2] + h) * shape[3] + w) * shape[1] + c)] =
                numbers[Reference::indexOf(shape, n, c, h, w)];
    return result;
  }
  /// A convolution of images and filters with their channels last has the numbers of the other, turned.
  void checkTurned(rt_cuda_convolution_desc desc, Shape input, Shape filter) {
    Reference reference(desc, input, filter);
    Shape shape = reference.result;
    write(0, turned(reference.image, input)), write(1, turned(reference.weights, filter));
    write(2, reference.bias), write(3, turned(reference.residual, shape));
    desc.channels_last = 1;
    run(desc, reference);
    std::vector<float> expected, result(size_t(Reference::sizeOf(shape)));
    for (int64_t n = 0; n < shape[0]; ++n)
      for (int64_t k = 0; k < shape[1]; ++k)
        for (int64_t h = 0; h < shape[2]; ++h)
          for (int64_t w = 0; w < shape[3]; ++w)
            expected.push_back(reference.at(desc, n, k, h, w));
    expected = turned(expected, shape);
    ASSERT_NO_FATAL_FAILURE(read(size_t(desc.result), result));
    for (size_t i = 0; i < expected.size(); ++i)
      ASSERT_NEAR(result[i], expected[i], 1e-5) << "element " << i;
  }
  void check(const rt_cuda_convolution_desc &desc, Shape input, Shape filter) {
    Reference reference(desc, input, filter);
    writeAll(reference);
    run(desc, reference);
    expect(desc, reference);
  }
};

// Strides, spread-out filters, zeros on both sides and on one, groups, and a filter for each channel.
TEST_F(CudnnTest, images) {
  rt_cuda_convolution_desc desc = describe();
  ASSERT_TRUE(load(desc).ok());
  check(desc, {2, 3, 9, 7}, {5, 3, 3, 2});
  desc.pads_before[0] = desc.pads_after[0] = 1, desc.pads_before[1] = desc.pads_after[1] = 2;
  check(desc, {2, 3, 9, 7}, {5, 3, 3, 5});
  desc.strides[0] = 2, desc.strides[1] = 3;
  check(desc, {1, 4, 9, 7}, {6, 2, 3, 5});
  desc.dilations[0] = 2, desc.dilations[1] = 1;
  check(desc, {1, 4, 9, 7}, {8, 1, 3, 5});
  desc.pads_before[0] = 0, desc.pads_before[1] = 1;
  check(desc, {3, 4, 9, 7}, {4, 1, 2, 5});
}

// What is done to each element, as the library's engines do it together.
TEST_F(CudnnTest, epilogues) {
  rt_cuda_convolution_desc desc = describe();
  ASSERT_TRUE(load(desc).ok());
  desc.bias = 2;
  for (int64_t residual : {-1, 3})
    for (int64_t activation : {RT_CUDA_CONVOLUTION_NO_ACTIVATION, RT_CUDA_CONVOLUTION_RELU}) {
      desc.residual = residual, desc.activation = activation;
      check(desc, {2, 3, 6, 5}, {4, 3, 2, 2});
    }
}

// Images and filters with their channels last.
TEST_F(CudnnTest, channelsLast) {
  rt_cuda_convolution_desc desc = describe();
  ASSERT_TRUE(load(desc).ok());
  checkTurned(desc, {2, 3, 9, 7}, {5, 3, 3, 2});
  checkTurned(desc, {2, 4, 5, 5}, {6, 2, 1, 1});
  desc.bias = 2, desc.residual = 3, desc.activation = RT_CUDA_CONVOLUTION_RELU;
  desc.pads_before[0] = desc.pads_after[0] = desc.pads_before[1] = desc.pads_after[1] = 1;
  checkTurned(desc, {2, 4, 9, 7}, {4, 1, 3, 3});
  checkTurned(desc, {1, 3, 1, 9}, {4, 3, 3, 3});
  check(desc, {2, 4, 9, 7}, {4, 1, 3, 3}); // the same problem in the other order is another one
}

// TF32 rounds the factors, and only where it is allowed.
TEST_F(CudnnTest, tf32OnRequest) {
  rt_cuda_convolution_desc desc = describe();
  ASSERT_TRUE(load(desc).ok());
  Reference exact(desc, {1, 1, 1, 1}, {1, 1, 1, 1}), rounded = exact;
  exact.image[0] = 1 + 1.0f / 4096, exact.weights[0] = rounded.weights[0] = rounded.image[0] = 1;
  writeAll(exact);
  run(desc, exact);
  expect(desc, exact);
  desc.allows_tf32 = 1;
  run(desc, exact);
  expect(desc, rounded);
}

// A problem that comes again finds its engine; another one has its own, and old ones are forgotten at last.
TEST_F(CudnnTest, steadyState) {
  rt_cuda_convolution_desc desc = describe(), other = describe();
  std::strcpy(other.name, "k_2");
  ASSERT_TRUE(load(desc).ok());
  Reference reference(desc, {1, 3, 6, 5}, {4, 3, 2, 2}), larger(desc, {2, 3, 6, 5}, {4, 3, 2, 2});
  writeAll(larger);
  run(desc, reference), run(desc, larger);
  int64_t numFinished = standin::numCalls("cudnnBackendFinalize");
  for (int i = 0; i < 4; ++i)
    run(desc, reference), run(other, larger);
  EXPECT_EQ(standin::numCalls("cudnnBackendFinalize") - numFinished, 8); // the buffers of each
  EXPECT_EQ(standin::numCalls("cudnnBackendExecute on"), 10);
  EXPECT_EQ(standin::numCalls("cudnnCreate"), 1);
  EXPECT_EQ(standin::numCalls("cuMemAlloc"), 1);
  for (int64_t width = 1; width <= int64_t(CudaDnn::kMaxPlans) + 9; ++width)
    run(desc, Reference(desc, {1, 1, 1, width}, {1, 1, 1, 1}));
  EXPECT_FALSE(ctx->kernelFailed) << ctx->kernelMessage;
  EXPECT_EQ(kernels->dnn().numPlans(), size_t(CudaDnn::kMaxPlans));
}

// Convolutions that wait are begun in their order, beside products; new ones outside of a graph, for the library may
// have to load code.
TEST_F(CudnnTest, collected) {
  rt_cuda_convolution_desc first = describe(), second = describe();
  second.input = 4, second.filter = 2, second.result = 3;
  ASSERT_TRUE(load(first).ok());
  Reference image(first, {1, 2, 6, 5}, {4, 2, 2, 2}), next(second, {1, 4, 5, 4}, {3, 4, 1, 1});
  for (size_t i = 0; i < next.image.size(); ++i)
    next.image[i] = image.at(first, 0, int64_t(i) / 20, int64_t(i) / 4 % 5, int64_t(i) % 4);
  writeAll(image);
  write(2, next.weights);
  kernels->collect();
  for (int64_t numCalls : {2, 4, 4}) {
    run(first, image), run(second, next);
    EXPECT_TRUE(kernels->flush().ok());
    EXPECT_EQ(standin::numCalls("cudnnBackendExecute on"), numCalls);
    expect(second, next);
  }
  EXPECT_EQ(standin::numCalls("cuGraphLaunch"), 2);
}

// What is empty is nothing to do, but for sums over nothing, which the library does not have.
TEST_F(CudnnTest, emptyImages) {
  rt_cuda_convolution_desc desc = describe();
  ASSERT_TRUE(load(desc).ok());
  run(desc, Reference(desc, {0, 3, 6, 5}, {4, 3, 2, 2})), run(desc, Reference(desc, {1, 3, 1, 5}, {4, 3, 2, 2}));
  EXPECT_FALSE(ctx->kernelFailed) << ctx->kernelMessage;
  EXPECT_EQ(standin::numCalls("cudnnBackendFinalize"), 0);
  Reference none(desc, {1, 1, 6, 5}, {4, 1, 2, 2});
  none.input[1] = none.filter[1] = 0;
  run(desc, none);
  EXPECT_EQ(ctx->kernelMessage,
            "stage 0: cannot convolve 1x0x6x5 with 4x0x2x2 in kernel 'k_1': expected extents of at least 1");
}

// Every failure of the library is an error that names the kernel, and nothing comes after it.
TEST_F(CudnnTest, failures) {
  rt_cuda_convolution_desc desc = describe();
  Reference reference(desc, {1, 3, 6, 5}, {4, 3, 2, 2});
  run(desc, reference);
  EXPECT_EQ(ctx->kernelMessage, "stage 0: the convolution of kernel 'k_1' was not loaded");
  standin::failCall("cudnnCreate", 1, 4000);
  EXPECT_EQ(load(desc).message(), "stage 0: kernel 'k_1' needs cuDNN on device 0 (NVIDIA H200, sm_90): libcudnn.so.9 "
                                  "does not start: CUDNN_STATUS_INTERNAL_ERROR");
  ASSERT_TRUE(load(desc).ok());
  desc.bias = 2, desc.activation = RT_CUDA_CONVOLUTION_RELU;
  const std::string kConvolve =
      "stage 0: cannot convolve 1x3x6x5 with 4x3x2x2 in kernel 'k_1' on device 0 (NVIDIA H200, sm_90): ";
  ctx->kernelFailed = false;
  standin::failCall("cudnnBackendFinalize", 1, 3002);
  run(desc, reference);
  EXPECT_EQ(ctx->kernelMessage, kConvolve + "cuDNN has no engine for it; some need libnvrtc.so.13");
  for (const char *entry : {"cudnnBackendCreateDescriptor", "cudnnBackendSetAttribute", "cudnnBackendFinalize"})
    for (int64_t number : {1, 2, 7, 9}) {
      ctx->kernelFailed = false;
      standin::failCall(entry, number, 4000);
      run(desc, reference);
      EXPECT_EQ(ctx->kernelMessage, kConvolve + "CUDNN_STATUS_INTERNAL_ERROR") << entry << " " << number;
    }
  for (int64_t number = 1; number <= 4; ++number) { // how many engines, which, and what they are
    ctx->kernelFailed = false;
    standin::failCall("cudnnBackendGetAttribute", number, 4000);
    run(desc, reference);
    EXPECT_EQ(ctx->kernelMessage, kConvolve + "CUDNN_STATUS_INTERNAL_ERROR") << number;
  }
  EXPECT_EQ(standin::numCalls("cudnnBackendExecute on"), 0);
  ctx->kernelFailed = false;
  standin::failCall("cudnnBackendExecute", 1, 5000);
  run(desc, reference);
  EXPECT_EQ(ctx->kernelMessage, "stage 0: cannot run the convolution of kernel 'k_1' on device 0 (NVIDIA H200, "
                                "sm_90): CUDNN_STATUS_EXECUTION_FAILED");
  run(desc, reference);
  EXPECT_EQ(standin::numCalls("cudnnBackendExecute on"), 1);
}

// What the library's engines do not do together has none, and the error says so.
TEST_F(CudnnTest, noEngine) {
  rt_cuda_convolution_desc desc = describe();
  ASSERT_TRUE(load(desc).ok());
  desc.activation = RT_CUDA_CONVOLUTION_RELU;
  run(desc, Reference(desc, {1, 3, 6, 5}, {4, 3, 2, 2}));
  EXPECT_EQ(ctx->kernelMessage, "stage 0: cannot convolve 1x3x6x5 with 4x3x2x2 in kernel 'k_1' on device 0 (NVIDIA "
                                "H200, sm_90): cuDNN has no engine for it; some need libnvrtc.so.13");
}

// A convolution of another version of the compiler; one in a role without a device.
TEST_F(CudnnTest, refusesConvolutions) {
  rt_cuda_convolution_desc desc = describe();
  desc.version = 9;
  EXPECT_EQ(load(desc).message(), "stage 0: kernel 'k_1' calls cuDNN with version 9, expected 2; compile the model "
                                  "again with this version");
  ctx->cudaKernels = nullptr;
  run(desc, Reference(desc, {1, 1, 1, 1}, {1, 1, 1, 1}));
  EXPECT_EQ(ctx->kernelMessage, "a kernel for a CUDA device, and this role has none");
}

// Executables without convolutions open no library.
TEST_F(CudnnTest, openedWhenUsed) {
  EXPECT_TRUE(kernels->load({}).ok());
  EXPECT_EQ(standin::numCalls("cudnn"), 0);
}

// The stand-in finds what cuDNN would answer with wrong numbers.
TEST(CudnnStandin, findsMisuse) {
  standin::reset();
  auto device = std::make_unique<OpenDevice>();
  std::unique_ptr<DeviceStage> stage;
  ASSERT_TRUE(DeviceStage::open(device->table, "stage 0", {{"arena", 4096}, {"other", 4096}}, Watch(), stage).ok());
  const Device &table = device->table;
  char error[64] = "";
  ASSERT_EQ(table.openDnn(table.self, error, sizeof(error)), 0);
  ConvolutionProblem convolution;
  convolution.input = convolution.result = {1, 1, 2, 2}, convolution.filter = {1, 1, 1, 1};
  convolution.workspaceBytes = 256;
  DnnProblem problem = convolution;
  void *plan = nullptr;
  ASSERT_EQ(table.makeDnnPlan(table.self, &problem, &plan), 0);
  auto *arena = static_cast<char *>(stage->part(0));
  ConvolutionBuffers buffers;
  auto use = [&](size_t input, size_t filter, size_t result) {
    buffers.input = arena + input, buffers.filter = arena + filter, buffers.result = arena + result;
    buffers.workspace = stage->part(1);
    DnnBuffers all = buffers;
    return table.runDnnPlan(table.self, plan, &all, stage->compute().handle);
  };
  EXPECT_EQ(stage->runGraph({0}, [&] { return use(0, 64, 128), Status(); }).code(), Code::kOk);
  EXPECT_EQ(use(0, 64, 128), 0);
  EXPECT_EQ(use(0, 64, 64), 0);
  EXPECT_EQ(use(0, 68, 192), 0);
  EXPECT_EQ(
      standin::faults(),
      (std::vector<std::string>{"out of place: an engine of cuDNN is used for the first time while a graph is recorded",
                                "out of place: a convolution is written over what it reads",
                                "out of place: a tensor that is not aligned as was said when the engine was chosen"}));
  EXPECT_EQ(table.dropDnnPlan(table.self, plan), 0);
  stage.reset(), device.reset();
  standin::reset();
}

} // namespace
