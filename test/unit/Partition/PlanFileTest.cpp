//===- PlanFileTest.cpp - Plans and times that people give ---------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "penstock/Partition/PlanFile.h"

#include <gtest/gtest.h>

using namespace penstock::partition;

namespace {

std::string nested(int depth) { return std::string(depth, '[') + std::string(depth, ']'); }

// Kernels are names, or objects that have one; what else is there does not matter.
TEST(PlanFile, Stages) {
  PlanStages plan = parsePlanStages(R"({"schema": 1, "stages": [{"kernels": ["a"]}, {"kernels": [{"name": "b", "ms": 3},
                                      "c"], "predicted_ms": null}, {"kernels": []}]})",
                                    "p.json");
  EXPECT_EQ(plan.error, "");
  EXPECT_EQ(plan.stages, (std::vector<std::vector<std::string>>{{"a"}, {"b", "c"}, {}}));
}

// What is no plan is refused with the file's name, and nothing of it is kept.
TEST(PlanFile, Refused) {
  const std::pair<std::string, const char *> cases[] = {
      {"", "is no JSON"},
      {"{\"stages\": [", "is no JSON"},
      {"[]", "has no list 'stages'"},
      {R"({"stages": {}})", "has no list 'stages'"},
      {R"({"stages": []})", "has no list 'stages'"},
      {R"({"stages": [{"kernels": ["a"]}, 3]})", "has no list 'kernels' in stage 1"},
      {R"({"stages": [{"kernels": "a"}]})", "has no list 'kernels' in stage 0"},
      {R"({"stages": [{"kernels": [{"name": 1}]}]})", "has a kernel without name in stage 0"},
      {nested(100000), "has no list 'stages'"},
      {R"({"stages": [{"kernels": [)" + nested(100000) + "]}]}", "has a kernel without name in stage 0"}};
  for (const auto &[text, what] : cases) {
    PlanStages plan = parsePlanStages(text, "p.json");
    EXPECT_EQ(plan.error, std::string("plan file 'p.json' ") + what) << text.substr(0, 80);
    EXPECT_TRUE(plan.stages.empty());
  }
  EXPECT_NE(readPlanStages("/nonexistent/p.json").error.find("cannot be read"), std::string::npos);
}

// Times are kept by function and name, and as the mean of a function.
TEST(PlanFile, Times) {
  DeviceProfile profile;
  EXPECT_EQ(addMeasuredTimes(R"({"stages": [{"kernels": [{"name": "a", "kernel": "k_1", "ms": 1},
                               {"name": "b", "kernel": "k_1", "ms": 3}]}, {"kernels": []}]})",
                             "t.json", profile),
            "");
  EXPECT_EQ(profile.profiledSeconds, (std::map<std::string, double>{{"k_1", 2e-3}, {"k_1 a", 1e-3}, {"k_1 b", 3e-3}}));
}

// A file of which a part is wrong leaves the profile as it was.
TEST(PlanFile, TimesRefused) {
  const std::pair<const char *, const char *> cases[] = {
      {"{", "is no JSON"},
      {"3", "has no list 'stages'"},
      {R"({"stages": [1]})", "has a stage without a list 'kernels'"},
      {R"({"stages": [{"kernels": [{"name": "a", "kernel": "k", "ms": 1}, {"name": "b", "kernel": "k"}]}]})",
       "has a kernel without name, kernel and ms"},
      {R"({"stages": [{"kernels": [{"name": "a", "kernel": "k", "ms": -1}]}]})", "has a kernel without"},
      {R"({"stages": [{"kernels": [{"name": "a", "kernel": "k", "ms": 1e400}]}]})", "is no JSON"},
      {R"({"stages": [{"kernels": ["a"]}]})", "has a kernel without"}};
  for (const auto &[text, what] : cases) {
    DeviceProfile profile;
    std::string error = addMeasuredTimes(text, "t.json", profile);
    EXPECT_EQ(error.rfind(std::string("costs file 't.json' ") + what, 0), 0u) << text << ": " << error;
    EXPECT_TRUE(profile.profiledSeconds.empty());
  }
}

// A profile that is nested deeper than a stack can follow is refused like any other.
TEST(PlanFile, NestedProfile) {
  Calibration read = parseProfile(R"({"schema": 1, "name": )" + nested(1000000) + "}", "x.json");
  EXPECT_FALSE(read.profile);
  ASSERT_FALSE(read.errors.empty());
  EXPECT_EQ(read.errors.front(), "x.json: 'name' is a list; expected a string");
}

} // namespace
