//===- FamiliesTest.cpp - Operators composed of others -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What each becomes, and what is refused; the numbers are those of ONNX's own cases (test/e2e/test_operators.py).
//===----------------------------------------------------------------------===//
#include "TestModels.h"
#include "gtest/gtest.h"

using namespace penstock::onnximport;

namespace {

/// A node of a domain other than ONNX's own; those of the text are imported at these versions.
Imported importText(const std::string &graph, int opset = 26) {
  return importModel(parseModel("<ir_version: 10, opset_import: [\"\" : " + std::to_string(opset) +
                                ", \"ai.onnx.ml\" : 5, \"ai.onnx.preview.training\" : 1]> " + graph));
}

struct Case {
  const char *name;
  int opset;
  const char *graph;
  std::vector<const char *> expected;
};
class Family : public testing::TestWithParam<Case> {};

TEST_P(Family, Becomes) {
  Imported m = importText(GetParam().graph, GetParam().opset);
  ASSERT_TRUE(m.ok) << m.errors;
  for (const char *text : GetParam().expected)
    EXPECT_TRUE(m.has(text)) << "missing: " << text << "\n" << m.module;
}

const Case kCases[] = {
    {"BitCast", 26, "g (float[n] x) => (int32[n] z) { z = BitCast<to = 6>(x) }", {"nn.bitcast %arg0 to i32"}},
    {"BitCastOfBool",
     26,
     "g (bool[4] x) => (int8[4] z) { z = BitCast<to = 3>(x) }",
     {"nn.cast %arg0 to ui8", "nn.bitcast", "to i8"}},
    {"BitCastToItself", 26, "g (float[4] x) => (float[4] z) { z = BitCast<to = 1>(x) }", {"return %arg0"}},
    {"BasisOfTransformInF64",
     17,
     "g (float[1, 8, 1] x) => (float[1, 8, 2] z) { z = DFT<axis = 1>(x) }",
     {"nn.cumsum", "unary sin", "tensor<8x8xf64>", "to f32"}},
    {"Col2Im",
     18,
     "g (float[n, 5, 6] x) => (float[n, 1, 5, 4] z) <int64[2] i = {5, 4}, int64[2] b = {1, 5}> "
     "{ z = Col2Im<pads = [0, 1, 0, 1], strides = [2, 1]>(x, i, b) }",
     {"nn.scatter_elements add", "tensor<?x1x5x6xf32", "from <[0, 0, 0, 1]>"}},
    {"DetOfDoubles",
     22,
     "g (double[n, 3, 3] x) => (double[n] z) { z = Det(x) }",
     {"nn.arg_reduce max", "nn.gather_elements", "tensor<?x2x2xf64"}},
    {"DetOfNothing", 22, "g (float[2, 0, 0] x) => (float[2] z) { z = Det(x) }", {"dense<1.0"}},
    {"RoiAlignAverages",
     16,
     "g (float[n, 2, 8, 8] x, float[r, 4] b, int64[r] i) => (float[r, 2, 3, 3] z) "
     "{ z = RoiAlign<output_height = 3, output_width = 3, sampling_ratio = 2>(x, b, i) }",
     {"nn.gather_nd", "reduce mean", "axes [2, 4]", "tensor<?x3x2x3x2x2xf32", "dense<5.0"}},
    {"RoiAlignOfOldSetIsNotShifted",
     10,
     "g (float[1, 2, 8, 8] x, float[5, 4] b, int64[5] i) => (float[5, 2, 1, 1] z) "
     "{ z = RoiAlign<mode = \"max\", sampling_ratio = 1>(x, b, i) }",
     {"reduce max", "binary maximum"}},
    {"DeformConv",
     22,
     "g (float[n, 4, 6, 6] x, float[8, 2, 3, 3] w, float[n, 36, 4, 4] o, float[8] b, float[n, 18, 4, 4] m) => "
     "(float[n, 8, 4, 4] z) { z = DeformConv<group = 2, offset_group = 2>(x, w, o, b, m) }",
     {"nn.gather_nd", "batch_dims 1", "nn.matmul", "tensor<2x4x18xf32>"}},
    {"NgramsByLength",
     9,
     "g (int32[n, 6] x) => (float[n, 4] z) { z = TfIdfVectorizer<mode = \"TF\", min_gram_length = 1, max_gram_length = "
     "2, max_skip_count = 1, ngram_counts = [0, 2], ngram_indexes = [3, 0, 1], pool_int64s = [2, 3, 5, 6]>(x) }",
     {"nn.scatter_elements add", "tensor<?x5x1xi1", "tensor<?x4x1xi1", "tensor<?x6x2xi1"}},
    {"FeatureOfVector",
     18,
     "g (float[5] x, int64[2] i) => (float[1, 2] z) { z = ai.onnx.ml.ArrayFeatureExtractor(x, i) }",
     {"nn.gather", "to tensor<1x2xf32>"}},
    {"Binarizer",
     18,
     "g (float[5] x) => (float[5] z) { z = ai.onnx.ml.Binarizer<threshold = 2.0>(x) }",
     {"compare gt", "dense<2.0"}},
    {"LabelsOfNumbers",
     18,
     "g (int64[n] x) => (float[n] z) { z = ai.onnx.ml.LabelEncoder<keys_int64s = [3, 1], values_floats = [0.5, 2.5], "
     "default_float = 7.0>(x) }",
     {"dense<[3, 1]>", "nn.arg_reduce max", "dense<7.0", "nn.select"}},
    {"LabelsOfNan",
     18,
     "g (double[n] x) => (int16[n] z) { z = ai.onnx.ml.LabelEncoder<keys_tensor = double[2] {1.0, 2.0}, values_tensor "
     "= "
     "int16[2] {4, 5}, default_tensor = int16[1] {6}>(x) }",
     {"is_nan", "logical_or", "dense<[4, 5]> : tensor<2xi16>"}},
    {"TreesOfTwoSteps",
     18,
     "g (float[n, 3] x) => (float[n, 1] z) { z = ai.onnx.ml.TreeEnsemble<n_targets = 1, tree_roots = [0], nodes_modes "
     "= "
     "uint8[2] {0, 3}, nodes_featureids = [2, 0], nodes_splits = float[2] {1.5, 2.5}, nodes_truenodeids = [1, 0], "
     "nodes_trueleafs = [0, 1], nodes_falsenodeids = [2, 1], nodes_falseleafs = [1, 1], leaf_targetids = [0, 0, 0], "
     "leaf_weights = float[3] {1.0, 2.0, 3.0}, nodes_missing_value_tracks_true = [1, 0]>(x) }",
     {"compare le", "compare gt", "is_nan", "nn.scatter_elements add", "dense<[1, 2, 2, 3, 4]>"}},
    {"Adam",
     18,
     "g (float r, int64 t, float[4] x, float[4] g, float[4] v, float[4] h) => (float[4] a, float[4] b, float[4] c) "
     "{ a, b, c = ai.onnx.preview.training.Adam<norm_coefficient = 0.5>(r, t, x, g, v, h) }",
     {"binary pow", "unary sqrt", "nn.select"}},
    {"MomentumOfTwo",
     18,
     "g (float r, int64 t, float[4] x, double[2] y, float[4] g, double[2] h, float[4] v, double[2] w) => (float[4] a, "
     "double[2] b, float[4] c, double[2] d) { a, b, c, d = ai.onnx.preview.training.Momentum<norm_coefficient = 0.0, "
     "alpha = 0.9, beta = 0.1, mode = \"nesterov\">(r, t, x, y, g, h, v, w) }",
     {"tensor<4xf32>, tensor<2xf64>, tensor<4xf32>, tensor<2xf64>"}},
    {"DropoutInTraining",
     13,
     "g (float[4] x) => (float[4] z, bool[4] m) <float r = {0.25}, bool t = {1}> { z, m = Dropout<seed = 3>(x, r, t) }",
     {"nn.iota", "shift_right", "compare ge", "tensor<4xf32>, tensor<4xi1>"}},
    {"NormalOfUnknownExtent",
     22,
     "g (float[n, 3] x) => (float16[n, 3] z) { z = RandomNormalLike<dtype = 10>(x) }",
     {"s0 * 3", "unary cos", "unary log", "to f16"}},
    {"Multinomial",
     22,
     "g (float[n, 3] x) => (int64[n, 5] z) { z = Multinomial<sample_size = 5, dtype = 7>(x) }",
     {"nn.softmax", "nn.cumsum", "tensor<?x5xi64"}},
    {"AxisOfOldBroadcast",
     6,
     "g (float[2, 3, 4] x, float[3] y) => (float[2, 3, 4] z) { z = Add<broadcast = 1, axis = 1>(x, y) }",
     {"to tensor<3x1xf32>", "binary add"}},
    {"OldSlopePerChannel",
     6,
     "g (float[2, 3, 4] x, float[3] s) => (float[2, 3, 4] z) { z = PRelu(x, s) }",
     {"to tensor<3x1xf32>", "prelu"}},
};
INSTANTIATE_TEST_SUITE_P(All, Family, testing::ValuesIn(kCases), [](const auto &info) { return info.param.name; });

struct BadCase {
  const char *name;
  int opset;
  const char *graph, *message;
};
class BadFamily : public testing::TestWithParam<BadCase> {};

TEST_P(BadFamily, IsRefused) {
  Imported m = importText(GetParam().graph, GetParam().opset);
  EXPECT_TRUE(m.failedWith(GetParam().message)) << m.errors;
  EXPECT_TRUE(m.failedWith("node 'n'")) << m.errors;
}

const BadCase kBad[] = {
    {"BitCastOfWidths", 26, "g (float[4] x) => (int16[4] z) { [n] z = BitCast<to = 5>(x) }", "have 32 and 16 bits"},
    {"SumOfFloat8", 26, "g (float8e4m3fn[4] x) => (float8e4m3fn[4] z) { [n] z = Add(x, x) }",
     "input 0 ('x') has element type float8e4m3fn, which the operator does not take"},
    {"DetOfRectangle", 22, "g (float[2, 3] x) => (float z) { [n] z = Det(x) }", "expected square matrices"},
    {"Col2ImOfBlocks", 18,
     "g (float[1, 5, 4] x) => (float[a, b, c, d] z) <int64[2] i = {5, 5}, int64[2] s = {1, 5}> { [n] z = Col2Im(x, i, "
     "s) }",
     "the second a multiple of 5 and the third 5"},
    {"AdaptiveRoiAlign", 16,
     "g (float[1, 2, 8, 8] x, float[5, 4] b, int64[5] i) => (float[5, 2, 1, 1] z) { [n] z = RoiAlign(x, b, i) }",
     "sampling_ratio is 0, so the number of samples depends on data"},
    {"DeformConvOfOffsets", 22,
     "g (float[1, 4, 6, 6] x, float[8, 4, 3, 3] w, float[1, 17, 4, 4] o) => (float[1, 8, 4, 4] z) { [n] z = "
     "DeformConv(x, w, o) }",
     "do not fit together"},
    {"LabelsOfAnotherType", 18,
     "g (float[4] x) => (float[4] z) { [n] z = ai.onnx.ml.LabelEncoder<keys_int64s = [3], values_floats = [0.5]>(x) }",
     "input has element type 'f32', its keys 'i64'"},
    {"LabelsOfTexts", 18,
     "g (int64[4] x) => (float[4] z) { [n] z = ai.onnx.ml.LabelEncoder<keys_int64s = [3], values_strings = "
     "[\"a\"]>(x) }",
     "values_strings is given; expected numbers"},
    {"TreesOfNothing", 18,
     "g (float[4, 3] x) => (float[4, 1] z) { [n] z = ai.onnx.ml.TreeEnsemble<tree_roots = [0], nodes_modes = uint8[1] "
     "{0}, nodes_featureids = [0], nodes_splits = float[1] {1.5}, nodes_truenodeids = [1], nodes_trueleafs = [1], "
     "nodes_falsenodeids = [0], nodes_falseleafs = [1], leaf_targetids = [0], leaf_weights = float[1] {1.0}>(x) }",
     "its lists do not describe trees: 1 nodes, 1 leaves, 1 targets"},
    {"TreesInCircles", 18,
     "g (float[4, 3] x) => (float[4, 1] z) { [n] z = ai.onnx.ml.TreeEnsemble<tree_roots = [0], nodes_modes = uint8[2] "
     "{0, 0}, nodes_featureids = [0, 1], nodes_splits = float[2] {1.5, 2.5}, nodes_truenodeids = [1, 0], "
     "nodes_trueleafs = [0, 0], nodes_falsenodeids = [0, 0], nodes_falseleafs = [1, 1], leaf_targetids = [0], "
     "leaf_weights = float[1] {1.0}>(x) }",
     "a tree is more than 256 deep"},
    {"SetsThatEnd", 18,
     "g (float[4, 3] x) => (float[4, 1] z) { [n] z = ai.onnx.ml.TreeEnsemble<tree_roots = [0], nodes_modes = uint8[1] "
     "{6}, nodes_featureids = [0], nodes_splits = float[1] {1.5}, nodes_truenodeids = [0], nodes_trueleafs = [1], "
     "nodes_falsenodeids = [0], nodes_falseleafs = [1], leaf_targetids = [0], leaf_weights = float[1] {1.0}, "
     "membership_values = float[1] {2.0}>(x) }",
     "membership_values has no set for node 0"},
    {"OptimizerInputs", 18,
     "g (float r, int64 t, float[4] x, float[4] g) => (float[4] a) { [n] a = ai.onnx.preview.training.Adagrad(r, t, x, "
     "g) }",
     "has 4 inputs; expected 2 and 3 for each tensor"},
    {"RandomIntegers", 22, "g (int32[4] x) => (int32[4] z) { [n] z = RandomUniformLike(x) }",
     "element type 'i32' holds no random numbers"},
    {"OldTrainingDropout", 6, "g (float[4] x) => (float[4] z) { [n] z = Dropout(x) }", "is_test is 0; expected 1"},
    {"OldOperandsWithoutBroadcast", 6, "g (float[4, 3] x, float[3] y) => (float[4, 3] z) { [n] z = Mul(x, y) }",
     "broadcast is 0; expected the same"},
    {"NgramsOfTexts", 9,
     "g (int32[6] x) => (float[1] z) { [n] z = TfIdfVectorizer<mode = \"TF\", min_gram_length = 1, max_gram_length = "
     "1, "
     "max_skip_count = 0, ngram_counts = [0], ngram_indexes = [0], pool_strings = [\"a\"]>(x) }",
     "pool_strings is given"},
};
INSTANTIATE_TEST_SUITE_P(All, BadFamily, testing::ValuesIn(kBad), [](const auto &info) { return info.param.name; });

// An optional input is a tensor that every run gives.
TEST(Families, OptionalInput) {
  onnx::ModelProto model = parseGraph("g (float[4] x) => (float[4] z, bool h) { z = OptionalGetElement(x)\n h = "
                                      "OptionalHasElement(x) }");
  onnx::TypeProto *type = model.mutable_graph()->mutable_input(0)->mutable_type(), tensor = *type;
  *type->mutable_optional_type()->mutable_elem_type() = tensor;
  Imported m = importModel(model);
  ASSERT_TRUE(m.ok) << m.errors;
  EXPECT_TRUE(m.has("@main(%arg0: tensor<4xf32>")) << m.module;
  EXPECT_TRUE(m.has("dense<true>")) << m.module;
}

} // namespace
