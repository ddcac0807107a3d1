//===- Prove.cpp - The proof over a folder's programs ------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "penstock/rt/Prove.h"

#include "penstock/Schedule/Algorithms.h"

#include <algorithm>

namespace penstock {
namespace rt {

static_assert(schedule::kSource == RT_STAGE_SOURCE && schedule::kSink == RT_STAGE_SINK,
              "the proof and the runtime number the pseudo-stages alike");

static schedule::Stage stageOf(const PlanStage &from, int32_t number) {
  schedule::Stage stage;
  stage.role = number;
  if (from.predictedMs > 0)
    stage.timeNs = static_cast<int64_t>(std::min(from.predictedMs * 1e6, static_cast<double>(schedule::kMaxTimeNs)));
  for (const PlanStep &step : from.steps)
    stage.kernels.push_back({step.name, step.tensor, step.cloneOf});
  return stage;
}

static schedule::Problem problemOf(const Plan &plan) {
  schedule::Problem problem;
  problem.kernels = plan.kernels;
  for (const PlanStage &stage : plan.stages)
    problem.stages.push_back(stageOf(stage, static_cast<int32_t>(problem.stages.size())));
  for (const ChannelDesc &desc : plan.channels) {
    schedule::Channel channel;
    channel.name = desc.name;
    channel.tensor = desc.tensor;
    channel.type = plan.channelTypes[static_cast<size_t>(desc.id)];
    channel.producer = desc.producerStage;
    channel.consumers = desc.consumerStages;
    channel.depth = desc.depth;
    problem.channels.push_back(channel);
  }
  return problem;
}

/// A receive or a send belongs to the one stage of its role.
static std::vector<schedule::Step> stepsOf(const std::vector<PlanItem> &items, int32_t role) {
  std::vector<schedule::Step> steps;
  for (const PlanItem &item : items) {
    schedule::Step step;
    step.kind = item.kind == PlanItem::kReceive ? schedule::Step::Kind::kReceive
                : item.kind == PlanItem::kSend  ? schedule::Step::Kind::kSend
                                                : schedule::Step::Kind::kRun;
    step.stage = item.kind == PlanItem::kRun ? item.stage : role;
    step.channel = item.channel;
    step.microbatch = item.microbatch;
    step.type = item.type;
    step.tensor = item.tensor;
    steps.push_back(std::move(step));
  }
  return steps;
}

static schedule::Schedule scheduleOf(const Plan &plan) {
  schedule::Schedule schedule;
  for (size_t i = 0; i < plan.stages.size(); ++i) {
    const PlanProgram &from = plan.stages[i].program;
    schedule::Program program;
    program.role = static_cast<int32_t>(i);
    program.period = from.round;
    program.firstBase = from.base;
    program.prologue = stepsOf(from.prologue, program.role);
    program.steady = stepsOf(from.steady, program.role);
    program.epilogue = stepsOf(from.epilogue, program.role);
    schedule.programs.push_back(std::move(program));
  }
  return schedule;
}

Status provePlan(const Plan &plan, PlanProof &proof) {
  schedule::Verdict verdict = schedule::verify(problemOf(plan), scheduleOf(plan));
  if (!verdict.holds()) {
    std::string more = verdict.faults.size() > 1 ? format(" (and %zu more)", verdict.faults.size() - 1) : "";
    return fail(Code::kInvalid, "the plan of '%s' cannot be run: %s%s", plan.folder.c_str(),
                verdict.faults.front().c_str(), more.c_str());
  }
  bool isTimed = true;
  for (const PlanStage &stage : plan.stages)
    isTimed &= stage.predictedMs >= 0;
  proof.periodMs = isTimed ? verdict.proof.period.ns() * 1e-6 : -1;
  proof.limit = isTimed ? verdict.proof.message : std::string();
  return Status();
}

} // namespace rt
} // namespace penstock
