//===- PipeOps.h - The pipe dialect, its attributes and ops ----*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// Everything that TableGen makes from PipeOps.td.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_DIALECT_PIPE_IR_PIPEOPS_H
#define PENSTOCK_DIALECT_PIPE_IR_PIPEOPS_H

#include "penstock/Dialect/NN/IR/NNOps.h"

#include "penstock/Dialect/Pipe/IR/PipeDialect.h.inc"
#include "penstock/Dialect/Pipe/IR/PipeEnums.h.inc"
#define GET_ATTRDEF_CLASSES
#include "penstock/Dialect/Pipe/IR/PipeAttrs.h.inc"
#define GET_OP_CLASSES
#include "penstock/Dialect/Pipe/IR/PipeOps.h.inc"

#endif // PENSTOCK_DIALECT_PIPE_IR_PIPEOPS_H
