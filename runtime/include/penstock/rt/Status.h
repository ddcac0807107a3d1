//===- Status.h - How runtime functions fail ---------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A code and a sentence. The sentence is lower case, has no final period, and names the thing, the value and what was
// expected. Success carries no text, so the fast path never allocates.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_STATUS_H
#define PENSTOCK_RT_STATUS_H

#include "penstock/rt/Abi.h"

#include <cstdarg>
#include <memory>
#include <string>
#include <utility>

namespace penstock {
namespace rt {

/// The codes of rt_status, as a C++ type.
enum class Code : int32_t {
  kOk = RT_OK,
  kEnd = RT_END,
  kTimeout = RT_ERR_TIMEOUT,
  kPeerLost = RT_ERR_PEER,
  kMismatch = RT_ERR_MISMATCH,
  kAborted = RT_ERR_ABORTED,
  kInvalid = RT_ERR_INVALID,
  kSystem = RT_ERR_SYSTEM,
  kFault = RT_ERR_FAULT,
  kKernel = RT_ERR_KERNEL,
  kProgram = RT_ERR_PROGRAM,
};

class [[nodiscard]] Status {
public:
  Status() = default;
  Status(Code code, std::string message)
      : theCode(code), theMessage(std::make_shared<const std::string>(std::move(message))) {}

  bool ok() const { return theCode == Code::kOk; }
  Code code() const { return theCode; }
  const std::string &message() const {
    static const std::string kNone;
    return theMessage ? *theMessage : kNone;
  }
  /// Exit status of the command line: 2 when what the user gave is wrong, 1 when the world failed.
  int exitStatus() const { return ok() ? 0 : theCode == Code::kInvalid || theCode == Code::kMismatch ? 2 : 1; }

private:
  Code theCode = Code::kOk;
  std::shared_ptr<const std::string> theMessage; ///< shared: a failure that is made beforehand costs nothing to return
};

/// A printf-style string.
std::string format(const char *text, ...) __attribute__((format(printf, 1, 2)));
/// A failure with a printf-style message.
Status fail(Code code, const char *text, ...) __attribute__((format(printf, 2, 3)));
/// A kSystem failure that ends in the words of errno: "cannot open 'x': no such file or directory".
Status failErrno(const char *text, ...) __attribute__((format(printf, 1, 2)));

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_STATUS_H
