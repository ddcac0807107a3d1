//===- PipeToRt.h - From placed stages to calls of the runtime -*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_CONVERSION_PIPETORT_PIPETORT_H
#define PENSTOCK_CONVERSION_PIPETORT_PIPETORT_H

#include "penstock/Dialect/Pipe/IR/PipeOps.h"
#include "penstock/Dialect/Rt/IR/RtOps.h"

#include "mlir/Pass/Pass.h"

namespace penstock {

/// Name of the function of a compiled kernel: "k_" and its `kernel.object`; empty if it has none.
std::string getKernelFunctionName(nn::KernelDefOp kernel);

#define GEN_PASS_DECL
#include "penstock/Conversion/PipeToRt/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "penstock/Conversion/PipeToRt/Passes.h.inc"

} // namespace penstock

#endif // PENSTOCK_CONVERSION_PIPETORT_PIPETORT_H
