//===- Cluster.cpp - What the stages run on, from a file -----------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The only file that knows the TOML library.
//===----------------------------------------------------------------------===//
#include "penstock/Partition/Cluster.h"
#include "TextFile.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <sstream>

#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 1
#include <toml++/toml.h>

using namespace penstock::partition;

namespace {

constexpr int kMaxDevices = 4096;

/// Splits "16 GiB" into 16 and "GiB". False if it does not start with a finite number that is not negative.
bool splitQuantity(const std::string &text, double &value, std::string &unit) {
  const char *begin = text.c_str();
  char *end = nullptr;
  value = std::strtod(begin, &end);
  if (end == begin || !std::isfinite(value) || value < 0)
    return false;
  while (*end == ' ')
    ++end;
  unit = end;
  while (!unit.empty() && unit.back() == ' ')
    unit.pop_back();
  return true;
}

struct UnitFactor {
  const char *unit;
  double factor;
};
constexpr UnitFactor kSizes[] = {{"", 1},
                                 {"B", 1},
                                 {"kB", 1e3},
                                 {"KB", 1e3},
                                 {"MB", 1e6},
                                 {"GB", 1e9},
                                 {"TB", 1e12},
                                 {"KiB", 1024.0},
                                 {"MiB", 1048576.0},
                                 {"GiB", 1073741824.0},
                                 {"TiB", 1099511627776.0}};
constexpr UnitFactor kTimes[] = {{"", 1}, {"s", 1}, {"ms", 1e-3}, {"us", 1e-6}, {"ns", 1e-9}};

template <size_t N>
bool parseQuantity(const std::string &text, const UnitFactor (&units)[N], const std::string &suffix, double &result) {
  std::string unit;
  double value = 0;
  if (!splitQuantity(text, value, unit))
    return false;
  if (!suffix.empty() && !unit.empty()) {
    if (unit.size() < suffix.size() || unit.compare(unit.size() - suffix.size(), suffix.size(), suffix) != 0)
      return false;
    unit.resize(unit.size() - suffix.size());
  }
  for (const UnitFactor &candidate : units)
    if (unit == candidate.unit) {
      result = value * candidate.factor;
      return std::isfinite(result);
    }
  return false;
}

class ClusterReader {
public:
  explicit ClusterReader(const std::string &fileName) : fileName(fileName) {}

  ClusterResult run(const std::string &text) {
    toml::parse_result parsed = toml::parse(text, fileName);
    if (!parsed) {
      std::string what(parsed.error().description());
      if (!what.empty())
        what[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(what[0])));
      error(parsed.error().source().begin, what);
    } else {
      cluster.otherHost.isShared = true;
      readRoot(parsed.table());
    }
    ClusterResult result;
    result.errors = std::move(errors);
    if (result.errors.empty())
      result.cluster = std::move(cluster);
    return result;
  }

private:
  std::string fileName;
  Cluster cluster;
  std::vector<std::string> errors;

  void error(const toml::source_position &where, const std::string &text) {
    if (errors.size() < 20)
      errors.push_back(fileName + ":" + std::to_string(where.line) + ":" + std::to_string(where.column) + ": " + text);
  }
  void error(const toml::node &where, const std::string &text) { error(where.source().begin, text); }

  static std::string show(const toml::node &node) {
    std::ostringstream stream;
    if (node.is_table() || node.is_array())
      return std::string("a ") + (node.is_table() ? "table" : "list");
    if (const auto *text = node.as_string())
      stream << '"' << text->get() << '"';
    else
      node.visit([&](auto &&value) {
        if constexpr (toml::is_value<decltype(value)>)
          stream << value.get();
      });
    return stream.str();
  }
  void expected(const std::string &key, const toml::node &node, const char *what) {
    error(node, "'" + key + "' is " + show(node) + "; expected " + what);
  }

  void readString(const std::string &key, const toml::node &node, std::string &into) {
    if (const auto *text = node.as_string(); text && !text->get().empty())
      into = text->get();
    else
      expected(key, node, "a string that is not empty");
  }
  void readNumber(const std::string &key, const toml::node &node, double &into) {
    std::optional<double> value = node.is_number() ? node.value<double>() : std::nullopt;
    if (value && std::isfinite(*value) && *value > 0)
      into = *value;
    else
      expected(key, node, "a number above 0");
  }
  void readCount(const std::string &key, const toml::node &node, int &into) {
    std::optional<int64_t> value = node.is_integer() ? node.value<int64_t>() : std::nullopt;
    if (value && *value >= 1 && *value <= kMaxDevices)
      into = static_cast<int>(*value);
    else
      expected(key, node, "a whole number from 1 to 4096");
  }
  void readBool(const std::string &key, const toml::node &node, bool &into) {
    if (const auto *value = node.as_boolean())
      into = value->get();
    else
      expected(key, node, "true or false");
  }
  template <size_t N>
  void readQuantity(const std::string &key, const toml::node &node, const UnitFactor (&units)[N],
                    const std::string &suffix, const char *what, bool mayBeZero, double &into) {
    double value = -1;
    if (node.is_number())
      value = node.value<double>().value_or(-1);
    else if (const auto *text = node.as_string(); text && !parseQuantity(text->get(), units, suffix, value))
      value = -1;
    if (std::isfinite(value) && (value > 0 || (mayBeZero && value == 0)))
      into = value;
    else
      expected(key, node, what);
  }
  void readTime(const std::string &key, const toml::node &node, double &into) {
    readQuantity(key, node, kTimes, "", "a time such as \"2 us\"", true, into);
  }
  void readRate(const std::string &key, const toml::node &node, double &into) {
    readQuantity(key, node, kSizes, "/s", "a rate such as \"10 GB/s\"", false, into);
  }

  template <typename Visit> void forEachTable(const char *key, const toml::node &node, Visit visit) {
    const toml::array *list = node.as_array();
    if (!list || !list->is_homogeneous(toml::node_type::table))
      return expected(key, node, (std::string("tables [[") + key + "]]").c_str());
    for (const toml::node &entry : *list)
      visit(*entry.as_table());
  }

  void readRoot(const toml::table &root) {
    for (const auto &[key, node] : root) {
      std::string name(key.str());
      if (name == "class")
        forEachTable("class", node, [&](const toml::table &table) { readClass(table); });
      else if (name != "device" && name != "link")
        error(key.source().begin, "unknown key '" + name + "'; expected class, device or link");
    }
    if (!root.contains("class"))
      error(toml::source_position{1, 1}, "no [[class]] is given; expected at least one");
    if (const toml::node *devices = root.get("device"))
      forEachTable("device", *devices, [&](const toml::table &table) { readDevice(table); });
    else
      error(toml::source_position{1, 1}, "no [[device]] is given; expected one per stage");
    if (const toml::node *links = root.get("link"))
      readLinks(*links);
  }

  void readClass(const toml::table &table) {
    ClusterClass entry;
    CpuTraits traits;
    bool hasTraits = false, hasPeak = false;
    std::string profileFile;
    std::optional<double> bandwidth, launch;
    std::map<Precision, double> peak;
    for (const auto &[key, node] : table) {
      std::string name(key.str());
      double number = 0;
      bool isTrait = true;
      if (name == "threads") {
        readCount(name, node, traits.numThreads);
      } else if (name == "gigahertz") {
        readNumber(name, node, traits.gigahertz);
      } else if (name == "vector_bits") {
        readCount(name, node, traits.vectorBits);
      } else if (name == "fma_units") {
        readCount(name, node, traits.numFmaUnits);
      } else if (name == "integer_dot") {
        readBool(name, node, traits.hasIntegerDot);
      } else {
        isTrait = false;
        if (name == "name") {
          readString(name, node, entry.name);
        } else if (name == "target") {
          readString(name, node, entry.target);
          if (entry.target != "cpu" && entry.target != "cuda")
            expected(name, node, "\"cpu\" or \"cuda\"");
        } else if (name == "profile") {
          readString(name, node, profileFile);
        } else if (name == "bandwidth") {
          readRate(name, node, number);
          bandwidth = number;
        } else if (name == "launch") {
          readTime(name, node, number);
          launch = number;
        } else if (name == "peak") {
          hasPeak = true;
          readPeak(node, peak);
        } else {
          error(key.source().begin, "unknown key '" + name + "' in a class");
        }
      }
      hasTraits |= isTrait;
    }
    if (entry.name.empty())
      error(table, "a class has no name");
    for (const ClusterClass &other : cluster.classes)
      if (other.name == entry.name)
        error(table, "class '" + entry.name + "' is given twice");
    if (int(!profileFile.empty()) + int(hasTraits) + int(hasPeak) > 1)
      error(table, "class '" + entry.name +
                       "' has more than one of: a profile, a peak, and what a CPU offers on paper (threads, gigahertz, "
                       "...)");
    else
      finishClass(table, entry, profileFile, hasPeak ? &peak : nullptr, traits, bandwidth, launch);
    cluster.classes.push_back(std::move(entry));
  }

  void readPeak(const toml::node &node, std::map<Precision, double> &peak) {
    const toml::table *table = node.as_table();
    if (!table)
      return expected("peak", node, "a table such as { f32 = 1e12 }");
    for (const auto &[key, value] : *table) {
      std::string name(key.str());
      bool isKnown = false;
      for (Precision precision : {Precision::F32, Precision::F16, Precision::BF16, Precision::I8, Precision::F64})
        if (name == toString(precision)) {
          isKnown = true;
          readNumber("peak." + name, value, peak[precision]);
        }
      if (!isKnown)
        error(key.source().begin, "unknown precision '" + name + "'; expected f32, f16, bf16, i8 or f64");
    }
  }

  void finishClass(const toml::table &table, ClusterClass &entry, const std::string &profileFile,
                   const std::map<Precision, double> *peak, CpuTraits traits, std::optional<double> bandwidth,
                   std::optional<double> launch) {
    if (!profileFile.empty()) {
      Calibration read = readProfile(pathBeside(profileFile));
      for (const std::string &text : read.errors)
        error(table, "class '" + entry.name + "': " + text);
      if (!read.profile)
        return;
      entry.profile = std::move(*read.profile);
    } else if (peak) {
      entry.profile.name = entry.name;
      entry.profile.peak = *peak;
      entry.profile.bytesPerSecond = bandwidth.value_or(0);
    } else if (entry.target == "cuda") {
      return error(table, "class '" + entry.name + "' has neither a profile nor a peak; a cuda class needs one");
    } else {
      if (bandwidth)
        traits.bytesPerSecond = *bandwidth;
      entry.profile = makeCpuProfile(entry.name, traits);
    }
    if (bandwidth)
      entry.profile.bytesPerSecond = *bandwidth;
    if (launch)
      entry.profile.launchSeconds = *launch;
    if (errors.empty())
      for (const std::string &text : entry.profile.check())
        error(table, text);
  }

  std::string pathBeside(const std::string &name) const {
    size_t slash = fileName.find_last_of('/');
    return name[0] == '/' || slash == std::string::npos ? name : fileName.substr(0, slash + 1) + name;
  }

  void readDevice(const toml::table &table) {
    ClusterDevice device;
    std::string className;
    int count = 1;
    for (const auto &[key, node] : table) {
      std::string name(key.str());
      if (name == "name") {
        readString(name, node, device.name);
      } else if (name == "host") {
        readString(name, node, device.host);
      } else if (name == "class") {
        readString(name, node, className);
      } else if (name == "count") {
        readCount(name, node, count);
      } else if (name == "memory") {
        double value = 0;
        readQuantity(name, node, kSizes, "", "a size such as \"16 GiB\"", false, value);
        if (value >= 9.2e18 || (value > 0 && value < 1))
          expected(name, node, "a size such as \"16 GiB\"");
        else
          device.memoryLimitBytes = static_cast<int64_t>(value);
      } else {
        error(key.source().begin, "unknown key '" + name + "' in a device");
      }
    }
    if (className.empty() && cluster.classes.size() == 1)
      className = cluster.classes[0].name;
    auto found = std::find_if(cluster.classes.begin(), cluster.classes.end(),
                              [&](const ClusterClass &entry) { return entry.name == className; });
    if (found == cluster.classes.end())
      return error(table,
                   "device '" + device.name + "' has class '" + className + "'; expected one of: " + classNames());
    device.deviceClass = static_cast<int>(found - cluster.classes.begin());
    if (static_cast<int>(cluster.devices.size()) + count > kMaxDevices)
      return error(table, "there are more than 4096 devices");
    std::string base = device.name.empty() ? "device" : device.name;
    for (int i = 0; i < count; ++i) {
      ClusterDevice copy = device;
      copy.name = device.name.empty() ? base + std::to_string(cluster.devices.size())
                  : count > 1         ? base + std::to_string(i)
                                      : base;
      cluster.devices.push_back(std::move(copy));
    }
  }

  std::string classNames() const {
    std::string text;
    for (const ClusterClass &entry : cluster.classes)
      text += (text.empty() ? "" : ", ") + entry.name;
    return text;
  }

  void readLinks(const toml::node &node) {
    const toml::table *table = node.as_table();
    if (!table)
      return expected("link", node, "tables [link.same_host], [link.other_host], [link.source] and [link.sink]");
    for (const auto &[key, value] : *table) {
      std::string name(key.str());
      Link *link = name == "same_host"    ? &cluster.sameHost
                   : name == "other_host" ? &cluster.otherHost
                   : name == "source"     ? &cluster.source
                   : name == "sink"       ? &cluster.sink
                                          : nullptr;
      if (!link)
        error(key.source().begin, "unknown link '" + name + "'; expected same_host, other_host, source or sink");
      else
        readLink(name, value, *link);
    }
  }

  void readLink(const std::string &linkName, const toml::node &node, Link &link) {
    const toml::table *table = node.as_table();
    if (!table)
      return expected("link." + linkName, node, "a table with latency, bandwidth, shared");
    for (const auto &[key, value] : *table) {
      std::string name(key.str());
      if (name == "latency")
        readTime(name, value, link.latencySeconds);
      else if (name == "bandwidth")
        readRate(name, value, link.bytesPerSecond);
      else if (name == "shared" && (linkName == "same_host" || linkName == "other_host"))
        readBool(name, value, link.isShared);
      else
        error(key.source().begin, std::string("unknown key '").append(name).append("' in link.").append(linkName));
    }
  }
};

} // namespace

ClusterResult penstock::partition::parseCluster(const std::string &text, const std::string &fileName) {
  return ClusterReader(fileName).run(text);
}

ClusterResult penstock::partition::readCluster(const std::string &fileName) {
  std::string text, error;
  if (readTextFile(fileName, text, error))
    return parseCluster(text, fileName);
  ClusterResult result;
  result.errors.push_back(fileName + ": " + error);
  return result;
}

Cluster penstock::partition::makeLocalCluster(int numDevices, const DeviceProfile &profile, int64_t memoryLimitBytes) {
  Cluster cluster;
  cluster.classes.push_back({profile.name, "cpu", profile});
  for (int i = 0; i < numDevices; ++i)
    cluster.devices.push_back({"device" + std::to_string(i), "localhost", 0, memoryLimitBytes});
  return cluster;
}

std::vector<std::string> penstock::partition::applyCluster(const Cluster &cluster, int numStages, Problem &problem) {
  if (numStages < 1)
    return {"the number of stages is " + std::to_string(numStages) + "; expected at least 1"};
  if (numStages > static_cast<int>(cluster.devices.size()))
    return {"the cluster has " + std::to_string(cluster.devices.size()) + " devices; " + std::to_string(numStages) +
            " stages need as many"};
  problem.deviceClasses.clear();
  for (const ClusterClass &entry : cluster.classes)
    problem.deviceClasses.push_back(entry.name);
  problem.stages.clear();
  problem.links.clear();
  for (int s = 0; s < numStages; ++s) {
    const ClusterDevice &device = cluster.devices[s];
    problem.stages.push_back({device.name, device.deviceClass, device.memoryLimitBytes});
    if (s > 0)
      problem.links.push_back(device.host == cluster.devices[s - 1].host ? cluster.sameHost : cluster.otherHost);
  }
  problem.sourceLink = cluster.source;
  problem.sinkLink = cluster.sink;
  return {};
}

std::optional<int64_t> penstock::partition::parseByteSize(const std::string &text) {
  double value = 0;
  if (!parseQuantity(text, kSizes, "", value) || value >= 9.2e18)
    return std::nullopt;
  return static_cast<int64_t>(value);
}
