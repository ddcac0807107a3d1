//===- SessionTest.cpp - Whole pipelines without a compiler ------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "penstock/rt/Session.h"

#include "Folder.h"

#include <csignal>
#include <thread>

using namespace penstock::rt;
using namespace testrole;

namespace {

void openChain(const std::string &folder, const SessionOptions &options, std::unique_ptr<Session> &session) {
  Status status = Session::open(folder, options, session);
  ASSERT_TRUE(status.ok()) << status.message();
}

void runRamp(Session &session, int64_t rows, float first, int32_t stages) {
  TensorMap inputs{{"x", ramp(rows, first)}}, outputs;
  Status status = session.run(viewsOf(inputs), outputs);
  ASSERT_TRUE(status.ok()) << status.message();
  ASSERT_EQ(outputs.count("y"), 1u);
  expectChain(outputs["y"], rows, first, stages);
}

class Chain : public testing::TestWithParam<int32_t> {};
INSTANTIATE_TEST_SUITE_P(Stages, Chain, testing::Values(2, 3, 17));

// Processes, joined by shared memory, give the right numbers for several shapes in one run, empty ones included.
TEST_P(Chain, servesManyShapes) {
  TemporaryFolder folder;
  writeChain(folder.path, "free", GetParam(), chainPlan(GetParam(), false));
  std::unique_ptr<Session> session;
  ASSERT_NO_FATAL_FAILURE(openChain(folder.path, SessionOptions(), session));
  for (int64_t rows : {1, 3, 0, 1000, 2, 50000, 3})
    ASSERT_NO_FATAL_FAILURE(runRamp(*session, rows, float(rows), GetParam()));
  Status status = session->close();
  EXPECT_TRUE(status.ok()) << status.message();
}

// Many requests in flight come back each with its own numbers, collected in any order, without a copy between stages.
TEST_P(Chain, manyInFlight) {
  TemporaryFolder folder;
  writeChain(folder.path, "static", GetParam(), chainPlan(GetParam(), true));
  std::unique_ptr<Session> session;
  ASSERT_NO_FATAL_FAILURE(openChain(folder.path, SessionOptions(), session));
  constexpr int64_t kCount = 200;
  std::vector<TensorMap> inputs(kCount);
  for (int64_t i = 0; i < kCount; ++i) {
    inputs[size_t(i)]["x"] = ramp(kStaticRows, float(i));
    int64_t request;
    Status status = session->submit(viewsOf(inputs[size_t(i)]), request);
    ASSERT_TRUE(status.ok()) << status.message();
    ASSERT_EQ(request, i);
  }
  for (int64_t i = kCount; i-- > 0;) {
    TensorMap outputs;
    Status status = session->collect(i, outputs);
    ASSERT_TRUE(status.ok()) << status.message();
    ASSERT_NO_FATAL_FAILURE(expectChain(outputs["y"], kStaticRows, float(i), GetParam()));
  }
  for (const ChannelFigures &channel : session->channelFigures()) {
    EXPECT_EQ(channel.messages, kCount) << channel.name;
    EXPECT_EQ(channel.bytes, kCount * kStaticRows * 16) << channel.name;
    EXPECT_EQ(channel.bytesCopied, 0) << channel.name;
  }
  EXPECT_TRUE(session->close().ok());
  TensorMap outputs;
  EXPECT_EQ(session->collect(0, outputs).code(), Code::kProgram);
}

/// The same roles as threads of this process.
template <int32_t Stages, bool Static, int32_t... Stage>
std::vector<const rt_role_desc *> chainRoles(std::integer_sequence<int32_t, Stage...>) {
  static const rt_role_desc roles[] = {Role<Stage, Stages, Static>::make()...};
  std::vector<const rt_role_desc *> result;
  for (const rt_role_desc &role : roles)
    result.push_back(&role);
  return result;
}

// Executables of the test count their allocations and fail when a microbatch of a known shape makes one.
TEST(Memory, noAllocationAfterTheFirstMicrobatch) {
  TemporaryFolder folder;
  writeChain(folder.path, "free", 3, chainPlan(3, false, 2));
  std::unique_ptr<Session> session;
  ASSERT_NO_FATAL_FAILURE(openChain(folder.path, SessionOptions(), session));
  for (int i = 0; i < 20; ++i)
    ASSERT_NO_FATAL_FAILURE(runRamp(*session, 30, float(i), 3));
  EXPECT_TRUE(session->close().ok());
}

// The programs run as threads too, and give the same numbers.
TEST(AllInOne, sameNumbers) {
  TemporaryFolder folder;
  writeChain(folder.path, "free", 3, chainPlan(3, false));
  SessionOptions options;
  options.roles = chainRoles<3, false>(std::make_integer_sequence<int32_t, 3>());
  std::unique_ptr<Session> session;
  ASSERT_NO_FATAL_FAILURE(openChain(folder.path, options, session));
  for (int64_t rows : {1, 300, 0, 7})
    ASSERT_NO_FATAL_FAILURE(runRamp(*session, rows, 2, 3));
  EXPECT_TRUE(session->close().ok());
}

// A batch is cut into microbatches and put together again in order: a free one with a smaller last part, a static one
// only in multiples.
TEST(Microbatches, cutAndJoined) {
  TemporaryFolder folder, fixed;
  writeChain(folder.path, "free", 2, chainPlan(2, false, 2));
  std::unique_ptr<Session> session;
  ASSERT_NO_FATAL_FAILURE(openChain(folder.path, SessionOptions(), session));
  for (int64_t rows : {1, 2, 3, 17, 0})
    ASSERT_NO_FATAL_FAILURE(runRamp(*session, rows, 1, 2));
  EXPECT_TRUE(session->close().ok());
  EXPECT_EQ(session->stageFigures()[0].microbatches, 1 + 1 + 2 + 9 + 1);

  writeChain(fixed.path, "static", 2, chainPlan(2, true, kStaticRows));
  ASSERT_NO_FATAL_FAILURE(openChain(fixed.path, SessionOptions(), session));
  ASSERT_NO_FATAL_FAILURE(runRamp(*session, 5 * kStaticRows, 1, 2));
  TensorMap outputs, inputs{{"x", ramp(4, 0)}};
  Status status = session->run(viewsOf(inputs), outputs);
  EXPECT_EQ(status.code(), Code::kInvalid);
  EXPECT_NE(status.message().find("multiple"), std::string::npos) << status.message();
  EXPECT_TRUE(session->close().ok());
  EXPECT_EQ(session->stageFigures()[1].microbatches, 5);
}

// Wrong inputs are the user's fault, name the input, and leave the session as it was.
TEST(Inputs, wrongOnesAreRefused) {
  TemporaryFolder folder;
  writeChain(folder.path, "static", 2, chainPlan(2, true));
  std::unique_ptr<Session> session;
  ASSERT_NO_FATAL_FAILURE(openChain(folder.path, SessionOptions(), session));
  auto refuse = [&](const TensorMap &inputs, const char *words) {
    TensorMap outputs;
    Status status = session->run(viewsOf(inputs), outputs);
    EXPECT_EQ(status.code(), Code::kInvalid);
    EXPECT_EQ(status.exitStatus(), 2);
    EXPECT_NE(status.message().find(words), std::string::npos) << status.message();
  };
  Tensor wrongType, wrongRank;
  ASSERT_TRUE(Tensor::make(RT_I32, {kStaticRows, 4}, wrongType).ok());
  ASSERT_TRUE(Tensor::make(RT_F32, {kStaticRows * 4}, wrongRank).ok());
  refuse({}, "input 'x' is missing");
  refuse({{"x", ramp(kStaticRows, 0)}, {"z", ramp(1, 0)}}, "no input 'z'; expected 'x'");
  refuse({{"x", wrongType}}, "input 'x' has type i32, expected f32");
  refuse({{"x", wrongRank}}, "input 'x' has shape 12, expected 3x4");
  refuse({{"x", ramp(4, 0)}}, "input 'x' has shape 4x4, expected 3x4");
  ASSERT_NO_FATAL_FAILURE(runRamp(*session, kStaticRows, 0, 2));
}

// Stage 0 begins microbatch 1 before stage 1, which is held, ends microbatch 0.
TEST(Pipelined, stagesOverlap) {
  TemporaryFolder folder;
  writeChain(folder.path, "free", 2, chainPlan(2, false, 1));
  SessionOptions options;
  options.traceEvents = 1000;
  options.faults[1] = "publish:*:delay=40";
  std::unique_ptr<Session> session;
  ASSERT_NO_FATAL_FAILURE(openChain(folder.path, options, session));
  ASSERT_NO_FATAL_FAILURE(runRamp(*session, 4, 0, 2));
  ASSERT_TRUE(session->close().ok());
  ASSERT_TRUE(session->writeTrace(folder.path + "/trace.json").ok());
  std::ifstream file(folder.path + "/trace.json");
  json trace = json::parse(file);
  double began = -1, ended = -1;
  for (const json &event : trace["traceEvents"]) {
    if (event["ph"] != "X" || event["cat"] != "run")
      continue;
    if (event["pid"] == 0 && event["name"] == "microbatch 1" && event["args"]["microbatch"] == 1)
      began = event["ts"];
    if (event["pid"] == 1 && event["name"] == "microbatch 0")
      ended = event["ts"].get<double>() + event["dur"].get<double>();
  }
  ASSERT_GE(began, 0);
  EXPECT_GE(ended, 40000);
  EXPECT_LT(began, ended);
}

} // namespace
