//===- AllInOneTest.cpp - All stages as threads of one executable -===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "Folder.h"
#include "penstock/rt/Files.h"

#include <algorithm>

using namespace penstock::rt;
using namespace testrole;

namespace {

/// A folder with a chain of three stages in both forms.
class AllInOneProcess : public testing::Test {
protected:
  AllInOneProcess() {
    dir = work.path + "/chain.penstock";
    std::filesystem::create_directory(dir);
    plan = chainPlan(3, false, 1);
    writeChain(dir, "free", 3, plan);
    std::filesystem::copy_file(PENSTOCK_TEST_LAUNCH, dir + "/launch");
    std::filesystem::copy_file(PENSTOCK_TEST_ALL_IN_ONE, dir + "/all-in-one");
  }
  Outcome run(const std::string &program, const std::string &arguments, const std::string &environment = "") {
    return runCommand(environment + " " + dir + "/" + program + " " + arguments, work.path);
  }
  TemporaryFolder work;
  std::string dir;
  json plan;
};

// The same bytes as processes give, whether started by itself or by launch.
TEST_F(AllInOneProcess, sameBytes) {
  ASSERT_TRUE(writeNpyFile(work.path + "/x.npy", ramp(50, 1)).ok());
  std::string input = "--input x=" + work.path + "/x.npy --output-dir " + work.path;
  std::vector<std::string> results;
  for (const char *how : {"launch", "all-in-one", "launch --all-in-one"}) {
    Outcome outcome = run(how, input + "/out");
    ASSERT_EQ(outcome.exitStatus, 0) << how << ": " << outcome.err;
    results.push_back(readFile(work.path + "/out/y.npy"));
  }
  EXPECT_FALSE(results[0].empty());
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

// It needs no executable of a stage, and says which file is not there.
TEST_F(AllInOneProcess, alone) {
  for (int32_t i = 0; i < 3; ++i)
    std::filesystem::remove(dir + "/" + kRoleNames[i]);
  Outcome outcome = run("launch", "--random --dim n=4 --all-in-one --repeat 20 --json");
  EXPECT_EQ(outcome.exitStatus, 0) << outcome.err;
  EXPECT_EQ(json::parse(outcome.out)["stages"].size(), 3u);
  std::filesystem::remove(dir + "/all-in-one");
  outcome = run("launch", "--random --dim n=4 --all-in-one");
  EXPECT_EQ(outcome.exitStatus, 2);
  EXPECT_NE(outcome.err.find("has no 'all-in-one'; compile the model with --all-in-one"), std::string::npos)
      << outcome.err;
}

// What is of another compilation is refused, and so is more than one process.
TEST_F(AllInOneProcess, refuses) {
  std::string twoRanks = "OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_LOCAL_SIZE=2";
  Outcome outcome = run("all-in-one", "--random --dim n=4", twoRanks);
  EXPECT_EQ(outcome.exitStatus, 2);
  EXPECT_NE(outcome.err.find("mpirun started 2 processes"), std::string::npos) << outcome.err;
  outcome = run("launch", "--random --dim n=4 --all-in-one --launcher mpirun");
  EXPECT_EQ(outcome.exitStatus, 2);
  EXPECT_NE(outcome.err.find("--launcher mpirun starts a process per stage"), std::string::npos) << outcome.err;
  plan["fingerprint"] = std::string(64, 'c');
  writeFile(dir + "/plan.json", plan.dump());
  outcome = run("all-in-one", "--random --dim n=4");
  EXPECT_EQ(outcome.exitStatus, 2);
  EXPECT_NE(outcome.err.find("another compilation"), std::string::npos) << outcome.err;
}

// Whichever call of whichever stage fails, the run ends with one line that tells of it, and no result that is not
// marked.
TEST_F(AllInOneProcess, plantedFailures) {
  std::string results = work.path + "/results", input = "--random --dim n=3 --timeout 5 --output-dir " + results;
  for (int32_t stage = 0; stage < 3; ++stage) {
    int32_t number = 1;
    for (; number < 100; ++number) {
      std::string fault = std::to_string(stage) + ":any:" + std::to_string(number) + ":fail";
      Outcome outcome = run("all-in-one", input + " --fault " + fault);
      if (outcome.exitStatus == 0)
        break;
      ASSERT_EQ(outcome.exitStatus, 1) << fault << ": " << outcome.err;
      ASSERT_EQ(outcome.err.find("error: planted failure at call " + std::to_string(number)), 0u)
          << fault << ": " << outcome.err;
      ASSERT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
      ASSERT_EQ(std::filesystem::exists(results), std::filesystem::exists(results + "/INCOMPLETE")) << fault;
      std::filesystem::remove_all(results);
    }
    EXPECT_GT(number, 10);
    EXPECT_LT(number, 100);
    std::filesystem::remove_all(results);
  }
}

// A stage that holds everybody up is named; one that never comes back does not keep the process.
TEST_F(AllInOneProcess, stuckStage) {
  Outcome outcome = run("all-in-one", "--random --dim n=3 --timeout 0.5 --fault 1:publish:2:delay=60000");
  EXPECT_EQ(outcome.exitStatus, 1);
  EXPECT_NE(outcome.err.find("waited 0.5"), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find("stage 1"), std::string::npos) << outcome.err;
}

// A crash ends the process with status 1, and the line names the stage in whose thread it happened.
TEST_F(AllInOneProcess, crash) {
  std::string err = work.path + "/err.txt";
  std::string command = dir + "/all-in-one --random --dim n=1000 --fault 1:publish:*:delay=50 2>" + err +
                        " >/dev/null & run=$!; for i in $(seq 200); do"
                        " for t in /proc/$run/task/*; do [ \"$(cat $t/comm 2>/dev/null)\" = stage-1 ] && break 2; "
                        "done; sleep 0.05; done; "
                        "sleep 0.3; python3 -c 'import ctypes, sys; ctypes.CDLL(None).syscall(234, int(sys.argv[1]), "
                        "int(sys.argv[2]), 11)'"
                        " $run $(basename $t); wait $run; exit $?";
  int state = std::system(command.c_str());
  EXPECT_EQ(WEXITSTATUS(state), 1);
  EXPECT_EQ(readFile(err), "error: stage-1: ended by a signal (SIGSEGV), and all-in-one with it\n");
}

} // namespace
