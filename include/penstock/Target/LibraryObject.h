//===- LibraryObject.h - Objects that call a library ------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A kernel that a library does is a small object: a constant descriptor, and one function that computes the extents of
// its tensors from the symbols and calls an entry of the runtime,
//
//   void entry(rt_ctx *, const descriptor *, void *const *buffers, const int64_t *extents)
//
// Ownership: results own their bytes. Threads: calls are independent. Errors: llvm::Error.
//
//===----------------------------------------------------------------------===//

#ifndef PENSTOCK_TARGET_LIBRARYOBJECT_H
#define PENSTOCK_TARGET_LIBRARYOBJECT_H

#include "penstock/Support/ObjectEmitter.h"

#include "mlir/IR/AffineExpr.h"

#include <cstring>
#include <type_traits>
#include <vector>

namespace penstock {

struct LibraryCall {
  std::string entry;
  std::vector<int64_t> descriptor;             ///< a table of words
  llvm::SmallVector<mlir::AffineExpr> extents; ///< over the kernel's symbols; divisors are positive constants
  int64_t numBuffers = 0;                      ///< the kernel's inputs and results
  std::vector<std::vector<float>> constants;   ///< on the host, handed over as the buffers after those
  bool hasWorkspace = false;                   ///< the last buffer, before and after constants are added
  std::string section; ///< where the linker collects pointers to the descriptors; empty: nowhere
};

/// The words of a descriptor.
template <typename Descriptor> std::vector<int64_t> toWords(const Descriptor &descriptor) {
  static_assert(sizeof(Descriptor) % sizeof(int64_t) == 0 && std::is_trivially_copyable_v<Descriptor>,
                "descriptors are tables of words");
  std::vector<int64_t> words(sizeof(Descriptor) / sizeof(int64_t));
  std::memcpy(words.data(), &descriptor, sizeof(Descriptor));
  return words;
}

/// Can the code of the object compute the expression? It has nobody to report a division by zero to.
bool isSafeExtent(mlir::AffineExpr extent);

/// The product of extents; 1 if there are none.
mlir::AffineExpr multiplyExtents(llvm::ArrayRef<mlir::AffineExpr> extents, mlir::MLIRContext *context);

/// The object, whose function is `symbolName`.
llvm::Expected<std::string> emitLibraryObject(const LibraryCall &call, llvm::StringRef symbolName,
                                              const TargetProfile &profile);

} // namespace penstock

#endif // PENSTOCK_TARGET_LIBRARYOBJECT_H
