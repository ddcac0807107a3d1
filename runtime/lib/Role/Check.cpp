//===- Check.cpp - Are the tables of a role sound? ---------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "penstock/rt/Identity.h"
#include "penstock/rt/Role.h"

#include <cstring>

namespace penstock {
namespace rt {

ChannelDesc channelDescOf(const rt_role_desc &role, int32_t index) {
  const rt_channel_desc &from = role.channels[index];
  ChannelDesc desc;
  desc.name = from.name;
  desc.tensor = from.tensor;
  desc.id = from.id;
  desc.dtype = from.dtype;
  for (int32_t i = 0; i < from.num_dims; ++i)
    desc.dims.push_back(from.dims[i] >= 0 ? from.dims[i] : -1);
  desc.producerStage = from.producer_stage;
  desc.consumerStages.assign(from.consumer_stages, from.consumer_stages + from.num_consumers);
  desc.depth = from.depth;
  desc.slotBytes = from.slot_bytes;
  desc.numSymbols = role.num_symbols;
  return desc;
}

static Status bad(const rt_role_desc &role, const std::string &what) {
  return fail(Code::kMismatch, "the tables of %s are damaged: %s", role.role_name ? role.role_name : "a role",
              what.c_str());
}

static Status checkChannel(const rt_role_desc &role, int32_t index) {
  const rt_channel_desc &channel = role.channels[index];
  std::string who = "channel " + std::to_string(index) + " ";
  if (!channel.name || !channel.tensor)
    return bad(role, who + "has no name");
  if (dtypeBytes(channel.dtype) == 0)
    return bad(role, who + "has an unknown type " + std::to_string(channel.dtype));
  if (channel.num_dims < 0 || channel.num_dims > 64 || (channel.num_dims && !channel.dims))
    return bad(role, who + "has " + std::to_string(channel.num_dims) + " dimensions");
  for (int32_t i = 0; i < channel.num_dims; ++i)
    if (channel.dims[i] < 0 && -1 - channel.dims[i] >= role.num_extents)
      return bad(role, who + "uses an extent that does not exist");
  if (channel.num_consumers < 1 || !channel.consumer_stages)
    return bad(role, who + "has no consumer");
  if (channel.depth < 1 || channel.slot_bytes < -1 || channel.id < 0)
    return bad(role, who + "has depth " + std::to_string(channel.depth) + " and slots of " +
                         std::to_string(channel.slot_bytes) + " bytes");
  if ((channel.direction & (RT_CHANNEL_IN | RT_CHANNEL_OUT)) == 0)
    return bad(role, who + "has no direction");
  if (channel.carrier != RT_CARRIER_HOST && (channel.carrier != RT_CARRIER_NCCL || !role.device))
    return bad(role, who + "has carrier " + std::to_string(channel.carrier) + ", which the role does not have");
  if ((channel.direction & RT_CHANNEL_IN) && (channel.consumer < 0 || channel.consumer >= channel.num_consumers))
    return bad(role, who + "has no consumer " + std::to_string(channel.consumer));
  return Status();
}

static Status checkPlace(const rt_role_desc &role, const rt_storage_desc &storage, const std::string &who) {
  bool fixed = role.arena_bytes >= 0;
  int64_t limit = storage.kind == RT_STORAGE_WEIGHT ? role.weights_bytes : role.arena_bytes;
  if (storage.kind == RT_STORAGE_ARENA && !fixed) {
    if (storage.offset != -1 || storage.first_use > storage.last_use)
      return bad(role, who + "is fixed in an arena that is planned at run time");
    return Status();
  }
  if (storage.num_bytes < 0)
    return bad(role, who + "has a fixed place and no fixed length");
  if (storage.offset < 0 || storage.offset % RT_ALIGNMENT != 0 || storage.offset > limit ||
      storage.num_bytes > limit - storage.offset)
    return bad(role, who + "lies at " + std::to_string(storage.offset) + " with " + std::to_string(storage.num_bytes) +
                         " bytes, expected a multiple of 64 inside of " + std::to_string(limit));
  return Status();
}

static Status checkStorage(const rt_role_desc &role, int32_t index) {
  const rt_storage_desc &storage = role.storages[index];
  std::string who = "storage " + std::to_string(index) + " ";
  if (storage.num_bytes < 0 && (storage.num_bytes_extent < 0 || storage.num_bytes_extent >= role.num_extents))
    return bad(role, who + "has no length");
  switch (storage.kind) {
  case RT_STORAGE_ARENA:
    return checkPlace(role, storage, who);
  case RT_STORAGE_WEIGHT:
    if (!role.weights_file)
      return bad(role, who + "is a weight, and there is no weights file");
    return checkPlace(role, storage, who);
  case RT_STORAGE_CHANNEL_IN:
  case RT_STORAGE_CHANNEL_OUT: {
    uint32_t direction = storage.kind == RT_STORAGE_CHANNEL_IN ? RT_CHANNEL_IN : RT_CHANNEL_OUT;
    if (storage.index < 0 || storage.index >= role.num_channels ||
        !(role.channels[storage.index].direction & direction))
      return bad(role, who + "names channel " + std::to_string(storage.index) + ", which is none of that direction");
    return Status();
  }
  case RT_STORAGE_CONSTANT:
    if (!storage.data || reinterpret_cast<uintptr_t>(storage.data) % RT_ALIGNMENT != 0)
      return bad(role, who + "is a constant without aligned data");
    return Status();
  case RT_STORAGE_STATE:
    return storage.num_bytes < 0 ? bad(role, who + "is a state of unknown length") : Status();
  default:
    return bad(role, who + "has an unknown kind " + std::to_string(storage.kind));
  }
}

static Status checkStep(const rt_role_desc &role, int32_t index) {
  const rt_step_desc &step = role.steps[index];
  std::string who = "step " + std::to_string(index) + " ";
  if (!step.name || !step.kernel)
    return bad(role, who + "has no name");
  if (step.num_results < 0 || (step.num_results && !step.results))
    return bad(role, who + "has " + std::to_string(step.num_results) + " results");
  for (int32_t i = 0; i < step.num_results; ++i)
    if (step.results[i] < 0 || step.results[i] >= role.num_storages)
      return bad(role, who + "makes storage " + std::to_string(step.results[i]) + ", which does not exist");
  return Status();
}

Status checkRole(const rt_role_desc &role) {
  if (role.abi_version != RT_ABI_VERSION)
    return fail(Code::kMismatch, "the executable has ABI version %u, expected %d", role.abi_version, RT_ABI_VERSION);
  if (!role.program || !role.role_name || !role.model)
    return bad(role, "no program or no name");
  if (role.num_roles < 1 || role.role < 0 || role.role >= role.num_roles)
    return bad(role, "role " + std::to_string(role.role) + " of " + std::to_string(role.num_roles));
  RoleIdentity identity;
  if (Status status = readNote(role.note, identity); !status.ok())
    return status;
  if (identity.role != role.role || identity.numRoles != role.num_roles)
    return bad(role, "its note says role " + std::to_string(identity.role) + " of " +
                         std::to_string(identity.numRoles) + ", its tables role " + std::to_string(role.role) + " of " +
                         std::to_string(role.num_roles));
  if (role.num_symbols < 0 || role.num_data_symbols < 0 || role.num_data_symbols > role.num_symbols)
    return bad(role, std::to_string(role.num_data_symbols) + " of " + std::to_string(role.num_symbols) +
                         " symbols are found by kernels");
  if (role.num_extents < 0 || (role.num_extents && !role.extents))
    return bad(role, "extents without a function");
  if (role.num_channels < 1 || !role.channels || role.num_storages < 0 || (role.num_storages && !role.storages) ||
      role.num_steps < 0 || (role.num_steps && !role.steps))
    return bad(role, "a table is missing");
  bool hasInput = false;
  for (int32_t i = 0; i < role.num_channels; ++i) {
    if (Status status = checkChannel(role, i); !status.ok())
      return status;
    hasInput |= role.channels[i].direction == RT_CHANNEL_IN;
  }
  if (!hasInput)
    return bad(role, "no input channel");
  for (int32_t i = 0; i < role.num_storages; ++i)
    if (Status status = checkStorage(role, i); !status.ok())
      return status;
  for (int32_t i = 0; i < role.num_steps; ++i)
    if (Status status = checkStep(role, i); !status.ok())
      return status;
  return Status();
}

} // namespace rt
} // namespace penstock
