//===- PlanReport.cpp - What each number of stages would cost -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "PlanReport.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/Format.h"

using namespace penstock;
using nlohmann::ordered_json;

namespace penstock::tool {

double getRoleSeconds(const partition::Problem &problem, const partition::StageCost &stage) {
  return problem.isOverlapped ? std::max({stage.computeSeconds, stage.sendSeconds, stage.recvSeconds})
                              : stage.computeSeconds + stage.sendSeconds + stage.recvSeconds;
}

double PlanEntry::getBottleneckSeconds() const {
  double result = 0;
  for (const partition::StageCost &stage : plan->stages)
    result = std::max(result, getRoleSeconds(problem, stage));
  for (double seconds : plan->linkSeconds)
    result = std::max(result, seconds);
  return result;
}

std::optional<double> PlanEntry::getLowerBoundSeconds() const {
  if (problem.balance != partition::Balance::Time)
    return std::nullopt;
  return plan->lowerBound;
}

double PlanEntry::getBubble() const {
  double busy = 0, bottleneck = getBottleneckSeconds();
  for (const partition::StageCost &stage : plan->stages)
    busy += getRoleSeconds(problem, stage);
  return bottleneck > 0 ? std::max(0.0, 1 - busy / (bottleneck * plan->stages.size())) : 0;
}

int64_t PlanEntry::getLargestMemoryBytes() const {
  int64_t result = 0;
  for (const partition::StageCost &stage : plan->stages)
    result = std::max(result, stage.memoryBytes);
  return result;
}

const PlanEntry *PlanReport::getBest() const {
  const PlanEntry *best = nullptr;
  for (const PlanEntry &entry : entries)
    if (entry.plan && (!best || entry.getBottleneckSeconds() < best->getBottleneckSeconds() * (1 - 1e-9)))
      best = &entry;
  return best;
}

//===----------------------------------------------------------------------===//
// Text
//===----------------------------------------------------------------------===//

template <typename... Ts> static std::string print(const char *format, Ts... values) {
  std::string text;
  llvm::raw_string_ostream(text) << llvm::format(format, values...);
  return text;
}

std::string formatMs(double seconds) { return print("%.4g", seconds * 1e3); }

std::string formatBytes(int64_t numBytes) {
  static const char *const kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  double value = static_cast<double>(numBytes);
  size_t unit = 0;
  for (; value >= 1024 && unit + 1 < std::size(kUnits); ++unit)
    value /= 1024;
  return unit == 0 ? print("%.0f B", value) : print("%.1f %s", value, kUnits[unit]);
}

std::string formatCertificate(const partition::Plan &plan) {
  if (plan.isProvedOptimal)
    return "optimal, proved";
  return "not proved (" + std::string(partition::toString(plan.method)) + ")";
}

/// Columns as wide as their longest cell; the last one is left-aligned.
static void printColumns(llvm::ArrayRef<std::vector<std::string>> rows, llvm::StringRef indent, llvm::raw_ostream &os) {
  std::vector<size_t> widths;
  for (const std::vector<std::string> &row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (auto [width, cell] : llvm::zip(widths, row))
      width = std::max(width, cell.size());
  }
  for (const std::vector<std::string> &row : rows) {
    os << indent;
    for (auto [i, cell] : llvm::enumerate(row)) {
      if (i + 1 == row.size() && row.size() > 1)
        os << "  " << cell;
      else
        os << (i ? "  " : "") << llvm::right_justify(cell, widths[i]);
    }
    os << "\n";
  }
}

static std::vector<std::string> makeRow(const PlanReport &report, const PlanEntry &entry) {
  std::string stages = std::to_string(entry.numStages);
  if (!entry.plan)
    return {stages, "-", "no plan: " + entry.error};
  const partition::Plan &plan = *entry.plan;
  double bottleneck = entry.getBottleneckSeconds();
  std::optional<double> bound = entry.getLowerBoundSeconds();
  return {stages,
          formatMs(bottleneck),
          bound ? formatMs(*bound) : "-",
          print("%.2f%%", plan.gap * 100),
          bottleneck > 0 ? print("%.2fx", report.oneStageSeconds / bottleneck) : "-",
          print("%.1f%%", entry.getBubble() * 100),
          formatBytes(entry.getLargestMemoryBytes()),
          formatBytes(plan.trafficBytes),
          formatCertificate(plan)};
}

static std::string describeKernels(const partition::Problem &problem, const partition::StageCost &stage) {
  if (stage.kernels.empty())
    return "";
  const std::string &first = problem.kernels[stage.kernels.front()].name;
  const std::string &last = problem.kernels[stage.kernels.back()].name;
  return "'" + first + (stage.kernels.size() > 1 ? "' .. '" + last + "'" : "'");
}

static void printStages(const PlanEntry &entry, llvm::raw_ostream &os) {
  std::vector<std::vector<std::string>> rows = {
      {"stage", "compute ms", "send ms", "receive ms", "memory", "weights", "kernels", "clones", "from .. to"}};
  for (auto [i, stage] : llvm::enumerate(entry.plan->stages))
    rows.push_back({std::to_string(i), formatMs(stage.computeSeconds), formatMs(stage.sendSeconds),
                    formatMs(stage.recvSeconds), formatBytes(stage.memoryBytes), formatBytes(stage.weightBytes),
                    std::to_string(stage.kernels.size()), std::to_string(stage.clones.size()),
                    describeKernels(entry.problem, stage)});
  os << "\n" << entry.numStages << (entry.numStages == 1 ? " stage\n" : " stages\n");
  printColumns(rows, "  ", os);
}

void printTable(const PlanReport &report, bool verbose, llvm::raw_ostream &os) {
  os << report.model << ": " << report.numKernels << " kernels; " << report.tier << " costs of "
     << llvm::join(report.profiles, ", ") << "; balanced: " << report.balance << "\n";
  std::vector<std::vector<std::string>> rows = {{"stages", "bottleneck ms", "lower bound ms", "gap", "speedup",
                                                 "bubble", "largest memory", "traffic", "certificate"}};
  std::vector<std::vector<std::string>> failed;
  for (const PlanEntry &entry : report.entries)
    (entry.plan ? rows : failed).push_back(makeRow(report, entry));
  printColumns(rows, "", os);
  for (const std::vector<std::string> &row : failed)
    os << llvm::right_justify(row[0], 6) << "  " << row.back() << "\n";
  for (const PlanEntry &entry : report.entries)
    if (verbose && entry.plan)
      printStages(entry, os);
}

//===----------------------------------------------------------------------===//
// JSON
//===----------------------------------------------------------------------===//

static ordered_json stageToJson(const PlanEntry &entry, const partition::StageCost &stage) {
  ordered_json kernels = ordered_json::array(), clones = ordered_json::array();
  for (int kernel : stage.kernels)
    kernels.push_back(entry.problem.kernels[kernel].name);
  for (int kernel : stage.clones)
    clones.push_back(entry.problem.kernels[kernel].name);
  return {{"predicted_ms", getRoleSeconds(entry.problem, stage) * 1e3},
          {"compute_ms", stage.computeSeconds * 1e3},
          {"send_ms", stage.sendSeconds * 1e3},
          {"receive_ms", stage.recvSeconds * 1e3},
          {"send_bytes", stage.sendBytes},
          {"receive_bytes", stage.recvBytes},
          {"memory_bytes", stage.memoryBytes},
          {"runtime_bytes",
           stage.memoryBytes - stage.weightBytes - stage.residentBytes - stage.workspaceBytes - stage.slotBytes},
          {"weight_bytes", stage.weightBytes},
          {"workspace_bytes", stage.workspaceBytes},
          {"slot_bytes", stage.slotBytes},
          {"kernels", kernels},
          {"clones", clones}};
}

static ordered_json channelToJson(const PlanEntry &entry, const partition::ChannelUse &channel) {
  const partition::Value &value = entry.problem.values[channel.value];
  ordered_json to = ordered_json::array();
  for (int stage : channel.to)
    to.push_back(stage);
  if (channel.toSink)
    to.push_back("sink");
  return {{"tensor", value.name},
          {"bytes", value.numBytes},
          {"from", channel.from == partition::kSource ? ordered_json("source") : ordered_json(channel.from)},
          {"to", to}};
}

static ordered_json entryToJson(const PlanReport &report, const PlanEntry &entry) {
  ordered_json result = {{"num_stages", entry.numStages}};
  if (!entry.plan) {
    result["error"] = entry.error;
    return result;
  }
  const partition::Plan &plan = *entry.plan;
  double bottleneck = entry.getBottleneckSeconds();
  std::optional<double> bound = entry.getLowerBoundSeconds();
  result["bottleneck_ms"] = bottleneck * 1e3;
  result["lower_bound_ms"] = bound ? ordered_json(*bound * 1e3) : ordered_json();
  result["gap"] = plan.gap;
  result["proved_optimal"] = plan.isProvedOptimal;
  result["method"] = partition::toString(plan.method);
  result["bottleneck_stage"] = plan.bottleneckStage;
  result["speedup"] = bottleneck > 0 ? ordered_json(report.oneStageSeconds / bottleneck) : ordered_json();
  result["bubble"] = entry.getBubble();
  result["largest_memory_bytes"] = entry.getLargestMemoryBytes();
  result["traffic_bytes"] = plan.trafficBytes;
  result["stages"] = ordered_json::array();
  for (const partition::StageCost &stage : plan.stages)
    result["stages"].push_back(stageToJson(entry, stage));
  result["channels"] = ordered_json::array();
  for (const partition::ChannelUse &channel : plan.channels)
    result["channels"].push_back(channelToJson(entry, channel));
  return result;
}

ordered_json toJson(const PlanReport &report) {
  ordered_json result = {{"schema", 1},
                         {"model", report.model},
                         {"balance", report.balance},
                         {"cost_tier", report.tier},
                         {"profiles", report.profiles},
                         {"kernels", report.numKernels},
                         {"notes", report.notes}};
  if (const PlanEntry *best = report.getBest())
    result.update(entryToJson(report, *best));
  result["plans"] = ordered_json::array();
  for (const PlanEntry &entry : report.entries)
    result["plans"].push_back(entryToJson(report, entry));
  return result;
}

} // namespace penstock::tool
