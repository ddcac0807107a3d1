//===- GraphTest.cpp - Graphs, dimensions and errors of the importer -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "TestModels.h"
#include "gtest/gtest.h"

using namespace penstock::onnximport;

namespace {

// A named dimension is one symbol wherever it stands; an axis without a name gets one of its own.
TEST(Graph, DimensionsBecomeSymbols) {
  Imported m = importGraph("g (float[batch, 4] x, float[batch, ?] y) => (float[batch, 4] z) { z = Add(x, y) }");
  ASSERT_TRUE(m.ok) << m.errors;
  EXPECT_TRUE(m.has("nn.symbol @batch = ")) << m.module;
  EXPECT_TRUE(m.has("nn.symbol @y.1 = ")) << m.module;
  EXPECT_TRUE(m.has("tensor<?x4xf32, #nn.extents<[s0]>>")) << m.module;
  EXPECT_TRUE(m.has("nn.tensor = \"z\"")) << m.module;
}

// `--dim` binds or bounds a dimension, `--shape` binds the axes of one input.
TEST(Graph, DimensionsAreBound) {
  std::string graph = "g (float[batch, seq] x) => (float[batch, seq] z) { z = Relu(x) }";
  ImportOptions options;
  std::string error;
  ASSERT_TRUE(mlir::succeeded(parseDimOption("batch=2", options, error)));
  ASSERT_TRUE(mlir::succeeded(parseDimOption("seq=1..512:128", options, error)));
  Imported m = importGraph(graph, options);
  ASSERT_TRUE(m.ok) << m.errors;
  EXPECT_TRUE(m.has("root {lower = 1 : i64, typical = 128 : i64, upper = 512 : i64}")) << m.module;
  EXPECT_TRUE(m.has("tensor<2x?xf32, #nn.extents<[s0]>>")) << m.module;

  ImportOptions shape;
  ASSERT_TRUE(mlir::succeeded(parseShapeOption("x=2x?", shape, error)));
  EXPECT_TRUE(importGraph(graph, shape).has("tensor<2x?xf32"));
  ImportOptions both = shape;
  ASSERT_TRUE(mlir::succeeded(parseDimOption("batch=3", both, error)));
  EXPECT_TRUE(importGraph(graph, both).failedWith("dimension 'batch' gets two values: 3 and 2"));
}

// A flag that names nothing of the model is refused, with what there is.
TEST(Graph, UnknownNamesInOptions) {
  std::string graph = "g (float[batch] x) => (float[batch] z) { z = Relu(x) }", error;
  ImportOptions options;
  ASSERT_TRUE(mlir::succeeded(parseDimOption("sequence=2", options, error)));
  EXPECT_TRUE(importGraph(graph, options).failedWith("--dim names dimension 'sequence'; the model has 'batch'"));
  ImportOptions bind;
  ASSERT_TRUE(mlir::succeeded(parseBindOption("sr=16000", bind, error)));
  EXPECT_TRUE(importGraph(graph, bind).failedWith("--bind names input 'sr'; the model has 'x'"));
}

// Without a shape an output gets the one that follows; an input needs one from the user.
TEST(Graph, MissingShapes) {
  onnx::ModelProto model = parseGraph("g (float[4] x) => (float[4] z) { z = Relu(x) }");
  model.mutable_graph()->mutable_output(0)->mutable_type()->mutable_tensor_type()->clear_shape();
  EXPECT_TRUE(importModel(model).has("-> (tensor<4xf32>"));
  model.mutable_graph()->mutable_input(0)->mutable_type()->mutable_tensor_type()->clear_shape();
  EXPECT_TRUE(importModel(model).failedWith("input 'x' has no shape; give one with --shape"));
  ImportOptions options;
  std::string error;
  ASSERT_TRUE(mlir::succeeded(parseShapeOption("x=?x8", options, error)));
  EXPECT_TRUE(importModel(model, options).has("tensor<?x8xf32"));
}

// A state feeds an output back: both must exist and be of one type.
TEST(Graph, States) {
  std::string graph = "g (float[4] x, float[4] h) => (float[4] z, float[4] k) { z = Add(x, h)\n k = Tanh(z) }", error;
  ImportOptions good, wrong;
  ASSERT_TRUE(mlir::succeeded(parseStateOption("h=k", good, error)));
  EXPECT_TRUE(importGraph(graph, good).has("nn.states = [[\"h\", \"k\"]]"));
  ASSERT_TRUE(mlir::succeeded(parseStateOption("h=q", wrong, error)));
  EXPECT_TRUE(importGraph(graph, wrong).failedWith("state 'h=q': the model has no output 'q'"));
}

// What an initializer may not be.
TEST(Graph, InitializersThatAreRefused) {
  onnx::ModelProto model = parseGraph("g (float[4] x) => (float[4] z) { z = Relu(x) }");
  onnx::TensorProto *text = model.mutable_graph()->add_initializer();
  text->set_name("words");
  text->set_data_type(onnx::TensorProto::STRING);
  text->add_dims(1);
  text->add_string_data("a");
  EXPECT_TRUE(importModel(model).failedWith("tensor 'words': has element type string")) << importModel(model).errors;
}

// Text of flags that is not of the expected form is refused.
TEST(Options, Malformed) {
  ImportOptions options;
  std::string error;
  for (const char *text : {"", "x", "x=", "=3", "x=a", "x=-1", "x=1..", "x=5..2", "x=1..4:9", "x=99999999999999999999"})
    EXPECT_TRUE(mlir::failed(parseDimOption(text, options, error))) << text;
  for (const char *text : {"", "x", "x=1x", "x=axb", "x=1x-2"})
    EXPECT_TRUE(mlir::failed(parseShapeOption(text, options, error))) << text;
  EXPECT_TRUE(mlir::failed(parseBindOption("sr", options, error)));
  EXPECT_TRUE(mlir::failed(parseStateOption("h", options, error)));
}

// Shape, Gather, Concat and Reshape leave nothing but a reshape.
TEST(Graph, ShapeArithmeticFolds) {
  Imported m = importGraph(R"(g (float[batch, seq, 64] x) => (float[batch, seq, 4, 16] z)
    <int64[1] zero = {0}, int64[1] one = {1}, int64[2] tail = {4, 16}> {
    s = Shape(x)
    b = Gather(s, zero)
    l = Gather(s, one)
    shape = Concat<axis = 0>(b, l, tail)
    z = Reshape(x, shape)
  })");
  ASSERT_TRUE(m.ok) << m.errors;
  EXPECT_TRUE(m.has("nn.reshape")) << m.module;
  EXPECT_FALSE(m.has("nn.gather")) << m.module;
  EXPECT_FALSE(m.has("nn.extent_tensor")) << m.module;
  EXPECT_TRUE(m.has("to tensor<?x?x4x16xf32, #nn.extents<[s0, s1]>>")) << m.module;
}

// An entry of -1 is the quotient of products of dimensions.
TEST(Graph, InferredExtentDivides) {
  Imported m = importGraph(R"(g (float[batch, seq, 64] x) => (float[n, 32] z) <int64[2] shape = {-1, 32}> {
    z = Reshape(x, shape)
  })");
  ASSERT_TRUE(m.ok) << m.errors;
  EXPECT_TRUE(m.has("tensor<?x32xf32, #nn.extents<[(s0 * s1) * 2]>>")) << m.module;
}

// Scales that an exporter computes from extents, through floats, are constants again.
TEST(Graph, ComputedScalesFold) {
  Imported m = importGraph(
      R"(g (float[1, 1, h, w] x) => (float[1, 1, a, b] z) <float[1] twice = {2.0}, float[2] ones = {1.0, 1.0}> {
    s = Shape(x)
    hw = Slice<starts = [2], ends = [4]>(s)
    f = Cast<to = 1>(hw)
    scaled = Mul(f, twice)
    whole = Floor(scaled)
    ratio = Div(whole, f)
    scales = Concat<axis = 0>(ones, ratio)
    z = Upsample<mode = "nearest">(x, scales)
  })",
      {}, 9);
  ASSERT_TRUE(m.ok) << m.errors;
  EXPECT_TRUE(m.has("#nn.extents<[s0 * 2, s1 * 2]>")) << m.module;
}

// A shape that depends on data needs a bound; without one it is an error that names node, dimension and flag.
TEST(Graph, DataDependentShape) {
  Imported m = importGraph(R"(g (float[4] x, int64[2] shape) => (float[a, b] z) {
    [my_reshape] z = Reshape(x, shape)
  })");
  EXPECT_TRUE(
      m.failedWith("node 'my_reshape' (Reshape): dimension 'z.0' depends on data and has no bound; give one with "
                   "--dim z.0=0..N"))
      << m.errors;
  EXPECT_TRUE(m.failedWith("model.onnx: ")) << m.errors;
}

// Shape arithmetic that is used as data becomes a tensor of extents.
TEST(Graph, ExtentsAsData) {
  Imported m = importGraph("g (float[batch, 4] x) => (int64[2] z) { z = Shape(x) }");
  ASSERT_TRUE(m.ok) << m.errors;
  EXPECT_TRUE(m.has("nn.extent_tensor <[s0, 4]>")) << m.module;
}

// All operators that are missing are reported together, with their nodes.
TEST(Graph, UnsupportedOperatorsAtOnce) {
  Imported m = importModel(parseModel(R"(<ir_version: 8, opset_import: ["" : 18, "my.domain" : 1]>
    g (float[4] x) => (float[4] z) {
      [first] a = my.domain.Foo(x)
      [second] b = NoSuchOperator(a)
      [third] z = my.domain.Foo(b)
    })"));
  EXPECT_TRUE(
      m.failedWith("operator 'my.domain.Foo' of operator set 1 is not supported; used by nodes 'first', 'third'"))
      << m.errors;
  EXPECT_TRUE(m.failedWith("operator 'NoSuchOperator' of operator set 18 is not supported; used by node 'second'"))
      << m.errors;
}

// A function of the model is expanded where it is called, with its attributes.
TEST(Graph, LocalFunctions) {
  Imported m = importModel(parseModel(R"(<ir_version: 8, opset_import: ["" : 18, "local" : 1]>
    g (float[4] x) => (float[4] z) { [call] z = local.scaled <factor: float = 3.0> (x) }
    <domain: "local", opset_import: ["" : 18]>
    scaled <factor> (v) => (w) { c = Constant<value_float: float = @factor>()
      w = Mul(v, c) })"));
  ASSERT_TRUE(m.ok) << m.errors;
  EXPECT_TRUE(m.has("dense<3.000000e+00>")) << m.module;
  EXPECT_TRUE(m.has("nn.tensor = \"z\"")) << m.module;
}

// An operator without converter is expanded through ONNX's own function body.
TEST(Graph, SchemaFunctions) {
  Imported m = importGraph("g (float[2, 3, 4, 4] x) => (float[2, 3, 4, 4] z) { z = MeanVarianceNormalization(x) }");
  ASSERT_TRUE(m.ok) << m.errors;
  EXPECT_TRUE(m.has("nn.reduce")) << m.module;
}

// An `If` whose condition is known leaves one branch.
TEST(Graph, KnownIfFolds) {
  std::string graph = R"(g (float[4] x, int64 sr) => (float[n] z) <int64 rate = {16000}> {
    c = Equal(sr, rate)
    z = If (c) <then_branch = t () => (float[4] a) { a = Relu(x) },
                else_branch = e () => (float[4] b) { b = Exp(x) }>
  })";
  Imported open = importGraph(graph);
  ASSERT_TRUE(open.ok) << open.errors;
  EXPECT_TRUE(open.has("nn.if")) << open.module;
  ImportOptions options;
  std::string error;
  ASSERT_TRUE(mlir::succeeded(parseBindOption("sr=16000", options, error)));
  Imported bound = importGraph(graph, options);
  ASSERT_TRUE(bound.ok) << bound.errors;
  EXPECT_FALSE(bound.has("nn.if")) << bound.module;
  EXPECT_TRUE(bound.has("relu")) << bound.module;
  EXPECT_FALSE(bound.has("exp %")) << bound.module;
}

// "If the extent is 1 then squeeze" fixes the rank: the equality is taken for granted and checked at run time.
TEST(Graph, RankDecidingIfAssumesEquality) {
  Imported m = importGraph(R"(g (float[batch, len] x) => (float[n] z) <int64 axis = {1}, int64[1] axes = {1}> {
    s = Shape(x)
    l = Gather(s, axis)
    c = Equal(l, axis)
    z = If (c) <then_branch = t () => (float[a] p) { p = Squeeze(x, axes) },
                else_branch = e () => (float[a, b] q) { q = Identity(x) }>
  })");
  ASSERT_TRUE(m.ok) << m.errors;
  EXPECT_TRUE(m.has("nn.constraint")) << m.module;
  EXPECT_FALSE(m.has("nn.if")) << m.module;
}

// Inside a branch the equality is checked only where that branch is taken.
TEST(Graph, BranchAssumesEquality) {
  Imported m = importGraph(R"(g (float[batch, len] x, bool c) => (float[n] z) <int64 axis = {1}, int64[1] axes = {1}> {
    z = If (c) <then_branch = t () => (float[a] p) {
                  s = Shape(x)
                  l = Gather(s, axis)
                  q = Equal(l, axis)
                  [inner] p = If (q) <then_branch = u () => (float[d] i) { i = Squeeze(x, axes) },
                                      else_branch = v () => (float[f, h] k) { k = Identity(x) }> },
                else_branch = e () => (float[b] r) { r = ReduceSum<keepdims = 0>(x, axes) }>
  })");
  ASSERT_TRUE(m.ok) << m.errors;
  EXPECT_FALSE(m.has("nn.constraint")) << m.module;
  EXPECT_TRUE(m.has("then_assumes = #nn.extents<[s1, 1]>")) << m.module;
  EXPECT_TRUE(m.has("then_reasons = [\"'len' and '1' (condition of node 'inner' (If))\"]")) << m.module;
}

// Branches whose ranks differ while the condition is data are refused, with what to do.
TEST(Graph, RankDecidingIfOnDataIsRefused) {
  Imported m = importGraph(R"(g (float[4, 1] x, bool c) => (float[n] z) <int64[1] axes = {1}> {
    [pick] z = If (c) <then_branch = t () => (float[a] p) { p = Squeeze(x, axes) },
                       else_branch = e () => (float[a, b] q) { q = Identity(x) }>
  })");
  EXPECT_TRUE(m.failedWith("node 'pick' (If): output 0 ('z') has type")) << m.errors;
  EXPECT_TRUE(m.failedWith("--bind")) << m.errors;
}

// Nodes out of order are sorted; a cycle is named.
TEST(Graph, OrderAndCycles) {
  Imported sorted = importGraph("g (float[4] x) => (float[4] z) { z = Relu(y)\n y = Exp(x) }");
  EXPECT_TRUE(sorted.ok) << sorted.errors;
  Imported cycle = importGraph("g (float[4] x) => (float[4] z) { [a] y = Add(x, z)\n [b] z = Exp(y) }");
  EXPECT_TRUE(cycle.failedWith("the graph has a cycle: node 'a' (Add) reads from node 'b' (Exp)")) << cycle.errors;
  Imported twice = importGraph("g (float[4] x) => (float[4] z) { [a] z = Exp(x)\n [b] z = Relu(x) }");
  EXPECT_TRUE(twice.failedWith("tensor 'z' is made twice")) << twice.errors;
}

// Operator sets that are too old or too new; in an old one operators whose version is not known.
TEST(Graph, OperatorSets) {
  std::string graph = "g (float[4] x) => (float[4] z) { z = Relu(x) }";
  EXPECT_TRUE(importGraph(graph, {}, 0).failedWith("operator set 'ai.onnx' has version 0; expected 1 to"));
  EXPECT_TRUE(importGraph(graph, {}, 999).failedWith("operator set 'ai.onnx' has version 999; expected 1 to"));
  EXPECT_TRUE(importGraph(graph, {}, 5).failedWith("operator 'Relu' of operator set 5 is not supported"));
  EXPECT_TRUE(importGraph(graph, {}, 6).ok);
}

} // namespace
