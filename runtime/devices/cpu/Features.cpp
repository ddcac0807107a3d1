//===- Features.cpp - Which instructions this CPU has ------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "penstock/rt/Role.h"

namespace penstock {
namespace rt {

#if defined(__x86_64__)
/// 1: there; 0: not there; -1: a word that is not known.
static int hasFeature(const std::string &feature) {
  __builtin_cpu_init();
#define PENSTOCK_FEATURE(WORD, NAME)                                                                                   \
  if (feature == WORD)                                                                                                 \
    return __builtin_cpu_supports(NAME) != 0;
  PENSTOCK_FEATURE("sse2", "sse2")
  PENSTOCK_FEATURE("sse3", "sse3")
  PENSTOCK_FEATURE("ssse3", "ssse3")
  PENSTOCK_FEATURE("sse4.1", "sse4.1")
  PENSTOCK_FEATURE("sse4.2", "sse4.2")
  PENSTOCK_FEATURE("popcnt", "popcnt")
  PENSTOCK_FEATURE("avx", "avx")
  PENSTOCK_FEATURE("avx2", "avx2")
  PENSTOCK_FEATURE("fma", "fma")
  PENSTOCK_FEATURE("bmi", "bmi")
  PENSTOCK_FEATURE("bmi2", "bmi2")
  PENSTOCK_FEATURE("avx512f", "avx512f")
  PENSTOCK_FEATURE("avx512cd", "avx512cd")
  PENSTOCK_FEATURE("avx512bw", "avx512bw")
  PENSTOCK_FEATURE("avx512dq", "avx512dq")
  PENSTOCK_FEATURE("avx512vl", "avx512vl")
  PENSTOCK_FEATURE("avx512ifma", "avx512ifma")
  PENSTOCK_FEATURE("avx512vbmi", "avx512vbmi")
  PENSTOCK_FEATURE("avx512vbmi2", "avx512vbmi2")
  PENSTOCK_FEATURE("avx512vnni", "avx512vnni")
  PENSTOCK_FEATURE("avx512bitalg", "avx512bitalg")
  PENSTOCK_FEATURE("avx512vpopcntdq", "avx512vpopcntdq")
  PENSTOCK_FEATURE("avx512bf16", "avx512bf16")
  PENSTOCK_FEATURE("gfni", "gfni")
  PENSTOCK_FEATURE("aes", "aes")
  PENSTOCK_FEATURE("pclmul", "pclmul")
  PENSTOCK_FEATURE("vpclmulqdq", "vpclmulqdq")
#undef PENSTOCK_FEATURE
  return -1;
}

/// Those that compilers' run-time libraries do not list, read from the processor: leaf, subleaf, register (a b c d),
/// bit.
static int hasRawFeature(const std::string &feature) {
  struct Row {
    const char *word;
    unsigned leaf, subleaf, reg, bit;
  };
  static constexpr Row kRows[] = {{"cx16", 1, 0, 2, 13},         {"movbe", 1, 0, 2, 22},
                                  {"f16c", 1, 0, 2, 29},         {"fxsr", 1, 0, 3, 24},
                                  {"sse", 1, 0, 3, 25},          {"mmx", 1, 0, 3, 23},
                                  {"cx8", 1, 0, 3, 8},           {"cmov", 1, 0, 3, 15},
                                  {"xsave", 1, 0, 2, 26},        {"lzcnt", 0x80000001, 0, 2, 5},
                                  {"sahf", 0x80000001, 0, 2, 0}, {"avxvnni", 7, 1, 0, 4},
                                  {"avx512fp16", 7, 0, 3, 23},   {"amx-bf16", 7, 0, 3, 22},
                                  {"amx-tile", 7, 0, 3, 24},     {"amx-int8", 7, 0, 3, 25},
                                  {"vaes", 7, 0, 2, 9}};
  for (const Row &row : kRows) {
    if (feature != row.word)
      continue;
    unsigned a = 0, b = 0, c = 0, d = 0;
    __asm__ volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(row.leaf & 0x80000000u), "c"(0));
    if (a < row.leaf)
      return 0;
    __asm__ volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(row.leaf), "c"(row.subleaf));
    unsigned registers[] = {a, b, c, d};
    return (registers[row.reg] >> row.bit) & 1;
  }
  return -1;
}
#else
static int hasFeature(const std::string &) { return -1; }
static int hasRawFeature(const std::string &) { return -1; }
#endif

Status checkCpu(const char *requiredFeatures) {
  std::string list = requiredFeatures ? requiredFeatures : "", missing, unknown;
  for (size_t at = 0; at < list.size();) {
    size_t comma = std::min(list.find(',', at), list.size());
    std::string feature = list.substr(at, comma - at);
    at = comma + 1;
    if (!feature.empty() && feature[0] == '+')
      feature.erase(0, 1);
    if (feature.empty() || feature[0] == '-') // what code was compiled to do without
      continue;
    int has = hasFeature(feature);
    if (has < 0)
      has = hasRawFeature(feature);
    if (has == 0)
      missing += (missing.empty() ? "" : ", ") + feature;
    if (has < 0)
      unknown += (unknown.empty() ? "" : ", ") + feature;
  }
  if (!missing.empty())
    return fail(Code::kInvalid, "this CPU lacks %s, which the executable was compiled for; compile with a lower --arch",
                missing.c_str());
  if (!unknown.empty())
    return fail(Code::kMismatch, "the executable needs the CPU features %s, which this runtime does not know",
                unknown.c_str());
  return Status();
}

} // namespace rt
} // namespace penstock
