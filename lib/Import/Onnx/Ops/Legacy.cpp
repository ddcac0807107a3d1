//===- Legacy.cpp - Operators as they were before operator set 7 -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Until then the second operand was stretched only where `broadcast` says so, and its axes stand from `axis` on.
//===----------------------------------------------------------------------===//
#include "../NodeContext.h"
#include "Families.h"
#include "penstock/Import/Onnx/OperatorRegistry.h"

namespace penstock::onnximport {
namespace {

using nn::BinaryKind;
using nn::CompareKind;

/// The second operand, shaped to broadcast to the first as NumPy does it.
Value alignSecond(NodeContext &n) {
  Value lhs = n.getInput(0), rhs = n.getInput(1);
  if (!lhs || !rhs)
    return {};
  int64_t numDims = n.typeOf(lhs).getRank(), numRight = n.typeOf(rhs).getRank();
  if (!n.getInt("broadcast", 0)) {
    if (numDims != numRight)
      return (n.emitError() << "operands have " << numDims << " and " << numRight
                            << " axes and broadcast is 0; expected the same"),
             Value();
    return rhs;
  }
  if (!n.hasAttr("axis") || numRight == 0)
    return rhs;
  FailureOr<int64_t> axis = n.normalizeAxis(n.getInt("axis", 0), numDims);
  if (failed(axis))
    return {};
  if (*axis + numRight > numDims)
    return (n.emitError() << "axis is " << *axis << " and the second operand has " << numRight
                          << " axes; expected them to end within the " << numDims << " of the first"),
           Value();
  Extents extents = n.extentsOf(rhs);
  extents.append(numDims - *axis - numRight, n.cst(1));
  return n.reshape(rhs, extents);
}

Converter binary(BinaryKind kind) {
  return [kind](NodeContext &n) {
    Value rhs = alignSecond(n);
    return rhs ? n.setOutput(0, n.binary(kind, n.getInput(0), rhs)) : failure();
  };
}
Converter compare(CompareKind kind) {
  return [kind](NodeContext &n) {
    Value rhs = alignSecond(n);
    return rhs ? n.setOutput(0, n.compare(kind, n.getInput(0), rhs)) : failure();
  };
}

/// A slope of several elements has one per channel.
LogicalResult convertPRelu(NodeContext &n) {
  Value input = n.getInput(0), slope = n.getInput(1);
  if (!input || !slope)
    return failure();
  int64_t numDims = n.typeOf(input).getRank();
  if (n.typeOf(slope).getRank() == 1 && numDims > 2) {
    Extents extents = n.extentsOf(slope);
    extents.append(numDims - 2, n.cst(1));
    slope = n.reshape(slope, extents);
  }
  return n.setOutput(0, n.binary(BinaryKind::prelu, input, slope));
}

} // namespace

void registerLegacyOperators(OperatorRegistry &r) {
  r.add("Add", 1, binary(BinaryKind::add));
  r.add("Sub", 1, binary(BinaryKind::sub));
  r.add("Mul", 1, binary(BinaryKind::mul));
  r.add("Div", 1, binary(BinaryKind::div));
  r.add("Pow", 1, binary(BinaryKind::pow));
  r.add("And", 1, binary(BinaryKind::logical_and));
  r.add("Or", 1, binary(BinaryKind::logical_or));
  r.add("Xor", 1, binary(BinaryKind::logical_xor));
  r.add("Equal", 1, compare(CompareKind::eq));
  r.add("Less", 1, compare(CompareKind::lt));
  r.add("Greater", 1, compare(CompareKind::gt));
  r.add("PRelu", 1, convertPRelu);
}

} // namespace penstock::onnximport
