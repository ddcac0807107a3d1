//===- FeaturesTest.cpp - What a CPU must have to run our code ----*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "penstock/Support/CpuFeatures.h"

#include "penstock/rt/Role.h"
#include "gmock/gmock.h"

using namespace penstock;

static std::string requiredFor(const char *cpu, const char *features) {
  TargetProfile profile;
  profile.cpu = cpu;
  profile.features = features;
  return getRequiredFeatures(profile);
}

// A processor's name stands for its features (those that others imply left out); added ones are added, taken away ones
// are not required.
TEST(RequiredFeatures, OfNamesAndChanges) {
  EXPECT_EQ(requiredFor("x86-64", ""), "");
  EXPECT_EQ(requiredFor("x86-64-v2", ""), "popcnt,sse4.2");
  EXPECT_EQ(requiredFor("x86-64-v3", "+avx512f"), "avx2,avx512f,bmi,bmi2,f16c,fma,lzcnt,movbe,popcnt,sse4.2");
  EXPECT_THAT(requiredFor("znver4", ""), testing::HasSubstr("avx512vbmi2"));
  EXPECT_THAT(requiredFor("znver4", "-avx512vbmi2"), testing::Not(testing::HasSubstr("avx512vbmi2")));
}

// Every word that may be required is one that the runtime can check: none is unknown to it.
TEST(RequiredFeatures, AreKnownToTheRuntime) {
  for (const char *cpu : {"x86-64-v2", "x86-64-v3", "x86-64-v4", "znver4", "sapphirerapids", "alderlake"}) {
    rt::Status status = rt::checkCpu(requiredFor(cpu, "").c_str());
    EXPECT_THAT(status.message(), testing::Not(testing::HasSubstr("does not know"))) << cpu;
  }
}
