//===- Diagnostics.h - Errors of the compiler in words ---------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// Turns MLIR's diagnostics into the lines that the command line promises: `error: node 'conv1': ...`. An error with
// notes stays one line; notes follow only with `verbose`. One reporter per MLIRContext; not for use by several threads
// at once (MLIR serializes its diagnostics).
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_DRIVER_DIAGNOSTICS_H
#define PENSTOCK_DRIVER_DIAGNOSTICS_H

#include "mlir/IR/Diagnostics.h"
#include "llvm/Support/raw_ostream.h"

namespace penstock::driver {

/// Where a location is, for a person: "node 'conv1'", "m.mlir:3:4", or nothing.
std::string describeLocation(mlir::Location loc);

class DiagnosticReporter : public mlir::ScopedDiagnosticHandler {
public:
  DiagnosticReporter(mlir::MLIRContext *context, llvm::raw_ostream &os, bool verbose);
  unsigned getNumErrors() const { return numErrors; }

private:
  void report(mlir::Diagnostic &diagnostic, llvm::raw_ostream &os, bool verbose);
  unsigned numErrors = 0;
};

} // namespace penstock::driver

#endif // PENSTOCK_DRIVER_DIAGNOSTICS_H
