//===- StandinTest.cpp - Each fault that the stand-in must find --*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A stand-in that finds nothing proves nothing: every kind of fault is planted here, beside the same program without
// it.
//
//===----------------------------------------------------------------------===//
#include "DeviceRun.h"
#include "Links.h"

#include <cstdlib>

using namespace testdevice;

namespace {

/// Adds 1 to each of some integers: parameters from, to, count.
standin::KernelModel makeAddOne() {
  standin::KernelModel kernel;
  kernel.name = "k_add";
  kernel.numParameters = 3;
  kernel.accesses = [](const standin::KernelCall &call) -> std::vector<standin::Access> {
    size_t numBytes = call.parameters[2] * 4;
    return {{reinterpret_cast<const void *>(call.parameters[0]), numBytes, false},
            {reinterpret_cast<const void *>(call.parameters[1]), numBytes, true}};
  };
  kernel.run = [](const standin::KernelCall &call) {
    for (uint64_t i = 0; i < call.parameters[2]; ++i)
      reinterpret_cast<int32_t *>(call.parameters[1])[i] = reinterpret_cast<int32_t *>(call.parameters[0])[i] + 1;
  };
  return kernel;
}

/// The same, whose accesses show when it is done.
standin::KernelModel makePlayed() {
  standin::KernelModel kernel = makeAddOne();
  kernel.play = [accesses = kernel.accesses, run = kernel.run](const standin::KernelCall &call) {
    run(call);
    return accesses(call);
  };
  return kernel;
}

/// One device with two streams, an event, two buffers on the device and a pinned one.
class Bench {
public:
  explicit Bench(int32_t index = 0) : open(index), d(open.table) {
    EXPECT_EQ(d.makeStream(d.self, 0, &first), 0);
    EXPECT_EQ(d.makeStream(d.self, 0, &second), 0);
    EXPECT_TRUE(DeviceEvent::make(d, "a test", event).ok());
    EXPECT_EQ(d.allocate(d.self, 64, &a), 0);
    EXPECT_EQ(d.allocate(d.self, 64, &b), 0);
    EXPECT_EQ(d.allocateHost(d.self, 64, &pinned), 0);
    std::memset(pinned, 0, 64);
  }
  ~Bench() {
    event = DeviceEvent();
    for (void *stream : {first, second})
      EXPECT_EQ(d.dropStream(d.self, stream), 0);
    for (void *data : {a, b})
      EXPECT_EQ(d.release(d.self, data), 0);
    EXPECT_EQ(d.releaseHost(d.self, pinned), 0);
    if (image)
      EXPECT_EQ(d.dropImage(d.self, image), 0);
  }
  int32_t add(const void *from, void *to, void *stream, uint32_t block = 16, uint32_t shared = 0) {
    if (!kernel) {
      standin::addKernel(isPlayed ? makePlayed() : makeAddOne());
      std::vector<char> bytes = standin::makeImage(90);
      EXPECT_EQ(d.loadImage(d.self, bytes.data(), &image), 0);
      EXPECT_EQ(d.findKernel(d.self, image, "k_add", 0, &kernel), 0);
    }
    int64_t count = 16;
    void *parameters[] = {&from, &to, &count};
    Launch launch;
    launch.kernel = kernel, launch.block[0] = block, launch.sharedBytes = shared, launch.parameters = parameters;
    return d.launch(d.self, &launch, stream);
  }
  void join(void *before, void *after) {
    EXPECT_EQ(d.mark(d.self, event.get(), before), 0);
    EXPECT_EQ(d.await(d.self, after, event.get()), 0);
  }
  void finish(void *stream) {
    EXPECT_EQ(d.mark(d.self, event.get(), stream), 0);
    EXPECT_TRUE(awaitEvent(d, "a test", "finish", event.get(), deadlineAfter(kLong), Watch()).ok());
  }

  OpenDevice open;
  const Device &d;
  void *first = nullptr, *second = nullptr, *a = nullptr, *b = nullptr, *pinned = nullptr;
  void *image = nullptr, *kernel = nullptr;
  DeviceEvent event;
  bool isPlayed = false;
};

class Standin : public testing::Test {
protected:
  void SetUp() override { standin::reset(); }
  void expectFault(const std::string &words) {
    EXPECT_EQ(faultWords(), words + "\n");
    standin::reset();
  }
};

// What one stream has written is for another to read only behind an event.
TEST_F(Standin, useBeforeAnEvent) {
  for (bool planted : {false, true}) {
    standin::reset();
    {
      Bench bench;
      EXPECT_EQ(bench.d.copyIn(bench.d.self, bench.a, bench.pinned, 64, bench.first), 0);
      if (!planted)
        bench.join(bench.first, bench.second);
      EXPECT_EQ(bench.add(bench.a, bench.b, bench.second), 0);
    }
    standin::checkLeaks();
    EXPECT_EQ(faultWords(), planted ? "use before an event: 'k_add' on stream 2 reads what 'copy in' on stream 1 may "
                                      "not have written yet\n"
                                    : "");
  }
}

// An event that the host has seen orders what the host does next, on every stream.
TEST_F(Standin, theHostOrdersToo) {
  Bench bench;
  EXPECT_EQ(bench.d.copyIn(bench.d.self, bench.a, bench.pinned, 64, bench.first), 0);
  bench.finish(bench.first);
  EXPECT_EQ(bench.add(bench.a, bench.b, bench.second), 0);
  EXPECT_EQ(faultWords(), "");
}

// What a stream still reads is not to be written by another, nor by a later write of a third that saw only the first.
TEST_F(Standin, overwrittenInFlight) {
  for (bool planted : {false, true}) {
    standin::reset();
    Bench bench;
    EXPECT_EQ(bench.add(bench.a, bench.b, bench.first), 0);
    if (!planted)
      bench.join(bench.first, bench.second);
    EXPECT_EQ(bench.d.copyIn(bench.d.self, bench.a, bench.pinned, 64, bench.second), 0);
    EXPECT_EQ(faultWords(), planted
                                ? "overwritten in flight: 'copy in' on stream 2 writes what 'k_add' on stream 1 may "
                                  "still read\n"
                                : "");
  }
}

// What a played kernel touches is compared with what was given before it, and after it.
TEST_F(Standin, playedKernels) {
  for (bool planted : {false, true}) {
    standin::reset();
    {
      Bench bench;
      bench.isPlayed = true;
      EXPECT_EQ(bench.add(bench.a, bench.b, bench.first), 0);
      if (!planted)
        bench.join(bench.first, bench.second);
      EXPECT_EQ(bench.d.copyOut(bench.d.self, bench.pinned, bench.b, 64, bench.second), 0);
    }
    standin::checkLeaks();
    EXPECT_EQ(faultWords(), planted
                                ? "overwritten in flight: 'k_add' on stream 1 writes what 'copy out' on stream 2 may "
                                  "still read\n"
                                : "");
  }
}

// The host does not write what is being copied.
TEST_F(Standin, overwrittenByTheHost) {
  Bench bench;
  EXPECT_EQ(bench.d.copyIn(bench.d.self, bench.a, bench.pinned, 64, bench.first), 0);
  static_cast<char *>(bench.pinned)[63] = 1;
  bench.finish(bench.first);
  EXPECT_EQ(faultWords(), "overwritten in flight: the host writes what 'copy in' still reads\n");
}

// What the host reads before the event is rubbish, and the event says so when it is first asked.
TEST_F(Standin, resultsComeLate) {
  Bench bench;
  EXPECT_EQ(bench.d.copyIn(bench.d.self, bench.a, bench.pinned, 64, bench.first), 0);
  bench.finish(bench.first);
  EXPECT_EQ(bench.add(bench.a, bench.b, bench.first), 0);
  EXPECT_EQ(bench.d.copyOut(bench.d.self, bench.pinned, bench.b, 64, bench.first), 0);
  EXPECT_EQ(static_cast<const unsigned char *>(bench.pinned)[0], 0xcb);
  EXPECT_EQ(bench.d.mark(bench.d.self, bench.event.get(), bench.first), 0);
  int32_t happened = 1;
  EXPECT_EQ(bench.d.test(bench.d.self, bench.event.get(), &happened), 0);
  EXPECT_EQ(happened, 0);
  bench.finish(bench.first);
  EXPECT_EQ(static_cast<const int32_t *>(bench.pinned)[15], 1);
  EXPECT_EQ(faultWords(), "");
}

// Accesses outside of allocations, and copies of memory that is not pinned.
TEST_F(Standin, outOfPlace) {
  Bench bench;
  EXPECT_EQ(bench.add(static_cast<char *>(bench.a) + 4, bench.b, bench.first), 0);
  EXPECT_EQ(faultWords(), "out of place: 'k_add' on stream 1 uses 64 bytes outside of any allocation\n");
  char stack[64] = "";
  EXPECT_EQ(bench.d.copyIn(bench.d.self, bench.a, stack, 64, bench.first), 0);
  EXPECT_NE(faultWords().find("'copy in' of 64 bytes uses memory of the host that is not pinned"), std::string::npos);
  bench.finish(bench.first);
}

// Launches that a device refuses.
TEST_F(Standin, refusesLaunches) {
  Bench bench;
  EXPECT_EQ(bench.add(bench.a, bench.b, bench.first, 1024), 0);
  EXPECT_NE(bench.add(bench.a, bench.b, bench.first, 1025), 0);
  EXPECT_NE(bench.add(bench.a, bench.b, bench.first, 16, 49 * 1024), 0);
  EXPECT_EQ(bench.d.findKernel(bench.d.self, bench.image, "k_add", 64 * 1024, &bench.kernel), 0);
  EXPECT_EQ(bench.add(bench.a, bench.b, bench.first, 16, 49 * 1024), 0);
  void *none = nullptr;
  EXPECT_EQ(bench.d.findKernel(bench.d.self, bench.image, "k_mul", 0, &none), kDeviceNoKernel);
}

// Everything that is made must be dropped.
TEST_F(Standin, leaks) {
  {
    OpenDevice open;
    const Device &d = open.table;
    void *made = nullptr;
    EXPECT_EQ(d.allocate(d.self, 64, &made), 0);
    EXPECT_EQ(d.allocateHost(d.self, 64, &made), 0);
    EXPECT_EQ(d.makeEvent(d.self, &made), 0);
    EXPECT_EQ(d.loadImage(d.self, standin::makeImage(90).data(), &made), 0);
  }
  standin::checkLeaks();
  expectFault("leak: 1 allocations on devices\nleak: 1 pinned allocations\nleak: 1 events\nleak: 1 modules");
  Device device;
  ASSERT_TRUE(loadDevice(PENSTOCK_TEST_CUDA, 0, device).ok());
  void *stream = nullptr;
  EXPECT_EQ(device.makeStream(device.self, 0, &stream), 0);
  standin::checkLeaks();
  expectFault("leak: 1 streams\nleak: 1 contexts");
  EXPECT_NE(device.close(device.self), 0); // of a machine that has been forgotten
}

// A planned failure comes at its call.
TEST_F(Standin, failsTheNthCall) {
  OpenDevice open;
  const Device &d = open.table;
  standin::failCall("cuMemAlloc", 2, 2);
  void *first = nullptr, *second = nullptr;
  EXPECT_EQ(d.allocate(d.self, 64, &first), 0);
  EXPECT_EQ(d.allocate(d.self, 64, &second), kDeviceFull);
  EXPECT_EQ(d.release(d.self, first), 0);
  EXPECT_EQ(standin::numCalls("cuMemAlloc"), 2);
}

// A graph is done as often as it is launched, and while it is recorded nothing is done.
TEST_F(Standin, graphs) {
  Bench bench;
  const Device &d = bench.d;
  EXPECT_EQ(d.copyIn(d.self, bench.a, bench.pinned, 64, bench.first), 0);
  EXPECT_EQ(bench.add(bench.a, bench.a, bench.first), 0);
  EXPECT_EQ(d.beginGraph(d.self, bench.first), 0);
  EXPECT_EQ(bench.add(bench.a, bench.a, bench.first), 0);
  EXPECT_NE(d.mark(d.self, bench.event.get(), bench.first), 0); // not in a graph
  void *graph = nullptr;
  EXPECT_EQ(d.endGraph(d.self, bench.first, &graph), 0);
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(d.runGraph(d.self, graph, bench.first), 0);
  EXPECT_EQ(d.copyOut(d.self, bench.pinned, bench.a, 64, bench.first), 0);
  bench.finish(bench.first);
  EXPECT_EQ(static_cast<const int32_t *>(bench.pinned)[0], 4);
  EXPECT_EQ(d.dropGraph(d.self, graph), 0);
  EXPECT_EQ(faultWords(), "");
}

// Code is for chips of one generation from a version on; PTX for all later ones.
TEST_F(Standin, readsTheChipsOfAnImage) {
  auto load = [](const void *image) {
    OpenDevice open;
    void *handle = nullptr;
    int32_t code = open.table.loadImage(open.table.self, image, &handle);
    if (code == 0)
      EXPECT_EQ(open.table.dropImage(open.table.self, handle), 0);
    return code;
  };
  EXPECT_EQ(load(standin::makeImage(90).data()), 0);
  EXPECT_EQ(load(standin::makeImage(80).data()), kDeviceWrongImage);
  EXPECT_EQ(load(standin::makeImage(100).data()), kDeviceWrongImage);
  EXPECT_EQ(load(".version 8.5\n.target sm_80\n"), 0);
  EXPECT_EQ(load(".version 8.5\n.target sm_100\n"), kDeviceWrongImage);
  EXPECT_EQ(load("neither code nor anything else, and long enough to be looked at"), 200);
  // A fat binary: its header, then entries of 64 bytes with their payload.
  auto fat = [](std::vector<std::pair<uint16_t, uint32_t>> codes) {
    std::vector<uint32_t> words = {0xba55ed50, 0x00100001, uint32_t(codes.size()) * 64, 0};
    for (auto [kind, arch] : codes) {
      std::vector<uint32_t> entry = {0x01010000u | kind, 64, 0, 0, 0, 0, 0, arch};
      entry.resize(16);
      words.insert(words.end(), entry.begin(), entry.end());
    }
    return words;
  };
  EXPECT_EQ(load(fat({{2, 80}, {2, 90}}).data()), 0);
  EXPECT_EQ(load(fat({{2, 80}, {2, 100}}).data()), kDeviceWrongImage);
  EXPECT_EQ(load(fat({{2, 70}, {1, 70}}).data()), 0);
}

//===----------------------------------------------------------------------===//
// NCCL
//===----------------------------------------------------------------------===//

/// Two devices and a link between them.
class LinkedPair {
public:
  explicit LinkedPair(int32_t secondDevice = 1) : one(0), two(secondDevice) {
    EXPECT_TRUE(loadLinks(PENSTOCK_TEST_NCCL, links).ok());
    char id[kLinkIdBytes] = "";
    EXPECT_EQ(links.makeId(links.self, id), 0);
    EXPECT_EQ(one.d.enter(one.d.self), 0);
    EXPECT_EQ(links.join(links.self, id, 0, &first), kBegun);
    EXPECT_EQ(links.state(links.self, first), kBegun);
    EXPECT_EQ(two.d.enter(two.d.self), 0);
    EXPECT_EQ(links.join(links.self, id, 1, &second), kBegun);
  }
  int32_t send(int64_t numBytes) {
    EXPECT_EQ(one.d.enter(one.d.self), 0);
    return links.send(links.self, first, 1, one.a, numBytes, one.first);
  }
  int32_t receive(int64_t numBytes) {
    EXPECT_EQ(two.d.enter(two.d.self), 0);
    return links.receive(links.self, second, 0, two.a, numBytes, two.first);
  }
  void finish() {
    EXPECT_EQ(links.finish(links.self, first), kBegun);
    EXPECT_EQ(links.state(links.self, first), kBegun);
    EXPECT_EQ(links.finish(links.self, second), kBegun);
    for (void *link : {first, second}) {
      EXPECT_EQ(links.state(links.self, link), kLinked);
      EXPECT_EQ(links.drop(links.self, link), 0);
    }
  }
  void abort() {
    EXPECT_EQ(links.abort(links.self, first), 0);
    EXPECT_EQ(links.abort(links.self, second), 0);
  }
  Bench one, two;
  Links links;
  void *first = nullptr, *second = nullptr;
};

// A send and its receive move the bytes, whichever comes first.
TEST_F(Standin, transfersMeet) {
  {
    LinkedPair pair;
    EXPECT_EQ(pair.links.state(pair.links.self, pair.first), kLinked);
    static_cast<char *>(pair.one.pinned)[5] = 7;
    EXPECT_EQ(pair.one.d.copyIn(pair.one.d.self, pair.one.a, pair.one.pinned, 64, pair.one.first), 0);
    EXPECT_EQ(pair.send(64), 0);
    EXPECT_EQ(pair.receive(64), 0);
    EXPECT_EQ(pair.receive(32), 0);
    EXPECT_EQ(pair.send(32), 0);
    EXPECT_EQ(pair.two.d.copyOut(pair.two.d.self, pair.two.pinned, pair.two.a, 64, pair.two.first), 0);
    pair.two.finish(pair.two.first);
    EXPECT_EQ(static_cast<const char *>(pair.two.pinned)[5], 7);
    pair.finish();
  }
  standin::checkLeaks();
  EXPECT_EQ(faultWords(), "");
}

// Both sides of a transfer have one length.
TEST_F(Standin, transfersOfDifferentLengths) {
  LinkedPair pair;
  EXPECT_EQ(pair.send(64), 0);
  EXPECT_EQ(pair.receive(32), 0);
  EXPECT_EQ(faultWords(), "mismatch: a send of 64 bytes from rank 0 to 1 meets a receive of 32\n");
  pair.finish();
}

// A send that no receive meets, when the ranks leave; until then it holds its stream.
TEST_F(Standin, aSendWithoutAReceive) {
  LinkedPair pair;
  EXPECT_EQ(pair.send(64), 0);
  EXPECT_EQ(pair.one.d.mark(pair.one.d.self, pair.one.event.get(), pair.one.first), 0);
  int32_t happened = 1;
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(pair.one.d.test(pair.one.d.self, pair.one.event.get(), &happened), 0);
  EXPECT_EQ(happened, 0);
  pair.finish();
  EXPECT_EQ(faultWords(), "mismatch: 1 sends from rank 0 to 1 and 0 receives\n");
}

// What a transfer uses is not freed while it can still come.
TEST_F(Standin, freedInUse) {
  LinkedPair pair;
  EXPECT_EQ(pair.receive(64), 0);
  EXPECT_EQ(pair.two.d.release(pair.two.d.self, pair.two.a), 0);
  EXPECT_EQ(faultWords(), "freed in use: memory of 'receive', which cannot end\n");
  EXPECT_EQ(pair.two.d.allocate(pair.two.d.self, 64, &pair.two.a), 0);
  pair.abort();
}

// A rank that ends in the middle shows at the other; streams that waited for it go on.
TEST_F(Standin, aRankThatEnds) {
  LinkedPair pair;
  EXPECT_EQ(pair.send(64), 0);
  EXPECT_EQ(pair.links.abort(pair.links.self, pair.second), 0);
  int32_t code = pair.links.state(pair.links.self, pair.first);
  char words[128] = "";
  pair.links.explain(pair.links.self, code, words, sizeof(words));
  EXPECT_STREQ(words, "remote process exited or there was a network error");
  EXPECT_EQ(pair.links.abort(pair.links.self, pair.first), 0);
  pair.one.finish(pair.one.first);
  EXPECT_EQ(faultWords(), "");
}

// Two ranks on one device are refused, as by the real library; a link that is dropped too early is a fault.
TEST_F(Standin, refusesLinks) {
  {
    LinkedPair pair(0);
    int32_t code = pair.links.state(pair.links.self, pair.first);
    EXPECT_NE(code, kBegun);
    EXPECT_NE(code, kLinked);
    pair.abort();
  }
  LinkedPair pair;
  EXPECT_EQ(pair.links.drop(pair.links.self, pair.first), 0);
  EXPECT_EQ(faultWords(), "mismatch: a communicator destroyed before it was finalized by all ranks\n");
  standin::checkLeaks();
  EXPECT_NE(faultWords().find("leak: 1 communicators"), std::string::npos);
  EXPECT_EQ(pair.links.abort(pair.links.self, pair.second), 0);
}

} // namespace
