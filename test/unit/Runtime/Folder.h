//===- Folder.h - Output folders of hand-written pipelines -------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_TEST_RUNTIME_FOLDER_H
#define PENSTOCK_TEST_RUNTIME_FOLDER_H

#include "TestRole.h"
#include "penstock/rt/Tensor.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/wait.h>
#include <unistd.h>

namespace testrole {

using nlohmann::json;

/// A folder that goes away with the object.
class TemporaryFolder {
public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "penstock-test-XXXXXX").string();
    path = mkdtemp(&pattern[0]) ? pattern : std::string();
    EXPECT_FALSE(path.empty());
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  TemporaryFolder(const TemporaryFolder &) = delete;
  std::string path;
};

inline void writeFile(const std::string &path, const std::string &bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(bytes.data(), std::streamsize(bytes.size()));
  ASSERT_TRUE(file.good()) << path;
}

/// Empty if it cannot be read.
inline std::string readFile(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

/// How a command ended: its exit status, -1 if a signal ended it, and what it printed.
struct Outcome {
  int exitStatus = -1;
  std::string out, err;
};

/// Runs a line of shell; `folder` keeps what it prints.
inline Outcome runCommand(const std::string &command, const std::string &folder) {
  std::string out = folder + "/out.txt", err = folder + "/err.txt";
  int state = std::system((command + " >" + out + " 2>" + err).c_str());
  return {WIFEXITED(state) ? WEXITSTATUS(state) : -1, readFile(out), readFile(err)};
}

/// The program of one stage of a chain: its receives, the run, its send.
inline json chainProgram(const json &plan, int32_t stage) {
  json steady = json::array();
  auto message = [&](const char *verb, const json &channel) {
    json item = {{verb, channel["name"]}};
    for (const char *field : {"tensor", "dtype", "dims"})
      item[field] = channel[field];
    steady.push_back(item);
  };
  for (const json &channel : plan["channels"])
    for (const json &to : channel["to"])
      if (to == stage)
        message("receive", channel);
  steady.push_back({{"run", stage}});
  for (const json &channel : plan["channels"])
    if (channel["from"] == stage)
      message("send", channel);
  return {{"base", 0}, {"round", 1}, {"prologue", json::array()}, {"steady", steady}, {"epilogue", json::array()}};
}

/// plan.json of the chain of TestRole.h.
inline json chainPlan(int32_t stages, bool isStatic, int64_t rows = 0) {
  json dims = isStatic ? json{kStaticRows, 4} : json{"n", 4};
  json plan = {{"schema", 1}, {"model", "chain.onnx"}, {"symbols", json::array()}};
  plan["fingerprint"] = std::string();
  for (int i = 0; i < 32; ++i)
    plan["fingerprint"].get_ref<std::string &>() += "ab";
  plan["identity"] = {
      {"model", "chain.onnx"}, {"weights", "four"}, {"cut", "ab"}, {"schedule", "plain"}, {"build", "by hand"}};
  if (!isStatic)
    plan["symbols"].push_back({{"name", "n"}, {"lower", 0}});
  if (rows > 0)
    plan["microbatch"] = {{"rows", rows}, {"symbol", isStatic ? json() : json("n")}};
  for (int32_t i = 0; i <= stages; ++i) {
    json channel = {{"name", kChannelNames[i]},
                    {"tensor", kTensorNames[i]},
                    {"dtype", "f32"},
                    {"dims", dims},
                    {"depth", depthOf(i, stages)},
                    {"slot_bytes", isStatic ? kStaticRows * 16 : -1}};
    channel["from"] = i == 0 ? json("source") : json(i - 1);
    channel["to"] = json::array({i == stages ? json("sink") : json(i)});
    if (i == 1 && stages >= 3)
      channel["to"].push_back(stages - 1);
    plan["channels"].push_back(channel);
  }
  for (int32_t i = 0; i < stages; ++i) {
    std::string add = "/add_" + std::to_string(i), finish = "/finish_" + std::to_string(i);
    plan["kernels"].push_back(add);
    plan["kernels"].push_back(finish);
    plan["stages"].push_back({{"name", kRoleNames[i]},
                              {"executable", kRoleNames[i]},
                              {"predicted_ms", 0.5},
                              {"kernels",
                               {{{"name", add}, {"kernel", "k_add"}, {"kind", "generated"}},
                                {{"name", finish}, {"kernel", "k_finish"}, {"tensor", kTensorNames[i + 1]}}}},
                              {"program", chainProgram(plan, i)}});
  }
  json axis = rows > 0 ? json(0) : json();
  plan["inputs"] = {{{"name", "x"}, {"dtype", "f32"}, {"dims", dims}, {"batch_axis", axis}, {"channels", {"c0"}}}};
  plan["outputs"] = {
      {{"name", "y"}, {"dtype", "f32"}, {"dims", dims}, {"batch_axis", axis}, {"channels", {kChannelNames[stages]}}}};
  return plan;
}

inline std::string chainWeights() {
  float values[16] = {0.5f, 1.5f, 2.5f, 3.5f};
  return std::string(reinterpret_cast<const char *>(values), sizeof(values));
}

/// Fills `folder` with the chain. `variant` is the prefix of the executables: "free", "static" or "stranger".
inline void writeChain(const std::string &folder, const std::string &variant, int32_t stages, const json &plan) {
  writeFile(folder + "/plan.json", plan.dump());
  writeFile(folder + "/stage-0.weights", chainWeights());
  for (int32_t i = 0; i < stages; ++i) {
    std::string executable = variant + "-" + std::to_string(i) + "-of-" + std::to_string(stages);
    std::filesystem::create_symlink(std::string(PENSTOCK_TEST_ROLES) + "/" + executable, folder + "/" + kRoleNames[i]);
  }
}

/// n x 4 floats: first, first + 1, ...
inline penstock::rt::Tensor ramp(int64_t rows, float first) {
  penstock::rt::Tensor tensor;
  EXPECT_TRUE(penstock::rt::Tensor::make(RT_F32, {rows, 4}, tensor).ok());
  for (int64_t i = 0; i < rows * 4; ++i)
    reinterpret_cast<float *>(tensor.data.get())[i] = first + float(i);
  return tensor;
}

/// What the chain makes of ramp(rows, first).
inline void expectChain(const penstock::rt::Tensor &result, int64_t rows, float first, int32_t stages) {
  ASSERT_EQ(result.dims, (std::vector<int64_t>{rows, 4}));
  for (int64_t i = 0; i < rows * 4; ++i) {
    float afterFirst = first + float(i) + 1 + 0.5f + float(i % 4), value = afterFirst;
    for (int32_t stage = 1; stage < stages; ++stage)
      value += float(stage + 1);
    if (stages >= 3)
      value += afterFirst;
    ASSERT_EQ(reinterpret_cast<const float *>(result.data.get())[i], value) << "element " << i;
  }
}

} // namespace testrole

#endif // PENSTOCK_TEST_RUNTIME_FOLDER_H
