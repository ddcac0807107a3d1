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

/// The folder can be made or written, as far as can be told without touching anything. kInvalid when a file is in the
/// way or the user may not write there.
Status checkFolder(const std::string &folder);

/// Makes the folder and writes the outputs of all requests: of one, to `folder`; of several, to `folder`/<k>. `names`
/// are all outputs of the model; those that a result lacks are written by others. All or nothing: after a failure no
/// file of this call remains.
Status writeResults(const std::string &folder, const std::vector<std::string> &names,
                    const std::vector<TensorMap> &results);

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_LAUNCH_RESULTS_H
