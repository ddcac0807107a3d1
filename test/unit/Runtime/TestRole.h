//===- TestRole.h - A pipeline written by hand -------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The tables and the program that the compiler would emit for one stage of a small chain:
//
//     stage k:  out = (in + (k + 1)), first stage: + weights, last of three or more: + what stage 0 sent
//
// over f32 tensors n x 4. Channel k leads from stage k-1 to stage k; channel 1 also to the last stage (a skip
// connection with two consumers). `Static` fixes n to 3 and the arena at compile time; otherwise n is a free symbol.
// Used as executables (TestRole.cpp) and as threads of the test.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_TEST_RUNTIME_TESTROLE_H
#define PENSTOCK_TEST_RUNTIME_TESTROLE_H

#include "penstock/rt/Abi.h"

#include <initializer_list>

namespace testrole {

constexpr int32_t kMaxStages = 17;
inline constexpr const char *kChannelNames[] = {"c0", "c1",  "c2",  "c3",  "c4",  "c5",  "c6",  "c7",  "c8",
                                                "c9", "c10", "c11", "c12", "c13", "c14", "c15", "c16", "c17"};
inline constexpr const char *kTensorNames[] = {"x",   "/h1",  "/h2",  "/h3",  "/h4",  "/h5",  "/h6",  "/h7",  "/h8",
                                               "/h9", "/h10", "/h11", "/h12", "/h13", "/h14", "/h15", "/h16", "/h17"};
inline constexpr const char *kRoleNames[] = {"stage-0",  "stage-1",  "stage-2",  "stage-3",  "stage-4",  "stage-5",
                                             "stage-6",  "stage-7",  "stage-8",  "stage-9",  "stage-10", "stage-11",
                                             "stage-12", "stage-13", "stage-14", "stage-15", "stage-16"};
inline constexpr const char *kSymbolNames[] = {"n"};
inline constexpr int64_t kStaticRows = 3;

/// Depth of channel `id` in a chain of `stages`: how many periods a slot is held.
constexpr int32_t depthOf(int32_t id, int32_t stages) { return id == 1 && stages >= 3 ? stages : 2; }

/// The note of a stage; `Mark` tells folders apart by their fingerprint, made of it, and by their cut.
template <int32_t Stage, int32_t Stages, uint8_t Mark> struct Note {
  rt_note head = {sizeof(RT_NOTE_NAME), 0, RT_NOTE_TYPE, RT_NOTE_NAME};
  char text[512] = {};

  constexpr Note() {
    add("abi "), add(RT_ABI_VERSION), add("\nfingerprint ");
    for (int i = 0; i < 32; ++i)
      addMark();
    add("\nname "), add(kRoleNames[Stage]), add("\nrole "), add(Stage), add("\nroles "), add(Stages);
    add("\nmodel chain.onnx\nweights four\nschedule plain\nbuild by hand\ncut "), addMark(), add("\n");
  }
  constexpr void add(const char *words) {
    for (; *words; ++words)
      text[head.text_bytes++] = *words;
  }
  constexpr void add(int32_t number) {
    if (number >= 10)
      add(number / 10);
    text[head.text_bytes++] = char('0' + number % 10);
  }
  constexpr void addMark() {
    for (int digit : {Mark >> 4, Mark & 15})
      text[head.text_bytes++] = "0123456789abcdef"[digit];
  }
};

template <int32_t Stage, int32_t Stages, bool Static, uint8_t Mark = 0xab> struct Role {
  static constexpr Note<Stage, Stages, Mark> kNote = {};
  static constexpr bool kSkips = Stages >= 3;
  static constexpr bool kJoins = kSkips && Stage == Stages - 1;
  static constexpr bool kIsFirst = Stage == 0;
  static constexpr int32_t kIn = 0, kOut = 1, kSkip = 2;

  static constexpr int64_t kDims[] = {Static ? kStaticRows : -2, 4}; // free: the second extent
  static constexpr int32_t kOwnStages[] = {Stage};
  static constexpr int32_t kInConsumers[] = {Stage, Stages - 1};
  static constexpr int32_t kOutConsumers[] = {Stage + 1 == Stages ? RT_STAGE_SINK : Stage + 1, Stages - 1};
  static constexpr int32_t kSkipConsumers[] = {1, Stages - 1};
  static constexpr int64_t kSlotBytes = Static ? kStaticRows * 16 : -1;

  static constexpr rt_channel_desc channel(int32_t id, int32_t producer, const int32_t *consumers, uint32_t direction,
                                           int32_t consumer) {
    return {kChannelNames[id],
            kTensorNames[id],
            id,
            RT_F32,
            2,
            kDims,
            producer,
            id == 1 && kSkips ? 2 : 1,
            consumers,
            depthOf(id, Stages),
            kSlotBytes,
            direction,
            consumer,
            RT_CARRIER_HOST};
  }
  static constexpr rt_channel_desc kChannels[] = {
      channel(Stage, Stage == 0 ? RT_STAGE_SOURCE : Stage - 1, kInConsumers, RT_CHANNEL_IN, 0),
      channel(Stage + 1, Stage, kOutConsumers, RT_CHANNEL_OUT, 0), channel(1, 0, kSkipConsumers, RT_CHANNEL_IN, 1)};

  // In, out, a temporary value, weights, a constant, and a count of the microbatches, kept as a state; then the skip.
  alignas(64) static constexpr float kAddend[16] = {Stage + 1.0f};
  static constexpr rt_storage_desc kStorages[] = {
      {RT_STORAGE_CHANNEL_IN, kIn, -1, -1, 0, 0, 0, nullptr, "in"},
      {RT_STORAGE_CHANNEL_OUT, kOut, -1, -1, 0, 1, 1, nullptr, "out"},
      {RT_STORAGE_ARENA, -1, Static ? 64 : -1, Static ? kStaticRows * 16 : -1, 0, 0, 1, nullptr, "sum"},
      {RT_STORAGE_CONSTANT, -1, -1, 64, -1, 0, 1, kAddend, "addend"},
      {RT_STORAGE_STATE, -1, -1, 8, -1, 0, 1, nullptr, "count"},
      {kIsFirst ? RT_STORAGE_WEIGHT : RT_STORAGE_CONSTANT, -1, kIsFirst ? 0 : -1, 16, -1, 0, 1,
       kIsFirst ? nullptr : kAddend, "bias"},
      {RT_STORAGE_CHANNEL_IN, kSkip, -1, -1, 0, 1, 1, nullptr, "skip"}};
  static constexpr int32_t kSum[] = {2}, kResult[] = {1}; // the storages that the two kernels fill
  static constexpr rt_step_desc kSteps[] = {{"/add", "k_add", 1, kSum}, {"/finish", "k_finish", 1, kResult}};

  /// Bytes of a value, and rows.
  static void extents(const int64_t *symbols, int64_t *values) {
    values[1] = Static ? kStaticRows : symbols[0];
    values[0] = values[1] * 16;
  }

  static void add(rt_ctx *, void *const *args, const int64_t *symbols) {
    const float *in = static_cast<const float *>(args[0]), *addend = static_cast<const float *>(args[1]);
    float *sum = static_cast<float *>(args[2]);
    for (int64_t i = 0; i < symbols[0] / 4; ++i)
      sum[i] = in[i] + addend[0];
  }
  static void finish(rt_ctx *ctx, void *const *args, const int64_t *symbols) {
    const float *sum = static_cast<const float *>(args[0]), *bias = static_cast<const float *>(args[1]);
    const float *skip = static_cast<const float *>(args[2]);
    float *out = static_cast<float *>(args[3]);
    for (int64_t i = 0; i < symbols[0] / 4; ++i)
      out[i] = sum[i] + (kIsFirst ? bias[i % 4] : 0) + (kJoins ? skip[i] : 0);
    // A value that asks for a failing kernel.
    if (symbols[0] > 0 && in13(out[0]))
      rt_fail(ctx, "the first element is -13000 or less");
  }
  static void checkNothing(rt_ctx *) {}
  static bool in13(float value) { return value <= -13000; }

#define RT_TRY(CALL)                                                                                                   \
  if (int32_t code = (CALL))                                                                                           \
  return code
  /// `check` runs within each microbatch, before its last step is done.
  template <void (*check)(rt_ctx *)> static int32_t program(rt_ctx *ctx) {
    void *const *buffers = rt_buffers(ctx);
    const int64_t *values = rt_extents(ctx);
    for (;;) {
      if (int32_t code = rt_begin(ctx))
        return code == RT_END ? int32_t(RT_OK) : code;
      RT_TRY(rt_wait(ctx, kIn));
      RT_TRY(rt_bind(ctx));
      RT_TRY(rt_acquire(ctx, kOut));
      void *first[] = {buffers[0], buffers[3], buffers[2]};
      add(ctx, first, values);
      RT_TRY(rt_done(ctx, 0));
      RT_TRY(rt_release(ctx, kIn));
      if (kJoins)
        RT_TRY(rt_wait(ctx, kSkip));
      void *second[] = {buffers[2], buffers[5], kJoins ? buffers[6] : buffers[0], buffers[1]};
      finish(ctx, second, values);
      ++*static_cast<int64_t *>(buffers[4]);
      check(ctx);
      RT_TRY(rt_done(ctx, 1));
      RT_TRY(rt_publish(ctx, kOut));
      if (kJoins)
        RT_TRY(rt_release(ctx, kSkip));
      RT_TRY(rt_end(ctx));
    }
  }
#undef RT_TRY

  static constexpr rt_role_desc make(int32_t (*run)(rt_ctx *) = program<checkNothing>) {
    rt_role_desc role = {};
    role.abi_version = RT_ABI_VERSION;
    role.note = &kNote.head;
    role.model = "chain.onnx";
    role.role_name = kRoleNames[Stage];
    role.role = Stage, role.num_roles = Stages, role.num_stages = Stages;
    role.num_own_stages = 1, role.own_stages = kOwnStages;
    role.num_threads = 1;
    role.required_features = "sse2,cx16";
    role.num_symbols = Static ? 0 : 1;
    role.symbol_names = kSymbolNames;
    role.num_extents = 2;
    role.extents = extents;
    role.num_channels = kJoins ? 3 : 2;
    role.channels = kChannels;
    role.num_storages = kJoins ? 7 : 6;
    role.storages = kStorages;
    role.num_steps = 2;
    role.steps = kSteps;
    role.arena_bytes = Static ? 128 : -1;
    role.weights_file = kIsFirst ? "stage-0.weights" : nullptr;
    role.weights_bytes = kIsFirst ? 64 : 0;
    for (int i = 0; i < 16; ++i)
      role.weights_hash[i] = kWeightsHash[i];
    role.program = run;
    return role;
  }

  /// XXH3 (128 bits) of the floats 0.5 1.5 2.5 3.5 and twelve zeros.
  static constexpr uint8_t kWeightsHash[16] = {0x1d, 0x67, 0x19, 0x13, 0x39, 0xa4, 0xe9, 0x53,
                                               0x81, 0x13, 0x53, 0x90, 0x86, 0x2e, 0x47, 0xca};
};

} // namespace testrole

#endif // PENSTOCK_TEST_RUNTIME_TESTROLE_H
