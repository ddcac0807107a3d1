//===- CostModel.h - Seconds from operations and bytes -----------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Three tiers, and each prediction says which one it is:
//   analytic    a roofline: max(operations / (peak * e_c), bytes / (bandwidth * e_m)) + launch, with typical
//   efficiencies calibrated  the same formula with efficiencies fitted to measurements of this device, kept in a file
//   profiled    this very kernel was timed on this device
//
// Units: seconds, bytes, floating-point (or integer) operations, where a multiply-add counts as two.
// Ownership: plain values. Threads: pure functions. Errors: text, naming the file, the key, the value, what was
// expected.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_PARTITION_COSTMODEL_H
#define PENSTOCK_PARTITION_COSTMODEL_H

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace penstock::partition {

/// What dominates a kernel; efficiencies are kept per class.
/// Depthwise convolutions use each element of their operands a few times only.
enum class KernelClass {
  Contraction,
  Convolution,
  Depthwise,
  Attention,
  Normalization,
  Elementwise,
  Movement,
  Recurrent,
  Other
};
enum class Precision { F32, F16, BF16, I8, F64 };
enum class CostTier { Analytic, Calibrated, Profiled };

const char *toString(KernelClass kernelClass);
const char *toString(Precision precision);
const char *toString(CostTier tier);

/// What a kernel does per microbatch.
struct Work {
  KernelClass kernelClass = KernelClass::Other;
  Precision precision = Precision::F32;
  double numOperations = 0;
  double bytesRead = 0, bytesWritten = 0; ///< operands, weights and results; what stays in registers does not count
  /// Names the kernel's structure, for profiled times; may be empty.
  std::string key;
};

/// Shares of the peaks that a kernel class reaches from a number of operations on. Between two points, interpolated
/// over the logarithm; outside, the nearest.
struct EfficiencyPoint {
  double log2Operations = 0;
  double compute = 0.5, memory = 0.5;
};

/// Bandwidth for data that fits in so many bytes.
struct MemoryLevel {
  double numBytes = 0;
  double bytesPerSecond = 0;
};

/// One device as the cost model sees it, with the threads that a stage will use.
struct DeviceProfile {
  std::string name;
  CostTier tier = CostTier::Analytic;
  /// Operations per second; a precision that is absent runs at F32's rate.
  std::map<Precision, double> peak;
  double bytesPerSecond = 0;                                      ///< of main memory
  std::vector<MemoryLevel> caches;                                ///< from small to large; may be empty
  double launchSeconds = 0;                                       ///< added to each kernel
  std::map<KernelClass, std::vector<EfficiencyPoint>> efficiency; ///< a class that is absent takes the typical ones
  std::map<std::string, double> profiledSeconds;                  ///< by Work::key

  /// What is wrong, in words; empty if usable.
  std::vector<std::string> check() const;
};

struct Prediction {
  double seconds = 0;
  CostTier tier = CostTier::Analytic;
};

/// Needs a profile that passes check(). Never negative, never NaN.
Prediction predict(const DeviceProfile &profile, const Work &work);

/// What a CPU offers on paper; all cores that a stage uses together.
struct CpuTraits {
  int numThreads = 1;
  double gigahertz = 3.0;
  int vectorBits = 256;
  int numFmaUnits = 2;
  bool hasIntegerDot = false; ///< VNNI or alike: four times the F32 rate for I8
  double bytesPerSecond = 20e9;
};
DeviceProfile makeCpuProfile(const std::string &name, const CpuTraits &traits);

/// One timed kernel.
struct Measurement {
  Work work;
  double seconds = 0;
};

/// `base` with efficiencies fitted to the measurements, one point per class and power of two of operations (the median
/// of what lies there). Tier: calibrated. Measurements with a key also become profiled times. A measurement that is not
/// positive and finite is an error.
struct Calibration {
  std::optional<DeviceProfile> profile;
  std::vector<std::string> errors;
};
Calibration calibrate(const DeviceProfile &base, const std::vector<Measurement> &measurements);

/// How well predictions meet measurements: largest relative error, and Spearman's rank correlation.
struct Accuracy {
  double largestError = 0;
  double rankCorrelation = 0;
};
Accuracy compare(const DeviceProfile &profile, const std::vector<Measurement> &measurements);

/// The profile as JSON text (schema 1), and back. `fileName` only serves messages.
std::string toJson(const DeviceProfile &profile);
Calibration parseProfile(const std::string &json, const std::string &fileName);
/// Reads and parses a file.
Calibration readProfile(const std::string &fileName);

} // namespace penstock::partition

#endif // PENSTOCK_PARTITION_COSTMODEL_H
