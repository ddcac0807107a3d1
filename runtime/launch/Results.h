//===- Results.h - Where the outputs of requests go --------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Results are written as they come, so that a run that fails late has not run in vain. Until the run has ended well, an
// empty file lies beside them whose name says that they are not all there; a failure leaves its reason in it. Every
// file has its name only when it is whole, and a request's files get theirs together.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_LAUNCH_RESULTS_H
#define PENSTOCK_RT_LAUNCH_RESULTS_H

#include "penstock/rt/Status.h"
#include "penstock/rt/Tensor.h"

namespace penstock {
namespace rt {

/// The folder can be made or written, as far as can be told without touching anything. kInvalid when a file is in the
/// way or the user may not write there.
Status checkFolder(const std::string &folder);

class ResultWriter {
public:
  /// Of one request, the outputs go to `folder`; of several, to `folder`/<k>. `names` are all outputs of the model;
  /// those that a result lacks are written by others. `mark`: name of the file that says that results are missing.
  ResultWriter(std::string folder, std::vector<std::string> names, size_t numRequests, std::string mark);

  /// Makes the folder if need be, and writes the outputs of the next request: all or none.
  Status write(const TensorMap &result);
  /// The run has ended well: takes the mark away.
  Status complete();
  /// The run has failed: the mark says why. If nothing was written, nothing of this object remains.
  void incomplete(const Status &cause);

private:
  Status begin();
  Status writeFiles(const std::string &place, const TensorMap &result, std::vector<std::string> &written);

  std::string folder, mark;
  std::vector<std::string> names;
  size_t numRequests, numWritten = 0;
  std::vector<std::string> created; ///< folders that were not there before
  bool isBegun = false, isMarkOurs = false;
};

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_LAUNCH_RESULTS_H
