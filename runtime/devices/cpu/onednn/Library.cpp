//===- Library.cpp - oneDNN's primitives, kept for one role ------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "Library.h"
#include "Cpu.h"
#include "Layout.h"

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

/// What oneDNN keeps of primitives that we have given up.
static constexpr int kMaxForgotten = 16;

std::string version() {
  const dnnl_version_t *version = dnnl_version();
  return std::to_string(version->major) + "." + std::to_string(version->minor) + "." + std::to_string(version->patch);
}

int64_t versionNumber() {
  const dnnl_version_t *version = dnnl_version();
  return 10000 * version->major + 100 * version->minor + version->patch;
}

static std::string formatVersion(int64_t number) {
  return std::to_string(number / 10000) + "." + std::to_string(number / 100 % 100) + "." + std::to_string(number % 100);
}

namespace {
struct IsaRow {
  int64_t isa;
  dnnl::cpu_isa value;
  const char *name;
};
} // namespace

/// Ascending.
static constexpr IsaRow kIsas[] = {{RT_DNNL_AVX2, dnnl::cpu_isa::avx2, "avx2"},
                                   {RT_DNNL_AVX512, dnnl::cpu_isa::avx512_core, "avx512_core"},
                                   {RT_DNNL_AVX512_VNNI, dnnl::cpu_isa::avx512_core_vnni, "avx512_core_vnni"},
                                   {RT_DNNL_AVX512_BF16, dnnl::cpu_isa::avx512_core_bf16, "avx512_core_bf16"}};

static const IsaRow *findIsa(int64_t isa) {
  for (const IsaRow &row : kIsas)
    if (row.isa == isa)
      return &row;
  return nullptr;
}

std::string isaName(int64_t isa) {
  const IsaRow *row = findIsa(isa);
  return row ? row->name : "unknown";
}

int64_t lowerIsa(int64_t isa) {
  if (!std::getenv("DNNL_MAX_CPU_ISA"))
    return isa;
  // Each set's number has the bits of those below it.
  auto allowed = static_cast<unsigned>(dnnl::get_effective_cpu_isa());
  int64_t best = 0;
  for (const IsaRow &row : kIsas)
    if (row.isa <= isa && (static_cast<unsigned>(row.value) & ~allowed) == 0)
      best = row.isa;
  return best;
}

std::string selectIsa(int64_t isa) {
  const IsaRow *row = findIsa(isa);
  if (!row)
    return "kernel descriptor with instruction set " + std::to_string(isa) + "; expected one of oneDNN's";
  dnnl::set_max_cpu_isa(row->value); // refused after the first use, which is fine if that was for the same set
  if (dnnl::get_effective_cpu_isa() == row->value)
    return "";
  return "oneDNN cannot work with instruction set '" + std::string(row->name) +
         "' in this process: the processor lacks it, or another one is in use";
}

/// Denormals are flushed on the pool's threads too; nothing else changes their mode.
static void flushForGood(void *) {
  static thread_local FlushToZero mode;
  (void)mode;
}

Library::Library(int32_t numThreads) : numThreads(numThreads), engine(dnnl::engine::kind::cpu, 0), stream(engine) {
  holdThreads();
  dnnl::set_primitive_cache_capacity(kMaxForgotten);
  if (numThreads > 1)
    GOMP_parallel(flushForGood, nullptr, static_cast<unsigned>(numThreads), 0);
}

void Library::holdThreads() const { omp_set_num_threads(numThreads); }

static bool fitsWorkspace(const rt_dnnl_desc &desc, const Primitive &primitive) {
  return primitive.scratchBytes() <= static_cast<size_t>(desc.workspace_bytes);
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
  if (desc.library_version != versionNumber()) {
    error = "this kernel was made for oneDNN " + formatVersion(desc.library_version) + ", and oneDNN " + version() +
            " is loaded; expected the same, so compile the model again";
    return nullptr;
  }
  error = selectIsa(desc.isa);
  if (!error.empty())
    return nullptr;
  std::unique_ptr<Primitive> made = Primitive::create(desc, extents, engine, error);
  if (!made)
    return nullptr;
  if (made->isReference()) {
    error = "oneDNN has only its reference implementation ('" + made->implementation() + "') for these extents";
    return nullptr;
  }
  // Where a bound was not enough, or extents have none.
  if (!fitsWorkspace(desc, *made) && !scratch.grow(made->scratchBytes())) {
    error = "out of memory: " + std::to_string(made->scratchBytes()) + " bytes of scratch memory for oneDNN";
    return nullptr;
  }
  bool isBounded = desc.workspace >= 0;
  if (tuples.size() == (isBounded ? RT_DNNL_MAX_BOUNDED_SHAPES : RT_DNNL_MAX_SHAPES))
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
  holdThreads();
  try {
    std::string error;
    Primitive *primitive = find(desc, extents, error);
    if (!primitive)
      return error;
    bool isGiven = desc.workspace_bytes > 0 && fitsWorkspace(desc, *primitive);
    char *room = isGiven ? static_cast<char *>(buffers[desc.workspace]) : scratch.data();
    if (!primitive->run(desc, buffers, room, packed, engine, stream))
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
  holdThreads();
  std::unique_ptr<Primitive> made = Primitive::create(desc, extents, engine, error, /*onlyDescribed=*/true);
  if (!made)
    return error;
  dnnl::memory::desc wanted = made->weightsWanted();
  result.implementation = made->implementation();
  result.scratchBytes = made->scratchBytes();
  result.given = formatLayout(made->weightsGiven());
  result.wanted = formatLayout(wanted);
  result.wantedBytes = wanted.get_size();
  result.weights = wanted.dims();
  result.numReorders = made->numReorders();
  return "";
}

std::string Library::pack(const dnnl::memory::dims &dims, const std::string &from, const std::string &to,
                          const void *source, size_t sourceBytes, void *result, size_t resultBytes) {
  dnnl::memory::desc before, after;
  if (!parseLayout(dims, from, before) || !parseLayout(dims, to, after))
    return "'" + from + "' or '" + to + "' is no layout of " + std::to_string(dims.size()) + " axes";
  if (before.get_size() != sourceBytes || after.get_size() != resultBytes)
    return "layout '" + from + "' has " + std::to_string(before.get_size()) + " bytes and '" + to + "' has " +
           std::to_string(after.get_size()) + "; expected " + std::to_string(sourceBytes) + " and " +
           std::to_string(resultBytes);
  holdThreads();
  try {
    dnnl::memory input(before, engine, const_cast<void *>(source)), output(after, engine, result);
    dnnl::reorder(input, output).execute(stream, input, output);
    stream.wait();
  } catch (const dnnl::error &failure) {
    return std::string("oneDNN: ") + failure.what();
  }
  return "";
}

Usage Library::usage() const { return {packed.numBytes(), scratch.size(), numMade}; }

} // namespace onednn
} // namespace rt
} // namespace penstock
