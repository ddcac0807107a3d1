//===- WireFuzzer.cpp - Any bytes to reader and writer of the wire format -*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A model that was given stages is one that the reader accepts as before. Built a second time with
// PENSTOCK_PLANTED_CRASH, which aborts on some models that the reader accepts: a run of it that finds nothing shows
// that the fuzzing itself is broken.
//===----------------------------------------------------------------------===//
#include "StageText.h"
#include "WireReader.h"

#include <cstdlib>

using namespace penstock::onnximport;

static void require(bool condition) {
  if (!condition)
    abort();
}

/// Every second node gets a stage.
static void checkStages(llvm::StringRef model) {
  NodeStages stages;
  for (int64_t node = 0; node < 64; node += 2)
    stages.stageOf[node] = node % 3;
  StageText text;
  std::string error, annotated, again;
  if (failed(text.annotate(model, stages, 3, error))) // it looks into what nodes say of devices, the reader does not
    return require(!error.empty());
  for (llvm::StringRef piece : text.getPieces())
    annotated += piece;
  require(succeeded(extractTensorData(annotated, 16, again, error, /*numbersNodes=*/true)));
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t numBytes) {
  llvm::StringRef bytes(reinterpret_cast<const char *>(data), numBytes);
  std::string result, error;
  bool isAccepted = succeeded(extractTensorData(bytes, 16, result, error));
  require(isAccepted || !error.empty()); // a refusal says why
  if (isAccepted)
    checkStages(bytes);
#ifdef PENSTOCK_PLANTED_CRASH
  // Compared in steps of its own code, which the fuzzer sees and climbs; a library's search would be luck.
  for (size_t i = 0; isAccepted && i + 1 < numBytes; ++i)
    if (data[i] == 'z' && data[i + 1] == 'q')
      abort();
#endif
  return 0;
}
