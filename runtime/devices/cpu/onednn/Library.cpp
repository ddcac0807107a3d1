//===- Library.cpp - oneDNN's primitives, kept for one role ------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "Library.h"
#include "Cpu.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

extern "C" {
void omp_set_num_threads(int numThreads);
void GOMP_parallel(void (*function)(void *), void *data, unsigned numThreads, unsigned flags);
}

namespace penstock {
namespace rt {
namespace onednn {

/// Tuples of extents of one kernel that stay ready; the one unused for longest goes first.
static constexpr size_t kMaxTuples = 64;

std::string version() {
  const dnnl_version_t *version = dnnl_version();
  return std::to_string(version->major) + "." + std::to_string(version->minor) + "." + std::to_string(version->patch);
}

static dnnl::cpu_isa toOneDnn(int64_t isa) {
  switch (isa) {
  case RT_DNNL_AVX512:
    return dnnl::cpu_isa::avx512_core;
  case RT_DNNL_AVX512_VNNI:
    return dnnl::cpu_isa::avx512_core_vnni;
  case RT_DNNL_AVX512_BF16:
    return dnnl::cpu_isa::avx512_core_bf16;
  default:
    return dnnl::cpu_isa::avx2;
  }
}

std::string selectIsa(int64_t isa) {
  if (std::getenv("DNNL_MAX_CPU_ISA"))
    return "";
  dnnl::cpu_isa wanted = toOneDnn(isa);
  dnnl::set_max_cpu_isa(wanted); // refused after the first use, which is fine if that was for the same set
  if (dnnl::get_effective_cpu_isa() == wanted)
    return "";
  return "oneDNN works with instruction set " + std::to_string(static_cast<int>(dnnl::get_effective_cpu_isa())) +
         " in this process; expected " + std::to_string(static_cast<int>(wanted));
}

/// Denormals are flushed on the pool's threads too; nothing else changes their mode.
static void flushForGood(void *) {
  static thread_local FlushToZero mode;
  (void)mode;
}

Library::Library(int32_t numThreads) : engine(dnnl::engine::kind::cpu, 0), stream(engine) {
  omp_set_num_threads(numThreads);
  if (numThreads > 1)
    GOMP_parallel(flushForGood, nullptr, static_cast<unsigned>(numThreads), 0);
}

Primitive *Library::find(const rt_dnnl_desc &desc, const int64_t *extents, std::string &error) {
  std::vector<Known> &tuples = primitives[&desc];
  size_t numBytes = desc.num_extents * sizeof(int64_t);
  for (Known &known : tuples)
    if (std::memcmp(known.extents.data(), extents, numBytes) == 0) {
      known.lastUse = ++clock;
      return known.primitive.get();
    }
  if (desc.version != RT_DNNL_VERSION) {
    error = "kernel descriptor of version " + std::to_string(desc.version) + "; expected " +
            std::to_string(RT_DNNL_VERSION);
    return nullptr;
  }
  error = selectIsa(desc.isa);
  if (!error.empty())
    return nullptr;
  std::unique_ptr<Primitive> made = Primitive::create(desc, extents, engine, error);
  if (!made)
    return nullptr;
  if (made->implementation().compare(0, 3, "ref") == 0) {
    error = "oneDNN has only its reference implementation ('" + made->implementation() + "') for these extents";
    return nullptr;
  }
  if (!scratch.grow(made->scratchBytes())) {
    error = "out of memory: " + std::to_string(made->scratchBytes()) + " bytes of scratch memory for oneDNN";
    return nullptr;
  }
  if (tuples.size() == kMaxTuples)
    tuples.erase(std::min_element(tuples.begin(), tuples.end(),
                                  [](const Known &a, const Known &b) { return a.lastUse < b.lastUse; }));
  tuples.push_back({std::vector<int64_t>(extents, extents + desc.num_extents), std::move(made), ++clock});
  ++numMade;
  return tuples.back().primitive.get();
}

static bool isEmpty(const rt_dnnl_tensor &tensor, const int64_t *extents) {
  const int64_t *begin = extents + tensor.extents;
  return std::find(begin, begin + tensor.num_dims, 0) != begin + tensor.num_dims;
}

std::string Library::run(const rt_dnnl_desc &desc, void *const *buffers, const int64_t *extents) {
  if (isEmpty(desc.destination, extents))
    return "";
  if (isEmpty(desc.source, extents) || isEmpty(desc.weights, extents))
    return "a product over no elements; expected at least one";
  try {
    std::string error;
    Primitive *primitive = find(desc, extents, error);
    if (!primitive)
      return error;
    if (!primitive->run(desc, buffers, scratch.data(), packed, engine, stream))
      return "oneDNN failed to run, or there is no memory for packed weights";
    return "";
  } catch (const dnnl::error &failure) {
    return std::string("oneDNN: ") + failure.what();
  }
}

std::string Library::probe(const rt_dnnl_desc &desc, const int64_t *extents, Probe &result) {
  std::string error = selectIsa(desc.isa);
  if (!error.empty())
    return error;
  std::unique_ptr<Primitive> made = Primitive::create(desc, extents, engine, error, /*onlyDescribed=*/true);
  if (!made)
    return error;
  result = {made->implementation(), made->scratchBytes(), made->packedBytes(), made->numReorders()};
  return "";
}

Usage Library::usage() const { return {packed.numBytes(), scratch.size(), numMade}; }

} // namespace onednn
} // namespace rt
} // namespace penstock
