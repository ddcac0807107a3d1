//===- Role.h - Running one role ---------------------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The runtime of a compiled role: `main` of a role executable and `all-in-one` both end in runRole(). It joins the
// role's channels, maps and checks its weights, reserves its arena, and calls its program until the stream ends.
//
// Threads: the calling thread runs the program; its floating-point mode is set to flush to zero and restored
// afterwards. Memory: nothing is allocated after the first microbatch of a tuple of symbol values. Errors: returned,
// and kept in the run's control block with the run aborted.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_ROLE_H
#define PENSTOCK_RT_ROLE_H

#include "penstock/rt/Control.h"

#include <functional>

namespace penstock {
namespace rt {

struct ReplayReport;

constexpr const char *kTcpFabric = "tcp";

/// What the host tells a role.
struct RoleOptions {
  int64_t timeoutNs = 30ll * 1000000000;  ///< of waiting without progress anywhere; 0: none
  int64_t spinNs = 0;                     ///< before sleeping
  int32_t cpu = -1;                       ///< to pin the role's thread to; -1: none
  int64_t verifyBytes = int64_t(1) << 30; ///< weights files up to this length are checksummed at the start
  std::string folder;                     ///< of the weights file; empty: that of the executable
  std::string fault;                      ///< for the `faulty` transport; empty: none
  int32_t recordFd = -1;                  ///< of the run's recording, inherited; -1: none
  bool recordResults = false;             ///< record what every kernel makes too
  std::string hangFile;                   ///< written when a deadline has passed: the state of all queues; empty: none
  /// What leads to stages on other ranks: the file name of the plug-in for MPI, or kTcpFabric. Empty: all are here.
  std::string fabric;
  bool sharesMemory = true; ///< with ranks of the same host
};

/// Checks the tables of a role for what a wrong compiler or a damaged file could break.
Status checkRole(const rt_role_desc &role);
/// The instructions that the role needs are there; otherwise names those that are not.
Status checkCpu(const char *requiredFeatures);
/// The channel of a role's table as transports describe it.
ChannelDesc channelDescOf(const rt_role_desc &role, int32_t channel);

/// Runs a role to the end of the stream. `onReady` is called once when all is joined, mapped and checked.
Status runRole(const rt_role_desc &role, Transport &transport, const RunControl &control, const RoleOptions &options,
               const std::function<void()> &onReady);

/// Runs a role alone on the messages of a recording; what it sends is compared with what was sent then. kInvalid: the
/// recording cannot be used. A difference is no failure.
Status replayRole(const rt_role_desc &role, const std::string &recording, const RoleOptions &options,
                  ReplayReport &report);

/// `main` of a role executable.
int roleMain(const rt_role_desc &role, int argc, char **argv);

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_ROLE_H
