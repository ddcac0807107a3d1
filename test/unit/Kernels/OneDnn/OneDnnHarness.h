//===- OneDnnHarness.h - Library kernels in this process ------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Kernels of oneDNN without a role around them: what a role would keep for them is a library of the test's.
//
//===----------------------------------------------------------------------===//

#ifndef PENSTOCK_TEST_UNIT_KERNELS_ONEDNN_ONEDNNHARNESS_H
#define PENSTOCK_TEST_UNIT_KERNELS_ONEDNN_ONEDNNHARNESS_H

#include "KernelText.h"
#include "Library.h"

#include <functional>

namespace penstock::test {

/// What a role keeps for its kernels; tests replace it. Weights must not change while one lives.
std::unique_ptr<rt::onednn::Library> &currentLibrary();

/// The kernel, run by oneDNN if it can, with a library of its own.
std::unique_ptr<Kernel> makeLibraryKernel(const std::string &text);

/// The inputs with those packed that the kernel wants so.
std::vector<Array> packInputs(const Kernel &kernel, std::vector<Array> inputs);

/// Runs the kernel with its descriptor changed; why oneDNN refused, or nothing.
std::string runAltered(Kernel &kernel, const std::vector<Array> &inputs, const std::vector<int64_t> &symbols,
                       const std::function<void(rt_dnnl_desc &)> &alter);

/// Makes input `index` of the kernel a weight of the model: a function that calls the kernel with it.
std::string withWeight(const KernelText &text, size_t index);

} // namespace penstock::test

#endif // PENSTOCK_TEST_UNIT_KERNELS_ONEDNN_ONEDNNHARNESS_H
