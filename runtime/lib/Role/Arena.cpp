//===- Arena.cpp - Where the values of a role lie ----------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "Context.h"

#include "Ring.h"
#include "RoleDevice.h"
#include "penstock/Place/Planner.h"

#include <algorithm>
#include <sys/mman.h>

using namespace penstock;
using namespace penstock::rt;

Status rt_ctx::reserveArena() {
  if (onDevice)
    return onDevice->fill(weights.data(), buffers);
  // A free arena is a reservation; only what a plan uses is ever touched. One page at least, so that empty values have
  // an address.
  int64_t numBytes = desc.arena_bytes < 0 ? freeReservationBytes() : std::max<int64_t>(desc.arena_bytes, 4096);
  if (Status status = Mapping::anonymous(numBytes, "the arena", arena); !status.ok())
    return status;
  // Large pages where the system allows; they lie within the arena, so that it takes no more memory than it says.
  (void)madvise(arena.data(), size_t(arena.bytes()), MADV_HUGEPAGE);
  for (int32_t i = 0; i < desc.num_storages; ++i) {
    const rt_storage_desc &storage = desc.storages[i];
    void *&buffer = buffers[size_t(i)];
    buffer = arena.data();
    if (storage.kind == RT_STORAGE_ARENA && storage.offset >= 0)
      buffer = arena.data() + storage.offset;
    if (storage.kind == RT_STORAGE_WEIGHT && weights.data())
      buffer = weights.data() + storage.offset;
    if (storage.kind == RT_STORAGE_CONSTANT)
      buffer = const_cast<void *>(storage.data);
    if (storage.kind != RT_STORAGE_STATE || storage.num_bytes == 0)
      continue;
    Mapping kept;
    if (Status status = Mapping::anonymous(storage.num_bytes, storage.name ? storage.name : "a state", kept);
        !status.ok())
      return status;
    buffer = kept.data();
    states.push_back(std::move(kept));
  }
  return Status();
}

Status rt_ctx::planArena(Placement &made) {
  place::Problem problem;
  std::vector<size_t> planned;
  for (int32_t i = 0; i < desc.num_storages; ++i) {
    const rt_storage_desc &storage = desc.storages[i];
    if (storage.kind != RT_STORAGE_ARENA)
      continue;
    place::Lifetime life;
    life.numBytes = storage.num_bytes >= 0 ? storage.num_bytes : extents[size_t(storage.num_bytes_extent)];
    life.firstUse = storage.first_use;
    life.lastUse = storage.last_use;
    life.name = storage.name;
    if (life.numBytes < 0)
      return fail(Code::kInvalid, "%s: '%s' would have %lld bytes", stageName(desc.own_stages[0]).c_str(),
                  storage.name ? storage.name : "?", (long long)life.numBytes);
    problem.values.push_back(life);
    planned.push_back(size_t(i));
  }
  place::Plan plan;
  std::string error;
  if (!place::plan(problem, plan, error))
    return fail(Code::kInvalid, "%s: the arena cannot be planned: %s", stageName(desc.own_stages[0]).c_str(),
                error.c_str());
  if (!onDevice && plan.numBytes > arena.bytes())
    return fail(Code::kInvalid, "%s: these shapes need %lld bytes of arena, expected at most %lld",
                stageName(desc.own_stages[0]).c_str(), (long long)plan.numBytes, (long long)arena.bytes());
  made.offsets.assign(size_t(desc.num_storages), -1);
  for (size_t i = 0; i < planned.size(); ++i)
    made.offsets[planned[i]] = plan.offsets[i];
  made.numBytes = plan.numBytes;
  return Status();
}

Status rt_ctx::place() {
  if (desc.arena_bytes >= 0)
    return Status();
  // What kernels find changes no place: room is for all that they can find.
  placeKey.assign(symbols.begin(), symbols.end() - desc.num_data_symbols);
  auto found = placements.find(placeKey);
  if (found == placements.end()) {
    Placement made;
    if (Status status = planArena(made); !status.ok())
      return status;
    found = placements.emplace(placeKey, std::move(made)).first;
  }
  if (placement == &found->second)
    return Status();
  placement = &found->second;
  char *base = arena.data();
  if (onDevice)
    if (Status status = onDevice->makeArena(placement->numBytes, base); !status.ok())
      return status;
  for (size_t i = 0; i < buffers.size(); ++i)
    if (placement->offsets[i] >= 0)
      buffers[i] = base + placement->offsets[i];
  return Status();
}
