//===- LibraryRun.h - Kernels of libraries beside the CPU target's -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A kernel that a library does, on the machine that is not there (../Runtime/Cuda): the object that the compiler makes,
// the runtime, its plug-in, and a library that does the work on the host.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_TEST_UNIT_CUDA_LIBRARYRUN_H
#define PENSTOCK_TEST_UNIT_CUDA_LIBRARYRUN_H

#include "CudaKernels.h"
#include "KernelHarness.h"

namespace penstock::test {

struct ObservedLibrary {
  std::function<std::unique_ptr<kernels::LibraryTable>()> makeTable;
  std::string entry; ///< that objects call
  void *address = nullptr;
  std::function<rt::Status(rt::CudaKernels &)> open;
  std::string sumOverNothing; ///< in what a kernel reports of a sum over an empty input; other reports are failures
};

/// Has every kernel of this program that the library does run there too, and compares; for a variable of the program.
/// getNumLibraryRuns() counts them.
const testing::Environment *observeLibrary(ObservedLibrary library);

} // namespace penstock::test

#endif // PENSTOCK_TEST_UNIT_CUDA_LIBRARYRUN_H
