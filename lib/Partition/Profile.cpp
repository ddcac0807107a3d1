//===- Profile.cpp - Device profiles as JSON ----------------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Keys are read one by one, and an unknown one is an error: a misspelt key would otherwise silently mean "typical".
//===----------------------------------------------------------------------===//
#include "TextFile.h"
#include "penstock/Partition/CostModel.h"

#include <nlohmann/json.hpp>

using namespace penstock::partition;
using Json = nlohmann::ordered_json;

namespace {

constexpr int kSchema = 1;
constexpr Precision kPrecisions[] = {Precision::F32, Precision::F16, Precision::BF16, Precision::I8, Precision::F64};
constexpr KernelClass kClasses[] = {KernelClass::Contraction, KernelClass::Convolution,   KernelClass::Depthwise,
                                    KernelClass::Attention,   KernelClass::Normalization, KernelClass::Elementwise,
                                    KernelClass::Movement,    KernelClass::Recurrent,     KernelClass::Other};

class ProfileReader {
public:
  ProfileReader(const std::string &fileName) : fileName(fileName) {}

  Calibration run(const std::string &text) {
    Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!json.is_object())
      error(json.is_discarded() ? "is not JSON" : "is not a JSON object");
    else
      readAll(json);
    Calibration result;
    if (errors.empty())
      for (const std::string &text : profile.check())
        errors.push_back(fileName + ": " + text);
    result.errors = std::move(errors);
    if (result.errors.empty())
      result.profile = std::move(profile);
    return result;
  }

private:
  std::string fileName;
  DeviceProfile profile;
  std::vector<std::string> errors;

  void error(const std::string &text) { errors.push_back(fileName + ": " + text); }
  void expected(const std::string &key, const Json &value, const char *what) {
    // What holds others may be nested deeper than a stack.
    std::string shown = value.is_array()    ? "a list"
                        : value.is_object() ? "an object"
                                            : value.dump(-1, ' ', false, Json::error_handler_t::replace);
    error("'" + key + "' is " + (shown.size() > 40 ? shown.substr(0, 40) + "..." : shown) + "; expected " + what);
  }

  void readNumber(const std::string &key, const Json &value, double &into) {
    if (value.is_number())
      into = value.get<double>();
    else
      expected(key, value, "a number");
  }
  void readString(const std::string &key, const Json &value, std::string &into) {
    if (value.is_string())
      into = value.get<std::string>();
    else
      expected(key, value, "a string");
  }
  template <typename Visit> void readObject(const std::string &key, const Json &value, Visit visit) {
    if (!value.is_object())
      return expected(key, value, "an object");
    for (const auto &item : value.items())
      visit(item.key(), item.value());
  }
  template <typename Visit> void readArray(const std::string &key, const Json &value, Visit visit) {
    if (!value.is_array())
      return expected(key, value, "an array");
    for (size_t i = 0; i < value.size(); ++i)
      visit(key + "[" + std::to_string(i) + "]", value[i]);
  }
  void unknown(const std::string &key) { error("unknown key '" + key + "'"); }

  template <typename T, size_t N> bool findName(const std::string &name, const T (&all)[N], T &into) {
    for (T candidate : all)
      if (name == toString(candidate)) {
        into = candidate;
        return true;
      }
    return false;
  }

  void readAll(const Json &json) {
    if (!json.contains("schema"))
      error("'schema' is missing; expected 1");
    for (const auto &item : json.items()) {
      const std::string &key = item.key();
      const Json &value = item.value();
      if (key == "schema") {
        if (value != kSchema)
          expected(key, value, "1");
      } else if (key == "name") {
        readString(key, value, profile.name);
      } else if (key == "tier") {
        readTier(value);
      } else if (key == "peak") {
        readPeaks(value);
      } else if (key == "bytes_per_second") {
        readNumber(key, value, profile.bytesPerSecond);
      } else if (key == "launch_seconds") {
        readNumber(key, value, profile.launchSeconds);
      } else if (key == "caches") {
        readCaches(value);
      } else if (key == "efficiency") {
        readEfficiency(value);
      } else if (key == "profiled_seconds") {
        readObject(key, value, [&](const std::string &name, const Json &seconds) {
          readNumber("profiled_seconds." + name, seconds, profile.profiledSeconds[name]);
        });
      } else {
        unknown(key);
      }
    }
  }

  void readTier(const Json &value) {
    constexpr CostTier tiers[] = {CostTier::Analytic, CostTier::Calibrated};
    std::string name;
    if (value.is_string())
      name = value.get<std::string>();
    if (!findName(name, tiers, profile.tier))
      expected("tier", value, "\"analytic\" or \"calibrated\"");
  }

  void readPeaks(const Json &value) {
    readObject("peak", value, [&](const std::string &name, const Json &peak) {
      Precision precision;
      if (findName(name, kPrecisions, precision))
        readNumber("peak." + name, peak, profile.peak[precision]);
      else
        unknown("peak." + name);
    });
  }

  void readCaches(const Json &value) {
    readArray("caches", value, [&](const std::string &path, const Json &entry) {
      MemoryLevel level;
      readObject(path, entry, [&](const std::string &name, const Json &number) {
        if (name == "bytes")
          readNumber(path + ".bytes", number, level.numBytes);
        else if (name == "bytes_per_second")
          readNumber(path + ".bytes_per_second", number, level.bytesPerSecond);
        else
          unknown(path + "." + name);
      });
      profile.caches.push_back(level);
    });
  }

  void readEfficiency(const Json &value) {
    readObject("efficiency", value, [&](const std::string &name, const Json &points) {
      KernelClass kernelClass;
      if (!findName(name, kClasses, kernelClass))
        return unknown("efficiency." + name);
      auto &list = profile.efficiency[kernelClass];
      readArray("efficiency." + name, points, [&](const std::string &path, const Json &entry) {
        EfficiencyPoint point;
        readObject(path, entry, [&](const std::string &key, const Json &number) {
          if (key == "log2_operations")
            readNumber(path + "." + key, number, point.log2Operations);
          else if (key == "compute")
            readNumber(path + "." + key, number, point.compute);
          else if (key == "memory")
            readNumber(path + "." + key, number, point.memory);
          else
            unknown(path + "." + key);
        });
        list.push_back(point);
      });
    });
  }
};

} // namespace

std::string penstock::partition::toJson(const DeviceProfile &profile) {
  Json json;
  json["schema"] = kSchema;
  json["name"] = profile.name;
  json["tier"] = toString(profile.tier);
  json["peak"] = Json::object();
  for (auto [precision, peak] : profile.peak)
    json["peak"][toString(precision)] = peak;
  json["bytes_per_second"] = profile.bytesPerSecond;
  json["launch_seconds"] = profile.launchSeconds;
  json["caches"] = Json::array();
  for (const MemoryLevel &level : profile.caches)
    json["caches"].push_back({{"bytes", level.numBytes}, {"bytes_per_second", level.bytesPerSecond}});
  json["efficiency"] = Json::object();
  for (const auto &[kernelClass, points] : profile.efficiency)
    for (const EfficiencyPoint &point : points)
      json["efficiency"][toString(kernelClass)].push_back(
          {{"log2_operations", point.log2Operations}, {"compute", point.compute}, {"memory", point.memory}});
  json["profiled_seconds"] = Json::object();
  for (const auto &[key, seconds] : profile.profiledSeconds)
    json["profiled_seconds"][key] = seconds;
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Calibration penstock::partition::parseProfile(const std::string &json, const std::string &fileName) {
  return ProfileReader(fileName).run(json);
}

Calibration penstock::partition::readProfile(const std::string &fileName) {
  std::string text, error;
  if (!readTextFile(fileName, text, error)) {
    Calibration result;
    result.errors.push_back(fileName + ": " + error);
    return result;
  }
  return parseProfile(text, fileName);
}
