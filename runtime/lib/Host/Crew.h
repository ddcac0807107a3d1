//===- Crew.h - The roles of a run, started and watched ----------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Starts every role of a plan, as a process or as a thread, tells when all are ready, notices when one fails or dies,
// and leaves none behind. One thread inside watches; callbacks come from it.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_LIB_HOST_CREW_H
#define PENSTOCK_RT_LIB_HOST_CREW_H

#include "penstock/rt/Session.h"
#include "transports/inproc/Inproc.h"
#include "transports/shm/Shm.h"

#include <functional>

namespace penstock {
namespace rt {

class Crew {
public:
  /// Called once, at the first failure of any role.
  using OnFailure = std::function<void(const Status &)>;

  virtual ~Crew() = default; ///< ends and reaps whatever still runs
  /// Returns when all roles are ready, or with the first failure.
  virtual Status start() = 0;
  /// Waits until all roles have ended by themselves; when nothing in the run has moved for so long, ends them.
  virtual Status finish(int64_t patienceNs) = 0;
  /// The run has failed elsewhere: roles get a moment to notice, then are killed. Returns at once.
  virtual void stop() = 0;
};

/// Each role an executable of the plan's folder; with `ownRole` not -1, this one only. The options are per role.
std::unique_ptr<Crew> makeProcessCrew(const Plan &plan, int32_t ownRole, ShmHost &host,
                                      std::vector<RoleOptions> options, int64_t timeoutNs, Crew::OnFailure onFailure);
/// Each role a thread of this process.
std::unique_ptr<Crew> makeThreadCrew(const std::vector<const rt_role_desc *> &roles, InprocHub &hub,
                                     std::vector<RoleOptions> options, Crew::OnFailure onFailure);

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_LIB_HOST_CREW_H
