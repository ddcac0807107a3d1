//===- RoleProcess.cpp - A role as a process of its own ----------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The host gives two environment variables: PENSTOCK_HOST, the abstract socket to join, and PENSTOCK_HOST_PID, whose
// death is ours. Failures travel to the host, which prints one line for the whole run; a role prints only what it
// cannot tell the host. With --replay there is no host: the role runs alone, and says what it has seen. A launcher such
// as mpirun may start a role without a host: it then becomes the `launch` of its folder, which starts it again as its
// own.
//
//===----------------------------------------------------------------------===//
#include "BusError.h"
#include "penstock/rt/Rank.h"
#include "penstock/rt/Role.h"
#include "transports/mpi/MpiTransport.h"
#include "transports/replay/Replay.h"
#include "transports/shm/Shm.h"
#include "transports/tcp/TcpFabric.h"

#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/prctl.h>
#include <unistd.h>

namespace penstock {
namespace rt {

static int complain(const Status &status) {
  std::fprintf(stderr, "error: %s\n", status.message().c_str());
  return status.exitStatus();
}

/// Dies with the host, and does not outlive one that died before we could say so.
static bool tieToHost() {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const char *pid = std::getenv("PENSTOCK_HOST_PID");
  return !pid || std::atol(pid) == long(getppid());
}

static void printReplay(const rt_role_desc &role, const ReplayReport &report, bool isJson) {
  if (isJson) {
    std::printf(
        "{\"stage\": %d, \"microbatches\": %lld, \"messages\": %lld, \"compared\": %lld, \"differing\": %lld}\n",
        role.role, (long long)report.numMicrobatches, (long long)report.numMessages, (long long)report.numCompared,
        (long long)report.numDiffering);
    return;
  }
  std::printf("%s: %lld microbatches, %lld messages sent, ", role.role_name, (long long)report.numMicrobatches,
              (long long)report.numMessages);
  if (report.numCompared < report.numMessages)
    std::printf("%lld of them in the recording, ", (long long)report.numCompared);
  if (report.numDiffering == 0)
    std::printf("all with the bits that were recorded\n");
  else
    std::printf("%lld differ from what was recorded\n", (long long)report.numDiffering);
}

/// stage-K --replay FILE [--quiet] [--json]
static int replayMain(const rt_role_desc &role, int argc, char **argv) {
  bool isQuiet = false, isJson = false;
  for (int i = 3; i < argc; ++i) {
    isQuiet |= std::strcmp(argv[i], "--quiet") == 0;
    isJson |= std::strcmp(argv[i], "--json") == 0;
  }
  if (argc < 3 || argc - 3 != isQuiet + isJson)
    return complain(fail(Code::kInvalid, "%s: expected --replay FILE [--quiet] [--json]", role.role_name));
  RoleOptions options;
  std::string path = argv[0];
  if (size_t slash = path.rfind('/'); slash != std::string::npos) // else: that of the executable, wherever it was found
    options.folder = path.substr(0, slash);
  ReplayReport report;
  Status status = replayRole(role, argv[2], options, report);
  if (!status.ok())
    return complain(status);
  if (!isQuiet || isJson)
    printReplay(role, report, isJson);
  if (std::fflush(stdout) != 0)
    return complain(failErrno("cannot write to the standard output"));
  return report.numDiffering == 0 ? 0 : complain(fail(Code::kFault, "%s", report.firstDifference.c_str()));
}

/// As a rank of a launcher: the host of this role, with our arguments.
static Status becomeHost(const rt_role_desc &role, char **argv) {
  LaunchedRank rank;
  if (Status status = detectRank(rank); !status.ok())
    return status;
  if (!rank.launcher)
    return fail(Code::kInvalid,
                "%s is one role of a pipeline; start it with 'launch' of the same folder, or alone with --replay FILE",
                role.role_name);
  char path[PATH_MAX];
  ssize_t length = readlink("/proc/self/exe", path, sizeof(path));
  std::string program(path, size_t(length > 0 ? length : 0));
  program = program.substr(0, program.rfind('/') + 1) + "launch";
  setenv("PENSTOCK_STAGE", std::to_string(role.role).c_str(), 1);
  argv[0] = &program[0];
  execv(program.c_str(), argv);
  return failErrno("cannot start '%s'", program.c_str());
}

/// By the MPI library, or by the addresses that the launcher gave.
static Status openFabric(const RoleIdentity &identity, const RoleOptions &options, std::unique_ptr<TcpFabric> &sockets,
                         Fabric &fabric) {
  if (options.fabric != kTcpFabric)
    return loadFabric(options.fabric, fabric);
  LaunchedRank rank;
  MeetingPoint point;
  if (Status status = detectRank(rank); !status.ok())
    return status;
  if (Status status = findMeetingPoint(rank, point); !status.ok())
    return status;
  Status status = TcpFabric::meet(point, rank.rank, rank.size, deadlineAfter(options.timeoutNs), sockets);
  if (!status.ok())
    return Status(status.code(), identity.name + ": " + status.message());
  fabric = sockets->table();
  return status;
}

/// Runs the role with all that it needs to reach the stages on other ranks.
static Status runRank(const rt_role_desc &role, ShmRole &host, const std::string &address, const RoleIdentity &identity,
                      const RoleOptions &options, const std::function<void()> &onReady) {
  std::unique_ptr<TcpFabric> sockets;
  Fabric fabric;
  MpiTransport::Place place;
  if (Status status = openFabric(identity, options, sockets, fabric); !status.ok())
    return status;
  if (Status status = joinRanks(fabric, identity, deadlineAfter(options.timeoutNs), place.ranks); !status.ok())
    return status;
  place.role = role.role;
  place.timeoutNs = options.timeoutNs;
  place.host = &host;
  place.identity = identity;
  place.hostName = options.sharesMemory ? hostIdentity() : std::string();
  place.address = address;
  MpiTransport transport(fabric, host.runControl(), std::move(place));
  transport.setSpin(options.spinNs);
  return transport.finish(runRole(role, transport, host.runControl(), options, onReady));
}

int roleMain(const rt_role_desc &role, int argc, char **argv) {
  RoleIdentity identity;
  if (Status status = checkRole(role); !status.ok())
    return complain(status);
  if (Status status = readNote(role.note, identity); !status.ok())
    return complain(status);
  if (argc > 1 && std::strcmp(argv[1], "--version") == 0) {
    std::fputs(formatIdentity(identity).c_str(), stdout);
    return 0;
  }
  if (argc > 1 && std::strcmp(argv[1], "--replay") == 0)
    return replayMain(role, argc, argv);
  const char *host = std::getenv("PENSTOCK_HOST");
  if (!host)
    return complain(becomeHost(role, argv));
  if (argc > 1)
    return complain(fail(Code::kInvalid, "%s takes no arguments from its host", role.role_name));
  // An interrupt from the terminal goes to the host, which ends the roles.
  std::signal(SIGINT, SIG_IGN);
  // A limit of the size of files is an error of the write that meets it.
  std::signal(SIGXFSZ, SIG_IGN);
  handleBusErrors();
  if (!tieToHost()) // whoever has ended it has the words
    return Status(Code::kPeerLost, std::string()).exitStatus();
  identity.pid = static_cast<int32_t>(getpid());
  RoleOptions options;
  std::unique_ptr<ShmRole> transport;
  Status status = ShmRole::connect(host, identity, deadlineAfter(30ll * 1000000000), options, transport);
  if (!status.ok())
    return status.code() == Code::kMismatch ? status.exitStatus() : complain(status);
  bool isReady = false;
  auto onReady = [&] {
    isReady = true;
    (void)transport->ready(Status());
  };
  bool ranks = !options.fabric.empty();
  status = ranks ? runRank(role, *transport, host, identity, options, onReady)
                 : runRole(role, *transport, transport->runControl(), options, onReady);
  if (!isReady)
    (void)transport->ready(status);
  // What MPI does at the end of a process that has not left it may wait for a peer that is gone.
  if (ranks && !status.ok())
    _exit(status.exitStatus());
  return status.exitStatus();
}

} // namespace rt
} // namespace penstock
