//===- RoleMemory.h - The memory contract of a role ------------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// What the process of a role holds while it runs: private pages, shared memory that it maps, and its weights file; not
// the code that it maps. In bytes; docs/memory.md has the words for people. -1 stands for what the shapes of a run
// decide.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_DIALECT_PIPE_TRANSFORMS_ROLEMEMORY_H
#define PENSTOCK_LIB_DIALECT_PIPE_TRANSFORMS_ROLEMEMORY_H

#include "penstock/Dialect/NN/IR/NNOps.h"
#include "penstock/Dialect/Pipe/IR/PipeOps.h"

#include "llvm/ADT/SetVector.h"

#include <optional>

namespace penstock::pipe {

/// What the runtime needs whatever the role does: heap, stacks, what libraries write at their start, its part of the
/// run's control block. Measured (test/e2e/test_memory.py).
inline constexpr int64_t kRuntimeBytes = 704 << 10;
/// For each thread of a kernel beyond the first: its stack and its heap.
inline constexpr int64_t kThreadBytes = 192 << 10;
/// For each slot: its header, and the rest of its last page.
inline constexpr int64_t kSlotOverheadBytes = 4096;

/// What a kernel's library keeps: attributes of the kernel's definition.
inline constexpr llvm::StringLiteral kShapeBytesAttr = "kernel.shape_bytes"; ///< for each tuple of extents
inline constexpr llvm::StringLiteral kMaxShapesAttr = "kernel.max_shapes";   ///< tuples, where extents are bounded

struct RoleMemory {
  int64_t weights = 0, states = 0;
  int64_t arena = 0, arenaLowerBound = 0, arenaNoReuse = 0;
  int64_t workspaces = 0;           ///< the largest of a kernel; part of the arena
  int64_t slots = 0, slotsRead = 0; ///< of the channels that the role writes, and of those that it reads
  int64_t runtime = 0;              ///< with what libraries keep for one tuple of extents
  int64_t shapes = 0;               ///< what libraries keep for further ones, at most
  int64_t numOverwritten = 0, numCopied = 0;
  llvm::SetVector<llvm::StringRef> unbounded; ///< names of free symbols

  /// The sum, without workspaces; nothing where a symbol is free, or it does not fit into 64 bits.
  std::optional<int64_t> getTotal() const;
  mlir::DictionaryAttr toAttr(mlir::MLIRContext *context) const;
  /// "weights 1, arena 2, ...".
  std::string describe() const;
};

/// Fills `runtime` and `shapes` from the calls of a role; slots count by number.
void countRuntime(llvm::ArrayRef<nn::CallOp> calls, int64_t numSlots, int64_t numThreads,
                  const mlir::SymbolTable &symbols, RoleMemory &memory);

} // namespace penstock::pipe

#endif // PENSTOCK_LIB_DIALECT_PIPE_TRANSFORMS_ROLEMEMORY_H
