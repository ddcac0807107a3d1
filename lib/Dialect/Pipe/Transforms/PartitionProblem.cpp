//===- PartitionProblem.cpp - Kernels for the partitioner -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "penstock/Dialect/Pipe/Transforms/PartitionProblem.h"

#include "Bounds.h"
#include "KernelNames.h"
#include "RoleMemory.h"
#include "StageGraph.h"

#include "penstock/Dialect/Pipe/IR/PipeOps.h"

#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;
using namespace penstock;
using namespace penstock::pipe;

namespace {

/// A kernel that does at most this much is repeated in every stage that reads it rather than sent.
constexpr double kCheapOperations = 64 * 1024, kCheapBytes = 16 * 1024;

class ProblemBuilder {
public:
  ProblemBuilder(ModuleOp module, func::FuncOp entry, const PartitionOptions &options)
      : module(module), entry(entry), options(options), bounds(module), kernels(getKernels(entry)) {
    for (auto [i, kernel] : llvm::enumerate(kernels))
      numbers[kernel] = i;
  }

  FailureOr<partition::Problem> build();

private:
  void addConditions();
  LogicalResult checkStageCount(int64_t numStages);
  LogicalResult addDevices();
  void measureLiveBytes();
  void addKernel(nn::KernelOp kernel);
  void addValues();
  void addStates();
  LogicalResult addAnnotations();
  LogicalResult addOnnxStages();
  LogicalResult addPlan();
  LogicalResult addCuts();
  int64_t countStages();
  LogicalResult pin(nn::KernelOp kernel, int64_t stage, StringRef why);

  double evaluate(AffineExpr expr) {
    std::optional<int64_t> value = expr ? nn::evaluate(expr, bounds.getTypical()) : std::nullopt;
    return value ? std::max<double>(0, *value) : 0;
  }
  /// At the bound if there is one, else at the typical value.
  int64_t getMemory(Value value) { return getMemory(nn::getNumBytes(cast<RankedTensorType>(value.getType()))); }
  int64_t getMemory(AffineExpr bytes) {
    std::optional<int64_t> upper = bytes ? bounds.getUpper(bytes) : std::nullopt;
    return clamp(upper ? static_cast<double>(*upper) : evaluate(bytes));
  }
  static int64_t clamp(double bytes) { return static_cast<int64_t>(std::min(bytes, 1e15)); }
  bool isCheap(nn::KernelOp kernel, const partition::Work &work);

  ModuleOp module;
  func::FuncOp entry;
  const PartitionOptions &options;
  SymbolBounds bounds;
  SmallVector<nn::KernelOp> kernels;
  DenseMap<Operation *, int> numbers;
  llvm::MapVector<StringRef, int> weights;
  std::vector<partition::DeviceProfile> profiles;
  partition::Problem problem;
  std::vector<double> liveBytes; // by kernel
  DenseMap<int, int> pinned;
  partition::CostTier tier = partition::CostTier::Profiled; ///< the least certain of all kernels
  SmallVector<StateEdge> states;
  nn::KernelOp conditional; ///< one that holds a condition, if any
};

//===----------------------------------------------------------------------===//
// Costs
//===----------------------------------------------------------------------===//

partition::KernelClass classify(Operation *op) {
  using partition::KernelClass;
  return llvm::TypeSwitch<Operation *, KernelClass>(op)
      .Case<nn::ConvOp>([](nn::ConvOp conv) {
        int64_t perGroup = cast<RankedTensorType>(conv.getFilter().getType()).getDimSize(1);
        return conv.getGroup() > 1 && perGroup == 1 ? KernelClass::Depthwise : KernelClass::Convolution;
      })
      .Case<nn::ConvTransposeOp>([](auto) { return KernelClass::Convolution; })
      .Case<nn::MatmulOp>([](auto) { return KernelClass::Contraction; })
      .Case<nn::AttentionOp>([](auto) { return KernelClass::Attention; })
      .Case<nn::RecurrentOp>([](auto) { return KernelClass::Recurrent; })
      .Case<nn::SoftmaxOp, nn::LogSoftmaxOp, nn::LayerNormOp, nn::BatchNormOp, nn::ReduceOp>(
          [](auto) { return KernelClass::Normalization; })
      .Case<nn::UnaryOp, nn::BinaryOp>([](auto) { return KernelClass::Elementwise; })
      .Case<nn::TransposeOp, nn::ReshapeOp, nn::SliceOp, nn::ConcatOp, nn::PadOp, nn::GatherOp, nn::BroadcastToOp>(
          [](auto) { return KernelClass::Movement; })
      .Default([](auto) { return KernelClass::Other; });
}

/// The class of the op that does most of the work; of equals the first.
partition::KernelClass classify(nn::KernelOp kernel, llvm::function_ref<double(AffineExpr)> evaluate) {
  partition::KernelClass result = partition::KernelClass::Other;
  double most = -1;
  for (Operation &op : kernel.getBody().front()) {
    auto cost = dyn_cast<nn::CostInterface>(op);
    double operations = cost ? evaluate(cost.getFlops()) : -1;
    if (operations > most) {
      most = operations;
      result = classify(&op);
    }
  }
  return result;
}

partition::Precision getPrecision(nn::KernelOp kernel) {
  Type type = cast<RankedTensorType>(kernel.getResult(0).getType()).getElementType();
  if (type.isF16())
    return partition::Precision::F16;
  if (type.isBF16())
    return partition::Precision::BF16;
  if (type.isF64())
    return partition::Precision::F64;
  return type.isInteger(8) ? partition::Precision::I8 : partition::Precision::F32;
}

/// Cheap, read by more than one kernel, and made of weights, constants, inputs and other such kernels only: shape
/// arithmetic, masks and the like.
bool ProblemBuilder::isCheap(nn::KernelOp kernel, const partition::Work &work) {
  if (work.numOperations > kCheapOperations || work.bytesRead + work.bytesWritten > kCheapBytes)
    return false;
  llvm::SmallDenseSet<Operation *> readers(kernel->user_begin(), kernel->user_end());
  if (readers.size() < 2)
    return false;
  return llvm::all_of(kernel.getInputs(), [&](Value input) {
    auto producer = input.getDefiningOp<nn::KernelOp>();
    return !producer || problem.kernels[numbers[producer]].cloneable;
  });
}

/// Bytes of the activations that are alive while each kernel runs, were all in one arena. Inputs of the model are read
/// in their slots. Where a value leaves its stage it is in a slot instead, so this is no less than what a stage needs.
void ProblemBuilder::measureLiveBytes() {
  liveBytes.assign(kernels.size(), 0);
  for (auto [i, kernel] : llvm::enumerate(kernels))
    for (Value result : kernel->getResults()) {
      int last = i;
      for (Operation *user : result.getUsers())
        if (auto reader = numbers.find(user); reader != numbers.end())
          last = std::max(last, reader->second);
      double bytes = getMemory(result);
      for (int k = i; k <= last; ++k)
        liveBytes[k] += bytes;
    }
  for (auto [i, kernel] : llvm::enumerate(kernels))
    if (AffineExpr workspace = options.workspaceBytes.lookup(kernel.getName()))
      liveBytes[i] += getMemory(workspace);
}

partition::Work describeWork(nn::KernelOp kernel, llvm::function_ref<double(AffineExpr)> evaluate) {
  partition::Work work;
  work.key = kernel.getName().str();
  work.kernelClass = classify(kernel, evaluate);
  work.precision = getPrecision(kernel);
  work.numOperations = evaluate(kernel.getFlops());
  work.bytesRead = evaluate(kernel.getBytesRead());
  work.bytesWritten = evaluate(kernel.getBytesWritten());
  return work;
}

void ProblemBuilder::addKernel(nn::KernelOp kernel) {
  partition::Work work = describeWork(kernel, [&](AffineExpr expr) { return evaluate(expr); });
  partition::Kernel result;
  result.name = work.key;
  for (const partition::DeviceProfile &profile : profiles) {
    partition::Prediction prediction = partition::predict(profile, work);
    result.seconds.push_back(prediction.seconds);
    tier = std::min(tier, prediction.tier);
  }
  result.workspaceBytes = clamp(liveBytes[numbers[kernel]]);
  result.residentBytes = options.libraryBytes.lookup(kernel.getName());
  for (nn::LoadWeightOp load : getWeights(kernel)) {
    auto [entry, isNew] = weights.insert({load.getWeight(), static_cast<int>(problem.weights.size())});
    if (isNew)
      problem.weights.push_back({load.getWeight().str(), getMemory(load)});
    if (!llvm::is_contained(result.weights, entry->second))
      result.weights.push_back(entry->second);
  }
  result.cloneable = isCheap(kernel, work);
  problem.kernels.push_back(result);
}

void ProblemBuilder::addValues() {
  auto add = [&](Value value, std::string name, int producer) {
    partition::Value result;
    result.name = std::move(name);
    result.producer = producer;
    result.numBytes = clamp(evaluate(nn::getNumBytes(cast<RankedTensorType>(value.getType()))));
    for (OpOperand &use : value.getUses()) {
      Operation *user = use.getOwner();
      if (isa<func::ReturnOp>(user))
        result.isOutput |=
            llvm::none_of(states, [&](StateEdge state) { return state.output == use.getOperandNumber(); });
      else if (!llvm::is_contained(result.consumers, numbers[user]))
        result.consumers.push_back(numbers[user]);
    }
    llvm::sort(result.consumers);
    problem.values.push_back(result);
  };
  for (BlockArgument argument : entry.getArguments())
    if (llvm::none_of(states, [&](StateEdge state) { return state.input == argument.getArgNumber(); }))
      add(argument, getInputName(entry, argument.getArgNumber()), partition::kSource);
  for (auto [i, kernel] : llvm::enumerate(kernels))
    for (OpResult result : kernel->getResults())
      add(result, getTensorName(result), i);
}

/// Readers and writer of a state share a stage, which keeps its bytes.
void ProblemBuilder::addStates() {
  auto ret = cast<func::ReturnOp>(entry.getBody().front().getTerminator());
  for (StateEdge state : states) {
    auto writer = cast<nn::KernelOp>(ret.getOperand(state.output).getDefiningOp());
    partition::Colocation together;
    together.name = getInputName(entry, state.input);
    together.kernels.push_back(numbers[writer]);
    for (Operation *user : entry.getArgument(state.input).getUsers())
      if (numbers.count(user) && !llvm::is_contained(together.kernels, numbers[user]))
        together.kernels.push_back(numbers[user]);
    llvm::sort(together.kernels);
    problem.kernels[numbers[writer]].residentBytes += getMemory(entry.getArgument(state.input));
    problem.colocations.push_back(together);
  }
}

//===----------------------------------------------------------------------===//
// What people ask for
//===----------------------------------------------------------------------===//

int64_t ProblemBuilder::countStages() {
  if (options.numStages > 0)
    return options.numStages;
  if (!options.devices.empty())
    return options.devices.size();
  int64_t count = std::max<int64_t>(1, options.cuts.size() + (options.cuts.empty() ? 0 : 1));
  count = std::max<int64_t>(count, options.plan.size());
  for (nn::KernelOp kernel : kernels) {
    if (auto stage = kernel->getAttrOfType<IntegerAttr>(PipeDialect::getStageIdAttrName());
        stage && !options.ignoreAnnotations)
      count = std::max(count, stage.getInt() + 1);
    if (std::optional<int64_t> stage = options.fromOnnxStages ? getOnnxStage(kernel) : std::nullopt)
      count = std::max(count, *stage + 1);
  }
  return count;
}

/// Control flow is one unit of the partition: a kernel that holds an `nn.if` takes along what only decides it.
void ProblemBuilder::addConditions() {
  for (nn::KernelOp kernel : kernels)
    kernel.getBody().walk([&](nn::IfOp branch) {
      auto argument = dyn_cast<BlockArgument>(branch.getCondition());
      if (!argument || argument.getOwner() != &kernel.getBody().front())
        return;
      conditional = kernel;
      auto decider = kernel.getInputs()[argument.getArgNumber()].getDefiningOp<nn::KernelOp>();
      if (!decider || llvm::any_of(decider->getUsers(), [&](Operation *user) { return user != kernel; }))
        return;
      partition::Colocation together;
      together.name = kernel.getName().str();
      together.kernels = {numbers[decider], numbers[kernel]};
      problem.colocations.push_back(together);
    });
}

LogicalResult ProblemBuilder::checkStageCount(int64_t numStages) {
  int64_t most = kernels.size() - problem.colocations.size();
  if (numStages <= most)
    return success();
  InFlightDiagnostic error = module.emitError() << numStages << " stages were asked for, but the model has " << most
                                                << " kernel" << (most == 1 ? "" : "s");
  if (conditional)
    error << " that can be separated; '" << conditional.getName()
          << "' holds a condition whose branches stay in one stage (--bind the input"
          << " that decides it to cut them)";
  return error << "; expected at most that many stages";
}

LogicalResult ProblemBuilder::addDevices() {
  profiles = options.profiles;
  if (profiles.empty())
    profiles.push_back(partition::makeCpuProfile("cpu", partition::CpuTraits()));
  problem.deviceClasses.clear();
  for (const partition::DeviceProfile &profile : profiles) {
    problem.deviceClasses.push_back(profile.name);
    for (const std::string &error : profile.check())
      return module.emitError() << "device '" << profile.name << "': " << error;
  }
  int64_t numStages = countStages();
  addConditions();
  if (failed(checkStageCount(numStages)))
    return failure();
  problem.stages = options.devices;
  if (!problem.stages.empty() && static_cast<int64_t>(problem.stages.size()) != numStages)
    return module.emitError() << numStages << " stages were asked for, but " << problem.stages.size()
                              << " devices are given; expected one each";
  for (int64_t stage = problem.stages.size(); stage < numStages; ++stage) {
    partition::Device device;
    device.name = "stage " + std::to_string(stage);
    if (options.memoryLimitBytes > 0)
      device.memoryLimitBytes = options.memoryLimitBytes;
    problem.stages.push_back(device);
  }
  for (auto [stage, device] : llvm::enumerate(problem.stages))
    device.reservedBytes = kRuntimeBytes + (stage < options.heldBackBytes.size() ? options.heldBackBytes[stage] : 0);
  problem.slotsPerReceivedValue = partition::kSlotsByDepth;
  problem.maxDepth = static_cast<int>(std::min<int64_t>(options.maxDepth, std::numeric_limits<int>::max()));
  problem.links = options.links;
  problem.sourceLink = options.sourceLink;
  problem.sinkLink = options.sinkLink;
  problem.balance = options.balance;
  return success();
}

LogicalResult ProblemBuilder::pin(nn::KernelOp kernel, int64_t stage, StringRef why) {
  int64_t numStages = problem.stages.size();
  if (stage < 0 || stage >= numStages)
    return kernel.emitError() << "kernel '" << kernel.getName() << "' is in stage " << stage << " by " << why
                              << ", but there are " << numStages << " stages; expected 0 to " << numStages - 1;
  auto [entry, isNew] = pinned.try_emplace(numbers[kernel], stage);
  if (!isNew && entry->second != stage)
    return kernel.emitError() << "kernel '" << kernel.getName() << "' is in stage " << stage << " by " << why
                              << ", but in stage " << entry->second << " by what was given before";
  if (isNew)
    problem.pins.push_back({numbers[kernel], static_cast<int>(stage)});
  return success();
}

/// Stages written by hand, or by an earlier run.
LogicalResult ProblemBuilder::addAnnotations() {
  for (nn::KernelOp kernel : kernels) {
    Attribute attribute = kernel->getAttr(PipeDialect::getStageIdAttrName());
    if (!attribute)
      continue;
    auto stage = dyn_cast<IntegerAttr>(attribute);
    if (!stage)
      return kernel.emitError() << "kernel '" << kernel.getName() << "' has " << PipeDialect::getStageIdAttrName()
                                << " = " << attribute << "; expected a number";
    if (failed(pin(kernel, stage.getInt(), "annotation")))
      return failure();
  }
  return success();
}

LogicalResult ProblemBuilder::addOnnxStages() {
  bool hasAny = false;
  for (nn::KernelOp kernel : kernels)
    if (std::optional<int64_t> stage = getOnnxStage(kernel)) {
      hasAny = true;
      if (failed(pin(kernel, *stage, "the model's pipeline stages")))
        return failure();
    }
  if (!hasAny)
    return module.emitError() << "the model has no pipeline stages; expected `pipeline_stage` annotations on its nodes";
  return success();
}

LogicalResult ProblemBuilder::addPlan() {
  llvm::StringMap<nn::KernelOp> byName;
  for (nn::KernelOp kernel : kernels)
    byName[kernel.getName()] = kernel;
  llvm::StringMap<int64_t> stageOf;
  llvm::StringSet<> cloned;
  for (auto [stage, names] : llvm::enumerate(options.plan))
    for (const std::string &name : names) {
      auto kernel = byName.find(name);
      // A clone is named after its original; the solver makes it again.
      StringRef original = StringRef(name).rsplit('@').first;
      if (kernel == byName.end() && byName.count(original)) {
        cloned.insert(original);
        continue;
      }
      if (kernel == byName.end())
        return module.emitError() << "plan file '" << options.planFile << "' does not fit the model: stage " << stage
                                  << " has kernel '" << name << "', which the model does not have";
      stageOf.try_emplace(name, stage);
    }
  for (nn::KernelOp kernel : kernels) {
    auto stage = stageOf.find(kernel.getName());
    if (stage == stageOf.end())
      return module.emitError() << "plan file '" << options.planFile
                                << "' does not fit the model: no stage has kernel '" << kernel.getName() << "'";
    if (!cloned.contains(kernel.getName()) && failed(pin(kernel, stage->second, "the plan")))
      return failure();
  }
  return success();
}

/// The producer of the named tensor before the boundary, its readers after it.
LogicalResult ProblemBuilder::addCuts() {
  KernelNames names(entry);
  for (const std::string &name : options.cuts) {
    FailureOr<NamedKernel> found = names.find(name);
    if (failed(found))
      return failure();
    nn::KernelOp kernel = found->kernel;
    if (found->isInside)
      kernel.emitRemark() << "tensor '" << name << "' is inside of kernel '" << kernel.getName()
                          << "'; the cut is at the end of that kernel";
    partition::Cut cut;
    cut.name = name;
    cut.before.push_back(numbers[kernel]);
    for (Operation *user : kernel->getUsers())
      if (numbers.count(user) && !llvm::is_contained(cut.after, numbers[user]))
        cut.after.push_back(numbers[user]);
    llvm::sort(cut.after);
    problem.cuts.push_back(cut);
  }
  return success();
}

FailureOr<partition::Problem> ProblemBuilder::build() {
  if (kernels.empty())
    return entry.emitError() << "the model has no kernel; expected at least one";
  if (failed(addDevices()))
    return failure();
  FailureOr<SmallVector<StateEdge>> edges = getStates(entry);
  if (failed(edges))
    return failure();
  states = *edges;
  measureLiveBytes();
  for (nn::KernelOp kernel : kernels)
    addKernel(kernel);
  problem.costTier = partition::toString(tier);
  addValues();
  addStates();
  if ((!options.ignoreAnnotations && failed(addAnnotations())) || (options.fromOnnxStages && failed(addOnnxStages())) ||
      (!options.plan.empty() && failed(addPlan())) || failed(addCuts()))
    return failure();
  std::vector<std::string> errors = problem.check();
  for (const std::string &error : errors)
    module.emitError() << error;
  if (!errors.empty())
    return failure();
  return problem;
}

} // namespace

std::vector<partition::Work> pipe::describeKernels(ModuleOp module) {
  SymbolBounds bounds(module);
  std::vector<partition::Work> result;
  for (nn::KernelOp kernel : getKernels(findEntry(module)))
    result.push_back(describeWork(kernel, [&](AffineExpr expr) {
      std::optional<int64_t> value = expr ? nn::evaluate(expr, bounds.getTypical()) : std::nullopt;
      return value ? std::max<double>(0, *value) : 0;
    }));
  return result;
}

FailureOr<partition::Problem> pipe::buildPartitionProblem(ModuleOp module, const PartitionOptions &options) {
  func::FuncOp entry = findEntry(module);
  if (!entry)
    return failure();
  copyTrivialOutputs(entry);
  return ProblemBuilder(module, entry, options).build();
}

FailureOr<partition::Plan> pipe::solvePartition(ModuleOp module, const partition::Problem &problem) {
  partition::Result result = partition::solve(problem);
  for (const std::string &error : result.errors)
    module.emitError() << error;
  if (!result.plan)
    return failure();
  return *result.plan;
}

FailureOr<partition::Plan> pipe::planStages(ModuleOp module, const PartitionOptions &options) {
  FailureOr<partition::Problem> problem = buildPartitionProblem(module, options);
  if (failed(problem))
    return failure();
  return solvePartition(module, *problem);
}
