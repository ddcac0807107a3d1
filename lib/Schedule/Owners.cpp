//===- Owners.cpp - Every kernel has one owner -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "penstock/Schedule/Algorithms.h"

#include <map>

using namespace penstock::schedule;

namespace {
/// Who runs which kernel of the model, and what is wrong with that.
class OwnerCheck {
public:
  explicit OwnerCheck(const Problem &problem) : problem(problem) {}

  std::vector<std::string> run() {
    for (const std::string &name : problem.kernels)
      if (!owners.try_emplace(name).second)
        faults.push_back("the model lists kernel '" + name + "' twice");
    for (size_t stage = 0; stage < problem.stages.size(); ++stage)
      visitStage(static_cast<int32_t>(stage));
    for (const std::string &name : problem.kernels)
      checkOwnersOf(name);
    return std::move(faults);
  }

private:
  /// A run of a kernel that is no clone.
  struct Owner {
    int32_t stage;
    const Kernel *kernel;
  };

  static std::string kernelName(const Kernel &kernel) {
    return "kernel '" + kernel.name + "'" + (kernel.tensor.empty() ? "" : " ('" + kernel.tensor + "')");
  }

  void visitStage(int32_t stage) {
    const std::vector<Kernel> &kernels = problem.stages[stage].kernels;
    if (kernels.empty())
      faults.push_back(stageName(problem, stage) + " is empty; expected at least one kernel");
    for (const Kernel &kernel : kernels) {
      const std::string &original = kernel.cloneOf.empty() ? kernel.name : kernel.cloneOf;
      auto found = owners.find(original);
      if (found == owners.end())
        faults.push_back(stageName(problem, stage) + " runs " + kernelName(kernel) +
                         (kernel.cloneOf.empty() ? "" : ", a clone of '" + original + "'") +
                         ", which is none of the model's " + std::to_string(problem.kernels.size()));
      else if (kernel.cloneOf.empty())
        found->second.push_back({stage, &kernel});
    }
  }

  void checkOwnersOf(const std::string &name) {
    const std::vector<Owner> &all = owners[name];
    if (all.size() == 1)
      return;
    if (all.empty()) {
      faults.push_back("no stage owns kernel '" + name + "'; expected exactly one");
      return;
    }
    std::string text = kernelName(*all.front().kernel) + " is run by ";
    for (size_t i = 0; i < all.size(); ++i)
      text += (i == 0 ? "" : " and by ") + stageName(problem, all[i].stage);
    faults.push_back(text + "; expected one owner, and a mark on each clone" + carriersOf(*all.front().kernel));
  }

  /// Where the kernel's tensor goes, since that is what makes a second run of it a mistake.
  std::string carriersOf(const Kernel &kernel) const {
    std::string text;
    for (size_t c = 0; c < problem.channels.size(); ++c) {
      const Channel &channel = problem.channels[c];
      if (kernel.tensor.empty() || channel.tensor != kernel.tensor)
        continue;
      text += "; " + channelName(problem, static_cast<int32_t>(c)) + " carries it from " +
              stageName(problem, channel.producer);
      for (size_t i = 0; i < channel.consumers.size(); ++i)
        text += (i == 0 ? " to " : " and ") + stageName(problem, channel.consumers[i]);
    }
    return text;
  }

  const Problem &problem;
  std::map<std::string, std::vector<Owner>> owners; // by kernel of the model
  std::vector<std::string> faults;
};
} // namespace

std::vector<std::string> penstock::schedule::checkOwners(const Problem &problem) {
  return problem.kernels.empty() ? std::vector<std::string>() : OwnerCheck(problem).run();
}
