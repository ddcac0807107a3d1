//===- Calibration.cpp - A profile of this machine -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "penstock/Driver/Calibration.h"

#include "PhaseFunctions.h"
#include "penstock/Driver/Diagnostics.h"
#include "penstock/Driver/Partitioning.h"
#include "penstock/Support/Error.h"
#include "penstock/Support/Files.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/xxhash.h"

namespace penstock::driver {
using namespace mlir;

/// Adds the kernels of one model with their times.
static llvm::Error measureModel(const std::string &model, const CompileOptions &given, StringRef scratch,
                                std::vector<partition::Measurement> &measurements) {
  CompileOptions options;
  options.model = model;
  options.arch = given.arch;
  options.numThreads = given.numThreads;
  options.numStages = 1;
  options.compileTo = "fuse";
  options.output = (scratch + "/model").str();
  DialectRegistry registry;
  registerDialects(registry);
  MLIRContext context(registry);
  Compilation compilation(context, options);
  DiagnosticReporter reporter(&context, llvm::errs(), /*verbose=*/false);
  if (failed(compile(compilation)) || failed(measureKernels(compilation, {})))
    return compilation.exitStatus == 2 ? userError("model '{0}' cannot be timed", model)
                                       : worldError("model '{0}' cannot be timed", model);
  llvm::Expected<llvm::StringMap<std::string>> functions = nameFunctions(*compilation.module, *compilation.target);
  if (!functions)
    return functions.takeError();
  for (partition::Work &work : pipe::describeKernels(*compilation.module)) {
    auto time = compilation.measuredSeconds.find(functions->lookup(work.key) + " " + work.key);
    if (time == compilation.measuredSeconds.end())
      continue;
    work.key.clear(); // the profile is of the machine, not of these kernels
    measurements.push_back({work, time->second});
  }
  return llvm::Error::success();
}

/// Writes a file that is there as a whole or not at all.
static llvm::Error writeProfile(const partition::DeviceProfile &profile, const std::string &path) {
  if (std::error_code code = llvm::sys::fs::create_directories(llvm::sys::path::parent_path(path)))
    return systemError("create folder", llvm::sys::path::parent_path(path), code.value());
  return writeWholeFile(path, [&](llvm::raw_ostream &os) { os << partition::toJson(profile); });
}

llvm::Expected<CalibrationReport> calibrateTarget(const std::vector<std::string> &models,
                                                  const CompileOptions &options) {
  llvm::Expected<std::unique_ptr<TargetBackend>> target = openTarget(options);
  if (!target)
    return target.takeError();
  CalibrationReport report;
  report.path = getCalibrationPath(**target, options.numThreads);
  if (report.path.empty())
    return userError("neither XDG_CACHE_HOME nor HOME is set; a calibration is kept in the user's cache folder");
  llvm::Expected<PrivateFolder> scratch = PrivateFolder::createTemporary();
  if (!scratch)
    return scratch.takeError();
  std::vector<partition::Measurement> measurements;
  for (const std::string &model : models)
    if (llvm::Error error = measureModel(model, options, scratch->getPath(), measurements))
      return std::move(error);
  partition::DeviceProfile paper = (*target)->getDeviceProfile(options.numThreads);
  partition::Calibration fitted = partition::calibrate(paper, measurements);
  if (!fitted.profile)
    return userError("{0}", fitted.errors.front());
  report.numKernels = measurements.size();
  report.before = partition::compare(paper, measurements);
  report.after = partition::compare(*fitted.profile, measurements);
  // Plans name the profile that they were made with.
  std::string digits = llvm::utohexstr(llvm::xxh3_64bits(partition::toJson(*fitted.profile)), /*LowerCase=*/true, 16);
  fitted.profile->name += " calibration " + digits.substr(0, 8);
  if (llvm::Error error = writeProfile(*fitted.profile, report.path))
    return std::move(error);
  report.profile = std::move(*fitted.profile);
  return std::move(report);
}

} // namespace penstock::driver
