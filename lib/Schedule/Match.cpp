//===- Match.cpp - Every send has its receives -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Graph.h"

#include <algorithm>
#include <map>

using namespace penstock::schedule;

namespace {
using Faults = std::vector<std::string>;

/// "stage 1 receives channel 'c0' ('relu_3') from stage 0", "stage 0 sends channel 'c0' ('relu_3') to stage 1 and
/// sink".
std::string describe(const Problem &problem, const Step &step) {
  std::string text = stageName(problem, step.stage);
  if (step.kind == Step::Kind::kRun)
    return text + " runs";
  const Channel &channel = problem.channels[step.channel];
  if (step.kind == Step::Kind::kReceive)
    return text + " receives " + channelName(problem, step.channel) + " from " + stageName(problem, channel.producer);
  text += " sends " + channelName(problem, step.channel);
  for (size_t i = 0; i < channel.consumers.size(); ++i)
    text += (i == 0 ? " to " : " and ") + stageName(problem, channel.consumers[i]);
  return text;
}

/// What can be said of the programs without following them.
class Structure {
public:
  Structure(const Problem &problem, const Schedule &schedule) : problem(problem), schedule(schedule) {}

  Faults check() {
    std::vector<int32_t> numPrograms(numRoles(problem), 0);
    int64_t longest = 1;
    for (const Program &program : schedule.programs) {
      if (program.role < 0 || program.role >= numRoles(problem)) {
        faults.push_back("there is a program for role " + std::to_string(program.role) + "; the roles are 0 to " +
                         std::to_string(numRoles(problem) - 1));
        continue;
      }
      ++numPrograms[program.role];
      longest = std::max(longest, program.period);
      checkProgram(program);
    }
    for (size_t role = 0; role < numPrograms.size(); ++role)
      if (numPrograms[role] != 1)
        faults.push_back("role " + std::to_string(role) + " has " + std::to_string(numPrograms[role]) +
                         " programs; expected one");
    for (const Program &program : schedule.programs)
      if (faults.empty() && longest % program.period != 0)
        faults.push_back("the program of role " + std::to_string(program.role) + " has period " +
                         std::to_string(program.period) + "; expected a divisor of the longest period " +
                         std::to_string(longest));
    return std::move(faults);
  }

private:
  void checkProgram(const Program &program) {
    std::string name = "the program of role " + std::to_string(program.role);
    if (program.period < 1 || program.period > kMaxPeriod)
      faults.push_back(name + " has period " + std::to_string(program.period) + "; expected 1 to " +
                       std::to_string(kMaxPeriod));
    if (program.firstBase < 0 || program.firstBase > kMaxPeriod)
      faults.push_back(name + " begins its steady part at microbatch " + std::to_string(program.firstBase) +
                       "; expected 0 to " + std::to_string(kMaxPeriod));
    for (const std::vector<Step> *part : {&program.prologue, &program.steady, &program.epilogue})
      for (const Step &step : *part)
        checkStep(program, step);
    for (const Step &step : program.steady)
      if (step.microbatch + program.firstBase < 0 || step.microbatch >= program.period)
        faults.push_back(name + " has microbatch " + std::to_string(step.microbatch) +
                         " in its steady part; expected " + std::to_string(-program.firstBase) + " to " +
                         std::to_string(program.period - 1));
  }

  void checkStep(const Program &program, const Step &step) {
    std::string name = "the program of role " + std::to_string(program.role);
    if (step.stage < 0 || step.stage >= static_cast<int32_t>(problem.stages.size())) {
      faults.push_back(name + " names stage " + std::to_string(step.stage) + "; the stages are 0 to " +
                       std::to_string(problem.stages.size() - 1));
      return;
    }
    if (problem.stages[step.stage].role != program.role)
      faults.push_back(name + " has a step of " + stageName(problem, step.stage) + ", which belongs to role " +
                       std::to_string(problem.stages[step.stage].role));
    if (step.kind != Step::Kind::kRun)
      checkMessage(step);
  }

  void checkMessage(const Step &step) {
    bool receives = step.kind == Step::Kind::kReceive;
    if (step.channel < 0 || step.channel >= static_cast<int32_t>(problem.channels.size())) {
      faults.push_back(stageName(problem, step.stage) + (receives ? " receives" : " sends") + " on channel " +
                       std::to_string(step.channel) + ", which does not exist");
      return;
    }
    const Channel &channel = problem.channels[step.channel];
    std::string what = describe(problem, step);
    if (!receives && channel.producer != step.stage)
      faults.push_back(what + ", but its producer is " + stageName(problem, channel.producer));
    if (receives && std::count(channel.consumers.begin(), channel.consumers.end(), step.stage) == 0)
      faults.push_back(what + ", but is not among its consumers");
    if (!step.tensor.empty() && step.tensor != channel.tensor)
      faults.push_back(what + " as tensor '" + step.tensor + "'; the channel carries '" + channel.tensor + "'");
    if (!step.type.empty() && step.type != channel.type)
      faults.push_back(what + " as " + step.type + "; the channel carries " + channel.type);
  }

  const Problem &problem;
  const Schedule &schedule;
  Faults faults;
};

/// Follows one program for a number of microbatches.
class Follower {
public:
  Follower(const Problem &problem, const Program &program, int64_t numMicrobatches, Faults &faults)
      : problem(problem), program(program), numMicrobatches(numMicrobatches), faults(faults) {}

  void follow() {
    forEachStep(program, numMicrobatches, [&](const Step &step, int64_t microbatch) { visit(step, microbatch); });
    for (size_t i = 0; i < problem.stages.size(); ++i)
      if (problem.stages[i].role == program.role)
        checkEnd(static_cast<int32_t>(i));
  }

private:
  std::string ofAll() const { return " (of " + std::to_string(numMicrobatches) + ")"; }

  void visit(const Step &step, int64_t microbatch) {
    if (step.kind == Step::Kind::kRun)
      return visitRun(step, microbatch);
    bool receives = step.kind == Step::Kind::kReceive;
    count(receives ? numReceived[{step.stage, step.channel}] : numSent[step.channel], step, microbatch);
    if (!receives && microbatch >= numRun[step.stage])
      faults.push_back(describe(problem, step) + " for microbatch " + std::to_string(microbatch) +
                       " before it has run it" + ofAll());
  }

  void visitRun(const Step &step, int64_t microbatch) {
    for (size_t c = 0; c < problem.channels.size(); ++c) {
      const std::vector<int32_t> &consumers = problem.channels[c].consumers;
      int32_t channel = static_cast<int32_t>(c);
      if (std::count(consumers.begin(), consumers.end(), step.stage) > 0 &&
          numReceived[{step.stage, channel}] <= microbatch)
        faults.push_back(stageName(problem, step.stage) + " runs microbatch " + std::to_string(microbatch) +
                         " before it has received " + channelName(problem, channel) + " from " +
                         stageName(problem, problem.channels[c].producer) + ofAll());
    }
    count(numRun[step.stage], step, microbatch);
  }

  /// Microbatches come in order, each once.
  void count(int64_t &next, const Step &step, int64_t microbatch) {
    std::string what = " for microbatch " + std::to_string(microbatch);
    if (microbatch < next)
      faults.push_back(describe(problem, step) + what + " a second time" + ofAll());
    else if (microbatch > next)
      faults.push_back(describe(problem, step) + what + " where " + std::to_string(next) + " is next" + ofAll());
    next = std::max(next, microbatch + 1);
  }

  void checkEnd(int32_t stage) {
    auto missing = [&](int64_t next, const std::string &what) {
      if (next < numMicrobatches)
        faults.push_back(what + " for microbatch " + std::to_string(next) + ofAll());
    };
    std::string name = stageName(problem, stage);
    missing(numRun[stage], name + " does not run");
    for (size_t c = 0; c < problem.channels.size(); ++c) {
      const Channel &channel = problem.channels[c];
      int32_t index = static_cast<int32_t>(c);
      if (channel.producer == stage)
        missing(numSent[index], name + " does not send " + channelName(problem, index) + ", which " +
                                    stageName(problem, channel.consumers.front()) + " waits for,");
      if (std::count(channel.consumers.begin(), channel.consumers.end(), stage) > 0)
        missing(numReceived[{stage, index}], name + " does not receive " + channelName(problem, index) + " from " +
                                                 stageName(problem, channel.producer));
    }
  }

  const Problem &problem;
  const Program &program;
  int64_t numMicrobatches;
  Faults &faults;
  std::map<int32_t, int64_t> numRun, numSent;
  std::map<std::pair<int32_t, int32_t>, int64_t> numReceived;
};
/// A program for any number of microbatches is the endless run of its steady part, from which the steps of microbatches
/// that do not exist are left out. So every order that the graph of the steady part proves holds for all of them: a
/// prologue or epilogue in an order of its own could wait where the steady part does not.
class CutOff {
public:
  CutOff(const Problem &problem, const Program &program, int64_t numMicrobatches)
      : problem(problem), program(program), numMicrobatches(numMicrobatches) {}

  /// Empty, or what differs first.
  std::string check() {
    std::vector<Item> wanted, found;
    int64_t period = program.period, first = program.firstBase % period - period;
    for (int64_t base = first; base < numMicrobatches + program.firstBase; base += period)
      for (const Step &step : program.steady)
        if (int64_t microbatch = base + step.microbatch; microbatch >= 0 && microbatch < numMicrobatches)
          wanted.push_back({&step, microbatch});
    forEachStep(program, numMicrobatches,
                [&](const Step &step, int64_t microbatch) { found.push_back({&step, microbatch}); });
    size_t at = 0;
    while (at < wanted.size() && at < found.size() && isSame(wanted[at], found[at]))
      ++at;
    if (at == wanted.size() && at == found.size())
      return std::string();
    return "the program of role " + std::to_string(program.role) + " is not its steady part cut off: of " +
           std::to_string(numMicrobatches) + " microbatches, step " + std::to_string(at) + " is '" +
           (at < found.size() ? describeItem(found[at]) : "nothing") + "'; expected '" +
           (at < wanted.size() ? describeItem(wanted[at]) : "nothing") + "'";
  }

private:
  struct Item {
    const Step *step;
    int64_t microbatch;
  };

  static bool isSame(const Item &a, const Item &b) {
    return a.microbatch == b.microbatch && a.step->kind == b.step->kind && a.step->stage == b.step->stage &&
           a.step->channel == b.step->channel;
  }

  std::string describeItem(const Item &item) const {
    return describe(problem, *item.step) + " microbatch " + std::to_string(item.microbatch);
  }

  const Problem &problem;
  const Program &program;
  int64_t numMicrobatches;
};
} // namespace

std::vector<std::string> penstock::schedule::match(const Problem &problem, const Schedule &schedule) {
  Faults faults = Structure(problem, schedule).check();
  if (!faults.empty())
    return faults;
  int64_t most = 0;
  for (const Program &program : schedule.programs)
    most = std::max(most, program.firstBase + 3 * program.period);
  for (int64_t numMicrobatches = 0; numMicrobatches <= most && faults.empty(); ++numMicrobatches)
    for (const Program &program : schedule.programs)
      Follower(problem, program, numMicrobatches, faults).follow();
  for (int64_t numMicrobatches = 0; numMicrobatches <= most && faults.empty(); ++numMicrobatches)
    for (const Program &program : schedule.programs)
      if (std::string fault = CutOff(problem, program, numMicrobatches).check(); !fault.empty())
        faults.push_back(fault);
  return faults;
}
