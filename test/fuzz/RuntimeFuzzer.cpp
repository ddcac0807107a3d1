//===- RuntimeFuzzer.cpp - Whatever the runtime reads ------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The first byte chooses the reader: .npy, .npz, ONNX tensor, plan.json, handshake message. Nothing may crash, whatever
// the bytes.
//
//===----------------------------------------------------------------------===//
#include "penstock/rt/Files.h"
#include "penstock/rt/Plan.h"
#include "transports/shm/Wire.h"

using namespace penstock::rt;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t numBytes) {
  if (numBytes == 0)
    return 0;
  std::string bytes(reinterpret_cast<const char *>(data) + 1, numBytes - 1);
  auto length = static_cast<int64_t>(bytes.size());
  Tensor tensor;
  TensorMap tensors;
  Plan plan;
  switch (data[0] % 5) {
  case 0:
    (void)parseNpy(bytes.data(), length, "x", tensor);
    break;
  case 1:
    (void)parseNpz(bytes.data(), length, "x", tensors);
    break;
  case 2:
    (void)parseTensorProto(bytes.data(), length, "x", tensor);
    break;
  case 3:
    (void)Plan::parse(bytes, "x", plan);
    break;
  default:
    WireReader reader(bytes);
    reader.number();
    reader.text();
    reader.channel();
    reader.options();
  }
  return 0;
}
