//===- Problem.h - Cutting a graph of kernels into pipeline stages ---*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Data in, answer out. A Problem says what the kernels cost, which values they exchange and what the stages run on; a
// Plan says in which stage each kernel runs and what that costs. How a plan is found is in Algorithms.h; the formulas
// are in docs/Partition.md.
//
// Words: a *kernel* is the unit of cutting. A *value* is made by one kernel (or by the source, which feeds the model's
// inputs) and read by several. Boundary i lies between stage i and stage i+1. A value that leaves its stage travels on
// one channel straight to all stages that read it: its stage sends it once, each reading stage receives it once.
//
// Units: seconds per microbatch, bytes. Indices are positions in the vectors of the Problem.
// Ownership: plain values, no pointers. Threads: everything here is const or pure. Errors: returned as text, one per
// problem; nothing throws and no input makes a function abort.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_PARTITION_PROBLEM_H
#define PENSTOCK_PARTITION_PROBLEM_H

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace penstock::partition {

/// The producer of the model's inputs.
constexpr int kSource = -1;
/// "No limit", for memory.
constexpr int64_t kUnlimited = std::numeric_limits<int64_t>::max();

/// For Problem::slotsPerSentValue and slotsPerReceivedValue: as many slots as the value is on its way for, but at most
/// Problem::maxDepth. From stage i to stage j that is j - i + 1; the sink counts as the stage after the last, the
/// source as the one before the first.
constexpr int kSlotsByDepth = -1;

/// One kernel: what it costs to run and to keep.
struct Kernel {
  std::string name;
  /// Seconds per microbatch on each device class, in the order of Problem::deviceClasses.
  std::vector<double> seconds;
  /// Weights that it reads; a stage holds each distinct weight once.
  std::vector<int> weights;
  /// Bytes kept as long as the stage lives, beside weights (states, tables). Summed over the kernels of a stage.
  int64_t residentBytes = 0;
  /// Bytes needed only while it runs (workspace, and the activations alive then). The stage needs the largest.
  int64_t workspaceBytes = 0;
  /// Cheap enough to be repeated in each stage that reads its results instead of being sent. Each copy costs `seconds`,
  /// and needs the kernel's operands in its stage. A cloneable kernel that is pinned, colocated, named by a cut, read
  /// by nobody or has a result that is an output of the model is placed like any other; so are all of them when there
  /// would be fewer units to place than stages.
  bool cloneable = false;
};

/// A weight, perhaps shared by several kernels (tied).
struct Weight {
  std::string name;
  int64_t numBytes = 0;
};

/// What one kernel, or the source, makes.
struct Value {
  std::string name;
  int producer = kSource;
  std::vector<int> consumers; ///< kernels; duplicates count once
  bool isOutput = false;      ///< also read by the sink
  int64_t numBytes = 0;
};

/// What it takes to move a message: latency + bytes / bandwidth. The default costs nothing.
struct Link {
  double latencySeconds = 0;
  double bytesPerSecond = std::numeric_limits<double>::infinity();
  /// All values that cross the boundary share this link, also those that only pass over it on their way between stages
  /// further off (a network between two hosts). Then the link itself is a possible bottleneck.
  bool isShared = false;
};

/// What a stage runs on.
struct Device {
  std::string name;
  int deviceClass = 0;
  int64_t memoryLimitBytes = kUnlimited;
  int64_t reservedBytes = 0; ///< of that, whatever the stage does: what the runtime needs
};

/// The kernel runs in this stage.
struct Pin {
  int kernel = 0;
  int stage = 0;
};

/// A boundary asked for by a person: all of `before`, with their ancestors, come at or before it; all of `after`, with
/// their descendants, come after it. To cut at tensor T: before = {producer of T}, after = consumers of T. Several cuts
/// must be nested (the ancestors of one contain those of the other) and may be given in any order.
struct Cut {
  std::string name;
  std::vector<int> before;
  std::vector<int> after;
  /// The boundary's number. Absent: the solver chooses, except that N-1 cuts of N stages are taken one for one.
  std::optional<int> boundary;
};

/// Kernels that must share a stage (readers and writers of a state).
struct Colocation {
  std::string name;
  std::vector<int> kernels;
};

/// What is to be balanced.
enum class Balance {
  Time,    ///< least bottleneck role time
  Params,  ///< least largest bytes of weights
  Memory,  ///< least largest stage memory
  Uniform, ///< least largest number of kernels, clones counted
};

/// See the top of the file, and docs/Partition.md for the formulas.
struct Problem {
  std::vector<std::string> deviceClasses = {"cpu"};
  /// Where the kernels' seconds come from: the least certain tier among them (CostModel.h). For reports only.
  std::string costTier = "analytic";
  std::vector<Kernel> kernels;
  std::vector<Weight> weights;
  std::vector<Value> values;

  /// One device per stage, in order; their number is the number of stages.
  std::vector<Device> stages;
  /// One link per boundary, stages.size() - 1; or empty: all free.
  std::vector<Link> links;
  Link sourceLink; ///< charged to each stage that reads an input of the model
  Link sinkLink;   ///< charged to the stage that makes an output of the model

  /// Slots that the sending stage keeps for each value it sends: a number, or kSlotsByDepth.
  int slotsPerSentValue = kSlotsByDepth;
  /// Slots that a receiving stage keeps, or has mapped, for each value it receives: a number, or kSlotsByDepth; 0 where
  /// the sender's memory is read in place and counts there alone.
  int slotsPerReceivedValue = 0;
  /// Most slots where they go by depth; 0: no limit.
  int maxDepth = 0;

  std::vector<Pin> pins;
  std::vector<Cut> cuts;
  std::vector<Colocation> colocations;

  Balance balance = Balance::Time;
  /// Role time is max(compute, send, receive) when true, their sum when false.
  bool isOverlapped = true;

  int numStages() const { return static_cast<int>(stages.size()); }
  /// Slots of a value on its way for `depth` stages, source and sink included.
  int slotsByDepth(int depth) const { return maxDepth > 0 && maxDepth < depth ? maxDepth : depth; }

  /// Everything that is wrong with the data, in words; empty if a solver may take it.
  std::vector<std::string> check() const;
};

/// A further copy of a cloneable kernel; the first copy is its owner and stands in Plan::stageOf.
struct Clone {
  int kernel = 0;
  int stage = 0;
};

/// One value that leaves its stage (or comes from the source, or goes to the sink).
struct ChannelUse {
  int value = 0;
  int from = kSource;  ///< stage, or kSource
  std::vector<int> to; ///< reading stages, ascending; none when only the sink reads it
  bool toSink = false;
};

/// What one stage does and needs, per microbatch.
struct StageCost {
  std::vector<int> kernels; ///< owned, ascending
  std::vector<int> clones;  ///< further copies held here, ascending
  double computeSeconds = 0, sendSeconds = 0, recvSeconds = 0;
  /// What Problem::balance compares: seconds, bytes or a number of kernels.
  double cost = 0;
  int64_t sendBytes = 0, recvBytes = 0; ///< to the sink and from the source included
  int64_t weightBytes = 0, residentBytes = 0, workspaceBytes = 0, slotBytes = 0;
  int64_t memoryBytes = 0; ///< the sum of the four, and what the device reserves
};

/// How a plan was found.
enum class Method {
  Exact,    ///< all plans considered (or excluded by proof)
  Absorbed, ///< all plans that keep deferrable kernels beside their neighbour
  Beam,     ///< a beam of plans, improved by moves
};

/// The answer, with its certificate.
struct Plan {
  std::vector<int> stageOf; ///< owner stage of each kernel
  std::vector<Clone> clones;
  std::vector<StageCost> stages;
  std::vector<double> linkSeconds; ///< per boundary; 0 for a link that is not shared
  std::vector<ChannelUse> channels;

  double bottleneck = 0; ///< largest stage cost or link time
  int bottleneckStage = 0;
  /// No plan that obeys the constraints costs less than this.
  double lowerBound = 0;
  double gap = 0; ///< bottleneck / lowerBound - 1
  bool isProvedOptimal = false;
  Method method = Method::Exact;
  int64_t trafficBytes = 0; ///< received by all stages together, from the source too

  /// What the search looked at; the same on every machine.
  int64_t numDownsets = 0, numPairs = 0;
};

/// Recomputes every figure of `plan` from `problem` and compares; checks each constraint. Knows no solver. Returns what
/// is wrong, empty if nothing. Optimality itself is not rechecked, only that the claim agrees with the bound.
std::vector<std::string> verify(const Problem &problem, const Plan &plan);

/// Fills every figure of a plan from `plan.stageOf` and `plan.clones` alone (certificate left as it is). Needs a
/// problem that passes check() and a stage in range for each kernel.
void evaluate(const Problem &problem, Plan &plan);

const char *toString(Method method);
const char *toString(Balance balance);

} // namespace penstock::partition

#endif // PENSTOCK_PARTITION_PROBLEM_H
