//===- TargetBackend.cpp - What a target knows ------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "penstock/Target/TargetBackend.h"

using namespace penstock;

TargetBackend::~TargetBackend() = default;
