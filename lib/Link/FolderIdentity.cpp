//===- FolderIdentity.cpp - What the stages of a folder have in common ---===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "penstock/Link/FolderIdentity.h"

#include "penstock/rt/Identity.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/SHA256.h"

#include <map>
#include <set>
#include <xxhash.h>

using namespace mlir;
using namespace penstock;
using namespace penstock::link;

static std::string hashText(StringRef text) {
  return llvm::utohexstr(XXH3_64bits(text.data(), text.size()), /*LowerCase=*/true, 16);
}

/// Prints what the module says, without where its files lie and where its operations came from.
static void printModule(ModuleOp module, llvm::raw_ostream &stream) {
  OpPrintingFlags flags;
  flags.enableDebugInfo(false).useLocalScope();
  for (Operation &op : *module.getBody()) {
    if (isa<nn::WeightOp>(op))
      continue;
    op.print(stream, flags);
    stream << "\n";
  }
}

std::string penstock::link::hashGraph(ModuleOp module) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  printModule(module, stream);
  return hashText(text);
}

static StringRef getModelName(ModuleOp module) {
  auto model = module->getAttrOfType<StringAttr>("nn.model");
  return model ? model.getValue() : "";
}

/// A value of a note: one line, not too long, with the hash at its end.
static std::string makeValue(StringRef words, StringRef hash) {
  std::string text = words.take_front(rt::kMaxIdentityBytes - 32).str();
  for (char &letter : text)
    if (static_cast<unsigned char>(letter) < 32 || letter == 127)
      letter = '?';
  return text + (text.empty() || hash.empty() ? "" : " ") + hash.str();
}

static std::string identifyModel(ModuleOp module) {
  auto hash = module->getAttrOfType<StringAttr>(kModelHashAttr);
  return makeValue(getModelName(module), hash ? hash.getValue() : "");
}

/// A weight counts once, whatever number of stages load it.
static std::string identifyWeights(ArrayRef<LinkedRole> roles) {
  std::set<std::string> lines;
  for (const LinkedRole &linked : roles)
    for (auto [name, place] : llvm::zip(linked.weightNames, linked.weights.places))
      lines.insert(name + " " + formatChecksum(place.checksum) + "\n");
  return hashText(llvm::join(lines, ""));
}

/// Which kernel is in which stage, in whatever order.
static std::string identifyCut(ModuleOp module) {
  std::string text;
  int64_t numStages = 0;
  for (auto stage : module.getOps<pipe::StageOp>()) {
    std::multiset<std::string> kernels;
    stage.walk([&](nn::CallOp call) {
      auto name = call->getAttrOfType<StringAttr>("nn.kernel_name");
      kernels.insert((name ? name.getValue() : call.getKernel()).str());
    });
    text += "stage " + std::to_string(numStages++) + "\n" + llvm::join(kernels, "\n") + "\n";
  }
  return makeValue(std::to_string(numStages) + (numStages == 1 ? " stage" : " stages"), hashText(text));
}

/// Channels with their depths, and what the roles do in which order.
static std::string identifySchedule(ModuleOp module) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  OpPrintingFlags flags;
  flags.enableDebugInfo(false).useLocalScope();
  for (auto channel : module.getOps<pipe::ChannelOp>())
    stream << channel.getSymName() << " " << channel.getProducer() << " " << channel.getConsumers() << " "
           << channel.getDepth().value_or(1) << " " << channel.getDelay() << "\n";
  for (auto program : module.getOps<pipe::ProgramOp>())
    for (Region &region : program->getRegions())
      for (Operation &op : region.getOps()) {
        op.print(stream, flags);
        stream << "\n";
      }
  return hashText(text);
}

/// The compiler, what it was told, and the machine code that came of it, but for the code of the roles themselves.
static llvm::Expected<std::string> identifyBuild(ArrayRef<LinkedRole> roles,
                                                 const llvm::StringMap<std::string> &kernelObjects,
                                                 ArrayRef<std::string> codeFiles, const BundleOptions &options) {
  const TargetProfile &profile = options.profile;
  std::string words = options.version + " " + profile.cpu;
  for (const std::string &flag : options.flags)
    words += " " + flag;
  std::string text = words + "\n" + profile.triple + " " + profile.features + "\n";
  std::map<std::string, std::string> hashes;
  for (const LinkedRole &linked : roles)
    for (rtir::StepOp step : rtir::RoleOp(linked.role).getSteps()) {
      StringRef hash = step.getKernel();
      hash.consume_front("k_");
      if (auto object = kernelObjects.find(hash); object != kernelObjects.end() && !hashes.count(hash.str()))
        hashes[hash.str()] = hashText(object->second);
    }
  for (const std::string &file : codeFiles) {
    auto contents = llvm::MemoryBuffer::getFile(file, /*IsText=*/false, /*RequiresNullTerminator=*/false);
    if (!contents)
      return systemError("read", file, contents.getError().value());
    hashes[llvm::sys::path::filename(file).str()] = hashText((*contents)->getBuffer());
  }
  for (const auto &[name, hash] : hashes)
    text += name + " " + hash + "\n";
  return makeValue(words, hashText(text));
}

/// A hash of all that decides what the stages do: the module without the places of its files, the contents of the
/// weights, the target, the ABI and the compiler.
static std::string computeFingerprint(ModuleOp module, ArrayRef<LinkedRole> roles, const BundleOptions &options,
                                      const FolderIdentity &parts) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  stream << "penstock " << options.version << " abi " << RT_ABI_VERSION << " " << options.profile.triple << " "
         << options.profile.cpu << " " << options.profile.features << "\n";
  printModule(module, stream);
  stream << parts.model << "\n" << parts.build << "\n";
  for (const LinkedRole &linked : roles)
    for (auto [name, place] : llvm::zip(linked.weightNames, linked.weights.places))
      stream << name << " " << place.numBytes << " " << formatChecksum(place.checksum) << "\n";
  return llvm::toHex(llvm::SHA256::hash(llvm::arrayRefFromStringRef(stream.str())), /*LowerCase=*/true);
}

llvm::Expected<FolderIdentity> penstock::link::identifyFolder(ModuleOp module, ArrayRef<LinkedRole> roles,
                                                              const llvm::StringMap<std::string> &kernelObjects,
                                                              ArrayRef<std::string> codeFiles,
                                                              const BundleOptions &options) {
  FolderIdentity identity;
  llvm::Expected<std::string> build = identifyBuild(roles, kernelObjects, codeFiles, options);
  if (!build)
    return build.takeError();
  identity.build = *build;
  identity.model = identifyModel(module);
  identity.weights = identifyWeights(roles);
  identity.cut = identifyCut(module);
  identity.schedule = identifySchedule(module);
  identity.fingerprint = computeFingerprint(module, roles, options, identity);
  return identity;
}
