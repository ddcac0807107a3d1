//===- DeviceAttrs.h - Where stages run, as attributes ---------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// Written when a model is split into stages; from then on they are what counts.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_DIALECT_PIPE_IR_DEVICEATTRS_H
#define PENSTOCK_DIALECT_PIPE_IR_DEVICEATTRS_H

#include "llvm/ADT/StringRef.h"

namespace penstock::pipe {

/// Of a `pipe.stage`, and of the kernels that only such stages call: the kind of device, "cuda". Without: the host.
inline constexpr llvm::StringLiteral kDeviceAttr = "pipe.device";
/// Of a `pipe.channel` all of whose stages are on devices: what takes payloads from one to the next, "nccl". Without:
/// the host.
inline constexpr llvm::StringLiteral kCarrierAttr = "pipe.carrier";

} // namespace penstock::pipe

#endif // PENSTOCK_DIALECT_PIPE_IR_DEVICEATTRS_H
