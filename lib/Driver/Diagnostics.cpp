//===- Diagnostics.cpp - Errors of the compiler in words -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "penstock/Driver/Diagnostics.h"

#include "mlir/IR/Location.h"
#include "mlir/IR/MLIRContext.h"
#include "llvm/ADT/TypeSwitch.h"

namespace penstock::driver {
using namespace mlir;

std::string describeLocation(Location loc) {
  return llvm::TypeSwitch<Location, std::string>(loc)
      .Case([](NameLoc name) { return "node '" + name.getName().str() + "'"; })
      .Case([](FileLineColLoc file) {
        return (file.getFilename().getValue() + ":" + Twine(file.getLine()) + ":" + Twine(file.getColumn())).str();
      })
      .Case([](FusedLoc fused) {
        return fused.getLocations().empty() ? std::string() : describeLocation(fused.getLocations().front());
      })
      .Case([](CallSiteLoc call) { return describeLocation(call.getCallee()); })
      .Default([](Location) { return std::string(); });
}

DiagnosticReporter::DiagnosticReporter(MLIRContext *context, llvm::raw_ostream &os, bool verbose)
    : ScopedDiagnosticHandler(context) {
  setHandler([this, &os, verbose](Diagnostic &diagnostic) {
    report(diagnostic, os, verbose);
    return success();
  });
}

static StringRef severityName(DiagnosticSeverity severity) {
  switch (severity) {
  case DiagnosticSeverity::Error:
    return "error";
  case DiagnosticSeverity::Warning:
    return "warning";
  case DiagnosticSeverity::Remark:
    return "note";
  case DiagnosticSeverity::Note:
    return "note";
  }
  return "error";
}

static void printLine(llvm::raw_ostream &os, Diagnostic &diagnostic) {
  os << severityName(diagnostic.getSeverity()) << ": ";
  std::string where = describeLocation(diagnostic.getLocation());
  if (!where.empty())
    os << where << ": ";
  os << diagnostic.str() << "\n";
}

void DiagnosticReporter::report(Diagnostic &diagnostic, llvm::raw_ostream &os, bool verbose) {
  numErrors += diagnostic.getSeverity() == DiagnosticSeverity::Error;
  printLine(os, diagnostic);
  if (!verbose)
    return;
  for (Diagnostic &note : diagnostic.getNotes())
    printLine(os, note);
}

} // namespace penstock::driver
