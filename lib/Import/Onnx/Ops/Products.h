//===- Products.h - Products shared by operator families -------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_IMPORT_ONNX_OPS_PRODUCTS_H
#define PENSTOCK_LIB_IMPORT_ONNX_OPS_PRODUCTS_H

#include "../NodeContext.h"

namespace penstock::onnximport {

/// NumPy's matmul: operands of one axis become matrices and lose that axis again.
Value multiplyMatrices(NodeContext &n, Value lhs, Value rhs);
/// The same with `multiply` for what is then a product of matrices.
Value asMatrices(NodeContext &n, Value lhs, Value rhs, llvm::function_ref<Value(Value, Value)> multiply);

} // namespace penstock::onnximport

#endif
