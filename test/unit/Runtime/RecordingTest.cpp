//===- RecordingTest.cpp - Recording a run, replaying one stage --*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "penstock/rt/Recording.h"

#include "Folder.h"
#include "penstock/rt/Session.h"

#include <algorithm>
#include <csignal>
#include <cstring>
#include <functional>
#include <map>
#include <sys/resource.h>
#include <sys/wait.h>

using namespace penstock::rt;
using namespace testrole;

namespace {

/// A chain of three stages over free shapes, cut into microbatches of two rows; the last stage reads from both others.
class Recorded {
public:
  Recorded() {
    dir = work.path + "/chain.penstock";
    file = work.path + "/run.rec";
    std::filesystem::create_directory(dir);
    writeChain(dir, "free", 3, chainPlan(3, false, 2));
    options.recordFile = file;
  }
  /// Two requests: of five rows, thus three microbatches, and of one.
  Status record() {
    std::unique_ptr<Session> session;
    if (Status status = Session::open(dir, options, session); !status.ok())
      return status;
    for (int64_t rows : {5, 1}) {
      TensorMap inputs{{"x", ramp(rows, float(rows))}}, outputs;
      if (Status status = session->run(viewsOf(inputs), outputs); !status.ok())
        return status;
      expectChain(outputs["y"], rows, float(rows), 3);
    }
    return session->close();
  }
  Outcome replay(int32_t stage, const std::string &arguments = "") {
    return runCommand(dir + "/" + kRoleNames[stage] + " --replay " + file + " " + arguments, work.path);
  }
  /// The recording with some bytes of it replaced, as a damaged disk would.
  void patch(int64_t at, const std::string &bytes) {
    std::string text = readFile(file);
    ASSERT_LE(size_t(at) + bytes.size(), text.size());
    writeFile(file, text.replace(size_t(at), bytes.size(), bytes));
  }
  void refuse(int32_t stage, const char *words) {
    Outcome outcome = replay(stage);
    EXPECT_EQ(outcome.exitStatus, 2) << outcome.err;
    EXPECT_NE(outcome.err.find(words), std::string::npos) << outcome.err;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    EXPECT_EQ(outcome.out, "");
  }
  /// Writes the recording again, record by record, as `change` leaves them; false: the record is left out.
  void rewrite(const std::function<bool(RecordHead &, std::string &)> &change) {
    std::string text = readFile(file), fingerprint = text.substr(16, 64);
    RecordingFile copy;
    ASSERT_TRUE(copy.create(file, fingerprint, 4).ok());
    for (size_t at = sizeof(RecordingHead);;) {
      RecordHead head;
      std::memcpy(&head, text.data() + at, sizeof(head));
      if (head.kind == RecordHead::kEnd) {
        ASSERT_TRUE(copy.finish(head.place == 1).ok());
        return;
      }
      std::vector<int64_t> numbers(size_t(head.numDims + head.numSymbols));
      std::memcpy(numbers.data(), text.data() + at + sizeof(head), numbers.size() * 8);
      at += sizeof(head) + numbers.size() * 8;
      std::string payload = text.substr(at, size_t(head.numBytes));
      at += size_t(head.numBytes + 7) / 8 * 8;
      if (change(head, payload))
        ASSERT_TRUE(RecordingWriter(copy.descriptor())
                        .write(head, {numbers.data(), size_t(head.numDims)},
                               {numbers.data() + head.numDims, size_t(head.numSymbols)}, payload.data())
                        .ok());
    }
  }
  /// A file that was begun and has not got its name.
  bool leavesPartial() const {
    for (const auto &entry : std::filesystem::directory_iterator(std::filesystem::path(file).parent_path()))
      if (entry.path().string().rfind(file + ".", 0) == 0)
        return true;
    return false;
  }

  TemporaryFolder work;
  std::string dir, file;
  SessionOptions options;
};

// Every message is there once, whoever sent it, with its shape, symbol values and bytes; the run is not disturbed.
TEST(Recording, holdsEveryMessage) {
  Recorded chain;
  Status status = chain.record();
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_FALSE(chain.leavesPartial());
  Recording recording;
  status = recording.open(chain.file);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_TRUE(recording.isComplete());
  EXPECT_EQ(recording.fingerprint().substr(0, 4), "abab");
  ASSERT_EQ(recording.numChannels(), 4);
  for (int32_t channel = 0; channel < 4; ++channel)
    ASSERT_EQ(recording.messages(channel).size(), 4u) << channel;
  const Recording::Message &third = recording.messages(0)[2], &last = recording.messages(3)[3];
  EXPECT_EQ(third.microbatch, 2);
  EXPECT_EQ(third.dims, (std::vector<int64_t>{1, 4}));
  EXPECT_EQ(third.symbols, (std::vector<int64_t>{1}));
  float values[4];
  ASSERT_EQ(third.numBytes, int64_t(sizeof(values)));
  ASSERT_TRUE(recording.read(third, values).ok());
  EXPECT_EQ(values[0], 5 + 16.0f); // the fifth row of a ramp that starts with 5
  EXPECT_EQ(last.request, 1);
}

// One stage alone receives what it received and sends what it sent, for every stage, in its own process.
TEST(Replay, givesTheSameBits) {
  Recorded chain;
  ASSERT_TRUE(chain.record().ok());
  for (int32_t stage = 0; stage < 3; ++stage) {
    Outcome outcome = chain.replay(stage);
    EXPECT_EQ(outcome.exitStatus, 0) << outcome.err;
    EXPECT_EQ(outcome.out, std::string(kRoleNames[stage]) +
                               ": 4 microbatches, 4 messages sent, all with the bits that were recorded\n");
  }
  EXPECT_EQ(chain.replay(1, "--quiet").out, "");
  json printed = json::parse(chain.replay(2, "--json").out);
  EXPECT_EQ(printed, (json{{"stage", 2}, {"microbatches", 4}, {"messages", 4}, {"compared", 4}, {"differing", 0}}));
  EXPECT_EQ(chain.replay(1, "--nonsense").exitStatus, 2);
}

// What differs is named: tensor, the kernel that made it, microbatch, element, both values with their bits.
TEST(Replay, namesTheFirstDifference) {
  Recorded chain;
  ASSERT_TRUE(chain.record().ok());
  chain.rewrite([](RecordHead &head, std::string &payload) {
    if (head.place == 2 && head.request == 0 && head.microbatch == 1) {
      float wrong = -0.0f;
      std::memcpy(&payload[5 * 4], &wrong, 4);
      std::memcpy(&payload[7 * 4], &wrong, 4);
    }
    return true;
  });
  Outcome outcome = chain.replay(1);
  EXPECT_EQ(outcome.exitStatus, 1);
  EXPECT_NE(outcome.out.find("1 differ from what was recorded"), std::string::npos) << outcome.out;
  EXPECT_NE(
      outcome.err.find("stage 1, request 0, microbatch 1: '/h2', made by '/finish', is 22.5 (0x41b40000) at [1,1], "
                       "recorded -0 (0x80000000); 2 of 8 elements differ"),
      std::string::npos)
      << outcome.err;
  EXPECT_EQ(chain.replay(0).exitStatus, 0);
  EXPECT_EQ(chain.replay(2).exitStatus, 1); // it received something else than in the run
}

// A file that is no recording, of another version or compilation, cut off anywhere or changed anywhere is refused.
TEST(Replay, refusesWhatItCannotTrust) {
  Recorded chain;
  ASSERT_TRUE(chain.record().ok());
  const std::string good = readFile(chain.file);
  chain.patch(8, std::string("\x07", 1));
  chain.refuse(0, "has version 7, expected 1");
  writeFile(chain.file, std::string(100, 'x'));
  chain.refuse(0, "is no recording that penstock run --record wrote");
  writeFile(chain.file, "");
  chain.refuse(0, "is no recording: it has 0 bytes");
  std::filesystem::remove(chain.file);
  chain.refuse(0, "cannot open the recording");
  for (size_t length = 0; length < good.size(); length += 7) {
    writeFile(chain.file, good.substr(0, length));
    Recording recording;
    EXPECT_EQ(recording.open(chain.file).code(), Code::kInvalid) << length;
  }
  for (size_t at = 0; at < good.size(); at += 5) {
    std::string bad = good;
    bad[at] = char(bad[at] ^ 0x40);
    writeFile(chain.file, bad);
    Recording recording;
    Status status = recording.open(chain.file);
    for (int32_t channel = 0; status.ok() && channel < recording.numChannels(); ++channel)
      for (const Recording::Message &message : recording.messages(channel)) {
        std::vector<char> payload(size_t(message.numBytes));
        if (status.ok())
          status = recording.read(message, payload.data());
      }
    EXPECT_EQ(status.code(), Code::kInvalid) << "byte " << at;
  }
  writeFile(chain.file, good + "more");
  chain.refuse(0, "bytes after the end");
  RecordingFile other;
  ASSERT_TRUE(other.create(chain.file, std::string(64, 'c'), 4).ok());
  ASSERT_TRUE(other.finish(true).ok());
  chain.refuse(0, "is of another compilation: its fingerprint is cccc");
}

// A message that is missing, or a channel, is an error that names the tensor.
TEST(Replay, namesWhatIsMissing) {
  Recorded chain;
  ASSERT_TRUE(chain.record().ok());
  const std::string good = readFile(chain.file);
  chain.rewrite([](RecordHead &head, std::string &) { return head.place != 1 || head.microbatch != 2; });
  chain.refuse(1, "lacks '/h1' (channel 'c1'): it has 3 messages, expected 4 as '/h2'");
  writeFile(chain.file, good);
  chain.rewrite([](RecordHead &head, std::string &) { return head.place != 3; });
  chain.refuse(2, "lacks '/h3' (channel 'c3'): it has 0 messages, expected 4");
  chain.rewrite([](RecordHead &head, std::string &) { return head.place == 0; });
  chain.refuse(2, "has no message of this stage");
}

// The recording of a run in which a stage was killed holds what went over the channels until then, and says so.
TEST(Replay, worksOnAFailedRun) {
  Recorded chain;
  chain.options.faults[2] = "publish:3:kill";
  EXPECT_EQ(chain.record().code(), Code::kPeerLost);
  Recording recording;
  Status status = recording.open(chain.file);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_FALSE(recording.isComplete());
  EXPECT_EQ(recording.messages(3).size(), 2u);
  Outcome outcome = chain.replay(2);
  EXPECT_EQ(outcome.exitStatus, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "stage-2: 3 microbatches, 3 messages sent, 2 of them in the recording, all with the bits that "
                         "were recorded\n");
}

// What a kernel made is recorded on wish, and does not stand in a replay's way.
TEST(Recording, holdsWhatKernelsMade) {
  Recorded chain;
  chain.options.recordResults = true;
  ASSERT_TRUE(chain.record().ok());
  std::map<std::vector<int32_t>, int> count;
  std::string text = readFile(chain.file);
  for (size_t at = sizeof(RecordingHead); at < text.size();) {
    RecordHead head;
    std::memcpy(&head, text.data() + at, sizeof(head));
    if (head.kind == RecordHead::kResult)
      ++count[{head.place, head.step, head.index}];
    at += sizeof(head) + size_t(head.numDims + head.numSymbols) * 8 + size_t(head.numBytes + 7) / 8 * 8;
  }
  EXPECT_EQ(count.size(), 6u); // three stages with two kernels each
  for (const auto &entry : count)
    EXPECT_EQ(entry.second, 4);
  EXPECT_EQ(chain.replay(1).exitStatus, 0);
}

// A folder that cannot be written to is the user's mistake; nothing is started, nothing is left.
TEST(Recording, needsAPlace) {
  Recorded chain;
  chain.options.recordFile = chain.work.path + "/nowhere/run.rec";
  Status status = chain.record();
  EXPECT_EQ(status.code(), Code::kInvalid);
  EXPECT_NE(status.message().find("cannot write the recording"), std::string::npos) << status.message();
}

// Where the file cannot grow, the run fails with the reason, and no half recording stays under its name.
TEST(Recording, failsWithTheDisk) {
  Recorded chain;
  std::unique_ptr<Session> session;
  ASSERT_TRUE(Session::open(chain.dir, chain.options, session).ok());
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit small = {100, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  TensorMap inputs{{"x", ramp(5, 1)}}, outputs;
  Status status = session->run(viewsOf(inputs), outputs);
  session.reset();
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(status.code(), Code::kSystem) << status.message();
  // A part is written, or nothing, if a stage has made the file longer by then.
  EXPECT_NE(status.message().find("cannot write the recording: "), std::string::npos) << status.message();
  EXPECT_FALSE(std::filesystem::exists(chain.file));
  EXPECT_FALSE(chain.leavesPartial());
}

// Floats are told apart by their bits, integers as they are.
TEST(Elements, asWords) {
  float zero = -0.0f;
  EXPECT_EQ(elementToString(RT_F32, &zero), "-0 (0x80000000)");
  int64_t large = INT64_MIN + 1;
  EXPECT_EQ(elementToString(RT_I64, &large), "-9223372036854775807");
  uint16_t half = 0x3800;
  EXPECT_EQ(elementToString(RT_F16, &half), "0.5 (0x3800)");
  int64_t dims[] = {2, 3, 4};
  EXPECT_EQ(placeToString(23, dims, 3), "[1,2,3]");
  EXPECT_EQ(placeToString(0, nullptr, 0), "[]");
}

} // namespace
