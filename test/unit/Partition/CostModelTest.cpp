//===- CostModelTest.cpp - Seconds from operations and bytes -----------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "penstock/Partition/CostModel.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>

using namespace penstock::partition;

namespace {

DeviceProfile simple() {
  DeviceProfile profile;
  profile.name = "simple";
  profile.peak[Precision::F32] = 1e9;
  profile.bytesPerSecond = 1e8;
  profile.efficiency[KernelClass::Contraction] = {{10, 0.5, 0.5}, {20, 1.0, 0.5}};
  return profile;
}

Work contraction(double numOperations, double bytes, const std::string &key = "") {
  Work work;
  work.kernelClass = KernelClass::Contraction;
  work.numOperations = numOperations;
  work.bytesRead = bytes;
  work.key = key;
  return work;
}

std::vector<Measurement> measurementsOf(double computeShare, double memoryShare) {
  std::vector<Measurement> result;
  for (int i = 10; i < 24; ++i) {
    double operations = std::exp2(i) * 1.3;
    result.push_back({contraction(operations, 1), operations / 1e9 / computeShare});
    Work copy;
    copy.kernelClass = KernelClass::Movement;
    copy.numOperations = operations;
    copy.bytesRead = copy.bytesWritten = operations * 4;
    result.push_back({copy, operations * 8 / 1e8 / memoryShare});
  }
  return result;
}

std::string firstError(const Calibration &result) { return result.errors.empty() ? "" : result.errors[0]; }

} // namespace

// The larger of the two roofs decides; the launch time comes on top.
TEST(CostModel, RooflineTakesTheLargerTerm) {
  DeviceProfile profile = simple();
  EXPECT_DOUBLE_EQ(predict(profile, contraction(1 << 20, 0)).seconds, (1 << 20) / 1e9);
  EXPECT_DOUBLE_EQ(predict(profile, contraction(1 << 20, 1e8)).seconds, 1 / 0.5);
  profile.launchSeconds = 3e-6;
  EXPECT_DOUBLE_EQ(predict(profile, contraction(0, 0)).seconds, 3e-6);
}

// Efficiency is interpolated over the logarithm of the operations, and held constant outside.
TEST(CostModel, EfficiencyIsInterpolated) {
  DeviceProfile profile = simple();
  EXPECT_DOUBLE_EQ(predict(profile, contraction(1 << 5, 0)).seconds, (1 << 5) / 1e9 / 0.5);
  EXPECT_DOUBLE_EQ(predict(profile, contraction(1 << 15, 0)).seconds, (1 << 15) / 1e9 / 0.75);
  EXPECT_DOUBLE_EQ(predict(profile, contraction(1 << 25, 0)).seconds, (1 << 25) / 1e9);
}

// Data that fit a cache move at its speed.
TEST(CostModel, SmallDataMoveAtCacheSpeed) {
  DeviceProfile profile = simple();
  profile.caches = {{1000, 1e9}, {100'000, 5e8}};
  EXPECT_DOUBLE_EQ(predict(profile, contraction(0, 1000)).seconds, 1000 / 1e9 / 0.5);
  EXPECT_DOUBLE_EQ(predict(profile, contraction(0, 50'000)).seconds, 50'000 / 5e8 / 0.5);
  EXPECT_DOUBLE_EQ(predict(profile, contraction(0, 1e6)).seconds, 1e6 / 1e8 / 0.5);
}

// A precision has its own peak; one that is not given runs at that of f32.
TEST(CostModel, PrecisionHasItsPeak) {
  DeviceProfile profile = simple();
  profile.peak[Precision::I8] = 4e9;
  Work work = contraction(1 << 20, 0);
  work.precision = Precision::I8;
  EXPECT_DOUBLE_EQ(predict(profile, work).seconds, (1 << 20) / 4e9);
  work.precision = Precision::BF16;
  EXPECT_DOUBLE_EQ(predict(profile, work).seconds, (1 << 20) / 1e9);
}

// Each prediction names its tier.
TEST(CostModel, PredictionNamesItsTier) {
  DeviceProfile profile = simple();
  Work work = contraction(1e6, 1e6, "abc");
  EXPECT_EQ(predict(profile, work).tier, CostTier::Analytic);
  profile.tier = CostTier::Calibrated;
  EXPECT_EQ(predict(profile, work).tier, CostTier::Calibrated);
  work.kernelClass = KernelClass::Recurrent; // not measured: typical efficiencies
  EXPECT_EQ(predict(profile, work).tier, CostTier::Analytic);
  profile.profiledSeconds["abc"] = 0.25;
  EXPECT_EQ(predict(profile, work).tier, CostTier::Profiled);
  EXPECT_EQ(predict(profile, work).seconds, 0.25);
}

// More work never costs less, for any class, over twelve orders of magnitude.
TEST(CostModel, CostIsMonotonic) {
  CpuTraits traits;
  traits.numThreads = 2;
  traits.vectorBits = 512;
  traits.hasIntegerDot = true;
  DeviceProfile profile = makeCpuProfile("cpu", traits);
  ASSERT_TRUE(profile.check().empty());
  for (KernelClass kernelClass : {KernelClass::Contraction, KernelClass::Convolution, KernelClass::Depthwise,
                                  KernelClass::Attention, KernelClass::Normalization, KernelClass::Elementwise,
                                  KernelClass::Movement, KernelClass::Recurrent, KernelClass::Other}) {
    double last = 0;
    for (double operations = 1; operations < 1e13; operations *= 1.07) {
      Work work;
      work.kernelClass = kernelClass;
      work.numOperations = operations;
      double seconds = predict(profile, work).seconds;
      EXPECT_TRUE(std::isfinite(seconds));
      EXPECT_GE(seconds, last) << toString(kernelClass) << " at " << operations;
      last = seconds;
    }
  }
}

// A CPU on paper: vector width, two fused units, threads and clock give the peak.
TEST(CostModel, CpuOnPaper) {
  CpuTraits traits;
  traits.numThreads = 4;
  traits.gigahertz = 2;
  traits.vectorBits = 512;
  DeviceProfile profile = makeCpuProfile("cpu", traits);
  EXPECT_DOUBLE_EQ(profile.peak[Precision::F32], 16 * 2 * 2 * 2e9 * 4);
  EXPECT_EQ(profile.peak.count(Precision::I8), 0u);
}

// Fitted to measurements of a device that follows the formula, the profile predicts them.
TEST(CostModel, CalibrationRecoversTheDevice) {
  std::vector<Measurement> measurements = measurementsOf(0.37, 0.81);
  Accuracy before = compare(simple(), measurements);
  Calibration result = calibrate(simple(), measurements);
  ASSERT_TRUE(result.profile.has_value()) << firstError(result);
  EXPECT_EQ(result.profile->tier, CostTier::Calibrated);
  Accuracy after = compare(*result.profile, measurements);
  EXPECT_GT(before.largestError, 0.3);
  EXPECT_LT(after.largestError, 1e-6);
  EXPECT_NEAR(after.rankCorrelation, 1, 1e-9);
}

// One wild measurement among several of a kind does not spoil the fit.
TEST(CostModel, CalibrationTakesTheMedian) {
  std::vector<Measurement> measurements;
  for (double seconds : {1.0, 1.0, 50.0})
    measurements.push_back({contraction(1e9, 1), seconds});
  Calibration result = calibrate(simple(), measurements);
  ASSERT_TRUE(result.profile.has_value());
  EXPECT_NEAR(predict(*result.profile, contraction(1e9, 1)).seconds, 1.0, 1e-9);
}

// Rank correlation: reversed order is -1, no information is 0.
TEST(CostModel, RankCorrelation) {
  std::vector<Measurement> reversed = {{contraction(1e6, 0), 3}, {contraction(1e7, 0), 2}, {contraction(1e8, 0), 1}};
  EXPECT_NEAR(compare(simple(), reversed).rankCorrelation, -1, 1e-12);
  std::vector<Measurement> equal = {{contraction(1e6, 0), 1}, {contraction(1e7, 0), 1}};
  EXPECT_EQ(compare(simple(), equal).rankCorrelation, 0);
}

// Measurements that cannot be are refused.
TEST(CostModel, BadMeasurementsAreRefused) {
  EXPECT_EQ(firstError(calibrate(simple(), {})), "there is no measurement to calibrate with");
  EXPECT_EQ(firstError(calibrate(simple(), {{contraction(1, 1), 0}})),
            "measurement 0 took 0 seconds; expected a finite number above 0");
  EXPECT_EQ(firstError(calibrate(DeviceProfile(), {{contraction(1, 1), 1}})),
            "device profile '': the peak for f32 is missing");
}

// A profile survives the way through its file, and the same profile gives the same text.
TEST(CostModel, ProfileRoundTrip) {
  DeviceProfile profile = *calibrate(simple(), measurementsOf(0.37, 0.81)).profile;
  profile.caches = {{1000, 1e9}};
  profile.profiledSeconds["abc"] = 0.125;
  profile.launchSeconds = 1e-6;
  std::string json = toJson(profile);
  std::string path = testing::TempDir() + "penstock-profile.json";
  std::ofstream(path) << json;
  Calibration back = readProfile(path);
  ASSERT_TRUE(back.profile.has_value()) << firstError(back);
  EXPECT_EQ(toJson(*back.profile), json);
  EXPECT_EQ(predict(*back.profile, contraction(12345, 678)).seconds, predict(profile, contraction(12345, 678)).seconds);
  std::remove(path.c_str());
}

// Bad profile files are refused with the file, the key, the value and what was expected.
TEST(CostModel, BadProfilesAreRefused) {
  const std::string good = toJson(simple());
  ASSERT_TRUE(parseProfile(good, "p.json").profile.has_value());
  auto spoilt = [&](const std::string &from, const std::string &to) {
    std::string text = good;
    size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return firstError(parseProfile(text.replace(at, from.size(), to), "p.json"));
  };
  EXPECT_EQ(firstError(parseProfile("{", "p.json")), "p.json: is not JSON");
  EXPECT_EQ(firstError(parseProfile("[1]", "p.json")), "p.json: is not a JSON object");
  EXPECT_EQ(firstError(parseProfile("{}", "p.json")), "p.json: 'schema' is missing; expected 1");
  EXPECT_EQ(spoilt("\"schema\": 1", "\"schema\": 2"), "p.json: 'schema' is 2; expected 1");
  EXPECT_EQ(spoilt("\"name\"", "\"nmae\""), "p.json: unknown key 'nmae'");
  EXPECT_EQ(spoilt("\"simple\"", "7"), "p.json: 'name' is 7; expected a string");
  EXPECT_EQ(spoilt("\"analytic\"", "\"magic\""),
            "p.json: 'tier' is \"magic\"; expected \"analytic\" or \"calibrated\"");
  EXPECT_EQ(spoilt("\"f32\": 1000000000.0", "\"f32\": -1"),
            "p.json: device profile 'simple': the peak for f32 is -1; expected a finite number above 0");
  EXPECT_EQ(spoilt("\"f32\"", "\"f33\""), "p.json: unknown key 'peak.f33'");
  EXPECT_EQ(spoilt("100000000.0", "\"fast\""), "p.json: 'bytes_per_second' is \"fast\"; expected a number");
  EXPECT_EQ(spoilt("\"contraction\"", "\"magic\""), "p.json: unknown key 'efficiency.magic'");
  EXPECT_EQ(spoilt("\"compute\": 0.5", "\"compute\": 1.5"),
            "p.json: device profile 'simple': the efficiency of contraction (compute) is 1.5; expected a share above 0 "
            "and up to 1");
  EXPECT_EQ(
      spoilt("\"log2_operations\": 20.0", "\"log2_operations\": 5"),
      "p.json: device profile 'simple': the efficiency of contraction has log2 operations of 5 at point 1; expected "
      "finite, rising numbers");
  EXPECT_EQ(spoilt("\"caches\": []", "\"caches\": [3]"), "p.json: 'caches[0]' is 3; expected an object");
  EXPECT_EQ(spoilt("\"launch_seconds\": 0.0", "\"launch_seconds\": -1"),
            "p.json: device profile 'simple': the launch time is -1; expected a finite number, not negative");
  EXPECT_EQ(firstError(readProfile("/nonexistent/p.json")),
            "/nonexistent/p.json: cannot be read: No such file or directory");
}
