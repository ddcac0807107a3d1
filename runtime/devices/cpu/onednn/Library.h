//===- Library.h - oneDNN's primitives, kept for one role --------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Making a primitive takes up to milliseconds, so each is kept by (descriptor, extents). A primitive depends on those
// two and the instruction set alone, never on what ran before: the same kernel gives the same bits in every role.
//
// Ownership: the library owns primitives, packed weights and scratch memory; the weights it packed must not change
// while it lives. Threads: one at a time; with one thread per kernel OpenMP is never entered. Errors: a message.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_DEVICES_CPU_ONEDNN_LIBRARY_H
#define PENSTOCK_RT_DEVICES_CPU_ONEDNN_LIBRARY_H

#include "Primitive.h"

#include <unordered_map>

namespace penstock {
namespace rt {
namespace onednn {

/// What a kernel would use.
struct Probe {
  std::string implementation;
  size_t scratchBytes = 0;
  /// How constant weights lie and how oneDNN wants them, as Layout.h says, and bytes of the latter; empty if a layout
  /// has no text.
  std::string given, wanted;
  size_t wantedBytes = 0;
  dnnl::memory::dims weights; ///< extents as the layouts count them
  int numReorders = 0;        ///< of activations
};

/// Memory that a library holds beside the buffers of its kernels, and how often it had to make something.
struct Usage {
  size_t packedBytes = 0, scratchBytes = 0;
  int64_t numPrimitives = 0;
};

class Library {
public:
  explicit Library(int32_t numThreads);

  /// Runs a kernel; an empty text, or why it could not. `numExtents` is the descriptor's.
  std::string run(const rt_dnnl_desc &desc, void *const *buffers, const int64_t *extents);
  /// What run() would use, without running. An empty text, or why it would fail.
  std::string probe(const rt_dnnl_desc &desc, const int64_t *extents, Probe &result);
  Usage usage() const;
  /// Brings a tensor of f32 from one layout into another. An empty text, or why it could not.
  std::string pack(const dnnl::memory::dims &dims, const std::string &from, const std::string &to, const void *source,
                   size_t sourceBytes, void *result, size_t resultBytes);

private:
  /// OpenMP keeps the number of threads for each thread that calls it, and oneDNN chooses code by that number: what is
  /// made must not depend on who asks for it.
  void holdThreads() const;

  struct Known {
    std::vector<int64_t> extents;
    std::unique_ptr<Primitive> primitive;
    uint64_t lastUse;
  };

  Primitive *find(const rt_dnnl_desc &desc, const int64_t *extents, std::string &error);

  int32_t numThreads;
  dnnl::engine engine;
  dnnl::stream stream;
  std::unordered_map<const rt_dnnl_desc *, std::vector<Known>> primitives;
  PackedWeights packed;
  Bytes scratch;
  uint64_t clock = 0;
  int64_t numMade = 0;
};

/// Limits oneDNN to an instruction set, for the whole process and before anything else. An empty text, or why it is too
/// late, or that this processor lacks it.
std::string selectIsa(int64_t isa);

/// The instruction set that kernels are made for where `isa` is allowed: DNNL_MAX_CPU_ISA lowers it. 0: none that we
/// know.
int64_t lowerIsa(int64_t isa);

/// oneDNN's word for an instruction set, e.g. "avx512_core".
std::string isaName(int64_t isa);

/// oneDNN's version, e.g. "2.6.3", and as a descriptor has it.
std::string version();
int64_t versionNumber();

} // namespace onednn
} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_DEVICES_CPU_ONEDNN_LIBRARY_H
