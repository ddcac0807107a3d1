//===- Core.cpp - Canonicalisation of a partition problem ------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Decides which kernels are cloned, contracts colocated kernels (and what lies between them), orders the units
// topologically and attaches messages and shared items. Constraints on stages are in Constraints.cpp.
//===----------------------------------------------------------------------===//
#include "Core.h"
#include "Constraints.h"

#include <algorithm>
#include <numeric>
#include <queue>

using namespace penstock::partition;

namespace {

void sortUnique(std::vector<int> &v) {
  std::sort(v.begin(), v.end());
  v.erase(std::unique(v.begin(), v.end()), v.end());
}

std::vector<int> united(const std::vector<int> &a, const std::vector<int> &b) {
  std::vector<int> result;
  std::set_union(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(result));
  return result;
}

/// Kernels that are read, and by whom, with clones looked through.
class CoreBuilder {
public:
  CoreBuilder(const Problem &problem, Core &core) : problem(problem), core(core) {}

  std::vector<std::string> run() {
    core = Core();
    core.problem = &problem;
    core.numStages = problem.numStages();
    core.numClasses = static_cast<int>(problem.deviceClasses.size());
    chooseClones();
    contract();
    if (numUnits < core.numStages && std::count(core.isClone.begin(), core.isClone.end(), 1)) {
      std::fill(core.isClone.begin(), core.isClone.end(), 0);
      contract();
    }
    if (numUnits < core.numStages)
      return {tooFewUnits()};
    makeUnits();
    makeMessages();
    makeSharedItems();
    return constrain(core, unitOfKernel);
  }

private:
  const Problem &problem;
  Core &core;
  int numUnits = 0;
  std::vector<int> unitOfKernel;                ///< -1 for a clone
  std::vector<std::vector<int>> readersOfValue; ///< placed kernels, looking through clones
  std::vector<std::vector<int>> usersOfClone;   ///< placed kernels

  std::string tooFewUnits() const {
    return "cannot make " + std::to_string(core.numStages) + " stages: the " + std::to_string(problem.kernels.size()) +
           " kernels form only " + std::to_string(numUnits) +
           " units that can be separated (kernels that share a state, and what lies between them, stay together)";
  }

  void chooseClones() {
    size_t numKernels = problem.kernels.size();
    std::vector<char> isRead(numKernels, 0), isHeld(numKernels, 0);
    for (const Value &value : problem.values)
      if (value.producer != kSource) {
        isRead[value.producer] |= !value.consumers.empty();
        isHeld[value.producer] |= value.isOutput;
      }
    for (const Pin &pin : problem.pins)
      isHeld[pin.kernel] = 1;
    for (const Cut &cut : problem.cuts)
      for (const auto *side : {&cut.before, &cut.after})
        for (int kernel : *side)
          isHeld[kernel] = 1;
    for (const Colocation &group : problem.colocations)
      for (int kernel : group.kernels)
        isHeld[kernel] = 1;
    core.isClone.assign(numKernels, 0);
    for (size_t k = 0; k < numKernels; ++k)
      core.isClone[k] = problem.kernels[k].cloneable && isRead[k] && !isHeld[k];
  }

  /// Readers of each value, looking through clones, by relaxation in reverse topological order of the clones.
  void findReaders() {
    size_t numKernels = problem.kernels.size();
    std::vector<std::vector<int>> made(numKernels);
    std::vector<std::vector<int>> cloneReads(numKernels); // clones whose results a clone reads
    std::vector<int> numPending(numKernels, 0);
    for (size_t v = 0; v < problem.values.size(); ++v) {
      const Value &value = problem.values[v];
      if (value.producer == kSource || !core.isClone[value.producer])
        continue;
      made[value.producer].push_back(static_cast<int>(v));
      std::vector<int> consumers = value.consumers;
      sortUnique(consumers);
      for (int consumer : consumers)
        if (core.isClone[consumer]) {
          ++numPending[value.producer];
          cloneReads[consumer].push_back(value.producer);
        }
    }
    usersOfClone.assign(numKernels, {});
    readersOfValue.assign(problem.values.size(), {});
    std::vector<int> ready;
    for (size_t k = 0; k < numKernels; ++k)
      if (core.isClone[k] && !numPending[k])
        ready.push_back(static_cast<int>(k));
    while (!ready.empty()) {
      int clone = ready.back();
      ready.pop_back();
      for (int v : made[clone])
        usersOfClone[clone] = united(usersOfClone[clone], readersOf(problem.values[v]));
      for (int producer : cloneReads[clone])
        if (--numPending[producer] == 0)
          ready.push_back(producer);
    }
    for (size_t v = 0; v < problem.values.size(); ++v)
      readersOfValue[v] = readersOf(problem.values[v]);
  }

  std::vector<int> readersOf(const Value &value) const {
    std::vector<int> result;
    for (int consumer : value.consumers)
      if (!core.isClone[consumer])
        result.push_back(consumer);
    sortUnique(result);
    for (int consumer : value.consumers)
      if (core.isClone[consumer])
        result = united(result, usersOfClone[consumer]);
    return result;
  }

  /// Gives each placed kernel its unit; units are numbered topologically, by their first kernel where there is a
  /// choice.
  void contract() {
    findReaders();
    int numKernels = static_cast<int>(problem.kernels.size());
    std::vector<std::vector<int>> succs(numKernels);
    for (size_t v = 0; v < problem.values.size(); ++v) {
      int producer = problem.values[v].producer;
      if (producer != kSource && !core.isClone[producer])
        for (int reader : readersOfValue[v])
          succs[producer].push_back(reader);
    }
    for (const Colocation &group : problem.colocations)
      for (size_t i = 0; i < group.kernels.size(); ++i)
        succs[group.kernels[i]].push_back(group.kernels[(i + 1) % group.kernels.size()]);
    std::vector<int> component = findComponents(succs);
    orderComponents(succs, component);
  }

  /// Strongly connected components (Tarjan, without recursion).
  std::vector<int> findComponents(const std::vector<std::vector<int>> &succs) const {
    int n = static_cast<int>(succs.size());
    std::vector<int> index(n, -1), low(n, 0), component(n, -1), stack, next(n, 0), path;
    std::vector<char> onStack(n, 0);
    int counter = 0, numComponents = 0;
    for (int root = 0; root < n; ++root) {
      if (index[root] >= 0)
        continue;
      path.push_back(root);
      while (!path.empty()) {
        int node = path.back();
        if (index[node] < 0) {
          index[node] = low[node] = counter++;
          stack.push_back(node);
          onStack[node] = 1;
        }
        if (next[node] < static_cast<int>(succs[node].size())) {
          int succ = succs[node][next[node]++];
          if (index[succ] < 0)
            path.push_back(succ);
          else if (onStack[succ])
            low[node] = std::min(low[node], index[succ]);
          continue;
        }
        path.pop_back();
        if (!path.empty())
          low[path.back()] = std::min(low[path.back()], low[node]);
        if (low[node] != index[node])
          continue;
        for (int member = -1; member != node;) {
          member = stack.back();
          stack.pop_back();
          onStack[member] = 0;
          component[member] = numComponents;
        }
        ++numComponents;
      }
    }
    return component;
  }

  void orderComponents(const std::vector<std::vector<int>> &succs, const std::vector<int> &component) {
    int numKernels = static_cast<int>(succs.size());
    int numComponents = 1 + *std::max_element(component.begin(), component.end());
    std::vector<int> firstKernel(numComponents, numKernels), numPreds(numComponents, 0), unitOf(numComponents, -1);
    std::vector<std::vector<int>> componentSuccs(numComponents);
    for (int k = numKernels - 1; k >= 0; --k)
      if (!core.isClone[k])
        firstKernel[component[k]] = k;
    for (int k = 0; k < numKernels; ++k)
      for (int succ : succs[k])
        if (component[succ] != component[k])
          componentSuccs[component[k]].push_back(component[succ]);
    for (auto &list : componentSuccs) {
      sortUnique(list);
      for (int succ : list)
        ++numPreds[succ];
    }
    using Entry = std::pair<int, int>;
    std::priority_queue<Entry, std::vector<Entry>, std::greater<Entry>> ready;
    for (int c = 0; c < numComponents; ++c)
      if (firstKernel[c] < numKernels && !numPreds[c])
        ready.push({firstKernel[c], c});
    numUnits = 0;
    while (!ready.empty()) {
      int c = ready.top().second;
      ready.pop();
      unitOf[c] = numUnits++;
      for (int succ : componentSuccs[c])
        if (--numPreds[succ] == 0)
          ready.push({firstKernel[succ], succ});
    }
    unitOfKernel.assign(numKernels, -1);
    for (int k = 0; k < numKernels; ++k)
      if (!core.isClone[k])
        unitOfKernel[k] = unitOf[component[k]];
  }

  std::vector<double> loadOf(const Kernel &kernel) const {
    if (problem.balance == Balance::Uniform)
      return std::vector<double>(core.numClasses, 1.0);
    return kernel.seconds;
  }

  void makeUnits() {
    core.units.assign(numUnits, Unit());
    for (Unit &unit : core.units) {
      unit.load.assign(core.numClasses, 0.0);
      unit.latest = core.numStages - 1;
    }
    for (size_t k = 0; k < problem.kernels.size(); ++k) {
      if (core.isClone[k])
        continue;
      const Kernel &kernel = problem.kernels[k];
      Unit &unit = core.units[unitOfKernel[k]];
      unit.kernels.push_back(static_cast<int>(k));
      std::vector<double> load = loadOf(kernel);
      for (int c = 0; c < core.numClasses; ++c)
        unit.load[c] += load[c];
      unit.residentBytes += kernel.residentBytes;
      unit.workspaceBytes = std::max(unit.workspaceBytes, kernel.workspaceBytes);
    }
  }

  std::vector<int> unitsOf(const std::vector<int> &kernels) const {
    std::vector<int> result;
    result.reserve(kernels.size());
    for (int k : kernels)
      result.push_back(unitOfKernel[k]);
    sortUnique(result);
    return result;
  }

  void makeMessages() {
    for (size_t v = 0; v < problem.values.size(); ++v) {
      const Value &value = problem.values[v];
      if (value.producer != kSource && core.isClone[value.producer])
        continue;
      Message message;
      message.value = static_cast<int>(v);
      message.producer = value.producer == kSource ? kSource : unitOfKernel[value.producer];
      message.users = unitsOf(readersOfValue[v]);
      message.numBytes = value.numBytes;
      message.isOutput = value.isOutput && value.producer != kSource;
      auto self = std::find(message.users.begin(), message.users.end(), message.producer);
      if (self != message.users.end())
        message.users.erase(self);
      if (!message.users.empty() || message.isOutput)
        core.messages.push_back(std::move(message));
    }
    linkMessages(core);
  }

  void makeSharedItems() {
    std::vector<std::vector<int>> readers(problem.weights.size());
    for (size_t k = 0; k < problem.kernels.size(); ++k) {
      std::vector<int> users = core.isClone[k] ? usersOfClone[k] : std::vector<int>{static_cast<int>(k)};
      for (int weight : problem.kernels[k].weights)
        readers[weight].insert(readers[weight].end(), users.begin(), users.end());
    }
    for (size_t k = 0; k < problem.kernels.size(); ++k) {
      if (!core.isClone[k])
        continue;
      SharedItem item;
      item.kernel = static_cast<int>(k);
      item.users = unitsOf(usersOfClone[k]);
      item.load = loadOf(problem.kernels[k]);
      item.residentBytes = problem.kernels[k].residentBytes;
      item.workspaceBytes = problem.kernels[k].workspaceBytes;
      core.shared.push_back(std::move(item));
    }
    for (size_t w = 0; w < problem.weights.size(); ++w) {
      SharedItem item;
      item.users = unitsOf(readers[w]);
      item.weightBytes = problem.weights[w].numBytes;
      if (item.users.size() == 1)
        core.units[item.users[0]].weightBytes += item.weightBytes;
      else if (item.users.size() > 1 && item.weightBytes)
        core.shared.push_back(std::move(item));
    }
    linkShared(core);
  }

public:
  /// Fills the units' reads, makes and sink terms, and adds the edges that the messages imply.
  static void linkMessages(Core &core) {
    for (size_t m = 0; m < core.messages.size(); ++m) {
      const Message &message = core.messages[m];
      if (message.producer != kSource) {
        Unit &producer = core.units[message.producer];
        producer.makes.push_back(static_cast<int>(m));
        if (message.isOutput) {
          producer.sinkBytes += message.numBytes;
          ++producer.sinkCount;
        }
      }
      for (int user : message.users) {
        core.units[user].reads.push_back(static_cast<int>(m));
        if (message.producer != kSource) {
          core.units[user].preds.push_back(message.producer);
          core.units[message.producer].succs.push_back(user);
        }
      }
    }
    for (Unit &unit : core.units) {
      sortUnique(unit.preds);
      sortUnique(unit.succs);
    }
  }

  static void linkShared(Core &core) {
    for (size_t s = 0; s < core.shared.size(); ++s)
      for (int user : core.shared[s].users)
        core.units[user].shared.push_back(static_cast<int>(s));
  }
};

/// Adds to `result` what `core` has, seen through `newUnit` (-1: the unit is gone). Units and their edges must be
/// there.
void carryOver(const Core &core, const std::vector<int> &newUnit, Core &result) {
  auto mapUsers = [&](const std::vector<int> &users) {
    std::vector<int> mapped;
    for (int user : users)
      if (newUnit[user] >= 0)
        mapped.push_back(newUnit[user]);
    sortUnique(mapped);
    return mapped;
  };
  for (const Message &message : core.messages) {
    if (message.producer != kSource && newUnit[message.producer] < 0)
      continue;
    Message mapped = message;
    mapped.users = mapUsers(message.users);
    if (message.producer != kSource) {
      mapped.producer = newUnit[message.producer];
      auto self = std::find(mapped.users.begin(), mapped.users.end(), mapped.producer);
      if (self != mapped.users.end())
        mapped.users.erase(self);
    }
    if (!mapped.users.empty() || mapped.isOutput)
      result.messages.push_back(std::move(mapped));
  }
  for (const SharedItem &item : core.shared) {
    SharedItem mapped = item;
    mapped.users = mapUsers(item.users);
    if (!mapped.users.empty())
      result.shared.push_back(std::move(mapped));
  }
  for (const FreeCut &cut : core.freeCuts) {
    FreeCut mapped{Bits(result.numUnits()), Bits(result.numUnits())};
    for (int u = 0; u < core.numUnits(); ++u)
      if (newUnit[u] >= 0) {
        if (cut.before.test(u))
          mapped.before.set(newUnit[u]);
        if (cut.after.test(u))
          mapped.after.set(newUnit[u]);
      }
    // Without units on one side nothing is left to separate.
    if (mapped.before.any() && mapped.after.any())
      result.freeCuts.push_back(std::move(mapped));
  }
  CoreBuilder::linkMessages(result);
  CoreBuilder::linkShared(result);
  result.indexWindows();
}

Core emptyCopy(const Core &core, int numUnits) {
  Core result;
  result.problem = core.problem;
  result.numStages = core.numStages;
  result.numClasses = core.numClasses;
  result.isClone = core.isClone;
  result.allowsEmpty = core.allowsEmpty;
  result.memoryHandicap = core.memoryHandicap;
  result.memoryReserve = core.memoryReserve;
  result.units.assign(numUnits, Unit());
  return result;
}

} // namespace

void Core::indexWindows() {
  mustPrecede.clear();
  bool hasWindow = false;
  for (const Unit &unit : units)
    hasWindow |= unit.earliest > 0 || unit.latest < numStages - 1;
  if (!hasWindow)
    return;
  mustPrecede.assign(numStages, Bits(numUnits()));
  for (int u = 0; u < numUnits(); ++u)
    for (int s = units[u].latest + 1; s < numStages; ++s)
      mustPrecede[s].set(u);
}

std::vector<std::string> penstock::partition::buildCore(const Problem &problem, Core &core) {
  return CoreBuilder(problem, core).run();
}

Core penstock::partition::mergeUnits(const Core &core, const std::vector<int> &groupOf, int numGroups,
                                     std::vector<int> &unitOf) {
  // Number the groups topologically.
  std::vector<std::vector<int>> succs(numGroups);
  std::vector<int> numPreds(numGroups, 0);
  for (int u = 0; u < core.numUnits(); ++u)
    for (int succ : core.units[u].succs)
      if (groupOf[u] != groupOf[succ])
        succs[groupOf[u]].push_back(groupOf[succ]);
  for (auto &list : succs) {
    sortUnique(list);
    for (int succ : list)
      ++numPreds[succ];
  }
  std::priority_queue<int, std::vector<int>, std::greater<int>> ready;
  std::vector<int> newGroup(numGroups, -1);
  for (int g = 0; g < numGroups; ++g)
    if (!numPreds[g])
      ready.push(g);
  int numOrdered = 0;
  while (!ready.empty()) {
    int g = ready.top();
    ready.pop();
    newGroup[g] = numOrdered++;
    for (int succ : succs[g])
      if (--numPreds[succ] == 0)
        ready.push(succ);
  }
  Core result = emptyCopy(core, numGroups);
  for (Unit &unit : result.units) {
    unit.load.assign(core.numClasses, 0.0);
    unit.latest = core.numStages - 1;
  }
  unitOf.assign(core.numUnits(), -1);
  for (int u = 0; u < core.numUnits(); ++u) {
    unitOf[u] = newGroup[groupOf[u]];
    const Unit &from = core.units[u];
    Unit &into = result.units[unitOf[u]];
    into.kernels.insert(into.kernels.end(), from.kernels.begin(), from.kernels.end());
    for (int c = 0; c < core.numClasses; ++c)
      into.load[c] += from.load[c];
    into.weightBytes += from.weightBytes;
    into.residentBytes += from.residentBytes;
    into.workspaceBytes = std::max(into.workspaceBytes, from.workspaceBytes);
    into.earliest = std::max(into.earliest, from.earliest);
    into.latest = std::min(into.latest, from.latest);
  }
  for (int u = 0; u < core.numUnits(); ++u)
    for (int succ : core.units[u].succs)
      if (unitOf[u] != unitOf[succ]) {
        result.units[unitOf[u]].succs.push_back(unitOf[succ]);
        result.units[unitOf[succ]].preds.push_back(unitOf[u]);
      }
  carryOver(core, unitOf, result);
  return result;
}

Core penstock::partition::dropUnits(const Core &core, const std::vector<char> &isKept) {
  std::vector<int> newUnit(core.numUnits(), -1);
  int numKept = 0;
  for (int u = 0; u < core.numUnits(); ++u)
    if (isKept[u])
      newUnit[u] = numKept++;
  Core result = emptyCopy(core, numKept);
  result.allowsEmpty = true;
  // The nearest kept ancestors, through dropped units; units are in topological order.
  std::vector<std::vector<int>> ancestors(core.numUnits());
  for (int u = 0; u < core.numUnits(); ++u) {
    std::vector<int> preds;
    for (int pred : core.units[u].preds) {
      if (isKept[pred])
        preds.push_back(newUnit[pred]);
      else
        preds.insert(preds.end(), ancestors[pred].begin(), ancestors[pred].end());
    }
    sortUnique(preds);
    if (!isKept[u]) {
      ancestors[u] = std::move(preds);
      continue;
    }
    const Unit &from = core.units[u];
    Unit &into = result.units[newUnit[u]];
    into.kernels = from.kernels;
    into.load = from.load;
    into.weightBytes = from.weightBytes;
    into.residentBytes = from.residentBytes;
    into.workspaceBytes = from.workspaceBytes;
    into.earliest = from.earliest;
    into.latest = from.latest;
    into.preds = std::move(preds);
    for (int pred : into.preds)
      result.units[pred].succs.push_back(newUnit[u]);
  }
  carryOver(core, newUnit, result);
  return result;
}

Plan penstock::partition::makePlan(const Core &core, const std::vector<int> &stageOfUnit) {
  Plan plan;
  plan.stageOf.assign(core.problem->kernels.size(), 0);
  for (int u = 0; u < core.numUnits(); ++u)
    for (int kernel : core.units[u].kernels)
      plan.stageOf[kernel] = stageOfUnit[u];
  for (const SharedItem &item : core.shared) {
    if (item.kernel < 0)
      continue;
    std::vector<int> stages;
    for (int user : item.users)
      stages.push_back(stageOfUnit[user]);
    sortUnique(stages);
    plan.stageOf[item.kernel] = stages.front();
    for (size_t i = 1; i < stages.size(); ++i)
      plan.clones.push_back({item.kernel, stages[i]});
  }
  evaluate(*core.problem, plan);
  return plan;
}
