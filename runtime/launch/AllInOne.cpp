//===- AllInOne.cpp - All stages in this process -----------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// `all-in-one` is launch linked with the objects of all roles: what is launch's own stays as it is, and the session
// runs the roles as threads.
//
//===----------------------------------------------------------------------===//
#include "Options.h"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <sys/prctl.h>
#include <unistd.h>

// Defined by the linker's list of roles (Abi.h); null in `launch`.
extern "C" {
__attribute__((weak)) extern const rt_role_desc *const penstock_roles[];
__attribute__((weak)) extern const int32_t penstock_num_roles;
}

namespace penstock {
namespace rt {

static constexpr const char *kProgram = "all-in-one";

std::vector<const rt_role_desc *> listLinkedRoles() {
  if (!&penstock_num_roles)
    return {};
  return {penstock_roles, penstock_roles + penstock_num_roles};
}

Status becomeAllInOne(const LaunchOptions &options, char **argv) {
  std::string program = options.folder + "/" + kProgram;
  argv[0] = &program[0];
  execv(program.c_str(), argv);
  if (errno == ENOENT)
    return fail(Code::kInvalid, "--all-in-one: '%s' has no '%s'; compile the model with --all-in-one",
                options.folder.c_str(), kProgram);
  return failErrno("cannot start '%s'", program.c_str());
}

Status checkAlone(const LaunchOptions &options, const LaunchedRank &rank) {
  if (options.launcher == "mpirun" || options.launcher == "srun")
    return fail(Code::kInvalid, "--launcher %s starts a process per stage, and %s is one process for all of them",
                options.launcher.c_str(), kProgram);
  if (rank.launcher && rank.size != 1 && options.launcher != "local")
    return fail(Code::kInvalid, "%s started %d processes, and %s is one process for all stages; expected 1",
                rank.launcher, rank.size, kProgram);
  return Status();
}

/// What a stage's thread, and the threads that it starts, are called: "stage-2". The process cannot be trusted any
/// more, so nothing is asked that a signal handler must not ask.
static void crashed(int signal) {
  char name[17] = "a thread", line[160] = "error: ";
  prctl(PR_GET_NAME, name);
  const char *hint = signal == SIGBUS ? "; memory is exhausted, or a weights file was changed while in use" : "";
  for (const char *part : {static_cast<const char *>(name), ": ended by a signal (SIG", sigabbrev_np(signal),
                           "), and all-in-one with it", hint, "\n"})
    strncat(line, part ? part : "?", sizeof(line) - strlen(line) - 1);
  ssize_t ignored = write(STDERR_FILENO, line, strlen(line));
  (void)ignored;
  _exit(1);
}

void reportCrashes() {
  struct sigaction action = {};
  action.sa_handler = crashed;
  for (int number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT})
    sigaction(number, &action, nullptr);
}

} // namespace rt
} // namespace penstock
