//===- TensorProto.cpp - ONNX tensors and files of tensors -------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// ONNX's TensorProto in the protobuf wire format: data in raw_data or in the typed fields, packed or not. External
// data, strings and segments are refused. Field numbers are those of onnx.proto.
//
//===----------------------------------------------------------------------===//
#include "Memory.h"
#include "penstock/rt/Files.h"

#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>

namespace penstock {
namespace rt {

namespace {

enum Field : uint32_t {
  kDims = 1,
  kDataType = 2,
  kFloatData = 4,
  kInt32Data = 5,
  kInt64Data = 7,
  kRawData = 9,
  kDoubleData = 10,
  kUint64Data = 11,
  kExternalData = 13
};

class WireFormat {
public:
  WireFormat(const char *data, int64_t numBytes) : at(data), end(data + numBytes) {}
  bool done() const { return at == end; }
  bool varint(uint64_t &value) {
    value = 0;
    for (int shift = 0; shift < 64 && at < end; shift += 7) {
      auto byte = static_cast<uint8_t>(*at++);
      value |= uint64_t(byte & 127) << shift;
      if (byte < 128)
        return true;
    }
    return false;
  }
  bool fixed(int64_t width, const char *&bytes) {
    if (end - at < width)
      return false;
    bytes = at;
    at += width;
    return true;
  }
  bool block(const char *&bytes, int64_t &numBytes) {
    uint64_t length;
    if (!varint(length) || length > uint64_t(end - at))
      return false;
    bytes = at;
    numBytes = int64_t(length);
    at += length;
    return true;
  }

private:
  const char *at, *end;
};

struct Proto {
  std::vector<int64_t> dims;
  int64_t dataType = 0;
  const char *raw = nullptr;
  int64_t rawBytes = 0;
  bool hasRaw = false, isExternal = false;
  std::vector<uint64_t> integers; ///< int32_data, int64_data or uint64_data
  std::string fixedBytes;         ///< float_data or double_data, little-endian
};

} // namespace

/// Numbers of a repeated field: one, or a packed block of them.
static bool readIntegers(WireFormat &wire, uint32_t type, std::vector<uint64_t> &values) {
  uint64_t value;
  if (type == 0) {
    if (!wire.varint(value))
      return false;
    values.push_back(value);
    return true;
  }
  const char *bytes;
  int64_t numBytes;
  if (type != 2 || !wire.block(bytes, numBytes))
    return false;
  WireFormat inner(bytes, numBytes);
  while (!inner.done()) {
    if (!inner.varint(value))
      return false;
    values.push_back(value);
  }
  return true;
}

static bool readFixed(WireFormat &wire, uint32_t type, int64_t width, std::string &values) {
  const char *bytes;
  int64_t numBytes = width;
  bool single = type == (width == 4 ? 5u : 1u);
  if (single ? !wire.fixed(width, bytes) : type != 2 || !wire.block(bytes, numBytes))
    return false;
  values.append(bytes, size_t(numBytes));
  return true;
}

static bool skip(WireFormat &wire, uint32_t type) {
  uint64_t value;
  const char *bytes;
  int64_t numBytes;
  switch (type) {
  case 0:
    return wire.varint(value);
  case 1:
    return wire.fixed(8, bytes);
  case 2:
    return wire.block(bytes, numBytes);
  case 5:
    return wire.fixed(4, bytes);
  default:
    return false;
  }
}

static bool readField(WireFormat &wire, uint32_t field, uint32_t type, Proto &proto) {
  std::vector<uint64_t> numbers;
  switch (field) {
  case kDims:
    if (!readIntegers(wire, type, numbers))
      return false;
    proto.dims.insert(proto.dims.end(), numbers.begin(), numbers.end());
    return proto.dims.size() <= 64;
  case kDataType:
    if (!readIntegers(wire, type, numbers) || numbers.empty())
      return false;
    proto.dataType = int64_t(numbers.back());
    return true;
  case kInt32Data:
  case kInt64Data:
  case kUint64Data:
    return readIntegers(wire, type, proto.integers);
  case kFloatData:
    return readFixed(wire, type, 4, proto.fixedBytes);
  case kDoubleData:
    return readFixed(wire, type, 8, proto.fixedBytes);
  case kRawData:
    proto.hasRaw = true;
    return type == 2 && wire.block(proto.raw, proto.rawBytes);
  case kExternalData:
    proto.isExternal = true;
    return skip(wire, type);
  default:
    return skip(wire, type);
  }
}

static bool readProto(const char *bytes, int64_t numBytes, Proto &proto) {
  WireFormat wire(bytes, numBytes);
  while (!wire.done()) {
    uint64_t tag;
    if (!wire.varint(tag) || tag >> 3 == 0 || !readField(wire, uint32_t(tag >> 3), uint32_t(tag & 7), proto))
      return false;
  }
  return true;
}

/// The bytes of the elements, wherever they stand.
static bool gatherBytes(const Proto &proto, int32_t dtype, std::string &bytes) {
  if (!proto.fixedBytes.empty()) {
    bytes = proto.fixedBytes;
    return dtype == RT_F32 || dtype == RT_F64;
  }
  auto width = static_cast<size_t>(dtypeBytes(dtype));
  bytes.reserve(proto.integers.size() * width);
  for (uint64_t value : proto.integers) // little-endian: the low bytes come first
    bytes.append(reinterpret_cast<const char *>(&value), width);
  return true;
}

Status parseTensorProto(const char *data, int64_t numBytes, const std::string &what, Tensor &tensor) {
  auto bad = [&](const std::string &why) { return fail(Code::kInvalid, "%s: %s", what.c_str(), why.c_str()); };
  Proto proto;
  if (!readProto(data, numBytes, proto))
    return bad("expected a .npy array or an ONNX tensor; the file is damaged");
  if (proto.isExternal)
    return bad("an ONNX tensor with its data in another file, expected data in the file itself");
  auto dtype = static_cast<int32_t>(proto.dataType);
  if (int64_t(dtype) != proto.dataType || dtypeBytes(dtype) == 0)
    return bad("an ONNX tensor of element type " + std::to_string(proto.dataType) + ", expected numbers or bool");
  int64_t expected;
  if (!tensorBytes(dtype, proto.dims.data(), proto.dims.size(), expected))
    return bad("a shape of " + dimsToString(proto.dims) + " is too large");
  std::string gathered;
  if (!proto.hasRaw) {
    if (!gatherBytes(proto, dtype, gathered))
      return bad("an ONNX tensor whose data are not of its type");
    proto.raw = gathered.data();
    proto.rawBytes = int64_t(gathered.size());
  }
  if (proto.rawBytes != expected)
    return bad(format("%lld bytes of data, expected %lld for shape %s", (long long)proto.rawBytes, (long long)expected,
                      dimsToString(proto.dims).c_str()));
  if (Status status = Tensor::make(dtype, std::move(proto.dims), tensor); !status.ok())
    return status;
  if (expected)
    std::memcpy(tensor.data.get(), proto.raw, size_t(expected));
  return Status();
}

/// Maps a file; what is parsed from it is copied out.
static Status mapFile(const std::string &path, Mapping &mapping) {
  Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)); // a pipe is refused, not waited for
  if (!fd.valid())
    return Status(Code::kInvalid, failErrno("cannot open '%s'", path.c_str()).message());
  struct stat info;
  if (fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode))
    return fail(Code::kInvalid, "'%s' is not a regular file", path.c_str());
  if (info.st_size == 0)
    return fail(Code::kInvalid, "'%s' is empty", path.c_str());
  return Mapping::file(fd.get(), info.st_size, path.c_str(), mapping);
}

Status readTensorFile(const std::string &path, Tensor &tensor) {
  Mapping file;
  if (Status status = mapFile(path, file); !status.ok())
    return status;
  std::string what = "'" + path + "'";
  if (file.bytes() >= 6 && std::memcmp(file.data(), "\x93NUMPY", 6) == 0)
    return parseNpy(file.data(), file.bytes(), what, tensor);
  if (file.bytes() >= 4 && std::memcmp(file.data(), "PK\3\4", 4) == 0)
    return fail(Code::kInvalid, "%s is an archive; give it with --inputs", what.c_str());
  return parseTensorProto(file.data(), file.bytes(), what, tensor);
}

Status readNpzFile(const std::string &path, TensorMap &tensors) {
  Mapping file;
  if (Status status = mapFile(path, file); !status.ok())
    return status;
  return parseNpz(file.data(), file.bytes(), "'" + path + "'", tensors);
}

} // namespace rt
} // namespace penstock
