//===- CaseFolder.cpp - Kernels with what they must give -----*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CaseFolder.h"

#include "penstock/rt/Types.h"

#include <nlohmann/json.hpp>

#include <cerrno>
#include <fstream>
#include <sstream>

using namespace penstock;
using namespace penstock::test;
using nlohmann::json;

static rt::Status readFile(const std::string &path, std::string &text) {
  std::ifstream stream(path, std::ios::binary);
  std::stringstream all;
  if (stream)
    all << stream.rdbuf();
  if (!stream)
    return rt::failErrno("cannot read '%s'", path.c_str());
  text = std::move(all).str();
  return rt::Status();
}

static std::vector<CaseTensor> tensorsOf(const json &list) {
  std::vector<CaseTensor> tensors;
  for (const json &entry : list) {
    CaseTensor tensor;
    if (!rt::dtypeFromName(entry.at("type"), tensor.dtype))
      throw std::runtime_error("no type '" + entry.at("type").get<std::string>() + "'");
    tensor.dims = entry.at("dims").get<std::vector<int64_t>>();
    tensor.offset = entry.at("offset");
    if (!rt::tensorBytes(tensor.dtype, tensor.dims.data(), tensor.dims.size(), tensor.numBytes))
      throw std::runtime_error("a tensor of " + rt::dimsToString(tensor.dims));
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

/// Whether its bytes are in the data, or it has none.
static bool isWhole(const CaseTensor &tensor, bool hasContents, const CaseFolder &folder) {
  if (!hasContents)
    return tensor.offset == kNoContents;
  return tensor.offset >= 0 && uint64_t(tensor.offset + tensor.numBytes) <= folder.data.size();
}

static void fill(const json &file, bool hasContents, CaseFolder &folder) {
  if (file.at("version") != kCasesVersion)
    throw std::runtime_error("another version");
  for (const json &entry : file.at("kernels"))
    folder.kernels.push_back({entry.at("symbol"), entry.at("library"), entry.at("text")});
  for (const json &entry : file.at("cases")) {
    Case made;
    made.name = entry.at("name"), made.kernel = entry.at("kernel");
    made.symbols = entry.at("symbols").get<std::vector<int64_t>>();
    made.inputs = tensorsOf(entry.at("inputs")), made.results = tensorsOf(entry.at("results"));
    made.workspaceBytes = entry.at("workspace");
    if (made.kernel >= folder.kernels.size())
      throw std::runtime_error("a case without a kernel");
    for (const auto *tensors : {&made.inputs, &made.results})
      for (const CaseTensor &tensor : *tensors)
        if (!isWhole(tensor, hasContents, folder))
          throw std::runtime_error(hasContents ? "a tensor outside of the data" : "a tensor with contents");
    folder.cases.push_back(std::move(made));
  }
}

rt::Status CaseFolder::read(const std::string &path, bool hasContents, CaseFolder &folder) {
  std::string text;
  if (rt::Status status = readFile(path + "/" + kCasesFile, text); !status.ok())
    return status;
  if (rt::Status status = readFile(path + "/" + kDataFile, folder.data); !status.ok())
    return status;
  try {
    fill(json::parse(text), hasContents, folder);
  } catch (const std::exception &error) {
    return rt::fail(rt::Code::kInvalid, "'%s/%s' is no list of cases: %s", path.c_str(), kCasesFile, error.what());
  }
  return rt::Status();
}
