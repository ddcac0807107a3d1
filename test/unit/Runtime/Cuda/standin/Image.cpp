//===- Image.cpp - Code for chips, and the machine as a variable -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Of an image only the chips are read: of a cubin (ELF), a fat binary, or PTX.
//
//===----------------------------------------------------------------------===//
#include "Machine.h"

#include "CudaApi.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <elf.h>
#include <sstream>
#include <unistd.h>

using namespace penstock::rt;

namespace standin {

namespace {
/// Code for one chip: 90 for sm_90.
struct Code {
  int arch;
  bool isPtx;
};

struct FatHeader {
  uint32_t magic;
  uint16_t version, headerBytes;
  uint64_t numBytes;
};
struct FatEntry {
  uint16_t kind, version;
  uint32_t headerBytes;
  uint64_t numBytes;
  uint32_t compressedBytes, reserved;
  uint16_t minor, major;
  uint32_t arch;
};
} // namespace

static constexpr uint16_t kCudaMachine = 190;
static constexpr uint32_t kFatMagic = 0xba55ed50;
static constexpr uint16_t kFatPtx = 1;

static bool isElf(const void *image) { return std::memcmp(image, ELFMAG, SELFMAG) == 0; }

static std::vector<Code> codesOf(const void *image) {
  const auto *bytes = static_cast<const char *>(image);
  if (isElf(image)) {
    Elf64_Ehdr header;
    std::memcpy(&header, image, sizeof(header));
    if (header.e_machine != kCudaMachine)
      return {};
    return {{int(header.e_flags >> 8 & 0xff), false}};
  }
  if (std::strncmp(bytes, ".version", 8) == 0 || std::strncmp(bytes, "//", 2) == 0) {
    const char *target = std::strstr(bytes, ".target sm_");
    return target ? std::vector<Code>{{std::atoi(target + 11), true}} : std::vector<Code>();
  }
  FatHeader header;
  std::memcpy(&header, image, sizeof(header));
  std::vector<Code> codes;
  if (header.magic != kFatMagic)
    return codes;
  for (uint64_t at = header.headerBytes, end = at + header.numBytes; at < end;) {
    FatEntry entry;
    std::memcpy(&entry, bytes + at, sizeof(entry));
    codes.push_back({int(entry.arch), entry.kind == kFatPtx});
    at += entry.headerBytes + entry.numBytes;
  }
  return codes;
}

int32_t judgeImage(const void *image, int major, int minor) {
  std::vector<Code> codes = codesOf(image);
  for (const Code &code : codes)
    if (code.isPtx ? code.arch <= major * 10 + minor : code.arch / 10 == major && code.arch % 10 <= minor)
      return cuda::kSuccess;
  return codes.empty() ? cuda::kInvalidImage : cuda::kNoBinaryForDevice;
}

std::vector<char> makeImage(int arch) {
  Elf64_Ehdr header = {};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_machine = kCudaMachine;
  header.e_flags = uint32_t(arch) << 8;
  std::vector<char> image(sizeof(header));
  std::memcpy(image.data(), &header, sizeof(header));
  return image;
}

/// At the end of the process.
static __attribute__((destructor)) void report() {
  const char *prefix = std::getenv("PENSTOCK_STANDIN_REPORT");
  std::FILE *file = prefix ? std::fopen(words("%s.%d", prefix, int(getpid())).c_str(), "w") : nullptr;
  if (!file)
    return;
  checkLeaks();
  for (const auto &[name, count] : machine().counts)
    std::fprintf(file, "call %s %lld\n", name.c_str(), (long long)count);
  for (const std::string &fault : machine().faults)
    std::fprintf(file, "fault %s\n", fault.c_str());
  std::fclose(file);
}

bool readEnvironment(Configuration &configuration) {
  const char *text = std::getenv("PENSTOCK_STANDIN");
  if (!text)
    return false;
  configuration.devices.clear();
  std::istringstream items(text);
  for (std::string item; std::getline(items, item, ';');) {
    size_t equals = item.find('=');
    std::string key = item.substr(0, equals), value = equals == std::string::npos ? "" : item.substr(equals + 1);
    if (key == "driver")
      configuration.driverVersion = std::atoi(value.c_str());
    if (key == "nccl")
      configuration.ncclVersion = std::atoi(value.c_str());
    if (key == "blind")
      configuration.isNcclBlind = value != "0";
    if (key == "nvlink")
      configuration.nvlink = value != "0";
    if (key == "nvlink" && value.size() > 1)
      configuration.nvlinkGroups.assign(value.begin(), value.end());
    if (key == "lost")
      configuration.lostWithLaunch = std::atoll(value.c_str());
    if (key != "device")
      continue;
    std::istringstream parts(value);
    std::string name, major, minor, bytes;
    std::getline(parts, name, '|'), std::getline(parts, major, '|');
    std::getline(parts, minor, '|'), std::getline(parts, bytes, '|');
    configuration.devices.push_back(
        {name, std::atoi(major.c_str()), std::atoi(minor.c_str()), std::strtoull(bytes.c_str(), nullptr, 10)});
  }
  return true;
}

} // namespace standin
