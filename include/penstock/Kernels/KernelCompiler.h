//===- KernelCompiler.h - One kernel to one object --------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// An `nn.kernel_def` becomes a relocatable object that defines one function
//
//   void k_<hash>(rt_ctx *, void *const *buffers, const int64_t *symbols)
//
// with the kernel's inputs, results and workspace as `buffers`, row-major, 64-byte aligned, none overlapping another
// (but for `inPlaceInput`). The hash is that of the kernel's text without names, together with the target profile and
// the compiler's version: equal kernels give equal bytes, whatever model they come from.
//
// Units: bytes. Ownership: results own their bytes; the workspace expression lives in the kernel's context. Threads:
// each kernel is compiled in a context of its own; the kernels' own context is only read. Errors: diagnostics at the
// kernel.
//
//===----------------------------------------------------------------------===//

#ifndef PENSTOCK_KERNELS_KERNELCOMPILER_H
#define PENSTOCK_KERNELS_KERNELCOMPILER_H

#include "penstock/Dialect/NN/IR/NNOps.h"
#include "penstock/Kernels/CodeGenerator.h"
#include "penstock/Support/ObjectEmitter.h"

#include <memory>
#include <string>
#include <vector>

namespace penstock {
class BuildCache;
}

namespace penstock::kernels {

/// A kernel as machine code. What a library asks for beside the object is empty for generated code.
struct CompiledKernel {
  std::string symbolName;          ///< k_<hash>
  std::string hash;                ///< 32 hexadecimal digits
  std::string object;              ///< ELF bytes
  mlir::AffineExpr workspaceBytes; ///< over the kernel's symbols, a multiple of 64; 0 if it needs none
  std::string kind = "generated";  ///< or "library"
  std::string library;             ///< which one, with its version
  std::string isa;                 ///< the instruction set that the library is held to, in its words
  int64_t inPlaceInput = -1; ///< the input whose buffer the first result may have (it is copied elsewhere); -1: none
  bool isReused = false;     ///< not compiled now: found in the cache
  bool hasGrowingScratch = false;        ///< needs memory beside the workspace, as much as the shapes of a run ask for
  std::vector<DeviceFunction> functions; ///< what a device other than the host runs; empty for code of the host
  llvm::SmallVector<mlir::Attribute> packing; ///< nn::PackingAttr of each input, unit for one that stays as it is
};

/// Attributes of a kernel_def that say at which extents it runs, for libraries: arrays of the values of its symbols. A
/// kernel without symbols needs none.
inline constexpr llvm::StringLiteral kTypicalAttr = "kernel.typical"; ///< what layouts are chosen for
inline constexpr llvm::StringLiteral kLowerAttr = "kernel.lower";     ///< with kUpperAttr, or absent
inline constexpr llvm::StringLiteral kUpperAttr = "kernel.upper";     ///< absent: a symbol is free

/// A part of a weight that is packed by itself: its bytes follow those of the part before, in the source and packed.
struct PackingPart {
  nn::PackingAttr packing;
  int64_t sourceBytes = 0;
};

/// What a library offers for kernels that it does better than generated code. A target has at most one.
class LibraryTable {
public:
  virtual ~LibraryTable();
  /// Empty if the library does not take the kernel. Otherwise `compile` must succeed, and the text names the library,
  /// its version and whatever the object depends on beside the kernel itself; it enters the kernel's hash.
  virtual std::string describe(nn::KernelDefOp kernel, const TargetProfile &profile) const = 0;
  virtual mlir::FailureOr<CompiledKernel> compile(nn::KernelDefOp kernel, llvm::StringRef hash,
                                                  const TargetProfile &profile) const = 0;
  /// Brings a weight that lies row-major in `source` into the layout that `packing` says. Errors: another version of
  /// the library, bytes that do not fit.
  virtual llvm::Error pack(nn::PackingAttr packing, llvm::ArrayRef<char> source,
                           llvm::MutableArrayRef<char> result) const = 0;
  /// All parts of a weight, of at most `maxBytes` packed where the layout has such parts; none where the layouts have
  /// different outermost axes, and the weight is packed as a whole.
  virtual std::vector<PackingPart> split(nn::PackingAttr packing, int64_t maxBytes) const = 0;
};

/// 128 bits over the kernel's text without names, locations and discardable attributes, the profile and the versions.
std::string hashKernel(nn::KernelDefOp kernel, const TargetProfile &profile, const LibraryTable *library = nullptr);

mlir::FailureOr<CompiledKernel> compileKernel(nn::KernelDefOp kernel, const TargetProfile &profile,
                                              const LibraryTable *library = nullptr,
                                              const CodeGenerator *generator = nullptr);

/// One result per kernel, in their order; equal kernels are compiled once, and those in `cache` not at all.
/// `numThreads` 0 stands for all cores. Kernels that no library takes become code of the host, or what `generator`
/// makes of them, which no cache keeps.
mlir::FailureOr<std::vector<CompiledKernel>> compileKernels(llvm::ArrayRef<nn::KernelDefOp> kernels,
                                                            const TargetProfile &profile, unsigned numThreads = 0,
                                                            const LibraryTable *library = nullptr,
                                                            const CodeGenerator *generator = nullptr,
                                                            BuildCache *cache = nullptr);

/// How far `printKernel` goes.
enum class KernelForm { Linalg, Fused, Buffers, Loops, LLVM, Optimized };

/// The text of a generated kernel on its way to code, for people and tests.
mlir::FailureOr<std::string> printKernel(nn::KernelDefOp kernel, const TargetProfile &profile, KernelForm form);

} // namespace penstock::kernels

#endif // PENSTOCK_KERNELS_KERNELCOMPILER_H
