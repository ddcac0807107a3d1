//===- ThreadCrew.cpp - Roles as threads of this process ---------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "Crew.h"

#include <condition_variable>
#include <mutex>
#include <pthread.h>
#include <thread>

namespace penstock {
namespace rt {

namespace {
constexpr int64_t kGraceNs = 500000000; // between "the run has failed" and not waiting any longer

class ThreadCrew final : public Crew {
public:
  ThreadCrew(const std::vector<const rt_role_desc *> &roles, InprocHub &hub, std::vector<RoleOptions> options,
             OnFailure onFailure)
      : roles(roles), hub(hub), options(std::move(options)), onFailure(std::move(onFailure)), hasEnded(roles.size()) {}
  ~ThreadCrew() override {
    stop();
    for (std::thread &thread : threads)
      if (thread.joinable())
        thread.join();
  }

  Status start() override {
    for (size_t i = 0; i < roles.size(); ++i)
      transports.push_back(hub.makeTransport());
    for (size_t i = 0; i < roles.size(); ++i)
      threads.emplace_back([this, i] { runOne(i); });
    std::unique_lock<std::mutex> lock(mutex);
    changed.wait(lock, [&] { return numReady + numEnded >= roles.size() || !failure.ok(); });
    return failure;
  }

  Status finish(int64_t patienceNs) override {
    RunControl control = hub.control();
    ProgressWatch watch(control, patienceNs);
    watch.start(nowNs());
    std::unique_lock<std::mutex> lock(mutex);
    while (numEnded < roles.size() && !watch.expired(nowNs()) && nowNs() < giveUpNs)
      changed.wait_for(lock, std::chrono::milliseconds(20));
    if (failure.ok() && numEnded < roles.size()) {
      failure = fail(Code::kTimeout, "%zu of %zu roles did not end in time", roles.size() - numEnded, roles.size());
      hub.control().abort();
    }
    Status result = failure;
    std::vector<bool> ended = hasEnded;
    lock.unlock();
    // The others may never end.
    for (size_t i = 0; i < threads.size(); ++i)
      if (ended[i] && threads[i].joinable())
        threads[i].join();
    return result;
  }

  void stop() override {
    std::lock_guard<std::mutex> lock(mutex);
    giveUpNs = std::min(giveUpNs, nowNs() + kGraceNs);
    if (numEnded < roles.size())
      hub.control().abort();
  }

private:
  void runOne(size_t index) {
    // Threads that kernels start inherit the name.
    pthread_setname_np(pthread_self(), roles[index]->role_name);
    bool ready = false;
    Status status = runRole(*roles[index], *transports[index], hub.control(), options[index], [&] {
      ready = true;
      std::lock_guard<std::mutex> lock(mutex);
      ++numReady;
      changed.notify_all();
    });
    bool first = false;
    {
      std::lock_guard<std::mutex> lock(mutex);
      ++numEnded;
      hasEnded[index] = true;
      numReady -= ready;
      if (!status.ok() && status.code() != Code::kAborted && failure.ok()) {
        failure = status;
        first = true;
      }
      changed.notify_all();
    }
    if (first) {
      hub.control().abort();
      onFailure(status);
    }
  }

  std::vector<const rt_role_desc *> roles;
  InprocHub &hub;
  std::vector<RoleOptions> options;
  OnFailure onFailure;
  std::vector<std::unique_ptr<Transport>> transports;
  std::vector<std::thread> threads;
  std::mutex mutex; ///< guards what follows
  std::condition_variable changed;
  std::vector<bool> hasEnded; ///< per role
  size_t numReady = 0, numEnded = 0;
  int64_t giveUpNs = kNever;
  Status failure;
};
} // namespace

std::unique_ptr<Crew> makeThreadCrew(const std::vector<const rt_role_desc *> &roles, InprocHub &hub,
                                     std::vector<RoleOptions> options, Crew::OnFailure onFailure) {
  return std::make_unique<ThreadCrew>(roles, hub, std::move(options), std::move(onFailure));
}

} // namespace rt
} // namespace penstock
