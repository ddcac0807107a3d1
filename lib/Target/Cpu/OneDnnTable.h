//===- OneDnnTable.h - The kernels that oneDNN runs -------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Which kernels go to oneDNN on a given processor, and the small objects that call it. The library itself is asked at
// compile time, so that no kernel goes to an implementation that is slower than generated code.
//
// Threads: calls are serialized. oneDNN works with one instruction set per process: the first profile that it is asked
// about; for any other all code is generated.
//
//===----------------------------------------------------------------------===//

#ifndef PENSTOCK_LIB_TARGET_CPU_ONEDNNTABLE_H
#define PENSTOCK_LIB_TARGET_CPU_ONEDNNTABLE_H

#include "penstock/Kernels/KernelCompiler.h"

namespace penstock {

std::unique_ptr<kernels::LibraryTable> createOneDnnTable();

} // namespace penstock

#endif // PENSTOCK_LIB_TARGET_CPU_ONEDNNTABLE_H
