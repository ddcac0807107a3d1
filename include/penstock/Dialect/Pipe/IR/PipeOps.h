//===- PipeOps.h - The pipe dialect, its attributes and ops ----*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// Everything that TableGen makes from PipeOps.td, and which messages pass between host and device.
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

namespace penstock::pipe {

/// Are messages of a channel copied between the host, which carries it, and the device that a stage at one of its ends
/// runs on?
bool isStaged(StageOp stage, ChannelOp channel);

} // namespace penstock::pipe

#endif // PENSTOCK_DIALECT_PIPE_IR_PIPEOPS_H
