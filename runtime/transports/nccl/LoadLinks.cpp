//===- LoadLinks.cpp - Opening the plug-in for NCCL --------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "Links.h"
#include "Plugin.h"

namespace penstock {
namespace rt {

Status loadLinks(const std::string &path, Links &links) {
  OpenLinksFn open = nullptr;
  if (Status status = findInPlugin(path, kOpenLinksName, "NCCL", open); !status.ok())
    return status;
  char error[512] = "";
  if (open(kLinksVersion, &links, error, sizeof(error)) != 0)
    return fail(Code::kSystem, "cannot use NCCL: %s", error);
  return Status();
}

} // namespace rt
} // namespace penstock
