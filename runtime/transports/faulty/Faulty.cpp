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

static constexpr const char *kCallNames[] = {"start",   "open",   "acquire",  "publish", "wait",
                                             "release", "upload", "download", "kernel",  "any"};

namespace {
struct SignalRow {
  const char *name;
  int number;
};
} // namespace
static constexpr SignalRow kSignals[] = {{"kill", SIGKILL}, {"stop", SIGSTOP}, {"segv", SIGSEGV}, {"bus", SIGBUS}};

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
  item.delayMs = item.signal = 0;
  if (text.rfind("delay=", 0) == 0) {
    item.action = FaultPlan::kDelay;
    return parseNumber(text.substr(6), item.delayMs);
  }
  for (const SignalRow &row : kSignals)
    if (text == row.name)
      item.signal = row.number;
  item.action = item.signal ? FaultPlan::kSignal : text == "exit" ? FaultPlan::kExit : FaultPlan::kFail;
  return item.action != FaultPlan::kFail || text == "fail";
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
  FaultyTransport(Transport &inner, FaultInjector &injector) : inner(inner), injector(injector) {}
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
  Status start(int64_t deadlineNs) override { return inner.start(deadlineNs); }
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
  Status count(FaultPlan::Call call, const std::string &channel) { return injector.count(call, channel); }
  std::string nameOf(ChannelId channel) const {
    return channel >= 0 && size_t(channel) < names.size() ? names[size_t(channel)] : std::string("?");
  }
  Transport &inner;
  FaultInjector &injector;
  std::vector<std::string> names;
};
} // namespace

Status FaultInjector::count(FaultPlan::Call call, const std::string &what) {
  int64_t ofKind = ++counts[call], ofAll = ++counts[FaultPlan::kAny];
  for (const FaultPlan::Item &item : plan.items) {
    int64_t number = item.call == FaultPlan::kAny ? ofAll : item.call == call ? ofKind : -1;
    if (number < 0 || (item.number != 0 && item.number != number))
      continue;
    switch (item.action) {
    case FaultPlan::kFail:
      return fail(Code::kFault, "planted failure at call %lld (%s) on %s '%s'", (long long)number, kCallNames[call],
                  call == FaultPlan::kKernel  ? "kernel"
                  : call == FaultPlan::kStart ? "role"
                                              : "channel",
                  what.c_str());
    case FaultPlan::kDelay: {
      timespec span{item.delayMs / 1000, item.delayMs % 1000 * 1000000};
      nanosleep(&span, nullptr);
      break;
    }
    case FaultPlan::kSignal:
      if (item.signal == SIGSEGV) // a sanitizer would handle it
        std::signal(SIGSEGV, SIG_DFL);
      kill(getpid(), item.signal);
      break;
    case FaultPlan::kExit:
      _exit(3);
    }
  }
  return Status();
}

std::unique_ptr<Transport> makeFaultyTransport(Transport &inner, FaultInjector &injector) {
  return std::make_unique<FaultyTransport>(inner, injector);
}

} // namespace rt
} // namespace penstock
