//===- Npz.cpp - Archives of NumPy arrays ------------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A .npz file is a ZIP archive of .npy files, stored or deflated, usually with 64-bit extensions. Read from its central
// directory.
//
//===----------------------------------------------------------------------===//
#include "penstock/rt/Files.h"

#include <cstring>
#include <zlib.h>

namespace penstock {
namespace rt {

namespace {

constexpr uint32_t kEndMark = 0x06054b50, kEnd64Locator = 0x07064b50, kEnd64Mark = 0x06064b50;
constexpr uint32_t kEntryMark = 0x02014b50, kLocalMark = 0x04034b50;

/// Little-endian numbers at checked places.
class Bytes {
public:
  Bytes(const char *data, int64_t numBytes) : data(data), numBytes(numBytes) {}
  bool has(int64_t at, int64_t count) const {
    return at >= 0 && count >= 0 && at <= numBytes && count <= numBytes - at;
  }
  int64_t number(int64_t at, int width) const {
    if (!has(at, width))
      return -1;
    uint64_t value = 0;
    for (int i = width; i-- > 0;)
      value = value << 8 | static_cast<uint8_t>(data[at + i]);
    return value > uint64_t(INT64_MAX) ? -1 : static_cast<int64_t>(value);
  }
  const char *data;
  int64_t numBytes;
};

struct Entry {
  std::string name;
  int64_t method = 0, crc = 0, packedBytes = 0, numBytes = 0, headerAt = 0;
};

} // namespace

/// Where the central directory begins and how many entries it has.
static bool findDirectory(const Bytes &file, int64_t &begin, int64_t &count) {
  int64_t end = -1;
  for (int64_t at = file.numBytes - 22; at >= 0 && at >= file.numBytes - 22 - 65535 && end < 0; --at)
    if (file.number(at, 4) == kEndMark)
      end = at;
  if (end < 0)
    return false;
  count = file.number(end + 10, 2);
  begin = file.number(end + 16, 4);
  if (file.number(end - 20, 4) != kEnd64Locator)
    return true;
  int64_t end64 = file.number(end - 20 + 8, 8);
  if (file.number(end64, 4) != kEnd64Mark)
    return false;
  count = file.number(end64 + 32, 8);
  begin = file.number(end64 + 48, 8);
  return true;
}

/// 64-bit sizes stand in an extra field, in this order, for those fields that are all ones.
static void readExtra64(const Bytes &file, int64_t at, int64_t end, Entry &entry) {
  while (at + 4 <= end) {
    int64_t tag = file.number(at, 2), length = file.number(at + 2, 2);
    if (tag == 1) {
      int64_t field = at + 4;
      for (int64_t *value : {&entry.numBytes, &entry.packedBytes, &entry.headerAt}) {
        if (*value != 0xffffffff || field + 8 > at + 4 + length)
          continue;
        *value = file.number(field, 8);
        field += 8;
      }
    }
    at += 4 + length;
  }
}

static bool readEntry(const Bytes &file, int64_t &at, Entry &entry) {
  if (file.number(at, 4) != kEntryMark || !file.has(at, 46))
    return false;
  entry.method = file.number(at + 10, 2);
  entry.crc = file.number(at + 16, 4);
  entry.packedBytes = file.number(at + 20, 4);
  entry.numBytes = file.number(at + 24, 4);
  int64_t nameBytes = file.number(at + 28, 2), extraBytes = file.number(at + 30, 2);
  int64_t commentBytes = file.number(at + 32, 2);
  entry.headerAt = file.number(at + 42, 4);
  if (!file.has(at + 46, nameBytes + extraBytes + commentBytes))
    return false;
  entry.name.assign(file.data + at + 46, size_t(nameBytes));
  readExtra64(file, at + 46 + nameBytes, at + 46 + nameBytes + extraBytes, entry);
  at += 46 + nameBytes + extraBytes + commentBytes;
  return true;
}

static bool inflateInto(const char *packed, int64_t packedBytes, std::string &out) {
  z_stream stream = {};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK)
    return false;
  uint64_t taken = 0, made = 0;
  int result = Z_OK;
  // zlib counts in 32 bits: feed it in parts.
  constexpr uint64_t kPart = 1 << 30;
  while (result == Z_OK) {
    uint64_t inPart = std::min<uint64_t>(kPart, uint64_t(packedBytes) - taken);
    uint64_t outPart = std::min<uint64_t>(kPart, out.size() - made);
    stream.next_in = reinterpret_cast<Bytef *>(const_cast<char *>(packed + taken));
    stream.avail_in = static_cast<uInt>(inPart);
    stream.next_out = reinterpret_cast<Bytef *>(&out[0] + made);
    stream.avail_out = static_cast<uInt>(outPart);
    result = inflate(&stream, Z_NO_FLUSH);
    uint64_t newlyTaken = inPart - stream.avail_in, newlyMade = outPart - stream.avail_out;
    taken += newlyTaken, made += newlyMade;
    if (newlyTaken == 0 && newlyMade == 0 && result == Z_OK)
      break;
  }
  inflateEnd(&stream);
  return result == Z_STREAM_END && made == out.size();
}

static uint32_t checksum(const std::string &bytes) {
  return static_cast<uint32_t>(crc32_z(0, reinterpret_cast<const Bytef *>(bytes.data()), bytes.size()));
}

static Status unpack(const Bytes &file, const Entry &entry, const std::string &what, std::string &bytes) {
  auto bad = [&](const char *why) { return fail(Code::kInvalid, "%s: %s", what.c_str(), why); };
  if (file.number(entry.headerAt, 4) != kLocalMark || !file.has(entry.headerAt, 30))
    return bad("the archive is damaged");
  int64_t begin = entry.headerAt + 30 + file.number(entry.headerAt + 26, 2) + file.number(entry.headerAt + 28, 2);
  if (!file.has(begin, entry.packedBytes) || entry.numBytes < 0)
    return bad("the archive ends within this member");
  // Deflate packs at most about 1032 to 1: a larger claim is a lie that would only cost memory.
  if (entry.method == 8 && entry.numBytes / 1040 > entry.packedBytes)
    return bad("the archive is damaged");
  if (entry.method == 0 && entry.packedBytes == entry.numBytes) {
    bytes.assign(file.data + begin, size_t(entry.numBytes));
  } else if (entry.method == 8) {
    bytes.resize(size_t(entry.numBytes));
    if (!inflateInto(file.data + begin, entry.packedBytes, bytes))
      return bad("the packed data are damaged");
  } else {
    return bad("packed in a way other than stored or deflated");
  }
  if (int64_t(checksum(bytes)) != entry.crc)
    return bad("the checksum does not fit; the archive is damaged");
  return Status();
}

Status parseNpz(const char *data, int64_t numBytes, const std::string &what, TensorMap &tensors) {
  Bytes file(data, numBytes);
  int64_t at = 0, count = 0;
  if (!findDirectory(file, at, count) || at < 0 || count < 0)
    return fail(Code::kInvalid, "%s: expected a .npz archive; it has no directory", what.c_str());
  tensors.clear();
  for (int64_t i = 0; i < count; ++i) {
    Entry entry;
    if (!readEntry(file, at, entry))
      return fail(Code::kInvalid, "%s: the directory of the archive is damaged", what.c_str());
    std::string name = entry.name, bytes;
    if (name.size() > 4 && name.compare(name.size() - 4, 4, ".npy") == 0)
      name.resize(name.size() - 4);
    std::string member = what + ", '" + name + "'";
    if (Status status = unpack(file, entry, member, bytes); !status.ok())
      return status;
    if (tensors.count(name))
      return fail(Code::kInvalid, "%s: the archive has it twice", member.c_str());
    if (Status status = parseNpy(bytes.data(), int64_t(bytes.size()), member, tensors[name]); !status.ok())
      return status;
  }
  return Status();
}

} // namespace rt
} // namespace penstock
