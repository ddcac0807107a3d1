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

#include "penstock/Kernels/KernelCompiler.h"
#include "penstock/Target/LibraryObject.h"

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

/// A descriptor's field of a fixed size, which ends in a zero.
template <size_t N> void putName(char (&field)[N], llvm::StringRef name) { llvm::copy(name.take_front(N - 1), field); }

} // namespace penstock::cuda

#endif // PENSTOCK_LIB_TARGET_CUDA_CALLTABLE_H
