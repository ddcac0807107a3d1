//===- HostImages.h - Images that the stand-in plays ------- -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The CUDA target with images that are shared libraries of the host, which the stand-in of the driver loads and plays
// (test/unit/Runtime/Cuda/standin/HostCode.h). Everything else is the product's: the launches, the functions of the
// device, the objects that launch.
//
//===----------------------------------------------------------------------===//

#ifndef PENSTOCK_TEST_UNIT_CUDA_HOSTIMAGES_H
#define PENSTOCK_TEST_UNIT_CUDA_HOSTIMAGES_H

#include "penstock/Target/Cuda/ImageMaker.h"

namespace penstock::test {

class HostImages : public cuda::ImageMaker {
public:
  llvm::Expected<cuda::Image> make(mlir::ModuleOp module, llvm::StringRef name) const override;
};

} // namespace penstock::test

#endif // PENSTOCK_TEST_UNIT_CUDA_HOSTIMAGES_H
