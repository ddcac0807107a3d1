//===- ShmServer.h - A host that answers the roles of a test -----*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The handshake and the mappings are those of separate processes; only the address space is shared.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_TEST_RUNTIME_SHMSERVER_H
#define PENSTOCK_TEST_RUNTIME_SHMSERVER_H

#include "transports/shm/Shm.h"

#include <gtest/gtest.h>
#include <map>
#include <poll.h>
#include <thread>
#include <unistd.h>

namespace testfabric {

class ShmServer {
public:
  ShmServer(const penstock::rt::ControlLayout &layout, const std::vector<penstock::rt::ChannelDesc> &channels) {
    penstock::rt::Status status = penstock::rt::ShmHost::create(layout, channels, identityOf(0, 1), host);
    EXPECT_TRUE(status.ok()) << status.message();
    server = std::thread([this] { serve(); });
  }
  ~ShmServer() {
    stop = true;
    server.join();
  }
  static std::string fingerprint() { return std::string(64, 'a'); }
  static penstock::rt::RoleIdentity identityOf(int32_t role, int32_t numRoles) {
    penstock::rt::RoleIdentity identity;
    identity.role = role, identity.numRoles = numRoles, identity.pid = getpid();
    identity.fingerprint = fingerprint();
    identity.name = "stage-" + std::to_string(role);
    return identity;
  }
  std::unique_ptr<penstock::rt::ShmRole> join(int32_t role, int32_t numRoles, int64_t spinNs) {
    using namespace penstock::rt;
    RoleOptions options;
    std::unique_ptr<ShmRole> made;
    Status status =
        ShmRole::connect(host->address(), identityOf(role, numRoles), deadlineAfter(10000000000), options, made);
    EXPECT_TRUE(status.ok()) << status.message();
    made->setSpin(spinNs);
    return made;
  }

  std::unique_ptr<penstock::rt::ShmHost> host;

private:
  void serve() {
    std::map<int, std::pair<penstock::rt::Fd, int32_t>> connections;
    while (!stop) {
      std::vector<pollfd> entries{{host->listener(), POLLIN, 0}};
      for (auto &entry : connections)
        entries.push_back({entry.first, POLLIN, 0});
      poll(entries.data(), entries.size(), 5);
      for (pollfd &entry : entries) {
        if (!entry.revents)
          continue;
        penstock::rt::Fd accepted;
        if (entry.fd == host->listener()) {
          if (host->accept(accepted).ok()) {
            int number = accepted.get();
            connections[number] = {std::move(accepted), -1};
          }
          continue;
        }
        penstock::rt::ShmHost::Event event;
        if (host->answer(entry.fd, connections[entry.fd].second, {}, event).ok())
          connections[entry.fd].second = event.role;
        else
          connections.erase(entry.fd);
      }
    }
  }
  std::atomic<bool> stop{false};
  std::thread server;
};

} // namespace testfabric

#endif // PENSTOCK_TEST_RUNTIME_SHMSERVER_H
