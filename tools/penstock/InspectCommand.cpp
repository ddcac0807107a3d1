//===- InspectCommand.cpp - penstock inspect -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "Commands.h"
#include "ExecutableNotes.h"
#include "ImportFlags.h"

#include "penstock/Dialect/NN/Transforms/Passes.h"
#include "penstock/Driver/Compiler.h"
#include "penstock/Driver/Diagnostics.h"
#include "penstock/Support/Error.h"
#include "penstock/rt/Plan.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

#include <fstream>
#include <nlohmann/json.hpp>

using namespace penstock;
using nlohmann::ordered_json;

namespace penstock::tool {
namespace {

struct InspectCommand {
  CommonOptions common;
  driver::CompileOptions options;
  ImportFlags importFlags;
  bool listsSupported = false;

  void addOptions(CLI::App &app);
  int run();
  int printSupported();
  int inspectModel();
  int inspectDump();
  int inspectFolder(const std::string &folder);
  int inspectExecutable();
  ordered_json listOperators(const std::vector<onnximport::OperatorUse> &uses);
  ordered_json listCuts(mlir::ModuleOp module);
  void printModel(const ordered_json &report);
};

ordered_json InspectCommand::listOperators(const std::vector<onnximport::OperatorUse> &uses) {
  ordered_json list = ordered_json::array();
  for (const onnximport::OperatorUse &use : uses)
    list.push_back({{"domain", use.domain.empty() ? "ai.onnx" : use.domain},
                    {"name", use.name},
                    {"opset", use.opset},
                    {"count", use.nodes.size()},
                    {"supported", use.supported},
                    {"nodes", use.nodes}});
  return list;
}

/// The tensors at which a pipeline can be cut: what kernels make.
ordered_json InspectCommand::listCuts(mlir::ModuleOp module) {
  ordered_json list = ordered_json::array();
  auto entry = module.lookupSymbol<mlir::func::FuncOp>(nn::kEntryName);
  std::vector<std::string> names = nn::getSymbolNames(module);
  llvm::SmallVector<int64_t> typical = nn::getTypicalValues(module, entry.getArgumentTypes());
  for (auto kernel : entry.getOps<nn::KernelOp>())
    for (mlir::Value result : kernel.getResults()) {
      auto type = mlir::cast<mlir::RankedTensorType>(result.getType());
      mlir::AffineExpr bytes = nn::getNumBytes(type);
      list.push_back({{"name", kernel.getName().str()},
                      {"shape", nn::formatExtents(nn::getExtents(type), names)},
                      {"bytes", bytes ? nn::formatExtents(bytes, names) : "?"},
                      {"typical_bytes", bytes ? nn::evaluate(bytes, typical).value_or(-1) : -1}});
    }
  return list;
}

void InspectCommand::printModel(const ordered_json &report) {
  llvm::outs() << "operators\n";
  for (const ordered_json &use : report["operators"]) {
    llvm::outs() << llvm::format("  %5d  %-24s opset %-3d %s\n", use["count"].get<int>(),
                                 use["name"].get<std::string>().c_str(), use["opset"].get<int>(),
                                 use["supported"].get<bool>() ? "" : "unsupported");
    if (!use["supported"].get<bool>())
      for (const ordered_json &node : use["nodes"])
        llvm::outs() << "           node '" << node.get<std::string>() << "'\n";
  }
  if (!report.contains("cuts"))
    return;
  llvm::outs() << "kernels, each of which a pipeline can be cut after\n";
  for (const ordered_json &cut : report["cuts"]) {
    std::string bytes = std::to_string(cut["typical_bytes"].get<int64_t>());
    llvm::outs() << llvm::format("  %-48s %-20s %s bytes%s\n", cut["name"].get<std::string>().c_str(),
                                 cut["shape"].get<std::string>().c_str(), bytes.c_str(),
                                 cut["bytes"] == bytes ? "" : " at the typical shape");
  }
}

int InspectCommand::inspectModel() {
  if (!importFlags.parse(options.import))
    return 2;
  mlir::DialectRegistry registry;
  driver::registerDialects(registry);
  mlir::MLIRContext context(registry);
  driver::DiagnosticReporter reporter(&context, llvm::errs(), common.verbose);
  auto uses = onnximport::listOperators(context, options.model, options.import);
  if (mlir::failed(uses))
    return 2;
  ordered_json report{{"model", options.model}, {"operators", listOperators(*uses)}};
  bool supported = llvm::all_of(*uses, [](const onnximport::OperatorUse &use) { return use.supported; });
  int status = 0;
  if (supported) {
    options.compileTo = "fuse";
    driver::Compilation compilation(context, options);
    if (mlir::failed(driver::compile(compilation)))
      status = compilation.exitStatus;
    else
      report["cuts"] = listCuts(*compilation.module);
  }
  if (common.json)
    llvm::outs() << report.dump(2) << "\n";
  else
    printModel(report);
  return status;
}

/// What is known of the kernels of a dump: the figures of those that run on a device.
int InspectCommand::inspectDump() {
  mlir::DialectRegistry registry;
  driver::registerDialects(registry);
  mlir::MLIRContext context(registry);
  driver::DiagnosticReporter reporter(&context, llvm::errs(), common.verbose);
  auto module = mlir::parseSourceFile<mlir::ModuleOp>(options.model, mlir::ParserConfig(&context));
  if (module && driver::printDeviceFunctions(*module, common.json, llvm::outs()))
    return 0;
  llvm::errs() << "error: '" << options.model << "' "
               << (module ? "has no kernel with device code; expected a dump of --target cuda after kernels\n"
                          : "is no dump of a phase: it does not parse\n");
  return 2;
}

static std::string text(const ordered_json &object, const char *key) {
  if (!object.is_object() || !object.contains(key))
    return "-";
  const ordered_json &value = object[key];
  return value.is_string() ? value.get<std::string>() : value.dump();
}

/// Bytes of a plan; -1 stands for what the shapes of a run decide.
static std::string bytesText(const ordered_json &object, const char *key) {
  std::string value = text(object, key);
  return value == "-1" ? "by shape" : value;
}

/// The memory contract of a stage: its parts and their sum, or why there is none.
static void printMemory(const ordered_json &memory) {
  llvm::outs() << "  memory: weights " << bytesText(memory, "weights") << ", arena " << bytesText(memory, "arena")
               << " (workspaces " << bytesText(memory, "workspaces") << "), slots " << bytesText(memory, "slots")
               << " written and " << bytesText(memory, "slots_read") << " read, states " << text(memory, "states")
               << ", runtime " << text(memory, "runtime") << ", further shapes " << bytesText(memory, "shapes") << "; ";
  ordered_json unbounded = memory.value("unbounded", ordered_json::array());
  if (unbounded.empty()) {
    llvm::outs() << "in all " << text(memory, "total") << " bytes\n";
    return;
  }
  llvm::outs() << "unbounded in: ";
  for (size_t i = 0; i < unbounded.size(); ++i)
    llvm::outs() << (i ? ", " : "") << (unbounded[i].is_string() ? unbounded[i].get<std::string>() : "?");
  llvm::outs() << "\n";
}

static void printStage(const ordered_json &stage) {
  llvm::outs() << "stage " << text(stage, "name") << "\n";
  printMemory(stage.value("memory", ordered_json::object()));
  for (const ordered_json &kernel : stage.value("kernels", ordered_json::array()))
    llvm::outs() << llvm::format("  %-44s %-10s %s %s\n", text(kernel, "name").c_str(), text(kernel, "kind").c_str(),
                                 text(kernel, "kernel").c_str(), text(kernel, "library").c_str());
}

static void printStages(const ordered_json &plan) {
  for (const ordered_json &stage : plan["stages"])
    printStage(stage);
  for (const ordered_json &channel : plan.value("channels", ordered_json::array()))
    llvm::outs() << "channel " << text(channel, "name") << " '" << text(channel, "tensor") << "' from "
                 << text(channel, "from") << " to " << text(channel, "to") << " depth " << text(channel, "depth")
                 << " bytes " << bytesText(channel, "slot_bytes") << "\n";
}

static void printFolder(const ordered_json &plan) {
  ordered_json identity = plan.value("identity", ordered_json::object());
  for (const char *key : {"model", "weights", "cut", "schedule", "build"})
    llvm::outs() << llvm::format("%-14s %s\n", key, text(identity, key).c_str());
  llvm::outs() << "fingerprint    " << text(plan, "fingerprint") << "\n";
  llvm::outs() << llvm::format("target         %s\n", text(plan.value("target", ordered_json()), "cpu").c_str());
  if (plan.contains("all_in_one"))
    llvm::outs() << llvm::format("executables    one per stage, and %s for all of them\n",
                                 text(plan, "all_in_one").c_str());
  printStages(plan);
}

/// Keeps of a plan the stage that an executable runs, and the channels that it reads and writes.
static void keepStage(ordered_json &plan, const rt::RoleIdentity &identity) {
  ordered_json stages = ordered_json::array(), channels = ordered_json::array();
  for (size_t i = 0; i < plan["stages"].size(); ++i) {
    const ordered_json &stage = plan["stages"][i];
    if (text(stage, "name") != identity.name)
      continue;
    stages.push_back(stage);
    for (const ordered_json &channel : plan.value("channels", ordered_json::array())) {
      ordered_json to = channel.value("to", ordered_json::array());
      if (text(channel, "from") == std::to_string(i) ||
          llvm::any_of(to, [&](const ordered_json &reader) { return reader == i; }))
        channels.push_back(channel);
    }
  }
  plan["stages"] = stages;
  plan["channels"] = channels;
}

constexpr int kMaxPlanDepth = 100;

/// The plan of a folder; null, and why, where there is none that a run would take.
static ordered_json readPlan(const std::string &folder, std::string &error) {
  rt::Plan checked;
  if (rt::Status status = rt::Plan::load(folder, checked); !status.ok()) {
    error = status.message();
    return ordered_json();
  }
  // What is nested deeper than any plan of ours is left out: to print it would take a stack without end.
  auto isShallow = [](int depth, ordered_json::parse_event_t, ordered_json &) { return depth < kMaxPlanDepth; };
  std::ifstream file(folder + "/plan.json");
  return ordered_json::parse(file, isShallow, /*allow_exceptions=*/false);
}

int InspectCommand::inspectFolder(const std::string &folder) {
  std::string error;
  ordered_json plan = readPlan(folder, error);
  if (plan.is_null()) {
    llvm::errs() << "error: " << error << "\n";
    return 2;
  }
  if (common.json)
    llvm::outs() << plan.dump(2) << "\n";
  else
    printFolder(plan);
  return 0;
}

static ordered_json toJson(const rt::RoleIdentity &identity) {
  return {{"name", identity.name},      {"role", identity.role},
          {"roles", identity.numRoles}, {"abi", identity.abiVersion},
          {"model", identity.model},    {"weights", identity.weights},
          {"cut", identity.cut},        {"schedule", identity.schedule},
          {"build", identity.build},    {"fingerprint", identity.fingerprint}};
}

/// How an executable and the plan beside it differ; empty when they are of one compilation.
static std::string comparePlan(const rt::RoleIdentity &identity, const ordered_json &plan) {
  ordered_json said = plan.value("identity", ordered_json::object());
  rt::Identity other{text(plan, "fingerprint"), text(said, "model"),    text(said, "weights"),
                     text(said, "cut"),         text(said, "schedule"), text(said, "build")};
  return rt::describeDifference(identity, identity.name, other, "plan.json");
}

/// What an executable says of itself; and, where it lies in its folder, what the plan says of its stage.
int InspectCommand::inspectExecutable() {
  llvm::Expected<std::vector<rt::RoleIdentity>> notes = readNotes(options.model);
  if (!notes) {
    std::string message;
    int status = exitStatus(notes.takeError(), message);
    llvm::errs() << "error: " << message << "\n";
    return status;
  }
  llvm::StringRef parent = llvm::sys::path::parent_path(options.model);
  std::string ignored;
  ordered_json plan = readPlan(parent.empty() ? "." : parent.str(), ignored);
  ordered_json report = {{"roles", ordered_json::array()}};
  for (const rt::RoleIdentity &identity : *notes) {
    ordered_json &role = report["roles"].emplace_back(toJson(identity));
    std::string difference = plan.is_null() ? "" : comparePlan(identity, plan);
    ordered_json own = difference.empty() ? plan : ordered_json();
    if (!difference.empty())
      role["differs_from_plan"] = difference;
    if (!own.is_null()) {
      keepStage(own, identity);
      role["plan"] = own;
    }
    if (common.json)
      continue;
    llvm::outs() << rt::formatIdentity(identity);
    if (!difference.empty())
      llvm::outs() << "not of the folder that it lies in: " << difference << "\n";
    if (!own.is_null())
      printStages(own);
  }
  if (common.json)
    llvm::outs() << report.dump(2) << "\n";
  return 0;
}

/// What the importer converts itself; ONNX's function bodies serve others.
int InspectCommand::printSupported() {
  ordered_json list = ordered_json::array();
  for (const onnximport::SupportedOperator &entry : onnximport::getSupportedOperators())
    list.push_back({{"domain", entry.domain.empty() ? "ai.onnx" : entry.domain},
                    {"name", entry.name},
                    {"since_versions", entry.sinceVersions}});
  if (common.json) {
    llvm::outs() << list.dump(2) << "\n";
    return 0;
  }
  for (const ordered_json &entry : list) {
    llvm::outs() << llvm::format("%-16s %-28s since", text(entry, "domain").c_str(), text(entry, "name").c_str());
    for (const ordered_json &version : entry["since_versions"])
      llvm::outs() << " " << version.get<int>();
    llvm::outs() << "\n";
  }
  return 0;
}

void InspectCommand::addOptions(CLI::App &app) {
  addCommonOptions(app, common);
  app.add_option("MODEL|DIR|EXECUTABLE|DUMP", options.model,
                 "an ONNX model, a compiled folder, one of its executables, or a dump (.mlir) after kernels");
  app.add_flag("--operators", listsSupported, "list the operators that the importer converts, and stop");
  importFlags.addTo(app, options.import);
}

int InspectCommand::run() {
  if (listsSupported)
    return printSupported();
  if (options.model.empty()) {
    llvm::errs() << "error: MODEL|DIR|EXECUTABLE|DUMP is required; see 'penstock inspect --help'\n";
    return 2;
  }
  if (llvm::sys::fs::is_directory(options.model))
    return inspectFolder(options.model);
  if (isExecutable(options.model))
    return inspectExecutable();
  if (llvm::StringRef(options.model).ends_with(".mlir"))
    return inspectDump();
  return inspectModel();
}

} // namespace

Command addInspectCommand(CLI::App &parent) {
  return addCommand<InspectCommand>(parent, "inspect",
                                    "show operators and cuttable tensors of a model, or what a folder holds");
}

} // namespace penstock::tool
