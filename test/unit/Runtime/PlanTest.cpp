//===- PlanTest.cpp - plan.json is not trusted -------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "penstock/rt/Plan.h"

#include "Folder.h"
#include "penstock/rt/Session.h"

#include <random>

using namespace penstock::rt;
using namespace testrole;

namespace {

void refuse(const json &plan, const char *words) {
  Plan parsed;
  Status status = Plan::parse(plan.dump(), "d/plan.json", parsed);
  EXPECT_EQ(status.code(), Code::kInvalid) << words;
  EXPECT_EQ(status.message().rfind("d/plan.json: ", 0), 0u) << status.message();
  EXPECT_NE(status.message().find(words), std::string::npos) << status.message();
}

TEST(Plan, readsTheChain) {
  Plan plan;
  Status status = Plan::parse(chainPlan(3, false, 2).dump(), "plan.json", plan);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(plan.channels[1].consumerStages, (std::vector<int32_t>{1, 2}));
  EXPECT_EQ(plan.channels[0].dims, (std::vector<int64_t>{-1, 4}));
  ASSERT_EQ(plan.stages[2].steps.size(), 2u);
  EXPECT_EQ(plan.stages[2].steps[1].name, "/finish_2");
  EXPECT_EQ(plan.stages[2].steps[1].kernel, "k_finish");
  EXPECT_EQ(plan.stages[2].steps[1].tensor, "/h3");
  EXPECT_EQ(plan.kernels.size(), 6u);
  EXPECT_EQ(plan.channelTypes[1], "f32[n, 4]");
  ASSERT_EQ(plan.stages[2].program.steady.size(), 4u);
  EXPECT_EQ(plan.stages[2].program.steady[0].channel, 1);
  EXPECT_EQ(plan.stages[2].program.steady[2].kind, PlanItem::kRun);
  EXPECT_EQ(plan.stages[2].program.steady[2].stage, 2);
  EXPECT_EQ(plan.stages[2].program.steady[3].type, "f32[n, 4]");
  EXPECT_EQ(plan.microbatchRows, 2);
  EXPECT_EQ(plan.batchSymbol, 0);
}

// The host has headers of what NCCL carries, and room for the identities of two links.
TEST(Plan, slotsOfCarriedChannels) {
  json text = chainPlan(3, false);
  text["channels"][1]["carrier"] = "nccl";
  Plan plan;
  Status status = Plan::parse(text.dump(), "plan.json", plan);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(plan.channels[1].slotBytes, 256);
  EXPECT_NE(plan.channels[0].slotBytes, 256);
}

// Each field, when it is wrong, is named with what was expected.
TEST(Plan, refusesWrongFields) {
  json good = chainPlan(3, false);
  auto with = [&](const char *pointer, json value) {
    json plan = good;
    plan[json::json_pointer(pointer)] = std::move(value);
    return plan;
  };
  refuse(json::array(), "expected a JSON object");
  refuse(with("/schema", 2), "version 1 instead of 2");
  refuse(with("/schema", "1"), "schema: expected an integer");
  refuse(with("/fingerprint", "xyz"), "64 hexadecimal digits");
  refuse(with("/identity", json()), "a field 'identity'");
  refuse(with("/identity", 3), "identity: expected an object");
  refuse(with("/identity/cut", 3), "identity.cut: expected a string");
  refuse(with("/model", 5), "plan.model: expected a string");
  refuse(with("/stages", json::array()), "stages: expected at least one");
  refuse(with("/stages/0/executable", "../sh"), "the name of a file in the folder");
  refuse(with("/stages/0/executable", ""), "the name of a file in the folder");
  refuse(with("/stages/0/threads", 0), "stages[0].threads");
  refuse(with("/stages/0/kernels/1", json::object()), "stages[0].kernels[1]: expected a field 'name'");
  refuse(with("/channels/1/depth", 0), "channels[1].depth");
  refuse(with("/channels/1/depth", 1e30), "channels[1].depth");
  refuse(with("/channels/1/dtype", "f31"), "instead of 'f31'");
  refuse(with("/channels/1/from", 3), "channels[1].from");
  refuse(with("/channels/1/from", "sink"), "channels[1].from");
  refuse(with("/channels/1/to", json::array()), "at least one consumer");
  refuse(with("/channels/1/to/0", -1), "channels[1].to");
  refuse(with("/channels/1/carrier", "pigeon"), "channels[1].carrier: expected \"nccl\", or no carrier");
  refuse(with("/channels/1/dims/0", "q"), "instead of 'q'");
  refuse(with("/channels/1/dims/0", json{"pow", 1, 2}), "OPERATOR");
  refuse(with("/channels/1/slot_bytes", -2), "slot_bytes");
  refuse(with("/inputs/0/channels/0", "c1"), "channels from the source");
  refuse(with("/inputs/0/dims", json{"n"}), "channels of the tensor's own type");
  refuse(with("/inputs/0/dims", json{3, 4}), "an input with the dimension 'n'");
  refuse(with("/inputs/0/batch_axis", 2), "batch_axis");
  refuse(with("/outputs/0/channels", json::array()), "a channel to the sink");
  refuse(with("/outputs", json::array()), "outputs: expected at least one");
  refuse(with("/channels/1/to/0", 2), "a channel that the stage reads");
  refuse(with("/symbols/0/upper", -3), "symbols[0].upper");
  refuse(with("/microbatch", json{{"rows", 0}}), "microbatch.rows");
  refuse(with("/constraints", json{{{"relation", "lt"}}}), "eq or le");
  refuse(with("/kernels", json::array()), "kernels: expected at least one");
  refuse(with("/kernels/0", 1), "kernels: expected names");
  refuse(with("/stages/1/program", nullptr), "stages[1]: expected a field 'program'");
  refuse(with("/stages/1/program/base", -1), "stages[1].program.base");
  refuse(with("/stages/1/program/round", 0), "stages[1].program.round");
  refuse(with("/stages/1/program/steady", 0), "stages[1].program.steady");
  refuse(with("/stages/1/program/steady/0/receive", "c9"), "a channel of the plan instead of 'c9'");
  refuse(with("/stages/1/program/steady/0/dtype", "f31"), "instead of 'f31'");
  refuse(with("/stages/1/program/steady/1/run", 3), "stages[1].program.steady[1].run");
  refuse(with("/stages/1/program/steady/1/microbatch", 257), "stages[1].program.steady[1].microbatch");
  json missing = good;
  missing["channels"][0].erase("tensor");
  refuse(missing, "channels[0]: expected a field 'tensor'");
  json deep = 1;
  for (int i = 0; i < 1000; ++i)
    deep = json{"+", deep, 1};
  refuse(with("/channels/1/dims/0", deep), "OPERATOR");
}

// Cut anywhere or with any part replaced, the file is refused or understood; never a crash.
TEST(Plan, damagedAnyhow) {
  std::string whole = chainPlan(3, false, 1).dump();
  Plan plan;
  for (size_t length = 0; length < whole.size(); ++length)
    EXPECT_FALSE(Plan::parse(whole.substr(0, length), "p", plan).ok());
  std::mt19937 random(3);
  static constexpr char kBytes[] = "0123456789\"[]{}:,-ensx";
  for (int i = 0; i < 20000; ++i) {
    std::string damaged = whole;
    for (unsigned k = 0; k < 1 + random() % 3; ++k)
      damaged[random() % damaged.size()] = kBytes[random() % (sizeof(kBytes) - 1)];
    (void)Plan::parse(damaged, "p", plan);
  }
}

// Expressions follow MLIR's affine operators, and overflow is noticed.
TEST(Expr, evaluates) {
  json plan = chainPlan(2, false);
  auto evaluate = [&](const json &expr, int64_t n, int64_t &value) {
    plan["constraints"] = {{{"relation", "eq"}, {"left", expr}, {"right", 0}}};
    Plan parsed;
    Status status = Plan::parse(plan.dump(), "p", parsed);
    EXPECT_TRUE(status.ok()) << status.message();
    return status.ok() && parsed.constraints[0].left.evaluate({n}, value);
  };
  struct Case {
    json expr;
    int64_t n, expected;
  };
  for (const Case &c : {Case{{"floordiv", "n", 2}, 7, 3},
                        {{"floordiv", {"-", 0, "n"}, 2}, 7, -4},
                        {{"ceildiv", "n", 2}, 7, 4},
                        {{"ceildiv", {"-", 0, "n"}, 2}, 7, -3},
                        {{"mod", "n", 4}, 7, 3},
                        {{"mod", {"-", 0, "n"}, 4}, 7, 1},
                        {{"+", {"*", "n", "n"}, 1}, 7, 50},
                        {{"min", "n", 3}, 7, 3},
                        {{"max", "n", 3}, 7, 7}}) {
    int64_t value = 0;
    EXPECT_TRUE(evaluate(c.expr, c.n, value));
    EXPECT_EQ(value, c.expected) << c.expr.dump();
  }
  int64_t value;
  EXPECT_FALSE(evaluate({"floordiv", "n", 0}, 1, value));
  EXPECT_FALSE(evaluate({"*", "n", INT64_MAX}, 2, value));
}

// Shapes are checked against bounds and constraints before anything runs.
TEST(Plan, constraintsAndBounds) {
  json text = chainPlan(2, false);
  text["symbols"][0] = {{"name", "n"}, {"lower", 1}, {"upper", 8}};
  text["constraints"] = {{{"relation", "le"}, {"left", {"*", "n", 2}}, {"right", 12}, {"what", "node '/concat'"}}};
  Plan plan;
  ASSERT_TRUE(Plan::parse(text.dump(), "p", plan).ok());
  auto check = [&](int64_t rows) {
    TensorMap inputs{{"x", ramp(rows, 0)}};
    return checkInputs(plan, viewsOf(inputs)).message();
  };
  EXPECT_EQ(check(6), "");
  EXPECT_NE(check(9).find("dimension 'n' is 9, expected 1..8"), std::string::npos) << check(9);
  EXPECT_NE(check(0).find("dimension 'n' is 0, expected 1..8"), std::string::npos) << check(0);
  EXPECT_NE(check(7).find("(n * 2) is 14, expected at most 12 = 12 for node '/concat'"), std::string::npos) << check(7);
}

// What a kernel finds is bound by no input, and no shape of a request can break its bounds.
TEST(Plan, symbolsOfTheData) {
  json text = chainPlan(2, false);
  text["symbols"].push_back({{"name", "found"}, {"lower", 1}, {"upper", 8}});
  Plan plan;
  EXPECT_NE(Plan::parse(text.dump(), "p", plan).message().find("an input with the dimension 'found'"),
            std::string::npos);
  text["symbols"][1]["data"] = true;
  ASSERT_TRUE(Plan::parse(text.dump(), "p", plan).ok());
  TensorMap inputs{{"x", ramp(3, 0)}};
  EXPECT_EQ(checkInputs(plan, viewsOf(inputs)).message(), "");
}

} // namespace
