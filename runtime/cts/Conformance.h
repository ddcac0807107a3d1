//===- Conformance.h - What every transport must do --------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// One suite, parameterised over transports. A transport joins by giving a Maker, which builds a run of a few roles in
// this process and hands out one Transport per role; then
//
//     INSTANTIATE_TEST_SUITE_P(Shm, TransportConformance, testing::Values(Candidate{"shm", makeShmRun, true}), nameOf);
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_CTS_CONFORMANCE_H
#define PENSTOCK_RT_CTS_CONFORMANCE_H

#include "penstock/rt/Control.h"

#include <cstring>
#include <gtest/gtest.h>
#include <memory>

namespace penstock {
namespace rt {

/// A run under test. Role r has the number of its stage.
class CandidateRun {
public:
  virtual ~CandidateRun() = default;
  virtual Transport &transport(int32_t role) = 0;
  /// Fills and reads a slot of a role; for slots in the memory of a device.
  virtual void write(int32_t role, void *slot, const void *from, size_t numBytes) {
    if (numBytes > 0)
      std::memcpy(slot, from, numBytes);
  }
  virtual void read(int32_t role, const void *slot, void *to, size_t numBytes) {
    if (numBytes > 0)
      std::memcpy(to, slot, numBytes);
  }
};

struct Candidate {
  const char *name;
  std::unique_ptr<CandidateRun> (*make)(const ControlLayout &layout, const std::vector<ChannelDesc> &channels);
  bool readOnlySlots;  ///< a consumer cannot write what it received
  bool copies = false; ///< a consumer has slots of its own
};

class TransportConformance : public testing::TestWithParam<Candidate> {};

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_CTS_CONFORMANCE_H
