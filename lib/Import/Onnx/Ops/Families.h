//===- Families.h - The files of operator converters -----------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// One `register...Operators` function for each family in Families.def, defined in the file of that name.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_IMPORT_ONNX_OPS_FAMILIES_H
#define PENSTOCK_LIB_IMPORT_ONNX_OPS_FAMILIES_H

namespace penstock::onnximport {
class OperatorRegistry;
#define OPERATOR_FAMILY(name) void register##name##Operators(OperatorRegistry &registry);
#include "Families.def"
} // namespace penstock::onnximport

#endif
