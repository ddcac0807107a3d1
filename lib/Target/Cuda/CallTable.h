//===- CallTable.h - Kernels that are calls of a library ------ -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What the tables of cuBLASLt and cuDNN share: the object of a kernel is a descriptor and a call (LibraryObject.h), and
// libraries are not asked when a model is compiled. Without a device they say nothing.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_TARGET_CUDA_CALLTABLE_H
#define PENSTOCK_LIB_TARGET_CUDA_CALLTABLE_H

#include "penstock/Dialect/NN/IR/Extents.h"
#include "penstock/Kernels/KernelCompiler.h"
#include "penstock/Target/LibraryObject.h"
#include "penstock/rt/CudaKernel.h"

#include <optional>

namespace penstock::cuda {

struct FoundCall {
  LibraryCall call;
  mlir::AffineExpr workspaceBytes;
};

class CallTable : public kernels::LibraryTable {
public:
  /// `library`: its name and version, for reports.
  explicit CallTable(llvm::StringRef library) : library(library) {}

  std::string describe(nn::KernelDefOp kernel, const TargetProfile &) const final;
  mlir::FailureOr<kernels::CompiledKernel> compile(nn::KernelDefOp kernel, llvm::StringRef hash,
                                                   const TargetProfile &) const final;
  llvm::Error pack(nn::PackingAttr packing, llvm::ArrayRef<char>, llvm::MutableArrayRef<char>) const final;
  std::vector<kernels::PackingPart> split(nn::PackingAttr, int64_t) const final { return {}; }

protected:
  /// The call that does all of a kernel's body. `name`: what the descriptor calls the kernel.
  virtual std::optional<FoundCall> find(mlir::Block &body, llvm::StringRef name) const = 0;

private:
  std::optional<FoundCall> find(nn::KernelDefOp kernel, llvm::StringRef name) const;

  std::string library;
};

/// The call of `entry` for what a matcher has found: a descriptor `desc`, which gets the kernel's `name`, and
/// `extents`. `scratchBytes`: what the library may use; its alignment costs something more.
template <typename Found>
FoundCall makeCall(Found &found, llvm::StringRef name, const char *entry, const char *section,
                   mlir::AffineExpr scratchBytes) {
  llvm::copy(name.take_front(sizeof(found.desc.name) - 1), found.desc.name);
  FoundCall made;
  made.call.entry = entry;
  made.call.section = section;
  made.call.descriptor = toWords(found.desc);
  made.call.extents = found.extents;
  made.workspaceBytes = nn::simplifyExtent(scratchBytes + RT_CUDA_LIBRARY_ALIGNMENT);
  return made;
}

} // namespace penstock::cuda

#endif // PENSTOCK_LIB_TARGET_CUDA_CALLTABLE_H
