//===- CostModel.cpp - Seconds from operations and bytes ---------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The typical efficiencies are those of well-made libraries: contractions reach 60-80% of the peak once they are large,
// everything else is bound by memory at 75-85% of its bandwidth.
//===----------------------------------------------------------------------===//
#include "penstock/Partition/CostModel.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>

using namespace penstock::partition;

namespace {

std::string number(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%g", value);
  return text;
}

const std::vector<EfficiencyPoint> &typicalEfficiency(KernelClass kernelClass) {
  static const std::vector<EfficiencyPoint> contraction = {{12, 0.10, 0.75}, {18, 0.45, 0.80}, {24, 0.75, 0.85}};
  static const std::vector<EfficiencyPoint> convolution = {{12, 0.08, 0.75}, {18, 0.40, 0.80}, {24, 0.70, 0.85}};
  static const std::vector<EfficiencyPoint> depthwise = {{12, 0.02, 0.50}, {20, 0.06, 0.60}};
  static const std::vector<EfficiencyPoint> attention = {{12, 0.08, 0.70}, {18, 0.30, 0.75}, {24, 0.55, 0.80}};
  static const std::vector<EfficiencyPoint> normalization = {{12, 0.10, 0.60}, {20, 0.20, 0.75}};
  static const std::vector<EfficiencyPoint> elementwise = {{12, 0.15, 0.70}, {20, 0.30, 0.80}};
  static const std::vector<EfficiencyPoint> movement = {{12, 0.10, 0.50}, {20, 0.10, 0.65}};
  static const std::vector<EfficiencyPoint> recurrent = {{12, 0.05, 0.70}, {18, 0.20, 0.75}, {24, 0.40, 0.80}};
  static const std::vector<EfficiencyPoint> other = {{12, 0.05, 0.40}, {20, 0.10, 0.50}};
  switch (kernelClass) {
  case KernelClass::Contraction:
    return contraction;
  case KernelClass::Convolution:
    return convolution;
  case KernelClass::Depthwise:
    return depthwise;
  case KernelClass::Attention:
    return attention;
  case KernelClass::Normalization:
    return normalization;
  case KernelClass::Elementwise:
    return elementwise;
  case KernelClass::Movement:
    return movement;
  case KernelClass::Recurrent:
    return recurrent;
  case KernelClass::Other:
    break;
  }
  return other;
}

EfficiencyPoint efficiencyAt(const std::vector<EfficiencyPoint> &points, double log2Operations) {
  if (log2Operations <= points.front().log2Operations)
    return points.front();
  for (size_t i = 1; i < points.size(); ++i) {
    const EfficiencyPoint &low = points[i - 1], &high = points[i];
    if (log2Operations > high.log2Operations)
      continue;
    double share = (log2Operations - low.log2Operations) / (high.log2Operations - low.log2Operations);
    return {log2Operations, low.compute + share * (high.compute - low.compute),
            low.memory + share * (high.memory - low.memory)};
  }
  return points.back();
}

double peakOf(const DeviceProfile &profile, Precision precision) {
  auto it = profile.peak.find(precision);
  return it != profile.peak.end() ? it->second : profile.peak.at(Precision::F32);
}

double bandwidthFor(const DeviceProfile &profile, double numBytes) {
  for (const MemoryLevel &level : profile.caches)
    if (numBytes <= level.numBytes)
      return level.bytesPerSecond;
  return profile.bytesPerSecond;
}

double log2Operations(const Work &work) { return std::log2(std::max(1.0, work.numOperations)); }

/// The two terms at full efficiency.
void idealSeconds(const DeviceProfile &profile, const Work &work, double &compute, double &memory) {
  double numBytes = work.bytesRead + work.bytesWritten;
  compute = work.numOperations / peakOf(profile, work.precision);
  memory = numBytes / bandwidthFor(profile, numBytes);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  size_t n = values.size();
  return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

/// Ranks from 0; equal values share the mean of theirs.
std::vector<double> ranksOf(const std::vector<double> &values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t(0));
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return values[a] < values[b]; });
  std::vector<double> ranks(values.size());
  for (size_t i = 0; i < order.size();) {
    size_t end = i;
    while (end < order.size() && values[order[end]] == values[order[i]])
      ++end;
    for (size_t j = i; j < end; ++j)
      ranks[order[j]] = static_cast<double>(i + end - 1) / 2;
    i = end;
  }
  return ranks;
}

} // namespace

const char *penstock::partition::toString(KernelClass kernelClass) {
  switch (kernelClass) {
  case KernelClass::Contraction:
    return "contraction";
  case KernelClass::Convolution:
    return "convolution";
  case KernelClass::Depthwise:
    return "depthwise";
  case KernelClass::Attention:
    return "attention";
  case KernelClass::Normalization:
    return "normalization";
  case KernelClass::Elementwise:
    return "elementwise";
  case KernelClass::Movement:
    return "movement";
  case KernelClass::Recurrent:
    return "recurrent";
  case KernelClass::Other:
    break;
  }
  return "other";
}

const char *penstock::partition::toString(Precision precision) {
  switch (precision) {
  case Precision::F16:
    return "f16";
  case Precision::BF16:
    return "bf16";
  case Precision::I8:
    return "i8";
  case Precision::F64:
    return "f64";
  case Precision::F32:
    break;
  }
  return "f32";
}

const char *penstock::partition::toString(CostTier tier) {
  switch (tier) {
  case CostTier::Calibrated:
    return "calibrated";
  case CostTier::Profiled:
    return "profiled";
  case CostTier::Analytic:
    break;
  }
  return "analytic";
}

std::vector<std::string> DeviceProfile::check() const {
  std::vector<std::string> errors;
  std::string prefix = "device profile '" + name + "': ";
  auto positive = [&](const std::string &what, double value) {
    if (!(value > 0) || std::isinf(value))
      errors.push_back(prefix + what + " is " + number(value) + "; expected a finite number above 0");
  };
  auto share = [&](const std::string &what, double value) {
    if (!(value > 0) || value > 1)
      errors.push_back(prefix + what + " is " + number(value) + "; expected a share above 0 and up to 1");
  };
  if (!peak.count(Precision::F32))
    errors.push_back(prefix + "the peak for f32 is missing");
  for (auto [precision, value] : peak)
    positive(std::string("the peak for ") + toString(precision), value);
  positive("the bandwidth", bytesPerSecond);
  if (!(launchSeconds >= 0) || std::isinf(launchSeconds))
    errors.push_back(prefix + "the launch time is " + number(launchSeconds) +
                     "; expected a finite number, not negative");
  for (size_t i = 0; i < caches.size(); ++i) {
    positive("the length of cache " + std::to_string(i), caches[i].numBytes);
    positive("the bandwidth of cache " + std::to_string(i), caches[i].bytesPerSecond);
    if (i && !(caches[i].numBytes > caches[i - 1].numBytes))
      errors.push_back(prefix + "cache " + std::to_string(i) + " is not larger than the one before it");
  }
  for (const auto &[kernelClass, points] : efficiency) {
    std::string what = std::string("the efficiency of ") + toString(kernelClass);
    if (points.empty())
      errors.push_back(prefix + what + " has no points; expected at least 1");
    for (size_t i = 0; i < points.size(); ++i) {
      share(what + " (compute)", points[i].compute);
      share(what + " (memory)", points[i].memory);
      if (!std::isfinite(points[i].log2Operations) || (i && !(points[i].log2Operations > points[i - 1].log2Operations)))
        errors.push_back(prefix + what + " has log2 operations of " + number(points[i].log2Operations) + " at point " +
                         std::to_string(i) + "; expected finite, rising numbers");
    }
  }
  for (const auto &[key, seconds] : profiledSeconds)
    positive("the profiled time of '" + key + "'", seconds);
  return errors;
}

Prediction penstock::partition::predict(const DeviceProfile &profile, const Work &work) {
  auto profiled = profile.profiledSeconds.find(work.key);
  if (!work.key.empty() && profiled != profile.profiledSeconds.end())
    return {profiled->second, CostTier::Profiled};
  auto own = profile.efficiency.find(work.kernelClass);
  const auto &points = own != profile.efficiency.end() ? own->second : typicalEfficiency(work.kernelClass);
  EfficiencyPoint efficiency = efficiencyAt(points, log2Operations(work));
  double compute = 0, memory = 0;
  idealSeconds(profile, work, compute, memory);
  double seconds = std::max(compute / efficiency.compute, memory / efficiency.memory) + profile.launchSeconds;
  return {std::max(0.0, seconds), own != profile.efficiency.end() ? profile.tier : CostTier::Analytic};
}

DeviceProfile penstock::partition::makeCpuProfile(const std::string &name, const CpuTraits &traits) {
  DeviceProfile profile;
  profile.name = name;
  double perCycle = traits.vectorBits / 32.0 * traits.numFmaUnits * 2;
  double f32 = perCycle * traits.gigahertz * 1e9 * traits.numThreads;
  profile.peak[Precision::F32] = f32;
  profile.peak[Precision::F64] = f32 / 2;
  if (traits.hasIntegerDot)
    profile.peak[Precision::I8] = f32 * 4;
  profile.bytesPerSecond = traits.bytesPerSecond;
  // What one core's second-level cache holds and delivers; the last level is shared and varies too much to guess.
  profile.caches.push_back({traits.numThreads * 512.0 * 1024, traits.numThreads * 24.0 * traits.gigahertz * 1e9});
  if (profile.caches[0].bytesPerSecond < profile.bytesPerSecond)
    profile.caches.clear();
  return profile;
}

Calibration penstock::partition::calibrate(const DeviceProfile &base, const std::vector<Measurement> &measurements) {
  Calibration result;
  result.errors = base.check();
  for (size_t i = 0; i < measurements.size(); ++i)
    if (!(measurements[i].seconds > 0) || std::isinf(measurements[i].seconds))
      result.errors.push_back("measurement " + std::to_string(i) + " took " + number(measurements[i].seconds) +
                              " seconds; expected a finite number above 0");
  if (measurements.empty())
    result.errors.push_back("there is no measurement to calibrate with");
  if (!result.errors.empty())
    return result;
  struct Bucket {
    std::vector<double> compute, memory;
  };
  std::map<KernelClass, std::map<int, Bucket>> buckets;
  DeviceProfile profile = base;
  profile.tier = CostTier::Calibrated;
  for (const Measurement &measurement : measurements) {
    const Work &work = measurement.work;
    double compute = 0, memory = 0;
    idealSeconds(base, work, compute, memory);
    double busy = std::max(measurement.seconds - base.launchSeconds, measurement.seconds * 1e-3);
    // The roof that the kernel touches explains its time; the other one is reached at least as well.
    Bucket &bucket = buckets[work.kernelClass][static_cast<int>(std::floor(log2Operations(work)))];
    (compute >= memory ? bucket.compute : bucket.memory).push_back(std::max(compute, memory) / busy);
    if (!work.key.empty())
      profile.profiledSeconds[work.key] = measurement.seconds;
  }
  auto toShare = [](double value) { return std::min(1.0, std::max(1e-4, value)); };
  for (const auto &[kernelClass, byOperations] : buckets) {
    std::vector<EfficiencyPoint> points;
    for (const auto &[log2, bucket] : byOperations) {
      double compute = bucket.compute.empty() ? 0 : toShare(median(bucket.compute));
      double memory = bucket.memory.empty() ? 0 : toShare(median(bucket.memory));
      points.push_back({log2 + 0.5, compute > 0 ? compute : memory, memory > 0 ? memory : compute});
    }
    profile.efficiency[kernelClass] = std::move(points);
  }
  result.profile = std::move(profile);
  return result;
}

Accuracy penstock::partition::compare(const DeviceProfile &profile, const std::vector<Measurement> &measurements) {
  Accuracy result;
  std::vector<double> predicted, measured;
  for (const Measurement &measurement : measurements) {
    predicted.push_back(predict(profile, measurement.work).seconds);
    measured.push_back(measurement.seconds);
    result.largestError = std::max(result.largestError, std::abs(predicted.back() - measured.back()) / measured.back());
  }
  std::vector<double> a = ranksOf(predicted), b = ranksOf(measured);
  double mean = (static_cast<double>(a.size()) - 1) / 2, ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    ab += (a[i] - mean) * (b[i] - mean);
    aa += (a[i] - mean) * (a[i] - mean);
    bb += (b[i] - mean) * (b[i] - mean);
  }
  result.rankCorrelation = aa > 0 && bb > 0 ? ab / std::sqrt(aa * bb) : 0;
  return result;
}
