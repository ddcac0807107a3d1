//===- Checks.h - What must hold before import ------------------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Operator sets, operators and ONNX's own checker, on a model whose tensor data are references.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_IMPORT_ONNX_CHECKS_H
#define PENSTOCK_LIB_IMPORT_ONNX_CHECKS_H

#include "ModelFile.h"
#include "penstock/Import/Onnx/OperatorRegistry.h"

namespace penstock::onnximport {

/// Reports every unsupported operator of the model at once; otherwise what ONNX's checker finds.
LogicalResult checkModel(MLIRContext &context, ModelFile &file, const OperatorRegistry &registry);

/// Operators of the main graph, its subgraphs and the model's own functions.
std::vector<OperatorUse> collectOperators(const onnx::ModelProto &model, const OperatorRegistry &registry);

} // namespace penstock::onnximport

#endif
