//===- WireFormat.cpp - Fields of a serialized model -------------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "WireFormat.h"

using namespace mlir;
using llvm::StringRef;

namespace penstock::onnximport {

constexpr FieldRule kRules[] = {
    {Message::kModel, 7, Message::kGraph},
    {Message::kModel, 25, Message::kFunction},
    {Message::kModel, 6, std::nullopt},
    {Message::kModel, 20, std::nullopt},
    {Message::kGraph, 1, Message::kNode},
    {Message::kGraph, 5, Message::kTensor},
    {Message::kGraph, 15, Message::kSparseTensor},
    {Message::kGraph, 10, std::nullopt},
    {Message::kNode, 5, Message::kAttribute},
    {Message::kNode, 6, std::nullopt},
    {Message::kAttribute, 5, Message::kTensor},
    {Message::kAttribute, 6, Message::kGraph},
    {Message::kAttribute, 10, Message::kTensor},
    {Message::kAttribute, 11, Message::kGraph},
    {Message::kAttribute, 22, Message::kSparseTensor},
    {Message::kAttribute, 23, Message::kSparseTensor},
    {Message::kAttribute, 13, std::nullopt},
    {Message::kFunction, 7, Message::kNode},
    {Message::kFunction, 11, Message::kAttribute},
    {Message::kFunction, 8, std::nullopt},
    {Message::kSparseTensor, 1, Message::kTensor},
    {Message::kSparseTensor, 2, Message::kTensor},
    {Message::kTensor, 12, std::nullopt},
};

const FieldRule *findRule(Message parent, uint32_t field) {
  for (const FieldRule &rule : kRules)
    if (rule.parent == parent && rule.field == field)
      return &rule;
  return nullptr;
}

void writeVarint(std::string &out, uint64_t value) {
  for (; value >= 0x80; value >>= 7)
    out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}

void writeHeader(std::string &out, uint32_t field, uint64_t numBytes) {
  writeVarint(out, field << 3 | kLengthDelimited);
  writeVarint(out, numBytes);
}

void writeBytes(std::string &out, uint32_t field, StringRef bytes) {
  writeHeader(out, field, bytes.size());
  out.append(bytes.data(), bytes.size());
}

LogicalResult FieldReader::fail(StringRef at, const llvm::Twine &what) {
  error = ("byte " + llvm::Twine(getOffset(at)) + ": " + what).str();
  return failure();
}

LogicalResult FieldReader::readVarint(StringRef &in, uint64_t &value) {
  value = 0;
  StringRef start = in;
  for (int shift = 0; shift < 64; shift += 7) {
    if (in.empty())
      return fail(start, "the file ends inside a number");
    uint8_t byte = in.front();
    in = in.drop_front();
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (!(byte & 0x80))
      return success();
  }
  return fail(start, "a number takes more than ten bytes");
}

LogicalResult FieldReader::read(StringRef &in, Field &field) {
  StringRef start = in;
  uint64_t tag;
  if (failed(readVarint(in, tag)))
    return failure();
  if (tag >> 3 == 0 || tag >> 32)
    return fail(start, "field number " + llvm::Twine(tag >> 3) + " does not exist");
  field.number = tag >> 3;
  field.wireType = tag & 7;
  uint64_t numBytes = 0;
  switch (field.wireType) {
  case kVarint:
    if (failed(readVarint(in, field.varint)))
      return failure();
    break;
  case kLengthDelimited:
    if (failed(readVarint(in, numBytes)))
      return failure();
    break;
  case kFixed64:
    numBytes = 8;
    break;
  case kFixed32:
    numBytes = 4;
    break;
  default:
    return fail(start, "wire type " + llvm::Twine(field.wireType) + " is not used by ONNX");
  }
  if (numBytes > in.size())
    return fail(start,
                "a field of " + llvm::Twine(numBytes) + " bytes begins, but " + llvm::Twine(in.size()) + " are left");
  field.payload = in.take_front(numBytes);
  in = in.drop_front(numBytes);
  field.whole = StringRef(start.data(), in.data() - start.data());
  return success();
}

} // namespace penstock::onnximport
