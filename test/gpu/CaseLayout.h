//===- CaseLayout.h - Where the tensors of a case lie --------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The tensors of a case and its workspace, each between two guards, in one piece of memory. They are aligned as the
// kernels may rely on, and no better. What nobody has written yet holds rubbish.
//
// Units: bytes.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_TEST_GPU_CASELAYOUT_H
#define PENSTOCK_TEST_GPU_CASELAYOUT_H

#include "CaseFolder.h"

namespace penstock::test {

class CaseLayout {
public:
  explicit CaseLayout(const Case &test);

  int64_t numBytes() const { return total; }
  /// Inputs, results, workspace: as a kernel takes them.
  const std::vector<int64_t> &offsets() const { return starts; }
  /// Of the `index`-th of these.
  int64_t sizeOf(size_t index) const;
  /// From here on only workspace and guards, which need not be copied for their contents.
  int64_t endOfTensors() const { return starts.back(); }

  /// What the memory is before a run; guards, results and workspace are bytes of `rubbish`: who reads what is not its
  /// own computes with it.
  void fill(unsigned char *memory, const std::string &data, unsigned char rubbish) const;
  /// What a run has changed and may not; empty if nothing.
  std::string findDamage(const unsigned char *before, const unsigned char *after) const;

private:
  std::string nameOf(size_t index) const;
  std::string findDamageIn(int64_t from, int64_t to, const unsigned char *before, const unsigned char *after) const;

  const Case &test;
  std::vector<int64_t> starts;
  int64_t total = 0;
};

} // namespace penstock::test

#endif // PENSTOCK_TEST_GPU_CASELAYOUT_H
