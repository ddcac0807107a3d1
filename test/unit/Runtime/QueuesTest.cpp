//===- QueuesTest.cpp - Deadlines and their words ----------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "Folder.h"
#include "penstock/rt/Control.h"

#include <atomic>
#include <thread>

using namespace penstock::rt;
using namespace testrole;

namespace {

constexpr int64_t kMs = 1000000, kSecond = 1000000000;

/// source -> stage 0 -> stage 1 -> sink, two slots each, as one process sees it.
class Chain {
public:
  explicit Chain(const std::string &tensor = "/h") {
    ControlLayout layout;
    layout.numRoles = 2;
    layout.roleNames = {"stage-0", "stage-1"};
    add(layout, "x", 2, RT_STAGE_SOURCE, 0, 0);
    add(layout, tensor, 0, 0, 1, 1);
    add(layout, "y", 1, 1, 2, RT_STAGE_SINK);
    memory.reset(static_cast<char *>(std::calloc(1, size_t(RunControl::bytesFor(layout)))));
    control = RunControl::create(memory.get(), layout);
    for (int32_t role = 0; role < 2; ++role)
      control.setStepNames(role, steps, 2);
  }
  void set(int32_t role, Activity activity, int32_t channel, int64_t microbatch, int32_t doneStep = 0,
           int64_t doneMicrobatch = 0) {
    RoleState &state = control.role(role);
    state.activity.store(uint32_t(activity));
    state.channel.store(channel);
    state.microbatch.store(microbatch);
    state.doneStep.store(doneStep);
    state.doneMicrobatch.store(doneMicrobatch);
  }
  RunControl control;

private:
  struct Free {
    void operator()(char *pointer) const { std::free(pointer); }
  };
  static void add(ControlLayout &layout, const std::string &tensor, int32_t role, int32_t stage, int32_t consumerRole,
                  int32_t consumerStage) {
    ControlLayout::Channel channel;
    channel.tensor = tensor, channel.depth = 2;
    channel.role = role, channel.stage = stage;
    channel.consumerRoles = {consumerRole};
    channel.consumerStages = {consumerStage};
    layout.channels.push_back(channel);
  }
  const rt_step_desc steps[2] = {{"/mul", "k", 0, nullptr}, {"/add", "k", 0, nullptr}};
  std::unique_ptr<char, Free> memory;
};

// The line of a wait has stage, microbatch, tensor and peer, and the last completed step of both.
TEST(Stall, namesBothEnds) {
  Chain chain;
  chain.set(2, Activity::kWaiting, 2, 2);
  chain.set(1, Activity::kWaiting, 1, 3, 2, 2);
  chain.set(0, Activity::kRunning, 0, 3, 1, 3);
  const char *expected = "stage 1, microbatch 3: waited 30 s for '/h' from stage 0 (last done: microbatch 3, '/mul'); "
                         "stage 1 has last done microbatch 2, '/add'";
  for (int32_t seenBy : {1, 2})
    EXPECT_EQ(chain.control.describeStall(seenBy, 30 * kSecond), expected);
  chain.set(1, Activity::kWaiting, 1, 0);
  chain.set(0, Activity::kRunning, 0, 0);
  EXPECT_EQ(chain.control.describeStall(2, kSecond / 2),
            "stage 1, microbatch 0: waited 0.5 s for '/h' from stage 0 (last done: nothing); "
            "stage 1 has done nothing yet");
}

// A stage that has what it waits for, and does not take it, is where the run is stuck; so is one that has a free slot.
TEST(Stall, endsAtTheCulprit) {
  Chain chain;
  chain.set(2, Activity::kWaiting, 2, 0);
  chain.set(1, Activity::kWaiting, 1, 0);
  chain.set(0, Activity::kAcquiring, 1, 2);
  chain.control.channel(1).published.store(2);
  EXPECT_EQ(chain.control.describeStall(0, kSecond)
                .find("stage 0, microbatch 2: waited 1 s for '/h' to be released by "
                      "stage 1 (last done: nothing)"),
            0u);
  EXPECT_EQ(chain.control.describeStall(2, kSecond).find("sink, microbatch 0: waited 1 s for 'y' from stage 1"), 0u);
  chain.control.channel(1).published.store(0);
  EXPECT_EQ(chain.control.describeStall(2, kSecond).find("stage 1, microbatch 0: waited 1 s for '/h' from stage 0"),
            0u);
}

// All have the same deadline: one whose own time is over while another looks at it waits no more, and is no riddle.
TEST(Stall, ofOneThatGivesUpMeanwhile) {
  Chain chain;
  chain.set(2, Activity::kWaiting, 2, 0);
  chain.set(1, Activity::kWaiting, 1, 0);
  chain.set(0, Activity::kRunning, 0, 0);
  std::atomic<bool> ends{false};
  std::thread stage([&] {
    for (uint32_t i = 0; !ends.load(); ++i)
      chain.control.role(1).activity.store(uint32_t(i % 2 ? Activity::kWaiting : Activity::kRunning));
  });
  for (int i = 0; i < 20000; ++i) {
    std::string line = chain.control.describeStall(2, kSecond);
    if (line.find("for 'y' from stage 1") == std::string::npos &&
        line.find("for '/h' from stage 0") == std::string::npos)
      ADD_FAILURE() << line;
  }
  ends = true;
  stage.join();
}

// The source has a deadline too, and says who holds its slots.
TEST(Stall, ofTheSource) {
  Chain chain;
  SourceState &source = chain.control.source();
  source.activity.store(uint32_t(Activity::kAcquiring));
  source.channel.store(0);
  source.microbatch.store(7);
  chain.control.channel(0).published.store(2);
  chain.set(0, Activity::kRunning, 0, 5, 2, 4);
  EXPECT_EQ(chain.control.describeSourceStall(2 * kSecond),
            "source, microbatch 7: waited 2 s for 'x' to be released by stage 0 (last done: microbatch 4, '/add')");
  chain.set(0, Activity::kAcquiring, 1, 5, 2, 4);
  chain.control.channel(1).published.store(2);
  EXPECT_EQ(chain.control.describeSourceStall(2 * kSecond)
                .find("stage 0, microbatch 5: waited 2 s for '/h' to be "
                      "released by stage 1"),
            0u);
}

// A look that comes late is no proof that nothing has moved: time in which nobody looked does not count.
TEST(Stall, heldTimeDoesNotCount) {
  Chain chain;
  chain.set(0, Activity::kWaiting, 0, 0);
  chain.set(1, Activity::kWaiting, 1, 0);
  ProgressWatch watch(chain.control, kSecond);
  watch.start(1);
  EXPECT_FALSE(watch.expired(200 * kMs)); // takes the measure
  EXPECT_FALSE(watch.expired(60 * kSecond));
  EXPECT_LE(watch.waitedNs(60 * kSecond), kSecond);
  EXPECT_FALSE(watch.expired(60 * kSecond + 200 * kMs));
  EXPECT_TRUE(watch.expired(60 * kSecond + 600 * kMs));
  chain.control.role(0).progress.fetch_add(1);
  EXPECT_FALSE(watch.expired(60 * kSecond + 800 * kMs));
}

// The state of all queues is JSON whatever the tensors are called, and has who holds how many slots.
TEST(Queues, areJson) {
  std::string tensor = "a\"b\\c\n\xc3\xa9\xff " + std::string(116, 'x') + "\xc3\xa9"; // cut within its last letter
  Chain chain(tensor);
  chain.control.channel(1).published.store(5);
  chain.control.cursors(1)[0].received.store(4);
  chain.control.cursors(1)[0].released.store(3);
  chain.control.submitted().store(9);
  chain.set(0, Activity::kAcquiring, 1, 5, 1, 5);
  chain.set(1, Activity::kRunning, 1, 3);
  json state = json::parse(chain.control.describeQueues("waited for '\x01'"));
  EXPECT_EQ(state["cause"], "waited for '\x01'");
  EXPECT_EQ(state["source"]["submitted"], 9);
  ASSERT_EQ(state["stages"].size(), 2u);
  EXPECT_EQ(state["stages"][0]["name"], "stage-0");
  EXPECT_EQ(state["stages"][0]["activity"], "acquiring");
  EXPECT_EQ(state["stages"][0]["waits_for"]["channel"], 1);
  EXPECT_EQ(state["stages"][0]["waits_for"]["what"], "free slot");
  EXPECT_EQ(state["stages"][0]["last_done"], (json{{"microbatch", 5}, {"step", "/mul"}}));
  EXPECT_TRUE(state["stages"][1]["waits_for"].is_null());
  EXPECT_TRUE(state["stages"][1]["last_done"].is_null());
  const json &channel = state["channels"][1];
  EXPECT_EQ(channel["tensor"].get<std::string>().rfind("a\"b\\c\n\xc3\xa9? xxx", 0), 0u) << channel["tensor"];
  EXPECT_EQ(channel["slots_in_use"], 2);
  EXPECT_EQ(channel["consumers"][0]["slots_held"], 1);
  EXPECT_EQ(channel["consumers"][0]["unread"], 1);
  EXPECT_EQ(channel["from"], "stage 0");
}

// Of all who see the deadline pass, the first leaves its view; where that cannot be written, the message says why.
TEST(Queues, areWrittenOnce) {
  Chain chain;
  TemporaryFolder folder;
  std::string file = folder.path + "/hang.json";
  EXPECT_EQ(hangStatus(chain.control, "first", "").message(), "first");
  EXPECT_FALSE(std::filesystem::exists(file));
  for (const char *who : {"first", "second"}) {
    Status status = hangStatus(chain.control, who, file);
    EXPECT_EQ(status.code(), Code::kTimeout);
    EXPECT_EQ(status.message(), std::string(who) + "; the state of all queues is in '" + file + "'");
    std::ifstream stream(file);
    EXPECT_EQ(json::parse(stream)["cause"], "first");
  }
  EXPECT_EQ(hangStatus(chain.control, "third", folder.path + "/none/hang.json").message(),
            "third; cannot write the state of the queues to '" + folder.path +
                "/none/hang.json': no such file or directory");
}

} // namespace
