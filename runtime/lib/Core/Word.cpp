//===- Word.cpp - Which rank tells of a failure ------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "Word.h"

#include <algorithm>

namespace penstock {
namespace rt {

static Code codeOf(const RunControl &control, int32_t role) {
  auto code = static_cast<Code>(control.role(role).errorCode.load(std::memory_order_acquire));
  return code == Code::kAborted ? Code::kOk : code;
}

/// A peer that a role has lost had a reason. A host that says so has seen its stage end: that is the reason.
static bool isStall(const RunControl &control, int32_t role) {
  Code code = codeOf(control, role);
  return code == Code::kTimeout || (code == Code::kPeerLost && role != control.hostRole());
}

bool knowsOnlyStalls(const RunControl &control) {
  bool any = false;
  for (int32_t role = 0; role <= control.hostRole(); ++role) {
    if (codeOf(control, role) != Code::kOk && !isStall(control, role))
      return false;
    any |= isStall(control, role);
  }
  return any;
}

int32_t firstPresent(const RunControl &control, int32_t ownRole, int64_t now, int64_t silenceNs) {
  for (int32_t role = 0; role < ownRole; ++role) {
    int64_t heardNs = control.role(role).heardNs.load(std::memory_order_relaxed);
    if (heardNs != 0 && now - heardNs < silenceNs)
      return role;
  }
  return ownRole;
}

int32_t wordHolder(const RunControl &control) {
  for (int32_t role = 0; role < control.numRoles(); ++role)
    if (control.role(role).hasWord.load(std::memory_order_acquire) != 0)
      return role;
  return -1;
}

constexpr int32_t kLastTurn = 2;

/// Nobody has the word that this rank knows of. If it has ever heard others, they hear each other, and go first; else
/// nobody does, and the order is that of the roles.
static int32_t turnOfUnheard(const RunControl &control, int32_t ownRole) {
  for (int32_t role = 0; role < control.numRoles(); ++role)
    if (control.role(role).heardNs.load(std::memory_order_relaxed) != 0)
      return kLastTurn;
  return std::min(ownRole, kLastTurn);
}

int32_t turnOf(const RunControl &control, int32_t ownRole) {
  if (knowsOnlyStalls(control)) {
    int32_t holder = wordHolder(control);
    return holder < 0 ? turnOfUnheard(control, ownRole) : holder == ownRole ? 0 : kNoTurn;
  }
  auto hasCause = [&](int32_t role) { return codeOf(control, role) != Code::kOk && !isStall(control, role); };
  int32_t first = -1;
  (void)control.firstFailure(&first);
  // What the other ranks hear of this one.
  bool isOwn = hasCause(ownRole) || (first == control.hostRole() && hasCause(first));
  for (int32_t role = 0; role < control.numRoles(); ++role)
    if (role != ownRole && hasCause(role) && (role < ownRole || !isOwn))
      return kNoTurn;
  return 0;
}

} // namespace rt
} // namespace penstock
