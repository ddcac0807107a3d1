//===- WeightsFile.h - The weights file of a role ----------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Mapped, not copied: whoever changes the file changes what the kernels read. It is therefore held against what it was
// when it was opened before every message that the role publishes, so that no result of other weights leaves the stage.
//
// Threads: the role's. Errors: kInvalid, with the file's name and what is different.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_LIB_ROLE_WEIGHTSFILE_H
#define PENSTOCK_RT_LIB_ROLE_WEIGHTSFILE_H

#include "BusError.h"
#include "Memory.h"
#include "penstock/rt/Role.h"

#include <sys/stat.h>

namespace penstock {
namespace rt {

class WeightsFile {
public:
  /// Maps the role's file in `folder`, if it has one; up to `verifyBytes` its checksum is compared too. A truncation
  /// that a kernel runs into is told to `control`.
  Status open(const rt_role_desc &role, const std::string &folder, int64_t verifyBytes, const RunControl &control);
  char *data() const { return mapping.data(); }
  /// Still the file that was opened: same length and time of change, and, every 100 ms, the same file under its name.
  /// `nowNs` on the steady clock, as of a moment ago.
  Status check(int64_t nowNs) { return fd.valid() ? compare(nowNs) : Status(); }

private:
  Status compare(int64_t nowNs);
  Status verify(const uint8_t (&expected)[16]) const;

  Fd fd;
  std::string path; ///< absolute
  struct stat known = {};
  int64_t nextNameNs = 0;
  Mapping mapping;
  std::unique_ptr<BusErrorNote> note; ///< goes before the mapping does
};

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_LIB_ROLE_WEIGHTSFILE_H
