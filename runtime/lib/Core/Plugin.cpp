//===- Plugin.cpp - Opening a plug-in of the folder --------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "Plugin.h"

#include <dlfcn.h>

namespace penstock {
namespace rt {

Status findInPlugin(const std::string &path, const char *name, const char *what, void *&found) {
  void *plugin = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  found = plugin ? dlsym(plugin, name) : nullptr;
  return found ? Status() : fail(Code::kInvalid, "cannot use %s: %s; the folder is damaged", what, dlerror());
}

} // namespace rt
} // namespace penstock
