//===- Error.cpp - Failures with an exit status -------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "penstock/Support/Error.h"

#include "llvm/ADT/StringExtras.h"

#include <algorithm>
#include <cerrno>

using namespace penstock;

char Failure::ID = 0;

static Fault classify(int errorNumber) {
  switch (errorNumber) {
  case ENOENT:
  case EACCES:
  case EPERM:
  case EROFS:
  case ENOTDIR:
  case EISDIR:
  case ELOOP:
  case ENAMETOOLONG:
  case EEXIST:
  case ENOTEMPTY:
    return Fault::kUser;
  default:
    return Fault::kWorld;
  }
}

llvm::Error penstock::systemError(const char *action, llvm::StringRef path, int errorNumber) {
  std::string reason = std::error_code(errorNumber, std::generic_category()).message();
  if (!reason.empty())
    reason[0] = llvm::toLower(reason[0]);
  return llvm::make_error<Failure>(classify(errorNumber),
                                   llvm::formatv("cannot {0} '{1}': {2}", action, path, reason).str());
}

int penstock::exitStatus(llvm::Error error, std::string &message) {
  int status = 0;
  auto add = [&](const std::string &text, Fault fault) {
    message += (message.empty() ? "" : "; ") + text;
    status = std::max(status, int(fault));
  };
  llvm::handleAllErrors(
      std::move(error), [&](const Failure &failure) { add(failure.message(), failure.getFault()); },
      [&](const llvm::ErrorInfoBase &other) { add(other.message(), Fault::kWorld); });
  return status;
}
