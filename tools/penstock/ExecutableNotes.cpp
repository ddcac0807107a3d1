//===- ExecutableNotes.cpp - What executables say of themselves -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "ExecutableNotes.h"

#include "penstock/Support/Error.h"

#include "llvm/Object/ELF.h"
#include "llvm/Support/MemoryBuffer.h"

#include <fstream>

namespace penstock::tool {

bool isExecutable(const std::string &path) {
  char magic[4] = {};
  std::ifstream(path).read(magic, sizeof(magic));
  return llvm::StringRef(magic, sizeof(magic)) == "\177ELF";
}

/// Notes are found by the segments, which are there in a stripped executable too.
static llvm::Error collectNotes(llvm::StringRef bytes, std::vector<rt::RoleIdentity> &identities) {
  using llvm::object::ELF64LE;
  llvm::Expected<llvm::object::ELFFile<ELF64LE>> file = llvm::object::ELFFile<ELF64LE>::create(bytes);
  if (!file)
    return file.takeError();
  llvm::Expected<llvm::ArrayRef<ELF64LE::Phdr>> segments = file->program_headers();
  if (!segments)
    return segments.takeError();
  for (const ELF64LE::Phdr &segment : *segments) {
    if (segment.p_type != llvm::ELF::PT_NOTE)
      continue;
    llvm::Error error = llvm::Error::success();
    for (const auto &note : file->notes(segment, error)) {
      if (note.getName() != RT_NOTE_NAME || note.getType() != RT_NOTE_TYPE)
        continue;
      rt::RoleIdentity &identity = identities.emplace_back();
      rt::Status status = rt::parseIdentity(note.getDescAsStringRef(4).str(), identity);
      if (!status.ok()) {
        llvm::consumeError(std::move(error));
        return userError("{0}", status.message());
      }
    }
    if (error)
      return error;
  }
  return llvm::Error::success();
}

llvm::Expected<std::vector<rt::RoleIdentity>> readNotes(const std::string &path) {
  auto buffer = llvm::MemoryBuffer::getFile(path, /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (!buffer)
    return systemError("read", path, buffer.getError().value());
  std::vector<rt::RoleIdentity> identities;
  if (llvm::Error error = collectNotes((*buffer)->getBuffer(), identities))
    return userError("'{0}' cannot be read: {1}", path, llvm::toString(std::move(error)));
  if (identities.empty())
    return userError("'{0}' is an executable without a note of Penstock; expected a stage that penstock compile wrote",
                     path);
  return std::move(identities);
}

} // namespace penstock::tool
