//===- Trace.cpp - The measured timeline -------------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Chrome/Perfetto trace events: one process per stage; complete events "microbatch N" (N counts from the start of the
// stream) in the categories run, wait, send, upload and download (the last two of stages on devices: the time that the
// host takes to begin a copy), with the request, the microbatch within it, the tensor and its transport as arguments.
// Times in microseconds from the first event.
//
//===----------------------------------------------------------------------===//
#include "SessionImpl.h"

#include <cerrno>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <set>

namespace penstock {
namespace rt {

using nlohmann::ordered_json;

static ordered_json nameEvent(int32_t role, const std::string &name) {
  return {{"name", "process_name"}, {"ph", "M"}, {"pid", role}, {"tid", 0}, {"args", {{"name", name}}}};
}

/// What carries a channel to the stage that waits for it, or from the one that sends: "shm", "mpi, shm".
std::string Session::Impl::carriersOf(const TraceEvent &event, int32_t role) const {
  if (event.channel < 0 || size_t(event.channel) >= plan.channels.size())
    return std::string();
  const std::vector<int32_t> &consumers = plan.channels[size_t(event.channel)].consumerStages;
  std::set<std::string> names;
  for (size_t k = 0; k < consumers.size(); ++k)
    if (event.kind == TraceEvent::kSend || event.kind == TraceEvent::kDownload || consumers[k] == role)
      names.insert(carrierOf(event.channel, int32_t(k)));
  std::string text;
  for (const std::string &name : names)
    text += (text.empty() ? "" : ", ") + name;
  return text;
}

static ordered_json completeEvent(const Plan &plan, int32_t role, const TraceEvent &event, const std::string &carriers,
                                  int64_t originNs) {
  static constexpr const char *kCategories[] = {"run", "wait", "send", "upload", "download"};
  ordered_json args = {{"request", event.request}, {"microbatch", event.microbatch}};
  if (event.channel >= 0 && size_t(event.channel) < plan.channels.size()) {
    args["tensor"] = plan.channels[size_t(event.channel)].tensor;
    args["transport"] = carriers;
  }
  return {{"name", "microbatch " + std::to_string(event.ordinal)},
          {"cat", kCategories[event.kind >= 0 && event.kind < int32_t(std::size(kCategories)) ? event.kind : 0]},
          {"ph", "X"},
          {"ts", double(event.beginNs - originNs) * 1e-3},
          {"dur", double(event.endNs - event.beginNs) * 1e-3},
          {"pid", role},
          {"tid", 0},
          {"args", args}};
}

Status Session::writeTrace(const std::string &path) const {
  std::vector<std::vector<TraceEvent>> events;
  int64_t originNs = INT64_MAX, lost = 0;
  for (int32_t role = 0; role < impl->control.numRoles(); ++role) {
    int64_t missing = 0;
    events.push_back(impl->control.traceOf(role, missing));
    lost += missing;
    for (const TraceEvent &event : events.back())
      originNs = std::min(originNs, event.beginNs);
  }
  ordered_json list = ordered_json::array();
  for (size_t role = 0; role < events.size(); ++role) {
    list.push_back(nameEvent(int32_t(role), impl->plan.stages[role].name));
    for (const TraceEvent &event : events[role])
      list.push_back(completeEvent(impl->plan, int32_t(role), event, impl->carriersOf(event, int32_t(role)), originNs));
  }
  ordered_json root = {{"displayTimeUnit", "ms"},
                       {"otherData", {{"model", impl->plan.model}, {"events_lost", lost}}},
                       {"traceEvents", std::move(list)}};
  std::FILE *file = std::fopen(path.c_str(), "w");
  if (!file)
    return failErrno("cannot write '%s'", path.c_str());
  std::string text = root.dump(0, ' ', false, ordered_json::error_handler_t::replace);
  bool written = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  written &= std::fclose(file) == 0;
  return written ? Status() : failErrno("cannot write '%s'", path.c_str());
}

} // namespace rt
} // namespace penstock
