//===- Sockets.h - Ranks of one test that sockets join -----------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_TEST_RUNTIME_SOCKETS_H
#define PENSTOCK_TEST_RUNTIME_SOCKETS_H

#include "transports/tcp/TcpFabric.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <thread>

namespace testfabric {

/// A port of this host that nobody listens on.
inline int32_t freePort() {
  penstock::rt::Fd probe(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  EXPECT_EQ(bind(probe.get(), reinterpret_cast<sockaddr *>(&address), length), 0);
  EXPECT_EQ(getsockname(probe.get(), reinterpret_cast<sockaddr *>(&address), &length), 0);
  return ntohs(address.sin_port);
}

inline std::vector<std::unique_ptr<penstock::rt::TcpFabric>> meetAll(int32_t size) {
  using namespace penstock::rt;
  std::vector<std::unique_ptr<TcpFabric>> fabrics(static_cast<size_t>(size));
  MeetingPoint point = {"127.0.0.1", freePort(), "a test"};
  std::vector<std::thread> threads;
  for (int32_t rank = 0; rank < size; ++rank)
    threads.emplace_back([&, rank] {
      Status status = TcpFabric::meet(point, rank, size, deadlineAfter(10000000000), fabrics[size_t(rank)]);
      EXPECT_TRUE(status.ok()) << status.message();
    });
  for (std::thread &thread : threads)
    thread.join();
  return fabrics;
}

} // namespace testfabric

#endif // PENSTOCK_TEST_RUNTIME_SOCKETS_H
