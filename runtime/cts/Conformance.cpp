//===- Conformance.cpp - What every transport must do ------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "cts/Conformance.h"

#include <cstring>
#include <fstream>
#include <random>
#include <thread>

using namespace penstock::rt;

namespace {

constexpr int64_t kMs = 1000000;
constexpr int64_t kLong = 20000 * kMs; // a deadline that is met only by a hang

/// One channel from role 0 to roles 1..consumers, both sides open.
struct Channel {
  ChannelDesc desc;
  std::unique_ptr<CandidateRun> run;
  ChannelId out = -1;
  std::vector<ChannelId> in;

  Transport &producer() { return run->transport(0); }
  Transport &consumer(int32_t index) { return run->transport(index + 1); }
};

ChannelDesc describe(int32_t depth, int32_t consumers, int64_t slotBytes) {
  ChannelDesc desc;
  desc.name = "c0";
  desc.tensor = "/relu";
  desc.dtype = RT_I32;
  desc.dims = {-1};
  desc.producerStage = 0;
  for (int32_t k = 0; k < consumers; ++k)
    desc.consumerStages.push_back(k + 1);
  desc.depth = depth;
  desc.slotBytes = slotBytes;
  desc.numSymbols = 2;
  return desc;
}

ControlLayout layoutOf(const ChannelDesc &desc) {
  ControlLayout layout;
  layout.numRoles = int32_t(desc.consumerStages.size()) + 1;
  ControlLayout::Channel channel;
  channel.tensor = desc.tensor;
  channel.depth = desc.depth;
  channel.consumerRoles = channel.consumerStages = desc.consumerStages;
  layout.channels.push_back(channel);
  return layout;
}

void open(Channel &channel, const Candidate &candidate, int32_t depth, int32_t consumers, int64_t slotBytes) {
  channel.desc = describe(depth, consumers, slotBytes);
  channel.run = candidate.make(layoutOf(channel.desc), {channel.desc});
  ASSERT_NE(channel.run, nullptr);
  EndInfo end;
  Status status = channel.producer().open(channel.desc, end, deadlineAfter(kLong), channel.out);
  ASSERT_TRUE(status.ok()) << status.message();
  end.isProducer = false;
  for (int32_t k = 0; k < consumers; ++k) {
    end.consumer = k, end.stage = k + 1;
    channel.in.push_back(-1);
    status = channel.consumer(k).open(channel.desc, end, deadlineAfter(kLong), channel.in.back());
    ASSERT_TRUE(status.ok()) << status.message();
  }
  for (int32_t role = 0; role <= consumers; ++role) {
    status = channel.run->transport(role).start(deadlineAfter(kLong));
    ASSERT_TRUE(status.ok()) << status.message();
  }
}

/// Sends `count` equal integers.
Status sendInts(Channel &channel, int64_t count, int32_t value, int64_t deadlineNs) {
  Slot slot;
  Status status = channel.producer().acquire(channel.out, count * 4, Stream(), deadlineNs, slot);
  if (!status.ok())
    return status;
  std::vector<int32_t> values(size_t(count), value);
  channel.run->write(0, slot.data, values.data(), values.size() * 4);
  int64_t symbols[] = {count, -value};
  MessageHeader header;
  header.request = value / 10;
  header.microbatch = value % 10;
  header.dims = {&count, 1};
  header.symbols = {symbols, 2};
  slot.numBytes = count * 4;
  return channel.producer().publish(channel.out, slot, header, Stream());
}

/// Receives without releasing; checks that message and header are those that sendInts() sends.
void expectInts(Channel &channel, int32_t consumer, int64_t count, int32_t value, Slot &slot) {
  MessageHeader header;
  Status status =
      channel.consumer(consumer).wait(channel.in[size_t(consumer)], Stream(), deadlineAfter(kLong), slot, header);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(header.request, value / 10);
  EXPECT_EQ(header.microbatch, value % 10);
  ASSERT_EQ(header.dims.count, 1u);
  EXPECT_EQ(header.dims[0], count);
  ASSERT_EQ(header.symbols.count, 2u);
  EXPECT_EQ(header.symbols[1], -value);
  ASSERT_EQ(slot.numBytes, count * 4);
  std::vector<int32_t> values(static_cast<size_t>(count));
  channel.run->read(consumer + 1, slot.data, values.data(), values.size() * 4);
  for (int64_t i = 0; i < count; i += std::max<int64_t>(1, count / 16))
    ASSERT_EQ(values[size_t(i)], value);
}

void receiveInts(Channel &channel, int32_t consumer, int64_t count, int32_t value) {
  Slot slot;
  expectInts(channel, consumer, count, value, slot);
  Status status = channel.consumer(consumer).release(channel.in[size_t(consumer)], slot, Stream());
  ASSERT_TRUE(status.ok()) << status.message();
}

// Messages arrive complete, in order, with their headers, whatever the relative speed of the two sides.
TEST_P(TransportConformance, deliversInOrder) {
  for (int32_t depth : {1, 2, 5}) {
    Channel channel;
    ASSERT_NO_FATAL_FAILURE(open(channel, GetParam(), depth, 1, 4096));
    constexpr int32_t kCount = 2000;
    std::thread producer([&] {
      for (int32_t i = 0; i < kCount; ++i) {
        Status status = sendInts(channel, i % 1024, i, deadlineAfter(kLong));
        EXPECT_TRUE(status.ok()) << status.message();
      }
    });
    for (int32_t i = 0; i < kCount && !testing::Test::HasFatalFailure(); ++i)
      receiveInts(channel, 0, i % 1024, i);
    producer.join();
  }
}

// Each consumer sees every message; a slot is free only when all have released it.
TEST_P(TransportConformance, slotIsFreeWhenAllConsumersReleased) {
  Channel channel;
  ASSERT_NO_FATAL_FAILURE(open(channel, GetParam(), 2, 3, 4096));
  ASSERT_TRUE(sendInts(channel, 4, 1, deadlineAfter(kLong)).ok());
  ASSERT_TRUE(sendInts(channel, 4, 2, deadlineAfter(kLong)).ok());
  for (int32_t k = 0; k < 3; ++k) {
    EXPECT_EQ(sendInts(channel, 4, 3, nowNs() + 5 * kMs).code(), Code::kTimeout);
    ASSERT_NO_FATAL_FAILURE(receiveInts(channel, k, 4, 1));
  }
  EXPECT_TRUE(sendInts(channel, 4, 3, deadlineAfter(kLong)).ok());
  for (int32_t k = 0; k < 3; ++k) {
    ASSERT_NO_FATAL_FAILURE(receiveInts(channel, k, 4, 2));
    ASSERT_NO_FATAL_FAILURE(receiveInts(channel, k, 4, 3));
  }
}

// A consumer may hold as many messages as there are slots, and no slot changes under it.
TEST_P(TransportConformance, heldSlotsKeepTheirBytes) {
  Channel channel;
  ASSERT_NO_FATAL_FAILURE(open(channel, GetParam(), 3, 1, 4096));
  Slot slots[3];
  for (int32_t i = 0; i < 3; ++i) {
    ASSERT_TRUE(sendInts(channel, 8, i, deadlineAfter(kLong)).ok());
    ASSERT_NO_FATAL_FAILURE(expectInts(channel, 0, 8, i, slots[i]));
  }
  for (int32_t i = 0; i < 3; ++i) {
    int32_t values[8] = {};
    channel.run->read(1, slots[i].data, values, sizeof(values));
    EXPECT_EQ(values[7], i);
    ASSERT_TRUE(channel.consumer(0).release(channel.in[0], slots[i], Stream()).ok());
    ASSERT_TRUE(sendInts(channel, 8, 10 + i, deadlineAfter(kLong)).ok());
  }
}

// Waits end at their deadline, and say which channel, stages and tensor they were about.
TEST_P(TransportConformance, deadlinesAreKept) {
  Channel channel;
  ASSERT_NO_FATAL_FAILURE(open(channel, GetParam(), 1, 1, 4096));
  Slot slot;
  MessageHeader header;
  int64_t begin = nowNs();
  Status status = channel.consumer(0).wait(channel.in[0], Stream(), begin + 30 * kMs, slot, header);
  EXPECT_EQ(status.code(), Code::kTimeout);
  EXPECT_GE(nowNs() - begin, 30 * kMs);
  EXPECT_LT(nowNs() - begin, kLong / 2);
  for (const char *word : {"c0", "/relu", "stage 0", "stage 1"})
    EXPECT_NE(status.message().find(word), std::string::npos) << status.message();
  // The wait can be repeated after a deadline.
  ASSERT_TRUE(sendInts(channel, 1, 5, deadlineAfter(kLong)).ok());
  ASSERT_NO_FATAL_FAILURE(receiveInts(channel, 0, 1, 5));
}

// abort() wakes a waiting consumer and a waiting producer, and refuses every later call.
TEST_P(TransportConformance, abortWakesEverybody) {
  Channel channel;
  ASSERT_NO_FATAL_FAILURE(open(channel, GetParam(), 1, 2, 4096));
  ASSERT_TRUE(sendInts(channel, 1, 5, deadlineAfter(kLong)).ok());
  ASSERT_NO_FATAL_FAILURE(receiveInts(channel, 0, 1, 5));
  Code produced = Code::kOk, consumed = Code::kOk;
  std::thread producer([&] { produced = sendInts(channel, 1, 6, deadlineAfter(kLong)).code(); });
  std::thread consumer([&] {
    Slot slot;
    MessageHeader header;
    consumed = channel.consumer(0).wait(channel.in[0], Stream(), deadlineAfter(kLong), slot, header).code();
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  int64_t begin = nowNs();
  channel.consumer(1).abort();
  producer.join();
  consumer.join();
  EXPECT_LT(nowNs() - begin, kLong / 4);
  EXPECT_EQ(produced, Code::kAborted);
  EXPECT_EQ(consumed, Code::kAborted);
  EXPECT_EQ(sendInts(channel, 1, 7, deadlineAfter(kLong)).code(), Code::kAborted);
}

// Slots are aligned for kernels, and large enough.
TEST_P(TransportConformance, slotsAreAligned) {
  Channel channel;
  ASSERT_NO_FATAL_FAILURE(open(channel, GetParam(), 3, 1, 1000));
  for (int32_t i = 0; i < 7; ++i) {
    Slot slot;
    ASSERT_TRUE(channel.producer().acquire(channel.out, 1000, Stream(), deadlineAfter(kLong), slot).ok());
    EXPECT_EQ(reinterpret_cast<uintptr_t>(slot.data) % RT_ALIGNMENT, 0u);
    channel.run->write(0, slot.data, std::string(1000, char(i)).data(), 1000);
    int64_t dim = 250, symbols[2] = {0, 0};
    MessageHeader header;
    header.dims = {&dim, 1};
    header.symbols = {symbols, 2};
    slot.numBytes = 1000;
    ASSERT_TRUE(channel.producer().publish(channel.out, slot, header, Stream()).ok());
    Slot received;
    ASSERT_TRUE(channel.consumer(0).wait(channel.in[0], Stream(), deadlineAfter(kLong), received, header).ok());
    EXPECT_EQ(reinterpret_cast<uintptr_t>(received.data) % RT_ALIGNMENT, 0u);
    char bytes[1000] = {};
    channel.run->read(1, received.data, bytes, sizeof(bytes));
    EXPECT_EQ(bytes[999], i);
    ASSERT_TRUE(channel.consumer(0).release(channel.in[0], received, Stream()).ok());
  }
}

// A slot of free size takes a large message and a small one in turn.
TEST_P(TransportConformance, freeSlots) {
  Channel channel;
  ASSERT_NO_FATAL_FAILURE(open(channel, GetParam(), 2, 1, -1));
  for (int64_t count : {int64_t(1) << 21, int64_t(3), int64_t(1) << 22, int64_t(0)}) {
    ASSERT_TRUE(sendInts(channel, count, 7, deadlineAfter(kLong)).ok());
    ASSERT_NO_FATAL_FAILURE(receiveInts(channel, 0, count, 7));
  }
}

// The end of the stream is a message without payload.
TEST_P(TransportConformance, endOfStream) {
  Channel channel;
  ASSERT_NO_FATAL_FAILURE(open(channel, GetParam(), 2, 1, 64));
  ASSERT_TRUE(sendInts(channel, 3, 4, deadlineAfter(kLong)).ok());
  Slot slot;
  ASSERT_TRUE(channel.producer().acquire(channel.out, 0, Stream(), deadlineAfter(kLong), slot).ok());
  MessageHeader header;
  header.flags = kFlagEnd;
  slot.numBytes = 0;
  ASSERT_TRUE(channel.producer().publish(channel.out, slot, header, Stream()).ok());
  ASSERT_NO_FATAL_FAILURE(receiveInts(channel, 0, 3, 4));
  ASSERT_TRUE(channel.consumer(0).wait(channel.in[0], Stream(), deadlineAfter(kLong), slot, header).ok());
  EXPECT_TRUE(header.flags & kFlagEnd);
  EXPECT_EQ(slot.numBytes, 0);
}

// Misuse is an error, not a crash: too large, twice, without acquire, out of order, from the wrong side.
TEST_P(TransportConformance, refusesMisuse) {
  Channel channel;
  ASSERT_NO_FATAL_FAILURE(open(channel, GetParam(), 2, 1, 4096));
  Slot slot;
  MessageHeader header;
  EXPECT_EQ(channel.producer().acquire(channel.out, 4097, Stream(), deadlineAfter(kLong), slot).code(), Code::kInvalid);
  EXPECT_EQ(channel.producer().publish(channel.out, slot, header, Stream()).code(), Code::kProgram);
  ASSERT_TRUE(channel.producer().acquire(channel.out, 4, Stream(), deadlineAfter(kLong), slot).ok());
  Slot second;
  EXPECT_EQ(channel.producer().acquire(channel.out, 4, Stream(), deadlineAfter(kLong), second).code(), Code::kProgram);
  EXPECT_EQ(channel.producer().publish(channel.out, slot, header, Stream()).code(), Code::kProgram); // no extents
  EXPECT_EQ(channel.consumer(0).release(channel.in[0], slot, Stream()).code(), Code::kProgram);
  EXPECT_EQ(channel.producer().wait(channel.out, Stream(), deadlineAfter(kLong), slot, header).code(), Code::kProgram);
  EXPECT_EQ(channel.producer().acquire(channel.out + 100, 4, Stream(), kNever, slot).code(), Code::kProgram);
}

// Ends that describe the channel differently do not join.
TEST_P(TransportConformance, refusesMismatch) {
  ChannelDesc desc = describe(2, 1, 4096);
  auto run = GetParam().make(layoutOf(desc), {desc});
  ASSERT_NE(run, nullptr);
  ChannelId channel;
  EndInfo end;
  ASSERT_TRUE(run->transport(0).open(desc, end, deadlineAfter(kLong), channel).ok());
  end.isProducer = false;
  auto tryWith = [&](ChannelDesc other) { return run->transport(1).open(other, end, deadlineAfter(kLong), channel); };
  ChannelDesc other = desc;
  other.depth = 3;
  Status status = tryWith(other);
  EXPECT_EQ(status.code(), Code::kMismatch);
  EXPECT_NE(status.message().find("depth"), std::string::npos) << status.message();
  other = desc;
  other.dtype = RT_F32;
  EXPECT_EQ(tryWith(other).code(), Code::kMismatch);
  other = desc;
  other.id = 7;
  EXPECT_EQ(tryWith(other).code(), Code::kMismatch);
}

// Nothing is copied on the way where memory is shared, and the counters say how much moved.
TEST_P(TransportConformance, countsBytes) {
  Channel channel;
  ASSERT_NO_FATAL_FAILURE(open(channel, GetParam(), 2, 1, 4096));
  for (int32_t i = 0; i < 10; ++i) {
    ASSERT_TRUE(sendInts(channel, 100, i, deadlineAfter(kLong)).ok());
    ASSERT_NO_FATAL_FAILURE(receiveInts(channel, 0, 100, i));
  }
  ChannelCounters counters = channel.producer().counters(channel.out);
  EXPECT_EQ(counters.messages, 10);
  EXPECT_EQ(counters.bytes, 4000);
  EXPECT_EQ(counters.bytesCopied, GetParam().copies ? 4000 : 0);
}

/// "rw-s" of the mapping around an address, as the kernel lists it.
std::string permissionsAt(const void *address) {
  std::ifstream maps("/proc/self/maps");
  auto wanted = reinterpret_cast<uintptr_t>(address);
  for (std::string line; std::getline(maps, line);) {
    unsigned long begin = 0, end = 0;
    char permissions[5] = "";
    if (std::sscanf(line.c_str(), "%lx-%lx %4s", &begin, &end, permissions) == 3 && wanted >= begin && wanted < end)
      return permissions;
  }
  return std::string();
}

// A consumer cannot write what it received, where the transport says so; between threads there is one mapping.
TEST_P(TransportConformance, receivedSlotsAreReadOnly) {
  Channel channel;
  ASSERT_NO_FATAL_FAILURE(open(channel, GetParam(), 2, 1, 4096));
  ASSERT_TRUE(sendInts(channel, 100, 1, deadlineAfter(kLong)).ok());
  Slot slot;
  ASSERT_NO_FATAL_FAILURE(expectInts(channel, 0, 100, 1, slot));
  EXPECT_EQ(permissionsAt(slot.data), GetParam().readOnlySlots ? "r--s" : "rw-p");
}

// A producer and two consumers at random speeds never lose or mix a message.
TEST_P(TransportConformance, randomSpeeds) {
  Channel channel;
  ASSERT_NO_FATAL_FAILURE(open(channel, GetParam(), 3, 2, 4096));
  constexpr int32_t kCount = 300;
  auto dawdle = [](std::mt19937 &random) {
    if (random() % 8 == 0)
      std::this_thread::sleep_for(std::chrono::microseconds(random() % 400));
  };
  std::thread producer([&] {
    std::mt19937 random(1);
    for (int32_t i = 0; i < kCount; ++i) {
      dawdle(random);
      EXPECT_TRUE(sendInts(channel, 1 + i % 1000, i, deadlineAfter(kLong)).ok());
    }
  });
  std::thread consumers[2];
  for (int32_t k = 0; k < 2; ++k)
    consumers[k] = std::thread([&, k] {
      std::mt19937 random(uint32_t(k) + 2);
      for (int32_t i = 0; i < kCount; ++i) {
        dawdle(random);
        receiveInts(channel, k, 1 + i % 1000, i);
      }
    });
  producer.join();
  for (std::thread &thread : consumers)
    thread.join();
}

} // namespace
