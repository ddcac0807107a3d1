//===- StagesTest.cpp - Pipeline stages that nodes carry -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "StageText.h"
#include "TestModels.h"
#include "WireReader.h"
#include "gtest/gtest.h"
#include <functional>

using namespace penstock::onnximport;

namespace {

void annotate(onnx::NodeProto &node, int stage) {
  onnx::NodeDeviceConfigurationProto *entry = node.add_device_configurations();
  entry->set_configuration_id("two");
  entry->set_pipeline_stage(stage);
}

void addConfiguration(onnx::ModelProto &model) {
  model.set_ir_version(11);
  onnx::DeviceConfigurationProto *configuration = model.add_configuration();
  configuration->set_name("two");
  configuration->set_num_devices(2);
}

ImportOptions withStages() {
  ImportOptions options;
  options.pipelineStages = true;
  return options;
}

// An op made for a node carries the node's stage; constants, which stages share, carry none.
TEST(Stages, OpsCarryTheStageOfTheirNode) {
  onnx::ModelProto model =
      parseGraph("g (float[4] x) => (float[4] z) <float two = {2.0}> {\n y = Relu(x)\n z = Mul(y, two) }");
  addConfiguration(model);
  annotate(*model.mutable_graph()->mutable_node(0), 0);
  annotate(*model.mutable_graph()->mutable_node(1), 1);
  Imported m = importModel(model, withStages());
  ASSERT_TRUE(m.ok) << m.errors;
  EXPECT_TRUE(m.has("nn.unary relu %arg0 {nn.onnx_stage = 0 : i64")) << m.module;
  EXPECT_TRUE(m.has("{nn.onnx_stage = 1 : i64, nn.tensor = \"z\"}")) << m.module;
  EXPECT_FALSE(m.has("nn.constant {nn.onnx_stage")) << m.module;
  EXPECT_FALSE(importModel(model).has("onnx_stage"));
}

// What a function or a branch is made of has the stage of the call, unless its own nodes say otherwise.
TEST(Stages, FunctionsAndBranches) {
  onnx::ModelProto model = parseModel(R"(<ir_version: 11, opset_import: ["" : 18, "local" : 1]>
    g (float[4] x, bool c) => (float[4] z) {
      y = local.twice(x)
      z = If (c) <then_branch = t () => (float[4] a) { a = Relu(y) },
                  else_branch = e () => (float[4] b) { b = Exp(y) }> }
    <domain: "local", opset_import: ["" : 18]>
    twice (v) => (w) { u = Sin(v)
      w = Cos(u) })");
  addConfiguration(model);
  annotate(*model.mutable_graph()->mutable_node(0), 0);
  annotate(*model.mutable_graph()->mutable_node(1), 1);
  Imported m = importModel(model, withStages());
  ASSERT_TRUE(m.ok) << m.errors;
  EXPECT_TRUE(m.has("nn.unary sin %arg0 {nn.onnx_stage = 0 : i64")) << m.module;
  EXPECT_TRUE(m.has("nn.unary exp %1 {nn.onnx_stage = 1 : i64")) << m.module;

  annotate(*model.mutable_functions(0)->mutable_node(1), 1);
  m = importModel(model, withStages());
  ASSERT_TRUE(m.ok) << m.errors;
  EXPECT_TRUE(m.has("nn.unary sin %arg0 {nn.onnx_stage = 0 : i64")) << m.module;
  EXPECT_TRUE(m.has("nn.unary cos %0 {nn.onnx_stage = 1 : i64")) << m.module;

  // A branch that is of an earlier stage than what it reads.
  for (onnx::AttributeProto &branch : *model.mutable_graph()->mutable_node(1)->mutable_attribute())
    annotate(*branch.mutable_g()->mutable_node(0), 0);
  m = importModel(model, withStages());
  EXPECT_TRUE(m.failedWith("is in pipeline stage 0 but reads what node 'y' makes in stage 1")) << m.errors;
}

// A value that takes the way over nodes without a stage may not flow back either.
TEST(Stages, BackwardFlowOverOthers) {
  onnx::ModelProto model =
      parseGraph("g (float[4] x) => (float[4] z) {\n [a] u = Sin(x)\n [b] v = Cos(u)\n [c] z = Exp(v) }");
  addConfiguration(model);
  annotate(*model.mutable_graph()->mutable_node(0), 1);
  annotate(*model.mutable_graph()->mutable_node(2), 0);
  Imported m = importModel(model, withStages());
  EXPECT_TRUE(m.failedWith("node 'c' is in pipeline stage 0 but reads what node 'a' makes in stage 1; expected values "
                           "that flow to the same or a later stage"))
      << m.errors;
}

//===----------------------------------------------------------------------===//
// Stages that are written
//===----------------------------------------------------------------------===//

using Stages = std::map<int64_t, int64_t>;

// A node that is in one stage says it for all inside of it.
TEST(NodeStages, OuterNodesFirst) {
  NodeStages stages = NodeStages::choose({{{0}, 0}, {{1, 2}, 1}, {{1, 3}, 1}});
  EXPECT_EQ(stages.stageOf, (Stages{{0, 0}, {1, 1}}));
  EXPECT_EQ(stages.read({1, 3}), 1);
  EXPECT_EQ(stages.read({9}), std::nullopt);
  EXPECT_EQ(stages.withCode, (std::set<int64_t>{0, 1, 2, 3}));
}

// One that is cut leaves it to the nodes inside; what it does itself is in the first of its stages.
TEST(NodeStages, NodesThatAreCut) {
  NodeStages stages = NodeStages::choose({{{1, 2}, 0}, {{1, 3}, 1}, {{1, 3, 4}, 2}, {{5}, 2}, {{5}, 1}});
  EXPECT_EQ(stages.stageOf, (Stages{{2, 0}, {3, 1}, {4, 2}, {5, 1}}));
  EXPECT_EQ(stages.read({1, 3, 4}), 2);
  EXPECT_EQ(stages.read({1, 3}), 1);
}

std::string annotated(const onnx::ModelProto &model, const NodeStages &stages, int64_t numStages) {
  std::string bytes = model.SerializeAsString(), result, error;
  StageText text;
  EXPECT_TRUE(succeeded(text.annotate(bytes, stages, numStages, error))) << error;
  for (llvm::StringRef piece : text.getPieces())
    result += piece;
  return result;
}

// Numbers are those that the reader gives, in graphs, branches and functions; nothing else changes.
TEST(NodeStages, NumbersOfReaderAndWriter) {
  onnx::ModelProto model = parseModel(R"(<ir_version: 8, opset_import: ["" : 18, "local" : 1]>
    g (float[4] x, bool c) => (float[4] z) {
      y = local.twice(x)
      z = If (c) <then_branch = t () => (float[4] a) { a = Relu(y) },
                  else_branch = e () => (float[4] b) { b = Exp(y) }> }
    <domain: "local", opset_import: ["" : 18]>
    twice (v) => (w) { u = Sin(v)
      w = Cos(u) })");
  NodeStages stages;
  for (int64_t node = 0; node < 6; ++node)
    stages.stageOf[node] = node;
  onnx::ModelProto read;
  ASSERT_TRUE(read.ParseFromString(annotated(model, stages, 6)));
  EXPECT_EQ(read.ir_version(), 11);
  ASSERT_EQ(read.configuration_size(), 1);
  EXPECT_EQ(read.configuration(0).name(), "penstock");
  EXPECT_EQ(read.configuration(0).num_devices(), 6);

  std::string numbered, error;
  ASSERT_TRUE(succeeded(extractTensorData(read.SerializeAsString(), 1024, numbered, error, /*numbersNodes=*/true)));
  ASSERT_TRUE(read.ParseFromString(numbered));
  int numNodes = 0;
  std::function<void(google::protobuf::RepeatedPtrField<onnx::NodeProto> &)> check = [&](auto &nodes) {
    for (onnx::NodeProto &node : nodes) {
      ASSERT_EQ(node.device_configurations_size(), 1) << node.op_type();
      EXPECT_EQ(std::to_string(node.device_configurations(0).pipeline_stage()), node.metadata_props(0).value());
      node.clear_device_configurations();
      node.clear_metadata_props();
      ++numNodes;
      for (onnx::AttributeProto &attribute : *node.mutable_attribute())
        if (attribute.has_g())
          check(*attribute.mutable_g()->mutable_node());
    }
  };
  check(*read.mutable_graph()->mutable_node());
  check(*read.mutable_functions(0)->mutable_node());
  EXPECT_EQ(numNodes, 6);
  read.clear_configuration();
  read.set_ir_version(8);
  EXPECT_EQ(read.SerializeAsString(), model.SerializeAsString());
}

// A file that is no model is refused at the byte where it goes wrong.
TEST(NodeStages, Garbage) {
  StageText text;
  std::string error;
  EXPECT_TRUE(failed(text.annotate("\x3a\x7f\x01", NodeStages(), 1, error)));
  EXPECT_NE(error.find("byte 0"), std::string::npos) << error;
}

} // namespace
