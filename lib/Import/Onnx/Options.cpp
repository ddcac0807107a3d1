//===- Options.cpp - Text of the importer's flags -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "penstock/Import/Onnx/OnnxImporter.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;

namespace penstock::onnximport {

static LogicalResult fail(std::string &error, StringRef text, const Twine &expected) {
  error = ("'" + text + "': expected " + expected).str();
  return failure();
}

/// Splits at the last '=' so that a name may hold one.
static bool splitAssignment(StringRef text, StringRef &name, StringRef &value) {
  std::tie(name, value) = text.rsplit('=');
  return text.contains('=') && !name.empty() && !value.empty();
}

/// A count that an extent may have.
static bool parseExtent(StringRef text, int64_t &value) {
  return !text.getAsInteger(10, value) && value >= 0 && value <= (int64_t(1) << 40);
}

LogicalResult parseDimOption(StringRef text, ImportOptions &options, std::string &error) {
  constexpr llvm::StringLiteral kExpected("NAME=N or NAME=LO..HI[:TYPICAL] with non-negative numbers");
  StringRef name, value;
  if (!splitAssignment(text, name, value))
    return fail(error, text, kExpected);
  DimOption option;
  int64_t number;
  if (!value.contains("..")) {
    if (!parseExtent(value, number))
      return fail(error, text, kExpected);
    option.fixed = number;
  } else {
    auto [low, rest] = value.split("..");
    auto [high, typical] = rest.split(':');
    int64_t highNumber, typicalNumber;
    if (!parseExtent(low, number) || !parseExtent(high, highNumber))
      return fail(error, text, kExpected);
    option.lower = number;
    option.upper = highNumber;
    if (rest.contains(':')) {
      if (!parseExtent(typical, typicalNumber))
        return fail(error, text, kExpected);
      option.typical = typicalNumber;
    }
    int64_t middle = option.typical.value_or(number);
    if (number > highNumber || middle < number || middle > highNumber)
      return fail(error, text, "lower <= typical <= upper");
    if (number == highNumber)
      option = {number, {}, {}, {}};
  }
  if (!options.dims.insert({name.str(), option}).second)
    return fail(error, text, "each dimension once");
  return success();
}

LogicalResult parseShapeOption(StringRef text, ImportOptions &options, std::string &error) {
  constexpr llvm::StringLiteral kExpected("INPUT=1x3x224x224, with ? for an extent that stays unknown");
  StringRef name, value;
  if (!splitAssignment(text, name, value))
    return fail(error, text, kExpected);
  std::vector<ExtentOption> shape;
  SmallVector<StringRef> parts;
  if (value != "scalar")
    value.split(parts, 'x');
  for (StringRef part : parts) {
    int64_t number;
    if (part == "?")
      shape.push_back(std::nullopt);
    else if (parseExtent(part, number))
      shape.push_back(number);
    else
      return fail(error, text, kExpected);
  }
  if (!options.shapes.insert({name.str(), shape}).second)
    return fail(error, text, "each input once");
  return success();
}

LogicalResult parseBindOption(StringRef text, ImportOptions &options, std::string &error) {
  StringRef name, value;
  if (!splitAssignment(text, name, value))
    return fail(error, text, "INPUT=VALUE[,VALUE...]");
  if (!options.binds.insert({name.str(), value.str()}).second)
    return fail(error, text, "each input once");
  return success();
}

LogicalResult parseStateOption(StringRef text, ImportOptions &options, std::string &error) {
  StringRef name, value;
  if (!splitAssignment(text, name, value))
    return fail(error, text, "INPUT=OUTPUT");
  for (auto &[input, output] : options.states)
    if (input == name || output == value)
      return fail(error, text, "each input and output once");
  options.states.emplace_back(name.str(), value.str());
  return success();
}

} // namespace penstock::onnximport
