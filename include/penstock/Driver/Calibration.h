//===- Calibration.h - A profile of this machine ---------------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// Fits a device profile to kernels that were timed here. The measure is what the user runs: models are compiled as one
// stage each, run for a moment, and their kernels' times are fitted per kind of kernel and amount of work. Errors of
// the models are diagnostics on stderr.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_DRIVER_CALIBRATION_H
#define PENSTOCK_DRIVER_CALIBRATION_H

#include "penstock/Driver/Options.h"
#include "penstock/Partition/CostModel.h"

#include "llvm/Support/Error.h"

namespace penstock::driver {

struct CalibrationReport {
  partition::DeviceProfile profile;
  std::string path; ///< the file that was written, in the user's cache folder
  int64_t numKernels = 0;
  partition::Accuracy before, after; ///< of the target on paper, and of the fitted profile, on these kernels
};

/// Calibrates for `options.arch` and `options.numThreads`; its other fields are not used.
llvm::Expected<CalibrationReport> calibrateTarget(const std::vector<std::string> &models,
                                                  const CompileOptions &options);

} // namespace penstock::driver

#endif // PENSTOCK_DRIVER_CALIBRATION_H
