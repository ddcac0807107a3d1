//===- CpuFeatures.h - What a CPU must have to run our code -------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_SUPPORT_CPUFEATURES_H
#define PENSTOCK_SUPPORT_CPUFEATURES_H

#include "penstock/Support/ObjectEmitter.h"

#include <string>

namespace penstock {

/// The features that code for `profile` may use, in LLVM's words, sorted, joined by commas: those that the processor's
/// name implies and those that are added, as far as a code generator uses them unasked. An executable checks them
/// before anything else, so that a lesser CPU is an error and not a signal.
std::string getRequiredFeatures(const TargetProfile &profile);

} // namespace penstock

#endif // PENSTOCK_SUPPORT_CPUFEATURES_H
