//===- WordTest.cpp - Which rank tells of a failure --------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "Word.h"
#include "QueueFabric.h"
#include "RankRun.h"

#include <cstdlib>
#include <thread>

using namespace penstock::rt;
using testfabric::QueueFabric;
using testfabric::RankRun;

namespace {

constexpr int64_t kSecond = 1000000000;
constexpr int32_t kRoles = 3;

ControlLayout layoutOfRoles() {
  ControlLayout layout;
  layout.numRoles = kRoles;
  return layout;
}

/// What one rank knows.
class Block {
public:
  Block() : memory(static_cast<char *>(std::calloc(1, size_t(RunControl::bytesFor(layoutOfRoles()))))) {
    control = RunControl::create(memory.get(), layoutOfRoles());
  }
  Block &failed(int32_t role, Code code) {
    control.reportFailure(role, Status(code, "stage " + std::to_string(role) + ": something"));
    return *this;
  }
  Block &heard(int32_t role, int64_t when = 1) {
    control.role(role).heardNs.store(when);
    return *this;
  }
  Block &hasWord(int32_t role) {
    control.role(role).hasWord.store(1);
    return *this;
  }
  RunControl control;

private:
  struct Free {
    void operator()(char *pointer) const { std::free(pointer); }
  };
  std::unique_ptr<char, Free> memory;
};

// Present is who was heard of lately, and whoever asks; the lowest one counts.
TEST(Word, theLowestPresent) {
  constexpr int64_t now = 100 * kSecond;
  EXPECT_EQ(firstPresent(Block().control, 2, now, kSecond), 2);
  EXPECT_EQ(firstPresent(Block().heard(1, 99 * kSecond + 1).control, 2, now, kSecond), 1);
  EXPECT_EQ(firstPresent(Block().heard(1, 99 * kSecond).control, 2, now, kSecond), 2);
  EXPECT_EQ(firstPresent(Block().heard(0, now).heard(1, now).control, 2, now, kSecond), 0);
  EXPECT_EQ(firstPresent(Block().heard(2, now).control, 1, now, kSecond), 1);
}

// A failure with a cause of its own is told by the rank that has it, and by the lowest of several; whoever has only
// heard of it, or stalled beside it, is silent.
TEST(Word, ofACause) {
  EXPECT_EQ(turnOf(Block().control, 1), 0);
  EXPECT_EQ(turnOf(Block().failed(1, Code::kFault).control, 1), 0);
  EXPECT_EQ(turnOf(Block().failed(1, Code::kFault).control, 0), kNoTurn);
  EXPECT_EQ(turnOf(Block().failed(1, Code::kFault).failed(0, Code::kKernel).control, 0), 0);
  EXPECT_EQ(turnOf(Block().failed(1, Code::kFault).failed(0, Code::kKernel).control, 1), kNoTurn);
  EXPECT_EQ(turnOf(Block().failed(2, Code::kTimeout).failed(1, Code::kFault).control, 1), 0);
  EXPECT_EQ(turnOf(Block().failed(2, Code::kTimeout).failed(1, Code::kFault).control, 2), kNoTurn);
  EXPECT_EQ(turnOf(Block().failed(1, Code::kAborted).failed(2, Code::kFault).control, 1), kNoTurn);
  // The host has seen its stage end; it repeats what it has heard of another one.
  EXPECT_EQ(turnOf(Block().failed(kRoles, Code::kPeerLost).control, 1), 0);
  EXPECT_EQ(turnOf(Block().failed(2, Code::kFault).failed(kRoles, Code::kFault).control, 1), kNoTurn);
}

// Of a stall, the one that has said so tells. Who knows of none lets those that hear each other go first; ranks that
// never met have the order of their roles.
TEST(Word, ofAStall) {
  EXPECT_FALSE(knowsOnlyStalls(Block().control));
  EXPECT_FALSE(knowsOnlyStalls(Block().failed(0, Code::kTimeout).failed(1, Code::kFault).control));
  for (Code code : {Code::kTimeout, Code::kPeerLost}) {
    EXPECT_TRUE(knowsOnlyStalls(Block().failed(1, code).failed(2, Code::kAborted).control));
    EXPECT_EQ(turnOf(Block().failed(1, code).hasWord(1).control, 1), 0);
    EXPECT_EQ(turnOf(Block().failed(1, code).hasWord(0).control, 1), kNoTurn);
    EXPECT_EQ(turnOf(Block().failed(1, code).hasWord(2).control, 1), kNoTurn);
    for (int32_t role = 0; role < kRoles; ++role)
      EXPECT_EQ(turnOf(Block().failed(role, code).control, role), role);
    for (int32_t role = 0; role < kRoles; ++role)
      EXPECT_EQ(turnOf(Block().failed(role, code).heard((role + 1) % kRoles).control, role), 2);
  }
  // The host of a stage that was stopped: its source or its sink noticed.
  EXPECT_EQ(turnOf(Block().failed(kRoles, Code::kTimeout).heard(0).control, 1), 2);
}

/// Ranks that have heard of each other. Deadlines are so long that none passes by itself.
class Trio {
public:
  Trio()
      : hub(kRoles), run(layoutOfRoles(), [this](int32_t role) { return hub.of(role); }, false, true, 240 * kSecond) {
    for (int32_t role = 0; role < kRoles; ++role)
      for (int32_t other = 0; other < kRoles; ++other)
        await([&] { return role == other || run.control(role).role(other).heardNs.load() != 0; });
  }
  static void await(const std::function<bool()> &condition) {
    int64_t until = nowNs() + 20 * kSecond;
    while (!condition() && nowNs() < until)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_TRUE(condition());
  }
  /// Nothing of it is heard any more, nor does it hear; the others have noticed.
  void stop(int32_t role) {
    hub.cutOff(role);
    for (int32_t other = 0; other < kRoles; ++other)
      if (other != role)
        run.control(other).role(role).heardNs.store(1);
  }
  /// A role's wait is over; so is its end.
  Status stall(int32_t role) {
    Status status = fail(Code::kTimeout, "stage %d: waited", role);
    run.control(role).reportFailure(role, status);
    return run.transport(role).finish(status);
  }
  /// A role that has noticed nothing ends because others have.
  Status follow(int32_t role) {
    await([&] { return run.control(role).aborted(); });
    return run.transport(role).finish(fail(Code::kAborted, "stage %d: the run was ended", role));
  }
  int32_t turn(int32_t role) { return turnOf(run.control(role), role); }
  QueueFabric hub;
  RankRun run;
};

// The last rank alone notices a stall: the first one tells of it, in the words of the last.
TEST(Word, travelsToTheFirst) {
  Trio trio;
  std::vector<std::thread> roles;
  roles.emplace_back([&] { EXPECT_EQ(trio.follow(0).code(), Code::kAborted); });
  roles.emplace_back([&] { EXPECT_EQ(trio.follow(1).code(), Code::kAborted); });
  roles.emplace_back([&] { EXPECT_EQ(trio.stall(2).code(), Code::kTimeout); });
  for (std::thread &role : roles)
    role.join();
  EXPECT_EQ(trio.turn(0), 0);
  EXPECT_EQ(trio.turn(1), kNoTurn);
  EXPECT_EQ(trio.turn(2), kNoTurn);
  EXPECT_EQ(trio.run.control(0).firstFailure().message(), "stage 2: waited");
}

// All that can notice a stall do so at once, again and again: one of them tells, never two and never none.
TEST(Word, isOfOneWhenAllNotice) {
  for (int32_t stopped = 0; stopped < kRoles; ++stopped) {
    Trio trio;
    trio.stop(stopped);
    std::vector<std::thread> roles;
    for (int32_t role = 0; role < kRoles; ++role)
      if (role != stopped)
        roles.emplace_back([&trio, role] { EXPECT_EQ(trio.stall(role).code(), Code::kTimeout); });
    for (std::thread &role : roles)
      role.join();
    int32_t first = stopped == 0 ? 1 : 0;
    for (int32_t role = 0; role < kRoles; ++role)
      if (role != stopped)
        EXPECT_EQ(trio.turn(role), role == first ? 0 : kNoTurn) << stopped << " " << role;
  }
}

// A failure with a cause needs no word: the rank that has it tells, the others leave it to that.
TEST(Word, isNotNeededForACause) {
  Trio trio;
  Status cause = fail(Code::kKernel, "stage 1: it broke");
  trio.run.control(1).reportFailure(1, cause);
  std::thread first([&] { (void)trio.follow(0); }), last([&] { (void)trio.follow(2); });
  EXPECT_EQ(trio.run.transport(1).finish(cause).code(), Code::kKernel);
  first.join();
  last.join();
  for (int32_t role = 0; role < kRoles; ++role) {
    EXPECT_EQ(trio.turn(role), role == 1 ? 0 : kNoTurn);
    EXPECT_EQ(wordHolder(trio.run.control(role)), -1);
  }
}

} // namespace
