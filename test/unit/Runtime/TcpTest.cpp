//===- TcpTest.cpp - Ranks that sockets join ---------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The conformance suite over sockets is in ConformanceTest.cpp; this is the meeting, and how connections end.
//
//===----------------------------------------------------------------------===//
#include "Sockets.h"

#include <cstring>
#include <fstream>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>

using namespace penstock::rt;
using testfabric::freePort;
using testfabric::meetAll;

namespace {

constexpr int64_t kMs = 1000000;

/// All ranks with these sizes meet at once.
std::vector<Status> meet(const std::vector<int32_t> &sizes, const MeetingPoint &point, int64_t waitNs) {
  std::vector<Status> results(sizes.size());
  std::vector<std::vector<Fd>> sockets(sizes.size());
  std::vector<std::thread> threads;
  for (size_t i = 0; i < sizes.size(); ++i)
    threads.emplace_back([&, i] { results[i] = meetRanks(point, int32_t(i), sizes[i], nowNs() + waitNs, sockets[i]); });
  for (std::thread &thread : threads)
    thread.join();
  return results;
}

/// A transfer of one message, to its end.
int32_t finish(const Fabric &fabric, void *request, int64_t &numBytes) {
  int64_t until = nowNs() + 10000 * kMs;
  for (int32_t done = 0; nowNs() < until;)
    if (int32_t code = fabric.test(fabric.self, &request, &done, &numBytes); code != 0 || done)
      return code;
  return -1;
}

Fd connectTo(int32_t port) {
  Fd connection(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(uint16_t(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int64_t until = nowNs() + 5000 * kMs;
  while (connect(connection.get(), reinterpret_cast<sockaddr *>(&address), sizeof(address)) != 0 && nowNs() < until)
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  return connection;
}

/// The calling thread, and those that it starts, get a network of their own: a loopback device and ports
/// `first`..`last` for connections. False: that is not allowed here.
bool haveOwnNetwork(int32_t first, int32_t last) {
  if (unshare(CLONE_NEWNET) != 0)
    return false;
  std::ofstream range("/proc/sys/net/ipv4/ip_local_port_range");
  range << first << " " << last << std::endl;
  Fd control(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request = {};
  std::strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  return range.good() && ioctl(control.get(), SIOCSIFFLAGS, &request) == 0;
}

// Whoever connects to a port of its own host on which nobody listens yet may get just that port for its own end, and is
// then connected with itself. That is nobody, and the port is left to rank 0.
TEST(Meeting, nobodyMeetsItself) {
  bool isAllowed = true;
  std::vector<Status> results(2);
  std::thread host([&] {
    constexpr int32_t kFirst = 40000; // so few ports that it happens within a few tries
    isAllowed = haveOwnNetwork(kFirst, kFirst + 5);
    if (!isAllowed)
      return;
    MeetingPoint point = {"127.0.0.1", kFirst, "a"};
    auto come = [&](int32_t rank) {
      std::vector<Fd> sockets;
      results[size_t(rank)] = meetRanks(point, rank, 2, nowNs() + 10000 * kMs, sockets);
    };
    std::thread second(come, 1);
    std::this_thread::sleep_for(std::chrono::milliseconds(1500));
    come(0);
    second.join();
  });
  host.join();
  if (!isAllowed)
    GTEST_SKIP() << "no network namespace of its own is allowed here";
  for (const Status &status : results)
    EXPECT_TRUE(status.ok()) << status.message();
}

// Whoever says nothing, or nonsense, or belongs to another run, keeps nobody from meeting.
TEST(Meeting, strangersAreSentAway) {
  MeetingPoint point = {"127.0.0.1", freePort(), "a"}, other = {"127.0.0.1", point.port, "b"};
  std::thread first([&] {
    std::vector<Fd> sockets;
    Status status = meetRanks(point, 0, 2, nowNs() + 10000 * kMs, sockets);
    EXPECT_TRUE(status.ok()) << status.message();
  });
  Fd silent = connectTo(point.port), loud = connectTo(point.port);
  std::string request = "GET / HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n";
  EXPECT_EQ(send(loud.get(), request.data(), request.size(), MSG_NOSIGNAL), ssize_t(request.size()));
  std::vector<Fd> sockets;
  EXPECT_EQ(meetRanks(other, 1, 2, nowNs() + 2000 * kMs, sockets).code(), Code::kPeerLost);
  Status status = meetRanks(point, 1, 2, nowNs() + 10000 * kMs, sockets);
  EXPECT_TRUE(status.ok()) << status.message();
  first.join();
}

// Ranks that were started as parts of different worlds, and ports that are taken, are refused with the numbers.
TEST(Meeting, mistakesAreNamed) {
  MeetingPoint point = {"localhost", freePort(), ""};
  EXPECT_EQ(meet({3, 2}, point, 5000 * kMs)[0].message(),
            "rank 1 was started as one of 2, and rank 0 as one of 3; expected one number");
  Fd taken(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(uint16_t(point.port = freePort()));
  ASSERT_EQ(bind(taken.get(), reinterpret_cast<sockaddr *>(&address), sizeof(address)), 0);
  ASSERT_EQ(listen(taken.get(), 1), 0);
  std::vector<Fd> sockets;
  Status status = meetRanks(point, 0, 2, nowNs() + 5000 * kMs, sockets);
  EXPECT_EQ(status.code(), Code::kInvalid);
  EXPECT_NE(status.message().find("port " + std::to_string(point.port)), std::string::npos) << status.message();
  EXPECT_NE(status.message().find("PENSTOCK_PORT"), std::string::npos) << status.message();
  status = meetRanks({"no-such-host.invalid", 1, ""}, 1, 2, nowNs() + 5000 * kMs, sockets);
  EXPECT_EQ(status.code(), Code::kInvalid);
  EXPECT_NE(status.message().find("'no-such-host.invalid'"), std::string::npos) << status.message();
}

// A rank that never comes is named at the deadline; so is a first one.
TEST(Meeting, whoeverIsMissingIsNamed) {
  MeetingPoint point = {"127.0.0.1", freePort(), ""};
  std::vector<Fd> sockets;
  Status status = meetRanks(point, 0, 2, nowNs() + 100 * kMs, sockets);
  EXPECT_EQ(status.code(), Code::kTimeout);
  EXPECT_EQ(status.message(), "rank 1 did not come to the meeting of ranks before the deadline");
  status = meetRanks(point, 1, 2, nowNs() + 100 * kMs, sockets);
  EXPECT_EQ(status.code(), Code::kTimeout);
  EXPECT_NE(status.message().find("cannot reach rank 0 at '127.0.0.1'"), std::string::npos) << status.message();
}

// Large messages, many of them, one without a receive yet: each arrives whole, in the order of its tag.
TEST(TcpFabric, movesMessages) {
  auto fabrics = meetAll(3);
  Fabric a = fabrics[1]->table(), b = fabrics[2]->table();
  constexpr int64_t kLarge = 5 << 20;
  std::vector<std::vector<char>> sent, received;
  std::vector<void *> sends, receives;
  for (int32_t i = 0; i < 4; ++i) {
    sent.emplace_back(size_t(kLarge), char('a' + i));
    received.emplace_back(size_t(kLarge));
    receives.push_back(nullptr);
    ASSERT_EQ(b.receive(b.self, 1, 7, received.back().data(), kLarge, &receives.back()), 0);
  }
  char early[64] = "before its receive";
  void *request = nullptr;
  int64_t numBytes = 0;
  ASSERT_EQ(a.send(a.self, 2, 8, early, sizeof(early), &request), 0);
  for (int32_t i = 0; i < 4; ++i) {
    sends.push_back(nullptr);
    ASSERT_EQ(a.send(a.self, 2, 7, sent[size_t(i)].data(), kLarge, &sends.back()), 0);
  }
  std::thread sender([&] {
    int64_t ignored = 0;
    for (void *each : sends)
      EXPECT_EQ(finish(a, each, ignored), 0);
  });
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(finish(b, receives[i], numBytes), 0);
    EXPECT_EQ(numBytes, kLarge);
    EXPECT_EQ(received[i], sent[i]);
  }
  sender.join();
  char late[64] = "";
  ASSERT_EQ(b.receive(b.self, kAnyRank, 8, late, sizeof(late), &request), 0);
  EXPECT_EQ(finish(b, request, numBytes), 0);
  EXPECT_STREQ(late, early);
}

// A peer whose connection ends is lost after a while, for those who wait for it and for those who send; one that has
// said farewell is not.
TEST(TcpFabric, endsOfConnections) {
  auto fabrics = meetAll(3);
  Fabric own = fabrics[0]->table();
  char room[64] = "";
  void *request = nullptr;
  int64_t numBytes = 0;
  ASSERT_EQ(own.receive(own.self, 1, 7, room, sizeof(room), &request), 0);
  fabrics[1].reset();
  int32_t code = finish(own, request, numBytes);
  ASSERT_GT(code, 0);
  char words[128] = "";
  own.explain(own.self, code, words, sizeof(words));
  EXPECT_STREQ(words, "the connection was closed");
  EXPECT_EQ(own.send(own.self, 1, 7, room, sizeof(room), &request), code);
  std::thread other([&] { EXPECT_EQ(fabrics[2]->table().finish(fabrics[2]->table().self), 0); });
  int64_t begin = nowNs();
  EXPECT_EQ(own.finish(own.self), 0);
  EXPECT_LT(nowNs() - begin, 2000 * kMs);
  other.join();
}

// A message that is longer than the room for it ends the connection with words, and writes nothing beyond the room.
TEST(TcpFabric, tooLongMessages) {
  auto fabrics = meetAll(2);
  Fabric a = fabrics[0]->table(), b = fabrics[1]->table();
  std::vector<char> large(128, 'x'), room(128, 'o');
  void *sending = nullptr, *receiving = nullptr;
  ASSERT_EQ(b.receive(b.self, 0, 7, room.data(), 64, &receiving), 0);
  ASSERT_EQ(a.send(a.self, 1, 7, large.data(), 128, &sending), 0);
  int64_t numBytes = 0;
  int32_t code = finish(b, receiving, numBytes);
  char words[128] = "";
  b.explain(b.self, code, words, sizeof(words));
  EXPECT_STREQ(words, "a message is longer than its room");
  EXPECT_EQ(room[64], 'o');
}

} // namespace
