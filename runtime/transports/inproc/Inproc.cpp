//===- Inproc.cpp - Channels between threads of one process ------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "Inproc.h"

#include "Memory.h"
#include "Ring.h"

#include <map>
#include <mutex>

namespace penstock {
namespace rt {

struct InprocHub::Impl {
  struct Channel {
    ChannelDesc desc;
    RingLayout layout;
    Mapping memory;
  };
  Mapping controlMemory;
  RunControl control;
  int64_t spinNs = 0;
  std::mutex mutex; ///< guards channels
  std::map<int32_t, Channel> channels;

  Status find(const ChannelDesc &desc, Channel *&channel);
};

Status InprocHub::Impl::find(const ChannelDesc &desc, Channel *&channel) {
  std::lock_guard<std::mutex> lock(mutex);
  auto found = channels.find(desc.id);
  if (found != channels.end()) {
    channel = &found->second;
    std::string difference = describeDifference(desc, channel->desc);
    if (!difference.empty())
      return fail(Code::kMismatch, "channel '%s': %s", desc.name.c_str(), difference.c_str());
    return Status();
  }
  Channel made;
  made.desc = desc;
  if (!RingLayout::make(desc, freeReservationBytes(), made.layout))
    return fail(Code::kInvalid, "channel '%s': %d slots of %lld bytes are too much", desc.name.c_str(), desc.depth,
                (long long)desc.slotBytes);
  if (Status status = Mapping::anonymous(made.layout.totalBytes, desc.name.c_str(), made.memory); !status.ok())
    return status;
  channel = &channels.emplace(desc.id, std::move(made)).first->second;
  return Status();
}

namespace {
class InprocTransport final : public RingTransport {
public:
  explicit InprocTransport(InprocHub::Impl &hub) : hub(hub) {
    control = hub.control;
    setSpin(hub.spinNs);
  }
  const char *name() const override { return "inproc"; }
  bool canConnect(const EndInfo &, const EndInfo &) const override { return true; }
  Status open(const ChannelDesc &desc, const EndInfo &info, int64_t, ChannelId &channel) override;

private:
  InprocHub::Impl &hub;
};
} // namespace

Status InprocTransport::open(const ChannelDesc &desc, const EndInfo &info, int64_t, ChannelId &channel) {
  if (desc.id < 0 || desc.id >= control.numChannels())
    return fail(Code::kMismatch, "channel '%s' has number %d, expected one below %d", desc.name.c_str(), desc.id,
                control.numChannels());
  if (desc.consumerStages.size() != size_t(control.channel(desc.id).numConsumers))
    return fail(Code::kMismatch, "channel '%s' has %zu consumers, expected %d", desc.name.c_str(),
                desc.consumerStages.size(), control.channel(desc.id).numConsumers);
  if (!info.isProducer && (info.consumer < 0 || size_t(info.consumer) >= desc.consumerStages.size()))
    return fail(Code::kMismatch, "channel '%s' has no consumer %d", desc.name.c_str(), info.consumer);
  InprocHub::Impl::Channel *shared = nullptr;
  if (Status status = hub.find(desc, shared); !status.ok())
    return status;
  RingEnd end;
  end.desc = desc;
  end.info = info;
  end.layout = shared->layout;
  end.control = &control.channel(desc.id);
  end.cursors = control.cursors(desc.id);
  end.data = shared->memory.data();
  channel = add(std::move(end));
  return Status();
}

InprocHub::InprocHub() : impl(new Impl) {}
InprocHub::~InprocHub() = default;
RunControl InprocHub::control() const { return impl->control; }
void InprocHub::setSpin(int64_t spanNs) { impl->spinNs = spanNs; }
std::unique_ptr<Transport> InprocHub::makeTransport() { return std::make_unique<InprocTransport>(*impl); }

Status InprocHub::create(const ControlLayout &layout, std::unique_ptr<InprocHub> &hub) {
  std::unique_ptr<InprocHub> made(new InprocHub);
  int64_t numBytes = RunControl::bytesFor(layout);
  if (Status status = Mapping::anonymous(numBytes, "the control block", made->impl->controlMemory); !status.ok())
    return status;
  made->impl->control = RunControl::create(made->impl->controlMemory.data(), layout);
  hub = std::move(made);
  return Status();
}

} // namespace rt
} // namespace penstock
