//===- Faulty.cpp - A transport that fails on purpose ------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "Faulty.h"

#include <csignal>
#include <cstdlib>
#include <ctime>
#include <unistd.h>

namespace penstock {
namespace rt {

static constexpr const char *kCallNames[] = {"open", "acquire", "publish", "wait", "release", "any"};

static bool parseNumber(const std::string &text, int64_t &value) {
  if (text.empty() || text.size() > 15)
    return false;
  value = 0;
  for (char c : text) {
    if (c < '0' || c > '9')
      return false;
    value = value * 10 + (c - '0');
  }
  return true;
}

static bool parseAction(const std::string &text, FaultPlan::Item &item) {
  item.delayMs = 0;
  if (text.rfind("delay=", 0) == 0) {
    item.action = FaultPlan::kDelay;
    return parseNumber(text.substr(6), item.delayMs);
  }
  if (text == "fail")
    item.action = FaultPlan::kFail;
  else if (text == "kill")
    item.action = FaultPlan::kKill;
  else if (text == "stop")
    item.action = FaultPlan::kStop;
  else if (text == "exit")
    item.action = FaultPlan::kExit;
  else
    return false;
  return true;
}

static bool parseItem(const std::string &text, FaultPlan::Item &item) {
  size_t first = text.find(':');
  size_t second = first == std::string::npos ? first : text.find(':', first + 1);
  if (second == std::string::npos)
    return false;
  std::string call = text.substr(0, first), number = text.substr(first + 1, second - first - 1);
  bool known = false;
  for (int i = 0; i <= FaultPlan::kAny; ++i) {
    if (call != kCallNames[i])
      continue;
    item.call = static_cast<FaultPlan::Call>(i);
    known = true;
  }
  item.number = 0;
  bool counted = number == "*" || (parseNumber(number, item.number) && item.number > 0);
  return known && counted && parseAction(text.substr(second + 1), item);
}

Status FaultPlan::parse(const std::string &text, FaultPlan &plan) {
  plan.items.clear();
  size_t at = 0;
  while (at < text.size()) {
    size_t comma = std::min(text.find(',', at), text.size());
    Item item;
    if (!parseItem(text.substr(at, comma - at), item))
      return fail(Code::kInvalid, "fault '%s': expected CALL:N:ACTION, as wait:3:fail or publish:*:delay=20",
                  text.substr(at, comma - at).c_str());
    plan.items.push_back(item);
    at = comma + 1;
  }
  return Status();
}

namespace {
class FaultyTransport final : public Transport {
public:
  FaultyTransport(Transport &inner, FaultPlan plan) : inner(inner), plan(std::move(plan)) {}
  const char *name() const override { return "faulty"; }
  bool canConnect(const EndInfo &producer, const EndInfo &consumer) const override {
    return inner.canConnect(producer, consumer);
  }
  Status open(const ChannelDesc &desc, const EndInfo &end, int64_t deadlineNs, ChannelId &channel) override {
    if (Status status = count(FaultPlan::kOpen, desc.name); !status.ok())
      return status;
    Status status = inner.open(desc, end, deadlineNs, channel);
    if (status.ok()) {
      names.resize(std::max(names.size(), size_t(channel) + 1));
      names[size_t(channel)] = desc.name;
    }
    return status;
  }
  Status acquire(ChannelId channel, int64_t numBytes, Stream stream, int64_t deadlineNs, Slot &slot) override {
    if (Status status = count(FaultPlan::kAcquire, nameOf(channel)); !status.ok())
      return status;
    return inner.acquire(channel, numBytes, stream, deadlineNs, slot);
  }
  Status publish(ChannelId channel, const Slot &slot, const MessageHeader &header, Stream stream) override {
    if (Status status = count(FaultPlan::kPublish, nameOf(channel)); !status.ok())
      return status;
    return inner.publish(channel, slot, header, stream);
  }
  Status wait(ChannelId channel, Stream stream, int64_t deadlineNs, Slot &slot, MessageHeader &header) override {
    if (Status status = count(FaultPlan::kWait, nameOf(channel)); !status.ok())
      return status;
    return inner.wait(channel, stream, deadlineNs, slot, header);
  }
  Status release(ChannelId channel, const Slot &slot, Stream stream) override {
    if (Status status = count(FaultPlan::kRelease, nameOf(channel)); !status.ok())
      return status;
    return inner.release(channel, slot, stream);
  }
  void abort() override { inner.abort(); }
  ChannelCounters counters(ChannelId channel) const override { return inner.counters(channel); }

private:
  Status count(FaultPlan::Call call, const std::string &channel);
  std::string nameOf(ChannelId channel) const {
    return channel >= 0 && size_t(channel) < names.size() ? names[size_t(channel)] : std::string("?");
  }
  Transport &inner;
  FaultPlan plan;
  std::vector<std::string> names;
  std::atomic<int64_t> counts[FaultPlan::kAny + 1] = {};
};
} // namespace

Status FaultyTransport::count(FaultPlan::Call call, const std::string &channel) {
  int64_t ofKind = ++counts[call], ofAll = ++counts[FaultPlan::kAny];
  for (const FaultPlan::Item &item : plan.items) {
    int64_t number = item.call == FaultPlan::kAny ? ofAll : item.call == call ? ofKind : -1;
    if (number < 0 || (item.number != 0 && item.number != number))
      continue;
    switch (item.action) {
    case FaultPlan::kFail:
      return fail(Code::kFault, "planted failure at call %lld (%s) on channel '%s'", (long long)number,
                  kCallNames[call], channel.c_str());
    case FaultPlan::kDelay: {
      timespec span{item.delayMs / 1000, item.delayMs % 1000 * 1000000};
      nanosleep(&span, nullptr);
      break;
    }
    case FaultPlan::kKill:
      kill(getpid(), SIGKILL);
      break;
    case FaultPlan::kStop:
      kill(getpid(), SIGSTOP);
      break;
    case FaultPlan::kExit:
      _exit(3);
    }
  }
  return Status();
}

std::unique_ptr<Transport> makeFaultyTransport(Transport &inner, FaultPlan plan) {
  return std::make_unique<FaultyTransport>(inner, std::move(plan));
}

} // namespace rt
} // namespace penstock
