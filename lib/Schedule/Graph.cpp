//===- Graph.cpp - The marked graph of a schedule -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Graph.h"

using namespace penstock::schedule;

std::vector<Event> penstock::schedule::eventsOf(const Problem &problem, const Step &step) {
  if (step.kind == Step::Kind::kReceive)
    return {{Event::Kind::kWait, step.stage, step.channel, step.microbatch, 0}};
  if (step.kind == Step::Kind::kSend)
    return {{Event::Kind::kPublish, step.stage, step.channel, step.microbatch, 0}};
  std::vector<Event> events;
  int32_t numChannels = static_cast<int32_t>(problem.channels.size());
  for (int32_t c = 0; c < numChannels; ++c)
    if (problem.channels[c].producer == step.stage)
      events.push_back({Event::Kind::kAcquire, step.stage, c, step.microbatch, 0});
  int64_t timeNs = step.stage == kSource ? problem.sourceNs
                   : step.stage == kSink ? problem.sinkNs
                                         : problem.stages[step.stage].timeNs;
  events.push_back({Event::Kind::kRun, step.stage, -1, step.microbatch, timeNs});
  for (int32_t c = 0; c < numChannels; ++c)
    for (int32_t consumer : problem.channels[c].consumers)
      if (consumer == step.stage)
        events.push_back({Event::Kind::kRelease, step.stage, c, step.microbatch, 0});
  return events;
}

Program penstock::schedule::hostProgram(const Problem &problem, int32_t pseudoStage) {
  Program program;
  program.role = pseudoStage;
  int32_t numChannels = static_cast<int32_t>(problem.channels.size());
  auto step = [&](Step::Kind kind, int32_t channel) {
    Step result;
    result.kind = kind;
    result.stage = pseudoStage;
    result.channel = channel;
    program.steady.push_back(result);
  };
  for (int32_t c = 0; c < numChannels; ++c)
    for (int32_t consumer : problem.channels[c].consumers)
      if (consumer == pseudoStage)
        step(Step::Kind::kReceive, c);
  step(Step::Kind::kRun, -1);
  for (int32_t c = 0; c < numChannels; ++c)
    if (problem.channels[c].producer == pseudoStage)
      step(Step::Kind::kSend, c);
  return program;
}

namespace {
/// Builds the graph. Rounds of all programs count the same number of microbatches: the least common multiple of their
/// periods, reached by listing a steady part several times.
class Builder {
public:
  Builder(const Problem &problem, bool limitDepths) : problem(problem), limitDepths(limitDepths) {}

  Graph build(const Schedule &schedule) {
    std::vector<Program> programs = schedule.programs;
    programs.push_back(hostProgram(problem, kSource));
    programs.push_back(hostProgram(problem, kSink));
    for (const Program &program : programs)
      round = leastCommonMultiple(round, program.period);
    for (const Program &program : programs)
      addProgram(program);
    for (int32_t c = 0; c < static_cast<int32_t>(problem.channels.size()); ++c)
      addChannel(c);
    if (problem.maxInFlight > 0)
      connect(find(Event::Kind::kRun, kSink, -1), find(Event::Kind::kRun, kSource, -1), problem.maxInFlight,
              Edge::Kind::kInFlight, problem.sinkNs);
    return std::move(graph);
  }

private:
  static int64_t leastCommonMultiple(int64_t a, int64_t b) {
    int64_t x = a, y = b;
    while (y != 0) {
      int64_t rest = x % y;
      x = y;
      y = rest;
    }
    return a / x * b;
  }

  void addEdge(Edge::Kind kind, int32_t from, int32_t to, int64_t tokens, int64_t timeNs) {
    graph.edges.push_back({kind, from, to, tokens, timeNs});
  }

  /// The steady part begins at firstBase, which need not be a multiple of the period.
  void addProgram(const Program &program) {
    int32_t first = static_cast<int32_t>(graph.events.size());
    int64_t begin = program.firstBase % program.period;
    for (int64_t base = begin; base < begin + round; base += program.period)
      for (const Step &step : program.steady)
        for (Event event : eventsOf(problem, step)) {
          event.microbatch += base;
          graph.events.push_back(event);
        }
    int32_t end = static_cast<int32_t>(graph.events.size());
    for (int32_t at = first; at < end; ++at) {
      bool wraps = at + 1 == end;
      addEdge(Edge::Kind::kProgram, at, wraps ? first : at + 1, wraps ? 1 : 0, graph.events[at].timeNs);
    }
  }

  std::vector<int32_t> find(Event::Kind kind, int32_t stage, int32_t channel) const {
    std::vector<int32_t> found;
    for (size_t i = 0; i < graph.events.size(); ++i) {
      const Event &event = graph.events[i];
      if (event.kind == kind && event.stage == stage && event.channel == channel)
        found.push_back(static_cast<int32_t>(i));
    }
    return found;
  }

  /// The event of `to` for microbatch m waits for the event of `from` for microbatch m - shift.
  void connect(const std::vector<int32_t> &from, const std::vector<int32_t> &to, int64_t shift, Edge::Kind kind,
               int64_t timeNs) {
    for (int32_t v : to)
      for (int32_t u : from) {
        int64_t microbatches = graph.events[u].microbatch - (graph.events[v].microbatch - shift);
        if (microbatches % round == 0)
          addEdge(kind, u, v, microbatches / round, timeNs);
      }
  }

  void addChannel(int32_t index) {
    const Channel &channel = problem.channels[index];
    std::vector<int32_t> publishes = find(Event::Kind::kPublish, channel.producer, index);
    std::vector<int32_t> acquires = find(Event::Kind::kAcquire, channel.producer, index);
    for (int32_t consumer : channel.consumers) {
      std::vector<int32_t> waits = find(Event::Kind::kWait, consumer, index);
      if (channel.transferNs == 0) {
        connect(publishes, waits, channel.delay, Edge::Kind::kData, channel.latencyNs);
      } else {
        std::vector<int32_t> transfers = addTransfers(index, consumer, publishes);
        connect(publishes, transfers, 0, Edge::Kind::kData, 0);
        connect(transfers, transfers, 1, Edge::Kind::kLink, channel.transferNs);
        connect(transfers, waits, channel.delay, Edge::Kind::kData, channel.transferNs + channel.latencyNs);
      }
      if (limitDepths)
        connect(find(Event::Kind::kRelease, consumer, index), acquires, depthOf(problem, index), Edge::Kind::kSlot, 0);
    }
  }

  /// One message after the other over the link to one consumer.
  std::vector<int32_t> addTransfers(int32_t index, int32_t consumer, const std::vector<int32_t> &publishes) {
    std::vector<int32_t> transfers;
    for (int32_t publish : publishes) {
      transfers.push_back(static_cast<int32_t>(graph.events.size()));
      graph.events.push_back({Event::Kind::kTransfer, consumer, index, graph.events[publish].microbatch,
                              problem.channels[index].transferNs});
    }
    return transfers;
  }

  const Problem &problem;
  bool limitDepths;
  int64_t round = 1;
  Graph graph;
};
} // namespace

Graph penstock::schedule::makeGraph(const Problem &problem, const Schedule &schedule, bool limitDepths) {
  return Builder(problem, limitDepths).build(schedule);
}
