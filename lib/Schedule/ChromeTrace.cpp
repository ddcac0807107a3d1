//===- ChromeTrace.cpp - Timelines as Chrome trace events -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "penstock/Schedule/Timeline.h"

#include <algorithm>

using namespace penstock::schedule;

namespace {
/// A JSON string. Bytes that are not ASCII are passed on: names are UTF-8.
std::string quoted(const std::string &text) {
  static const char digits[] = "0123456789abcdef";
  std::string result = "\"";
  for (char c : text) {
    unsigned char byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      result += '\\';
    if (byte < 0x20)
      result += std::string("\\u00") + digits[byte >> 4] + digits[byte & 15];
    else
      result += c;
  }
  return result + "\"";
}

/// ns as us with three decimals, whatever the locale.
std::string microseconds(int64_t ns) {
  std::string rest = std::to_string(ns % 1000);
  return std::to_string(ns / 1000) + "." + std::string(3 - rest.size(), '0') + rest;
}

const char *nameOf(Phase phase) {
  return phase == Phase::kFill ? "fill" : phase == Phase::kSteady ? "steady" : "drain";
}

const char *nameOf(Span::Kind kind) {
  return kind == Span::Kind::kRun ? "run" : kind == Span::Kind::kWait ? "wait" : "send";
}

std::string eventOf(const Problem &problem, const Timeline &timeline, const Span &span, int64_t perRequest) {
  std::string text = "{\"ph\":\"X\",\"pid\":" + std::to_string(span.stage) +
                     ",\"tid\":0,\"ts\":" + microseconds(span.startNs) +
                     ",\"dur\":" + microseconds(span.endNs - span.startNs) + ",\"name\":\"microbatch " +
                     std::to_string(span.microbatch) + "\",\"cat\":\"" + nameOf(span.kind) +
                     "\",\"args\":{\"request\":" + std::to_string(span.microbatch / perRequest) +
                     ",\"microbatch\":" + std::to_string(span.microbatch) + ",\"phase\":\"" +
                     nameOf(timeline.phaseAt(span.startNs)) + "\"";
  if (span.channel >= 0)
    text += ",\"tensor\":" + quoted(problem.channels[span.channel].tensor);
  return text + "}}";
}
} // namespace

std::string penstock::schedule::toChromeTrace(const Problem &problem, const Timeline &timeline,
                                              const TraceOptions &options) {
  int64_t perRequest = options.microbatchesPerRequest > 0 ? options.microbatchesPerRequest
                                                          : std::max<int64_t>(timeline.numMicrobatches, 1);
  std::string text = "{\"displayTimeUnit\":\"ms\",\"otherData\":{\"label\":" + quoted(options.label) +
                     ",\"microbatches\":" + std::to_string(timeline.numMicrobatches) + "},\"traceEvents\":[";
  for (size_t i = 0; i < problem.stages.size(); ++i) {
    std::string number = std::to_string(i);
    text += std::string(i == 0 ? "" : ",") + "\n{\"ph\":\"M\",\"pid\":" + number +
            ",\"tid\":0,\"name\":\"process_name\",\"args\":{\"name\":\"stage " + number +
            "\"}},\n{\"ph\":\"M\",\"pid\":" + number +
            ",\"tid\":0,\"name\":\"process_sort_index\",\"args\":{\"sort_index\":" + number + "}}";
  }
  for (const Span &span : timeline.spans)
    text += ",\n" + eventOf(problem, timeline, span, perRequest);
  return text + "\n]}\n";
}
