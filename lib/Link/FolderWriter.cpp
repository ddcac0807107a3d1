//===- FolderWriter.cpp - A folder that appears as a whole --------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "penstock/Link/FolderWriter.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"

#include <cerrno>
#include <cstdio>
#include <ctime>
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

using namespace penstock;
using namespace penstock::link;
namespace fs = llvm::sys::fs;

/// True if the folder has a plan.json that Penstock wrote.
static bool isBundle(const std::string &folder) {
  auto file = llvm::MemoryBuffer::getFile(folder + "/plan.json");
  if (!file)
    return false;
  nlohmann::json plan = nlohmann::json::parse((*file)->getBuffer().begin(), (*file)->getBuffer().end(), nullptr,
                                              /*allow_exceptions=*/false);
  return plan.is_object() && plan.contains("schema") && plan.contains("fingerprint") && plan.contains("stages");
}

/// Refuses whatever stands at the target and is not ours to replace.
static llvm::Error checkTarget(const std::string &target) {
  struct stat status;
  if (::lstat(target.c_str(), &status))
    return errno == ENOENT ? llvm::Error::success() : systemError("write folder", target, errno);
  if (!S_ISDIR(status.st_mode))
    return userError("'{0}' exists and is not a folder; expected a new name or a folder that Penstock wrote", target);
  std::error_code code;
  fs::directory_iterator entry(target, code);
  if (code)
    return systemError("read folder", target, code.value());
  if (entry == fs::directory_iterator() || isBundle(target))
    return llvm::Error::success();
  return userError("folder '{0}' is not empty and Penstock did not write it; expected a new name, an empty folder or "
                   "one with a plan.json of Penstock",
                   target);
}

/// Symbolic links are followed, so that the temporary folder lies beside the real one.
static std::string resolve(llvm::StringRef target) {
  while (target.size() > 1 && target.ends_with("/"))
    target = target.drop_back();
  llvm::SmallString<256> real;
  if (!fs::real_path(target, real))
    return std::string(real);
  return target.str();
}

/// The folder, locked for as long as the descriptor is open; -1 if another process holds it.
static int openLocked(const std::string &folder) {
  int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (descriptor >= 0 && ::flock(descriptor, LOCK_EX | LOCK_NB)) {
    ::close(descriptor);
    return -1;
  }
  return descriptor;
}

/// Removes what killed writers of the same target left behind: their locks went with them. A writer that has just made
/// its folder and not yet locked it is spared by its age.
static void removeStale(const std::string &folder, const std::string &prefix) {
  constexpr time_t kMinAgeSeconds = 60;
  std::vector<std::string> found;
  std::error_code code;
  for (fs::directory_iterator entry(folder, code), end; !code && entry != end; entry.increment(code))
    if (llvm::sys::path::filename(entry->path()).starts_with(prefix))
      found.push_back(entry->path());
  for (const std::string &path : found) {
    int descriptor = openLocked(path);
    struct stat status;
    if (descriptor < 0)
      continue;
    if (!::fstat(descriptor, &status) && status.st_uid == ::geteuid() &&
        ::time(nullptr) - status.st_mtime >= kMinAgeSeconds)
      fs::remove_directories(path);
    ::close(descriptor);
  }
}

llvm::Expected<FolderWriter> FolderWriter::create(llvm::StringRef wished) {
  if (wished.empty())
    return userError("the name of the output folder is empty");
  std::string target = resolve(wished);
  if (llvm::Error error = checkTarget(target))
    return std::move(error);
  llvm::StringRef parent = llvm::sys::path::parent_path(target), name = llvm::sys::path::filename(target);
  if (name == "." || name == ".." || name == "/")
    return userError("'{0}' cannot be replaced as a whole; expected the name of a folder", wished);
  std::string folder = parent.empty() ? "." : parent.str(), prefix = "." + name.str() + ".tmp-";
  removeStale(folder, prefix);
  std::string temporary = folder + "/" + prefix + "XXXXXX";
  if (!::mkdtemp(temporary.data())) // Mode 0700.
    return systemError("write folder", target, errno);
  return FolderWriter(std::move(target), std::move(temporary));
}

FolderWriter::FolderWriter(std::string target, std::string temporary)
    : target(std::move(target)), temporary(std::move(temporary)), lock(openLocked(this->temporary)) {}

FolderWriter::FolderWriter(FolderWriter &&other)
    : target(std::move(other.target)), temporary(std::move(other.temporary)), lock(other.lock) {
  other.temporary.clear();
  other.lock = -1;
}

FolderWriter::~FolderWriter() {
  if (!temporary.empty())
    fs::remove_directories(temporary);
  if (lock >= 0)
    ::close(lock);
}

std::string FolderWriter::path(llvm::StringRef name) const { return temporary + "/" + name.str(); }

llvm::Error FolderWriter::createFolder(llvm::StringRef name) {
  return ::mkdir(path(name).c_str(), 0777) ? systemError("create folder", path(name), errno) : llvm::Error::success();
}

static llvm::Error writeAll(int file, const std::string &path, llvm::StringRef bytes) {
  while (!bytes.empty()) {
    ssize_t count = ::write(file, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      return systemError("write", path, errno);
    bytes = bytes.drop_front(count);
  }
  return llvm::Error::success();
}

static llvm::Error writeNew(const std::string &path, llvm::StringRef bytes, mode_t mode) {
  int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (file < 0)
    return systemError("write", path, errno);
  llvm::Error error = writeAll(file, path, bytes);
  if (::close(file) && !error)
    return systemError("write", path, errno);
  return error;
}

llvm::Error FolderWriter::writeFile(llvm::StringRef name, llvm::StringRef bytes) {
  return writeNew(path(name), bytes, 0666);
}

llvm::Error FolderWriter::copyFile(llvm::StringRef from, llvm::StringRef name, bool isExecutable) {
  auto buffer = llvm::MemoryBuffer::getFile(from, /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (!buffer)
    return systemError("read", from, buffer.getError().value());
  return writeNew(path(name), (*buffer)->getBuffer(), isExecutable ? 0777 : 0666);
}

void FolderWriter::removeFolder(llvm::StringRef name) { fs::remove_directories(path(name)); }

/// The permissions that mkdir gives, by a folder made in `place`: to ask for the umask is to change it, and other
/// threads may make files just then.
static mode_t folderMode(const std::string &place) {
  std::string sample = place + "/.mode";
  struct stat status;
  mode_t mode = 0700;
  if (!::mkdir(sample.c_str(), 0777) && !::lstat(sample.c_str(), &status))
    mode = status.st_mode & 0777;
  ::rmdir(sample.c_str());
  return mode;
}

/// Where the file system cannot exchange two names at once, there is a moment without the folder.
static llvm::Error exchangeInSteps(const std::string &temporary, const std::string &target) {
  std::string old = temporary + ".old";
  if (::rename(target.c_str(), old.c_str()))
    return systemError("replace folder", target, errno);
  if (::rename(temporary.c_str(), target.c_str())) {
    int reason = errno;
    ::rename(old.c_str(), target.c_str());
    return systemError("replace folder", target, reason);
  }
  fs::remove_directories(old);
  return llvm::Error::success();
}

llvm::Error FolderWriter::exchange() {
  if (!::renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, target.c_str(), RENAME_NOREPLACE)) {
    temporary.clear();
    return llvm::Error::success();
  }
  if (errno != EEXIST && errno != EINVAL)
    return systemError("write folder", target, errno);
  if (llvm::Error error = checkTarget(target))
    return error;
  // The old folder then has the temporary name, under which the destructor removes it.
  if (!::renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, target.c_str(), RENAME_EXCHANGE))
    return llvm::Error::success();
  if (errno == ENOENT && !::rename(temporary.c_str(), target.c_str())) {
    temporary.clear();
    return llvm::Error::success();
  }
  if (errno != EINVAL)
    return systemError("replace folder", target, errno);
  if (llvm::Error error = exchangeInSteps(temporary, target))
    return error;
  temporary.clear();
  return llvm::Error::success();
}

llvm::Error FolderWriter::commit() {
  if (::chmod(temporary.c_str(), folderMode(temporary)))
    return systemError("write folder", target, errno);
  return exchange();
}
