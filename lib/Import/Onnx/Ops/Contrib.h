//===- Contrib.h - Parts of the family of ONNX Runtime's operators -*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_IMPORT_ONNX_OPS_CONTRIB_H
#define PENSTOCK_LIB_IMPORT_ONNX_OPS_CONTRIB_H

namespace penstock::onnximport {
class OperatorRegistry;

void registerContribAttention(OperatorRegistry &registry);

} // namespace penstock::onnximport

#endif // PENSTOCK_LIB_IMPORT_ONNX_OPS_CONTRIB_H
