//===- Plan.h - plan.json as the runtime reads it ----------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The part of an output folder's plan that running it needs: symbols, inputs, outputs, stages, channels. The file is
// not trusted: every field is checked for type and range before it is used, and errors name file and field. Unknown
// fields are skipped. docs/runtime/Runtime.md has the schema.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_PLAN_H
#define PENSTOCK_RT_PLAN_H

#include "penstock/rt/Identity.h"
#include "penstock/rt/Status.h"
#include "penstock/rt/Transport.h"

#include <memory>

namespace penstock {
namespace rt {

/// The version of plan.json's schema that this runtime reads.
constexpr int64_t kPlanSchema = 1;

/// An extent: a number, a symbol, or an operation on two extents.
struct Expr {
  enum Kind { kNumber, kSymbol, kAdd, kSub, kMul, kFloorDiv, kCeilDiv, kMod, kMin, kMax } kind = kNumber;
  int64_t value = 0; ///< of a number; index of a symbol
  std::shared_ptr<const Expr> left, right;

  bool isNumber() const { return kind == kNumber; }
  bool isSymbol() const { return kind == kSymbol; }
  /// False on overflow and on division by zero.
  bool evaluate(const std::vector<int64_t> &symbols, int64_t &result) const;
  std::string toString(const std::vector<std::string> &names) const;
};

struct PlanSymbol {
  std::string name;
  int64_t lower = 0, upper = -1, typical = -1; ///< -1: not given
  bool isData = false;                         ///< found by a kernel, not bound by the inputs' shapes
};

/// An input or output of the model.
struct PlanTensor {
  std::string name;
  int32_t dtype = RT_F32;
  std::vector<Expr> dims;
  int32_t batchAxis = -1;        ///< the axis along which requests are cut into microbatches; -1: given whole to each
  std::vector<int32_t> channels; ///< from the source, or to the sink
};

/// One kernel call of a stage.
struct PlanStep {
  std::string name, kernel;    ///< of the ONNX node; of the function, which is named by its content
  std::string tensor, cloneOf; ///< that it makes; the kernel of which it is a copy; each empty: none
};

/// One line of a stage's program.
struct PlanItem {
  enum Kind { kReceive, kRun, kSend } kind = kRun;
  int32_t channel = -1;     ///< of a receive or send
  int32_t stage = 0;        ///< of a run
  int64_t microbatch = 0;   ///< absolute in the prologue, relative to the round elsewhere
  std::string tensor, type; ///< of a receive or send, as the stage has them
};

/// What a stage does for any number of microbatches (see penstock/Schedule/Algorithms.h), for the proof. Stages
/// themselves run the code that was made of it.
struct PlanProgram {
  int64_t base = 0, round = 1;
  std::vector<PlanItem> prologue, steady, epilogue;
};

struct PlanStage {
  std::string name, executable, weights;
  int32_t numThreads = 1;
  double predictedMs = -1;
  std::vector<PlanStep> steps; ///< empty: not given
  PlanProgram program;
};

/// Two extents that a request's shapes must agree in.
struct PlanConstraint {
  enum Relation { kEqual, kLessEqual } relation = kEqual;
  Expr left, right;
  std::string what; ///< for the message
};

struct Plan {
  std::string folder, model;
  Identity identity; ///< what every executable of the folder says of itself too
  std::vector<PlanSymbol> symbols;
  std::vector<PlanTensor> inputs, outputs;
  std::vector<PlanStage> stages;
  std::vector<ChannelDesc> channels;     ///< as the host has them: slots of what NCCL carries are for headers
  std::vector<std::string> channelTypes; ///< as text, with the names of symbols; by channel
  std::vector<std::string> kernels;      ///< names of the model's kernels, without clones
  std::vector<PlanConstraint> constraints;
  // How a request is cut. rows 0: not at all. A symbol: its value in one microbatch is `rows`, less in the last one. No
  // symbol: the batch is static, and a request is a multiple of it.
  int64_t microbatchRows = 0;
  int32_t batchSymbol = -1;

  /// Reads and checks DIR/plan.json. Every failure is kInvalid.
  static Status load(const std::string &folder, Plan &plan);
  /// The same from a text; `path` is for messages.
  static Status parse(const std::string &text, const std::string &path, Plan &plan);
  std::vector<std::string> symbolNames() const;
};

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_PLAN_H
