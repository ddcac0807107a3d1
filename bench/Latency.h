//===- Latency.h - Two stages that send to and fro ---------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What measurements of a message have in common, whatever the transport: stage 0 sends on channel 'ping', stage 1 on
// 'pong'. Sizes are in bytes, times in microseconds. One thread per stage.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_BENCH_LATENCY_H
#define PENSTOCK_BENCH_LATENCY_H

#include "penstock/rt/Control.h"
#include "penstock/rt/Transport.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace latency {

using namespace penstock::rt;

/// For a whole measurement, so that no message pays for a look at the clock.
constexpr int64_t kDeadlineNs = 600'000'000'000;

/// Ends the program with status 1 if `status` is an error.
inline void check(const Status &status) {
  if (status.ok())
    return;
  std::fprintf(stderr, "error: %s\n", status.message().c_str());
  std::exit(1);
}

/// The channel that stage `id` (0 or 1) sends on.
inline ChannelDesc makeChannel(int32_t id, int64_t numBytes, int32_t depth) {
  ChannelDesc desc;
  desc.name = desc.tensor = id == 0 ? "ping" : "pong";
  desc.id = desc.producerStage = id;
  desc.dtype = RT_U8;
  desc.dims = {numBytes};
  desc.consumerStages = {1 - id};
  desc.depth = depth;
  desc.slotBytes = numBytes;
  return desc;
}

/// The control block of both stages and both channels.
inline ControlLayout makeLayout(int32_t depth) {
  ControlLayout layout;
  layout.numRoles = 2;
  for (int32_t id = 0; id < 2; ++id) {
    ControlLayout::Channel channel;
    channel.tensor = id == 0 ? "ping" : "pong";
    channel.depth = depth;
    channel.role = channel.stage = id;
    channel.consumerRoles = channel.consumerStages = {1 - id};
    layout.channels.push_back(channel);
  }
  return layout;
}

/// A stage's ends of both channels. The transport must outlive it.
class Ends {
public:
  Ends(Transport &transport, int32_t stage, int64_t numBytes, int32_t depth)
      : transport(transport), numBytes(numBytes), deadlineNs(deadlineAfter(kDeadlineNs)) {
    for (int32_t id = 0; id < 2; ++id) {
      EndInfo end;
      end.stage = stage;
      end.isProducer = id == stage;
      check(transport.open(makeChannel(id, numBytes, depth), end, deadlineNs, id == stage ? out : in));
    }
  }
  /// Writes the first byte only: what the rest costs is no matter of the transport.
  void send() {
    Slot slot;
    check(transport.acquire(out, numBytes, Stream(), deadlineNs, slot));
    static_cast<char *>(slot.data)[0] = 1;
    slot.numBytes = numBytes;
    MessageHeader header;
    header.dims = {&numBytes, 1};
    check(transport.publish(out, slot, header, Stream()));
  }
  void receive() {
    Slot slot;
    MessageHeader header;
    check(transport.wait(in, Stream(), deadlineNs, slot, header));
    check(transport.release(in, slot, Stream()));
  }
  ChannelId sending() const { return out; }

private:
  Transport &transport;
  int64_t numBytes, deadlineNs;
  ChannelId in = -1, out = -1;
};

/// Half the time of each of `count` round trips, sorted. `player` has send() and receive().
template <typename Player> std::vector<double> pingPong(Player &player, int32_t stage, int64_t count) {
  std::vector<double> oneWayUs;
  for (int64_t i = 0; i < count; ++i) {
    int64_t begin = nowNs();
    stage == 0 ? player.send() : player.receive();
    stage == 0 ? player.receive() : player.send();
    oneWayUs.push_back(double(nowNs() - begin) / 2e3);
  }
  std::sort(oneWayUs.begin(), oneWayUs.end());
  return oneWayUs;
}

/// The beginning of a JSON object; the caller ends it.
inline void printOneWay(int64_t numBytes, const std::vector<double> &oneWayUs) {
  std::printf("{\"bytes\": %lld, \"p50_us\": %.3f, \"p99_us\": %.3f", (long long)numBytes,
              oneWayUs[oneWayUs.size() / 2], oneWayUs[oneWayUs.size() * 99 / 100]);
}

} // namespace latency

#endif // PENSTOCK_BENCH_LATENCY_H
