//===- CudaPlans.h - What libraries have chosen for the problems so far -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A plan for each problem that has come: a library's heuristic is asked once for each, and nothing is allocated when
// one comes again.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_DEVICES_CUDAPLANS_H
#define PENSTOCK_RT_DEVICES_CUDAPLANS_H

#include "Stage.h"
#include "penstock/rt/CudaKernel.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <vector>

namespace penstock {
namespace rt {

/// Where a library's scratch memory begins in the workspace of a kernel.
inline void *scratchIn(void *workspace) {
  constexpr uintptr_t kMask = RT_CUDA_LIBRARY_ALIGNMENT - 1;
  return reinterpret_cast<void *>((reinterpret_cast<uintptr_t>(workspace) + kMask) & ~kMask);
}

/// A plan for a call that is ready to begin.
struct CudaPlan {
  void *plan = nullptr; ///< null: there is nothing to do
  uint64_t number = 0;  ///< of the plan, never that of another one
  bool isFirst = false; ///< of its plan: the library may still have to load code
};

/// Opens a library, once, for the calls of an executable, if there are any. `open`: of the device's table. kMismatch: a
/// call comes from another version of the compiler. kSystem: there is no library, or a wrong one.
template <typename Call>
Status openLibrary(const DeviceStage &stage, const char *library, Span<const Call *const> calls, int version,
                   int32_t (*Device::*open)(void *, char *, int64_t), bool &isOpen) {
  for (const Call *call : calls)
    if (call->version != version)
      return fail(Code::kMismatch,
                  "%s: kernel '%s' calls %s with version %lld, expected %d; compile the model again with this version",
                  stage.who().c_str(), call->name, library, (long long)call->version, version);
  if (calls.count == 0 || isOpen)
    return Status();
  char error[512] = "";
  const Device &device = stage.device();
  if ((device.*open)(device.self, error, sizeof(error)) != 0)
    return fail(Code::kSystem, "%s: kernel '%s' needs %s on %s: %s", stage.who().c_str(), calls[0]->name, library,
                deviceWords(device).c_str(), error);
  isOpen = true;
  return Status();
}

template <typename Problem, typename Less> class CudaPlans {
public:
  /// The one unused for longest goes first: a call can begin until as many others have been prepared.
  static constexpr size_t kMaxPlans = 1024;

  /// `drop`: gives a plan back to its library.
  explicit CudaPlans(std::function<void(void *plan)> drop) : drop(std::move(drop)) {}
  ~CudaPlans() {
    for (auto &[problem, kept] : plans)
      drop(kept.plan);
  }
  CudaPlans(const CudaPlans &) = delete;
  CudaPlans &operator=(const CudaPlans &) = delete;

  size_t size() const { return plans.size(); }
  std::vector<Problem> problems() const {
    std::vector<Problem> list;
    for (const auto &[problem, kept] : plans)
      list.push_back(problem);
    return list;
  }
  /// `make`: asks the library, int32_t(void **plan); a code that is not 0 is returned, and no plan is kept.
  template <typename Make> int32_t find(const Problem &problem, const Make &make, CudaPlan &found) {
    auto known = plans.find(problem);
    if (known == plans.end()) {
      Kept made;
      if (int32_t code = make(&made.plan))
        return code;
      if (plans.size() >= kMaxPlans)
        forgetOldest();
      made.number = ++numMade;
      known = plans.emplace(problem, made).first;
      found.isFirst = true;
    }
    known->second.lastUse = ++numUses;
    found.plan = known->second.plan, found.number = known->second.number;
    return 0;
  }

private:
  struct Kept {
    void *plan = nullptr;
    uint64_t number = 0, lastUse = 0;
  };
  void forgetOldest() {
    auto oldest = std::min_element(plans.begin(), plans.end(),
                                   [](const auto &a, const auto &b) { return a.second.lastUse < b.second.lastUse; });
    drop(oldest->second.plan);
    plans.erase(oldest);
  }

  std::function<void(void *plan)> drop;
  std::map<Problem, Kept, Less> plans;
  uint64_t numUses = 0, numMade = 0;
};

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_DEVICES_CUDAPLANS_H
