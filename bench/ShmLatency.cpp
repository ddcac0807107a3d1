//===- ShmLatency.cpp - One way through shared memory ------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// usage: ShmLatency BYTES COUNT SPIN_NS
//
// Two processes send one message to and fro over two shared-memory channels, as two stages would, each pinned to a core
// of its own where there are two. Prints the median and the 99th percentile of one way (half a round trip) in
// microseconds, and the bytes that the transport copied. Nothing is judged.
//
//===----------------------------------------------------------------------===//
#include "transports/shm/Shm.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <poll.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace penstock::rt;

namespace {

constexpr int64_t kDeadlineNs = 20000000000;

struct Options {
  int64_t numBytes, count, spinNs;
};

ChannelDesc makeChannel(int32_t id, const Options &options) {
  ChannelDesc desc;
  desc.name = id == 0 ? "ping" : "pong";
  desc.tensor = desc.name;
  desc.id = id;
  desc.dtype = RT_U8;
  desc.dims = {options.numBytes};
  desc.producerStage = id;
  desc.consumerStages = {1 - id};
  desc.depth = 2;
  desc.slotBytes = options.numBytes;
  return desc;
}

[[noreturn]] void fail(const Status &status) {
  std::fprintf(stderr, "error: %s\n", status.message().c_str());
  std::exit(1);
}

void check(const Status &status) {
  if (!status.ok())
    fail(status);
}

/// The index-th core that this process may use.
void pin(int index) {
  cpu_set_t allowed, own;
  sched_getaffinity(0, sizeof(allowed), &allowed);
  if (CPU_COUNT(&allowed) < 2)
    return;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed) || index-- > 0)
      continue;
    CPU_ZERO(&own);
    CPU_SET(cpu, &own);
    sched_setaffinity(0, sizeof(own), &own);
    return;
  }
}

/// One stage; the first one begins and measures.
class Player {
public:
  Player(int32_t role, const std::string &address, const Options &options) : role(role), options(options) {
    RoleIdentity identity;
    identity.role = role, identity.numRoles = 2, identity.pid = getpid();
    identity.fingerprint = std::string(64, 'a');
    identity.name = "stage-" + std::to_string(role);
    RoleOptions given;
    check(ShmRole::connect(address, identity, deadlineAfter(kDeadlineNs), given, transport));
    transport->setSpin(options.spinNs);
    for (int32_t id = 0; id < 2; ++id) {
      EndInfo end;
      end.stage = role;
      end.isProducer = id == role;
      check(transport->open(makeChannel(id, options), end, deadlineAfter(kDeadlineNs), id == role ? out : in));
    }
  }

  void send() {
    Slot slot;
    check(transport->acquire(out, options.numBytes, Stream(), deadlineAfter(kDeadlineNs), slot));
    static_cast<char *>(slot.data)[0] = 1;
    slot.numBytes = options.numBytes;
    MessageHeader header;
    header.dims = {&options.numBytes, 1};
    check(transport->publish(out, slot, header, Stream()));
  }

  void receive() {
    Slot slot;
    MessageHeader header;
    check(transport->wait(in, Stream(), deadlineAfter(kDeadlineNs), slot, header));
    check(transport->release(in, slot, Stream()));
  }

  void play() {
    std::vector<double> oneWayUs;
    for (int64_t i = 0; i < options.count; ++i) {
      int64_t begin = nowNs();
      role == 0 ? send() : receive();
      role == 0 ? receive() : send();
      oneWayUs.push_back(double(nowNs() - begin) / 2e3);
    }
    if (role != 0)
      return;
    std::sort(oneWayUs.begin(), oneWayUs.end());
    std::printf("{\"bytes\": %lld, \"p50_us\": %.3f, \"p99_us\": %.3f, \"bytes_copied\": %lld}\n",
                (long long)options.numBytes, oneWayUs[oneWayUs.size() / 2], oneWayUs[oneWayUs.size() * 99 / 100],
                (long long)transport->counters(out).bytesCopied);
  }

private:
  int32_t role;
  const Options &options;
  std::unique_ptr<ShmRole> transport;
  ChannelId in = -1, out = -1;
};

/// Answers the handshakes until both stages have ended.
int serve(ShmHost &host, const pid_t (&children)[2]) {
  std::map<int, std::pair<Fd, int32_t>> connections;
  int status = 0, numEnded = 0;
  while (numEnded < 2) {
    std::vector<pollfd> entries{{host.listener(), POLLIN, 0}};
    for (auto &entry : connections)
      entries.push_back({entry.first, POLLIN, 0});
    poll(entries.data(), entries.size(), 50);
    for (pollfd &entry : entries) {
      Fd accepted;
      ShmHost::Event event;
      if (!entry.revents)
        continue;
      if (entry.fd == host.listener()) {
        if (host.accept(accepted).ok()) {
          int number = accepted.get();
          connections[number] = {std::move(accepted), -1};
        }
      } else if (host.answer(entry.fd, connections[entry.fd].second, std::vector<RoleOptions>(2), event).ok()) {
        connections[entry.fd].second = event.role;
      } else {
        connections.erase(entry.fd);
      }
    }
    for (pid_t child : children)
      if (int code; waitpid(child, &code, WNOHANG) == child) {
        ++numEnded;
        status |= !WIFEXITED(code) || WEXITSTATUS(code) != 0;
      }
  }
  return status;
}

} // namespace

int main(int argc, char **argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: ShmLatency BYTES COUNT SPIN_NS\n");
    return 2;
  }
  Options options = {std::max(1ll, std::atoll(argv[1])), std::max(1ll, std::atoll(argv[2])), std::atoll(argv[3])};
  ControlLayout layout;
  layout.numRoles = 2;
  std::vector<ChannelDesc> channels;
  for (int32_t id = 0; id < 2; ++id) {
    channels.push_back(makeChannel(id, options));
    ControlLayout::Channel channel;
    channel.tensor = channels.back().tensor;
    channel.depth = channels.back().depth;
    channel.role = channel.stage = id;
    channel.consumerRoles = channel.consumerStages = channels.back().consumerStages;
    layout.channels.push_back(channel);
  }
  std::unique_ptr<ShmHost> host;
  Identity identity;
  identity.fingerprint = std::string(64, 'a');
  check(ShmHost::create(layout, channels, identity, host));
  pid_t children[2];
  for (int32_t role = 0; role < 2; ++role) {
    children[role] = fork();
    if (children[role] != 0)
      continue;
    pin(role);
    Player(role, host->address(), options).play();
    std::fflush(stdout);
    _exit(0);
  }
  return serve(*host, children);
}
