//===- messages.cpp - How long a small message takes -------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Two processes play ping-pong over two channels of the `shm` transport, each pinned to a core of its own, with slots
// acquired, written, published, waited for, read and released as roles do. One way is half a round trip. Printed for
// ends that spin before they sleep, as stages do where there are cores enough, and for ends that sleep at once.
//
// usage: messages [BYTES] [ROUNDS]
//
//===----------------------------------------------------------------------===//
#include "Cpu.h"
#include "transports/shm/Shm.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/wait.h>
#include <unistd.h>

using namespace penstock::rt;

namespace {

constexpr int64_t kSpins[] = {0, 20000}; // the second as the host gives it to roles
constexpr int64_t kPatienceNs = 10ll * 1000000000;

[[noreturn]] void give(const Status &status) {
  std::fprintf(stderr, "error: %s\n", status.message().c_str());
  std::_Exit(1);
}

void check(const Status &status) {
  if (!status.ok())
    give(status);
}

/// Channel 0 goes from the source to stage 0, channel 1 from stage 0 to the sink.
ChannelDesc makeChannel(int32_t id, int64_t numBytes) {
  ChannelDesc desc;
  desc.name = desc.tensor = id == 0 ? "ping" : "pong";
  desc.id = id;
  desc.dtype = RT_U8;
  desc.dims = {numBytes};
  desc.producerStage = id == 0 ? RT_STAGE_SOURCE : 0;
  desc.consumerStages = {id == 0 ? 0 : RT_STAGE_SINK};
  desc.depth = 2;
  desc.slotBytes = numBytes;
  return desc;
}

std::unique_ptr<ShmHost> makeHost(int64_t numBytes) {
  ControlLayout layout;
  layout.numRoles = 1;
  layout.roleNames = {"stage-0"};
  for (int32_t id : {0, 1}) {
    ControlLayout::Channel channel;
    channel.role = id == 0 ? 1 : 0;
    channel.consumerRoles = {id == 0 ? 0 : 1};
    channel.consumerStages = {id == 0 ? 0 : RT_STAGE_SINK};
    channel.depth = 2;
    layout.channels.push_back(channel);
  }
  std::unique_ptr<ShmHost> host;
  check(ShmHost::create(layout, {makeChannel(0, numBytes), makeChannel(1, numBytes)}, std::string(64, '0'), host));
  return host;
}

/// One process: sends on one channel, receives on the other.
class Player {
public:
  Player(ShmHost &host, int64_t numBytes, bool isFirst) : host(host), numBytes(numBytes) {
    EndInfo end;
    check(host.open(makeChannel(isFirst ? 0 : 1, numBytes), end, kNever, out));
    end.isProducer = false;
    check(host.open(makeChannel(isFirst ? 1 : 0, numBytes), end, kNever, in));
  }

  void send(int64_t number) {
    Slot slot;
    check(host.acquire(out, numBytes, Stream(), nowNs() + kPatienceNs, slot));
    std::memset(slot.data, int(number & 0xff), size_t(numBytes));
    slot.numBytes = numBytes;
    MessageHeader header;
    header.microbatch = number;
    header.dims = {&numBytes, 1};
    check(host.publish(out, slot, header, Stream()));
  }

  void receive(int64_t number) {
    Slot slot;
    MessageHeader header;
    check(host.wait(in, Stream(), nowNs() + kPatienceNs, slot, header));
    const auto *bytes = static_cast<const unsigned char *>(slot.data);
    bool isRight =
        header.microbatch == number && bytes[0] == (number & 0xff) && bytes[size_t(numBytes) - 1] == (number & 0xff);
    check(host.release(in, slot, Stream()));
    if (!isRight)
      give(fail(Code::kMismatch, "message %lld arrived damaged", (long long)number));
  }

private:
  ShmHost &host;
  int64_t numBytes;
  ChannelId out = -1, in = -1;
};

/// The second process sends back what it receives.
[[noreturn]] void echo(ShmHost &host, int64_t numBytes, int64_t numRounds) {
  pinToCore(1);
  Player player(host, numBytes, false);
  for (int64_t spinNs : kSpins) {
    host.setSpin(spinNs);
    for (int64_t i = 0; i < numRounds; ++i) {
      player.receive(i);
      player.send(i);
    }
  }
  std::_Exit(0);
}

/// Microseconds one way, sorted.
std::vector<double> play(Player &player, int64_t numRounds) {
  std::vector<double> times;
  for (int64_t i = 0; i < numRounds; ++i) {
    int64_t begin = nowNs();
    player.send(i);
    player.receive(i);
    times.push_back(double(nowNs() - begin) * 0.5e-3);
  }
  std::sort(times.begin(), times.end());
  return times;
}

} // namespace

int main(int argc, char **argv) {
  int64_t numBytes = argc > 1 ? std::atoll(argv[1]) : 64, numRounds = argc > 2 ? std::atoll(argv[2]) : 20000;
  if (numBytes < 1 || numRounds < 1 || argc > 3)
    give(fail(Code::kInvalid, "usage: messages [BYTES] [ROUNDS], both at least 1"));
  if (numCores() < 2)
    give(fail(Code::kInvalid, "two processes with a core each are measured; expected at least 2 cores, found 1"));
  std::unique_ptr<ShmHost> host = makeHost(numBytes);
  pid_t other = fork();
  if (other < 0)
    give(failErrno("cannot start a second process"));
  if (other == 0)
    echo(*host, numBytes, numRounds);
  pinToCore(0);
  Player player(*host, numBytes, true);
  for (int64_t spinNs : kSpins) {
    host->setSpin(spinNs);
    std::vector<double> times = play(player, numRounds);
    std::printf("%lld bytes, %s one way: median %.2f us, 99%% below %.2f us\n", (long long)numBytes,
                spinNs ? "spinning briefly," : "sleeping at once,", times[times.size() / 2],
                times[size_t(double(times.size()) * 0.99)]);
  }
  int state = 0;
  waitpid(other, &state, 0);
  if (state != 0)
    give(fail(Code::kPeerLost, "the second process ended with state %d", state));
  return 0;
}
