//===- Status.cpp - Messages -------------------------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "penstock/rt/Status.h"

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace penstock {
namespace rt {

static std::string formatList(const char *text, va_list list) {
  va_list copy;
  va_copy(copy, list);
  int length = std::vsnprintf(nullptr, 0, text, copy);
  va_end(copy);
  if (length <= 0)
    return std::string();
  std::string result(static_cast<size_t>(length), '\0');
  std::vsnprintf(&result[0], result.size() + 1, text, list);
  return result;
}

std::string format(const char *text, ...) {
  va_list list;
  va_start(list, text);
  std::string result = formatList(text, list);
  va_end(list);
  return result;
}

Status fail(Code code, const char *text, ...) {
  va_list list;
  va_start(list, text);
  std::string message = formatList(text, list);
  va_end(list);
  return Status(code, std::move(message));
}

Status failErrno(const char *text, ...) {
  int error = errno;
  va_list list;
  va_start(list, text);
  std::string message = formatList(text, list);
  va_end(list);
  char buffer[128] = "";
  std::string words = strerror_r(error, buffer, sizeof(buffer));
  if (!words.empty() && words[0] >= 'A' && words[0] <= 'Z')
    words[0] = static_cast<char>(words[0] - 'A' + 'a');
  return Status(Code::kSystem, message + ": " + words);
}

} // namespace rt
} // namespace penstock
