//===- TestAllInOne.cpp - The hand-written chain in one executable -===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the compiler links as `all-in-one`: launch, and a list of the roles.
//
//===----------------------------------------------------------------------===//
#include "TestRole.h"

static const rt_role_desc first = testrole::Role<0, 3, false>::make(), second = testrole::Role<1, 3, false>::make(),
                          third = testrole::Role<2, 3, false>::make();

extern "C" {
extern const rt_role_desc *const penstock_roles[];
extern const int32_t penstock_num_roles;
const rt_role_desc *const penstock_roles[] = {&first, &second, &third};
const int32_t penstock_num_roles = 3;
}
