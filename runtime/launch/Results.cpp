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

Status writeResults(const std::string &folder, const std::vector<std::string> &names,
                    const std::vector<TensorMap> &results) {
  std::map<std::string, std::string> files = outputFileNames(names, ".npy");
  std::vector<std::string> created, written;
  Status status = makeFolders(folder, created);
  for (size_t k = 0; k < results.size() && status.ok(); ++k) {
    std::string place = results.size() > 1 ? folder + "/" + std::to_string(k) : folder;
    status = makeFolders(place, created);
    for (size_t i = 0; i < names.size() && status.ok(); ++i) {
      if (!results[k].count(names[i]))
        continue;
      written.push_back(place + "/" + files[names[i]]);
      status = writeNpyFile(written.back() + ".new", results[k].at(names[i]));
    }
  }
  // Only complete sets are moved to their names.
  for (size_t i = 0; i < written.size() && status.ok(); ++i)
    if (std::rename((written[i] + ".new").c_str(), written[i].c_str()) != 0)
      status = failErrno("cannot write '%s'", written[i].c_str());
  if (status.ok())
    return status;
  for (const std::string &file : written)
    unlink((file + ".new").c_str());
  removeFolders(created);
  return status;
}

} // namespace rt
} // namespace penstock
