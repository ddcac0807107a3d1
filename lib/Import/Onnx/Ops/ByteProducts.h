//===- ByteProducts.h - Sums of products of bytes --------------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Products of 8-bit integers less their zero points, summed in i32. Where the sums are known to stay within 2^24 they
// are computed in f32: every partial sum is an integer that f32 holds, so that the result is exact in any order, and
// libraries are fast at it. Longer sums are made of parts that stay within; what cannot be bounded is computed in i32.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_IMPORT_ONNX_OPS_BYTEPRODUCTS_H
#define PENSTOCK_LIB_IMPORT_ONNX_OPS_BYTEPRODUCTS_H

#include "../NodeContext.h"

namespace penstock::onnximport {

/// The right operand of a product: a value in i32, and the node's inputs that its bytes and its zero point come from.
struct ByteOperand {
  Value value;
  int bytesIndex, zeroIndex;
};

/// NumPy's matmul of i32 that hold differences of bytes.
Value multiplyBytes(NodeContext &n, Value lhs, const ByteOperand &rhs);
/// The same of matrices, each of which may be transposed first.
Value multiplyByteMatrices(NodeContext &n, Value lhs, const ByteOperand &rhs, bool transposeLhs, bool transposeRhs);
/// The convolution with the attributes of nn.conv.
Value convolveBytes(NodeContext &n, Value input, const ByteOperand &filter, int64_t group,
                    ArrayRef<NamedAttribute> attributes);

} // namespace penstock::onnximport

#endif
