//===- RandomInputs.cpp - What stands in for real inputs ---------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "penstock/rt/Bench.h"

#include <cstring>

namespace penstock {
namespace rt {

static bool parseCount(const std::string &text, int64_t &value) {
  if (text.empty() || text.size() > 18 || text.find_first_not_of("0123456789") != std::string::npos)
    return false;
  value = 0;
  for (char c : text)
    value = value * 10 + (c - '0');
  return true;
}

Status parseDimOption(const std::string &text, RandomInputs &how) {
  size_t equals = text.rfind('=');
  int64_t value;
  if (equals == std::string::npos || equals == 0 || !parseCount(text.substr(equals + 1), value))
    return fail(Code::kInvalid, "--dim '%s': expected NAME=N", text.c_str());
  how.dims[text.substr(0, equals)] = value;
  return Status();
}

Status parseShapeOption(const std::string &text, RandomInputs &how) {
  size_t equals = text.rfind('=');
  std::vector<int64_t> dims;
  bool good = equals != std::string::npos && equals > 0;
  for (size_t at = good ? equals + 1 : text.size(); good && at <= text.size();) {
    size_t next = std::min(text.find('x', at), text.size());
    int64_t value;
    good = parseCount(text.substr(at, next - at), value);
    dims.push_back(value);
    at = next + 1;
  }
  if (!good)
    return fail(Code::kInvalid, "--shape '%s': expected INPUT=1x3x224x224", text.c_str());
  how.shapes[text.substr(0, equals)] = dims;
  return Status();
}

/// Whole shapes give their symbols values.
static void takeSymbols(const PlanTensor &input, const std::vector<int64_t> &dims, std::vector<int64_t> &symbols) {
  for (size_t i = 0; i < input.dims.size() && i < dims.size(); ++i)
    if (input.dims[i].isSymbol() && symbols[size_t(input.dims[i].value)] < 0)
      symbols[size_t(input.dims[i].value)] = dims[i];
}

static Status chooseSymbols(const Plan &plan, const RandomInputs &how, const TensorMap &given,
                            std::vector<int64_t> &symbols) {
  symbols.assign(plan.symbols.size(), -1);
  for (const auto &entry : how.dims) {
    bool known = false;
    for (size_t i = 0; i < plan.symbols.size(); ++i) {
      if (plan.symbols[i].name != entry.first || plan.symbols[i].isData)
        continue;
      symbols[i] = entry.second;
      known = true;
    }
    if (!known)
      return fail(Code::kInvalid, "the folder has no free dimension '%s'", entry.first.c_str());
  }
  for (const PlanTensor &input : plan.inputs) {
    auto shape = how.shapes.find(input.name);
    if (shape != how.shapes.end())
      takeSymbols(input, shape->second, symbols);
    auto tensor = given.find(input.name);
    if (tensor != given.end())
      takeSymbols(input, tensor->second.dims, symbols);
  }
  for (size_t i = 0; i < symbols.size(); ++i) {
    const PlanSymbol &symbol = plan.symbols[i];
    int64_t fallback = int32_t(i) == plan.batchSymbol ? 1 : symbol.upper >= 0 ? symbol.upper : 128;
    if (symbols[i] < 0)
      symbols[i] = symbol.typical >= 0 ? symbol.typical : fallback;
  }
  return Status();
}

/// SplitMix64: small, and the same everywhere.
static uint64_t nextRandom(uint64_t &state) {
  uint64_t z = state += 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

static void fill(Tensor &tensor, uint64_t &state) {
  int64_t width = dtypeBytes(tensor.dtype), count = tensor.numBytes / width;
  char *at = tensor.data.get();
  for (int64_t i = 0; i < count; ++i, at += width) {
    uint64_t random = nextRandom(state);
    float f32 = float(random >> 40) * 0x1p-24f;
    double f64 = f32;
    uint32_t bits;
    std::memcpy(&bits, &f32, sizeof(bits));
    uint64_t integer = random & 1;
    uint16_t half = uint16_t(0x3c00 * integer), bfloat = uint16_t(bits >> 16);
    const void *from = tensor.dtype == RT_F32    ? static_cast<const void *>(&f32)
                       : tensor.dtype == RT_F64  ? static_cast<const void *>(&f64)
                       : tensor.dtype == RT_F16  ? static_cast<const void *>(&half)
                       : tensor.dtype == RT_BF16 ? static_cast<const void *>(&bfloat)
                                                 : static_cast<const void *>(&integer);
    std::memcpy(at, from, size_t(width));
  }
}

Status addRandomInputs(const Plan &plan, const RandomInputs &how, TensorMap &inputs) {
  for (const auto &entry : how.shapes) {
    bool known = false;
    for (const PlanTensor &input : plan.inputs)
      known |= input.name == entry.first;
    if (!known)
      return fail(Code::kInvalid, "--shape: the model has no input '%s'", entry.first.c_str());
  }
  std::vector<int64_t> symbols;
  if (Status status = chooseSymbols(plan, how, inputs, symbols); !status.ok())
    return status;
  uint64_t state = how.seed;
  for (const PlanTensor &input : plan.inputs) {
    if (inputs.count(input.name))
      continue;
    std::vector<int64_t> dims;
    for (const Expr &dim : input.dims) {
      dims.push_back(0);
      if (!dim.evaluate(symbols, dims.back()))
        return fail(Code::kInvalid, "input '%s': an extent cannot be computed", input.name.c_str());
    }
    auto shape = how.shapes.find(input.name);
    Tensor tensor;
    Status status = Tensor::make(input.dtype, shape == how.shapes.end() ? dims : shape->second, tensor);
    if (!status.ok())
      return status;
    fill(tensor, state);
    inputs[input.name] = tensor;
  }
  return Status();
}

} // namespace rt
} // namespace penstock
