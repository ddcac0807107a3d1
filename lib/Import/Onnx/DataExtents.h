//===- DataExtents.h - Extents that are found when the model runs -*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_IMPORT_ONNX_DATAEXTENTS_H
#define PENSTOCK_LIB_IMPORT_ONNX_DATAEXTENTS_H

#include "NodeContext.h"

namespace penstock::onnximport {

/// Integers of an input; those that depend on data are found when the model runs. Flags call them `nameOf(i)`, and none
/// is below 0 or, if that is not null, above `bound`.
FailureOr<Extents> getNumbersInput(NodeContext &n, int index, llvm::function_ref<std::string(int64_t)> nameOf,
                                   AffineExpr bound = {});
/// The same, called `<first output>.<what>.<i>`.
FailureOr<Extents> getNumbersInput(NodeContext &n, int index, StringRef what);

} // namespace penstock::onnximport

#endif
