//===- Simulate.cpp - Running programs with predicted times -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Every role is a list of events with a position and a clock. A role goes on while its next event can happen, which
// depends on counts of messages only; when no role can go on, the run has ended or is stuck.
//
//===----------------------------------------------------------------------===//

#include "Graph.h"
#include "penstock/Schedule/Timeline.h"

#include <algorithm>
#include <tuple>

using namespace penstock::schedule;

namespace {
/// The events of one role and how far it has come.
struct Role {
  std::vector<Event> events;
  size_t next = 0;
  int64_t clockNs = 0;
};

/// When each message of a channel could be read, by consumer, and when each was released.
struct Queue {
  struct Reader {
    int32_t stage = 0;
    std::vector<int64_t> readableNs, releasedNs; ///< by message
    std::vector<int64_t> microbatches;           ///< which microbatch sent each message; -1: there from the start
    size_t numTaken = 0;
    int64_t linkFreeNs = 0;
  };
  std::vector<Reader> readers;
  size_t numAcquired = 0;
};

class Simulation {
public:
  Simulation(const Problem &problem, const Schedule &schedule, int64_t numMicrobatches, Timeline &timeline)
      : problem(problem), numMicrobatches(numMicrobatches), timeline(timeline) {
    for (const Program &program : schedule.programs)
      addRole(program);
    addRole(hostProgram(problem, kSource));
    addRole(hostProgram(problem, kSink));
    for (const Channel &channel : problem.channels) {
      queues.emplace_back();
      for (int32_t consumer : channel.consumers) {
        Queue::Reader reader;
        reader.stage = consumer;
        reader.readableNs.assign(channel.delay, 0);
        reader.microbatches.assign(channel.delay, -1);
        queues.back().readers.push_back(reader);
      }
    }
  }

  bool run(std::string &error) {
    for (bool moved = true; moved && fault.empty();) {
      moved = false;
      for (Role &role : roles)
        while (role.next < role.events.size() && fault.empty() && advance(role, role.events[role.next])) {
          ++role.next;
          moved = true;
        }
    }
    error = fault;
    for (const Role &role : roles)
      if (fault.empty() && role.next < role.events.size())
        error += (error.empty() ? "stuck: " : "; ") + whatWaits(role.events[role.next]);
    return error.empty();
  }

private:
  void addRole(const Program &program) {
    Role role;
    for (const Step &step : expand(program, numMicrobatches))
      for (const Event &event : eventsOf(problem, step))
        role.events.push_back(event);
    roles.push_back(std::move(role));
  }

  Queue::Reader &readerOf(const Event &event) {
    std::vector<Queue::Reader> &readers = queues[event.channel].readers;
    return *std::find_if(readers.begin(), readers.end(),
                         [&](const Queue::Reader &reader) { return reader.stage == event.stage; });
  }

  bool advance(Role &role, const Event &event) {
    switch (event.kind) {
    case Event::Kind::kWait:
      return wait(role, event);
    case Event::Kind::kAcquire:
      return acquire(role, event);
    case Event::Kind::kRun:
      return runStage(role, event);
    case Event::Kind::kPublish:
      publish(role, event);
      return true;
    case Event::Kind::kRelease:
      readerOf(event).releasedNs.push_back(role.clockNs);
      return true;
    case Event::Kind::kTransfer:
      break; // only in the graph
    }
    return true;
  }

  bool wait(Role &role, const Event &event) {
    Queue::Reader &reader = readerOf(event);
    if (reader.numTaken == reader.readableNs.size())
      return false;
    size_t message = reader.numTaken++;
    int64_t expected = event.microbatch - problem.channels[event.channel].delay;
    if (reader.microbatches[message] != std::max<int64_t>(expected, -1))
      fault = stageName(problem, event.stage) + " needs " + channelName(problem, event.channel) + " of microbatch " +
              std::to_string(expected) + " and gets that of microbatch " + std::to_string(reader.microbatches[message]);
    block(role, event, Span::Kind::kWait, reader.readableNs[message]);
    return true;
  }

  bool acquire(Role &role, const Event &event) {
    Queue &queue = queues[event.channel];
    size_t depth = static_cast<size_t>(depthOf(problem, event.channel));
    int64_t freeNs = 0;
    if (queue.numAcquired >= depth)
      for (const Queue::Reader &reader : queue.readers) {
        // The slot of the message `depth` before this one; those that were there from the start have slots of their
        // own.
        size_t needed = queue.numAcquired - depth;
        if (reader.releasedNs.size() <= needed)
          return false;
        freeNs = std::max(freeNs, reader.releasedNs[needed]);
      }
    ++queue.numAcquired;
    block(role, event, Span::Kind::kSend, freeNs);
    return true;
  }

  void publish(Role &role, const Event &event) {
    const Channel &channel = problem.channels[event.channel];
    for (Queue::Reader &reader : queues[event.channel].readers) {
      int64_t beginNs = std::max(role.clockNs, reader.linkFreeNs);
      reader.linkFreeNs = beginNs + channel.transferNs;
      reader.readableNs.push_back(reader.linkFreeNs + channel.latencyNs);
      reader.microbatches.push_back(event.microbatch);
    }
  }

  bool runStage(Role &role, const Event &event) {
    if (event.stage == kSource && problem.maxInFlight > 0 && event.microbatch >= problem.maxInFlight) {
      size_t needed = static_cast<size_t>(event.microbatch - problem.maxInFlight);
      if (timeline.resultNs.size() <= needed)
        return false;
      role.clockNs = std::max(role.clockNs, timeline.resultNs[needed]);
    }
    int64_t startNs = role.clockNs;
    role.clockNs += event.timeNs;
    if (event.stage == kSink)
      timeline.resultNs.push_back(role.clockNs);
    if (event.stage >= 0)
      timeline.spans.push_back({Span::Kind::kRun, event.stage, event.microbatch, -1, startNs, role.clockNs});
    return true;
  }

  void block(Role &role, const Event &event, Span::Kind kind, int64_t untilNs) {
    if (untilNs <= role.clockNs)
      return;
    if (event.stage >= 0)
      timeline.spans.push_back({kind, event.stage, event.microbatch, event.channel, role.clockNs, untilNs});
    role.clockNs = untilNs;
  }

  std::string whatWaits(const Event &event) const {
    std::string text = stageName(problem, event.stage) + ", microbatch " + std::to_string(event.microbatch);
    if (event.kind == Event::Kind::kWait)
      return text + ", waits for " + channelName(problem, event.channel) + " from " +
             stageName(problem, problem.channels[event.channel].producer);
    if (event.kind == Event::Kind::kAcquire)
      return text + ", waits for a free slot of " + channelName(problem, event.channel) + ", depth " +
             std::to_string(depthOf(problem, event.channel));
    return text + ", waits for a result";
  }

  const Problem &problem;
  int64_t numMicrobatches;
  Timeline &timeline;
  std::vector<Role> roles;
  std::vector<Queue> queues;
  std::string fault;
};

/// Sums over the spans, and the bounds of the phases.
void summarize(const Problem &problem, Timeline &timeline) {
  size_t numStages = problem.stages.size();
  std::vector<int64_t> firstRun(numStages, -1), lastRun(numStages, 0);
  timeline.stages.assign(numStages, {});
  for (const Span &span : timeline.spans) {
    timeline.endNs = std::max(timeline.endNs, span.endNs);
    if (span.kind != Span::Kind::kRun)
      continue;
    timeline.stages[span.stage].busyNs += span.endNs - span.startNs;
    if (firstRun[span.stage] < 0)
      firstRun[span.stage] = span.startNs;
    lastRun[span.stage] = span.endNs;
  }
  for (const Span &span : timeline.spans)
    if (span.kind != Span::Kind::kRun && span.startNs >= firstRun[span.stage])
      timeline.stages[span.stage].waitNs += span.endNs - span.startNs;
  if (!timeline.resultNs.empty())
    timeline.endNs = std::max(timeline.endNs, timeline.resultNs.back());
  if (timeline.spans.empty())
    return;
  timeline.fillEndNs = *std::max_element(firstRun.begin(), firstRun.end());
  timeline.drainBeginNs = std::max(timeline.fillEndNs, *std::min_element(lastRun.begin(), lastRun.end()));
  int64_t busyNs = 0;
  for (const StageTimes &stage : timeline.stages)
    busyNs += stage.busyNs;
  if (timeline.endNs > 0)
    timeline.bubble = 1 - static_cast<double>(busyNs) / (static_cast<double>(timeline.endNs) * numRoles(problem));
}
} // namespace

bool penstock::schedule::simulate(const Problem &problem, const Schedule &schedule, int64_t numMicrobatches,
                                  Timeline &timeline, std::string &error) {
  Timeline result;
  result.numMicrobatches = numMicrobatches;
  if (!Simulation(problem, schedule, numMicrobatches, result).run(error))
    return false;
  std::sort(result.spans.begin(), result.spans.end(), [](const Span &a, const Span &b) {
    auto keyOf = [](const Span &s) {
      return std::make_tuple(s.stage, s.startNs, s.endNs, s.microbatch, s.kind == Span::Kind::kRun);
    };
    return keyOf(a) < keyOf(b);
  });
  summarize(problem, result);
  timeline = std::move(result);
  return true;
}
