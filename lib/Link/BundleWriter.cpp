//===- BundleWriter.cpp - The output folder -----------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Weights first: their checksums enter the fingerprint, and that enters every executable. The module itself
// is not changed; each role is completed in a copy.
//
//===----------------------------------------------------------------------===//

#include "penstock/Link/BundleWriter.h"

#include "KernelLibraries.h"

#include "penstock/Conversion/RtToLLVM/RtToLLVM.h"
#include "penstock/Dialect/Pipe/IR/DeviceAttrs.h"
#include "penstock/Link/FolderIdentity.h"
#include "penstock/Link/FolderWriter.h"
#include "penstock/Link/Linker.h"
#include "penstock/Link/PlanJson.h"
#include "penstock/Link/Starters.h"
#include "penstock/rt/Abi.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/ThreadPool.h"

#include <optional>
#include <set>

using namespace mlir;
using namespace penstock;
using namespace penstock::link;

/// Objects lie here while the executables are linked.
static constexpr const char *kScratch = "objects";
static std::string getObjectName(StringRef name) { return (kScratch + ("/" + name) + ".o").str(); }

namespace {

/// What the weights file of a role is made of.
struct RoleWeights {
  std::string path; ///< empty: the role has none
  llvm::SmallVector<rtir::StorageOp> storages;
  llvm::MapVector<StringRef, size_t> numbers; ///< of the sources, by weight
  std::vector<WeightSource> sources;
};

class BundleBuilder {
public:
  BundleBuilder(ModuleOp module, const llvm::StringMap<std::string> &kernelObjects, const Installation &installation,
                const BundleOptions &options, FolderWriter &folder)
      : module(module), kernelObjects(kernelObjects), installation(installation), options(options), folder(folder) {}

  llvm::Expected<BundleSummary> build();

private:
  llvm::Error collectRoles();
  llvm::Error collectWeights(LinkedRole &linked, RoleWeights &weights);
  llvm::Error writeWeightsFiles();
  llvm::Expected<WeightSource> getSource(StringRef weight);
  llvm::Expected<std::vector<std::string>> listCodeFiles();
  llvm::Error identify();
  llvm::Error linkRole(LinkedRole &linked);
  llvm::Error linkAllInOne();
  llvm::Expected<std::string> emitRole(rtir::RoleOp role);
  llvm::Error writeRoleObject(const LinkedRole &linked);
  llvm::Error addRole(const LinkedRole &linked, LinkRequest &request);
  llvm::Error writeKernelObjects();
  llvm::Error copyLibraries();
  llvm::Error writeStarters();

  ModuleOp module;
  const llvm::StringMap<std::string> &kernelObjects;
  const Installation &installation;
  const BundleOptions &options;
  FolderWriter &folder;
  std::vector<LinkedRole> roles;
  std::vector<OwningOpRef<rtir::RoleOp>> owned;
  std::vector<std::string> libraries;
  FolderIdentity identity;
  BundleSummary summary;
};

/// Turns the diagnostics of a call into the text of an error.
class DiagnosticText : public ScopedDiagnosticHandler {
public:
  explicit DiagnosticText(MLIRContext *context) : ScopedDiagnosticHandler(context) {
    setHandler([this](Diagnostic &diagnostic) {
      if (text.empty() && diagnostic.getSeverity() == DiagnosticSeverity::Error)
        text = diagnostic.str();
    });
  }
  std::string text;
};

} // namespace

llvm::Error BundleBuilder::collectRoles() {
  auto programs = llvm::to_vector(module.getOps<pipe::ProgramOp>());
  for (auto role : module.getOps<rtir::RoleOp>()) {
    owned.push_back(cast<rtir::RoleOp>(role->clone()));
    LinkedRole linked;
    linked.role = *owned.back();
    if (role.getRole() != roles.size() || role.getRole() >= programs.size())
      return userError("role '{0}' has number {1}; expected one role per program, in order", role.getSymName(),
                       role.getRole());
    linked.program = programs[role.getRole()];
    linked.executable = "stage-" + std::to_string(role.getRole());
    roles.push_back(linked);
  }
  if (roles.empty() || roles.size() != programs.size())
    return userError("the module has {0} roles and {1} programs; expected one role per program, at least one",
                     roles.size(), programs.size());
  return llvm::Error::success();
}

/// Where the bytes of a weight come from.
llvm::Expected<WeightSource> BundleBuilder::getSource(StringRef name) {
  auto weight = module.lookupSymbol<nn::WeightOp>(name);
  if (!weight)
    return userError("role loads weight '{0}', which the module does not define", name);
  WeightSource source;
  source.name = name.str();
  if (auto file = weight.getFile()) {
    llvm::SmallString<256> path(file->getPath().getValue());
    if (!options.sourceFolder.empty() && llvm::sys::path::is_relative(path)) {
      llvm::SmallString<256> full(options.sourceFolder);
      llvm::sys::path::append(full, path);
      path = full;
    }
    source.file = std::string(path);
    source.offset = file->getOffset();
    source.numBytes = file->getNumBytes();
    return source;
  }
  if (!options.makeWeight)
    return worldError("weight '{0}' is to be made when linking, and nothing was given that makes it", name);
  source.numBytes = weight.getStoredBytes();
  source.make = [this, weight](ByteConsumer consume) mutable {
    return options.makeWeight(weight.getSymName(), consume);
  };
  return source;
}

llvm::Error BundleBuilder::collectWeights(LinkedRole &linked, RoleWeights &weights) {
  rtir::RoleOp role = linked.role;
  if (!role.getWeightsFile())
    return llvm::Error::success();
  weights.path = folder.path(*role.getWeightsFile());
  for (rtir::StorageOp storage : role.getStorages()) {
    if (storage.getKind() != rtir::StorageKind::weight)
      continue;
    weights.storages.push_back(storage);
    StringRef name = *storage.getWeight();
    if (!weights.numbers.insert({name, weights.sources.size()}).second)
      continue;
    llvm::Expected<WeightSource> source = getSource(name);
    if (!source)
      return source.takeError();
    weights.sources.push_back(*source);
    linked.weightNames.push_back(name.str());
  }
  return llvm::Error::success();
}

/// Says in the role where its weights lie.
static void placeWeights(LinkedRole &linked, const RoleWeights &weights) {
  if (weights.path.empty())
    return;
  for (rtir::StorageOp storage : weights.storages)
    storage.setOffset(linked.weights.places[weights.numbers.lookup(*storage.getWeight())].offset);
  linked.role.setWeightsBytes(linked.weights.numBytes);
  linked.role.setWeightsHash(formatChecksum(linked.weights.checksum));
}

/// Several at once: checksums and copies take most of the time of a compilation whose kernels are there.
llvm::Error BundleBuilder::writeWeightsFiles() {
  constexpr unsigned kMostThreads = 4; // more wait for memory
  std::vector<RoleWeights> weights(roles.size());
  for (auto [linked, ofRole] : llvm::zip(roles, weights))
    if (llvm::Error error = collectWeights(linked, ofRole))
      return error;
  std::vector<std::optional<llvm::Expected<WeightsFile>>> written(roles.size());
  llvm::DefaultThreadPool pool(llvm::hardware_concurrency(std::min<unsigned>(kMostThreads, roles.size())));
  for (auto [ofRole, file] : llvm::zip(weights, written))
    pool.async([&ofRole = ofRole, &file = file] { file.emplace(writeWeights(ofRole.path, ofRole.sources)); });
  pool.wait();
  llvm::Error first = llvm::Error::success();
  for (size_t i = 0; i < roles.size(); ++i) {
    if (*written[i]) {
      roles[i].weights = std::move(**written[i]);
      placeWeights(roles[i], weights[i]);
    } else if (first) {
      llvm::consumeError(written[i]->takeError());
    } else {
      first = written[i]->takeError();
    }
  }
  return first;
}

/// Archives that are linked into the roles.
llvm::Expected<std::vector<std::string>> BundleBuilder::listCodeFiles() {
  std::set<std::string> names;
  for (const LinkedRole &linked : roles) {
    llvm::Expected<RoleNeeds> needs = getRoleNeeds(module, linked.role);
    if (!needs)
      return needs.takeError();
    names.insert(needs->archives.begin(), needs->archives.end());
  }
  LinkRequest always;
  names.insert(always.archives.begin(), always.archives.end());
  std::vector<std::string> files;
  for (const std::string &name : names) {
    llvm::Expected<std::string> file = installation.find(name);
    if (!file)
      return file.takeError();
    files.push_back(*file);
  }
  return files;
}

/// What all executables say of themselves.
llvm::Error BundleBuilder::identify() {
  llvm::Expected<std::vector<std::string>> codeFiles = listCodeFiles();
  if (!codeFiles)
    return codeFiles.takeError();
  llvm::Expected<FolderIdentity> found = identifyFolder(module, roles, kernelObjects, *codeFiles, options);
  if (!found)
    return found.takeError();
  identity = std::move(*found);
  std::string lines = "model " + identity.model + "\nweights " + identity.weights + "\ncut " + identity.cut +
                      "\nschedule " + identity.schedule + "\nbuild " + identity.build + "\n";
  for (LinkedRole &linked : roles) {
    linked.role.setFingerprint(identity.fingerprint);
    linked.role.setIdentity(lines);
  }
  summary.fingerprint = identity.fingerprint;
  return llvm::Error::success();
}

llvm::Expected<std::string> BundleBuilder::emitRole(rtir::RoleOp role) {
  MLIRContext *context = module.getContext();
  DiagnosticText diagnostics(context);
  OwningOpRef<ModuleOp> converted = convertRoleToLLVM(role);
  if (!converted)
    return worldError("cannot write the code of role {0}: {1}", role.getRole(), diagnostics.text);
  llvm::Expected<std::string> object = emitObject(*converted, options.hostProfile);
  if (!object && !diagnostics.text.empty()) {
    llvm::consumeError(object.takeError());
    return worldError("cannot write the code of role {0}: {1}", role.getRole(), diagnostics.text);
  }
  return object;
}

/// Each kernel once, whatever number of roles call it.
llvm::Error BundleBuilder::writeKernelObjects() {
  if (llvm::Error error = folder.createFolder(kScratch))
    return error;
  std::set<std::string> written;
  for (const LinkedRole &linked : roles)
    for (rtir::StepOp step : rtir::RoleOp(linked.role).getSteps()) {
      StringRef hash = step.getKernel();
      hash.consume_front("k_");
      if (!written.insert(hash.str()).second)
        continue;
      auto object = kernelObjects.find(hash);
      if (object == kernelObjects.end())
        return worldError("kernel '{0}' of '{1}' has no object; expected one per kernel", step.getKernel(),
                          step.getName());
      if (llvm::Error error = folder.writeFile(getObjectName(hash), object->second))
        return error;
    }
  return llvm::Error::success();
}

llvm::Error BundleBuilder::writeRoleObject(const LinkedRole &linked) {
  llvm::Expected<std::string> object = emitRole(linked.role);
  return object ? folder.writeFile(getObjectName(linked.executable), *object) : object.takeError();
}

template <typename Range> static void addOnce(std::vector<std::string> &list, const Range &items) {
  for (const std::string &item : items)
    if (!llvm::is_contained(list, item))
      list.push_back(item);
}

/// The objects of a role, its kernels, and what they need.
llvm::Error BundleBuilder::addRole(const LinkedRole &linked, LinkRequest &request) {
  llvm::SetVector<StringRef> kernels;
  for (rtir::StepOp step : rtir::RoleOp(linked.role).getSteps()) {
    StringRef hash = step.getKernel();
    hash.consume_front("k_");
    kernels.insert(hash);
  }
  std::vector<std::string> objects = {folder.path(getObjectName(linked.executable))};
  for (StringRef hash : kernels)
    objects.push_back(folder.path(getObjectName(hash)));
  addOnce(request.objects, objects);
  llvm::Expected<RoleNeeds> needs = getRoleNeeds(module, linked.role);
  if (!needs)
    return needs.takeError();
  addOnce(request.archives, needs->archives);
  addOnce(request.libraries, needs->libraries);
  return llvm::Error::success();
}

llvm::Error BundleBuilder::linkRole(LinkedRole &linked) {
  if (llvm::Error error = writeRoleObject(linked))
    return error;
  LinkRequest request;
  if (llvm::Error error = addRole(linked, request))
    return error;
  request.aliases = {{"penstock_role", getRoleSymbol(rtir::RoleOp(linked.role).getRole())}};
  request.output = folder.path(linked.executable);
  if (llvm::Error error = linkExecutable(installation, request))
    return error;
  uint64_t numBytes = 0;
  if (std::error_code code = llvm::sys::fs::file_size(request.output, numBytes))
    return systemError("read", request.output, code.value());
  summary.stages.push_back({int64_t(numBytes), linked.weights.numBytes, linked.weights.numBytesShared});
  return llvm::Error::success();
}

/// The same objects with a list of the roles, and `launch` instead of the `main` of one role.
llvm::Error BundleBuilder::linkAllInOne() {
  DiagnosticText diagnostics(module.getContext());
  OwningOpRef<ModuleOp> list = createRoleList(module.getContext(), roles.size());
  llvm::Expected<std::string> object = emitObject(*list, options.hostProfile);
  if (!object)
    return object.takeError();
  if (llvm::Error error = folder.writeFile(getObjectName(kAllInOne), *object))
    return error;
  LinkRequest request;
  request.objects = {folder.path(getObjectName(kAllInOne))};
  // Before the runtime, which has the `main` of one role.
  request.archives.insert(request.archives.begin(),
                          {"libPenstockLaunch.a", "libPenstockHost.a", "libPenstockSchedule.a", "libz.a"});
  for (const LinkedRole &linked : roles)
    if (llvm::Error error = addRole(linked, request))
      return error;
  request.output = folder.path(kAllInOne);
  return linkExecutable(installation, request);
}

/// What leads to stages on other hosts; opened by a launch that has some.
static constexpr const char *kMpiPlugin = "libpenstock-mpi.so";
/// What leads to CUDA devices; opened by roles on them.
static constexpr const char *kCudaPlugin = "libpenstock-cuda.so";
/// What leads from one of them to the next; opened by roles with channels that it carries.
static constexpr const char *kNcclPlugin = "libpenstock-nccl.so";

/// The licences go with every folder: parts of the listed libraries are in the executables.
llvm::Error BundleBuilder::copyLibraries() {
  if (llvm::Error error = folder.createFolder("lib"))
    return error;
  std::vector<std::pair<std::string, std::string>> copies = {{"notices/NOTICES.md", "lib/NOTICES.md"},
                                                             {kMpiPlugin, std::string("lib/") + kMpiPlugin}};
  if (llvm::any_of(roles, [](const LinkedRole &linked) { return rtir::RoleOp(linked.role).getDevice() == "cuda"; }))
    copies.push_back({kCudaPlugin, std::string("lib/") + kCudaPlugin});
  if (llvm::any_of(module.getOps<pipe::ChannelOp>(),
                   [](pipe::ChannelOp channel) { return channel->hasAttr(pipe::kCarrierAttr); }))
    copies.push_back({kNcclPlugin, std::string("lib/") + kNcclPlugin});
  for (const std::string &library : libraries) {
    copies.push_back({"shared/" + library, "lib/" + library});
    copies.push_back({"notices/" + library + ".txt", "lib/" + library + ".txt"});
  }
  for (auto &[from, to] : copies) {
    llvm::Expected<std::string> file = installation.find(from);
    if (!file)
      return file.takeError();
    if (llvm::Error error = folder.copyFile(*file, to, /*isExecutable=*/false))
      return error;
  }
  llvm::Expected<std::string> launch = installation.find("launch");
  if (!launch)
    return launch.takeError();
  return folder.copyFile(*launch, "launch", /*isExecutable=*/true);
}

llvm::Error BundleBuilder::writeStarters() {
  StarterInfo info;
  if (auto model = module->getAttrOfType<StringAttr>("nn.model"))
    info.model = model.getValue().str();
  info.numStages = int64_t(roles.size());
  for (LinkedRole &linked : roles)
    info.numThreads = std::max<int64_t>(info.numThreads, linked.role.getNumThreads());
  if (llvm::Error error = folder.createFolder("starters"))
    return error;
  for (const Starter &starter : makeStarters(info))
    if (llvm::Error error = folder.writeFile(starter.name, starter.text))
      return error;
  return llvm::Error::success();
}

llvm::Expected<BundleSummary> BundleBuilder::build() {
  if (llvm::Error error = collectRoles())
    return std::move(error);
  std::vector<std::string> needed;
  for (const LinkedRole &linked : roles) {
    llvm::Expected<RoleNeeds> needs = getRoleNeeds(module, linked.role);
    if (!needs)
      return needs.takeError();
    llvm::append_range(needed, needs->libraries);
  }
  llvm::Expected<std::vector<std::string>> closure = installation.closeOver(needed);
  if (!closure)
    return closure.takeError();
  libraries = std::move(*closure);
  if (llvm::Error error = writeWeightsFiles())
    return std::move(error);
  if (llvm::Error error = identify())
    return std::move(error);
  if (llvm::Error error = writeKernelObjects())
    return std::move(error);
  for (LinkedRole &linked : roles)
    if (llvm::Error error = linkRole(linked))
      return std::move(error);
  if (options.allInOne)
    if (llvm::Error error = linkAllInOne())
      return std::move(error);
  folder.removeFolder(kScratch);
  if (llvm::Error error = copyLibraries())
    return std::move(error);
  if (llvm::Error error = writeStarters())
    return std::move(error);
  PlanInfo info = {identity,      options.version, options.profile, libraries, options.microbatchRows,
                   options.flags, options.allInOne};
  llvm::Expected<std::string> plan = writePlanJson(module, roles, info);
  if (!plan)
    return plan.takeError();
  if (llvm::Error error = folder.writeFile("plan.json", *plan))
    return std::move(error);
  return std::move(summary);
}

llvm::Expected<BundleSummary> penstock::link::writeBundle(ModuleOp module,
                                                          const llvm::StringMap<std::string> &kernelObjects,
                                                          const Installation &installation,
                                                          const BundleOptions &options) {
  registerBuiltinDialectTranslation(*module.getContext());
  registerLLVMDialectTranslation(*module.getContext());
  module.getContext()->loadDialect<LLVM::LLVMDialect>();
  llvm::Expected<FolderWriter> folder = FolderWriter::create(options.output);
  if (!folder)
    return folder.takeError();
  llvm::Expected<BundleSummary> summary = BundleBuilder(module, kernelObjects, installation, options, *folder).build();
  if (!summary)
    return summary;
  if (llvm::Error error = folder->commit())
    return std::move(error);
  return summary;
}
