//===- Results.h - Where the outputs of requests go --------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_LAUNCH_RESULTS_H
#define PENSTOCK_RT_LAUNCH_RESULTS_H

#include "penstock/rt/Tensor.h"

namespace penstock {
namespace rt {

/// Makes the folder (and those above it) before anything runs. kInvalid when a file is in the way or it cannot be
/// written; `created` are the folders that were made, to be taken away again after a failure.
Status prepareFolder(const std::string &folder, std::vector<std::string> &created);
void removeFolders(const std::vector<std::string> &created);

/// Writes the outputs of all requests: of one, to `folder`; of several, to `folder`/<k>. All or nothing: after a
/// failure no file of this call remains.
Status writeResults(const std::string &folder, const std::vector<std::string> &names,
                    const std::vector<TensorMap> &results);

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_LAUNCH_RESULTS_H
