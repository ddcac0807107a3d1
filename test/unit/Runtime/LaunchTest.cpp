//===- LaunchTest.cpp - The launch executable --------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "Folder.h"
#include "penstock/rt/Bench.h"
#include "penstock/rt/Files.h"

#include <algorithm>

using namespace penstock::rt;
using namespace testrole;

namespace {

/// A folder with a chain, `launch`, and a place for files.
class Launched {
public:
  explicit Launched(int32_t stages, bool isStatic = false, int64_t rows = 0) {
    dir = work.path + "/chain.penstock";
    std::filesystem::create_directory(dir);
    writeChain(dir, isStatic ? "static" : "free", stages, chainPlan(stages, isStatic, rows));
    std::filesystem::copy_file(PENSTOCK_TEST_LAUNCH, dir + "/launch");
  }
  Outcome run(const std::string &arguments) { return runCommand(dir + "/launch " + arguments, work.path); }
  TemporaryFolder work;
  std::string dir;
};

// Inputs from files, results into files of the outputs' names; several archives are several requests.
TEST(Launch, filesInFilesOut) {
  Launched chain(3);
  const std::string &work = chain.work.path;
  ASSERT_TRUE(writeNpyFile(work + "/x.npy", ramp(5, 1)).ok());
  Outcome outcome = chain.run("--input x=" + work + "/x.npy --output-dir " + work + "/a/b");
  EXPECT_EQ(outcome.exitStatus, 0) << outcome.err;
  Tensor result;
  Status status = readTensorFile(work + "/a/b/y.npy", result);
  ASSERT_TRUE(status.ok()) << status.message();
  ASSERT_NO_FATAL_FAILURE(expectChain(result, 5, 1, 3));
  outcome = chain.run("--input x=" + work + "/x.npy");
  EXPECT_EQ(outcome.exitStatus, 0);
  EXPECT_NE(outcome.out.find("y f32 5x4 min"), std::string::npos) << outcome.out;
  outcome = chain.run("--random --dim n=7 --json --repeat 20");
  json printed = json::parse(outcome.out);
  EXPECT_EQ(printed["outputs"][0]["dims"], (json{7, 4}));
  EXPECT_EQ(printed["requests"], 20);
  EXPECT_GT(printed["throughput_per_second"], 0);
  for (const json &channel : printed["channels"])
    EXPECT_EQ(channel["bytes_copied"], 0);
}

// Every mistake of the user gives status 2, one line, and no output folder.
TEST(Launch, mistakesAreNamed) {
  Launched chain(2, true);
  const std::string &work = chain.work.path;
  ASSERT_TRUE(writeNpyFile(work + "/x.npy", ramp(kStaticRows, 1)).ok());
  ASSERT_TRUE(writeNpyFile(work + "/long.npy", ramp(9, 1)).ok());
  writeFile(work + "/bad.npy", "hello");
  auto refuse = [&](const std::string &arguments, const char *words) {
    Outcome outcome = chain.run(arguments + " --output-dir " + work + "/results");
    EXPECT_EQ(outcome.exitStatus, 2) << arguments;
    EXPECT_EQ(outcome.err.rfind("error: ", 0), 0u) << outcome.err;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    EXPECT_NE(outcome.err.find(words), std::string::npos) << outcome.err;
    EXPECT_TRUE(outcome.out.empty()) << outcome.out;
    EXPECT_FALSE(std::filesystem::exists(work + "/results"));
  };
  refuse("", "input 'x' is missing");
  refuse("--input x", "NAME=FILE");
  refuse("--input x=" + work + "/none.npy", "none.npy");
  refuse("--input x=" + work + "/bad.npy", "bad.npy");
  refuse("--input x=" + work + "/long.npy", "has shape 9x4, expected 3x4");
  refuse("--input z=" + work + "/x.npy", "no input 'z'");
  refuse("--inputs " + work + "/x.npy", "x.npy");
  refuse("--nonsense", "nonsense");
  refuse("--random --repeat 0", "repeat");
  refuse("--random --timeout -1", "timeout");
  refuse("--random --dim q=1", "'q'");
  writeFile(chain.dir + "/plan.json", "{");
  refuse("--random", "plan.json");
}

// The world failing is status 1; results that cannot be written leave nothing behind.
TEST(Launch, worldFails) {
  Launched chain(3, false, 1);
  const std::string &work = chain.work.path;
  Outcome outcome = chain.run("--random --dim n=4 --output-dir " + work + "/results --fault 1:publish:2:kill");
  EXPECT_EQ(outcome.exitStatus, 1);
  EXPECT_NE(outcome.err.find("stage 1"), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find("signal 9"), std::string::npos) << outcome.err;
  EXPECT_FALSE(std::filesystem::exists(work + "/results"));
  outcome = chain.run("--random --dim n=4 --timeout 0.5 --fault 1:publish:2:stop");
  EXPECT_EQ(outcome.exitStatus, 1);
  EXPECT_NE(outcome.err.find("waited 0.5"), std::string::npos) << outcome.err;
  outcome = chain.run("--random --dim n=4 --trace /dev/full");
  EXPECT_EQ(outcome.exitStatus, 1);
  EXPECT_NE(outcome.err.find("cannot write '/dev/full': no space left"), std::string::npos) << outcome.err;
  writeFile(work + "/file", "");
  outcome = chain.run("--random --dim n=4 --output-dir " + work + "/file/results");
  EXPECT_EQ(outcome.exitStatus, 2);
  EXPECT_NE(outcome.err.find("cannot write to the folder"), std::string::npos) << outcome.err;
  std::filesystem::create_directories(work + "/taken/y.npy");
  outcome = chain.run("--random --dim n=4 --output-dir " + work + "/taken");
  EXPECT_EQ(outcome.exitStatus, 1);
  EXPECT_NE(outcome.err.find("cannot write"), std::string::npos) << outcome.err;
  EXPECT_FALSE(std::filesystem::exists(work + "/taken/y.npy.new"));
}

// An interrupt ends everything with status 1.
TEST(Launch, interrupted) {
  Launched chain(2, false, 1);
  std::string err = chain.work.path + "/err.txt";
  std::string command = chain.dir + "/launch --random --dim n=1000 --fault 1:publish:*:delay=50 2>" + err +
                        " >/dev/null & host=$!; sleep 0.3; kill -TERM $host; wait $host; exit $?";
  int state = std::system(command.c_str());
  EXPECT_EQ(WEXITSTATUS(state), 1);
  EXPECT_EQ(readFile(err), "error: interrupted\n");
}

// The trace has each microbatch of each stage once in category run, in order.
TEST(Launch, trace) {
  Launched chain(3, false, 1);
  std::string path = chain.work.path + "/trace.json";
  Outcome outcome = chain.run("--random --dim n=5 --quiet --trace " + path);
  EXPECT_EQ(outcome.exitStatus, 0) << outcome.err;
  EXPECT_TRUE(outcome.out.empty());
  json trace = json::parse(readFile(path));
  std::map<int, double> lastEnd;
  std::map<int, int> runs;
  for (const json &event : trace["traceEvents"]) {
    if (event["ph"] != "X" || event["cat"] != "run")
      continue;
    int stage = event["pid"];
    EXPECT_EQ(event["name"], "microbatch " + std::to_string(runs[stage]++));
    EXPECT_GE(event["ts"].get<double>(), lastEnd[stage]);
    lastEnd[stage] = event["ts"].get<double>() + event["dur"].get<double>();
  }
  EXPECT_EQ(runs, (std::map<int, int>{{0, 5}, {1, 5}, {2, 5}}));
}

// A role alone says what it is and how to start it.
TEST(Launch, roleAlone) {
  Launched chain(2);
  std::string err = chain.work.path + "/err.txt", out = chain.work.path + "/out.txt";
  int state = std::system((chain.dir + "/stage-1 2>" + err).c_str());
  EXPECT_EQ(WEXITSTATUS(state), 2);
  EXPECT_NE(readFile(err).find("start it with 'launch'"), std::string::npos) << readFile(err);
  state = std::system((chain.dir + "/stage-1 --version >" + out).c_str());
  EXPECT_EQ(WEXITSTATUS(state), 0);
  EXPECT_NE(readFile(out).find("role 1 of 2"), std::string::npos) << readFile(out);
}

// A stage whose host has ended before it could tie itself to it ends too. It adds nothing to what the host has said.
TEST(Launch, aStageWithoutItsHost) {
  Launched chain(2);
  Outcome outcome =
      runCommand("env PENSTOCK_HOST=nobody PENSTOCK_HOST_PID=1 " + chain.dir + "/stage-1", chain.work.path);
  EXPECT_EQ(outcome.exitStatus, 1);
  EXPECT_EQ(outcome.out + outcome.err, "");
}

// When launch is killed, no stage outlives it.
TEST(Launch, killedLauncher) {
  Launched chain(2, false, 1);
  std::string pids = chain.work.path + "/pids.txt";
  std::string command = chain.dir +
                        "/launch --random --dim n=1000 --fault 1:publish:*:delay=50 >/dev/null & host=$!; "
                        "sleep 0.4; pgrep -P $host | sort >" +
                        pids + "; kill -9 $host; sleep 0.3; for p in $(cat " + pids +
                        "); do grep -q 'State:.[^ZX]' /proc/$p/status && exit 7; done; exit 0";
  int state = std::system(("( " + command + " ) 2>/dev/null").c_str());
  EXPECT_EQ(WEXITSTATUS(state), 0);
  std::string listed = readFile(pids);
  EXPECT_EQ(std::count(listed.begin(), listed.end(), '\n'), 2) << listed;
}

// bench() gives figures that fit each other.
TEST(Bench, figures) {
  TemporaryFolder folder;
  writeChain(folder.path, "free", 2, chainPlan(2, false, 1));
  std::unique_ptr<Session> session;
  ASSERT_TRUE(Session::open(folder.path, SessionOptions(), session).ok());
  TensorMap inputs;
  RandomInputs how;
  ASSERT_TRUE(parseDimOption("n=3", how).ok());
  ASSERT_TRUE(addRandomInputs(session->plan(), how, inputs).ok());
  for (double rate : {0.0, 200.0}) {
    BenchOptions options;
    options.seconds = 0.2, options.warmupSeconds = 0.05, options.rate = rate;
    BenchResult result;
    Status status = bench(*session, inputs, options, result);
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_GT(result.throughputPerSecond, 0);
    EXPECT_EQ(result.microbatchesPerRequest, 3);
    EXPECT_LE(result.alone.p50Ms, result.alone.p99Ms);
    ASSERT_EQ(result.stages.size(), 2u);
    EXPECT_EQ(result.stages[0].predictedMs, 0.5);
    for (const BenchStage &stage : result.stages) {
      ASSERT_EQ(stage.kernels.size(), 2u);
      EXPECT_EQ(stage.kernels[0].kernel, "k_add");
      EXPECT_GT(stage.kernels[0].ms, 0);
      EXPECT_LE(stage.kernels[0].ms + stage.kernels[1].ms, stage.busyMs * 1.0001);
    }
    double slowestMs = std::max(result.stages[0].aloneMs, result.stages[1].aloneMs);
    EXPECT_NEAR(result.limitPerSecond * slowestMs * 3, 1000, 1e-6);
    EXPECT_EQ(result.channels[1].messages, result.loaded.count * 3);
    json printed = json::parse(benchToJson(result));
    EXPECT_EQ(printed["stages"].size(), 2u);
    EXPECT_EQ(printed["channels"][0]["bytes_copied"], 0);
    EXPECT_TRUE(printed["latency_ms"].contains("p99"));
  }
}

} // namespace
