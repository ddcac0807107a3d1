//===- Partitioning.cpp - From options to the partitioner -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "penstock/Driver/Partitioning.h"

#include "penstock/Dialect/NN/IR/NNOps.h"
#include "penstock/Dialect/Pipe/IR/PipeOps.h"
#include "penstock/Dialect/Pipe/Transforms/KernelShapes.h"
#include "penstock/Dialect/Pipe/Transforms/Passes.h"
#include "penstock/Partition/PlanFile.h"
#include "penstock/Support/BuildCache.h"
#include "penstock/Support/Error.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"

namespace penstock::driver {
using namespace mlir;

static constexpr size_t kMaxCostsBytes = size_t(64) << 20;

/// The part of --arch that is for a target: of "x86-64-v3,sm_90" the one or the other. The target that the options name
/// gets all of it if there is nothing for another one.
static std::string getArchFor(const CompileOptions &options, StringRef target) {
  SmallVector<StringRef> parts, own;
  StringRef(options.arch).split(parts, ',');
  for (StringRef part : parts)
    if (part == "native" || (part.starts_with("sm_") == (target == "cuda")))
      own.push_back(part);
  bool isNamed = options.target == target;
  if (isNamed && (own.empty() || own.size() == parts.size()))
    return options.arch;
  // What of a plan for devices runs on the host is the same on every machine.
  if (target == "cpu" && (own.empty() || own.front() == "native"))
    return options.target == "cpu" ? "native" : "x86-64-v3";
  return own.empty() ? "native" : llvm::join(own, ",");
}

llvm::Expected<std::unique_ptr<TargetBackend>> openTarget(const CompileOptions &options, StringRef name) {
  if (name == "cpu")
    return createCpuTarget(getArchFor(options, name), options.numThreads);
  if (name == "cuda")
    return createCudaTarget(getArchFor(options, name), options.allowsTf32);
  return userError("--target is '{0}'; expected cpu or cuda", name);
}

llvm::Expected<std::unique_ptr<TargetBackend>> openTarget(const CompileOptions &options) {
  if (options.allowsTf32 && options.target != "cuda")
    return userError("--tf32 is for GPUs, and --target is '{0}'; expected --target cuda", options.target);
  if (options.transport == "nccl" && options.target != "cuda" && options.clusterFile.empty())
    return userError("--transport nccl is for stages on GPUs, and --target is '{0}'; expected --target cuda, or a "
                     "cluster file with GPUs",
                     options.target);
  return openTarget(options, options.target);
}

static llvm::Error firstOf(const std::vector<std::string> &errors) { return userError("{0}", errors.front()); }

llvm::Expected<Partitioning> Partitioning::create(const CompileOptions &options, const TargetBackend &target) {
  Partitioning result(options, target);
  if (llvm::Error error = result.readCluster())
    return std::move(error);
  if (llvm::Error error = result.readCosts())
    return std::move(error);
  return std::move(result);
}

llvm::Error Partitioning::readCluster() {
  if (options.clusterFile.empty())
    return llvm::Error::success();
  partition::ClusterResult result = partition::readCluster(options.clusterFile);
  if (!result.cluster)
    return firstOf(result.errors);
  cluster = std::move(*result.cluster);
  for (const partition::ClusterClass &entry : cluster->classes)
    if (options.target != "cpu" && entry.target != options.target)
      return userError(
          "--target is {0}, and class '{1}' of cluster file '{2}' is of target {3}; expected target = \"{0}\" "
          "there, or no --target",
          options.target, entry.name, options.clusterFile, entry.target);
  for (const partition::ClusterClass &entry : cluster->classes)
    profiles.push_back(entry.profile);
  return llvm::Error::success();
}

/// What the options say of the costs, where the cluster file does not.
llvm::Error Partitioning::readCosts() {
  if (cluster && !options.costsFile.empty())
    return userError("--costs and --cluster are both given; expected the profile of each class in the cluster file");
  if (cluster)
    return llvm::Error::success();
  partition::DeviceProfile paper = target.getDeviceProfile(options.numThreads);
  std::string calibration = getCalibrationPath(target, options.numThreads);
  if (!calibration.empty() && llvm::sys::fs::exists(calibration)) {
    partition::Calibration read = partition::readProfile(calibration);
    if (!read.profile)
      return userError("{0}; 'penstock doctor --calibrate' writes it anew", read.errors.front());
    paper = std::move(*read.profile);
  }
  if (options.costsFile.empty()) {
    profiles.push_back(std::move(paper));
    return llvm::Error::success();
  }
  auto file = llvm::MemoryBuffer::getFile(options.costsFile);
  if (!file)
    return systemError("read", options.costsFile, file.getError().value());
  if ((*file)->getBufferSize() > kMaxCostsBytes)
    return userError("costs file '{0}' has {1} bytes; expected at most {2}", options.costsFile,
                     (*file)->getBufferSize(), kMaxCostsBytes);
  if ((*file)->getBuffer().contains("\"throughput_per_second\"")) {
    std::string error = partition::addMeasuredTimes((*file)->getBuffer().str(), options.costsFile, paper);
    if (!error.empty())
      return userError("{0}", error);
    profiles.push_back(std::move(paper));
    return llvm::Error::success();
  }
  partition::Calibration read = partition::parseProfile((*file)->getBuffer().str(), options.costsFile);
  if (!read.profile)
    return firstOf(read.errors);
  profiles.push_back(std::move(*read.profile));
  return llvm::Error::success();
}

llvm::Error Partitioning::addTimes(const std::map<std::string, double> &seconds) {
  if (seconds.empty())
    return llvm::Error::success();
  if (cluster)
    return userError("--profile times kernels on this machine; expected no --cluster beside it");
  for (const auto &[key, value] : seconds)
    profiles.front().profiledSeconds[key] = value;
  return llvm::Error::success();
}

std::optional<int64_t> Partitioning::getNumDevices() const {
  return cluster ? std::optional<int64_t>(cluster->devices.size()) : std::nullopt;
}

std::vector<std::string> Partitioning::getStageDevices() const {
  std::vector<std::string> devices;
  for (const partition::ClusterDevice &device : cluster->devices) {
    const std::string &name = cluster->classes[device.deviceClass].target;
    devices.push_back(name == "cpu" ? "" : name);
  }
  return devices;
}

std::string Partitioning::getTransport(size_t from, size_t to) const {
  bool isSame = cluster->devices[from].host == cluster->devices[to].host;
  return isSame ? cluster->sameHostTransport : cluster->otherHostTransport;
}

std::vector<std::string> Partitioning::getProfileNames() const {
  std::vector<std::string> names;
  for (const partition::DeviceProfile &profile : profiles)
    names.push_back(profile.name);
  return names;
}

llvm::Error Partitioning::applyDevices(int64_t numStages, pipe::PartitionOptions &result) const {
  if (!cluster)
    return llvm::Error::success();
  partition::Problem problem;
  std::vector<std::string> errors = partition::applyCluster(*cluster, numStages, problem);
  if (!errors.empty())
    return firstOf(errors);
  result.devices = problem.stages;
  result.links = problem.links;
  result.sourceLink = problem.sourceLink;
  result.sinkLink = problem.sinkLink;
  if (options.memoryLimitBytes > 0)
    for (partition::Device &device : result.devices)
      device.memoryLimitBytes = std::min(device.memoryLimitBytes, options.memoryLimitBytes);
  return llvm::Error::success();
}

/// Times by content become times by name.
static void renameTimes(const llvm::StringMap<std::string> &functions, partition::DeviceProfile &profile) {
  std::map<std::string, double> byContent = std::move(profile.profiledSeconds);
  profile.profiledSeconds.clear();
  for (const auto &entry : functions) {
    auto found = byContent.find(entry.second + " " + entry.first().str());
    if (found == byContent.end())
      found = byContent.find(entry.second);
    if (found != byContent.end())
      profile.profiledSeconds[entry.first().str()] = found->second;
  }
}

static partition::Balance parseBalance(StringRef text) {
  for (partition::Balance balance :
       {partition::Balance::Params, partition::Balance::Memory, partition::Balance::Uniform})
    if (text == partition::toString(balance))
      return balance;
  return partition::Balance::Time;
}

llvm::Expected<pipe::PartitionOptions> Partitioning::makeOptions(ModuleOp module, int64_t numStages) const {
  pipe::PartitionOptions result;
  result.numStages = numStages;
  result.balance = parseBalance(options.balance);
  result.cuts = options.cuts;
  result.fromOnnxStages = options.fromOnnxStages;
  result.memoryLimitBytes = options.memoryLimitBytes;
  result.maxDepth = options.maxDepth;
  result.profiles = profiles;
  if (cluster)
    if (llvm::Error error = applyDevices(numStages > 0 ? numStages : cluster->devices.size(), result))
      return std::move(error);
  bool hasTimes =
      llvm::any_of(profiles, [](const partition::DeviceProfile &profile) { return !profile.profiledSeconds.empty(); });
  if (!hasTimes)
    return result;
  llvm::Expected<llvm::StringMap<std::string>> functions = nameFunctions(module, target);
  if (!functions)
    return functions.takeError();
  for (partition::DeviceProfile &profile : result.profiles)
    renameTimes(*functions, profile);
  return result;
}

llvm::Expected<OwningOpRef<ModuleOp>> makeOneStage(ModuleOp module) {
  OwningOpRef<ModuleOp> copy = module.clone();
  Builder builder(module.getContext());
  copy->walk([&](nn::KernelOp kernel) {
    kernel->setAttr(pipe::PipeDialect::getStageIdAttrName(), builder.getI32IntegerAttr(0));
  });
  PassManager passes(module.getContext());
  passes.addPass(pipe::createSplitStagesPass());
  if (failed(passes.run(*copy)))
    return userError("the model cannot be made one stage, so its kernels cannot be told apart");
  pipe::setKernelShapes(*copy);
  return std::move(copy);
}

llvm::Expected<llvm::StringMap<std::string>> nameFunctions(ModuleOp module, const TargetBackend &target) {
  llvm::Expected<OwningOpRef<ModuleOp>> made = makeOneStage(module);
  if (!made)
    return made.takeError();
  ModuleOp copy = made->get();
  llvm::StringMap<std::string> functionOf, result;
  for (auto kernel : copy.getOps<nn::KernelDefOp>())
    functionOf[kernel.getSymName()] = "k_" + kernels::hashKernel(kernel, target.getProfile(), target.getLibrary());
  copy.walk([&](nn::CallOp call) {
    if (auto name = call->getAttrOfType<StringAttr>("nn.kernel_name"))
      result[name.getValue()] = functionOf.lookup(call.getKernel());
  });
  return std::move(result);
}

std::string getCalibrationPath(const TargetBackend &target, int numThreads) {
  SmallString<128> path(getUserCacheFolder());
  if (path.empty())
    return "";
  const TargetProfile &profile = target.getProfile();
  std::string name = (target.getName() + "-" + profile.cpu + "-" + Twine(profile.vectorBits) + "bit-" +
                      Twine(numThreads) + "t-" + PENSTOCK_VERSION + ".json")
                         .str();
  llvm::sys::path::append(path, "penstock", name);
  return path.str().str();
}

} // namespace penstock::driver
