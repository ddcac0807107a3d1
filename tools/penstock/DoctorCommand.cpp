//===- DoctorCommand.cpp - penstock doctor -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "Commands.h"

#include "devices/Device.h"
#include "penstock/Driver/Calibration.h"
#include "penstock/Link/Installation.h"
#include "penstock/Support/Error.h"
#include "transports/mpi/Fabric.h"

#include "llvm/Support/Program.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/TargetParser/Host.h"

#include <dlfcn.h>
#include <memory>
#include <nlohmann/json.hpp>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>

using namespace penstock;
using nlohmann::ordered_json;

namespace penstock::tool {
namespace {

struct Finding {
  std::string kind, name;
  bool works;
  std::string detail; ///< what it is, or what to do so that it works
};

Finding checkCpu() {
  llvm::StringMap<bool> features = llvm::sys::getHostCPUFeatures();
  std::string level = features.lookup("avx512f") && features.lookup("avx512bw") && features.lookup("avx512vl")
                          ? "x86-64-v4"
                      : features.lookup("avx2") && features.lookup("fma") ? "x86-64-v3"
                                                                          : "x86-64";
  return {"target", "cpu", level != "x86-64",
          llvm::sys::getHostCPUName().str() + ", " + level + ", " +
              std::to_string(std::thread::hardware_concurrency()) + " cores" +
              (level == "x86-64" ? "; needs AVX2 and FMA" : "")};
}

Finding checkInstallation() {
  llvm::Expected<link::Installation> installation = link::Installation::locate();
  if (installation)
    return {"target", "linker", true, installation->getFolder()};
  std::string message = llvm::toString(installation.takeError());
  return {"target", "linker", false, message + "; run ./dev build"};
}

Finding checkShm() {
  int descriptor = memfd_create("penstock-doctor", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (descriptor < 0)
    return {"transport", "shm", false, "memfd_create is refused; needs Linux 3.17 or newer"};
  close(descriptor);
  return {"transport", "shm", true, "memfd with seals"};
}

/// The library that the plug-in of an output folder asks for; it is only looked at, not started.
Finding checkMpi() {
  if (dlopen(rt::kMpiLibrary, RTLD_LAZY | RTLD_LOCAL))
    return {"transport", "mpi", true, std::string(rt::kMpiLibrary) + " (Open MPI)"};
  return {"transport", "mpi", false, std::string(dlerror()) + "; install the package openmpi-bin"};
}

/// What CUDA's plug-in sees: a line for the target, one for each device and each pair of them, one for the order in
/// which stages take them, one for each library.
void checkCuda(std::vector<Finding> &findings) {
  llvm::Expected<link::Installation> installation = link::Installation::locate();
  llvm::Expected<std::string> plugin =
      installation ? installation->find("libpenstock-cuda.so") : llvm::Expected<std::string>(installation.takeError());
  rt::DeviceReport report;
  rt::Status status;
  if (plugin)
    status = rt::probeDevices(*plugin, report);
  if (!plugin || !status.ok()) {
    std::string trouble = plugin ? status.message() : llvm::toString(plugin.takeError());
    findings.push_back({"target", "cuda", false, trouble + "; run ./dev build"});
    return;
  }
  const rt::DeviceReport::Library &driver = report.driver;
  std::string found = driver.works ? "the driver supports CUDA " + std::string(driver.version) + ", " +
                                         std::to_string(report.numDevices) + " devices"
                                   : std::string(driver.trouble);
  findings.push_back({"target", "cuda", driver.works && report.numDevices > 0, found});
  for (int32_t i = 0; i < report.numDevices; ++i) {
    const rt::DeviceFacts &device = report.devices[i];
    findings.push_back({"device", "cuda:" + std::to_string(i), true,
                        rt::format("%s, %s, %.1f GiB, %d processors, at %s", device.name, device.arch,
                                   double(device.totalBytes) / (1 << 30), device.numProcessors, device.bus)});
  }
  for (int32_t i = 0; i < report.numDevices; ++i)
    for (int32_t k = i + 1; k < report.numDevices; ++k) {
      rt::DeviceLink link = report.links[i][k];
      findings.push_back({"link", "cuda:" + std::to_string(i) + "-" + std::to_string(k), link != rt::DeviceLink::kHost,
                          link == rt::DeviceLink::kPeerWithAtomics ? "NVLink (peer access with atomics)"
                          : link == rt::DeviceLink::kPeer          ? "PCIe (peer access)"
                                                                   : "no peer access: through memory of the host"});
    }
  if (report.numDevices > 1) {
    std::string names;
    for (int32_t index : rt::orderByLinks(report))
      names += (names.empty() ? "cuda:" : ", cuda:") + std::to_string(index);
    findings.push_back({"order", "cuda", true,
                        "stages take " + names + (report.isOrdered ? " (CUDA_VISIBLE_DEVICES)" : " (by their links)")});
  }
  for (int32_t i = 0; i < report.numLibraries; ++i) {
    const rt::DeviceReport::Library &library = report.libraries[i];
    findings.push_back(
        {"library", library.name, library.works != 0,
         library.works ? std::string(library.soname) + ", " + library.version : std::string(library.trouble)});
  }
}

Finding checkLauncher(const char *program, const char *package, bool hasMpi) {
  llvm::ErrorOr<std::string> path = llvm::sys::findProgramByName(program);
  if (!path)
    return {"launcher", program, false, std::string("not installed (package ") + package + ")"};
  return {"launcher", program, hasMpi, *path + (hasMpi ? "" : " is here, but transport mpi does not work")};
}

struct DoctorFlags {
  CommonOptions common;
  driver::CompileOptions options;
  std::vector<std::string> models;
};

int runCalibration(const DoctorFlags &flags) {
  llvm::Expected<driver::CalibrationReport> report = driver::calibrateTarget(flags.models, flags.options);
  if (!report) {
    std::string message;
    int status = exitStatus(report.takeError(), message);
    llvm::errs() << "error: " << message << "\n";
    return status;
  }
  if (flags.common.json)
    llvm::outs() << ordered_json({{"profile", report->profile.name},
                                  {"path", report->path},
                                  {"kernels", report->numKernels},
                                  {"rank_correlation_on_paper", report->before.rankCorrelation},
                                  {"rank_correlation", report->after.rankCorrelation}})
                        .dump(2)
                 << "\n";
  else if (!flags.common.quiet)
    llvm::outs() << "wrote " << report->path << "\n"
                 << llvm::format("%lld kernels; predicted and measured times agree in rank by %.2f, on paper by %.2f\n",
                                 static_cast<long long>(report->numKernels), report->after.rankCorrelation,
                                 report->before.rankCorrelation);
  return 0;
}

int runDoctor(const CommonOptions &common) {
  std::vector<Finding> findings = {
      checkCpu(), checkInstallation(), checkShm(), checkMpi(), {"launcher", "local", true, "penstock run, DIR/launch"}};
  // What a compilation for this machine needs.
  bool isUsable = findings[0].works && findings[1].works && findings[2].works, hasMpi = findings[3].works;
  for (auto [program, package] : {std::pair("mpirun", "openmpi-bin"), std::pair("srun", "slurm-client")})
    findings.push_back(checkLauncher(program, package, hasMpi));
  checkCuda(findings);
  if (common.json) {
    ordered_json report = ordered_json::array();
    for (const Finding &finding : findings)
      report.push_back(
          {{"kind", finding.kind}, {"name", finding.name}, {"works", finding.works}, {"detail", finding.detail}});
    llvm::outs() << report.dump(2) << "\n";
  } else {
    for (const Finding &finding : findings)
      llvm::outs() << llvm::format("%-10s %-9s %-4s %s\n", finding.kind.c_str(), finding.name.c_str(),
                                   finding.works ? "yes" : "no", finding.detail.c_str());
  }
  return isUsable ? 0 : 1;
}

} // namespace

Command addDoctorCommand(CLI::App &parent) {
  CLI::App *app = parent.add_subcommand("doctor", "say which targets, transports and launchers work here");
  auto flags = std::make_shared<DoctorFlags>();
  addCommonOptions(*app, flags->common);
  app->add_option("--calibrate", flags->models,
                  "time the kernels of these models here, and keep a profile of this machine for later plans")
      ->type_name("MODEL");
  app->add_option("--arch", flags->options.arch, "with --calibrate: CPU to compile for")->capture_default_str();
  app->add_option("--threads", flags->options.numThreads, "with --calibrate: threads of a kernel")
      ->check(atLeastOne())
      ->capture_default_str();
  return {app, [flags] { return flags->models.empty() ? runDoctor(flags->common) : runCalibration(*flags); }};
}

} // namespace penstock::tool
