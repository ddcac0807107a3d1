//===- Abi.h - What generated code and the runtime know of each other ---*- C -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The one C header between compiled roles and the runtime. A role executable is the runtime archive (which has `main`),
// the objects of its kernels, and one emitted object that defines
//
//     const rt_role_desc penstock_role_K;     // K: the number of the role
//
// constant tables plus a `program`. The linker gives it the name `penstock_role`, by which `main` knows it. The
// executable of all roles is linked from the same objects, and one more that lists them in order:
//
//     const rt_role_desc *const penstock_roles[]; const int32_t penstock_num_roles;
// The runtime reads the tables, joins the channels, maps the weights, and calls the
// program once; the program loops over microbatches with the calls below and returns when the stream ends:
//
//     for (;;) {
//       rc = rt_begin(ctx);                     if (rc) return rc == RT_END ? RT_OK : rc;
//       rc = rt_wait(ctx, c) ...                // the inputs of the first kernels, at least one
//       rc = rt_upload(ctx, c);                 // on a device, after each wait: what the host carries
//       rc = rt_bind(ctx);                      // once per microbatch: symbols, extents, arena
//       rc = rt_check(ctx, a, b, "...") ...     // the constraints of the model
//       rc = rt_acquire(ctx, c) ...             // output slots, in channel order
//       k_1234(ctx, args, syms); rc = rt_done(ctx, step);
//       rc = rt_set_symbol(ctx, s, b, ...)      // after a kernel that finds an extent
//       rc = rt_download(ctx, c);               // on a device, before each publish: what the host carries
//       rc = rt_publish(ctx, c);                // after its producing kernel
//       rc = rt_release(ctx, c);                // after its last use
//       rc = rt_end(ctx);
//     }
//
// Units: bytes for memory, elements for extents (row-major), nanoseconds for time.
// Ownership: every table and string lives as long as the executable; the runtime writes to none of them.
// Threads: one thread per role calls the program; kernels use further ones only through rt_parallel_for.
// Errors: a call that fails keeps its message in the context and returns a negative code, which the program returns at
// once. Any change of layout or meaning in this file raises RT_ABI_VERSION; the history stands below.
//
//   1  first version
//   2  symbols that kernels find: num_data_symbols, rt_set_symbol
//   3  steps name the storages of their results
//   4  a note instead of the fingerprint alone
//   5  roles on devices: device, device_number; how payloads travel between them: carrier
//   6  programs on devices say when they copy: rt_upload, rt_download
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_ABI_H
#define PENSTOCK_RT_ABI_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RT_ABI_VERSION 6

/// Base of every buffer that a kernel gets: arena, slots, weights and workspaces alike.
#define RT_ALIGNMENT 64

/// Pseudo-stages that feed and collect; both are hosted by whoever started the run.
#define RT_STAGE_SOURCE (-1)
#define RT_STAGE_SINK (-2)

/// Results of the calls below. Zero and positive: go on. Negative: return it from the program.
enum rt_status {
  RT_OK = 0,
  RT_END = 1,           ///< rt_begin only: the stream is over
  RT_ERR_TIMEOUT = -1,  ///< no progress anywhere in the run before the deadline
  RT_ERR_PEER = -2,     ///< a peer is gone
  RT_ERR_MISMATCH = -3, ///< ends, headers or tables do not fit each other
  RT_ERR_ABORTED = -4,  ///< another part of the run failed first; its message tells why
  RT_ERR_INVALID = -5,  ///< what the user gave is wrong (a damaged file, a shape out of bounds)
  RT_ERR_SYSTEM = -6,   ///< the operating system refused something (memory, descriptors, disk)
  RT_ERR_FAULT = -7,    ///< a failure planted by the `faulty` transport
  RT_ERR_KERNEL = -8,   ///< a kernel called rt_fail
  RT_ERR_PROGRAM = -9   ///< the program broke a rule of this header (a call out of order, an index out of range)
};

/// Element types, with the numbers of the ONNX tensor format. One byte per bool; f16 and bf16 are two raw bytes.
enum rt_dtype {
  RT_F32 = 1,
  RT_U8 = 2,
  RT_I8 = 3,
  RT_U16 = 4,
  RT_I16 = 5,
  RT_I32 = 6,
  RT_I64 = 7,
  RT_BOOL = 9,
  RT_F16 = 10,
  RT_F64 = 11,
  RT_U32 = 12,
  RT_U64 = 13,
  RT_BF16 = 16
};

typedef struct rt_ctx rt_ctx;

/// One kernel. `buffers`: ins, outs, inouts, workspace, in the order of the kernel's definition, each aligned to
/// RT_ALIGNMENT. `symbols`: the values of the kernel's own symbols. Reports a failure through rt_fail and returns
/// normally.
typedef void (*rt_kernel_fn)(rt_ctx *ctx, void *const *buffers, const int64_t *symbols);

/// One channel that this role touches. The numbers of one channel are the same in every role and in plan.json.
typedef struct rt_channel_desc {
  const char *name;               ///< symbol of the channel, e.g. "c0"
  const char *tensor;             ///< ONNX tensor it carries, for messages
  int32_t id;                     ///< index in plan.json's `channels`
  int32_t dtype;                  ///< rt_dtype
  int32_t num_dims;               ///< 0 for a scalar
  const int64_t *dims;            ///< >= 0: static extent; else extents[-1 - value]
  int32_t producer_stage;         ///< or RT_STAGE_SOURCE
  int32_t num_consumers;          ///< at least 1
  const int32_t *consumer_stages; ///< each a stage or RT_STAGE_SINK
  int32_t depth;                  ///< slots, at least 1
  int64_t slot_bytes;             ///< exact or upper bound of a message's payload; -1: free, a sparse reservation
  uint32_t direction;             ///< RT_CHANNEL_IN, RT_CHANNEL_OUT, or both (looped roles)
  int32_t consumer;               ///< with RT_CHANNEL_IN: which of consumer_stages this role is
  int32_t carrier;                ///< rt_carrier
} rt_channel_desc;

/// How payloads travel. Headers are always the host's. NCCL: all ends are on CUDA devices.
enum rt_carrier { RT_CARRIER_HOST = 0, RT_CARRIER_NCCL = 1 };

enum rt_direction { RT_CHANNEL_IN = 1, RT_CHANNEL_OUT = 2 };

/// Where the bytes of one value live. rt_buffers() has one pointer per storage, in this order.
enum rt_storage_kind {
  RT_STORAGE_ARENA = 0,      ///< in the role's arena; workspaces too
  RT_STORAGE_CHANNEL_IN = 1, ///< slot of channel `index`, read-only, valid from rt_wait, or rt_upload, to rt_release
  RT_STORAGE_CHANNEL_OUT =
      2,                   ///< slot of channel `index`, valid from rt_acquire to rt_end; readable after rt_publish too
  RT_STORAGE_WEIGHT = 3,   ///< `offset` in the role's weights file, read-only
  RT_STORAGE_CONSTANT = 4, ///< `data`, inside the executable
  RT_STORAGE_STATE = 5     ///< kept from one microbatch to the next, zero at first; `num_bytes` is known
};

typedef struct rt_storage_desc {
  int32_t kind;      ///< rt_storage_kind
  int32_t index;     ///< channel (index in the role's `channels`), else -1
  int64_t offset;    ///< arena or weights file; -1: planned at run time (only when arena_bytes is -1, then all are)
  int64_t num_bytes; ///< -1: see num_bytes_extent
  int32_t num_bytes_extent; ///< extents[] holds the bytes when num_bytes is -1; else -1
  int32_t first_use;        ///< step that writes it first, for the planner at run time
  int32_t last_use;         ///< last step that touches it, inclusive
  const void *data;         ///< RT_STORAGE_CONSTANT only, aligned to RT_ALIGNMENT
  const char *name;         ///< for messages
} rt_storage_desc;

/// One kernel call of the program, in order; rt_done() names it by index.
typedef struct rt_step_desc {
  const char *name;   ///< ONNX node or tensor, as messages and traces show it
  const char *kernel; ///< symbol of the kernel
  int32_t num_results;
  const int32_t *results; ///< storages that the call fills, in the order of the kernel's results
} rt_step_desc;

/// What a role says of itself, as an ELF note of its executable (section .note.penstock), so that it can be read
/// without being run. Directly behind the struct come `text_bytes` bytes of text, lines of "KEY VALUE\n": abi,
/// fingerprint, name, role, roles, model, weights, cut, schedule, build (penstock/rt/Identity.h says what they mean).
#define RT_NOTE_NAME "Penstock"
#define RT_NOTE_TYPE 1
typedef struct rt_note {
  uint32_t name_bytes; ///< of RT_NOTE_NAME, its end included
  uint32_t text_bytes;
  uint32_t type; ///< RT_NOTE_TYPE
  char name[12]; ///< RT_NOTE_NAME, filled up with zeros
} rt_note;

/// Where the kernels of a role run and its values lie; defined by the runtime.
typedef struct rt_device rt_device;
extern const rt_device rt_cuda_device;

typedef struct rt_role_desc {
  uint32_t abi_version; ///< RT_ABI_VERSION at compile time; first, never moves
  const rt_note *note;
  const char *model;     ///< file name of the model, for messages
  const char *role_name; ///< e.g. "stage-0"
  int32_t role, num_roles;
  int32_t num_stages;     ///< of the whole plan
  int32_t num_own_stages; ///< that this role runs; 1 unless looped
  const int32_t *own_stages;
  int32_t num_threads;           ///< per kernel; above 1 needs libgomp in the executable
  const char *required_features; ///< "avx2,fma,avx512f" in LLVM's words; "" for none

  int32_t num_symbols;      ///< root symbols of the model, as in plan.json; every message carries their values
  int32_t num_data_symbols; ///< the last of them, which kernels find; below 0 in a message that was sent before that
  const char *const *symbol_names;
  int32_t num_extents; ///< expressions over symbols that the tables and the kernel calls need
  /// Fills extents[0..num_extents) from symbols[0..num_symbols). Null when num_extents is 0. Touches nothing else. An
  /// expression without a value (overflow, division by zero, a symbol out of its bounds) becomes INT64_MIN.
  void (*extents)(const int64_t *symbols, int64_t *extents);

  int32_t num_channels; ///< at least one RT_CHANNEL_IN: a stage without inputs gets an empty channel from the source
  const rt_channel_desc *channels;
  int32_t num_storages;
  const rt_storage_desc *storages;
  int32_t num_steps;
  const rt_step_desc *steps;

  int64_t arena_bytes;      ///< -1: planned at run time, once per tuple of symbol values
  const char *weights_file; ///< beside the executable; null when the role has no weights
  int64_t weights_bytes;    ///< exact length of that file
  uint8_t weights_hash[16]; ///< XXH3, 128 bits, canonical (big-endian) form, of the whole file

  int32_t (*program)(rt_ctx *ctx);

  const rt_device *device; ///< null: the host
  int32_t device_number;   ///< of this role among the plan's roles on such devices; they are dealt out in this order
} rt_role_desc;

#if defined(__cplusplus)
#define RT_NODISCARD [[nodiscard]]
#else
#define RT_NODISCARD __attribute__((warn_unused_result))
#endif

/// Starts the next microbatch: waits for the first input channel of the role's table. RT_END when the stream is over
/// (the end has then been received from every input and passed on to every output).
RT_NODISCARD int32_t rt_begin(rt_ctx *ctx);
/// The next message of an input channel; its storage's pointer becomes valid, unless rt_upload is to follow. All inputs
/// of one microbatch must carry the same request, microbatch and symbol values; one that lacks the value of a data
/// symbol agrees with any.
RT_NODISCARD int32_t rt_wait(rt_ctx *ctx, int32_t channel);
/// In a role on a device, after the rt_wait of a channel that the host carries: begins to copy the message to the
/// device, through pinned memory; its storage's pointer becomes valid. Kernels that are called later find it there.
RT_NODISCARD int32_t rt_upload(rt_ctx *ctx, int32_t channel);
/// After the first wait of a microbatch: symbol values from its header, extents evaluated, free arena placed (planned
/// at the first sight of a tuple of symbol values, then cached), and the messages' shapes checked against the tables.
RT_NODISCARD int32_t rt_bind(rt_ctx *ctx);
/// After rt_bind: two extents that the model needs to be equal, as those of operands of one node. RT_ERR_INVALID, with
/// `what` and both values, when they are not. A kernel may call it too, on the role's thread, where a part of it that
/// is about to run needs the extents to be equal; the next rt_done then returns the failure.
RT_NODISCARD int32_t rt_check(rt_ctx *ctx, int64_t lhs, int64_t rhs, const char *what);
/// After the rt_done of a kernel that found the extent: the symbol gets the value of a storage, one i64, and the
/// extents that need it theirs. RT_ERR_INVALID, with the name of the node, when the value is not within `lower` and
/// `upper`.
RT_NODISCARD int32_t rt_set_symbol(rt_ctx *ctx, int32_t symbol, int32_t storage, int64_t lower, int64_t upper,
                                   const char *node);
/// The next free slot of an output channel; its storage's pointer becomes valid. After rt_bind, and after each
/// rt_set_symbol that the message's extents need.
RT_NODISCARD int32_t rt_acquire(rt_ctx *ctx, int32_t channel);
/// In a role on a device, before the rt_publish of a channel that the host carries: what the kernels called so far
/// write to the acquired slot is copied to pinned memory, once they have. Waits for nothing.
RT_NODISCARD int32_t rt_download(rt_ctx *ctx, int32_t channel);
/// The acquired slot is complete; consumers see it, in publish order, with the microbatch's header. After rt_download
/// they see it once the copy is there, at the latest before this role waits for another.
RT_NODISCARD int32_t rt_publish(rt_ctx *ctx, int32_t channel);
/// The received slot is not read again by this role.
RT_NODISCARD int32_t rt_release(rt_ctx *ctx, int32_t channel);
/// After each kernel call: `step` is done. Also the heartbeat, the place where the end of the run is noticed, and where
/// a failure that a kernel reported becomes an error code.
RT_NODISCARD int32_t rt_done(rt_ctx *ctx, int32_t step);
/// Ends the microbatch. Every input must have been waited for and released, every output acquired and published.
RT_NODISCARD int32_t rt_end(rt_ctx *ctx);

/// One pointer per storage. The table itself never moves (load its address once); its entries change at rt_bind,
/// rt_wait and rt_acquire.
void *const *rt_buffers(rt_ctx *ctx);
/// num_extents values. The table never moves; its entries change at rt_bind and rt_set_symbol.
const int64_t *rt_extents(rt_ctx *ctx);
/// num_symbols values; as above.
const int64_t *rt_symbols(rt_ctx *ctx);

// For kernels and library glue.

/// A part of a parallel loop: [begin, end), run by worker `thread` of rt_num_threads().
typedef void (*rt_parallel_fn)(void *arg, int64_t begin, int64_t end, int32_t thread);
/// Runs fn over [0, n), cut evenly into at most rt_num_threads() parts of at least `grain` iterations; the cut depends
/// on n, grain and the number of threads only. With one thread, or one part, it is a plain call on the caller's thread.
/// Does not nest.
void rt_parallel_for(rt_ctx *ctx, int64_t n, int64_t grain, rt_parallel_fn fn, void *arg);
int32_t rt_num_threads(rt_ctx *ctx);
/// Keeps the first failure; the next rt_done returns RT_ERR_KERNEL with it. Callable from any worker.
void rt_fail(rt_ctx *ctx, const char *message);
/// A place of its own for library glue (primitive caches, engines): null at first, found by `key` (an address unique to
/// the caller), freed through `destroy` when the role ends. Only from the role's thread.
void **rt_local(rt_ctx *ctx, const void *key, void (*destroy)(void *));
/// Folder of the executable (or of the plan, when embedded); for files that lie beside it.
const char *rt_folder(rt_ctx *ctx);

#ifdef __cplusplus
}
#endif
#endif // PENSTOCK_RT_ABI_H
