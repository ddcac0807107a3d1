//===- Problem.cpp - Well-formed scheduling problems -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "penstock/Schedule/Problem.h"

#include <algorithm>
#include <cstddef>

using namespace penstock::schedule;

namespace {
bool fail(std::string &error, std::string message) {
  error = std::move(message);
  return false;
}

bool checkTime(const std::string &what, int64_t timeNs, std::string &error) {
  if (timeNs < 0 || timeNs > kMaxTimeNs)
    return fail(error, what + " is " + std::to_string(timeNs) + " ns; expected 0 to " + std::to_string(kMaxTimeNs));
  return true;
}

bool checkStages(const Problem &problem, std::string &error) {
  int32_t numStages = static_cast<int32_t>(problem.stages.size());
  if (numStages == 0)
    return fail(error, "there is no stage");
  std::vector<bool> used;
  for (int32_t i = 0; i < numStages; ++i) {
    const Stage &stage = problem.stages[i];
    if (!checkTime("time of " + stageName(problem, i), stage.timeNs, error))
      return false;
    if (stage.role < 0 || stage.role >= numStages)
      return fail(error, stageName(problem, i) + " has role " + std::to_string(stage.role) + "; expected 0 to " +
                             std::to_string(numStages - 1));
    used.resize(std::max(used.size(), static_cast<size_t>(stage.role) + 1));
    used[stage.role] = true;
  }
  for (size_t role = 0; role < used.size(); ++role)
    if (!used[role])
      return fail(error, "role " + std::to_string(role) + " has no stage; roles are numbered without a gap");
  return true;
}

bool checkEnds(const Problem &problem, int32_t index, std::string &error) {
  int32_t numStages = static_cast<int32_t>(problem.stages.size());
  const Channel &channel = problem.channels[index];
  if (channel.producer != kSource && (channel.producer < 0 || channel.producer >= numStages))
    return fail(error, channelName(problem, index) + " has producer " + std::to_string(channel.producer) +
                           "; expected a stage from 0 to " + std::to_string(numStages - 1) + ", or the source");
  if (channel.consumers.empty())
    return fail(error, channelName(problem, index) + " has no consumer");
  for (size_t i = 0; i < channel.consumers.size(); ++i) {
    int32_t consumer = channel.consumers[i];
    if (consumer != kSink && (consumer < 0 || consumer >= numStages))
      return fail(error, channelName(problem, index) + " has consumer " + std::to_string(consumer) +
                             "; expected a stage from 0 to " + std::to_string(numStages - 1) + ", or the sink");
    if (std::count(channel.consumers.begin(), channel.consumers.begin() + static_cast<std::ptrdiff_t>(i), consumer) > 0)
      return fail(error, channelName(problem, index) + " lists " + stageName(problem, consumer) + " twice");
    if (channel.delay > 0 && (consumer == kSink || channel.producer == kSource))
      return fail(error, channelName(problem, index) + " has delay " + std::to_string(channel.delay) +
                             "; expected 0 on a channel of the source or the sink");
  }
  return true;
}

bool checkChannel(const Problem &problem, int32_t index, std::string &error) {
  constexpr int32_t kMaxSlots = 1 << 20;
  const Channel &channel = problem.channels[index];
  if (!checkEnds(problem, index, error))
    return false;
  if (channel.delay < 0 || channel.delay > kMaxSlots)
    return fail(error, channelName(problem, index) + " has delay " + std::to_string(channel.delay) +
                           "; expected 0 to " + std::to_string(kMaxSlots));
  if (channel.depth < 0 || channel.depth > kMaxSlots)
    return fail(error, channelName(problem, index) + " has depth " + std::to_string(channel.depth) +
                           "; expected 0 (the default) to " + std::to_string(kMaxSlots));
  return checkTime("transfer time of " + channelName(problem, index), channel.transferNs, error) &&
         checkTime("latency of " + channelName(problem, index), channel.latencyNs, error);
}

/// Refuses a cycle of channels without delay, naming the stages on it.
bool checkCycles(const Problem &problem, std::string &error) {
  int32_t numStages = static_cast<int32_t>(problem.stages.size());
  enum : uint8_t { kNew, kOpen, kDone };
  std::vector<uint8_t> state(numStages, kNew);
  std::vector<std::vector<std::pair<int32_t, int32_t>>> out(numStages); // consumer, channel
  for (size_t c = 0; c < problem.channels.size(); ++c)
    if (problem.channels[c].delay == 0 && problem.channels[c].producer >= 0)
      for (int32_t consumer : problem.channels[c].consumers)
        if (consumer >= 0)
          out[problem.channels[c].producer].push_back({consumer, static_cast<int32_t>(c)});
  struct Frame {
    int32_t stage;
    size_t next;
  };
  for (int32_t root = 0; root < numStages; ++root) {
    if (state[root] != kNew)
      continue;
    std::vector<Frame> path{{root, 0}};
    state[root] = kOpen;
    while (!path.empty()) {
      Frame &top = path.back();
      if (top.next == out[top.stage].size()) {
        state[top.stage] = kDone;
        path.pop_back();
        continue;
      }
      int32_t next = out[top.stage][top.next++].first;
      if (state[next] == kNew) {
        state[next] = kOpen;
        path.push_back({next, 0});
      } else if (state[next] == kOpen) {
        auto from = std::find_if(path.begin(), path.end(), [&](const Frame &f) { return f.stage == next; });
        std::string text = "data flows in a cycle without delay: ";
        for (auto at = from; at != path.end(); ++at)
          text += stageName(problem, at->stage) + " -> " + channelName(problem, out[at->stage][at->next - 1].second) +
                  " -> ";
        return fail(error, text + stageName(problem, next));
      }
    }
  }
  return true;
}
} // namespace

bool penstock::schedule::check(const Problem &problem, std::string &error) {
  if (!checkStages(problem, error) || !checkTime("time of the source", problem.sourceNs, error) ||
      !checkTime("time of the sink", problem.sinkNs, error))
    return false;
  if (problem.maxInFlight < 0)
    return fail(error, "at most " + std::to_string(problem.maxInFlight) +
                           " microbatches in flight; expected 1 or more, or 0 for no limit");
  for (size_t c = 0; c < problem.channels.size(); ++c)
    if (!checkChannel(problem, static_cast<int32_t>(c), error))
      return false;
  return checkCycles(problem, error);
}

int32_t penstock::schedule::numRoles(const Problem &problem) {
  int32_t count = 0;
  for (const Stage &stage : problem.stages)
    count = std::max(count, stage.role + 1);
  return count;
}

int32_t penstock::schedule::defaultDepth(const Problem &problem, int32_t index) {
  const Channel &channel = problem.channels[index];
  int32_t depth = channel.delay == 0 ? 2 : 1;
  for (int32_t consumer : channel.consumers) {
    int32_t last = consumer == kSink ? static_cast<int32_t>(problem.stages.size()) : consumer;
    depth = std::max(depth, last - channel.producer + 1); // kSource is -1
  }
  return depth;
}

int32_t penstock::schedule::depthOf(const Problem &problem, int32_t index) {
  int32_t depth = problem.channels[index].depth;
  return depth > 0 ? depth : defaultDepth(problem, index);
}

std::string penstock::schedule::stageName(const Problem &problem, int32_t stage) {
  if (stage == kSource)
    return "source";
  if (stage == kSink)
    return "sink";
  std::string text = "stage " + std::to_string(stage);
  if (stage >= 0 && stage < static_cast<int32_t>(problem.stages.size()) && !problem.stages[stage].name.empty())
    text += " ('" + problem.stages[stage].name + "')";
  return text;
}

std::string penstock::schedule::channelName(const Problem &problem, int32_t index) {
  if (index < 0 || index >= static_cast<int32_t>(problem.channels.size()))
    return "channel " + std::to_string(index);
  const Channel &channel = problem.channels[index];
  std::string text = channel.name.empty() ? "channel " + std::to_string(index) : "channel '" + channel.name + "'";
  if (!channel.tensor.empty())
    text += " ('" + channel.tensor + "')";
  return text;
}
