//===- Toolkit.h - The CUDA toolkit's programs -------------- -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A toolkit is a folder with bin/ptxas and bin/fatbinary: the one that PENSTOCK_CUDA names, else the one that
// `./dev build --cuda` installs in the build folder.
//
// Threads: calls are independent. Errors: llvm::Error; a refusal of the assembler keeps its input.
//
//===----------------------------------------------------------------------===//

#ifndef PENSTOCK_LIB_TARGET_CUDA_TOOLKIT_H
#define PENSTOCK_LIB_TARGET_CUDA_TOOLKIT_H

#include "penstock/Target/Cuda/ImageMaker.h"

#include <string>
#include <vector>

namespace penstock::cuda {

/// A kernel's PTX for one chip, and the chip.
struct PtxFile {
  std::string chip, text;
};

class Toolkit {
public:
  static llvm::Expected<Toolkit> locate();

  /// Assembles every text for its chip. `name`: of the kernel, for files and messages.
  llvm::Expected<Image> assemble(llvm::StringRef name, llvm::ArrayRef<PtxFile> files) const;
  /// The bitcode of functions of mathematics; empty if the toolkit has none.
  const std::string &getLibdevice() const { return libdevice; }

private:
  std::string ptxas, fatbinary, libdevice;
};

/// What `ptxas -v` says of each entry.
std::vector<kernels::DeviceFunction> parseAssemblerReport(llvm::StringRef text);

} // namespace penstock::cuda

#endif // PENSTOCK_LIB_TARGET_CUDA_TOOLKIT_H
