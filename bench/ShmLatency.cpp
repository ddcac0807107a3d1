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
#include "Latency.h"
#include "transports/shm/Shm.h"

#include <map>
#include <poll.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace latency;

namespace {

constexpr int32_t kDepth = 2;

struct Options {
  int64_t numBytes, count, spinNs;
};

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

/// Runs one stage; the first one begins and measures.
void play(int32_t role, const std::string &address, const Options &options) {
  RoleIdentity identity;
  identity.role = role, identity.numRoles = 2, identity.pid = getpid();
  identity.fingerprint = std::string(64, 'a');
  identity.name = "stage-" + std::to_string(role);
  RoleOptions given;
  std::unique_ptr<ShmRole> transport;
  check(ShmRole::connect(address, identity, deadlineAfter(kDeadlineNs), given, transport));
  transport->setSpin(options.spinNs);
  Ends ends(*transport, role, options.numBytes, kDepth);
  std::vector<double> oneWayUs = pingPong(ends, role, options.count);
  if (role != 0)
    return;
  printOneWay(options.numBytes, oneWayUs);
  std::printf(", \"bytes_copied\": %lld}\n", (long long)transport->counters(ends.sending()).bytesCopied);
}

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
  std::vector<ChannelDesc> channels = {makeChannel(0, options.numBytes, kDepth),
                                       makeChannel(1, options.numBytes, kDepth)};
  std::unique_ptr<ShmHost> host;
  Identity identity;
  identity.fingerprint = std::string(64, 'a');
  check(ShmHost::create(makeLayout(kDepth), channels, identity, host));
  pid_t children[2];
  for (int32_t role = 0; role < 2; ++role) {
    children[role] = fork();
    if (children[role] != 0)
      continue;
    pin(role);
    play(role, host->address(), options);
    std::fflush(stdout);
    _exit(0);
  }
  return serve(*host, children);
}
