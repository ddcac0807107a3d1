//===- TargetBackend.h - What a target knows --------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A target is one folder under Target with a profile (what code runs on) and perhaps a table of library kernels. The
// driver asks for it by name and architecture; nothing else in the compiler knows which targets exist.
//
// Units: bytes, bits. Threads: constant after creation. Errors: llvm::Error, the user's fault.
//
//===----------------------------------------------------------------------===//

#ifndef PENSTOCK_TARGET_TARGETBACKEND_H
#define PENSTOCK_TARGET_TARGETBACKEND_H

#include "penstock/Kernels/KernelCompiler.h"
#include "penstock/Partition/CostModel.h"

#include "llvm/ADT/StringMap.h"

#include <memory>

namespace penstock {

/// What a library keeps for each kernel, beside the buffers of a call: so many bytes for each tuple of extents at which
/// it has run, and for so many of them where extents are bounded.
struct LibraryMemory {
  int64_t bytesPerShape = 0, maxShapes = 0;
};

class TargetBackend {
public:
  virtual ~TargetBackend();

  /// "cpu" or "cuda".
  virtual llvm::StringRef getName() const = 0;
  /// What objects are made for.
  virtual const TargetProfile &getProfile() const = 0;
  /// Kernels that a library does; null if all code is generated.
  virtual const kernels::LibraryTable *getLibrary() const { return nullptr; }
  /// What makes code of kernels that no library does; null: code of the host.
  virtual const kernels::CodeGenerator *getGenerator() const { return nullptr; }
  /// What the code of the roles is made for, which call the kernels.
  virtual const TargetProfile &getHostProfile() const { return getProfile(); }
  /// The kind of device that a stage runs on, as the runtime knows it ("cuda"); empty: the host.
  virtual llvm::StringRef getDevice() const { return ""; }
  /// What is changed about kernels that fusion has made: a target may cut them.
  virtual void addKernelPasses(mlir::OpPassManager &) const {}
  virtual LibraryMemory getLibraryMemory() const { return {}; }
  /// Are convolutions of this element type fastest on channels-last images?
  virtual bool prefersChannelsLast(mlir::Type) const { return false; }
  /// What a stage with `numThreads` threads can do, on paper.
  virtual partition::DeviceProfile getDeviceProfile(int numThreads) const = 0;
};

/// The CPU target. `arch` is "native" (this machine), "x86-64-v3" or "x86-64-v4"; this processor must have what it
/// needs, since weights are folded and packed by the code that runs later. `numThreads`: of each kernel.
llvm::Expected<std::unique_ptr<TargetBackend>> createCpuTarget(llvm::StringRef arch, unsigned numThreads = 1);

/// GPUs of NVIDIA. `arch` names chips with commas between, "sm_80,sm_90"; kernels have code for each, and PTX of the
/// last one for later chips. "native" stands for these two. The toolkit's assembler must be there, a GPU need not.
/// `allowsTf32`: libraries may round factors of type f32 to 10 bits of fraction.
llvm::Expected<std::unique_ptr<TargetBackend>> createCudaTarget(llvm::StringRef arch, bool allowsTf32 = false);

/// Can a processor with these features, in LLVM's words, compile for `arch`?
llvm::Error checkArch(llvm::StringRef arch, const llvm::StringMap<bool> &host);

} // namespace penstock

#endif // PENSTOCK_TARGET_TARGETBACKEND_H
