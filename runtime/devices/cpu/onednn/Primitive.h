//===- Primitive.h - One kernel at one tuple of extents ----------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The only file beside Primitive.cpp that sees oneDNN's interface. A primitive is made with the layouts that oneDNN
// likes best (never with run-time dimensions, which would fall to slow implementations unnoticed); where a buffer lies
// differently, it is reordered around the call.
//
// Units: bytes, elements. Threads: one at a time. Errors: a message; exceptions of oneDNN's wrapper end here.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_DEVICES_CPU_ONEDNN_PRIMITIVE_H
#define PENSTOCK_RT_DEVICES_CPU_ONEDNN_PRIMITIVE_H

#include "OneDnn.h"

#include <dnnl.hpp>

#include <memory>
#include <string>
#include <vector>

namespace penstock {
namespace rt {
namespace onednn {

/// Memory aligned to RT_ALIGNMENT.
class Bytes {
public:
  Bytes() = default;
  ~Bytes();
  Bytes(Bytes &&other) noexcept : pointer(other.pointer), count(other.count) {
    other.pointer = nullptr;
    other.count = 0;
  }
  Bytes(const Bytes &) = delete;
  Bytes &operator=(const Bytes &) = delete;
  /// At least `numBytes`, without keeping what was there; false when there is no memory.
  bool grow(size_t numBytes);
  char *data() const { return pointer; }
  size_t size() const { return count; }

private:
  char *pointer = nullptr;
  size_t count = 0;
};

/// Weights in the layout of some primitives.
struct Packed {
  const void *source;
  dnnl::memory::desc layout;
  Bytes bytes;
};

/// Weights that were not packed ahead of time, or whose layout oneDNN refuses at some extents, are brought into another
/// one once, however many primitives share it.
class PackedWeights {
public:
  /// The packed form of `source`, which lies as `from` says. Null when there is no memory.
  const Packed *find(const void *source, const dnnl::memory::desc &from, const dnnl::memory::desc &to,
                     const dnnl::engine &engine, dnnl::stream &stream);
  size_t numBytes() const { return total; }

private:
  std::vector<std::unique_ptr<Packed>> entries;
  size_t total = 0;
};

class Primitive {
public:
  /// Makes the primitive, or leaves the reason in `error` and returns null. `extents` as for rt_dnnl_run. One that is
  /// only described answers questions and cannot run; it takes microseconds.
  static std::unique_ptr<Primitive> create(const rt_dnnl_desc &desc, const int64_t *extents, const dnnl::engine &engine,
                                           std::string &error, bool onlyDescribed = false);

  /// Scratch memory that a run needs.
  size_t scratchBytes() const { return totalScratch; }
  /// Bytes that constant weights take when packed at run time; 0 if they stay as they are.
  size_t packedBytes() const;
  /// How weights lie in their buffer, and how oneDNN wants them.
  const dnnl::memory::desc weightsGiven() const { return weightsEdge.get_desc(); }
  const dnnl::memory::desc weightsWanted() const { return weights.get_desc(); }
  /// oneDNN's word for what runs, e.g. "brgconv:avx512_core".
  const std::string &implementation() const { return name; }
  bool isReference() const { return name.compare(0, 3, "ref") == 0; }
  /// Activations that are brought into another layout before or after.
  int numReorders() const { return reordersSource + reordersDestination; }

  /// `scratch`: scratchBytes(), aligned. False when there is no memory for packed weights.
  bool run(const rt_dnnl_desc &desc, void *const *buffers, char *scratch, PackedWeights &packed,
           const dnnl::engine &engine, dnnl::stream &stream);

private:
  struct Operand {
    int64_t buffer;
    int argument; ///< oneDNN's number
    dnnl::memory memory;
  };

  /// An empty text, or what is wrong with the descriptor.
  std::string build(const rt_dnnl_desc &desc, const int64_t *extents, const dnnl::engine &engine);
  struct Request;
  Request makeRequest(const rt_dnnl_desc &desc, const int64_t *extents, const dnnl::engine &engine);
  std::string chooseWeights(const rt_dnnl_desc &desc, Request &request, const dnnl::engine &engine);
  void choose(const rt_dnnl_desc &desc, const Request &request, const dnnl::engine &engine);
  template <typename PrimitiveT> void take(const typename PrimitiveT::primitive_desc &pd, const dnnl::engine &engine);
  void addReorders(const rt_dnnl_desc &desc, const dnnl::engine &engine);
  bool placeWeights(const rt_dnnl_desc &desc, void *const *buffers, char *scratch, PackedWeights &packed,
                    const dnnl::engine &engine, dnnl::stream &stream);

  bool onlyDescribed = false;
  std::string name;
  dnnl::primitive primitive;
  // As buffers hold them, and as the primitive wants them.
  dnnl::memory sourceEdge, source, weightsEdge, weights, bias, destinationEdge, destination, scratchpad;
  bool reordersSource = false, reordersWeights = false, reordersDestination = false;
  dnnl::reorder sourceReorder, weightsReorder, destinationReorder, sumReorder;
  int64_t sumBuffer = -1;
  std::vector<Operand> operands; ///< of binary post-ops
  std::vector<std::pair<const void *, const Packed *>> packedFor;
  size_t sourceOffset = 0, weightsOffset = 0, destinationOffset = 0, totalScratch = 0;
};

} // namespace onednn
} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_DEVICES_CPU_ONEDNN_PRIMITIVE_H
