//===- TextFile.h - Reading a whole file --------------------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Private to lib/Partition.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_PARTITION_TEXTFILE_H
#define PENSTOCK_LIB_PARTITION_TEXTFILE_H

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

namespace penstock::partition {

/// False, and why, without the file's name, if the file cannot be read or holds more than 64 MiB.
inline bool readTextFile(const std::string &fileName, std::string &text, std::string &error) {
  std::FILE *file = std::fopen(fileName.c_str(), "rb");
  if (!file) {
    error = std::string("cannot be read: ") + std::strerror(errno);
    return false;
  }
  constexpr size_t maxBytes = size_t(64) << 20;
  char buffer[1 << 16];
  text.clear();
  errno = 0;
  while (size_t count = std::fread(buffer, 1, sizeof buffer, file)) {
    text.append(buffer, count);
    if (text.size() > maxBytes)
      break;
  }
  bool failed = std::ferror(file) != 0;
  if (failed)
    error = std::string("cannot be read: ") + std::strerror(errno);
  else if (text.size() > maxBytes)
    error = "has more than 64 MiB; expected a small text file";
  std::fclose(file);
  return error.empty();
}

} // namespace penstock::partition

#endif // PENSTOCK_LIB_PARTITION_TEXTFILE_H
