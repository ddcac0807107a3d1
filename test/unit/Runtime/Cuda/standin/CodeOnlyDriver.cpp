//===- CodeOnlyDriver.cpp - A libcuda.so.1 that takes code and runs none -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What NVIDIA's cuDNN wants of a driver while it compiles an engine for a device that is described to it: it loads what
// it has compiled, and looks for its kernel in it. Not the stand-in, which would have to know that code.
//
//===----------------------------------------------------------------------===//
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace {
int handle;
constexpr int kNoDevice = 100, kInvalidImage = 200, kMaxThreads = 0;
} // namespace

#pragma GCC visibility push(default)
extern "C" {

int cuInit(unsigned) { return kNoDevice; } // nothing else may begin to use it
int cuDriverGetVersion(int *version) {
  *version = 13000;
  return 0;
}
int cuDeviceGetCount(int *count) {
  *count = 1;
  return 0;
}
int cuDeviceGet(int *device, int) {
  *device = 0;
  return 0;
}
int cuLibraryLoadData(void **library, const void *code, void *, void *, unsigned, void *, void *, unsigned) {
  *library = &handle;
  return std::memcmp(code, "\177ELF", 4) == 0 ? 0 : kInvalidImage;
}
int cuLibraryGetKernel(void **kernel, void *library, const char *name) {
  *kernel = &handle;
  return library == &handle && *name != 0 ? 0 : kInvalidImage;
}
int cuLibraryUnload(void *) { return 0; }
int cuKernelSetAttribute(int, int, void *, int) { return 0; }
int cuKernelGetAttribute(int *value, int attribute, void *, int) {
  *value = attribute == kMaxThreads ? 1024 : 0;
  return 0;
}
int cuOccupancyMaxPotentialClusterSize(int *size, void *, const void *) {
  *size = 8;
  return 0;
}

// It looks for these too, and calls none of them while it compiles.
#define UNUSED_CALL(name)                                                                                              \
  int name() { return kNoDevice; }
UNUSED_CALL(cuCtxGetCurrent)
UNUSED_CALL(cuCtxGetLimit)
UNUSED_CALL(cuCtxPopCurrent)
UNUSED_CALL(cuCtxPushCurrent)
UNUSED_CALL(cuGetErrorName)
UNUSED_CALL(cuGetErrorString)
UNUSED_CALL(cuLaunchCooperativeKernel)
UNUSED_CALL(cuLaunchKernel)
UNUSED_CALL(cuLaunchKernelEx)
UNUSED_CALL(cuLibraryLoadFromFile)
UNUSED_CALL(cuLinkAddData)
UNUSED_CALL(cuLinkComplete)
UNUSED_CALL(cuLinkCreate)
UNUSED_CALL(cuLinkDestroy)
UNUSED_CALL(cuStreamGetCtx)
#undef UNUSED_CALL

} // extern "C"
#pragma GCC visibility pop
