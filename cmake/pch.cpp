//===- pch.cpp - carries the precompiled header; see PenstockMLIR.cmake ---*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
