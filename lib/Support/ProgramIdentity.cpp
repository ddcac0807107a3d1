//===- ProgramIdentity.cpp - Which program this is ----------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "penstock/Support/ProgramIdentity.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/BLAKE3.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/MemoryBuffer.h"

#include <link.h>
#include <set>
#include <sys/auxv.h>

using namespace penstock;

namespace {
struct Collected {
  std::set<std::string> identities;
  std::string unreadable;
};
} // namespace

/// The build id among the notes of a loaded file; empty: it has none.
static llvm::StringRef findBuildId(const dl_phdr_info &info, const ElfW(Phdr) & header) {
  const char *notes = reinterpret_cast<const char *>(info.dlpi_addr + header.p_vaddr);
  for (size_t offset = 0; offset + sizeof(ElfW(Nhdr)) <= header.p_memsz;) {
    auto *note = reinterpret_cast<const ElfW(Nhdr) *>(notes + offset);
    const char *name = reinterpret_cast<const char *>(note + 1);
    const char *contents = name + llvm::alignTo(note->n_namesz, 4);
    if (note->n_type == NT_GNU_BUILD_ID && llvm::StringRef(name, note->n_namesz) == llvm::StringRef("GNU\0", 4))
      return {contents, note->n_descsz};
    offset = contents + llvm::alignTo(note->n_descsz, 4) - notes;
  }
  return "";
}

static int collect(dl_phdr_info *info, size_t, void *data) {
  auto &collected = *static_cast<Collected *>(data);
  // The kernel's own page decides nothing that is made here.
  for (int i = 0; i < info->dlpi_phnum; ++i)
    if (info->dlpi_phdr[i].p_type == PT_LOAD &&
        info->dlpi_addr + info->dlpi_phdr[i].p_vaddr == ::getauxval(AT_SYSINFO_EHDR))
      return 0;
  for (int i = 0; i < info->dlpi_phnum; ++i)
    if (info->dlpi_phdr[i].p_type == PT_NOTE)
      if (llvm::StringRef id = findBuildId(*info, info->dlpi_phdr[i]); !id.empty()) {
        collected.identities.insert("id " + id.str());
        return 0;
      }
  std::string path = info->dlpi_name && *info->dlpi_name ? info->dlpi_name : "/proc/self/exe";
  auto file = llvm::MemoryBuffer::getFile(path, /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (!file) {
    collected.unreadable = path;
    return 1;
  }
  std::array<uint8_t, 32> hash = llvm::BLAKE3::hash<32>(llvm::arrayRefFromStringRef((*file)->getBuffer()));
  collected.identities.insert("contents " + llvm::toHex(hash));
  return 0;
}

llvm::Expected<std::string> penstock::getProgramIdentity() {
  Collected collected;
  ::dl_iterate_phdr(&collect, &collected);
  if (!collected.unreadable.empty())
    return worldError("cannot tell which version '{0}' is: it has no build id and cannot be read",
                      collected.unreadable);
  llvm::BLAKE3 state;
  for (const std::string &identity : collected.identities)
    state.update(llvm::StringRef(identity + "\n"));
  std::array<uint8_t, 32> hash = state.final<32>();
  return llvm::toHex(hash, /*LowerCase=*/true);
}
