//===- CaseCode.h - The kernels of a folder of cases ---------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The library of kernels in this process, and what a kernel has when it is called: a context of a role that has nothing
// but kernels on a device.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_TEST_GPU_CASECODE_H
#define PENSTOCK_TEST_GPU_CASECODE_H

#include "CaseFolder.h"
#include "CudaKernels.h"
#include "lib/Role/Context.h"
#include "transports/inproc/Inproc.h"

#include <memory>
#include <unordered_map>

namespace penstock::test {

class CaseCode {
public:
  CaseCode() = default;
  ~CaseCode();
  CaseCode(const CaseCode &) = delete;
  CaseCode &operator=(const CaseCode &) = delete;

  /// `path`: of the folder. kInvalid: its library cannot be opened.
  rt::Status open(const std::string &path);
  /// Opens the library of NVIDIA that does the kernel, if one does. kSystem: it is not there.
  rt::Status openLibrary(const CaseKernel &kernel, rt::CudaKernels &kernels) const;
  /// kInvalid: there is no such kernel.
  rt::Status find(const CaseKernel &kernel, rt_kernel_fn &function) const;
  /// Has `kernels` load its image, if it has one.
  rt::Status load(const CaseKernel &kernel, rt::CudaKernels &kernels) const;
  /// `buffers`: inputs, results, workspace, in memory of the device.
  rt::Status call(rt_kernel_fn function, rt::CudaKernels &kernels, std::vector<void *> &buffers,
                  const std::vector<int64_t> &symbols) const;

private:
  /// What the linker has gathered in a section of the library.
  template <typename Entry> rt::Span<const Entry *const> entriesOf(const char *section) const;

  void *library = nullptr;
  std::unordered_map<std::string, const rt_cuda_kernel *> tables;
  std::unique_ptr<rt::InprocHub> hub;
  std::unique_ptr<rt::Transport> transport;
  rt_role_desc role = {};
};

} // namespace penstock::test

#endif // PENSTOCK_TEST_GPU_CASECODE_H
