//===- ProveTest.cpp - A folder is proved before it runs ---------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "penstock/rt/Prove.h"

#include "Folder.h"
#include "penstock/rt/Session.h"

using namespace penstock::rt;
using namespace testrole;

namespace {

/// What a folder with this plan is refused with. It has no executables: nothing may be started.
std::string refusal(const json &plan) {
  TemporaryFolder folder;
  writeFile(folder.path + "/plan.json", plan.dump());
  std::unique_ptr<Session> session;
  Status status = Session::open(folder.path, SessionOptions(), session);
  EXPECT_EQ(status.exitStatus(), 2);
  std::string prefix = "the plan of '" + folder.path + "' cannot be run: ";
  EXPECT_EQ(status.message().rfind(prefix, 0), 0u) << status.message();
  return status.message().substr(std::min(prefix.size(), status.message().size()));
}

json &steady(json &plan, int32_t stage) { return plan["stages"][size_t(stage)]["program"]["steady"]; }

TEST(Prove, chainsOfAnyLength) {
  for (int32_t stages : {1, 2, 3, 17}) {
    Plan plan;
    Status status = Plan::parse(chainPlan(stages, false).dump(), "p", plan);
    ASSERT_TRUE(status.ok()) << status.message();
    PlanProof proof;
    status = provePlan(plan, proof);
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_EQ(proof.periodMs, 0.5);
    EXPECT_EQ(proof.limit, "limited by role 0");
  }
}

// The period is that of the slowest stage; a plan that lacks a time predicts none.
TEST(Prove, period) {
  json text = chainPlan(3, false);
  text["stages"][1]["predicted_ms"] = 2.25;
  Plan plan;
  PlanProof proof;
  ASSERT_TRUE(Plan::parse(text.dump(), "p", plan).ok());
  ASSERT_TRUE(provePlan(plan, proof).ok());
  EXPECT_EQ(proof.periodMs, 2.25);
  EXPECT_EQ(proof.limit, "limited by role 1");
  text["stages"][2]["predicted_ms"] = nullptr;
  ASSERT_TRUE(Plan::parse(text.dump(), "p", plan).ok());
  ASSERT_TRUE(provePlan(plan, proof).ok());
  EXPECT_EQ(proof.periodMs, -1);
  EXPECT_EQ(proof.limit, "");
}

TEST(Prove, droppedSend) {
  json plan = chainPlan(3, false);
  steady(plan, 0).erase(2);
  EXPECT_EQ(refusal(plan),
            "stage 0 does not send channel 'c1' ('/h1'), which stage 1 waits for, for microbatch 0 (of 1)");
}

TEST(Prove, droppedReceive) {
  json plan = chainPlan(3, false);
  steady(plan, 2).erase(0);
  EXPECT_EQ(refusal(plan),
            "stage 2 runs microbatch 0 before it has received channel 'c1' ('/h1') from stage 0 (of 1) (and 1 more)");
}

TEST(Prove, swappedOrder) {
  json plan = chainPlan(3, false);
  std::swap(steady(plan, 1)[1], steady(plan, 1)[2]);
  EXPECT_EQ(refusal(plan),
            "stage 1 sends channel 'c2' ('/h2') to stage 2 for microbatch 0 before it has run it (of 1)");
  std::swap(steady(plan, 1)[1], steady(plan, 1)[2]);
  std::swap(steady(plan, 1)[0], steady(plan, 1)[1]);
  EXPECT_EQ(refusal(plan), "stage 1 runs microbatch 0 before it has received channel 'c1' ('/h1') from stage 0 (of 1)");
}

// Two microbatches a round, each taken in another order than it is sent.
TEST(Prove, swappedMicrobatches) {
  json plan = chainPlan(2, false);
  json round = json::array();
  for (int64_t microbatch : {1, 0})
    for (json item : steady(plan, 1)) {
      item["microbatch"] = microbatch;
      round.push_back(item);
    }
  plan["stages"][1]["program"]["epilogue"] = steady(plan, 1);
  plan["stages"][1]["program"]["round"] = 2;
  steady(plan, 1) = round;
  EXPECT_EQ(refusal(plan), "stage 1 receives channel 'c1' ('/h1') from stage 0 for microbatch 1 where 0 is next (of 2) "
                           "(and 5 more)");
}

// Stage 0 makes two messages before it sends one of them: with one slot it waits for itself.
TEST(Prove, depthTooSmall) {
  json plan = chainPlan(2, false);
  json one = steady(plan, 0), round = json::array();
  for (size_t step = 0; step < one.size(); ++step)
    for (int64_t microbatch : {0, 1}) {
      json item = one[step];
      item["microbatch"] = microbatch;
      round.push_back(item);
    }
  plan["stages"][0]["program"]["epilogue"] = one;
  plan["stages"][0]["program"]["round"] = 2;
  steady(plan, 0) = round;
  Plan parsed;
  PlanProof proof;
  ASSERT_TRUE(Plan::parse(plan.dump(), "p", parsed).ok());
  EXPECT_EQ(provePlan(parsed, proof).message(), "");
  plan["channels"][1]["depth"] = 1;
  EXPECT_EQ(refusal(plan),
            "deadlock: stage 1 waits for channel 'c1' ('/h1') from stage 0; stage 0 waits for a free slot "
            "of channel 'c1' ('/h1'), depth 1, held by stage 1");
}

TEST(Prove, wrongType) {
  json plan = chainPlan(3, false);
  steady(plan, 2)[0]["dtype"] = "f16";
  EXPECT_EQ(refusal(plan),
            "stage 2 receives channel 'c1' ('/h1') from stage 0 as f16[n, 4]; the channel carries f32[n, 4]");
  plan = chainPlan(3, false);
  steady(plan, 0)[2]["dims"][1] = 5;
  EXPECT_EQ(refusal(plan),
            "stage 0 sends channel 'c1' ('/h1') to stage 1 and stage 2 as f32[n, 5]; the channel carries f32[n, 4]");
  plan = chainPlan(3, false);
  steady(plan, 0)[2]["tensor"] = "/h2";
  EXPECT_EQ(refusal(plan),
            "stage 0 sends channel 'c1' ('/h1') to stage 1 and stage 2 as tensor '/h2'; the channel carries '/h1'");
}

TEST(Prove, duplicatedAndLostKernels) {
  json plan = chainPlan(2, false);
  plan["stages"][1]["kernels"].push_back(plan["stages"][0]["kernels"][1]);
  EXPECT_EQ(refusal(plan),
            "kernel '/finish_0' ('/h1') is run by stage 0 and by stage 1; expected one owner, and a mark on "
            "each clone; channel 'c1' ('/h1') carries it from stage 0 to stage 1");
  plan["stages"][1]["kernels"][2]["name"] = "/finish_0@1";
  EXPECT_EQ(refusal(plan), "stage 1 runs kernel '/finish_0@1' ('/h1'), which is none of the model's 4");
  plan["stages"][1]["kernels"][2]["clone_of"] = "/finish_0";
  Plan parsed;
  PlanProof proof;
  ASSERT_TRUE(Plan::parse(plan.dump(), "p", parsed).ok());
  EXPECT_EQ(provePlan(parsed, proof).message(), "");
  plan["stages"][0]["kernels"].erase(1);
  EXPECT_EQ(refusal(plan), "no stage owns kernel '/finish_0'; expected exactly one");
  plan = chainPlan(2, false);
  plan["stages"][1]["kernels"] = json::array();
  EXPECT_EQ(refusal(plan), "stage 1 is empty; expected at least one kernel (and 2 more)");
}

TEST(Prove, circle) {
  json plan = chainPlan(2, false);
  plan["channels"].push_back({{"name", "back"},
                              {"tensor", "/b"},
                              {"dtype", "f32"},
                              {"dims", {"n", 4}},
                              {"from", 1},
                              {"to", {0}},
                              {"depth", 2},
                              {"slot_bytes", -1}});
  EXPECT_EQ(refusal(plan), "data flows in a cycle without delay: stage 0 -> channel 'c1' ('/h1') -> stage 1 -> channel "
                           "'back' ('/b') -> stage 0");
}

} // namespace
