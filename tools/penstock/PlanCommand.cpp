//===- PlanCommand.cpp - penstock plan -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// Brings the model to kernels once, then asks the partitioner for each number of stages, as pipe-assign-stages does.
// Nothing is compiled. A number of stages without a plan (a memory limit, say) is a row that says why; when none has
// one, that is the error.
//===----------------------------------------------------------------------===//
#include "Commands.h"
#include "CutFlags.h"
#include "ImportFlags.h"
#include "PlanReport.h"

#include "penstock/Dialect/NN/Transforms/Passes.h"
#include "penstock/Dialect/Pipe/Transforms/PartitionProblem.h"
#include "penstock/Driver/Compiler.h"
#include "penstock/Driver/Diagnostics.h"
#include "penstock/Driver/OnnxStages.h"
#include "penstock/Driver/Partitioning.h"
#include "penstock/Partition/Cluster.h"
#include "penstock/Support/Error.h"
#include "penstock/Support/Files.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/MLIRContext.h"

#include <memory>
#include <set>
#include <unistd.h>

using namespace penstock;

namespace penstock::tool {
namespace {

constexpr int kDefaultMaxStages = 4, kMaxStages = 4096;

/// "4" or "1..8".
struct StageRange {
  int first = 1, last = kDefaultMaxStages;
};

bool parseStageRange(llvm::StringRef text, StageRange &range) {
  auto [first, last] = text.split("..");
  if (first.getAsInteger(10, range.first))
    return false;
  if (!text.contains(".."))
    range.last = range.first;
  else if (last.getAsInteger(10, range.last))
    return false;
  return 1 <= range.first && range.first <= range.last && range.last <= kMaxStages;
}

/// Keeps what the partitioner says about one number of stages.
class MessageCollector : public mlir::ScopedDiagnosticHandler {
public:
  explicit MessageCollector(mlir::MLIRContext *context) : ScopedDiagnosticHandler(context) {
    setHandler([this](mlir::Diagnostic &diagnostic) {
      std::string where = driver::describeLocation(diagnostic.getLocation());
      bool isError = diagnostic.getSeverity() == mlir::DiagnosticSeverity::Error;
      (isError ? errors : notes).push_back((where.empty() ? where : where + ": ") + diagnostic.str());
      return mlir::success();
    });
  }
  std::vector<std::string> errors, notes;
};

class PlanCommand {
public:
  void addOptions(CLI::App &app);
  int run();

private:
  bool parseOptions();
  bool isImplied() const;
  llvm::Error readDevices();
  bool makeReport(mlir::ModuleOp module);
  PlanEntry planFor(mlir::ModuleOp module, int numStages);
  void note(const std::string &text);
  int print();
  llvm::Error writeHtml();
  llvm::Error writeOnnx(mlir::ModuleOp module);

  CommonOptions common;
  driver::CompileOptions options;
  ImportFlags importFlags;
  std::string stagesText, memoryText, htmlFile, onnxFile;
  StageRange range;
  std::unique_ptr<TargetBackend> target;
  std::optional<driver::Partitioning> partitioning;
  std::vector<std::vector<std::string>> givenPlan;
  PlanReport report;
};

void PlanCommand::addOptions(CLI::App &app) {
  addCommonOptions(app, common);
  app.add_option("MODEL", options.model, "the ONNX model")->required();
  app.add_option("--stages,--pp-size", stagesText, "numbers of stages: N or A..B (default: 1..4, or as cuts imply)")
      ->type_name("A..B");
  app.add_option("--plan", options.planFile, "what a plan.json, or what this command wrote, would cost here")
      ->type_name("FILE");
  addCutFlags(app, options);
  app.add_option("--memory-limit", memoryText, "most that the process of a stage may hold, e.g. 8GiB")
      ->type_name("BYTES");
  addTargetFlags(app, options);
  app.add_option("--arch", options.arch, "CPU to plan for: native, x86-64-v3 or x86-64-v4")
      ->type_name("ARCH")
      ->capture_default_str();
  app.add_option("--html", htmlFile, "also write a page of tables and pictures")->type_name("FILE");
  app.add_option("--write-onnx", onnxFile, "also write the model with the stages of its nodes; of one number of stages")
      ->type_name("FILE");
  importFlags.addTo(app, options.import);
  setGroup(app, "Where to cut",
           {"--cut", "--balance", "--from-onnx-stages", "--plan", "--cluster", "--costs", "--memory-limit"});
  setGroup(app, "Code", {"--target", "--arch", "--threads"});
  setGroup(app, "Model", {"--dim", "--shape", "--bind", "--state", "--external-data-dir"});
}

bool PlanCommand::parseOptions() {
  if (!importFlags.parse(options.import))
    return false;
  if (!stagesText.empty() && !parseStageRange(stagesText, range)) {
    llvm::errs() << "error: --stages is '" << stagesText << "'; expected N or A..B with 1 <= A <= B <= " << kMaxStages
                 << "\n";
    return false;
  }
  if (!memoryText.empty()) {
    std::optional<int64_t> limit = partition::parseByteSize(memoryText);
    if (!limit || *limit <= 0) {
      llvm::errs() << "error: --memory-limit is '" << memoryText << "'; expected a size above 0, as 8GiB\n";
      return false;
    }
    options.memoryLimitBytes = *limit;
  }
  options.import.numbersNodes = !onnxFile.empty();
  if (!onnxFile.empty() && !isImplied() && range.first != range.last) {
    llvm::errs() << "error: --write-onnx writes the stages of one plan, but --stages is " << range.first << ".."
                 << range.last << "; expected --stages N\n";
    return false;
  }
  return true;
}

/// The number of stages follows from other flags.
bool PlanCommand::isImplied() const {
  return stagesText.empty() && (!options.cuts.empty() || options.fromOnnxStages || !options.planFile.empty());
}

/// Devices and costs, before the model is read.
llvm::Error PlanCommand::readDevices() {
  llvm::Expected<std::unique_ptr<TargetBackend>> opened = driver::openTarget(options);
  if (!opened)
    return opened.takeError();
  target = std::move(*opened);
  llvm::Expected<driver::Partitioning> read = driver::Partitioning::create(options, *target);
  if (!read)
    return read.takeError();
  partitioning.emplace(std::move(*read));
  std::optional<int64_t> numDevices = partitioning->getNumDevices();
  if (!numDevices)
    return llvm::Error::success();
  if (stagesText.empty())
    range.last = std::min<int64_t>(range.last, *numDevices);
  if (range.first <= *numDevices && range.last > *numDevices) {
    range.last = *numDevices;
    note("the cluster has " + std::to_string(*numDevices) + " devices; no more stages than that");
  }
  return llvm::Error::success();
}

void PlanCommand::note(const std::string &text) {
  if (!llvm::is_contained(report.notes, text))
    report.notes.push_back(text);
}

/// `numStages` 0: as many as cuts, annotations or a plan imply.
PlanEntry PlanCommand::planFor(mlir::ModuleOp module, int numStages) {
  PlanEntry entry;
  entry.numStages = numStages;
  MessageCollector messages(module.getContext());
  llvm::Expected<pipe::PartitionOptions> partitionOptions = partitioning->makeOptions(module, numStages);
  if (!partitionOptions) {
    entry.error = llvm::toString(partitionOptions.takeError());
    return entry;
  }
  partitionOptions->plan = givenPlan;
  partitionOptions->planFile = options.planFile;
  mlir::FailureOr<partition::Problem> problem = pipe::buildPartitionProblem(module, *partitionOptions);
  if (mlir::succeeded(problem)) {
    entry.problem = std::move(*problem);
    entry.numStages = entry.problem.numStages();
    partition::Result result = partition::solve(entry.problem);
    entry.plan = std::move(result.plan);
    llvm::append_range(messages.errors, result.errors);
  }
  for (const std::string &text : messages.notes)
    note(text);
  if (!entry.plan)
    entry.error = messages.errors.empty() ? "the partitioner gave no reason" : llvm::join(messages.errors, "; ");
  return entry;
}

bool PlanCommand::makeReport(mlir::ModuleOp module) {
  report.model = options.model;
  report.balance = options.balance;
  report.profiles = partitioning->getProfileNames();
  if (!options.planFile.empty()) {
    auto plan = pipe::readPlanFile(options.planFile, module.getLoc());
    if (mlir::failed(plan))
      return false;
    givenPlan = std::move(*plan);
  }
  if (isImplied())
    range = {0, 0};
  for (int numStages = range.first; numStages <= range.last; ++numStages) {
    if (isatty(2) && !common.quiet)
      llvm::errs() << "\r\033[K" << numStages << (numStages == 1 ? " stage ..." : " stages ...");
    report.entries.push_back(planFor(module, numStages));
    auto kernels = module.lookupSymbol<mlir::func::FuncOp>(nn::kEntryName).getOps<nn::KernelOp>();
    report.numKernels = std::distance(kernels.begin(), kernels.end());
    if (numStages == report.numKernels && numStages < range.last) {
      if (!stagesText.empty())
        note("the model has " + std::to_string(report.numKernels) + " kernel" + (report.numKernels == 1 ? "" : "s") +
             "; no more stages than that");
      break;
    }
    if (numStages > report.numKernels)
      break;
  }
  if (isatty(2) && !common.quiet)
    llvm::errs() << "\r\033[K";
  const PlanEntry *best = report.getBest();
  if (!best) {
    llvm::errs() << "error: " << report.entries.back().error << "\n";
    return false;
  }
  report.tier = best->problem.costTier;
  for (const partition::Kernel &kernel : best->problem.kernels)
    report.oneStageSeconds += kernel.seconds[best->problem.stages.front().deviceClass];
  return true;
}

llvm::Error PlanCommand::writeHtml() {
  return writeWholeFile(htmlFile, [&](llvm::raw_ostream &os) { printHtml(report, os); });
}

/// The plan is then the one that the nodes can say.
llvm::Error PlanCommand::writeOnnx(mlir::ModuleOp module) {
  PlanEntry &entry = report.entries.front();
  llvm::Expected<onnximport::NodeStages> stages = driver::chooseOnnxStages(module, entry.problem, *entry.plan);
  if (!stages)
    return stages.takeError();
  return onnximport::writeOnnxStages(options.model, onnxFile, *stages, entry.numStages);
}

int fail(llvm::Error error) {
  std::string message;
  int status = exitStatus(std::move(error), message);
  llvm::errs() << "error: " << message << "\n";
  return status;
}

int PlanCommand::print() {
  if (!htmlFile.empty())
    if (llvm::Error error = writeHtml())
      return fail(std::move(error));
  if (!common.quiet)
    for (const std::string &text : report.notes)
      llvm::errs() << "note: " << text << "\n";
  if (common.json)
    llvm::outs() << toJson(report).dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << "\n";
  else if (!common.quiet)
    printTable(report, common.verbose, llvm::outs());
  return 0;
}

int PlanCommand::run() {
  if (!parseOptions())
    return 2;
  if (llvm::Error error = readDevices())
    return fail(std::move(error));
  mlir::DialectRegistry registry;
  driver::registerDialects(registry);
  mlir::MLIRContext context(registry);
  driver::DiagnosticReporter reporter(&context, llvm::errs(), common.verbose);
  options.compileTo = "fuse";
  driver::Compilation compilation(context, options);
  if (mlir::failed(driver::compile(compilation))) {
    if (reporter.getNumErrors() == 0)
      llvm::errs() << "error: planning '" << options.model << "' failed\n";
    return compilation.exitStatus;
  }
  if (!makeReport(*compilation.module))
    return 2;
  if (!onnxFile.empty())
    if (llvm::Error error = writeOnnx(*compilation.module))
      return fail(std::move(error));
  return print();
}

} // namespace

Command addPlanCommand(CLI::App &parent) {
  return addCommand<PlanCommand>(parent, "plan", "show what each number of stages would cost, without compiling");
}

} // namespace penstock::tool
