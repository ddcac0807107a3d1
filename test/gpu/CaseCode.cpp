//===- CaseCode.cpp - The kernels of a folder of cases -------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CaseCode.h"

#include <dlfcn.h>

using namespace penstock;
using namespace penstock::test;
using rt::Status;

CaseCode::~CaseCode() {
  if (library)
    dlclose(library);
}

template <typename Entry> rt::Span<const Entry *const> CaseCode::entriesOf(const char *section) const {
  auto bound = [&](const char *which) {
    std::string name = std::string(which) + section;
    return static_cast<const Entry *const *>(dlsym(library, name.c_str()));
  };
  auto begin = bound("first_of_"), end = bound("end_of_");
  return {begin, size_t(end - begin)};
}

Status CaseCode::open(const std::string &path) {
  std::string file = path + "/" + kKernelsFile;
  library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library)
    return rt::fail(rt::Code::kInvalid, "cannot open '%s': %s", file.c_str(), dlerror());
  for (const rt_cuda_kernel *kernel : entriesOf<rt_cuda_kernel>("rt_cuda_kernels"))
    tables[kernel->name] = kernel;
  rt::ControlLayout control;
  control.numRoles = 1;
  if (Status status = rt::InprocHub::create(control, hub); !status.ok())
    return status;
  transport = hub->makeTransport();
  role.role_name = "gpu-cases";
  return Status();
}

Status CaseCode::openLibrary(const CaseKernel &kernel, rt::CudaKernels &kernels) const {
  if (kernel.library.rfind("cuBLASLt", 0) == 0)
    return kernels.products().load(entriesOf<rt_cuda_product_desc>("rt_cuda_products"));
  if (kernel.library.rfind("cuDNN", 0) != 0)
    return Status();
  Status status = kernels.dnn().load(entriesOf<rt_cuda_convolution_desc>("rt_cuda_convolutions"));
  return status.ok() ? kernels.dnn().load(entriesOf<rt_cuda_attention_desc>("rt_cuda_attentions")) : status;
}

Status CaseCode::find(const CaseKernel &kernel, rt_kernel_fn &function) const {
  function = reinterpret_cast<rt_kernel_fn>(dlsym(library, kernel.symbol.c_str()));
  if (!function || (kernel.library.empty() && tables.count(kernel.symbol) == 0))
    return rt::fail(rt::Code::kInvalid, "'%s' has no kernel '%s'", kKernelsFile, kernel.symbol.c_str());
  return Status();
}

Status CaseCode::load(const CaseKernel &kernel, rt::CudaKernels &kernels) const {
  auto found = tables.find(kernel.symbol);
  return found == tables.end() ? Status() : kernels.load({&found->second, 1});
}

Status CaseCode::call(rt_kernel_fn function, rt::CudaKernels &kernels, std::vector<void *> &buffers,
                      const std::vector<int64_t> &symbols) const {
  rt_ctx ctx(role, *transport, hub->control(), rt::RoleOptions());
  ctx.cudaKernels = &kernels;
  function(&ctx, buffers.data(), symbols.data());
  return ctx.kernelFailed ? rt::fail(rt::Code::kKernel, "%s", ctx.kernelMessage.c_str()) : Status();
}
