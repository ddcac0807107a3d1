//===- WeightMaker.h - Weights that are made at link time -------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// Weights that are computed from others (by the very kernels that would compute them at run time, so that they have the
// same bits), and weights that a library wants packed. Each is made when it is asked for and forgotten when it has been
// handed on: what lies in memory is one weight and what it is made of, and of a packed one a part, where its layout
// allows that. Errors: llvm::Error. Threads: any.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_DRIVER_WEIGHTMAKER_H
#define PENSTOCK_LIB_DRIVER_WEIGHTMAKER_H

#include "penstock/Kernels/KernelRunner.h"
#include "penstock/Link/Weights.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/SymbolTable.h"
#include "llvm/ADT/StringMap.h"

#include <mutex>
#include <vector>

namespace penstock::driver {

class WeightMaker {
public:
  /// All are borrowed; `library` may be null if no weight is packed.
  WeightMaker(mlir::ModuleOp module, const llvm::StringMap<kernels::CompiledKernel> &kernels,
              const kernels::LibraryTable *library);

  /// Hands the bytes of a weight that is computed or packed to `consume`. From any thread; one at a time is made.
  llvm::Error make(llvm::StringRef name, link::ByteConsumer consume);

private:
  /// Aligned bytes of a weight.
  struct Buffer {
    explicit Buffer(int64_t numBytes);
    Buffer(Buffer &&other) noexcept { *this = std::move(other); }
    Buffer &operator=(Buffer &&other) noexcept;
    ~Buffer();
    llvm::ArrayRef<char> bytes() const { return {data, static_cast<size_t>(numBytes)}; }

    char *data = nullptr; ///< null: there is no memory
    int64_t numBytes = 0, capacity = 0;
  };

  Buffer take(int64_t numBytes);
  void give(Buffer buffer);
  llvm::Expected<Buffer> fetch(llvm::StringRef name);
  llvm::Expected<Buffer> read(nn::WeightOp weight);
  llvm::Expected<Buffer> read(nn::WeightOp weight, int64_t position, int64_t numBytes);
  llvm::Expected<Buffer> compute(nn::WeightOp weight);
  llvm::Expected<Buffer> pack(nn::WeightOp weight);
  llvm::Expected<Buffer> pack(nn::WeightOp weight, nn::PackingAttr packing, const Buffer &source);
  /// `lock` holds `making`, but not while bytes are consumed.
  llvm::Error packInParts(nn::WeightOp weight, nn::WeightOp source, llvm::ArrayRef<kernels::PackingPart> parts,
                          link::ByteConsumer consume, std::unique_lock<std::mutex> &lock);

  std::mutex making; ///< guards what follows
  mlir::SymbolTable symbols;
  const llvm::StringMap<kernels::CompiledKernel> &kernels;
  const kernels::LibraryTable *library;
  std::unique_ptr<kernels::KernelRunner> runner;
  std::vector<Buffer> spare;
  int depth = 0; ///< of weights that are made for another one
};

} // namespace penstock::driver

#endif // PENSTOCK_LIB_DRIVER_WEIGHTMAKER_H
