//===- WeightsFileTest.cpp - Weights that change under a stage ---*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "Folder.h"
#include "penstock/rt/Session.h"

#include <thread>

using namespace penstock::rt;
using namespace testrole;

namespace {

/// A chain that runs, whose weights file is then changed; what the next requests say.
Status afterChange(const std::function<void(const std::string &file)> &change) {
  TemporaryFolder folder;
  writeChain(folder.path, "free", 2, chainPlan(2, false, 1));
  SessionOptions options;
  options.timeoutNs = 10000000000;
  std::unique_ptr<Session> session;
  Status status = Session::open(folder.path, options, session);
  TensorMap inputs{{"x", ramp(3, 1)}}, outputs;
  auto run = [&] {
    outputs.clear();
    status = session->run(viewsOf(inputs), outputs);
    if (status.ok())
      expectChain(outputs["y"], 3, 1, 2); // no result of other weights ever comes out
    return status.ok();
  };
  EXPECT_TRUE(status.ok() && run()) << status.message();
  change(folder.path + "/stage-0.weights");
  int64_t until = nowNs() + 5000000000;
  while (status.ok() && nowNs() < until && run())
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  Status closed = session->close();
  EXPECT_EQ(closed.message(), status.message());
  return status;
}

void expectRefusal(const Status &status, const std::string &words) {
  EXPECT_EQ(status.exitStatus(), 2) << status.message();
  EXPECT_EQ(status.message().rfind("weights file '", 0), 0u) << status.message();
  EXPECT_NE(status.message().find("/stage-0.weights' " + words), std::string::npos) << status.message();
}

// Other bytes in the same file are noticed by the time of change, before a result of them is published.
TEST(WeightsFile, writtenTo) {
  Status status = afterChange([](const std::string &file) {
    std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
    stream.write("\xff\xff\xff\xff", 4);
  });
  expectRefusal(status, "was written to while in use");
}

// A file that has become shorter, but not by what is read, is noticed by its size.
TEST(WeightsFile, shortened) {
  Status status = afterChange([](const std::string &file) { std::filesystem::resize_file(file, 32); });
  expectRefusal(status, "had 64 bytes and has 32; it was changed while in use");
}

// Reading what is no longer there ends the stage with SIGBUS; the message has the file all the same.
TEST(WeightsFile, truncatedUnderTheKernel) {
  Status status = afterChange([](const std::string &file) { std::filesystem::resize_file(file, 0); });
  expectRefusal(status, "ended within what stage-0 was reading; it was truncated while in use");
}

// Another file of the same name and bytes is not the one that runs.
TEST(WeightsFile, replaced) {
  Status status = afterChange([](const std::string &file) {
    writeFile(file + ".new", chainWeights());
    std::filesystem::rename(file + ".new", file);
  });
  expectRefusal(status, "was replaced by another file while in use");
}

TEST(WeightsFile, removed) {
  Status status = afterChange([](const std::string &file) { std::filesystem::remove(file); });
  expectRefusal(status, "was removed while in use: no such file or directory");
}

// Checksums are for files up to a length; beyond it, only who asks for them gets them.
TEST(WeightsFile, checksumUpToALength) {
  TemporaryFolder folder;
  writeChain(folder.path, "free", 2, chainPlan(2, false));
  std::string wrong = chainWeights();
  wrong[5] ^= 1;
  writeFile(folder.path + "/stage-0.weights", wrong);
  for (int64_t numBytes : {int64_t(63), int64_t(64), INT64_MAX}) {
    SessionOptions options;
    options.verifyBytes = numBytes;
    std::unique_ptr<Session> session;
    Status status = Session::open(folder.path, options, session);
    EXPECT_EQ(status.ok(), numBytes < 64) << status.message();
    if (!status.ok())
      expectRefusal(status, "has checksum ");
  }
}

} // namespace
