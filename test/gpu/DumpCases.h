//===- DumpCases.h - The kernels of a model as cases ---------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_TEST_GPU_DUMPCASES_H
#define PENSTOCK_TEST_GPU_DUMPCASES_H

#include "CaseWriter.h"

namespace penstock::test {

/// Runs each kernel of a dump of the schedule phase on the CPU target, equal ones once, every symbol at \p value, and
/// adds the run. Inputs are random, but repeat themselves, so that they can be compressed. `says` hears what is left
/// out.
llvm::Error addDump(const std::string &path, int64_t value, CaseWriter &writer, llvm::raw_ostream &says);

} // namespace penstock::test

#endif // PENSTOCK_TEST_GPU_DUMPCASES_H
