//===- Error.h - Failures with an exit status ---------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What can go wrong outside of IR (where MLIR's diagnostics speak): files, folders, the linker. A failure is an
// llvm::Error that knows whose fault it is, because the exit status of the tools depends on it.
//
// Messages: one line, lower case, no final period; they name the file and the value and say what was expected.
// Threads: no shared state.
//
//===----------------------------------------------------------------------===//

#ifndef PENSTOCK_SUPPORT_ERROR_H
#define PENSTOCK_SUPPORT_ERROR_H

#include "llvm/Support/Error.h"
#include "llvm/Support/FormatVariadic.h"

#include <string>

namespace penstock {

/// Whose fault a failure is; the value is the exit status.
enum class Fault {
  kWorld = 1, ///< disk full, out of descriptors, a broken installation
  kUser = 2,  ///< flags, files, model, plan, a folder that cannot be written
};

class Failure : public llvm::ErrorInfo<Failure> {
public:
  static char ID;
  Failure(Fault fault, std::string message) : fault(fault), text(std::move(message)) {}

  void log(llvm::raw_ostream &os) const override { os << text; }
  std::error_code convertToErrorCode() const override { return llvm::inconvertibleErrorCode(); }
  Fault getFault() const { return fault; }

private:
  Fault fault;
  std::string text;
};

/// Failures made with llvm::formatv: userError("file '{0}' has {1} bytes; expected {2}", ...).
template <typename... Ts> llvm::Error userError(const char *format, Ts &&...values) {
  return llvm::make_error<Failure>(Fault::kUser, llvm::formatv(format, std::forward<Ts>(values)...).str());
}
template <typename... Ts> llvm::Error worldError(const char *format, Ts &&...values) {
  return llvm::make_error<Failure>(Fault::kWorld, llvm::formatv(format, std::forward<Ts>(values)...).str());
}

/// A refused system call: "cannot <action> '<path>': <what errno says>". What a user can cure by naming another path
/// (missing, not permitted, read-only, not a folder) is the user's; the rest (disk full, I/O error) is the world's.
llvm::Error systemError(const char *action, llvm::StringRef path, int errorNumber);

/// 0, 1 or 2; `message` gets the text of all failures. An error of another class counts as the world's. Consumes
/// `error`.
int exitStatus(llvm::Error error, std::string &message);

} // namespace penstock

#endif // PENSTOCK_SUPPORT_ERROR_H
