//===- CpuTarget.cpp - Profiles of x86-64 processors ------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// "native" is written out as a processor's name and its features, so that equal machines make equal objects and an
// object says what it needs. The least we generate for is x86-64-v3: fused multiply-add fixes the numbers.
//
//===----------------------------------------------------------------------===//

#include "OneDnn.h"
#include "OneDnnTable.h"
#include "penstock/Target/TargetBackend.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/TargetParser/Host.h"

using namespace penstock;

namespace {

/// What generated code may use beyond the least; anything else of a host does not matter to it.
constexpr llvm::StringLiteral kUsefulFeatures[] = {"avx512f",  "avx512vl",   "avx512bw",   "avx512dq",
                                                   "avx512cd", "avx512vnni", "avx512bf16", "avxvnni"};
constexpr llvm::StringLiteral kNeededFeatures[] = {"avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe"};
constexpr llvm::StringLiteral kWideFeatures[] = {"avx512f", "avx512vl", "avx512bw", "avx512dq", "avx512cd"};

class CpuTarget : public TargetBackend {
public:
  CpuTarget(TargetProfile profile, bool hasIntegerDot)
      : profile(std::move(profile)), hasIntegerDot(hasIntegerDot), library(createOneDnnTable()) {}

  llvm::StringRef getName() const override { return "cpu"; }
  const TargetProfile &getProfile() const override { return profile; }
  const kernels::LibraryTable *getLibrary() const override { return library.get(); }
  LibraryMemory getLibraryMemory() const override { return {RT_DNNL_SHAPE_BYTES, RT_DNNL_MAX_BOUNDED_SHAPES}; }
  /// oneDNN's convolutions are as fast on them as on layouts of its own, with AVX2 too.
  bool prefersChannelsLast(mlir::Type) const override { return true; }
  partition::DeviceProfile getDeviceProfile(int numThreads) const override {
    partition::CpuTraits traits;
    traits.numThreads = numThreads;
    traits.vectorBits = profile.vectorBits;
    traits.hasIntegerDot = hasIntegerDot;
    return partition::makeCpuProfile("cpu " + profile.cpu, traits);
  }

private:
  TargetProfile profile;
  bool hasIntegerDot;
  std::unique_ptr<kernels::LibraryTable> library;
};

} // namespace

/// The CPU's generic level with the host's useful features, in a fixed order.
static std::unique_ptr<TargetBackend> createNative(const llvm::StringMap<bool> &host, unsigned numThreads) {
  auto has = [&](llvm::StringRef name) { return host.lookup(name); };
  bool isWide = llvm::all_of(kWideFeatures, has);
  TargetProfile profile;
  profile.cpu = llvm::sys::getHostCPUName().str();
  profile.vectorBits = isWide ? 512 : 256;
  llvm::SmallVector<std::string> features;
  for (llvm::StringRef feature : kNeededFeatures)
    features.push_back("+" + feature.str());
  for (llvm::StringRef feature : kUsefulFeatures)
    features.push_back((has(feature) ? "+" : "-") + feature.str());
  profile.features = llvm::join(features, ",");
  profile.optLevel = 3;
  profile.numThreads = numThreads;
  return std::make_unique<CpuTarget>(profile, has("avx512vnni") || has("avxvnni"));
}

llvm::Error penstock::checkArch(llvm::StringRef arch, const llvm::StringMap<bool> &host) {
  llvm::SmallVector<llvm::StringRef> needed(std::begin(kNeededFeatures), std::end(kNeededFeatures));
  if (arch == "x86-64-v4")
    needed.append(std::begin(kWideFeatures), std::end(kWideFeatures));
  else if (arch != "native" && arch != "x86-64-v3")
    return userError("--arch is '{0}'; expected native, x86-64-v3 or x86-64-v4", arch);
  for (llvm::StringRef feature : needed)
    if (!host.lookup(feature))
      return userError(
          "--arch is '{0}', and this processor ('{1}') lacks '{2}'; expected one that runs what it compiles", arch,
          llvm::sys::getHostCPUName(), feature);
  return llvm::Error::success();
}

llvm::Expected<std::unique_ptr<TargetBackend>> penstock::createCpuTarget(llvm::StringRef arch, unsigned numThreads) {
  llvm::StringMap<bool> host = llvm::sys::getHostCPUFeatures();
  if (llvm::Error error = checkArch(arch, host))
    return std::move(error);
  if (arch == "native")
    return createNative(host, numThreads);
  TargetProfile profile;
  profile.cpu = arch.str();
  profile.optLevel = 3;
  profile.numThreads = numThreads;
  if (arch == "x86-64-v4")
    profile.vectorBits = 512;
  return std::make_unique<CpuTarget>(profile, /*hasIntegerDot=*/false);
}
