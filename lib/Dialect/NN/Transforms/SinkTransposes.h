//===- SinkTransposes.h - Transposes in front of attentions ----*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_DIALECT_NN_TRANSFORMS_SINKTRANSPOSES_H
#define PENSTOCK_LIB_DIALECT_NN_TRANSFORMS_SINKTRANSPOSES_H

#include "mlir/IR/PatternMatch.h"

namespace penstock::nn {

/// Elementwise ops, slices and concatenations of transposed values that only attentions read become transposes of
/// these.
void populateSinkTransposePatterns(mlir::RewritePatternSet &patterns);

} // namespace penstock::nn

#endif // PENSTOCK_LIB_DIALECT_NN_TRANSFORMS_SINKTRANSPOSES_H
