//===- RuntimeFuzzer.cpp - Whatever the runtime reads ------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The first byte chooses the reader: .npy, .npz, ONNX tensor, plan.json and the proof over what it says, handshake
// message, recording. Nothing may crash, whatever the bytes; a plan that is not proved is refused with a reason.
//
//===----------------------------------------------------------------------===//
#include "penstock/rt/Files.h"
#include "penstock/rt/Plan.h"
#include "penstock/rt/Prove.h"
#include "penstock/rt/Recording.h"
#include "transports/shm/Wire.h"

#include <cstdlib>
#include <sys/mman.h>
#include <unistd.h>

using namespace penstock::rt;

/// A recording is read from a file: one in memory.
static void readRecording(const std::string &bytes) {
  Fd file(memfd_create("recording", MFD_CLOEXEC));
  if (write(file.get(), bytes.data(), bytes.size()) != ssize_t(bytes.size()))
    return;
  Recording recording;
  if (!recording.open("/proc/self/fd/" + std::to_string(file.get())).ok())
    return;
  for (int32_t channel = 0; channel < recording.numChannels(); ++channel)
    for (const Recording::Message &message : recording.messages(channel)) {
      std::vector<char> payload(size_t(message.numBytes));
      (void)recording.read(message, payload.data());
    }
}

static void readPlan(const std::string &bytes) {
  Plan plan;
  PlanProof proof;
  if (!Plan::parse(bytes, "x", plan).ok())
    return;
  Status status = provePlan(plan, proof);
  bool hasReason = status.message().rfind("the plan of '", 0) == 0 && status.code() == Code::kInvalid;
  if (!status.ok() && !hasReason)
    abort();
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t numBytes) {
  if (numBytes == 0)
    return 0;
  std::string bytes(reinterpret_cast<const char *>(data) + 1, numBytes - 1);
  auto length = static_cast<int64_t>(bytes.size());
  Tensor tensor;
  TensorMap tensors;
  switch (data[0] % 6) {
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
    readPlan(bytes);
    break;
  case 4: {
    WireReader reader(bytes);
    reader.number();
    reader.text();
    reader.channel();
    reader.options();
    break;
  }
  default:
    readRecording(bytes);
  }
  return 0;
}
