//===- Entry.cpp - Where kernels enter the library ---------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "Library.h"

using penstock::rt::onednn::Library;

static const char kLocalKey = 0;

void rt_dnnl_run(rt_ctx *ctx, const rt_dnnl_desc *desc, void *const *buffers, const int64_t *extents) {
  void **place = rt_local(ctx, &kLocalKey, [](void *library) { delete static_cast<Library *>(library); });
  std::string error;
  if (!*place) {
    // The instruction set is chosen before the library is first used.
    error = penstock::rt::onednn::selectIsa(desc->isa);
    if (error.empty())
      *place = new Library(rt_num_threads(ctx));
  }
  if (error.empty())
    error = static_cast<Library *>(*place)->run(*desc, buffers, extents);
  if (!error.empty())
    rt_fail(ctx, error.c_str());
}
