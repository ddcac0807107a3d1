//===- Summary.cpp - The stage table of a compilation -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "penstock/Driver/Compiler.h"

#include "penstock/Dialect/Pipe/IR/PipeOps.h"

#include "mlir/IR/BuiltinAttributes.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/JSON.h"

namespace penstock::driver {
using namespace mlir;

namespace {

struct StageRow {
  int64_t kernels = 0, weightBytes = 0, arenaBytes = 0, slotBytes = 0, runtimeBytes = 0, totalBytes = 0, sendBytes = 0;
  std::vector<std::string> unbounded; ///< in these dimensions
  double milliseconds = 0;
};

struct PlanRows {
  std::vector<StageRow> stages;
  double bottleneckMs = 0, lowerBoundMs = 0, gap = 0;
  double periodMs = 0; ///< as the proof over the programs predicts it; 0: no stage has a time
  bool optimal = false;
  std::string costs;                ///< where the predictions come from
  std::vector<std::string> devices; ///< what each stage runs on
};

int64_t integer(DictionaryAttr dictionary, StringRef name) {
  auto value = dictionary ? dictionary.getAs<IntegerAttr>(name) : IntegerAttr();
  return value ? value.getInt() : 0;
}

double number(DictionaryAttr dictionary, StringRef name) {
  auto value = dictionary ? dictionary.getAs<FloatAttr>(name) : FloatAttr();
  return value ? value.getValueAsDouble() : 0.0;
}

/// The plan as assign wrote it, with the bytes that place counted.
PlanRows readPlan(ModuleOp module) {
  PlanRows rows;
  auto plan = module->getAttrOfType<DictionaryAttr>("pipe.plan");
  if (!plan)
    return rows;
  rows.bottleneckMs = number(plan, "bottleneck") * 1e3;
  rows.lowerBoundMs = number(plan, "lower_bound") * 1e3;
  rows.gap = number(plan, "gap");
  auto proved = plan.getAs<BoolAttr>("proved_optimal");
  rows.optimal = proved && proved.getValue();
  if (auto costs = plan.getAs<StringAttr>("costs"))
    rows.costs = costs.str();
  if (auto devices = plan.getAs<ArrayAttr>("devices"))
    for (auto device : devices.getAsRange<StringAttr>())
      rows.devices.push_back(device.str());
  if (auto stages = plan.getAs<ArrayAttr>("stages"))
    for (auto stage : stages.getAsRange<DictionaryAttr>()) {
      StageRow &row = rows.stages.emplace_back();
      row.kernels = integer(stage, "kernels");
      row.weightBytes = integer(stage, "weight_bytes");
      row.sendBytes = integer(stage, "send_bytes");
      row.milliseconds = number(stage, "compute_seconds") * 1e3;
    }
  size_t index = 0;
  for (auto program : module.getOps<pipe::ProgramOp>()) {
    if (program.getPeriod())
      rows.periodMs = program.getPeriod()->convertToDouble() * 1e3;
    auto memory = program->getAttrOfType<DictionaryAttr>("pipe.memory");
    if (!memory || index >= rows.stages.size())
      break;
    StageRow &row = rows.stages[index++];
    row.arenaBytes = integer(memory, "arena");
    row.slotBytes = std::max<int64_t>(-1, integer(memory, "slots") + integer(memory, "slots_read"));
    row.runtimeBytes = integer(memory, "runtime") + std::max<int64_t>(0, integer(memory, "shapes"));
    row.totalBytes = integer(memory, "total");
    if (auto unbounded = memory.getAs<ArrayAttr>("unbounded"))
      for (auto name : unbounded.getAsRange<StringAttr>())
        row.unbounded.push_back(name.str());
  }
  return rows;
}

std::vector<std::string> getDistinct(const std::vector<std::string> &names) {
  std::vector<std::string> result;
  for (const std::string &name : names)
    if (!llvm::is_contained(result, name))
      result.push_back(name);
  return result;
}

/// "1.5 MiB"
std::string formatBytes(int64_t bytes) {
  static constexpr const char *units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = bytes;
  int unit = 0;
  while (value >= 1024 && unit < 4) {
    value /= 1024;
    ++unit;
  }
  std::string text;
  llvm::raw_string_ostream(text) << llvm::format(unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
  return text;
}

/// Of bytes that the shapes of a run decide.
std::string formatKnown(int64_t bytes) { return bytes < 0 ? "by shape" : formatBytes(bytes); }

struct KernelCounts {
  int64_t built = 0, reused = 0, damaged = 0;
};

/// Of distinct kernels.
KernelCounts countKernels(const Compilation &compilation) {
  KernelCounts counts;
  for (const auto &entry : compilation.kernels)
    ++(entry.getValue().isReused ? counts.reused : counts.built);
  if (compilation.cache)
    counts.damaged = compilation.cache->getNumDamaged();
  return counts;
}

void printKernels(const Compilation &compilation, llvm::raw_ostream &os) {
  KernelCounts counts = countKernels(compilation);
  os << "kernels: " << counts.built << " built, " << counts.reused << " reused";
  if (compilation.cache)
    os << " from " << compilation.cache->getFolder();
  if (counts.damaged)
    os << ", where " << counts.damaged << " were damaged";
  if (!compilation.withoutCache.empty())
    os << "; none are kept: " << compilation.withoutCache;
  os << "\n";
}

void printText(const Compilation &compilation, const PlanRows &rows, llvm::raw_ostream &os) {
  os << "wrote " << compilation.output << "\n";
  os << "stage  kernels  predicted ms     weights       arena       slots     runtime      memory        sends\n";
  for (auto [i, row] : llvm::enumerate(rows.stages))
    os << llvm::format("%5zu  %7lld  %12.3f  %10s  %10s  %10s  %10s  %10s  %11s\n", i,
                       static_cast<long long>(row.kernels), row.milliseconds, formatBytes(row.weightBytes).c_str(),
                       formatKnown(row.arenaBytes).c_str(), formatKnown(row.slotBytes).c_str(),
                       formatBytes(row.runtimeBytes).c_str(), formatKnown(row.totalBytes).c_str(),
                       formatBytes(row.sendBytes).c_str());
  for (auto [i, row] : llvm::enumerate(rows.stages))
    if (!row.unbounded.empty())
      os << "memory of stage " << i << " is unbounded in: " << llvm::join(row.unbounded, ", ") << "\n";
  os << llvm::format(
      "bottleneck %.3f ms, lower bound %.3f ms: %s\n", rows.bottleneckMs, rows.lowerBoundMs,
      rows.optimal
          ? "optimal under the cost model"
          : (llvm::Twine("within ") + llvm::Twine(static_cast<int>(rows.gap * 100 + 0.5)) + " %").str().c_str());
  if (rows.periodMs > 0)
    os << llvm::format("proved to run for any number of microbatches: a result every %.3f ms\n", rows.periodMs);
  if (!rows.costs.empty())
    os << "costs: " << rows.costs << ", for " << llvm::join(getDistinct(rows.devices), ", ") << "\n";
  printKernels(compilation, os);
}

void printJson(const Compilation &compilation, const PlanRows &rows, llvm::raw_ostream &os) {
  llvm::json::OStream json(os, 2);
  json.object([&] {
    json.attribute("output", compilation.output);
    json.attribute("bottleneck_ms", rows.bottleneckMs);
    json.attribute("lower_bound_ms", rows.lowerBoundMs);
    json.attribute("period_ms", rows.periodMs);
    json.attribute("gap", rows.gap);
    json.attribute("optimal", rows.optimal);
    json.attribute("costs", rows.costs);
    json.attribute("devices", llvm::json::Array(rows.devices));
    json.attributeObject("kernels", [&] {
      KernelCounts counts = countKernels(compilation);
      json.attribute("built", counts.built);
      json.attribute("reused", counts.reused);
      json.attribute("damaged", counts.damaged);
      json.attribute("cache", compilation.cache ? llvm::json::Value(compilation.cache->getFolder()) : nullptr);
    });
    json.attributeArray("stages", [&] {
      for (const StageRow &row : rows.stages)
        json.object([&] {
          json.attribute("kernels", row.kernels);
          json.attribute("predicted_ms", row.milliseconds);
          json.attribute("weight_bytes", row.weightBytes);
          json.attribute("arena_bytes", row.arenaBytes);
          json.attribute("slot_bytes", row.slotBytes);
          json.attribute("runtime_bytes", row.runtimeBytes);
          json.attribute("memory_bytes", row.totalBytes);
          json.attribute("unbounded", llvm::json::Array(row.unbounded));
          json.attribute("send_bytes", row.sendBytes);
        });
    });
  });
  os << "\n";
}

} // namespace

void printSummary(const Compilation &compilation, bool json, llvm::raw_ostream &os) {
  PlanRows rows = readPlan(compilation.module.get());
  if (json)
    printJson(compilation, rows, os);
  else
    printText(compilation, rows, os);
}

} // namespace penstock::driver
