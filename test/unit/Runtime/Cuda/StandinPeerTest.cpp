//===- StandinPeerTest.cpp - The stand-in of NCCL between processes -===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Rank 0 is in this process; rank 1 is this program again, started with a list of steps.
//
//===----------------------------------------------------------------------===//
#include "DeviceRun.h"
#include "transports/nccl/Links.h"

#include <cstdio>
#include <cstdlib>
#include <sched.h>
#include <sstream>
#include <unistd.h>

using namespace testdevice;

namespace {

constexpr const char *kLinkVariable = "PENSTOCK_TEST_LINK", *kStepsVariable = "PENSTOCK_TEST_STEPS";
constexpr const char *kLost = "remote process exited or there was a network error";

/// A device and one end of a link: rank 0 sends, rank 1 receives.
class Rank {
public:
  Rank(int32_t rank, int32_t device, std::string id = std::string()) : rank(rank), open(device), d(open.table) {
    EXPECT_EQ(d.makeStream(d.self, 0, &stream), 0);
    EXPECT_TRUE(DeviceEvent::make(d, "a test", event).ok());
    EXPECT_EQ(d.allocate(d.self, 64, &data), 0);
    EXPECT_TRUE(loadLinks(PENSTOCK_TEST_NCCL, links).ok());
    identity = std::move(id);
    identity.resize(kLinkIdBytes);
    if (rank == 0)
      EXPECT_EQ(links.makeId(links.self, &identity[0]), 0);
    EXPECT_EQ(d.enter(d.self), 0);
    EXPECT_EQ(links.join(links.self, identity.data(), rank, &link), kBegun);
  }
  ~Rank() {
    abort();
    event = DeviceEvent();
    EXPECT_EQ(d.dropStream(d.self, stream), 0);
    EXPECT_EQ(d.release(d.self, data), 0);
  }
  int32_t state() { return links.state(links.self, link); }
  /// What became of what was begun last.
  int32_t settle() {
    int32_t code = state();
    for (int64_t end = deadlineAfter(kLong); code == kBegun && nowNs() < end; code = state())
      sched_yield();
    return code;
  }
  int32_t give(int64_t numBytes) {
    return rank == 0 ? links.send(links.self, link, 1, data, numBytes, stream)
                     : links.receive(links.self, link, 0, data, numBytes, stream);
  }
  void awaitTransfers() {
    EXPECT_EQ(d.mark(d.self, event.get(), stream), 0);
    EXPECT_TRUE(awaitEvent(d, "a test", "move", event.get(), deadlineAfter(kLong), Watch()).ok());
  }
  void leave() {
    EXPECT_EQ(links.finish(links.self, link), kBegun);
    EXPECT_EQ(settle(), kLinked);
    EXPECT_EQ(links.drop(links.self, link), 0);
    link = nullptr;
  }
  void abort() {
    if (link)
      EXPECT_EQ(links.abort(links.self, link), 0);
    link = nullptr;
  }
  std::string wordsOf(int32_t code) {
    char words[128] = "";
    links.explain(links.self, code, words, sizeof(words));
    return words;
  }

  int32_t rank;
  OpenDevice open;
  const Device &d;
  Links links;
  std::string identity;
  void *stream = nullptr, *data = nullptr, *link = nullptr;
  DeviceEvent event;
};

/// The other process.
class Other {
public:
  Other(const Rank &here, const std::string &steps, const std::string &variables = std::string()) {
    char program[4096] = "";
    EXPECT_GT(readlink("/proc/self/exe", program, sizeof(program) - 1), 0);
    std::string command = variables + " " + kLinkVariable + "='" + here.identity.c_str() + "' " + kStepsVariable +
                          "='" + steps + "' exec " + program +
                          " --gtest_filter=StandinPeer.DISABLED_play --gtest_also_run_disabled_tests";
    pipe = popen(command.c_str(), "r");
    EXPECT_NE(pipe, nullptr);
  }
  /// What it has said, once it has ended.
  std::string end() {
    std::string said;
    for (char line[512]; pipe && std::fgets(line, sizeof(line), pipe);)
      if (std::strncmp(line, "said: ", 6) == 0)
        said += line + 6;
    EXPECT_NE(pclose(pipe), -1);
    return said;
  }

private:
  std::FILE *pipe = nullptr;
};

} // namespace

/// Steps: the device, to begin with; "N", a receive of so many bytes; "sum" of the bytes; "until PATH", which is a file
/// that another makes; "leave", "abort", "die", "refused".
TEST(StandinPeer, DISABLED_play) {
  const char *id = std::getenv(kLinkVariable), *text = std::getenv(kStepsVariable);
  ASSERT_TRUE(id && text);
  standin::reset();
  std::istringstream steps(text);
  int32_t device = 0;
  steps >> device;
  {
    Rank rank(1, device, id);
    for (std::string step; steps >> step;) {
      if (step == "refused") {
        std::printf("said: %s\n", rank.wordsOf(rank.settle()).c_str());
        continue;
      }
      EXPECT_EQ(rank.settle(), kLinked);
      if (step == "die")
        _exit(0);
      else if (step == "leave")
        rank.leave();
      else if (step == "abort")
        rank.abort();
      else if (step == "sum") {
        unsigned char bytes[64] = {};
        rank.awaitTransfers();
        rank.open.read(bytes, rank.data, sizeof(bytes));
        int sum = 0;
        for (unsigned char byte : bytes)
          sum += byte;
        std::printf("said: sum %d\n", sum);
      } else if (step == "until") {
        steps >> step;
        while (access(step.c_str(), F_OK) != 0)
          sched_yield();
      } else {
        int32_t code = rank.give(std::stoll(step));
        EXPECT_TRUE(code == kBegun || code == kLinked);
      }
    }
  }
  standin::checkLeaks();
  std::istringstream faults(faultWords());
  for (std::string line; std::getline(faults, line);)
    std::printf("said: %s\n", line.c_str());
}

// Bytes get from one process to the other; the first transfer needs both, and neither finds anything.
TEST(StandinPeer, bytesArrive) {
  standin::reset();
  {
    Rank rank(0, 0);
    EXPECT_EQ(rank.state(), kBegun);
    std::string mark = testing::TempDir() + "standin-peer-" + std::to_string(getpid());
    Other other(rank, "1 until " + mark + " 64 64 sum leave");
    EXPECT_EQ(rank.settle(), kLinked);
    unsigned char bytes[64] = {1, 2, 3, 4};
    rank.open.write(rank.data, bytes, sizeof(bytes));
    EXPECT_EQ(rank.give(64), kBegun);
    EXPECT_EQ(rank.state(), kBegun);
    std::fclose(std::fopen(mark.c_str(), "w"));
    EXPECT_EQ(rank.settle(), kLinked);
    EXPECT_EQ(rank.give(64), kLinked);
    rank.awaitTransfers();
    rank.leave();
    EXPECT_EQ(other.end(), "sum 10\n");
    EXPECT_EQ(unlink(mark.c_str()), 0);
  }
  standin::checkLeaks();
  EXPECT_EQ(faultWords(), "");
}

// Each side finds what does not match.
TEST(StandinPeer, mismatches) {
  standin::reset();
  {
    Rank rank(0, 0);
    Other other(rank, "1 32 sum leave");
    EXPECT_EQ(rank.settle(), kLinked);
    (void)rank.give(64);
    EXPECT_EQ(rank.settle(), kLinked);
    rank.awaitTransfers();
    (void)rank.give(64);
    rank.leave();
    std::string expected = "mismatch: a send of 64 bytes from rank 0 to 1 meets a receive of 32\n"
                           "mismatch: 2 sends from rank 0 to 1 and 1 receives\n";
    EXPECT_EQ(faultWords(), expected);
    std::string said = other.end();
    EXPECT_EQ(said.substr(said.find('\n') + 1), expected);
  }
}

// A process that goes, or ends its link, in the middle; the stand-in can be made not to notice the former.
TEST(StandinPeer, aLostProcess) {
  for (const char *how : {"die", "abort"}) {
    standin::reset();
    Rank rank(0, 0);
    Other other(rank, std::string("1 64 ") + how);
    EXPECT_EQ(rank.settle(), kLinked);
    (void)rank.give(64);
    (void)other.end();
    int32_t code = kLinked;
    for (int64_t end = deadlineAfter(kLong); (code == kLinked || code == kBegun) && nowNs() < end; code = rank.state())
      sched_yield();
    EXPECT_EQ(rank.wordsOf(code), kLost);
    EXPECT_EQ(faultWords(), "");
  }
  standin::Configuration blind;
  blind.isNcclBlind = true;
  standin::reset(blind);
  Rank rank(0, 0);
  Other other(rank, "1 die");
  EXPECT_EQ(rank.settle(), kLinked);
  (void)other.end();
  for (int64_t end = nowNs() + 50 * kMs; nowNs() < end;)
    EXPECT_EQ(rank.state(), kLinked);
}

// One device for both is refused, unless they say that they are on different hosts.
TEST(StandinPeer, oneDevice) {
  standin::reset();
  {
    Rank rank(0, 0);
    Other other(rank, "0 refused");
    std::string words = "invalid usage; are both on one device? Each needs an NCCL_HOSTID of its own then";
    EXPECT_EQ(rank.wordsOf(rank.settle()), words);
    EXPECT_EQ(other.end(), words + "\n");
  }
  Rank rank(0, 0);
  Other other(rank, "0 64 leave", "NCCL_HOSTID=another");
  EXPECT_EQ(rank.settle(), kLinked);
  (void)rank.give(64);
  EXPECT_EQ(rank.settle(), kLinked);
  rank.awaitTransfers();
  rank.leave();
  EXPECT_EQ(other.end(), "");
  EXPECT_EQ(faultWords(), "");
}
