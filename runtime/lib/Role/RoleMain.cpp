//===- RoleMain.cpp - main of a role executable ------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "penstock/rt/Role.h"

extern "C" const rt_role_desc penstock_role;

int main(int argc, char **argv) { return penstock::rt::roleMain(penstock_role, argc, argv); }
