//===- Weights.h - The weights file of a role ---------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Streams the weights that a role loads from where they lie (ranges of the model's files, or bytes made by the driver)
// into `stage-K.weights`: raw little-endian tensors, row-major or as a library wants them, each at a multiple of 64
// bytes, equal ones once, nothing else in the file. A model never lies in memory as a whole: one buffer of 1 MiB is
// all, and each source is read, or made, once.
//
// The executable of the role knows the length of the file and its XXH3 checksum; plan.json has those of each weight.
//
// Units: bytes. Ownership: sources borrow their bytes. Threads: none shared; one call per file.
// Errors: a source that is missing, or shorter than the range asks for, is the user's fault (it names weight, file,
// range and length); a full disk is the world's. A failed call leaves no file behind.
//
//===----------------------------------------------------------------------===//

#ifndef PENSTOCK_LINK_WEIGHTS_H
#define PENSTOCK_LINK_WEIGHTS_H

#include "penstock/Support/Error.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/STLFunctionalExtras.h"

#include <array>
#include <functional>
#include <string>
#include <vector>

namespace penstock {
namespace link {

/// XXH3 of 128 bits in canonical (big-endian) form.
using Checksum = std::array<uint8_t, 16>;

/// The checksum as 32 hexadecimal digits.
std::string formatChecksum(const Checksum &checksum);

/// Takes the next bytes of something.
using ByteConsumer = llvm::function_ref<llvm::Error(llvm::ArrayRef<char>)>;

/// Where the bytes of a weight come from: what `make` hands over if it is set, else a range of `file`.
struct WeightSource {
  std::string name; ///< for messages
  std::string file;
  int64_t offset = 0;
  int64_t numBytes = 0;
  std::function<llvm::Error(ByteConsumer)> make;
};

/// Where a weight lies in the file.
struct WeightPlace {
  int64_t offset = 0;
  int64_t numBytes = 0;
  Checksum checksum = {};
};

struct WeightsFile {
  std::vector<WeightPlace> places; ///< one per source
  int64_t numBytes = 0;            ///< length of the file
  int64_t numBytesShared = 0;      ///< what equal weights would have taken if each had its own place
  Checksum checksum = {};          ///< of the whole file
};

/// Writes `output` (which must not exist; mode 0644 before the umask). Without sources no file is written.
llvm::Expected<WeightsFile> writeWeights(llvm::StringRef output, llvm::ArrayRef<WeightSource> sources);

} // namespace link
} // namespace penstock

#endif // PENSTOCK_LINK_WEIGHTS_H
