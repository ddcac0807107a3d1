//===- Queues.cpp - The state of all queues, for a run that hangs -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Written by whichever process sees the deadline pass, which may be a role: no JSON library here.
//
//===----------------------------------------------------------------------===//
#include "Memory.h"
#include "penstock/rt/Control.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

namespace penstock {
namespace rt {

static constexpr const char *kActivityNames[] = {"starting", "running", "waiting", "acquiring", "ended"};

/// Bytes of the UTF-8 character at the front; 0: it is none.
static size_t utf8Length(const char *text, size_t room) {
  auto first = static_cast<uint8_t>(text[0]);
  size_t length = first < 0x80 ? 1 : first >= 0xf0 && first < 0xf8 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 0;
  if (first >= 0xf8 || length > room)
    return 0;
  for (size_t i = 1; i < length; ++i)
    if ((uint8_t(text[i]) & 0xc0) != 0x80)
      return 0;
  return length;
}

/// A JSON string; bytes that are no UTF-8, as at the end of a name that was cut, become question marks.
static std::string quoted(const std::string &text) {
  std::string result = "\"";
  for (size_t at = 0; at < text.size();) {
    size_t length = utf8Length(text.data() + at, text.size() - at);
    if (length == 0)
      result += '?';
    else if (text[at] == '"' || text[at] == '\\')
      result += std::string("\\") + text[at];
    else if (uint8_t(text[at]) < 0x20)
      result += format("\\u%04x", text[at]);
    else
      result += text.substr(at, length);
    at += std::max<size_t>(length, 1);
  }
  return result + '"';
}

static std::string activityName(uint32_t activity) {
  return activity <= uint32_t(Activity::kEnded) ? kActivityNames[activity] : "?";
}

static std::string tensorOf(const ChannelControl &channel) {
  return std::string(channel.tensor, strnlen(channel.tensor, sizeof(channel.tensor)));
}

/// What somebody waits for: nothing, a message, or a free slot.
static std::string waitText(const RunControl &control, uint32_t activity, int32_t channel) {
  bool waits = activity == uint32_t(Activity::kWaiting) || activity == uint32_t(Activity::kAcquiring);
  if (!waits || channel < 0 || channel >= control.numChannels())
    return "null";
  const char *what = activity == uint32_t(Activity::kWaiting) ? "message" : "free slot";
  return format("{\"channel\": %d, \"tensor\": %s, \"what\": \"%s\"}", channel,
                quoted(tensorOf(control.channel(channel))).c_str(), what);
}

static std::string stageText(const RunControl &control, int32_t index) {
  const RoleState &state = control.role(index);
  uint32_t activity = state.activity.load(std::memory_order_acquire);
  int32_t step = state.doneStep.load(std::memory_order_acquire);
  std::string done = "null";
  if (step > 0)
    done = format("{\"microbatch\": %lld, \"step\": %s}", (long long)state.doneMicrobatch.load(),
                  quoted(control.stepName(index, step - 1)).c_str());
  int64_t heard = state.heardNs.load();
  std::string silent = heard ? format("%.3f", double(nowNs() - heard) * 1e-9) : "null";
  std::string name = std::string(state.name, strnlen(state.name, sizeof(state.name)));
  return format("    {\"name\": %s, \"pid\": %d, \"activity\": \"%s\", \"microbatch\": %lld, \"waits_for\": %s,\n"
                "     \"last_done\": %s, \"microbatches_done\": %lld, \"silent_s\": %s}",
                quoted(name).c_str(), state.pid.load(), activityName(activity).c_str(),
                (long long)state.microbatch.load(), waitText(control, activity, state.channel.load()).c_str(),
                done.c_str(), (long long)state.microbatches.load(), silent.c_str());
}

static std::string channelText(const RunControl &control, int32_t index) {
  const ChannelControl &channel = control.channel(index);
  uint64_t published = channel.published.load(std::memory_order_acquire), used = 0;
  std::string consumers;
  for (int32_t k = 0; k < channel.numConsumers; ++k) {
    const ConsumerCursor &cursor = control.cursors(index)[k];
    if (cursor.absent)
      continue;
    uint64_t released = cursor.released.load(std::memory_order_acquire), received = cursor.received.load();
    used = std::max(used, published - released);
    consumers += format("%s\n      {\"stage\": %s, \"received\": %llu, \"released\": %llu, \"slots_held\": %llu, "
                        "\"unread\": %llu}",
                        consumers.empty() ? "" : ",", quoted(stageName(cursor.stage)).c_str(),
                        (unsigned long long)received, (unsigned long long)released,
                        (unsigned long long)(received - released), (unsigned long long)(published - received));
  }
  return format("    {\"channel\": %d, \"tensor\": %s, \"from\": %s, \"depth\": %d, \"published\": %llu, "
                "\"slots_in_use\": %llu, \"consumers\": [%s]}",
                index, quoted(tensorOf(channel)).c_str(), quoted(stageName(channel.stage)).c_str(), channel.depth,
                (unsigned long long)published, (unsigned long long)used, consumers.c_str());
}

std::string RunControl::describeQueues(const std::string &cause) const {
  const RoleState &sink = role(hostRole());
  std::string text = "{\n  \"schema\": 1,\n  \"cause\": " + quoted(cause) + ",\n  \"source\": {\"waits_for\": ";
  text += waitText(*this, source().activity.load(), source().channel.load());
  text += format(", \"submitted\": %lld},\n  \"sink\": {\"waits_for\": ", (long long)submitted().load());
  text += waitText(*this, sink.activity.load(), sink.channel.load());
  text += format(", \"microbatches\": %lld},\n  \"stages\": [", (long long)sink.microbatch.load());
  for (int32_t i = 0; i < numRoles(); ++i)
    text += (i ? ",\n" : "\n") + stageText(*this, i);
  text += "\n  ],\n  \"channels\": [";
  for (int32_t i = 0; i < numChannels(); ++i)
    text += (i ? ",\n" : "\n") + channelText(*this, i);
  return text + "\n  ]\n}\n";
}

/// Empty: the text is in the file, from this process or from one that came before. Else why not.
static std::string writeOnce(const std::string &path, const std::string &text) {
  Fd file(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file.valid() && errno == EEXIST)
    return std::string();
  size_t at = 0;
  while (file.valid() && at < text.size()) {
    ssize_t count = write(file.get(), text.data() + at, text.size() - at);
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      break;
    at += size_t(count);
  }
  if (file.valid() && at == text.size())
    return std::string();
  return failErrno("cannot write the state of the queues to '%s'", path.c_str()).message();
}

Status hangStatus(const RunControl &control, std::string message, const std::string &file) {
  if (file.empty())
    return Status(Code::kTimeout, std::move(message));
  std::string trouble = writeOnce(file, control.describeQueues(message));
  message += trouble.empty() ? "; the state of all queues is in '" + file + "'" : "; " + trouble;
  return Status(Code::kTimeout, std::move(message));
}

} // namespace rt
} // namespace penstock
