//===- ProgramTest.cpp - The calls of a role's program -----------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "Folder.h"
#include "penstock/rt/Session.h"

using namespace penstock::rt;
using namespace testrole;

namespace {

using Single = Role<0, 1, true>;

/// Runs one request through a one-stage folder whose program is `program`.
Status runWith(int32_t (*program)(rt_ctx *), const std::function<void(rt_role_desc &)> &change = nullptr,
               int64_t timeoutNs = 5000000000, const json &symbols = json::array()) {
  TemporaryFolder folder;
  json plan = chainPlan(1, true);
  plan["symbols"] = symbols;
  writeFile(folder.path + "/plan.json", plan.dump());
  writeFile(folder.path + "/stage-0.weights", chainWeights());
  rt_role_desc role = Single::make(program);
  if (change)
    change(role);
  SessionOptions options;
  options.roles = {&role};
  options.timeoutNs = timeoutNs;
  std::unique_ptr<Session> session;
  Status status = Session::open(folder.path, options, session);
  if (!status.ok())
    return status;
  TensorMap inputs{{"x", ramp(kStaticRows, 0)}}, outputs;
  status = session->run(viewsOf(inputs), outputs);
  Status closed = session->close();
  return status.ok() ? closed : status;
}

#define RT_TRY(CALL)                                                                                                   \
  if (int32_t code = (CALL))                                                                                           \
  return code

// Calls out of order end the run with a message that names the call; nothing hangs or crashes.
TEST(Program, misuseIsNamed) {
  auto expect = [](int32_t (*program)(rt_ctx *), const char *words) {
    Status status = runWith(program);
    EXPECT_EQ(status.code(), Code::kProgram) << words;
    EXPECT_NE(status.message().find(words), std::string::npos) << status.message();
  };
  expect([](rt_ctx *ctx) -> int32_t { return rt_wait(ctx, 0); }, "rt_wait on channel 0");
  expect([](rt_ctx *ctx) -> int32_t { return rt_bind(ctx); }, "rt_bind");
  expect(
      [](rt_ctx *ctx) -> int32_t {
        RT_TRY(rt_begin(ctx));
        return rt_wait(ctx, 1);
      },
      "rt_wait on channel 1");
  expect(
      [](rt_ctx *ctx) -> int32_t {
        RT_TRY(rt_begin(ctx));
        return rt_acquire(ctx, 1);
      },
      "rt_acquire on channel 1");
  expect(
      [](rt_ctx *ctx) -> int32_t {
        RT_TRY(rt_begin(ctx));
        RT_TRY(rt_bind(ctx));
        return rt_publish(ctx, 1);
      },
      "rt_publish on channel 1");
  expect(
      [](rt_ctx *ctx) -> int32_t {
        RT_TRY(rt_begin(ctx));
        return rt_upload(ctx, 0);
      },
      "rt_upload on channel 0, expected a received input channel of the host, once, in a role on a device");
  expect(
      [](rt_ctx *ctx) -> int32_t {
        RT_TRY(rt_begin(ctx));
        RT_TRY(rt_bind(ctx));
        RT_TRY(rt_acquire(ctx, 1));
        return rt_download(ctx, 1);
      },
      "rt_download on channel 1, expected an acquired output channel of the host, once, in a role on a device");
  expect(
      [](rt_ctx *ctx) -> int32_t {
        RT_TRY(rt_begin(ctx));
        RT_TRY(rt_bind(ctx));
        RT_TRY(rt_release(ctx, 0));
        return rt_release(ctx, 0);
      },
      "rt_release on channel 0");
  expect(
      [](rt_ctx *ctx) -> int32_t {
        RT_TRY(rt_begin(ctx));
        RT_TRY(rt_bind(ctx));
        return rt_end(ctx);
      },
      "rt_end on channel 0");
  expect(
      [](rt_ctx *ctx) -> int32_t {
        RT_TRY(rt_begin(ctx));
        return rt_done(ctx, 99);
      },
      "step 99, expected one below 2");
  expect(
      [](rt_ctx *ctx) -> int32_t {
        RT_TRY(rt_begin(ctx));
        return rt_begin(ctx);
      },
      "rt_begin");
  expect([](rt_ctx *) -> int32_t { return 42; }, "code 42");
}

// A program that ends before the stream does is a failure of the run, not a hang.
TEST(Program, earlyEnd) {
  Status status = runWith([](rt_ctx *) -> int32_t { return RT_OK; });
  EXPECT_EQ(status.message(), "stage-0: the program ended before the stream did");
}

/// Spends about a second of CPU time.
void compute(rt_ctx *) {
  for (int64_t until = nowNs() + 1000000000; nowNs() < until;) {
  }
}

/// Spends a second doing nothing.
void sleepOn(rt_ctx *) { usleep(1000000); }

// A stage that computes longer than the timeout is waited for; one that only sleeps is not, and is named.
TEST(Deadline, computingIsProgress) {
  constexpr int64_t kTimeoutNs = 300000000;
  Status status = runWith(Single::program<compute>, nullptr, kTimeoutNs);
  EXPECT_TRUE(status.ok()) << status.message();
  status = runWith(Single::program<sleepOn>, nullptr, kTimeoutNs);
  EXPECT_EQ(status.code(), Code::kTimeout);
  EXPECT_NE(status.message().find("for '/h1' from stage 0 (last done: microbatch 0, '/add')"), std::string::npos)
      << status.message();
}

int numDestroyed = 0;

// Library glue has a place of its own, found by key, freed at the end.
TEST(Program, localState) {
  static int firstKey, secondKey;
  numDestroyed = 0;
  Status status = runWith([](rt_ctx *ctx) -> int32_t {
    auto destroy = [](void *value) { numDestroyed += *static_cast<int *>(value); };
    static int one = 1, ten = 10;
    void **first = rt_local(ctx, &firstKey, destroy), **second = rt_local(ctx, &secondKey, destroy);
    bool fresh = !*first && !*second;
    *first = &one, *second = &ten;
    if (!fresh || rt_local(ctx, &firstKey, destroy) != first || *rt_local(ctx, &secondKey, destroy) != &ten)
      rt_fail(ctx, "local state is lost");
    if (rt_num_threads(ctx) != 1 || std::string(rt_folder(ctx)).empty())
      rt_fail(ctx, "no folder");
    return Single::program<Single::checkNothing>(ctx);
  });
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(numDestroyed, 11);
}

// Tables that do not hold together are refused before anything runs.
TEST(Role, damagedTables) {
  static const rt_channel_desc noChannels[1] = {};
  static rt_storage_desc storages[6];
  auto expect = [](const char *words, const std::function<void(rt_role_desc &)> &change) {
    Status status = runWith(Single::program<Single::checkNothing>, change);
    EXPECT_EQ(status.exitStatus(), 2) << words;
    EXPECT_NE(status.message().find(words), std::string::npos) << status.message();
  };
  expect("2 of 1 symbols", [](rt_role_desc &role) { role.num_symbols = 1, role.num_data_symbols = 2; });
  expect("ABI version 77", [](rt_role_desc &role) { role.abi_version = 77; });
  expect("role 3 of 1", [](rt_role_desc &role) { role.role = 3; });
  expect("a table is missing", [](rt_role_desc &role) { role.num_channels = 0; });
  expect("channel 0 has no name", [](rt_role_desc &role) { role.channels = noChannels; });
  expect("no program", [](rt_role_desc &role) { role.program = nullptr; });
  expect("extents without a function", [](rt_role_desc &role) { role.extents = nullptr; });
  expect("does not know", [](rt_role_desc &role) { role.required_features = "sse2,warp-drive"; });
  expect("libgomp", [](rt_role_desc &role) { role.num_threads = 2; });
  auto withStorage = [&](const char *words, int index, const std::function<void(rt_storage_desc &)> &change) {
    std::copy(Single::kStorages, Single::kStorages + 6, storages);
    change(storages[index]);
    expect(words, [](rt_role_desc &role) { role.storages = storages; });
  };
  static const int32_t made[] = {99};
  static const rt_step_desc steps[] = {{"/add", "k_add", 1, made}, {"/finish", nullptr, 0, nullptr}};
  expect("step 0 makes storage 99", [](rt_role_desc &role) { role.steps = steps; });
  expect("step 0 has no name", [](rt_role_desc &role) { role.steps = steps + 1, role.num_steps = 1; });
  withStorage("storage 2 lies at 96", 2, [](rt_storage_desc &storage) { storage.offset = 96; });
  withStorage("storage 2 lies at 128", 2, [](rt_storage_desc &storage) { storage.offset = 128; });
  withStorage("storage 0 names channel 1", 0, [](rt_storage_desc &storage) { storage.index = 1; });
  withStorage("storage 1 has no length", 1, [](rt_storage_desc &storage) { storage.num_bytes_extent = 9; });
  withStorage("storage 3 is a constant", 3, [](rt_storage_desc &storage) { storage.data = nullptr; });
  withStorage("storage 5 has an unknown kind 17", 5, [](rt_storage_desc &storage) { storage.kind = 17; });
  withStorage("storage 5 lies at 64", 5, [](rt_storage_desc &storage) { storage.offset = 64; });
}

// A symbol that a kernel finds has no value until it is set; then it is within its bounds.
TEST(Program, symbolsOfTheData) {
  static const char *const kNames[] = {"found"};
  auto run = [](int32_t (*program)(rt_ctx *)) {
    auto change = [](rt_role_desc &role) {
      role.num_symbols = role.num_data_symbols = 1;
      role.symbol_names = kNames;
    };
    return runWith(program, change, 5000000000, {{{"name", "found"}, {"data", true}}});
  };
  constexpr int kCount = 4; // the storage of one i64
  auto set = [](rt_ctx *ctx, int64_t value) {
    *static_cast<int64_t *>(rt_buffers(ctx)[kCount]) = value;
    return rt_set_symbol(ctx, 0, kCount, 0, 5, "/NonZero");
  };
  Status status = run([](rt_ctx *ctx) -> int32_t {
    RT_TRY(rt_begin(ctx));
    EXPECT_EQ(rt_symbols(ctx)[0], -1);
    return rt_set_symbol(ctx, 0, kCount, 0, 5, "/NonZero");
  });
  EXPECT_NE(status.message().find("called rt_set_symbol"), std::string::npos) << status.message();
  static auto *setValue = +set;
  status = run([](rt_ctx *ctx) -> int32_t {
    RT_TRY(rt_begin(ctx));
    RT_TRY(rt_bind(ctx));
    RT_TRY(setValue(ctx, 5));
    EXPECT_EQ(rt_symbols(ctx)[0], 5);
    RT_TRY(setValue(ctx, 5)); // a copy of the kernel in another stage says the same
    return setValue(ctx, 4);
  });
  EXPECT_NE(status.message().find("dimension 'found' of node '/NonZero' is 4 here and 5 in another stage"),
            std::string::npos)
      << status.message();
  status = run([](rt_ctx *ctx) -> int32_t {
    RT_TRY(rt_begin(ctx));
    RT_TRY(rt_bind(ctx));
    return setValue(ctx, 6);
  });
  EXPECT_EQ(status.exitStatus(), 2);
  EXPECT_NE(status.message().find("dimension 'found' of node '/NonZero' is 6, expected 0..5"), std::string::npos)
      << status.message();
}

} // namespace
