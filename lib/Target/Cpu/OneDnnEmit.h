//===- OneDnnEmit.h - Objects that call oneDNN ------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The object holds the descriptor and the kernel's constants as tables, and one function that computes the extents from
// the symbols and calls rt_dnnl_run.
//
//===----------------------------------------------------------------------===//

#ifndef PENSTOCK_LIB_TARGET_CPU_ONEDNNEMIT_H
#define PENSTOCK_LIB_TARGET_CPU_ONEDNNEMIT_H

#include "OneDnnMatch.h"
#include "penstock/Support/ObjectEmitter.h"

namespace penstock {

llvm::Expected<std::string> emitOneDnnObject(const OneDnnKernel &kernel, int64_t numBuffers, llvm::StringRef symbolName,
                                             const TargetProfile &profile);

} // namespace penstock

#endif // PENSTOCK_LIB_TARGET_CPU_ONEDNNEMIT_H
