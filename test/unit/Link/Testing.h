//===- Testing.h - Folders and files for the tests of lib/Link ----*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PENSTOCK_TEST_UNIT_LINK_TESTING_H
#define PENSTOCK_TEST_UNIT_LINK_TESTING_H

#include "penstock/Support/Error.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "gtest/gtest.h"

#include <csignal>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>
#include <sys/resource.h>

namespace penstock {

/// A folder that is removed again.
class TemporaryFolder {
public:
  TemporaryFolder() {
    llvm::SmallString<128> made;
    EXPECT_FALSE(llvm::sys::fs::createUniqueDirectory("penstock-test", made));
    folder = std::string(made);
  }
  ~TemporaryFolder() { llvm::sys::fs::remove_directories(folder); }
  std::string file(const std::string &name) const { return folder + "/" + name; }
  const std::string &path() const { return folder; }

private:
  std::string folder;
};

inline std::string readFile(const std::string &path) {
  std::ifstream stream(path, std::ios::binary);
  std::stringstream text;
  text << stream.rdbuf();
  return text.str();
}

inline void writeFile(const std::string &path, const std::string &bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

/// Standard output of a command.
inline std::string runCommand(const std::string &command) {
  std::string output;
  FILE *pipe = ::popen(command.c_str(), "r");
  if (!pipe)
    return output;
  char buffer[4096];
  while (size_t length = std::fread(buffer, 1, sizeof buffer, pipe))
    output.append(buffer, length);
  ::pclose(pipe);
  return output;
}

/// The message of an error; its exit status is checked.
inline std::string messageOf(llvm::Error error, int expectedStatus) {
  std::string message;
  EXPECT_EQ(exitStatus(std::move(error), message), expectedStatus) << message;
  return message;
}

/// Number of entries of a folder.
inline int countEntries(const std::string &folder) {
  int count = 0;
  std::error_code code;
  for (llvm::sys::fs::directory_iterator entry(folder, code), end; entry != end && !code; entry.increment(code))
    ++count;
  return count;
}

/// No file may grow beyond `numBytes` while this lives: to a writer it looks like a full disk.
class FileSizeLimit {
public:
  explicit FileSizeLimit(rlim_t numBytes) {
    ::getrlimit(RLIMIT_FSIZE, &saved);
    struct rlimit limit = {numBytes, saved.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    handler = ::signal(SIGXFSZ, SIG_IGN);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &saved);
    ::signal(SIGXFSZ, handler);
  }

private:
  struct rlimit saved;
  void (*handler)(int);
};

} // namespace penstock

#endif // PENSTOCK_TEST_UNIT_LINK_TESTING_H
