//===- Installation.cpp - What the linker takes from our own folder -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "penstock/Link/Installation.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Object/ELFObjectFile.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

#include <dlfcn.h>
#include <set>

using namespace penstock;
using namespace penstock::link;
namespace fs = llvm::sys::fs;
namespace path = llvm::sys::path;

/// The file that shows that a folder is an installation.
static constexpr const char *kLandmark = "Scrt1.o";

static bool isInstallation(llvm::StringRef folder) {
  llvm::SmallString<256> file(folder);
  path::append(file, kLandmark);
  return fs::exists(file);
}

/// The installation beside `program`, or an empty string.
static std::string searchFrom(llvm::StringRef program) {
  llvm::SmallString<256> real;
  if (fs::real_path(program, real))
    return "";
  llvm::SmallString<256> folder(path::parent_path(real));
  for (int level = 0; level < 3; ++level) {
    llvm::SmallString<256> candidate(folder);
    path::append(candidate, "lib", "penstock");
    if (isInstallation(candidate))
      return std::string(candidate);
    folder = path::parent_path(folder);
  }
  return "";
}

llvm::Expected<Installation> Installation::locate() {
  std::string folder = searchFrom("/proc/self/exe");
  Dl_info info;
  if (folder.empty() && dladdr(reinterpret_cast<void *>(&searchFrom), &info) && info.dli_fname)
    folder = searchFrom(info.dli_fname);
  if (folder.empty())
    return worldError(
        "found no folder 'lib/penstock' with '{0}' beside the program; expected the files that Penstock's "
        "build puts there",
        kLandmark);
  return Installation(folder);
}

llvm::Expected<Installation> Installation::at(llvm::StringRef folder) {
  if (!isInstallation(folder))
    return worldError("folder '{0}' has no '{1}'; expected an installation of Penstock", folder, kLandmark);
  return Installation(folder.str());
}

llvm::Expected<std::string> Installation::find(llvm::StringRef name) const {
  llvm::SmallString<256> file(folder);
  path::append(file, name);
  if (!fs::exists(file))
    return worldError("the installation '{0}' lacks '{1}'; build or install Penstock again", folder, name);
  return std::string(file);
}

/// Libraries that every Linux with the GNU C library has, and that must be the machine's own.
static bool belongsToSystem(llvm::StringRef library) {
  static const char *const names[] = {"libc.so.6",  "libm.so.6",    "libpthread.so.0",      "libdl.so.2",
                                      "librt.so.1", "libmvec.so.1", "ld-linux-x86-64.so.2", "libresolv.so.2"};
  return llvm::is_contained(names, library);
}

static llvm::Expected<std::vector<std::string>> readNeeded(llvm::StringRef file) {
  llvm::Expected<llvm::object::OwningBinary<llvm::object::ObjectFile>> binary =
      llvm::object::ObjectFile::createObjectFile(file);
  if (!binary)
    return worldError("cannot read '{0}': {1}", file, llvm::toString(binary.takeError()));
  auto *elf = llvm::dyn_cast<llvm::object::ELF64LEObjectFile>(binary->getBinary());
  if (!elf)
    return worldError("'{0}' is not a 64-bit ELF library", file);
  auto entries = elf->getELFFile().dynamicEntries();
  if (!entries)
    return worldError("cannot read '{0}': {1}", file, llvm::toString(entries.takeError()));
  const uint8_t *strings = nullptr;
  for (const auto &entry : *entries)
    if (entry.d_tag == llvm::ELF::DT_STRTAB) {
      auto mapped = elf->getELFFile().toMappedAddr(entry.d_un.d_ptr);
      if (!mapped)
        return worldError("cannot read '{0}': {1}", file, llvm::toString(mapped.takeError()));
      strings = *mapped;
    }
  std::vector<std::string> needed;
  for (const auto &entry : *entries)
    if (strings && entry.d_tag == llvm::ELF::DT_NEEDED)
      needed.push_back(reinterpret_cast<const char *>(strings + entry.d_un.d_val));
  return needed;
}

llvm::Expected<std::vector<std::string>> Installation::closeOver(llvm::ArrayRef<std::string> libraries) const {
  std::set<std::string> seen;
  std::vector<std::string> open(libraries.begin(), libraries.end());
  while (!open.empty()) {
    std::string name = std::move(open.back());
    open.pop_back();
    if (belongsToSystem(name) || !seen.insert(name).second)
      continue;
    llvm::Expected<std::string> file = find("shared/" + name);
    if (!file)
      return file.takeError();
    llvm::Expected<std::vector<std::string>> needed = readNeeded(*file);
    if (!needed)
      return needed.takeError();
    llvm::append_range(open, *needed);
  }
  return std::vector<std::string>(seen.begin(), seen.end());
}
