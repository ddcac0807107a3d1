//===- OperatorTest.cpp - What each operator becomes -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// One line per case: operator set, graph, and texts that the module must hold. Attributes, versions and defaults that
// are easy to get wrong have a line of their own.
//===----------------------------------------------------------------------===//
#include "TestModels.h"
#include "gtest/gtest.h"

using namespace penstock::onnximport;

namespace {

struct Case {
  const char *name;
  int opset;
  const char *graph;
  std::vector<const char *> expected;
};

class Operator : public testing::TestWithParam<Case> {};

TEST_P(Operator, Becomes) {
  Imported m = importGraph(GetParam().graph, {}, GetParam().opset);
  ASSERT_TRUE(m.ok) << m.errors;
  for (const char *text : GetParam().expected)
    EXPECT_TRUE(m.has(text)) << "missing: " << text << "\n" << m.module;
}

const Case kElementwise[] = {
    {"LeakyReluDefault", 16, "g (float[4] x) => (float[4] z) { z = LeakyRelu(x) }", {"leaky_relu", "alpha = 0.00999"}},
    {"HardSigmoidDefaults", 16, "g (float[4] x) => (float[4] z) { z = HardSigmoid(x) }", {"alpha = 0.2", "beta = 5.0"}},
    {"GeluTanh", 20, "g (float[4] x) => (float[4] z) { z = Gelu<approximate = \"tanh\">(x) }", {"gelu_tanh"}},
    {"ClipAttributes",
     10,
     "g (float[4] x) => (float[4] z) { z = Clip<min = 0.0, max = 6.0>(x) }",
     {"maximum", "minimum", "dense<6.0", "dense<0.0"}},
    {"ClipInputs",
     13,
     "g (float[4] x) => (float[4] z) <float low = {-1.0}> { z = Clip(x, low) }",
     {"maximum", "dense<-1.0"}},
    {"ModIsPython", 13, "g (int32[4] x, int32[4] y) => (int32[4] z) { z = Mod(x, y) }", {"binary", "mod %"}},
    {"ModIsC", 13, "g (float[4] x, float[4] y) => (float[4] z) { z = Mod<fmod = 1>(x, y) }", {"fmod %"}},
    {"UnsignedTypes", 13, "g (uint8[4] x) => (int32[4] z) { z = Cast<to = 6>(x) }", {"tensor<4xui8>", "to i32"}},
    {"MeanOfThree",
     13,
     "g (float[4] x, float[4] y, float[1] w) => (float[4] z) { z = Mean(x, y, w) }",
     {"add %", "div %", "dense<3.0"}},
    {"WhereBroadcasts",
     16,
     "g (bool[4] c, float[3, 1] x, float[1] y) => (float[3, 4] z) { z = Where(c, x, y) }",
     {"nn.select", "tensor<3x4xf32>"}},
};
INSTANTIATE_TEST_SUITE_P(Elementwise, Operator, testing::ValuesIn(kElementwise),
                         [](const auto &info) { return info.param.name; });

const Case kWindows[] = {
    {"ConvPads",
     11,
     "g (float[1, 3, 8, 8] x, float[4, 3, 3, 3] w) => (float[1, 4, 4, 5] z) "
     "{ z = Conv<pads = [1, 1, 0, 2], strides = [2, 2]>(x, w) }",
     {"pads = array<i64: 1, 1, 0, 2>", "strides = array<i64: 2, 2>", "tensor<1x4x4x5xf32>"}},
    {"ConvSameUpper",
     11,
     "g (float[1, 1, 5, 5] x, float[1, 1, 2, 2] w) => (float[1, 1, 5, 5] z) { z = Conv<auto_pad = \"SAME_UPPER\">(x, "
     "w) }",
     {"pads = array<i64: 0, 0, 1, 1>"}},
    {"ConvSameLower",
     11,
     "g (float[1, 1, 5, 5] x, float[1, 1, 2, 2] w) => (float[1, 1, 5, 5] z) { z = Conv<auto_pad = \"SAME_LOWER\">(x, "
     "w) }",
     {"pads = array<i64: 1, 1, 0, 0>"}},
    {"ConvSameOfUnknownExtent",
     11,
     "g (float[1, 1, h, 5] x, float[1, 1, 3, 3] w) => (float[1, 1, a, 3] z) "
     "{ z = Conv<auto_pad = \"SAME_UPPER\", strides = [2, 2]>(x, w) }",
     {"nn.pad", "max of"}},
    {"ConvTransposeOutputShape",
     11,
     "g (float[1, 1, 3, 3] x, float[1, 2, 3, 3] w) => (float[1, 2, 10, 8] z) "
     "{ z = ConvTranspose<strides = [3, 2], output_shape = [10, 8]>(x, w) }",
     {"tensor<1x2x10x8xf32>", "output_pads = array<i64: 1, 1>"}},
    {"AveragePoolCountsPads",
     11,
     "g (float[1, 1, 4, 4] x) => (float[1, 1, 4, 4] z) "
     "{ z = AveragePool<kernel_shape = [3, 3], pads = [1, 1, 1, 1], count_include_pad = 1>(x) }",
     {"average_include_pad"}},
    {"GlobalAveragePool",
     11,
     "g (float[1, 8, 4, 4] x) => (float[1, 8, 1, 1] z) { z = GlobalAveragePool(x) }",
     {"mean", "axes [2, 3] {keep_dims"}},
    {"LRNPoolsChannels",
     13,
     "g (float[1, 8, 4, 4] x) => (float[1, 8, 4, 4] z) { z = LRN<size = 5>(x) }",
     {"kernel = array<i64: 5, 1>", "pads = array<i64: 2, 0, 2, 0>", "tensor<1x1x8x16xf32>"}},
};
INSTANTIATE_TEST_SUITE_P(Windows, Operator, testing::ValuesIn(kWindows),
                         [](const auto &info) { return info.param.name; });

const Case kProducts[] = {
    {"GemmTransposed",
     13,
     "g (float[4, 2] a, float[3, 4] b, float[3] c) => (float[2, 3] z) "
     "{ z = Gemm<transA = 1, transB = 1, alpha = 0.5>(a, b, c) }",
     {"transpose_lhs, transpose_rhs", "dense<5.0", "tensor<2x3xf32>"}},
    {"MatMulOfVectors",
     13,
     "g (float[4] a, float[4] b) => (float z) { z = MatMul(a, b) }",
     {"tensor<1x1xf32> to tensor<f32>"}},
    {"EinsumBatched",
     13,
     "g (float[2, 3, 4] a, float[2, 5, 4] b) => (float[2, 3, 5] z) { z = Einsum<equation = \"bij,bkj->bik\">(a, b) }",
     {"nn.matmul", "tensor<2x3x5xf32>"}},
    {"EinsumDiagonal",
     13,
     "g (float[3, 3] a) => (float[3] z) { z = Einsum<equation = \"ii->i\">(a) }",
     {"nn.iota", "nn.select", "sum"}},
    {"MatMulInteger",
     13,
     "g (uint8[2, 4] a, int8[4, 3] b, uint8 za, int8 zb) => (int32[2, 3] z) { z = MatMulInteger(a, b, za, zb) }",
     {"to i32", "tensor<2x4xf32>, tensor<4x3xf32>"}},
    {"MatMulIntegerInParts",
     13,
     "g (uint8[2, 300] a, int8[300, 3] b) => (int32[2, 3] z) { z = MatMulInteger(a, b) }",
     {"from <[0, 0]>", "tensor<2x258xf32>, tensor<258x3xf32>", "from <[0, 258]>",
      "tensor<2x42xf32>, tensor<42x3xf32>"}},
    {"MatMulIntegerOfAnyLength",
     13,
     "g (uint8[2, n] a, int8[n, 3] b) => (int32[2, 3] z) { z = MatMulInteger(a, b) }",
     {"tensor<2x?xi32, #nn.extents<[s0]>>, tensor<?x3xi32"}},
    {"ConvIntegerOfWideWindows",
     13,
     "g (uint8[1, 2, 300] a, int8[4, 2, 200] b) => (int32[1, 4, 101] z) { z = ConvInteger(a, b) }",
     {"tensor<1x1x300xf32>, tensor<4x1x200xf32>"}},
    {"ConvIntegerOfWindowsTooWide",
     13,
     "g (uint8[1, 1, 300] a, int8[4, 1, 260] b) => (int32[1, 4, 41] z) { z = ConvInteger(a, b) }",
     {"tensor<1x1x300xi32>, tensor<4x1x260xi32>"}},
    {"QuantizePerAxis",
     13,
     "g (float[2, 3] x, float[3] s, uint8[3] p) => (uint8[2, 3] z) { z = QuantizeLinear<axis = 1>(x, s, p) }",
     {"round_even", "saturate", "tensor<1x3xf32>"}},
    {"DynamicQuantizeOfNoRange",
     13,
     "g (float[2, 3] x) => (uint8[2, 3] z, float s, uint8 p) { z, s, p = DynamicQuantizeLinear(x) }",
     {"nn.compare eq", "nn.select", "round_even", "to ui8"}},
};
INSTANTIATE_TEST_SUITE_P(Products, Operator, testing::ValuesIn(kProducts),
                         [](const auto &info) { return info.param.name; });

// Sums are as long as the weights let f32 hold them: 300 * 255 * 200 < 2^24 < 300 * 255 * 250.
TEST(Products, BytesOfKnownSize) {
  for (auto [weight, type] : {std::pair("200", "tensor<2x300xf32>, tensor<300x1xf32>"),
                              std::pair("250", "tensor<2x263xf32>, tensor<263x1xf32>")}) {
    std::string weights;
    for (int i = 0; i < 300; ++i)
      weights += std::string(i ? ", " : "") + weight;
    Imported m = importGraph("g (uint8[2, 300] a) => (int32[2, 1] z) <uint8[300, 1] b = {" + weights +
                                 "}> { z = MatMulInteger(a, b) }",
                             {}, 13);
    ASSERT_TRUE(m.ok) << m.errors;
    EXPECT_TRUE(m.has(type)) << m.module;
  }
}

const Case kMovement[] = {
    {"SliceNegative",
     13,
     "g (float[10] x) => (float[3] z) <int64[1] s = {-2}, int64[1] e = {-9}, int64[1] a = {0}, int64[1] t = {-3}> "
     "{ z = Slice(x, s, e, a, t) }",
     {"from <[8]> step [-3]", "to tensor<3xf32>"}},
    {"SliceAttributes",
     9,
     "g (float[10, 4] x) => (float[5, 4] z) { z = Slice<starts = [5], ends = [1000]>(x) }",
     {"from <[5, 0]> step [1, 1]", "to tensor<5x4xf32>"}},
    {"SliceOfUnknownExtent",
     13,
     "g (float[n, 4] x) => (float[m, 4] z) <int64[1] s = {0}, int64[1] e = {-1}, int64[1] a = {0}> { z = Slice(x, s, "
     "e, a) }",
     {"#nn.extents<[s0 - 1]>"}},
    {"SplitUneven",
     18,
     "g (float[7] x) => (float[3] a, float[3] b, float[1] c) { a, b, c = Split<num_outputs = 3>(x) }",
     {"from <[6]> step [1]", "to tensor<1xf32>"}},
    {"GatherOneIsASlice",
     13,
     "g (float[3, 4] x) => (float[4] z) <int64 i = {-1}> { z = Gather(x, i) }",
     {"from <[2, 0]>", "to tensor<4xf32>"}},
    {"PadCuts",
     13,
     "g (float[6] x) => (float[5] z) <int64[2] p = {-2, 1}> { z = Pad(x, p) }",
     {"from <[2]> step [1]", "low <[0]> high <[1]>"}},
    {"PadReflects",
     10,
     "g (float[6] x) => (float[8] z) { z = Pad<mode = \"reflect\", pads = [1, 1]>(x) }",
     {"reflect"}},
    {"TileBroadcasts",
     13,
     "g (float[2, 3] x) => (float[4, 3] z) <int64[2] r = {2, 1}> { z = Tile(x, r) }",
     {"to tensor<2x2x1x3xf32>", "to tensor<4x3xf32>"}},
    {"DepthToSpaceColumnFirst",
     13,
     "g (float[1, 8, 2, 3] x) => (float[1, 2, 4, 6] z) { z = DepthToSpace<blocksize = 2, mode = \"CRD\">(x) }",
     {"[0, 1, 4, 2, 5, 3]"}},
    {"OneHotCountsFromTheEnd",
     13,
     "g (int64[3] x) => (float[3, 4] z) <int64 d = {4}, float[2] v = {0.0, 1.0}> { z = OneHot(x, d, v) }",
     {"nn.iota axis 1", "tensor<3x4x"}},
    {"NonZeroOfData",
     13,
     "g (float[3, n] x) => (int64[2, a] z) { z = NonZero(x) }",
     {"nn.symbol @z.1 = 1 data of <[s0 * 3]>", "nn.reduce sum", "as @z.1", "nn.positions",
      "tensor<2x?xi64, #nn.extents<[s1]>>"}},
    {"CompressOfData",
     11,
     "g (float[3, 5] x, bool[5] c) => (float[3, a] z) { z = Compress<axis = 1>(x, c) }",
     {"nn.symbol @z.1 = 0 data of <[5]>", "nn.gather"}},
    {"NonMaxSuppressionBound",
     11,
     "g (float[2, 6, 4] b, float[2, 3, 6] s) => (int64[a, 3] z) <int64[1] k = {4}> { z = NonMaxSuppression(b, s, k) }",
     {"nn.symbol @z.0 = 0 data of <[24]>", "tensor<24x3xi64>, tensor<i64>", "tensor<?x3xi64, #nn.extents<[s0]>>"}},
    {"TopKOfData",
     11,
     "g (float[5] x, int64[1] k) => (float[a] v, int64[a] i) { v, i = TopK(x, k) }",
     {"nn.symbol @v.0 = 0 data of <[5]>", "nn.topk", "tensor<?xf32, #nn.extents<[s0]>>"}},
    {"SliceOfData",
     13,
     "g (float[5] x, int64[1] s, int64[1] e) => (float[a] z) { z = Slice(x, s, e) }",
     {"nn.symbol @z.0 = 0 data of <[5]>", "nn.gather"}},
    {"ShapeOfWhatIsFoundStaysAnExtent",
     13,
     "g (float[9] x) => (float[1, a] z) { p = NonZero(x)\n s = Shape(p)\n z = ConstantOfShape(s) }",
     {"nn.broadcast_to", "tensor<1x?xf32, #nn.extents<[s0]>>"}},
    {"NonZeroOfOnesCountsUp",
     13,
     "g (float[n] x) => (int64[1, n] z) { s = Shape(x)\n o = ConstantOfShape<value = int64[1] {1}>(s)\n z = NonZero(o) "
     "}",
     {"nn.iota axis 1"}},
    {"Resize11Sizes",
     13,
     "g (float[1, 1, 2, 2] x) => (float[1, 1, 3, 3] z) <int64[4] sizes = {1, 1, 3, 3}> { z = Resize(x, , , sizes) }",
     {"nearest half_pixel round_prefer_floor", "scales [1.000000e+00, 1.000000e+00, 1.500000e+00, 1.500000e+00]"}},
    {"Resize10IsAsymmetric",
     10,
     "g (float[1, 1, 2, 2] x) => (float[1, 1, 4, 4] z) <float[4] scales = {1.0, 1.0, 2.0, 2.0}> { z = Resize(x, "
     "scales) }",
     {"nearest asymmetric floor"}},
    {"ResizeOfUnknownExtent",
     13,
     "g (float[1, 1, h, w] x) => (float[1, 1, a, b] z) <float[4] scales = {1.0, 1.0, 2.0, 0.5}> { z = Resize(x, , "
     "scales) }",
     {"#nn.extents<[s0 * 2, s1 floordiv 2]>"}},
};
INSTANTIATE_TEST_SUITE_P(Movement, Operator, testing::ValuesIn(kMovement),
                         [](const auto &info) { return info.param.name; });

const Case kReductions[] = {
    {"ReduceSumAxesInput",
     13,
     "g (float[2, 3] x) => (float[2] z) <int64[1] a = {-1}> { z = ReduceSum<keepdims = 0>(x, a) }",
     {"sum", "axes [1]", "tensor<2xf32>"}},
    {"ReduceMeanAxesAttribute",
     13,
     "g (float[2, 3] x) => (float[1, 3] z) { z = ReduceMean<axes = [0]>(x) }",
     {"mean", "axes [0] {keep_dims"}},
    {"ReduceAll",
     18,
     "g (float[2, 3] x) => (float z) { z = ReduceMax<keepdims = 0>(x) }",
     {"axes [0, 1]", "tensor<f32>"}},
    {"Softmax13", 13, "g (float[2, 3, 4] x) => (float[2, 3, 4] z) { z = Softmax(x) }", {"axis 2"}},
    {"Softmax11Flattens",
     11,
     "g (float[2, 3, 4] x) => (float[2, 3, 4] z) { z = Softmax(x) }",
     {"to tensor<2x12xf32>", "axis 1"}},
    {"ArgMaxLast",
     13,
     "g (float[2, 3] x) => (int64[2] z) { z = ArgMax<axis = 1, keepdims = 0, select_last_index = 1>(x) }",
     {"arg_reduce", "select_last"}},
    {"TopKSmallest",
     13,
     "g (float[5] x) => (float[2] v, int64[2] i) <int64[1] k = {2}> { v, i = TopK<largest = 0>(x, k) }",
     {"nn.topk", "false", "tensor<2xf32>"}},
    {"LayerNorm",
     17,
     "g (float[2, 8] x, float[8] s, float[8] b) => (float[2, 8] z) { z = LayerNormalization(x, s, b) }",
     {"nn.layer_norm", "axis 1"}},
    {"LayerNormOfHalf",
     17,
     "g (float16[2, 8] x, float16[8] s) => (float16[2, 8] z) { z = LayerNormalization(x, s) }",
     {"to f32", "to f16"}},
    {"RMSNorm", 23, "g (float[2, 8] x, float[8] s) => (float[2, 8] z) { z = RMSNormalization(x, s) }", {"rms"}},
    {"GroupNorm",
     21,
     "g (float[1, 4, 2, 2] x, float[4] s, float[4] b) => (float[1, 4, 2, 2] z) { z = GroupNormalization<num_groups = "
     "2>(x, s, b) }",
     {"tensor<1x2x8xf32>", "tensor<4x1x1xf32>"}},
};
INSTANTIATE_TEST_SUITE_P(Reductions, Operator, testing::ValuesIn(kReductions),
                         [](const auto &info) { return info.param.name; });

const Case kOthers[] = {
    {"LstmDefaults",
     14,
     "g (float[5, 2, 3] x, float[1, 16, 3] w, float[1, 16, 4] r) => (float[5, 1, 2, 4] y, float[1, 2, 4] h, float[1, "
     "2, 4] c) "
     "{ y, h, c = LSTM<hidden_size = 4>(x, w, r) }",
     {"nn.recurrent lstm forward", "\"Sigmoid\", \"Tanh\", \"Tanh\""}},
    {"GruBatchFirst",
     14,
     "g (float[2, 5, 3] x, float[1, 12, 3] w, float[1, 12, 4] r) => (float[2, 5, 1, 4] y) "
     "{ y = GRU<hidden_size = 4, layout = 1, linear_before_reset = 1>(x, w, r) }",
     {"nn.transpose", "linear_before_reset", "[2, 0, 1, 3]"}},
    {"LoopUnrolls",
     16,
     "g (float[4] x) => (float[4] z, float[3, 4] s) <int64 n = {3}, bool t = {1}> { z, s = Loop (n, t, x) <body = b "
     "(int64 i, bool c, float[4] v) => (bool d, float[4] w, float[4] u) { d = Identity(c)\n w = Relu(v)\n u = Exp(w) "
     "}> }",
     {"tensor<3x4xf32>", "nn.concat"}},
    {"ScanUnrolls",
     16,
     "g (float[4] x, float[3, 4] y) => (float[4] z, float[3, 4] s) { z, s = Scan<num_scan_inputs = 1, body = b "
     "(float[4] v, float[4] e) => (float[4] w, float[4] u) { w = Add(v, e)\n u = Identity(w) }>(x, y) }",
     {"add %", "tensor<3x4xf32>"}},
    {"SequencesDissolve",
     16,
     "g (float[2, 3] x, float[2, 3] y) => (float[2, 3] z) <int64 i = {-1}> { s = SequenceConstruct(x, y)\n z = "
     "SequenceAt(s, i) }",
     {"return %arg1"}},
    {"RealTransform",
     17,
     "g (float[1, 8, 1] x) => (float[1, 5, 2] z) { z = DFT<axis = 1, onesided = 1>(x) }",
     {"nn.matmul", "nn.cumsum", "unary cos", "tensor<1x5x2xf32>"}},
    {"GridSampleGathers",
     20,
     "g (float[1, 2, 4, 4] x, float[1, 3, 3, 2] p) => (float[1, 2, 3, 3] z) { z = GridSample(x, p) }",
     {"nn.gather_nd", "batch_dims 1", "tensor<1x2x3x3xf32>"}},
    {"OldOpsetsShareConverters", 7, "g (float[2, 3] x, float[3] y) => (float[2, 3] z) { z = Sub(x, y) }", {"sub %"}},
};
INSTANTIATE_TEST_SUITE_P(Others, Operator, testing::ValuesIn(kOthers),
                         [](const auto &info) { return info.param.name; });

// Operators that ONNX Runtime's optimizer and quantizer write.
TEST(Contrib, FusedOperators) {
  Imported m = importModel(parseModel(R"(<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]>
    g (float[2, 8] x, float[2, 8] s, float[8] w, float[8] b) => (float[2, 8] z) {
      n = com.microsoft.SkipLayerNormalization<epsilon = 0.001>(x, s, w, b)
      f = com.microsoft.FastGelu(n, b)
      z = com.microsoft.FusedMatMul<transB = 1, alpha = 0.5>(f, f)
    })"));
  ASSERT_TRUE(m.ok) << m.errors;
  for (const char *text : {"nn.layer_norm", "gelu_tanh", "[1, 0]", "dense<5.0"})
    EXPECT_TRUE(m.has(text)) << text << m.module;
}

// Quantized weights of a recurrent layer are turned into floats of ONNX's layout.
TEST(Contrib, QuantizedLstm) {
  Imported m = importModel(parseModel(R"(<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]>
    g (float[5, 2, 3] x, int8[1, 3, 16] w, int8[1, 4, 16] r, float[1] ws, int8[1] wz, float[1, 16] rs, int8[1, 16] rz)
      => (float[5, 1, 2, 4] y) {
      y = com.microsoft.DynamicQuantizeLSTM<hidden_size = 4>(x, w, r, , , , , , ws, wz, rs, rz)
    })"));
  ASSERT_TRUE(m.ok) << m.errors;
  for (const char *text : {"nn.recurrent lstm", "rounds_state", "tensor<1x4x16xf32>", "tensor<1x5x16xf32>"})
    EXPECT_TRUE(m.has(text)) << text << m.module;
}

//===----------------------------------------------------------------------===//
// What does not fit
//===----------------------------------------------------------------------===//

struct BadCase {
  const char *name, *graph, *message;
};
class BadOperator : public testing::TestWithParam<BadCase> {};

TEST_P(BadOperator, IsRefused) {
  Imported m = importGraph(GetParam().graph);
  EXPECT_TRUE(m.failedWith(GetParam().message)) << m.errors;
  EXPECT_TRUE(m.failedWith("node")) << m.errors;
}

const BadCase kBad[] = {
    {"AddOfTypes", "g (float[4] x, int32[4] y) => (float[4] z) { [n] z = Add(x, y) }",
     "node 'n' (Add): operands have element types"},
    {"AddOfShapes", "g (float[4] x, float[3] y) => (float[4] z) { [n] z = Add(x, y) }", "do not broadcast"},
    {"ConvOfChannels", "g (float[1, 3, 8, 8] x, float[4, 2, 3, 3] w) => (float[a, b, c, d] z) { [n] z = Conv(x, w) }",
     "node 'n' (Conv): input 1x3x8x8, filter 4x2x3x3 and group 1 do not fit together"},
    {"ConvOfStride",
     "g (float[1, 3, 8, 8] x, float[4, 3, 3, 3] w) => (float[a, b, c, d] z) { [n] z = Conv<strides = [0, 1]>(x, w) }",
     "strides has entry 0; expected at least 1"},
    {"ReshapeOfCount", "g (float[4] x) => (float[3] z) <int64[1] s = {3}> { [n] z = Reshape(x, s) }",
     "cannot reshape 4 to 3"},
    {"ReshapeTwice", "g (float[4] x) => (float[a, b] z) <int64[2] s = {-1, -1}> { [n] z = Reshape(x, s) }",
     "two entries of -1"},
    {"TransposeTwice", "g (float[4, 4] x) => (float[4, 4] z) { [n] z = Transpose<perm = [0, 0]>(x) }",
     "not a permutation"},
    {"ConcatOfShapes", "g (float[4, 2] x, float[3, 2] y) => (float[4, 4] z) { [n] z = Concat<axis = 1>(x, y) }",
     "which differ on axis 0"},
    {"AxisOutside", "g (float[4] x) => (float[4] z) { [n] z = Softmax<axis = 3>(x) }",
     "axis is 3; expected one of -1 to 0"},
    {"MatMulDepth", "g (float[2, 4] a, float[3, 2] b) => (float[2, 2] z) { [n] z = MatMul(a, b) }",
     "contracted extents are 4 and 3"},
    {"SliceStepZero",
     "g (float[4] x) => (float[a] z) <int64[1] s = {0}, int64[1] e = {4}, int64[1] a = {0}, int64[1] t = {0}> { [n] z "
     "= Slice(x, s, e, a, t) }",
     "step is 0"},
    {"SplitSum", "g (float[4] x) => (float[a] y, float[b] z) <int64[2] s = {1, 2}> { [n] y, z = Split(x, s) }",
     "add up to 3"},
    {"ExpandShape", "g (float[4] x) => (float[a] z) <int64[1] s = {3}> { [n] z = Expand(x, s) }",
     "does not broadcast to 3"},
    {"HugeExpand", "g (float[1] x) => (float[a, b] z) <int64[2] s = {4611686018427387904, 4}> { [n] z = Expand(x, s) }",
     "not one that memory can hold"},
    {"HugeFill",
     "g (float[1] x) => (float[a] z) <int64[2] s = {4611686018427387904, 4}> { [n] z = ConstantOfShape(s) }",
     "not one that memory can hold"},
    {"EndlessRange",
     "g (float[1] x) => (float[a] z) <float s = {0.0}, float e = {1.0}, float d = {0.0}> { [n] z = Range(s, e, d) }",
     "step is 0"},
    {"EinsumTerms", "g (float[4] x) => (float[4] z) { [n] z = Einsum<equation = \"i,j->ij\">(x) }", "2 terms"},
    {"LoopOfData",
     "g (int64 m, float[4] x) => (float[4] z) { [n] z = Loop (m, , x) <body = b (int64 i, bool c, float[4] v) => (bool "
     "d, float[4] w) "
     "{ d = Identity(c)\n w = Relu(v) }> }",
     "number of iterations depends on data"},
    {"SequenceAtOutside",
     "g (float[4] x) => (float[4] z) <int64 i = {3}> { s = SequenceConstruct(x)\n [n] z = SequenceAt(s, i) }",
     "outside the sequence of 1 tensors"},
    {"TopKTooMany", "g (float[5] x) => (float[a] v, int64[a] i) <int64[1] k = {9}> { [n] v, i = TopK(x, k) }",
     "k is 9"},
    {"RecurrentActivation",
     "g (float[5, 2, 3] x, float[1, 4, 3] w, float[1, 4, 4] r) => (float[5, 1, 2, 4] y) { [n] y = RNN<hidden_size = 4, "
     "activations = [\"Foo\"]>(x, w, r) }",
     "activation 'Foo' does not exist"},
};
INSTANTIATE_TEST_SUITE_P(Bad, BadOperator, testing::ValuesIn(kBad), [](const auto &info) { return info.param.name; });

} // namespace
