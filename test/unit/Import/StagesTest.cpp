//===- StagesTest.cpp - Pipeline stages that nodes carry -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "TestModels.h"
#include "gtest/gtest.h"

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

} // namespace
