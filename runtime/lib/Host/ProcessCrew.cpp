//===- ProcessCrew.cpp - Roles as processes, supervised ----------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The thread that starts the roles is the one that watches them: they ask the kernel to be killed when their parent
// thread ends, so it lives as long as they do. It serves the handshake, reaps, and kills what does not end by itself.
//
//===----------------------------------------------------------------------===//
#include "Crew.h"

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <map>
#include <mutex>
#include <poll.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

extern char **environ;

namespace penstock {
namespace rt {

namespace {

constexpr int64_t kMs = 1000000;
constexpr int64_t kGraceNs = 500 * kMs;       // between "the run has failed" and SIGKILL
constexpr int64_t kRankGraceNs = 1200 * kMs;  // likewise, of a role that is told meanwhile which rank has the word
constexpr int64_t kRankStartNs = 10000 * kMs; // for a launcher to start ranks and for their library to join them

struct Member {
  pid_t pid = 0;
  Fd pidFd;
  bool running = false, ready = false;
  int exitState = 0; ///< as waitpid gives it
};

class ProcessCrew final : public Crew {
public:
  ProcessCrew(const Plan &plan, int32_t ownRole, ShmHost &host, std::vector<RoleOptions> options, int64_t timeoutNs,
              OnFailure onFailure)
      : plan(plan), firstRole(ownRole < 0 ? 0 : size_t(ownRole)), host(host), options(std::move(options)),
        timeoutNs(timeoutNs), onFailure(std::move(onFailure)), control(host.runControl()),
        members(ownRole < 0 ? plan.stages.size() : 1) {}
  ~ProcessCrew() override;

  Status start() override;
  Status finish(int64_t patienceNs) override;
  void stop() override;

private:
  /// All stages are here, none on another rank.
  bool isWhole() const { return members.size() == plan.stages.size(); }
  int64_t graceNs() const { return isWhole() ? kGraceNs : kRankGraceNs; }
  void supervise();
  Status spawnAll();
  Status spawn(size_t index);
  void pollOnce();
  void serve(int fd);
  void reap();
  void hearOut(size_t role);
  void judge(size_t index);
  void watchStart(ProgressWatch &watch);
  void killLate();
  void failed(const Status &status);
  std::string lastWords(size_t index) const;
  std::string lateWords(int64_t waitedNs) const;

  const Plan &plan;
  size_t firstRole; ///< of the members
  ShmHost &host;
  std::vector<RoleOptions> options;
  int64_t timeoutNs;
  OnFailure onFailure;
  RunControl control;

  std::vector<Member> members; ///< the supervisor's own; roles from firstRole on
  std::map<int, std::pair<Fd, int32_t>> connections;
  Fd wakeUp, emptyInput; ///< the roles' standard input is an empty file: /dev/null may not be there
  std::thread thread;

  mutable std::mutex mutex; ///< guards what follows
  std::condition_variable changed;
  size_t numReady = 0, numRunning = 0;
  bool spawned = false, stopping = false, done = false;
  int64_t killAtNs = kNever;
  Status failure;
};

} // namespace

ProcessCrew::~ProcessCrew() {
  if (!thread.joinable())
    return;
  {
    std::lock_guard<std::mutex> lock(mutex);
    killAtNs = 0;
    stopping = true;
  }
  eventfd_write(wakeUp.get(), 1);
  thread.join();
}

Status ProcessCrew::start() {
  wakeUp.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wakeUp.valid())
    return failErrno("cannot create an event descriptor");
  if (Status status = createMemfd("penstock-empty", 0, emptyInput); !status.ok())
    return status;
  thread = std::thread([this] { supervise(); });
  std::unique_lock<std::mutex> lock(mutex);
  changed.wait(lock, [&] { return done || !failure.ok() || (spawned && numReady == members.size()); });
  if (!failure.ok())
    changed.wait(lock, [&] { return done; }); // nothing of a failed start is left behind
  else if (isWhole())
    host.closeDescriptors(); // no more requests for them: every role is ready, and none is elsewhere
  return failure;
}

void ProcessCrew::stop() {
  {
    std::lock_guard<std::mutex> lock(mutex);
    stopping = true;
    killAtNs = std::min(killAtNs, nowNs() + graceNs());
  }
  control.abort();
  eventfd_write(wakeUp.get(), 1);
}

Status ProcessCrew::finish(int64_t patienceNs) {
  ProgressWatch watch(control, patienceNs);
  watch.start(nowNs());
  std::unique_lock<std::mutex> lock(mutex);
  while (!done && !watch.expired(nowNs()))
    changed.wait_for(lock, std::chrono::milliseconds(50));
  if (done)
    return failure;
  Status late = failure;
  if (late.ok())
    late = hangStatus(control, lateWords(watch.waitedNs(nowNs())), options.front().hangFile);
  if (isWhole() || stopping) {
    failure = late;
    killAtNs = 0;
  } else { // other ranks are to hear of it, or this one what they say
    lock.unlock();
    failed(late);
    lock.lock();
  }
  eventfd_write(wakeUp.get(), 1);
  changed.wait(lock, [&] { return done; });
  return failure;
}

void ProcessCrew::failed(const Status &status) {
  {
    std::lock_guard<std::mutex> lock(mutex);
    killAtNs = std::min(killAtNs, nowNs() + graceNs());
    if (stopping || !failure.ok())
      return;
    failure = status;
    stopping = true;
  }
  onFailure(status); // first: a role that sees that the run is over shall know why
  control.abort();
}

Status ProcessCrew::spawn(size_t index) {
  const std::string path = plan.folder + "/" + plan.stages[firstRole + index].executable;
  std::vector<std::string> extra = {"PENSTOCK_HOST=" + host.address(), "PENSTOCK_HOST_PID=" + std::to_string(getpid())};
  std::vector<char *> environment;
  for (char **entry = environ; *entry; ++entry)
    if (std::strncmp(*entry, "PENSTOCK_HOST", 13) != 0)
      environment.push_back(*entry);
  for (std::string &entry : extra)
    environment.push_back(&entry[0]);
  environment.push_back(nullptr);
  char *arguments[] = {const_cast<char *>(path.c_str()), nullptr};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, emptyInput.get(), STDIN_FILENO);
  if (int fd = options[index].recordFd; fd >= 0) // under its own number: that makes it stay open
    posix_spawn_file_actions_adddup2(&actions, fd, fd);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  // Signals that an embedding process (Python, a server) has blocked or ignored are not the roles' business.
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  Member &member = members[index];
  int error = posix_spawn(&member.pid, path.c_str(), &actions, &attributes, arguments, environment.data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) {
    errno = error;
    Status status = failErrno("cannot start '%s'", path.c_str());
    bool damaged = error == ENOENT || error == EACCES || error == ENOEXEC || error == ENOTDIR;
    return damaged ? Status(Code::kInvalid, status.message() + "; the folder is damaged") : status;
  }
  member.running = true;
#ifdef SYS_pidfd_open
  member.pidFd.reset(static_cast<int>(syscall(SYS_pidfd_open, member.pid, 0)));
#endif
  return Status();
}

Status ProcessCrew::spawnAll() {
  for (size_t i = 0; i < members.size(); ++i) {
    if (Status status = spawn(i); !status.ok())
      return status;
    std::lock_guard<std::mutex> lock(mutex);
    ++numRunning;
  }
  return Status();
}

void ProcessCrew::supervise() {
  Status status = spawnAll();
  {
    std::lock_guard<std::mutex> lock(mutex);
    spawned = true;
  }
  if (!status.ok())
    failed(status);
  // A stage that waits for other ranks has the same patience, and knows whom it waits for: it shall speak first.
  int64_t patienceNs = timeoutNs > 0 && !isWhole() ? std::max(timeoutNs, kRankStartNs) + kGraceNs : timeoutNs;
  ProgressWatch watch(control, patienceNs);
  watch.start(nowNs());
  for (;;) {
    {
      std::lock_guard<std::mutex> lock(mutex);
      if (numRunning == 0)
        break;
    }
    pollOnce();
    reap();
    watchStart(watch);
    killLate();
  }
  std::lock_guard<std::mutex> lock(mutex);
  done = true;
  changed.notify_all();
}

/// Sleeps until a role speaks, connects or dies, or somebody wants something.
void ProcessCrew::pollOnce() {
  std::vector<pollfd> entries{{wakeUp.get(), POLLIN, 0}, {host.listener(), POLLIN, 0}};
  int waitMs = 100;
  for (Member &member : members) {
    if (!member.running)
      continue;
    if (member.pidFd.valid())
      entries.push_back({member.pidFd.get(), POLLIN, 0});
    else
      waitMs = 10; // a kernel without pidfd: look often
  }
  size_t firstConnection = entries.size();
  for (auto &connection : connections)
    entries.push_back({connection.first, POLLIN, 0});
  if (poll(entries.data(), entries.size(), waitMs) <= 0)
    return;
  eventfd_t count;
  if (entries[0].revents)
    eventfd_read(wakeUp.get(), &count);
  if (entries[1].revents) {
    Fd accepted;
    if (host.accept(accepted).ok()) { // a stranger is sent away without a word
      int number = accepted.get();
      connections[number] = {std::move(accepted), -1};
    }
  }
  for (size_t i = firstConnection; i < entries.size(); ++i)
    if (entries[i].revents)
      serve(entries[i].fd);
}

void ProcessCrew::serve(int fd) {
  ShmHost::Event event;
  auto found = connections.find(fd);
  Status status = host.answer(fd, found->second.second, options, event);
  if (!status.ok()) {
    connections.erase(found); // the role's death is noticed by reap()
    return;
  }
  found->second.second = event.role;
  if (event.kind == ShmHost::Event::kFailed || (event.kind == ShmHost::Event::kReady && !event.status.ok())) {
    failed(event.status);
    return;
  }
  size_t index = size_t(event.role) - firstRole;
  if (event.kind != ShmHost::Event::kReady || index >= members.size() || members[index].ready)
    return;
  members[index].ready = true;
  std::lock_guard<std::mutex> lock(mutex);
  ++numReady;
  changed.notify_all();
}

/// A role that has ended may have said why since we last listened.
void ProcessCrew::hearOut(size_t role) {
  for (auto connection = connections.begin(); connection != connections.end(); ++connection) {
    if (connection->second.second != int32_t(role))
      continue;
    pollfd entry{connection->first, POLLIN, 0};
    while (connections.count(entry.fd) && poll(&entry, 1, 0) > 0)
      serve(entry.fd);
    return;
  }
}

void ProcessCrew::reap() {
  for (size_t i = 0; i < members.size(); ++i) {
    Member &member = members[i];
    if (!member.running)
      continue;
    pid_t ended;
    do
      ended = waitpid(member.pid, &member.exitState, WNOHANG);
    while (ended < 0 && errno == EINTR);
    if (ended == 0)
      continue;
    member.running = false;
    member.pidFd.reset();
    // Somebody else has reaped it (an embedding process that waits for any child): its end is all we know.
    if (ended < 0)
      member.exitState = 0;
    hearOut(firstRole + i);
    judge(i);
    std::lock_guard<std::mutex> lock(mutex);
    --numRunning;
    changed.notify_all();
  }
}

std::string ProcessCrew::lastWords(size_t index) const {
  auto role = static_cast<int32_t>(firstRole + index);
  const RoleState &state = control.role(role);
  int32_t step = state.doneStep.load();
  std::string text = format(" in microbatch %lld", (long long)state.microbatch.load());
  if (step > 0)
    text += format(" (last done: microbatch %lld, '%s')", (long long)state.doneMicrobatch.load(),
                   control.stepName(role, step - 1).c_str());
  return text;
}

/// The stages that have been told to end and have not.
std::string ProcessCrew::lateWords(int64_t waitedNs) const {
  for (size_t i = 0; i < members.size(); ++i)
    if (control.role(int32_t(firstRole + i)).activity.load() != uint32_t(Activity::kEnded))
      return format("%s ('%s') did not end in %.3g s%s", stageName(int32_t(firstRole + i)).c_str(),
                    plan.stages[firstRole + i].executable.c_str(), double(waitedNs) * 1e-9, lastWords(i).c_str());
  return format("%zu of %zu processes of stages did not end in %.3g s", numRunning, members.size(),
                double(waitedNs) * 1e-9);
}

/// What usually stands behind a signal that nobody sent on purpose.
static const char *hintOf(int signal) {
  if (signal == SIGBUS)
    return "; memory is exhausted";
  return signal == SIGKILL ? "; somebody killed it, or the system ran out of memory" : "";
}

/// A role has ended: well, or why?
void ProcessCrew::judge(size_t index) {
  const Member &member = members[index];
  auto role = static_cast<int32_t>(firstRole + index);
  bool finished = member.ready && control.role(role).activity.load() == uint32_t(Activity::kEnded);
  if (WIFEXITED(member.exitState) && WEXITSTATUS(member.exitState) == 0 && finished)
    return;
  Status told = control.firstFailure();
  std::string who = format("%s ('%s', process %d)", stageName(role).c_str(),
                           plan.stages[size_t(role)].executable.c_str(), int(member.pid));
  if (!told.ok())
    failed(told);
  else if (WIFSIGNALED(member.exitState))
    failed(fail(Code::kPeerLost, "%s was ended by signal %d (%s)%s%s", who.c_str(), WTERMSIG(member.exitState),
                strsignal(WTERMSIG(member.exitState)), lastWords(index).c_str(), hintOf(WTERMSIG(member.exitState))));
  else
    failed(fail(Code::kPeerLost, "%s ended with status %d before the run did%s", who.c_str(),
                WEXITSTATUS(member.exitState), lastWords(index).c_str()));
}

/// Until all are ready, silence has a deadline.
void ProcessCrew::watchStart(ProgressWatch &watch) {
  {
    std::lock_guard<std::mutex> lock(mutex);
    if (numReady == members.size() || stopping)
      return;
  }
  int64_t now = nowNs();
  if (!watch.expired(now))
    return;
  for (size_t i = 0; i < members.size(); ++i)
    if (!members[i].ready)
      return failed(
          hangStatus(control,
                     format("%s ('%s') was not ready after %.3g s", stageName(int32_t(firstRole + i)).c_str(),
                            plan.stages[firstRole + i].executable.c_str(), double(watch.waitedNs(now)) * 1e-9),
                     options.front().hangFile));
}

void ProcessCrew::killLate() {
  {
    std::lock_guard<std::mutex> lock(mutex);
    if (nowNs() < killAtNs)
      return;
  }
  for (Member &member : members)
    if (member.running)
      kill(member.pid, SIGKILL);
}

std::unique_ptr<Crew> makeProcessCrew(const Plan &plan, int32_t ownRole, ShmHost &host,
                                      std::vector<RoleOptions> options, int64_t timeoutNs, Crew::OnFailure onFailure) {
  return std::make_unique<ProcessCrew>(plan, ownRole, host, std::move(options), timeoutNs, std::move(onFailure));
}

} // namespace rt
} // namespace penstock
