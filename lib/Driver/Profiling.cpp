//===- Profiling.cpp - Kernels timed where they run -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// A kernel's time depends on what ran before it (what is left in the caches), on the other stages (memory bandwidth)
// and on its weights being read from memory. So kernels are timed in the pipeline itself: a first plan is compiled, run
// with random inputs for a moment, and its kernels' times are kept. What a stage needs fits, because the first plan
// fits.
//===----------------------------------------------------------------------===//
#include "PhaseFunctions.h"

#include "penstock/Driver/Partitioning.h"
#include "penstock/Partition/PlanFile.h"
#include "penstock/Support/Error.h"
#include "penstock/Support/Files.h"
#include "penstock/rt/Bench.h"

namespace penstock::driver {
using namespace mlir;

static constexpr double kSeconds = 1, kWarmupSeconds = 0.25;

static llvm::Error toError(const rt::Status &status) {
  if (status.ok())
    return llvm::Error::success();
  return status.exitStatus() == 2 ? userError("timing kernels failed: {0}", status.message())
                                  : worldError("timing kernels failed: {0}", status.message());
}

/// Runs a compiled folder at the typical extents.
static llvm::Error runFolder(const std::string &folder, rt::BenchResult &result) {
  rt::Plan plan;
  if (rt::Status status = rt::Plan::load(folder, plan); !status.ok())
    return toError(status);
  rt::TensorMap inputs;
  if (rt::Status status = rt::addRandomInputs(plan, rt::RandomInputs(), inputs); !status.ok())
    return toError(status);
  std::unique_ptr<rt::Session> session;
  if (rt::Status status = rt::Session::open(folder, rt::SessionOptions(), session); !status.ok())
    return toError(status);
  rt::BenchOptions options;
  options.seconds = kSeconds;
  options.warmupSeconds = kWarmupSeconds;
  if (rt::Status status = rt::bench(*session, inputs, options, result); !status.ok())
    return toError(status);
  return toError(session->close());
}

LogicalResult measureKernels(Compilation &compilation, const PhaseCallback &onPhase) {
  llvm::Expected<PrivateFolder> folder = PrivateFolder::createBeside(getOutputFolder(compilation.options));
  if (!folder)
    return compilation.fail(folder.takeError());
  CompileOptions options = compilation.options;
  options.output = folder->getPath() + "/first.penstock";
  options.dumpPhases.clear();
  Compilation first(compilation.context, options);
  first.module = compilation.module->clone();
  first.workspaceBytes = compilation.workspaceBytes;
  first.libraryBytes = compilation.libraryBytes;
  first.kernels = std::move(compilation.kernels);
  first.cache = std::move(compilation.cache);
  LogicalResult made = runPhases(static_cast<int>(Phase::Assign), static_cast<int>(Phase::Link), first, onPhase);
  compilation.cache = std::move(first.cache);
  if (failed(made)) {
    compilation.exitStatus = first.exitStatus ? first.exitStatus : compilation.exitStatus;
    return failure();
  }
  rt::BenchResult result;
  if (llvm::Error error = runFolder(options.output, result))
    return compilation.fail(std::move(error));
  partition::DeviceProfile times;
  std::string error = partition::addMeasuredTimes(rt::benchToJson(result), options.output, times);
  if (!error.empty())
    return compilation.fail(worldError("{0}", error));
  compilation.measuredSeconds = std::move(times.profiledSeconds);
  compilation.kernels = std::move(first.kernels);
  compilation.target = std::move(first.target);
  return success();
}

} // namespace penstock::driver
