//===- CudaTimeline.cpp - When a device did what it was given -----*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "CudaTimeline.h"

#include "CudaDriver.h"

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <unistd.h>

namespace penstock {
namespace rt {
namespace cuda {

static constexpr const char *kVariable = "PENSTOCK_CUDA_TIMELINE";
/// A run that goes on for hours must not fill the memory.
static constexpr size_t kMaxSpans = 200000;
/// Of the host's clock, so that a device that never answers is not waited for.
static constexpr int64_t kPatienceNs = 1000000000;

static int64_t nowNs() {
  auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
}

std::unique_ptr<CudaTimeline> CudaTimeline::open(const DriverCalls &calls, const DeviceFacts &facts) {
  const char *path = std::getenv(kVariable);
  if (!path || !*path)
    return nullptr;
  std::unique_ptr<CudaTimeline> made(new CudaTimeline(calls));
  made->path = path, made->facts = facts;
  if (made->readClocks())
    return made;
  std::fprintf(stderr, "warning: %s: device %d tells no times\n", kVariable, facts.index);
  return nullptr;
}

CudaTimeline::~CudaTimeline() {
  for (const Span &span : spans) {
    (void)calls.dropEvent(span.begin);
    (void)calls.dropEvent(span.end);
  }
  if (origin)
    (void)calls.dropEvent(origin);
}

/// The device's clock beside the host's.
bool CudaTimeline::readClocks() {
  Stream stream = nullptr;
  if (calls.makeStream(&stream, kStreamNonBlocking, 0) != kSuccess)
    return false;
  origin = mark(stream);
  int64_t deadlineNs = nowNs() + kPatienceNs;
  Result code = kNotReady;
  while (origin && code == kNotReady && nowNs() < deadlineNs)
    code = calls.test(origin);
  originNs = nowNs();
  (void)calls.dropStream(stream);
  return origin && code == kSuccess;
}

Event CudaTimeline::mark(Stream stream) {
  Event event = nullptr;
  if (calls.makeEvent(&event, kEventWithTiming) != kSuccess)
    return nullptr;
  if (calls.mark(event, stream) == kSuccess)
    return event;
  (void)calls.dropEvent(event);
  return nullptr;
}

void CudaTimeline::record(Stream stream, bool isRecording) {
  std::lock_guard<std::mutex> lock(mutex);
  if (isRecording)
    recording.insert(stream);
  else
    recording.erase(stream);
}

bool CudaTimeline::begin(Span &span) {
  std::lock_guard<std::mutex> lock(mutex);
  if (recording.count(span.stream) != 0 || spans.size() >= kMaxSpans)
    return false;
  span.begin = mark(span.stream);
  return span.begin;
}

void CudaTimeline::end(Span span) {
  std::lock_guard<std::mutex> lock(mutex);
  span.end = mark(span.stream);
  if (span.end)
    spans.push_back(span);
  else
    (void)calls.dropEvent(span.begin);
}

/// A file of its own for each device of a process.
static std::FILE *openNew(const std::string &path) {
  std::string name = path + text(".%d", int(getpid()));
  std::FILE *file = std::fopen(name.c_str(), "wx");
  for (int number = 1; !file && errno == EEXIST; ++number)
    file = std::fopen((name + text(".%d", number)).c_str(), "wx");
  return file;
}

void CudaTimeline::write() {
  std::FILE *file = openNew(path);
  if (!file) {
    std::fprintf(stderr, "warning: cannot write '%s.%d': %s\n", path.c_str(), int(getpid()), std::strerror(errno));
    return;
  }
  std::fprintf(
      file,
      "{\"displayTimeUnit\": \"ms\", \"otherData\": {\"device\": %d, \"bus\": \"%s\", \"spans_lost\": %s},\n"
      "\"traceEvents\": [\n{\"name\": \"process_name\", \"ph\": \"M\", \"pid\": %d, \"tid\": 0, \"args\": {\"name\": "
      "\"device %d\"}}",
      facts.index, facts.bus, spans.size() < kMaxSpans ? "false" : "true", int(getpid()), facts.index);
  std::map<Stream, int> rows;
  for (const Span &span : spans) {
    float beginMs = 0, lengthMs = 0;
    if (calls.elapsed(&beginMs, origin, span.begin) != kSuccess ||
        calls.elapsed(&lengthMs, span.begin, span.end) != kSuccess)
      continue;
    int row = rows.emplace(span.stream, int(rows.size())).first->second;
    std::fprintf(
        file,
        ",\n{\"name\": \"%s\", \"cat\": \"%s\", \"ph\": \"X\", \"ts\": %.3f, \"dur\": %.3f, \"pid\": %d, \"tid\": %d, "
        "\"args\": {\"bytes\": %lld}}",
        span.name, span.category, double(originNs) * 1e-3 + double(beginMs) * 1e3, double(lengthMs) * 1e3,
        int(getpid()), row, (long long)span.numBytes);
  }
  std::fprintf(file, "\n]}\n");
  if (std::fclose(file) != 0)
    std::fprintf(stderr, "warning: cannot write '%s.%d': %s\n", path.c_str(), int(getpid()), std::strerror(errno));
}

} // namespace cuda
} // namespace rt
} // namespace penstock
