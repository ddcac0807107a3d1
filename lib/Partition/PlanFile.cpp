//===- PlanFile.cpp - What earlier plans and runs say -------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "penstock/Partition/PlanFile.h"
#include "TextFile.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

using namespace penstock::partition;
using Json = nlohmann::json;

namespace {

/// The list of that name, or null.
const Json *findList(const Json &object, const char *key) {
  if (!object.is_object())
    return nullptr;
  auto found = object.find(key);
  return found != object.end() && found->is_array() ? &*found : nullptr;
}

const std::string *findText(const Json &object, const char *key) {
  if (!object.is_object())
    return nullptr;
  auto found = object.find(key);
  return found != object.end() ? found->get_ptr<const std::string *>() : nullptr;
}

} // namespace

PlanStages penstock::partition::parsePlanStages(const std::string &json, const std::string &fileName) {
  PlanStages result;
  auto fail = [&](const std::string &what) {
    result.stages.clear();
    result.error = "plan file '" + fileName + "' " + what;
    return result;
  };
  Json root = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (root.is_discarded())
    return fail("is no JSON");
  const Json *stages = findList(root, "stages");
  if (!stages || stages->empty())
    return fail("has no list 'stages'");
  for (const Json &stage : *stages) {
    std::string number = std::to_string(result.stages.size());
    const Json *kernels = findList(stage, "kernels");
    if (!kernels)
      return fail("has no list 'kernels' in stage " + number);
    std::vector<std::string> &names = result.stages.emplace_back();
    for (const Json &kernel : *kernels) {
      // Either the name, or an object that has one.
      const std::string *name = kernel.is_string() ? kernel.get_ptr<const std::string *>() : findText(kernel, "name");
      if (!name)
        return fail("has a kernel without name in stage " + number);
      names.push_back(*name);
    }
  }
  return result;
}

PlanStages penstock::partition::readPlanStages(const std::string &fileName) {
  PlanStages result;
  std::string text;
  if (readTextFile(fileName, text, result.error))
    return parsePlanStages(text, fileName);
  result.error = "plan file '" + fileName + "' " + result.error;
  return result;
}

std::string penstock::partition::addMeasuredTimes(const std::string &json, const std::string &fileName,
                                                  DeviceProfile &profile) {
  const std::string file = "costs file '" + fileName + "' ";
  Json root = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (root.is_discarded())
    return file + "is no JSON";
  const Json *stages = findList(root, "stages");
  if (!stages)
    return file + "has no list 'stages'; expected what penstock bench --json writes";
  std::map<std::string, double> seconds;
  std::map<std::string, std::pair<double, int>> sums; // by function alone
  for (const Json &stage : *stages) {
    const Json *kernels = findList(stage, "kernels");
    if (!kernels)
      return file + "has a stage without a list 'kernels'";
    for (const Json &kernel : *kernels) {
      const std::string *name = findText(kernel, "name"), *function = findText(kernel, "kernel");
      auto time = name ? kernel.find("ms") : kernel.end();
      double ms = name && time != kernel.end() && time->is_number() ? time->get<double>() : -1;
      if (!name || !function || !(ms >= 0) || !std::isfinite(ms))
        return file + "has a kernel without name, kernel and ms (not negative)";
      double value = std::max(ms * 1e-3, 1e-9); // a profile has no kernel that takes no time
      seconds[*function + " " + *name] = value;
      auto &[sum, count] = sums[*function];
      sum += value;
      ++count;
    }
  }
  for (const auto &[key, value] : seconds)
    profile.profiledSeconds[key] = value;
  for (const auto &[function, sum] : sums)
    profile.profiledSeconds[function] = sum.first / sum.second;
  return "";
}
