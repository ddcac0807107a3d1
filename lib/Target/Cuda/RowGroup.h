//===- RowGroup.h - Neighbours that work row by row -------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Softmax, layer norm and the like are a sequence of linalg ops, each over the same rows: reductions along a row, and
// elementwise ops on a row or on one number per row. Such neighbours become one function: a row belongs to one warp or
// one block, numbers per row stay in registers, and an element is always touched by the same thread.
//
//===----------------------------------------------------------------------===//

#ifndef PENSTOCK_LIB_TARGET_CUDA_ROWGROUP_H
#define PENSTOCK_LIB_TARGET_CUDA_ROWGROUP_H

#include "DeviceFunction.h"
#include "penstock/Kernels/ExtentFinder.h"

namespace penstock::cuda {

/// Extents of the loops of an op on buffers, over the kernel's symbols; empty if one depends on data.
std::optional<SmallVector<AffineExpr>> getLoopExtents(linalg::GenericOp op, kernels::ExtentFinder &finder);

/// Touches the op memory beside its operands?
bool readsElsewhere(linalg::GenericOp op);

/// The op that joins two numbers in a reduction to one number of 32 or 64 bits, if it knows a neutral element; else
/// null.
Operation *findCombiner(linalg::GenericOp op);

/// Rows and what lies along each.
struct RowSpace {
  SmallVector<AffineExpr> rows, along;
};

/// How an op of a group works.
enum class RowRole { Reduce, Elements, Numbers };

struct RowOp {
  linalg::GenericOp op;
  RowRole role;
  SmallVector<int64_t> axes; ///< for each loop the axis of (rows, along), -1 for a loop of extent 1
};

struct RowGroup {
  RowSpace space;
  SmallVector<RowOp> ops;
};

/// The longest group around the reduction `ops[i]`: the positions [first, first + group.ops.size()) of `ops`. Nothing
/// if `ops[i]` is no reduction along long rows.
std::optional<RowGroup> findRowGroup(ArrayRef<linalg::GenericOp> ops, size_t i, kernels::ExtentFinder &finder,
                                     size_t &first);

/// Makes the group one function of `device`, launched where its last op stands.
void emitRowGroup(const RowGroup &group, func::FuncOp host, gpu::GPUModuleOp device);

} // namespace penstock::cuda

#endif // PENSTOCK_LIB_TARGET_CUDA_ROWGROUP_H
