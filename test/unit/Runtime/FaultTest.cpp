//===- FaultTest.cpp - Runs that fail end, and say why -----------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "penstock/rt/Session.h"

#include "Folder.h"

#include <cerrno>
#include <csignal>
#include <sys/wait.h>
#include <thread>

using namespace penstock::rt;
using namespace testrole;

namespace {

constexpr int64_t kSecond = 1000000000;

/// No process of the session is left, dead or alive.
void expectGone(const std::vector<StageFigures> &stages) {
  for (const StageFigures &stage : stages) {
    if (stage.pid == 0)
      continue;
    EXPECT_EQ(kill(stage.pid, 0), -1) << stage.name;
    EXPECT_EQ(errno, ESRCH) << stage.name;
  }
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1);
}

Status runOne(Session &session, int64_t rows, float first) {
  TensorMap inputs{{"x", ramp(rows, first)}}, outputs;
  return session.run(viewsOf(inputs), outputs);
}

// Whatever call of whatever stage fails, the run ends with that failure, in time, and nothing is left behind.
TEST(Faults, everyCallCanFail) {
  TemporaryFolder folder;
  writeChain(folder.path, "free", 3, chainPlan(3, false, 1));
  for (int32_t role = 0; role < 3; ++role) {
    int32_t numFailed = 0;
    for (int32_t call = 1; call < 60; ++call) {
      SessionOptions options;
      options.faults[role] = "any:" + std::to_string(call) + ":fail";
      options.timeoutNs = 10 * kSecond;
      std::vector<StageFigures> stages;
      int64_t begin = nowNs();
      Status status;
      {
        std::unique_ptr<Session> session;
        status = Session::open(folder.path, options, session);
        if (status.ok())
          status = runOne(*session, 3, 0);
        if (session) {
          Status closed = session->close();
          status = status.ok() ? closed : status;
          stages = session->stageFigures();
        }
      }
      EXPECT_LT(nowNs() - begin, 9 * kSecond);
      expectGone(stages);
      if (status.ok())
        break; // the run has fewer calls than that
      ++numFailed;
      EXPECT_EQ(status.code(), Code::kFault) << status.message();
      std::string words = "planted failure at call " + std::to_string(call) + " ";
      EXPECT_NE(status.message().find(words), std::string::npos) << status.message();
    }
    EXPECT_GT(numFailed, 20) << "role " << role;
    EXPECT_LT(numFailed, 59) << "role " << role;
  }
}

// The same when the stage dies in it.
TEST(Faults, everyCallCanKill) {
  TemporaryFolder folder;
  writeChain(folder.path, "free", 3, chainPlan(3, false, 1));
  int32_t numKilled = 0;
  for (bool isOver = false; !isOver && numKilled < 59; ++numKilled) {
    SessionOptions options;
    options.faults[1] = "any:" + std::to_string(numKilled + 1) + (numKilled % 2 ? ":kill" : ":segv");
    options.timeoutNs = 10 * kSecond;
    std::vector<StageFigures> stages;
    std::unique_ptr<Session> session;
    Status status = Session::open(folder.path, options, session);
    if (status.ok())
      status = runOne(*session, 3, 0);
    if (session)
      stages = session->stageFigures();
    isOver = status.ok();
    session.reset();
    expectGone(stages);
    if (isOver)
      break;
    EXPECT_EQ(status.code(), Code::kPeerLost) << status.message();
    EXPECT_EQ(status.message().rfind("stage 1 ('stage-1', process ", 0), 0u) << status.message();
  }
  EXPECT_GE(numKilled, 15); // its start, two channels, and six calls for each of two microbatches
  EXPECT_LT(numKilled, 59);
}

// A killed stage ends the run at once with its name and the signal, wherever it stands.
TEST(Faults, killedStage) {
  TemporaryFolder folder;
  writeChain(folder.path, "free", 3, chainPlan(3, false, 1));
  for (const char *fault : {"start:1:kill", "open:1:kill", "wait:1:kill", "wait:3:kill", "acquire:2:kill",
                            "kernel:3:kill", "publish:2:kill", "release:2:kill"}) {
    SessionOptions options;
    options.faults[1] = fault;
    int64_t begin = nowNs();
    std::vector<StageFigures> stages;
    Status status;
    {
      std::unique_ptr<Session> session;
      status = Session::open(folder.path, options, session);
      if (status.ok())
        status = runOne(*session, 6, 0);
      if (session)
        stages = session->stageFigures();
    }
    EXPECT_EQ(status.code(), Code::kPeerLost) << fault;
    EXPECT_EQ(status.exitStatus(), 1);
    for (const char *word : {"stage 1", "signal 9"})
      EXPECT_NE(status.message().find(word), std::string::npos) << status.message();
    EXPECT_LT(nowNs() - begin, 5 * kSecond) << fault;
    expectGone(stages);
  }
}

// An idle session notices too, and refuses the next request.
TEST(Faults, killedWhileIdle) {
  TemporaryFolder folder;
  writeChain(folder.path, "free", 2, chainPlan(2, false));
  std::unique_ptr<Session> session;
  ASSERT_TRUE(Session::open(folder.path, SessionOptions(), session).ok());
  ASSERT_TRUE(runOne(*session, 3, 0).ok());
  std::vector<StageFigures> stages = session->stageFigures();
  kill(stages[0].pid, SIGABRT);
  Status status;
  for (int i = 0; i < 200 && status.ok(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    status = runOne(*session, 3, 0);
  }
  EXPECT_NE(status.message().find("signal 6"), std::string::npos) << status.message();
  session.reset();
  expectGone(stages);
}

// A stopped stage is noticed at the deadline. The message names who waited for what from whom, and what that one did
// last.
TEST(Faults, stoppedStage) {
  TemporaryFolder folder;
  writeChain(folder.path, "free", 3, chainPlan(3, false, 1));
  SessionOptions options;
  options.faults[1] = "publish:3:stop";
  options.timeoutNs = kSecond;
  std::unique_ptr<Session> session;
  ASSERT_TRUE(Session::open(folder.path, options, session).ok());
  std::vector<StageFigures> stages = session->stageFigures();
  int64_t begin = nowNs();
  Status status = runOne(*session, 12, 0);
  EXPECT_EQ(status.code(), Code::kTimeout);
  EXPECT_LT(nowNs() - begin, 2 * kSecond + kSecond / 2);
  EXPECT_GE(nowNs() - begin, kSecond / 2);
  for (const char *word :
       {"stage 2, microbatch 2: waited 1", "s for '/h2' from stage 1 (last done: microbatch 2, '/finish')",
        "; stage 2 has last done microbatch 1, '/finish'"})
    EXPECT_NE(status.message().find(word), std::string::npos) << status.message();
  session.reset();
  expectGone(stages);
}

// Slow is not stuck: a stage that takes several times the timeout in all, yet moves, is waited for.
TEST(Faults, slowStageIsWaitedFor) {
  TemporaryFolder folder;
  writeChain(folder.path, "free", 2, chainPlan(2, false, 1));
  SessionOptions options;
  options.faults[0] = "publish:*:delay=300";
  options.timeoutNs = kSecond;
  std::unique_ptr<Session> session;
  ASSERT_TRUE(Session::open(folder.path, options, session).ok());
  Status status = runOne(*session, 6, 0);
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_TRUE(session->close().ok());
}

// So is a stage that is slow to give slots back; no more than `depth` messages ever wait for it, and all are right.
TEST(Faults, slowConsumerIsWaitedFor) {
  TemporaryFolder folder;
  writeChain(folder.path, "free", 3, chainPlan(3, false, 1));
  SessionOptions options;
  options.faults[2] = "release:*:delay=60,kernel:*:delay=60";
  options.timeoutNs = kSecond;
  std::unique_ptr<Session> session;
  ASSERT_TRUE(Session::open(folder.path, options, session).ok());
  TensorMap inputs{{"x", ramp(9, 5)}}, outputs;
  Status status = session->run(viewsOf(inputs), outputs);
  ASSERT_TRUE(status.ok()) << status.message();
  ASSERT_NO_FATAL_FAILURE(expectChain(outputs["y"], 9, 5, 3));
  EXPECT_TRUE(session->close().ok());
}

// Between requests nothing expires.
TEST(Faults, idleIsNoTimeout) {
  TemporaryFolder folder;
  writeChain(folder.path, "free", 2, chainPlan(2, false));
  SessionOptions options;
  options.timeoutNs = kSecond / 4;
  std::unique_ptr<Session> session;
  ASSERT_TRUE(Session::open(folder.path, options, session).ok());
  for (int i = 0; i < 2; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(700));
    Status status = runOne(*session, 3, 0);
    ASSERT_TRUE(status.ok()) << status.message();
  }
  EXPECT_TRUE(session->close().ok());
}

// A kernel that fails names stage, microbatch and node.
TEST(Faults, failingKernel) {
  TemporaryFolder folder;
  writeChain(folder.path, "free", 2, chainPlan(2, false));
  std::unique_ptr<Session> session;
  ASSERT_TRUE(Session::open(folder.path, SessionOptions(), session).ok());
  ASSERT_TRUE(runOne(*session, 3, 0).ok());
  Status status = runOne(*session, 3, -20000);
  EXPECT_EQ(status.code(), Code::kKernel);
  EXPECT_EQ(status.message(), "stage 0, microbatch 1, '/finish': the first element is -13000 or less");
}

/// What opening a folder says.
Status openStatus(const std::string &folder) {
  SessionOptions options;
  options.timeoutNs = 10 * kSecond;
  std::unique_ptr<Session> session;
  return Session::open(folder, options, session);
}

// A damaged folder is the user's fault, and the message names the file.
TEST(Damage, isNoticedAtTheStart) {
  TemporaryFolder folder;
  json plan = chainPlan(2, false);
  writeChain(folder.path, "free", 2, plan);
  ASSERT_TRUE(openStatus(folder.path).ok());
  auto refuse = [&](const char *first, const char *second) {
    Status status = openStatus(folder.path);
    EXPECT_EQ(status.exitStatus(), 2) << status.message();
    EXPECT_NE(status.message().find(first), std::string::npos) << status.message();
    EXPECT_NE(status.message().find(second), std::string::npos) << status.message();
  };
  writeFile(folder.path + "/stage-0.weights", chainWeights().substr(0, 60));
  refuse("stage-0.weights", "has 60 bytes, expected 64");
  std::string wrong = chainWeights();
  wrong[5] ^= 1;
  writeFile(folder.path + "/stage-0.weights", wrong);
  refuse("stage-0.weights", "checksum");
  std::filesystem::remove(folder.path + "/stage-0.weights");
  refuse("stage-0.weights", "no such file");
  writeFile(folder.path + "/stage-0.weights", chainWeights());

  json other = plan;
  other["channels"][1]["depth"] = 5;
  writeFile(folder.path + "/plan.json", other.dump());
  refuse("channel 'c1'", "depth");
  writeFile(folder.path + "/plan.json", plan.dump());
  std::filesystem::remove(folder.path + "/stage-1");
  refuse("stage-1", "no such file");
  writeFile(folder.path + "/stage-1", "not an executable");
  std::filesystem::permissions(folder.path + "/stage-1", std::filesystem::perms::owner_all);
  refuse("stage-1", "damaged");
}

// A stage of another compilation is refused, and the difference is named.
TEST(Damage, strangersAreRefused) {
  TemporaryFolder folder, other;
  writeChain(folder.path, "free", 2, chainPlan(2, false));
  std::filesystem::remove(folder.path + "/stage-1");
  std::filesystem::create_symlink(std::string(PENSTOCK_TEST_ROLES) + "/stranger-1-of-2", folder.path + "/stage-1");
  Status status = openStatus(folder.path);
  EXPECT_EQ(status.exitStatus(), 2);
  EXPECT_NE(
      status.message().find("stage-1 comes from another compilation: cut is 'cd' in stage-1 and 'ab' in plan.json"),
      std::string::npos)
      << status.message();
  // Twice the same stage.
  writeChain(other.path, "free", 2, chainPlan(2, false));
  std::filesystem::remove(other.path + "/stage-1");
  std::filesystem::create_symlink(std::string(PENSTOCK_TEST_ROLES) + "/free-0-of-2", other.path + "/stage-1");
  status = openStatus(other.path);
  EXPECT_NE(status.message().find("joined already"), std::string::npos) << status.message();
}

} // namespace
