//===- Files.cpp - Files that are whole, folders for a moment ----*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "penstock/Support/Files.h"

#include "penstock/Support/Error.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <sys/random.h>

using namespace penstock;
namespace fs = llvm::sys::fs;

using Writer = llvm::function_ref<void(llvm::raw_ostream &)>;

static std::error_code writeAndClose(int descriptor, Writer write) {
  llvm::raw_fd_ostream os(descriptor, /*shouldClose=*/true);
  write(os);
  os.close();
  std::error_code code = os.error();
  os.clear_error();
  return code;
}

/// A new file with a name drawn by chance; -1, and errno, if there can be none.
static int createBeside(llvm::StringRef path, unsigned mode, std::string &temporary) {
  constexpr int kMaxAttempts = 10;
  int descriptor = -1;
  for (int attempt = 0; attempt < kMaxAttempts && descriptor < 0; ++attempt) {
    uint64_t chance = 0;
    if (::getrandom(&chance, sizeof(chance), 0) != ssize_t(sizeof(chance)))
      break;
    temporary = path.str() + ".tmp-" + llvm::utohexstr(chance, /*LowerCase=*/true);
    descriptor = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (descriptor < 0 && errno != EEXIST)
      break;
  }
  return descriptor;
}

/// A pipe or a device, which nothing may take the place of.
static llvm::Error writeStream(llvm::StringRef path, Writer write) {
  int descriptor;
  std::error_code code = fs::openFileForWrite(path, descriptor, fs::CD_OpenExisting);
  if (!code)
    code = writeAndClose(descriptor, write);
  return code ? systemError("write", path, code.value()) : llvm::Error::success();
}

llvm::Error penstock::writeWholeFile(llvm::StringRef path, Writer write, unsigned mode) {
  fs::file_status status;
  fs::status(path, status);
  if (fs::is_directory(status))
    return systemError("write", path, EISDIR);
  if (fs::exists(status) && !fs::is_regular_file(status))
    return writeStream(path, write);
  std::string temporary;
  int descriptor = createBeside(path, mode, temporary);
  if (descriptor < 0)
    return systemError("write", path, errno);
  std::error_code code = writeAndClose(descriptor, write);
  if (!code)
    code = fs::rename(temporary, path);
  if (!code)
    return llvm::Error::success();
  fs::remove(temporary);
  return systemError("write", path, code.value());
}

llvm::Expected<PrivateFolder> PrivateFolder::create(std::string pattern, llvm::StringRef wished) {
  pattern += "XXXXXX";
  if (!::mkdtemp(pattern.data()))
    return systemError("create a folder in", wished, errno);
  return PrivateFolder(std::move(pattern));
}

llvm::Expected<PrivateFolder> PrivateFolder::createTemporary() {
  llvm::SmallString<128> folder;
  llvm::sys::path::system_temp_directory(/*ErasedOnReboot=*/true, folder);
  return create((folder + "/penstock-").str(), folder);
}

llvm::Expected<PrivateFolder> PrivateFolder::createBeside(llvm::StringRef path) {
  llvm::StringRef folder = llvm::sys::path::parent_path(path);
  std::string place = folder.empty() ? "." : folder.str();
  return create(place + "/." + llvm::sys::path::filename(path).str() + "-", place);
}

PrivateFolder::~PrivateFolder() {
  if (!path.empty())
    fs::remove_directories(path);
}
