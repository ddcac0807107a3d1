//===- OnnxValue.h - What the importer knows of a value --------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// One value of the ONNX graph: its type, its SSA value once somebody needs it as data, and whatever is known of its
// elements at import. Small tensors that describe shapes are lists of expressions over dimension symbols; that is how
// chains of Shape, Gather, Concat and Reshape disappear.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_IMPORT_ONNX_ONNXVALUE_H
#define PENSTOCK_LIB_IMPORT_ONNX_ONNXVALUE_H

#include "mlir/IR/AffineExpr.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Value.h"
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace penstock::onnximport {
using namespace mlir;

/// A known element: `factor * expr`. The factor of an integer (or boolean) is 1; a constant float has expression 1.
struct Element {
  AffineExpr expr;
  double factor = 1.0;

  std::optional<int64_t> getInt() const {
    auto constant = dyn_cast<AffineConstantExpr>(expr);
    if (!constant || factor != 1.0)
      return std::nullopt;
    return constant.getValue();
  }
  std::optional<double> getDouble() const {
    auto constant = dyn_cast<AffineConstantExpr>(expr);
    if (!constant)
      return std::nullopt;
    return factor * static_cast<double>(constant.getValue());
  }
};
/// Row-major.
using Elements = std::vector<Element>;

/// Bytes of a file that hold a tensor.
struct TensorRange {
  std::string path;
  int64_t offset = 0, numBytes = 0;
};

struct OnnxValue {
  std::string name;
  RankedTensorType type; ///< null for a sequence or an absent optional
  Value value;           ///< null until needed as data

  // At most one of these is set where `value` is null.
  DenseElementsAttr constant;
  std::shared_ptr<const TensorRange> range; ///< a weight

  /// Known elements; computed from `constant` or `range` when first asked for.
  std::shared_ptr<const Elements> elements;
  bool elementsTried = false;

  /// For one boolean made by comparing two extents: true exactly when they are equal.
  std::optional<std::pair<AffineExpr, AffineExpr>> equality;

  /// A sequence known at import.
  bool isSequence = false;
  std::vector<OnnxValue *> sequence;
};

} // namespace penstock::onnximport

#endif
