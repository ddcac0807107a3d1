//===- WireReader.cpp - Taking raw data out of a serialized model -*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "WireReader.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/Twine.h"
#include <optional>

using namespace mlir;
using llvm::ArrayRef;
using llvm::StringRef;

namespace penstock::onnximport {
namespace {

/// Protobuf's own default limit.
constexpr int kMaxDepth = 100;

enum class Message { kModel, kGraph, kNode, kAttribute, kFunction, kTensor, kSparseTensor };
enum WireType { kVarint = 0, kFixed64 = 1, kLengthDelimited = 2, kFixed32 = 5 };

/// A field that holds a message which may hold tensors, or that is dropped (documentation, training).
struct FieldRule {
  Message parent;
  uint32_t field;
  std::optional<Message> child; ///< none: dropped
};
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

/// One field as it lies in the input.
struct Field {
  uint32_t number;
  uint32_t wireType;
  StringRef whole;   ///< tag, length and payload
  StringRef payload; ///< of a length-delimited field
  uint64_t varint = 0;
};

void writeVarint(std::string &out, uint64_t value) {
  for (; value >= 0x80; value >>= 7)
    out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}
void writeBytes(std::string &out, uint32_t field, StringRef bytes) {
  writeVarint(out, field << 3 | kLengthDelimited);
  writeVarint(out, bytes.size());
  out.append(bytes.data(), bytes.size());
}

class Extractor {
public:
  Extractor(StringRef model, int64_t maxInlineBytes, std::string &error)
      : base(model.data()), maxInlineBytes(maxInlineBytes), error(error) {}

  LogicalResult copyMessage(Message kind, StringRef in, std::string &out, int depth) {
    if (depth > kMaxDepth)
      return fail(in, "messages are nested more than " + llvm::Twine(kMaxDepth) + " deep");
    if (kind == Message::kTensor)
      return copyTensor(in, out);
    while (!in.empty()) {
      Field field;
      if (failed(readField(in, field)) || failed(copyField(kind, field, out, depth)))
        return failure();
    }
    return success();
  }

private:
  LogicalResult fail(StringRef at, const llvm::Twine &what) {
    error = ("byte " + llvm::Twine(at.data() - base) + ": " + what).str();
    return failure();
  }

  LogicalResult copyField(Message kind, const Field &field, std::string &out, int depth) {
    const FieldRule *rule = findRule(kind, field.number);
    if (!rule || field.wireType != kLengthDelimited) {
      out.append(field.whole.data(), field.whole.size());
      return success();
    }
    if (!rule->child)
      return success();
    std::string child;
    if (failed(copyMessage(*rule->child, field.payload, child, depth + 1)))
      return failure();
    writeBytes(out, field.number, child);
    return success();
  }

  LogicalResult readVarint(StringRef &in, uint64_t &value) {
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

  LogicalResult readField(StringRef &in, Field &field) {
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

  /// `raw_data`, and packed `float_data` and `double_data`, are the tensor's bytes as they are.
  static bool holdsRawBytes(const Field &field) {
    return field.wireType == kLengthDelimited && (field.number == 9 || field.number == 4 || field.number == 10);
  }

  /// Floats lie in `float_data` only if the tensor's elements are float (1) or complex64 (14); doubles likewise (11,
  /// 15).
  static bool fitsDataType(const Field &field, uint64_t dataType) {
    if (field.number == 4)
      return dataType == 1 || dataType == 14;
    if (field.number == 10)
      return dataType == 11 || dataType == 15;
    return true;
  }

  LogicalResult copyTensor(StringRef in, std::string &out) {
    llvm::SmallVector<Field> fields;
    std::optional<Field> data;
    uint64_t dataType = 0;
    while (!in.empty()) {
      Field field;
      if (failed(readField(in, field)))
        return failure();
      if (field.number == 2 && field.wireType == kVarint)
        dataType = field.varint;
      if (!holdsRawBytes(field)) {
        fields.push_back(field);
        continue;
      }
      if (data)
        return fail(field.whole, "the data of a tensor come in several pieces; expected one");
      data = field;
    }
    if (data && !fitsDataType(*data, dataType))
      return fail(data->whole, "a tensor of data type " + llvm::Twine(dataType) + " has its data in field " +
                                   llvm::Twine(data->number));
    bool extract = data && static_cast<int64_t>(data->payload.size()) > maxInlineBytes;
    for (const Field &field : fields)
      if (!findRule(Message::kTensor, field.number))
        out.append(field.whole.data(), field.whole.size());
    if (!data)
      return success();
    if (!extract) {
      out.append(data->whole.data(), data->whole.size());
      return success();
    }
    writeVarint(out, 14 << 3 | kVarint);
    writeVarint(out, 1);
    writeEntry(out, "location", kSelfLocation);
    writeEntry(out, "offset", llvm::utostr(data->payload.data() - base));
    writeEntry(out, "length", llvm::utostr(data->payload.size()));
    return success();
  }

  static void writeEntry(std::string &out, StringRef key, StringRef value) {
    std::string entry;
    writeBytes(entry, 1, key);
    writeBytes(entry, 2, value);
    writeBytes(out, 13, entry);
  }

  const char *base;
  int64_t maxInlineBytes;
  std::string &error;
};

} // namespace

LogicalResult extractTensorData(StringRef model, int64_t maxInlineBytes, std::string &result, std::string &error) {
  result.clear();
  return Extractor(model, maxInlineBytes, error).copyMessage(Message::kModel, model, result, 0);
}

} // namespace penstock::onnximport
