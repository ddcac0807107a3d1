//===- Results.cpp - Where the outputs of requests go ------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "Results.h"

#include "penstock/rt/Files.h"

#include <cerrno>
#include <cstdio>
#include <sys/stat.h>
#include <unistd.h>

namespace penstock {
namespace rt {

static Status makeFolder(const std::string &folder, std::vector<std::string> &created) {
  if (mkdir(folder.c_str(), 0777) == 0) {
    created.push_back(folder);
    return Status();
  }
  struct stat info;
  if (errno == EEXIST && stat(folder.c_str(), &info) == 0 && S_ISDIR(info.st_mode))
    return Status();
  return failErrno("cannot create the folder '%s'", folder.c_str());
}

Status checkFolder(const std::string &folder) {
  std::string existing = folder;
  struct stat info;
  while (stat(existing.c_str(), &info) != 0) {
    if (errno != ENOENT)
      return Status(Code::kInvalid, failErrno("cannot write to the folder '%s'", folder.c_str()).message());
    size_t slash = existing.find_last_not_of('/');
    slash = slash == std::string::npos ? slash : existing.rfind('/', slash);
    existing = slash == std::string::npos ? "." : slash == 0 ? "/" : existing.substr(0, slash);
  }
  if (!S_ISDIR(info.st_mode))
    return fail(Code::kInvalid, "cannot write to the folder '%s': '%s' is no folder", folder.c_str(), existing.c_str());
  if (access(existing.c_str(), W_OK | X_OK) != 0)
    return Status(Code::kInvalid, failErrno("cannot write to the folder '%s'", existing.c_str()).message());
  return Status();
}

static Status makeFolders(const std::string &folder, std::vector<std::string> &created) {
  for (size_t slash = folder.find('/', 1); slash != std::string::npos; slash = folder.find('/', slash + 1))
    if (Status status = makeFolder(folder.substr(0, slash), created); !status.ok())
      return status;
  return makeFolder(folder, created);
}

static void removeFolders(const std::vector<std::string> &created) {
  for (size_t i = created.size(); i-- > 0;)
    rmdir(created[i].c_str()); // one that has got other contents stays
}

ResultWriter::ResultWriter(std::string folder, std::vector<std::string> names, size_t numRequests, std::string mark)
    : folder(std::move(folder)), mark(this->folder + "/" + mark), names(std::move(names)), numRequests(numRequests) {}

Status ResultWriter::begin() {
  if (isBegun)
    return Status();
  isBegun = true;
  if (Status status = makeFolders(folder, created); !status.ok())
    return status;
  isMarkOurs = access(mark.c_str(), F_OK) != 0; // else an earlier run has left it
  std::FILE *file = std::fopen(mark.c_str(), "w");
  if (!file)
    return failErrno("cannot write '%s'", mark.c_str());
  std::fclose(file);
  return Status();
}

Status ResultWriter::writeFiles(const std::string &place, const TensorMap &result, std::vector<std::string> &written) {
  std::map<std::string, std::string> files = outputFileNames(names, ".npy");
  if (Status status = makeFolders(place, created); !status.ok())
    return status;
  for (const std::string &name : names) {
    if (!result.count(name))
      continue;
    written.push_back(place + "/" + files[name]);
    if (Status status = writeNpyFile(written.back() + ".new", result.at(name)); !status.ok())
      return status;
  }
  for (const std::string &file : written)
    if (std::rename((file + ".new").c_str(), file.c_str()) != 0)
      return failErrno("cannot write '%s'", file.c_str());
  return Status();
}

Status ResultWriter::write(const TensorMap &result) {
  if (Status status = begin(); !status.ok())
    return status;
  std::vector<std::string> written;
  std::string place = numRequests > 1 ? folder + "/" + std::to_string(numWritten) : folder;
  Status status = writeFiles(place, result, written);
  if (status.ok())
    ++numWritten;
  else
    for (const std::string &file : written)
      unlink((file + ".new").c_str());
  return status;
}

Status ResultWriter::complete() {
  if (isBegun && unlink(mark.c_str()) != 0)
    return failErrno("cannot remove '%s'", mark.c_str());
  isBegun = false;
  return Status();
}

void ResultWriter::incomplete(const Status &cause) {
  if (!isBegun)
    return;
  if (numWritten == 0) {
    if (isMarkOurs)
      unlink(mark.c_str());
    removeFolders(created);
    return;
  }
  // On a full disk the mark stays empty; its name says enough.
  if (std::FILE *file = std::fopen(mark.c_str(), "w")) {
    std::fprintf(file, "%zu of %zu requests are here; the run failed: %s\n", numWritten, numRequests,
                 cause.message().c_str());
    std::fclose(file);
  }
}

} // namespace rt
} // namespace penstock
