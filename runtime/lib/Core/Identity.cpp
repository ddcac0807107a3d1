//===- Identity.cpp - What an executable belongs to --------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "penstock/rt/Identity.h"

#include <cstdlib>
#include <cstring>

namespace penstock {
namespace rt {

namespace {
struct Field {
  const char *key;
  std::string Identity::*value;
};
} // namespace

/// In the order in which people want to read them.
static constexpr Field kFields[] = {{"model", &Identity::model},
                                    {"weights", &Identity::weights},
                                    {"cut", &Identity::cut},
                                    {"schedule", &Identity::schedule},
                                    {"build", &Identity::build}};
static constexpr Field kFingerprint = {"fingerprint", &Identity::fingerprint};

std::string describeDifference(const Identity &one, const std::string &oneName, const Identity &other,
                               const std::string &otherName) {
  if (one.fingerprint == other.fingerprint)
    return std::string();
  std::string text;
  auto compare = [&](const Field &field) {
    if (one.*field.value != other.*field.value)
      text += std::string(text.empty() ? "" : ", ") + field.key + " is '" + one.*field.value + "' in " + oneName +
              " and '" + other.*field.value + "' in " + otherName;
  };
  for (const Field &field : kFields)
    compare(field);
  if (text.empty())
    compare(kFingerprint);
  return text;
}

Status checkIdentity(const RoleIdentity &role, const std::string &who, const Identity &other,
                     const std::string &otherName) {
  if (role.abiVersion != RT_ABI_VERSION)
    return fail(Code::kMismatch, "%s has ABI version %u, expected %d; compile the model again with this version",
                who.c_str(), role.abiVersion, RT_ABI_VERSION);
  std::string difference = describeDifference(role, role.name, other, otherName);
  if (!difference.empty())
    return fail(Code::kMismatch, "%s comes from another compilation: %s", who.c_str(), difference.c_str());
  return Status();
}

static bool readNumber(const std::string &text, int32_t &number) {
  char *end = nullptr;
  long value = std::strtol(text.c_str(), &end, 10);
  number = static_cast<int32_t>(value);
  return !text.empty() && *end == '\0' && value >= 0 && value <= INT32_MAX;
}

/// Sets the field of a line; unknown keys are those of another version.
static bool setField(RoleIdentity &identity, const std::string &key, const std::string &value) {
  for (const Field &field : kFields)
    if (key == field.key)
      identity.*field.value = value;
  if (key == kFingerprint.key)
    identity.fingerprint = value;
  if (key == "name")
    identity.name = value;
  int32_t number = 0;
  if (key != "abi" && key != "role" && key != "roles")
    return value.size() <= kMaxIdentityBytes;
  if (!readNumber(value, number))
    return false;
  if (key == "abi")
    identity.abiVersion = static_cast<uint32_t>(number);
  (key == "role" ? identity.role : key == "roles" ? identity.numRoles : number) = number;
  return true;
}

Status parseIdentity(const std::string &text, RoleIdentity &identity) {
  identity = RoleIdentity();
  identity.abiVersion = 0;
  for (size_t at = 0; at < text.size();) {
    size_t end = text.find('\n', at), space = text.find(' ', at);
    if (end == std::string::npos || space >= end ||
        !setField(identity, text.substr(at, space - at), text.substr(space + 1, end - space - 1)))
      return fail(Code::kMismatch, "the note of the executable cannot be read at '%.64s'",
                  text.substr(at, std::min<size_t>(end - at, 64)).c_str());
    at = end + 1;
  }
  if (identity.abiVersion == 0 || identity.fingerprint.size() != 64 || identity.name.empty())
    return fail(Code::kMismatch, "the note of the executable lacks its ABI version, fingerprint or name");
  return Status();
}

Status readNote(const rt_note *note, RoleIdentity &identity) {
  if (!note || note->name_bytes != sizeof(RT_NOTE_NAME) || note->type != RT_NOTE_TYPE ||
      std::memcmp(note->name, RT_NOTE_NAME, sizeof(RT_NOTE_NAME)) != 0)
    return fail(Code::kMismatch, "the executable has no note that says what it belongs to");
  return parseIdentity(std::string(reinterpret_cast<const char *>(note + 1), note->text_bytes), identity);
}

std::string formatIdentity(const RoleIdentity &identity) {
  std::string text;
  auto line = [&](const char *key, const std::string &value) {
    text += key + std::string(16 - std::strlen(key), ' ') + value + "\n";
  };
  line("stage", identity.name + ", role " + std::to_string(identity.role) + " of " + std::to_string(identity.numRoles));
  line("ABI version", std::to_string(identity.abiVersion));
  for (const Field &field : kFields)
    line(field.key, identity.*field.value);
  line(kFingerprint.key, identity.fingerprint);
  return text;
}

} // namespace rt
} // namespace penstock
