//===- TestRole.cpp - One stage of the hand-written chain as an executable --===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Compiled once per stage with STAGE, STAGES, STATIC and MARK. Counts allocations, unless it is a rank: MPI makes some.
//
//===----------------------------------------------------------------------===//
#include "TestRole.h"

#include <cstddef>
#include <cstdlib>

#ifndef PENSTOCK_SANITIZED
static long numAllocations = 0;
static const bool isRank = std::getenv("OMPI_COMM_WORLD_RANK") != nullptr;
extern "C" {
void *__libc_malloc(size_t numBytes);
void *malloc(size_t numBytes) {
  ++numAllocations;
  return __libc_malloc(numBytes);
}
}

/// Two microbatches of one shape in a row: the second one allocates nothing.
static void checkAllocations(rt_ctx *ctx) {
  static long before = 0;
  static int64_t rowsBefore = -1;
  int64_t rows = rt_extents(ctx)[1];
  if (rows == rowsBefore && numAllocations != before && !isRank)
    rt_fail(ctx, "memory was allocated after the first microbatch");
  before = numAllocations;
  rowsBefore = rows;
}
#else
static void checkAllocations(rt_ctx *) {}
#endif

using Stage = testrole::Role<STAGE, STAGES, STATIC, MARK>;
extern "C" {
extern const rt_role_desc penstock_role;
const rt_role_desc penstock_role = Stage::make(Stage::program<checkAllocations>);
}
