//===- CaseLayout.cpp - Where the tensors of a case lie ------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CaseLayout.h"

#include "penstock/rt/Abi.h"

#include <cstring>

using namespace penstock;
using namespace penstock::test;

static constexpr int64_t kGuard = 512;

CaseLayout::CaseLayout(const Case &test) : test(test) {
  for (size_t i = 0; i <= test.inputs.size() + test.results.size(); ++i) {
    // An odd multiple of what is promised.
    total = (total + kGuard + 2 * RT_ALIGNMENT - 1) / (2 * RT_ALIGNMENT) * (2 * RT_ALIGNMENT) + RT_ALIGNMENT;
    starts.push_back(total);
    total += sizeOf(i);
  }
  total += kGuard;
}

int64_t CaseLayout::sizeOf(size_t index) const {
  if (index < test.inputs.size())
    return test.inputs[index].numBytes;
  index -= test.inputs.size();
  return index < test.results.size() ? test.results[index].numBytes : test.workspaceBytes;
}

std::string CaseLayout::nameOf(size_t index) const {
  if (index < test.inputs.size())
    return "input " + std::to_string(index);
  index -= test.inputs.size();
  return index < test.results.size() ? "result " + std::to_string(index) : "the workspace";
}

void CaseLayout::fill(unsigned char *memory, const std::string &data, unsigned char rubbish) const {
  std::memset(memory, rubbish, size_t(total));
  for (size_t i = 0; i < test.inputs.size(); ++i)
    std::memcpy(memory + starts[i], data.data() + test.inputs[i].offset, size_t(sizeOf(i)));
}

std::string CaseLayout::findDamageIn(int64_t from, int64_t to, const unsigned char *before,
                                     const unsigned char *after) const {
  if (std::memcmp(before + from, after + from, size_t(to - from)) == 0)
    return "";
  int64_t at = from;
  while (before[at] == after[at])
    ++at;
  size_t next = 0;
  while (next < starts.size() && starts[next] <= at)
    ++next;
  if (next == 0)
    return std::to_string(starts[0] - at) + " bytes before " + nameOf(0) + " something was written";
  int64_t beyond = at - starts[next - 1] - sizeOf(next - 1);
  if (beyond < 0)
    return nameOf(next - 1) + " was written, at byte " + std::to_string(at - starts[next - 1]);
  std::string words = std::to_string(beyond) + " bytes behind " + nameOf(next - 1);
  if (next < starts.size())
    words += " and " + std::to_string(starts[next] - at) + " before " + nameOf(next);
  return words + " something was written";
}

std::string CaseLayout::findDamage(const unsigned char *before, const unsigned char *after) const {
  int64_t from = 0;
  for (size_t i = test.inputs.size(); i < starts.size(); ++i) {
    if (std::string damage = findDamageIn(from, starts[i], before, after); !damage.empty())
      return damage;
    from = starts[i] + sizeOf(i);
  }
  return findDamageIn(from, total, before, after);
}
