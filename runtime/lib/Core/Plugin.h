//===- Plugin.h - Opening a plug-in of the folder ----------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A plug-in is a library of the folder's `lib` that leads to a library of the machine. It exports a function or two of
// the C interface of its kind, and stays open until the process ends. Any thread.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_CORE_PLUGIN_H
#define PENSTOCK_RT_CORE_PLUGIN_H

#include "penstock/rt/Status.h"

#include <string>

namespace penstock {
namespace rt {

/// The function `name` of the plug-in at `path`. kInvalid: "cannot use `what`: ...; the folder is damaged".
Status findInPlugin(const std::string &path, const char *name, const char *what, void *&found);

template <typename Function>
Status findInPlugin(const std::string &path, const char *name, const char *what, Function *&found) {
  void *symbol = nullptr;
  Status status = findInPlugin(path, name, what, symbol);
  found = reinterpret_cast<Function *>(symbol);
  return status;
}

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_CORE_PLUGIN_H
