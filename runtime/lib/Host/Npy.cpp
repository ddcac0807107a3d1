//===- Npy.cpp - NumPy's array format ----------------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "penstock/rt/Files.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <unistd.h>

#include "Memory.h"

namespace penstock {
namespace rt {

namespace {

/// The header is a Python dictionary with three fixed keys; this reads exactly that.
class HeaderReader {
public:
  explicit HeaderReader(std::string text) : text(std::move(text)) {}
  bool read(std::string &descr, bool &fortran, std::vector<int64_t> &dims);

private:
  void skipSpace() {
    while (at < text.size() && (text[at] == ' ' || text[at] == '\t' || text[at] == '\n'))
      ++at;
  }
  bool take(char c) {
    skipSpace();
    if (at >= text.size() || text[at] != c)
      return false;
    ++at;
    return true;
  }
  bool takeWord(const char *word) {
    skipSpace();
    if (text.compare(at, std::strlen(word), word) != 0)
      return false;
    at += std::strlen(word);
    return true;
  }
  bool takeString(std::string &value) {
    skipSpace();
    if (at >= text.size() || (text[at] != '\'' && text[at] != '"'))
      return false;
    size_t end = text.find(text[at], at + 1);
    if (end == std::string::npos)
      return false;
    value = text.substr(at + 1, end - at - 1);
    at = end + 1;
    return true;
  }
  bool takeNumber(int64_t &value) {
    skipSpace();
    size_t begin = at;
    for (value = 0; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at)
      if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, text[at] - '0', &value))
        return false;
    if (at == begin)
      return false;
    if (at < text.size() && text[at] == 'L') // written by Python 2
      ++at;
    return true;
  }
  bool takeShape(std::vector<int64_t> &dims) {
    if (!take('('))
      return false;
    while (!take(')')) {
      int64_t dim;
      if (dims.size() >= 64 || !takeNumber(dim))
        return false;
      dims.push_back(dim);
      if (!take(',')) {
        if (!take(')'))
          return false;
        break;
      }
    }
    return true;
  }
  std::string text;
  size_t at = 0;
};

} // namespace

bool HeaderReader::read(std::string &descr, bool &fortran, std::vector<int64_t> &dims) {
  bool hasDescr = false, hasOrder = false, hasShape = false;
  if (!take('{'))
    return false;
  while (!take('}')) {
    std::string key;
    if (!takeString(key) || !take(':'))
      return false;
    if (key == "descr") {
      hasDescr = takeString(descr);
    } else if (key == "fortran_order") {
      fortran = takeWord("True");
      hasOrder = fortran || takeWord("False");
    } else if (key == "shape") {
      dims.clear();
      hasShape = takeShape(dims);
    } else {
      return false;
    }
    if (!take(',')) {
      if (!take('}'))
        return false;
      break;
    }
  }
  return hasDescr && hasOrder && hasShape;
}

namespace {
struct DescrRow {
  const char *descr;
  int32_t dtype;
};
} // namespace

static constexpr DescrRow kDescrs[] = {{"<f4", RT_F32},  {"<f8", RT_F64}, {"<f2", RT_F16}, {"|b1", RT_BOOL},
                                       {"|u1", RT_U8},   {"|i1", RT_I8},  {"<u2", RT_U16}, {"<i2", RT_I16},
                                       {"<u4", RT_U32},  {"<i4", RT_I32}, {"<u8", RT_U64}, {"<i8", RT_I64},
                                       {"<V2", RT_BF16}, {"|V2", RT_BF16}};

static bool dtypeOfDescr(std::string descr, int32_t &dtype) {
  if (descr == "<u1" || descr == "<i1" || descr == "<b1" || descr == "=u1" || descr == ">u1" || descr == ">i1")
    descr[0] = '|';
  if (!descr.empty() && descr[0] == '=')
    descr[0] = '<';
  for (const DescrRow &row : kDescrs) {
    if (descr != row.descr)
      continue;
    dtype = row.dtype;
    return true;
  }
  return false;
}

/// First index fastest, to last index fastest.
static void copyFromFortran(const char *from, Tensor &tensor) {
  int64_t width = dtypeBytes(tensor.dtype), count = tensor.numBytes / width;
  size_t numDims = tensor.dims.size();
  std::vector<int64_t> index(numDims, 0), strides(numDims, width);
  for (size_t i = numDims; i-- > 1;)
    strides[i - 1] = strides[i] * tensor.dims[i];
  int64_t offset = 0;
  for (int64_t i = 0; i < count; ++i) {
    std::memcpy(tensor.data.get() + offset, from + i * width, size_t(width));
    for (size_t axis = 0; axis < numDims; ++axis) {
      offset += strides[axis];
      if (++index[axis] < tensor.dims[axis])
        break;
      offset -= strides[axis] * index[axis];
      index[axis] = 0;
    }
  }
}

Status parseNpy(const char *bytes, int64_t numBytes, const std::string &what, Tensor &tensor) {
  auto bad = [&](const std::string &why) { return fail(Code::kInvalid, "%s: %s", what.c_str(), why.c_str()); };
  if (numBytes < 10 || std::memcmp(bytes, "\x93NUMPY", 6) != 0)
    return bad("expected a .npy array");
  int version = static_cast<uint8_t>(bytes[6]);
  if (version < 1 || version > 3)
    return bad("version " + std::to_string(version) + " of the .npy format, expected 1, 2 or 3");
  int64_t lengthBytes = version == 1 ? 2 : 4, headerBytes = 0;
  if (numBytes < 8 + lengthBytes)
    return bad("the file ends within its header");
  for (int64_t i = lengthBytes; i-- > 0;)
    headerBytes = headerBytes * 256 + static_cast<uint8_t>(bytes[8 + i]);
  int64_t begin = 8 + lengthBytes + headerBytes;
  if (headerBytes > (1 << 20) || begin > numBytes)
    return bad("the file ends within its header");
  std::string descr;
  bool fortran = false;
  std::vector<int64_t> dims;
  if (!HeaderReader(std::string(bytes + 8 + lengthBytes, size_t(headerBytes))).read(descr, fortran, dims))
    return bad("the header of the .npy array cannot be read");
  int32_t dtype;
  if (!dtypeOfDescr(descr, dtype))
    return bad("elements of type '" + descr + "', expected little-endian numbers or bool");
  int64_t expected;
  if (!tensorBytes(dtype, dims.data(), dims.size(), expected))
    return bad("a shape of " + dimsToString(dims) + " is too large");
  if (numBytes - begin != expected)
    return bad(format("%lld bytes of data, expected %lld for shape %s", (long long)(numBytes - begin),
                      (long long)expected, dimsToString(dims).c_str()));
  if (Status status = Tensor::make(dtype, std::move(dims), tensor); !status.ok())
    return status;
  if (fortran && tensor.dims.size() > 1)
    copyFromFortran(bytes + begin, tensor);
  else if (expected)
    std::memcpy(tensor.data.get(), bytes + begin, size_t(expected));
  return Status();
}

static std::string headerOf(const Tensor &tensor) {
  const char *descr = "";
  for (const DescrRow &row : kDescrs)
    if (row.dtype == tensor.dtype && !*descr)
      descr = row.descr;
  std::string text = std::string("{'descr': '") + descr + "', 'fortran_order': False, 'shape': (";
  for (size_t i = 0; i < tensor.dims.size(); ++i)
    text += std::to_string(tensor.dims[i]) + (tensor.dims.size() == 1 ? "," : i + 1 < tensor.dims.size() ? ", " : "");
  text += "), }";
  // Data begins at a multiple of 64; the header ends in a newline.
  size_t padded = (10 + text.size() + 1 + 63) / 64 * 64;
  text.append(padded - 10 - text.size() - 1, ' ');
  text += '\n';
  std::string result("\x93NUMPY\x01\x00", 8);
  result += static_cast<char>(text.size() & 255);
  result += static_cast<char>(text.size() >> 8);
  return result + text;
}

Status writeNpyFile(const std::string &path, const Tensor &tensor) {
  std::string partial;
  Fd fd = createBeside(path, 0, partial);
  std::FILE *file = fd.valid() ? fdopen(fd.get(), "wb") : nullptr;
  if (!file)
    return failErrno("cannot write '%s'", path.c_str());
  (void)fd.take(); // the file closes it
  std::string header = headerOf(tensor);
  auto numBytes = static_cast<size_t>(tensor.numBytes);
  bool written = std::fwrite(header.data(), 1, header.size(), file) == header.size();
  written = written && (numBytes == 0 || std::fwrite(tensor.data.get(), 1, numBytes, file) == numBytes);
  int error = errno;
  if (std::fclose(file) != 0 && written) {
    written = false;
    error = errno;
  }
  if (written && std::rename(partial.c_str(), path.c_str()) == 0)
    return Status();
  errno = written ? errno : error;
  Status status = failErrno("cannot write '%s'", path.c_str());
  unlink(partial.c_str());
  return status;
}

std::map<std::string, std::string> outputFileNames(const std::vector<std::string> &names,
                                                   const std::string &extension) {
  std::map<std::string, std::string> result;
  std::map<std::string, int> taken;
  for (const std::string &name : names) {
    std::string base;
    for (char c : name) {
      bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
                   c == '-';
      base += plain ? c : '_';
    }
    std::string unique = base;
    for (int i = 2; taken.count(unique); ++i)
      unique = base + "_" + std::to_string(i);
    taken[unique] = 1;
    result[name] = unique + extension;
  }
  return result;
}

} // namespace rt
} // namespace penstock
