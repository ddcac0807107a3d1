//===- CpuFeatures.cpp - What a CPU must have to run our code -----*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "penstock/Support/CpuFeatures.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/TargetParser/Triple.h"
#include "llvm/TargetParser/X86TargetParser.h"

#include <set>

using namespace penstock;

/// Features that change what is generated for ordinary code; the others (encryption, system instructions) need to be
/// asked for by name. The runtime knows the same words.
static bool isUsedUnasked(llvm::StringRef feature) {
  static const char *const words[] = {"sse3", "ssse3", "sse4.1", "sse4.2", "popcnt", "avx",     "avx2", "fma",
                                      "f16c", "bmi",   "bmi2",   "lzcnt",  "movbe",  "avxvnni", "gfni"};
  static const char *const avx512[] = {"f",     "cd",   "bw",     "dq",        "vl",   "ifma", "vbmi",
                                       "vbmi2", "vnni", "bitalg", "vpopcntdq", "bf16", "fp16"};
  if (feature.consume_front("avx512"))
    return llvm::is_contained(avx512, feature);
  return llvm::is_contained(words, feature);
}

std::string penstock::getRequiredFeatures(const TargetProfile &profile) {
  std::set<std::string> required;
  if (llvm::Triple(profile.triple).isX86() && llvm::X86::parseArchX86(profile.cpu) != llvm::X86::CK_None) {
    llvm::SmallVector<llvm::StringRef> implied;
    llvm::X86::getFeaturesForCPU(profile.cpu, implied);
    for (llvm::StringRef feature : implied)
      if (isUsedUnasked(feature))
        required.insert(feature.str());
  }
  llvm::SmallVector<llvm::StringRef> changes;
  llvm::StringRef(profile.features).split(changes, ',', -1, /*KeepEmpty=*/false);
  for (llvm::StringRef change : changes) {
    if (change.consume_front("-"))
      required.erase(change.str());
    else if (change.consume_front("+"))
      required.insert(change.str());
  }
  return llvm::join(required, ",");
}
