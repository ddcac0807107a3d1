// Stands in for the runtime: prints the tables that a role was linked with, as the C compiler sees them, then runs its
// program for one microbatch with calls that print themselves. `harness` prints; `harness BATCH SEQ` evaluates the
// extents; `harness fail CALL` lets the named call fail.
#include "penstock/rt/Abi.h"

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

extern "C" const rt_role_desc penstock_role;

struct rt_ctx {
  int round = 0;
  std::string failing;
  void *buffers[16];
  int64_t extents[16];
};
static float slots[16][16];

static int32_t report(rt_ctx *ctx, const char *call, int32_t number) {
  std::printf("%s %d\n", call, number);
  return ctx->failing == call ? RT_ERR_FAULT : RT_OK;
}

extern "C" {
int32_t rt_begin(rt_ctx *ctx) { return ctx->round++ == 0 ? report(ctx, "begin", 0) : int32_t(RT_END); }
int32_t rt_wait(rt_ctx *ctx, int32_t channel) { return report(ctx, "wait", channel); }
int32_t rt_bind(rt_ctx *ctx) { return report(ctx, "bind", 0); }
int32_t rt_acquire(rt_ctx *ctx, int32_t channel) { return report(ctx, "acquire", channel); }
int32_t rt_publish(rt_ctx *ctx, int32_t channel) { return report(ctx, "publish", channel); }
int32_t rt_release(rt_ctx *ctx, int32_t channel) { return report(ctx, "release", channel); }
int32_t rt_done(rt_ctx *ctx, int32_t step) { return report(ctx, "done", step); }
int32_t rt_end(rt_ctx *ctx) { return report(ctx, "end", 0); }
int32_t rt_check(rt_ctx *ctx, int64_t lhs, int64_t rhs, const char *what) {
  std::printf("check %" PRId64 " %" PRId64 " %s\n", lhs, rhs, what);
  return lhs == rhs ? RT_OK : RT_ERR_INVALID;
}
void *const *rt_buffers(rt_ctx *ctx) { return ctx->buffers; }
const int64_t *rt_extents(rt_ctx *ctx) { return ctx->extents; }

void k_scale(rt_ctx *, void *const *buffers, const int64_t *symbols) {
  std::printf("scale in %g constant %g symbols %" PRId64 " %" PRId64 "\n", *static_cast<float *>(buffers[0]),
              static_cast<float *>(buffers[1])[1], symbols[0], symbols[1]);
  *static_cast<float *>(buffers[2]) = *static_cast<float *>(buffers[0]) * static_cast<float *>(buffers[1])[1];
}
void k_shift(rt_ctx *, void *const *buffers, const int64_t *) {
  std::printf("shift in %g weight %g\n", *static_cast<float *>(buffers[0]), *static_cast<float *>(buffers[1]));
  *static_cast<float *>(buffers[2]) = *static_cast<float *>(buffers[0]) + *static_cast<float *>(buffers[1]);
}
}

static void printChannel(const rt_channel_desc &channel) {
  std::printf("channel %s %s id %d dtype %d dims", channel.name, channel.tensor, channel.id, channel.dtype);
  for (int32_t i = 0; i < channel.num_dims; ++i)
    std::printf(" %" PRId64, channel.dims[i]);
  std::printf(" from %d to", channel.producer_stage);
  for (int32_t i = 0; i < channel.num_consumers; ++i)
    std::printf(" %d", channel.consumer_stages[i]);
  std::printf(" depth %d bytes %" PRId64 " direction %u consumer %d\n", channel.depth, channel.slot_bytes,
              channel.direction, channel.consumer);
}

static void printTables(const rt_role_desc &role) {
  std::printf("abi %u note %s type %u:\n%.*s", role.abi_version, role.note->name, role.note->type,
              int(role.note->text_bytes), reinterpret_cast<const char *>(role.note + 1));
  std::printf("model %s name %s role %d of %d stages %d own %d: %d threads %d features %s\n", role.model,
              role.role_name, role.role, role.num_roles, role.num_stages, role.num_own_stages, role.own_stages[0],
              role.num_threads, role.required_features);
  for (int32_t i = 0; i < role.num_symbols; ++i)
    std::printf("symbol %s\n", role.symbol_names[i]);
  for (int32_t i = 0; i < role.num_channels; ++i)
    printChannel(role.channels[i]);
  for (int32_t i = 0; i < role.num_storages; ++i) {
    const rt_storage_desc &s = role.storages[i];
    std::printf("storage %s kind %d index %d offset %" PRId64 " bytes %" PRId64 " extent %d use %d %d data %d\n",
                s.name, s.kind, s.index, s.offset, s.num_bytes, s.num_bytes_extent, s.first_use, s.last_use,
                s.data != nullptr && reinterpret_cast<uintptr_t>(s.data) % RT_ALIGNMENT == 0);
  }
  for (int32_t i = 0; i < role.num_steps; ++i)
    std::printf("step %s %s\n", role.steps[i].name, role.steps[i].kernel);
  std::printf("extents %d arena %" PRId64 " weights %s %" PRId64 " hash ", role.num_extents, role.arena_bytes,
              role.weights_file ? role.weights_file : "none", role.weights_bytes);
  for (uint8_t byte : role.weights_hash)
    std::printf("%02x", byte);
  std::printf("\n");
}

static void fillBuffers(rt_ctx &ctx) {
  for (int32_t i = 0; i < penstock_role.num_storages; ++i) {
    slots[i][0] = 3 + i;
    ctx.buffers[i] = penstock_role.storages[i].data ? const_cast<void *>(penstock_role.storages[i].data) : slots[i];
  }
}

int main(int argc, char **argv) {
  rt_ctx ctx;
  std::memset(ctx.extents, 0, sizeof ctx.extents);
  if (argc == 3 && std::strcmp(argv[1], "fail") == 0) {
    ctx.failing = argv[2];
  } else if (argc > 1) {
    int64_t symbols[8];
    for (int i = 1; i < argc; ++i)
      symbols[i - 1] = std::strtoll(argv[i], nullptr, 10);
    penstock_role.extents(symbols, ctx.extents);
    for (int32_t i = 0; i < penstock_role.num_extents; ++i)
      std::printf("%s%" PRId64, i ? " " : "", ctx.extents[i]);
    std::printf("\n");
    return 0;
  } else {
    printTables(penstock_role);
    if (penstock_role.extents) {
      const int64_t symbols[] = {2, 3, 4, 5};
      penstock_role.extents(symbols, ctx.extents);
    }
  }
  fillBuffers(ctx);
  int32_t code = penstock_role.program(&ctx);
  std::printf("program %d\n", code);
  return 0;
}
