//===- Identity.h - What an executable belongs to ----------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The compiler writes it into every executable as a note (rt_note in Abi.h) and into plan.json; in the first message of
// every handshake each side says what it is. Stages of different folders refuse each other, and say in what they
// differ.
//
// Ownership: plain values. Threads: none involved. Errors: kMismatch, with both values.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_IDENTITY_H
#define PENSTOCK_RT_IDENTITY_H

#include "penstock/rt/Abi.h"
#include "penstock/rt/Status.h"

#include <string>

namespace penstock {
namespace rt {

/// Longest value of a field, in bytes.
constexpr size_t kMaxIdentityBytes = 256;

/// What all executables of a folder have in common. The fingerprint covers all of it, and more; the other fields are
/// for people: a few words where there are some, and 16 hexadecimal digits of a hash.
struct Identity {
  std::string fingerprint; ///< 64 hexadecimal digits
  std::string model;       ///< file name; hash of the graph as imported
  std::string weights;     ///< hash of the contents of the weights files
  std::string cut;         ///< number of stages; hash of which kernel is in which
  std::string schedule;    ///< hash of channels, depths and role programs
  std::string build;       ///< compiler, target, flags; hash of the code that was linked
};

/// What a role says of itself in its first message.
struct RoleIdentity : Identity {
  uint32_t abiVersion = RT_ABI_VERSION;
  int32_t role = 0, numRoles = 1, pid = 0;
  std::string name; ///< "stage-0"
};

/// "model is 'a' in stage-1 and 'b' in plan.json, cut is ..."; empty when there is no difference.
std::string describeDifference(const Identity &one, const std::string &oneName, const Identity &other,
                               const std::string &otherName);

/// `who` is of the same version of the ABI as this program and of the same folder as `other`.
Status checkIdentity(const RoleIdentity &role, const std::string &who, const Identity &other,
                     const std::string &otherName);

/// The text of a note.
Status parseIdentity(const std::string &text, RoleIdentity &identity);
Status readNote(const rt_note *note, RoleIdentity &identity);
/// Lines of a field and its value, for people.
std::string formatIdentity(const RoleIdentity &identity);

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_IDENTITY_H
