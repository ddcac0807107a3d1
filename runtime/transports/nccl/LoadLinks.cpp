//===- LoadLinks.cpp - Opening the plug-in for NCCL --------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "Links.h"

#include <dlfcn.h>

namespace penstock {
namespace rt {

Status loadLinks(const std::string &path, Links &links) {
  void *plugin = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!plugin)
    return fail(Code::kInvalid, "cannot use NCCL: %s; the folder is damaged", dlerror());
  auto open = reinterpret_cast<OpenLinksFn>(dlsym(plugin, kOpenLinksName));
  if (!open)
    return fail(Code::kInvalid, "cannot use NCCL: %s; the folder is damaged", dlerror());
  char error[512] = "";
  if (open(kLinksVersion, &links, error, sizeof(error)) != 0)
    return fail(Code::kSystem, "cannot use NCCL: %s", error);
  return Status();
}

} // namespace rt
} // namespace penstock
