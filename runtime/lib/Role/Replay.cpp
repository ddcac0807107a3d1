//===- Replay.cpp - A role alone, from a recording ---------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "transports/replay/Replay.h"

#include "penstock/rt/Role.h"
#include "transports/shm/Shm.h"

namespace penstock {
namespace rt {

Status replayRole(const rt_role_desc &role, const std::string &path, const RoleOptions &options, ReplayReport &report) {
  if (Status status = checkRole(role); !status.ok())
    return status;
  Recording recording;
  if (Status status = recording.open(path); !status.ok())
    return status;
  RoleIdentity identity;
  if (Status status = readNote(role.note, identity); !status.ok())
    return status;
  if (recording.fingerprint() != identity.fingerprint)
    return fail(Code::kInvalid, "recording '%s' is of another compilation: its fingerprint is %s, that of %s is %s",
                path.c_str(), recording.fingerprint().c_str(), role.role_name, identity.fingerprint.c_str());
  ControlLayout layout;
  layout.numRoles = role.num_roles;
  layout.roleNames.assign(size_t(role.num_roles), role.role_name);
  Mapping memory;
  if (Status status = Mapping::anonymous(RunControl::bytesFor(layout), "the control block", memory); !status.ok())
    return status;
  RunControl control = RunControl::create(memory.data(), layout);
  ReplayTransport transport(recording, control, role.role);
  Status complete;
  Status status = runRole(role, transport, control, options, [&] { complete = transport.checkComplete(); });
  report = transport.report();
  return complete.ok() ? status : complete;
}

} // namespace rt
} // namespace penstock
