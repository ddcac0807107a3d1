//===- KernelText.cpp - Kernels as text, and what they should give -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "KernelText.h"

#include <algorithm>

#include "llvm/ADT/StringExtras.h"

#include <cmath>

namespace penstock::test {

std::string tensorType(const std::string &dims, const std::string &element) {
  llvm::SmallVector<llvm::StringRef> parts;
  llvm::StringRef(dims).split(parts, 'x', -1, /*KeepEmpty=*/false);
  std::string shape, extents;
  for (llvm::StringRef part : parts) {
    int64_t number;
    if (!part.getAsInteger(10, number)) {
      shape += (part + "x").str();
      continue;
    }
    shape += "?x";
    extents += (extents.empty() ? "" : ", ") + part.str();
  }
  return "tensor<" + shape + element + (extents.empty() ? ">" : ", #nn.extents<[" + extents + "]>>");
}

std::string KernelText::str() const {
  std::string arguments;
  for (size_t i = 0; i < inputs.size(); ++i)
    arguments += (i ? ", %" : "%") + std::to_string(i) + ": " + inputs[i];
  return "nn.kernel_def @kernel(" + arguments + ") -> (" + llvm::join(types, ", ") + ") symbols 4 {\n  " + body +
         "\n  nn.yield " + llvm::join(results, ", ") + " : " + llvm::join(types, ", ") + "\n}\n";
}

Tolerance toleranceOf(const std::string &element) {
  if (element == "f64")
    return {1e-12, 1e-13};
  if (element == "f16")
    return {1e-3, 1e-4};
  if (element == "bf16")
    return {8e-3, 1e-3};
  if (element == "f32")
    return {};
  return {0, 0};
}

static bool isClose(double value, double expected, Tolerance tolerance) {
  if (std::isnan(expected) || std::isinf(expected))
    return std::isnan(expected) ? std::isnan(value) : value == expected;
  return std::abs(value - expected) <= tolerance.relative * std::abs(expected) + tolerance.absolute;
}

static void compare(const Array &got, const Array &expected, Tolerance tolerance, const std::string &what) {
  ASSERT_EQ(got.dims, expected.dims) << what;
  int64_t numBad = 0;
  for (int64_t i = 0; i < got.size(); ++i)
    if (!isClose(got.values[i], expected.values[i], tolerance) && numBad++ < 3)
      ADD_FAILURE() << what << ": element " << i << " of " << got.size() << " is " << got.values[i] << "; expected "
                    << expected.values[i];
}

void check(const KernelText &text, const std::vector<std::vector<int64_t>> &symbols, const Reference &reference,
           Tolerance tolerance, double low, double high, const std::function<void(std::vector<Array> &)> &adjust) {
  Kernel kernel(text.str());
  ASSERT_TRUE(kernel.ok()) << kernel.error << text.str();
  for (std::vector<int64_t> values : symbols) {
    values.resize(4, 0);
    std::vector<Array> inputs = kernel.randomInputs(values, low, high);
    if (adjust)
      adjust(inputs);
    std::vector<Array> results = kernel.run(inputs, values), expected = reference(inputs);
    ASSERT_EQ(results.size(), expected.size());
    for (size_t i = 0; i < results.size(); ++i)
      compare(results[i], kernel.rounded(kernel.numInputs() + i, expected[i]), tolerance,
              text.body + " with s0 = " + std::to_string(values[0]) + ", s1 = " + std::to_string(values[1]));
  }
}

int64_t numElements(const Indices &dims) {
  int64_t result = 1;
  for (int64_t dim : dims)
    result *= dim;
  return result;
}

void forEachIndex(const Indices &dims, const std::function<void(const Indices &)> &fn) {
  Indices indices(dims.size());
  for (int64_t i = 0, n = numElements(dims); i < n; ++i) {
    for (int64_t axis = dims.size() - 1, rest = i; axis >= 0; --axis) {
      indices[axis] = rest % dims[axis];
      rest /= dims[axis];
    }
    fn(indices);
  }
}

int64_t flatten(const Indices &dims, const Indices &indices) {
  int64_t result = 0;
  for (size_t i = 0; i < dims.size(); ++i)
    result = result * dims[i] + indices[i];
  return result;
}

double at(const Array &array, const Indices &indices) { return array.values[flatten(array.dims, indices)]; }

double atBroadcast(const Array &array, const Indices &indices) {
  Indices own(indices.end() - array.dims.size(), indices.end());
  for (size_t i = 0; i < own.size(); ++i)
    if (array.dims[i] == 1)
      own[i] = 0;
  return at(array, own);
}

Array makeArray(const Indices &dims, const std::function<double(const Indices &)> &fn) {
  Array result{dims, {}};
  forEachIndex(dims, [&](const Indices &indices) { result.values.push_back(fn(indices)); });
  return result;
}

Indices broadcastDims(const Indices &lhs, const Indices &rhs) {
  Indices result(std::max(lhs.size(), rhs.size()), 1);
  for (const Indices *dims : {&lhs, &rhs})
    for (size_t i = 0; i < dims->size(); ++i) {
      int64_t &extent = result[result.size() - dims->size() + i];
      extent = extent == 1 ? (*dims)[i] : extent;
    }
  return result;
}

std::string toChannelsLast(const std::string &dims) {
  size_t first = dims.find('x'), second = dims.find('x', first + 1);
  return dims.substr(0, first) + dims.substr(second) + dims.substr(first, second - first);
}

Indices toChannelsLast(Indices dims) {
  std::rotate(dims.begin() + 1, dims.begin() + 2, dims.end());
  return dims;
}

Indices fromChannelsLast(Indices dims) {
  std::rotate(dims.begin() + 1, dims.end() - 1, dims.end());
  return dims;
}

Array toChannelsLast(const Array &image) {
  return makeArray(toChannelsLast(image.dims), [&](const Indices &i) { return at(image, fromChannelsLast(i)); });
}

Array fromChannelsLast(const Array &image) {
  return makeArray(fromChannelsLast(image.dims), [&](const Indices &i) { return at(image, toChannelsLast(i)); });
}

} // namespace penstock::test
