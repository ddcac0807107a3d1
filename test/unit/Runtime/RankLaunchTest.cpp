//===- RankLaunchTest.cpp - The launch executable under mpirun ---*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Ranks are processes of this host. Stages are copied into the folder: one that starts by itself must find `launch`
// beside it.
//
//===----------------------------------------------------------------------===//
#include "Folder.h"
#include "penstock/rt/Files.h"

#include <algorithm>
#include <csignal>
#include <fcntl.h>
#include <fstream>
#include <thread>

using namespace penstock::rt;
using namespace testrole;

namespace {

constexpr int64_t kSecond = 1000000000;

struct RanksOutcome : Outcome {
  double seconds = 0;
  int64_t endNs = 0;
  std::vector<std::string> errors = {}; ///< our own lines among what launchers say
};

std::vector<std::string> errorLines(const std::string &text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);)
    if (line.rfind("error: ", 0) == 0)
      lines.push_back(line);
  return lines;
}

/// Processes whose executable lies in the folder.
std::vector<pid_t> processesOf(const std::string &folder) {
  std::vector<pid_t> found;
  for (const auto &entry : std::filesystem::directory_iterator("/proc")) {
    std::string name = entry.path().filename();
    std::error_code ignored;
    if (name.find_first_not_of("0123456789") == std::string::npos &&
        std::filesystem::read_symlink(entry.path() / "exe", ignored).string().rfind(folder + "/", 0) == 0)
      found.push_back(std::atoi(name.c_str()));
  }
  return found;
}

class RankLaunch : public testing::Test {
protected:
  void SetUp() override {
    if (std::system("command -v mpirun >/dev/null 2>&1") != 0)
      GTEST_SKIP() << "mpirun is not installed (package openmpi-bin)";
    for (const char *name : {"OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM",
                             "OMPI_MCA_rmaps_base_oversubscribe", "OMPI_MCA_orte_allowed_exit_without_sync"})
      setenv(name, "1", 1);
  }
  /// `foreign`: this stage comes from another compilation.
  void make(int32_t stages, int64_t rows = 1, int32_t foreign = -1) {
    dir = std::filesystem::canonical(work.path).string() + "/chain.penstock";
    std::filesystem::create_directories(dir + "/lib");
    writeFile(dir + "/plan.json", chainPlan(stages, false, rows).dump());
    writeFile(dir + "/stage-0.weights", chainWeights());
    for (int32_t i = 0; i < stages; ++i) {
      std::string variant = i == foreign ? "stranger" : "free";
      std::filesystem::copy_file(std::string(PENSTOCK_TEST_ROLES) + "/" + variant + "-" + std::to_string(i) + "-of-" +
                                     std::to_string(stages),
                                 dir + "/" + kRoleNames[i]);
    }
    std::filesystem::copy_file(PENSTOCK_TEST_LAUNCH, dir + "/launch");
    std::filesystem::copy_file(PENSTOCK_TEST_PLUGIN, dir + "/lib/libpenstock-mpi.so");
    ASSERT_TRUE(writeNpyFile(work.path + "/x.npy", ramp(5, 1)).ok());
  }
  /// `during` runs beside the command.
  RanksOutcome run(const std::string &command, const std::function<void()> &during = nullptr) {
    std::thread beside([&] {
      if (during)
        during();
    });
    int64_t begin = nowNs();
    RanksOutcome outcome{runCommand("timeout 60 " + command, work.path)};
    outcome.endNs = nowNs();
    outcome.seconds = double(outcome.endNs - begin) * 1e-9;
    beside.join();
    outcome.errors = errorLines(outcome.err);
    return outcome;
  }
  void expectResult(const Outcome &outcome, const std::string &file, int32_t stages) {
    EXPECT_EQ(outcome.exitStatus, 0) << outcome.err;
    Tensor result;
    Status status = readTensorFile(file, result);
    ASSERT_TRUE(status.ok()) << status.message();
    ASSERT_NO_FATAL_FAILURE(expectChain(result, 5, 1, stages));
  }
  /// Whatever happened, nothing runs on.
  void expectNoOrphans() {
    int64_t until = nowNs() + 5 * kSecond;
    while (!processesOf(dir).empty() && nowNs() < until)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_TRUE(processesOf(dir).empty());
  }
  /// The process of a stage, once it runs.
  pid_t awaitStage(const char *name) {
    int64_t until = nowNs() + 20 * kSecond;
    for (; nowNs() < until; std::this_thread::sleep_for(std::chrono::milliseconds(5)))
      for (pid_t process : processesOf(dir)) {
        std::error_code ignored;
        std::string exe = std::filesystem::read_symlink("/proc/" + std::to_string(process) + "/exe", ignored);
        if (exe == dir + "/" + name)
          return process;
      }
    return -1;
  }
  /// When the process of a stage stops or ends; 0 if it was not seen to.
  int64_t awaitFault(const char *name) {
    pid_t process = awaitStage(name);
    for (int64_t until = nowNs() + 30 * kSecond; process > 0 && nowNs() < until;) {
      std::ifstream file("/proc/" + std::to_string(process) + "/stat");
      std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
      size_t end = text.rfind(") ");
      if (end == std::string::npos || std::string("TZX").find(text[end + 2]) != std::string::npos)
        return nowNs();
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return 0;
  }
  /// How long launchers and ranks take to start, on a busy machine, is not what is promised.
  RanksOutcome runWithFault(const std::string &command, const char *stage, double mostSeconds) {
    int64_t faultNs = 0;
    RanksOutcome outcome = run(command, [&] { faultNs = awaitFault(stage); });
    EXPECT_NE(outcome.exitStatus, 0) << command;
    EXPECT_GT(faultNs, 0) << command;
    EXPECT_LT(double(outcome.endNs - faultNs) * 1e-9, mostSeconds) << command;
    return outcome;
  }
  std::string input() { return " --input x=" + work.path + "/x.npy"; }

  TemporaryFolder work;
  std::string dir;
};

// The folder that runs by itself runs under mpirun too: the same bits, for a chain with a connection that skips stages,
// through shared memory and through MPI.
TEST_F(RankLaunch, sameResults) {
  for (int32_t stages : {2, 3}) {
    ASSERT_NO_FATAL_FAILURE(make(stages));
    std::string results = work.path + "/results",
                command = "mpirun -n " + std::to_string(stages) + " " + dir + "/launch";
    RanksOutcome outcome = run(command + input() + " --no-shared-memory --output-dir " + results);
    ASSERT_NO_FATAL_FAILURE(expectResult(outcome, results + "/y.npy", stages));
    EXPECT_EQ(outcome.err, "");
    std::filesystem::remove_all(results);
    outcome = run(command + input() + " --output-dir " + results);
    ASSERT_NO_FATAL_FAILURE(expectResult(outcome, results + "/y.npy", stages));
    EXPECT_EQ(outcome.err, "");
    outcome = run(dir + "/launch" + input() + " --output-dir " + work.path + "/local");
    EXPECT_EQ(readFile(results + "/y.npy"), readFile(work.path + "/local/y.npy"));
    std::filesystem::remove_all(dir);
    std::filesystem::remove_all(results);
  }
}

// Each stage started as itself, in any order of ranks; only the stage that takes the input is told of it.
TEST_F(RankLaunch, oneProgramPerRank) {
  ASSERT_NO_FATAL_FAILURE(make(3));
  std::string results = work.path + "/results";
  RanksOutcome outcome = run("mpirun -n 1 " + dir + "/stage-2 --output-dir " + results + " : -n 1 " + dir + "/stage-0" +
                             input() + " : -n 1 " + dir + "/stage-1");
  ASSERT_NO_FATAL_FAILURE(expectResult(outcome, results + "/y.npy", 3));
  outcome = run("mpirun -n 2 " + dir + "/stage-0" + input() + " : -n 1 " + dir + "/stage-1");
  EXPECT_NE(outcome.exitStatus, 0);
  EXPECT_NE(outcome.err.find("runs stage-0, as rank"), std::string::npos) << outcome.err;
}

// The option starts the launcher; requests of several archives, and many, keep their order.
TEST_F(RankLaunch, launcherOption) {
  ASSERT_NO_FATAL_FAILURE(make(3));
  std::string results = work.path + "/results";
  ASSERT_EQ(std::system(("cd " + work.path +
                         " && python3 -c \"import zipfile\nfor k in range(3): "
                         "zipfile.ZipFile(f'r{k}.npz', 'w').write('x.npy')\"")
                            .c_str()),
            0);
  std::string archives;
  for (int k = 0; k < 3; ++k)
    archives += " --inputs " + work.path + "/r" + std::to_string(k) + ".npz";
  RanksOutcome outcome =
      run(dir + "/launch --launcher mpirun --repeat 50 --verbose" + archives + " --output-dir " + results);
  for (int k = 0; k < 3; ++k)
    ASSERT_NO_FATAL_FAILURE(expectResult(outcome, results + "/" + std::to_string(k) + "/y.npy", 3));
  EXPECT_NE(outcome.out.find("requests per second (150 in"), std::string::npos) << outcome.out;
  for (const char *stage : {"stage-0", "stage-1", "stage-2"})
    EXPECT_NE(outcome.out.find(stage), std::string::npos) << outcome.out;
  outcome = run(dir + "/launch --random --dim n=7 --launcher mpirun --json");
  EXPECT_EQ(json::parse(outcome.out)["outputs"][0]["dims"], (json{7, 4}));
}

// A wrong number of ranks, and mistakes in the arguments, are refused in one line.
TEST_F(RankLaunch, mistakesAreNamedOnce) {
  ASSERT_NO_FATAL_FAILURE(make(3));
  auto refuse = [&](const std::string &command, const std::string &words) {
    RanksOutcome outcome = run(command);
    EXPECT_EQ(outcome.exitStatus, 2) << command;
    ASSERT_EQ(outcome.errors.size(), 1u) << outcome.err;
    EXPECT_NE(outcome.errors[0].find(words), std::string::npos) << outcome.errors[0];
  };
  refuse("mpirun -n 2 " + dir + "/launch" + input(),
         "compiled into 3 stages, and mpirun started 2 processes; expected 3");
  refuse("mpirun -n 4 " + dir + "/launch" + input(), "mpirun started 4 processes");
  refuse("mpirun -n 3 " + dir + "/launch --nonsense", "--nonsense");
  refuse("mpirun -n 3 " + dir + "/launch", "input 'x' is missing");
  refuse("mpirun -n 3 " + dir + "/launch --input x=" + work.path + "/none.npy", "none.npy");
  refuse("env RANK=0 WORLD_SIZE=3 " + dir + "/launch" + input(), "torchrun started rank 0 of 3");
  RanksOutcome outcome = run("env RANK=0 WORLD_SIZE=3 " + dir + "/launch --launcher local --quiet" + input());
  EXPECT_EQ(outcome.exitStatus, 0) << outcome.err;
}

// Stages of different compilations do not talk.
TEST_F(RankLaunch, strangersAreRefused) {
  ASSERT_NO_FATAL_FAILURE(make(2, 1, 1));
  RanksOutcome outcome = run("mpirun -n 2 " + dir + "/launch" + input() + " --timeout 5");
  EXPECT_NE(outcome.exitStatus, 0);
  ASSERT_GE(outcome.errors.size(), 1u) << outcome.err;
  EXPECT_NE(outcome.errors[0].find("another compilation"), std::string::npos) << outcome.errors[0];
  expectNoOrphans();
}

// Without the plug-in the folder is damaged for ranks, and whole for one host.
TEST_F(RankLaunch, withoutThePlugin) {
  ASSERT_NO_FATAL_FAILURE(make(2));
  std::filesystem::remove(dir + "/lib/libpenstock-mpi.so");
  RanksOutcome outcome = run("mpirun -n 2 " + dir + "/launch" + input() + " --timeout 5");
  EXPECT_EQ(outcome.exitStatus, 2);
  ASSERT_GE(outcome.errors.size(), 1u);
  EXPECT_NE(outcome.errors[0].find("cannot use MPI"), std::string::npos) << outcome.errors[0];
  outcome = run(dir + "/launch" + input() + " --quiet");
  EXPECT_EQ(outcome.exitStatus, 0) << outcome.err;
}

// A failing call, a killed stage, a stopped one: each ends the run in time, with one line and nothing left.
TEST_F(RankLaunch, faultsEndTheRun) {
  ASSERT_NO_FATAL_FAILURE(make(3));
  std::string results = work.path + "/results";
  struct {
    const char *fault, *words;
  } cases[] = {{"1:publish:2:fail", "planted failure at call 2 (publish) on channel 'c2'"},
               {"1:publish:2:kill", "stage 1 ('stage-1'"},
               {"1:wait:3:exit", "ended with status 3"},
               {"1:publish:2:stop", "for '/h2' from stage 1"},
               {"0:publish:2:stop", "from stage 0"},
               {"0:kernel:3:segv", "stage 0 ('stage-0'"},
               {"2:publish:2:stop", "stage 2"}};
  for (auto &[fault, words] : cases)
    for (const char *flags : {"", " --no-shared-memory"}) {
      RanksOutcome outcome = runWithFault("mpirun -n 3 " + dir + "/launch" + input() + flags + " --timeout 2 --fault " +
                                              fault + " --output-dir " + results,
                                          kRoleNames[fault[0] - '0'], 8);
      ASSERT_EQ(outcome.errors.size(), 1u) << fault << "\n" << outcome.err;
      EXPECT_NE(outcome.errors[0].find(words), std::string::npos) << fault << "\n" << outcome.errors[0];
      EXPECT_FALSE(std::filesystem::exists(results)) << fault;
      expectNoOrphans();
    }
}

// A launcher that starts ranks late, and a library that takes its time to join them, are no stall.
TEST_F(RankLaunch, aSlowStartIsWaitedFor) {
  ASSERT_NO_FATAL_FAILURE(make(2));
  std::string results = work.path + "/results", launch = dir + "/launch --timeout 1 --output-dir " + results;
  RanksOutcome outcome =
      run("mpirun -n 1 " + launch + input() + " : -n 1 sh -c 'sleep 3; exec " + launch + input() + "'");
  ASSERT_NO_FATAL_FAILURE(expectResult(outcome, results + "/y.npy", 2));
}

// A rank that only feeds notices by itself when its stage takes nothing any more: here the others would wait for a
// minute.
TEST_F(RankLaunch, theSourceHasADeadline) {
  ASSERT_NO_FATAL_FAILURE(make(2));
  RanksOutcome outcome =
      runWithFault("mpirun -n 1 " + dir + "/stage-0" + input() + " --timeout 1 --fault 0:kernel:1:stop : -n 1 " + dir +
                       "/stage-1 --timeout 60",
                   "stage-0", 18);
  ASSERT_EQ(outcome.errors.size(), 1u) << outcome.err;
  EXPECT_NE(outcome.errors[0].find("error: source, microbatch "), std::string::npos) << outcome.errors[0];
  EXPECT_NE(outcome.errors[0].find(" s for 'x' to be released by stage 0 (last done: "), std::string::npos)
      << outcome.errors[0];
  expectNoOrphans();
}

// The rank of a stopped stage hears nothing of the others. Here it notices long before them, and lets them speak.
TEST_F(RankLaunch, whoHearsNothingIsPatient) {
  ASSERT_NO_FATAL_FAILURE(make(3));
  RanksOutcome outcome = run("mpirun -n 1 " + dir + "/stage-0" + input() + " --timeout 4 : -n 1 " + dir +
                             "/stage-1 --timeout 1 --fault 1:publish:2:stop : -n 1 " + dir + "/stage-2 --timeout 4");
  EXPECT_NE(outcome.exitStatus, 0);
  ASSERT_EQ(outcome.errors.size(), 1u) << outcome.err;
  EXPECT_NE(outcome.errors[0].find(": waited 4"), std::string::npos) << outcome.errors[0];
  EXPECT_NE(outcome.errors[0].find(" stage 1, and heard nothing of it for "), std::string::npos) << outcome.errors[0];
  expectNoOrphans();
}

// A rank that dies with its launcher's knowledge takes the others with it; the launcher has the words.
TEST_F(RankLaunch, killedRank) {
  ASSERT_NO_FATAL_FAILURE(make(3));
  for (const char *name : {"stage-1", "launch"}) {
    pid_t victim = -1;
    RanksOutcome outcome = run("mpirun -n 3 " + dir + "/launch" + input() + " --timeout 5 --repeat 100000000", [&] {
      victim = awaitStage("stage-1");
      std::this_thread::sleep_for(std::chrono::milliseconds(700));
      if (std::string(name) == "launch")
        victim = awaitStage("launch");
      kill(victim, SIGKILL);
    });
    EXPECT_GT(victim, 0);
    EXPECT_NE(outcome.exitStatus, 0);
    EXPECT_LT(outcome.seconds, 15) << name;
    EXPECT_LE(outcome.errors.size(), 1u) << outcome.err;
    expectNoOrphans();
  }
}

} // namespace
