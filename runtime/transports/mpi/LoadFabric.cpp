//===- LoadFabric.cpp - Opening the plug-in for MPI --------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "Fabric.h"
#include "Plugin.h"

#include <dlfcn.h>

namespace penstock {
namespace rt {

Status loadFabric(const std::string &path, Fabric &fabric) {
  if (!dlopen(kMpiLibrary, RTLD_NOW | RTLD_GLOBAL))
    return fail(Code::kSystem,
                "cannot use MPI: %s; install Open MPI (package openmpi-bin), or run on one host without a launcher",
                dlerror());
  OpenFabricFn open = nullptr;
  if (Status status = findInPlugin(path, kOpenFabricName, "MPI", open); !status.ok())
    return status;
  char error[512] = "";
  if (open(kFabricVersion, &fabric, error, sizeof(error)) != 0)
    return fail(Code::kSystem, "cannot use MPI: %s", error);
  return Status();
}

} // namespace rt
} // namespace penstock
