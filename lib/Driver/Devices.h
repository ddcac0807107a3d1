//===- Devices.h - Where stages run, and who makes their kernels -*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// From the phase split on, `pipe.device` says of a stage and of a kernel that it is of a device ("cuda"); what does not
// carry it is of the host. A dump is resumed with what its stages say, whatever --target is.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_DRIVER_DEVICES_H
#define PENSTOCK_LIB_DRIVER_DEVICES_H

#include "penstock/Driver/Compiler.h"

namespace penstock::driver {

/// Empty: the host.
llvm::StringRef getDevice(mlir::Operation *stageOrKernel);

/// Where the stages of a split module run: as the cluster file says, else all on the device of --target. Between
/// devices the cluster file may choose what carries messages.
mlir::LogicalResult placeStages(Compilation &compilation);

/// Writes where each stage runs. A kernel that is called on the host and on a device is there twice afterwards; one
/// that makes weights is of the host.
void placeOnDevices(mlir::ModuleOp module, llvm::ArrayRef<std::string> devicesByStage);

/// The target whose stages are on `device`, opened once.
mlir::LogicalResult openTargetFor(Compilation &compilation, llvm::StringRef device, const TargetBackend *&target);

/// What the code of the roles is made for, and what their kernels are: those of the host, if there are any.
mlir::LogicalResult findProfiles(Compilation &compilation, TargetProfile &roles, TargetProfile &kernels);

} // namespace penstock::driver

#endif // PENSTOCK_LIB_DRIVER_DEVICES_H
