//===- ImageMaker.h - From functions of the device to an image -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The last step of a kernel of the CUDA target. The target's own maker goes through PTX and the toolkit's assembler; a
// test that plays a GPU makes images of another kind, and shares everything before and after.
//
//===----------------------------------------------------------------------===//

#ifndef PENSTOCK_TARGET_CUDA_IMAGEMAKER_H
#define PENSTOCK_TARGET_CUDA_IMAGEMAKER_H

#include "penstock/Kernels/CodeGenerator.h"
#include "penstock/Target/TargetBackend.h"

#include <string>
#include <vector>

namespace penstock::cuda {

struct Image {
  std::string bytes; ///< as the driver takes it: a fat binary with code for each chip, and the last PTX for later ones
  std::vector<kernels::DeviceFunction> functions; ///< the assembler's figures
};

class ImageMaker {
public:
  virtual ~ImageMaker() = default;
  /// `module` has launches and the gpu.func ops that they name, "k_<hash>_<index>"; it is not changed. `name` is the
  /// kernel's. Threads: several at a time.
  virtual llvm::Expected<Image> make(mlir::ModuleOp module, llvm::StringRef name) const = 0;
};

/// The CUDA target with images of another kind. `arch` as for createCudaTarget(arch).
llvm::Expected<std::unique_ptr<TargetBackend>> createCudaTarget(llvm::StringRef arch,
                                                                std::unique_ptr<ImageMaker> images);

} // namespace penstock::cuda

#endif // PENSTOCK_TARGET_CUDA_IMAGEMAKER_H
