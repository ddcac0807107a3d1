//===- WireFuzzer.cpp - Any bytes to the reader of the wire format -*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Built a second time with PENSTOCK_PLANTED_CRASH, which aborts on some models that the reader accepts: a run of it
// that finds nothing shows that the fuzzing itself is broken.
//===----------------------------------------------------------------------===//
#include "WireReader.h"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t numBytes) {
  llvm::StringRef bytes(reinterpret_cast<const char *>(data), numBytes);
  std::string result, error;
  bool isAccepted = succeeded(penstock::onnximport::extractTensorData(bytes, 16, result, error));
  if (!isAccepted && error.empty())
    abort(); // a refusal says why
#ifdef PENSTOCK_PLANTED_CRASH
  // Compared in steps of its own code, which the fuzzer sees and climbs; a library's search would be luck.
  for (size_t i = 0; isAccepted && i + 1 < numBytes; ++i)
    if (data[i] == 'z' && data[i + 1] == 'q')
      abort();
#endif
  return 0;
}
