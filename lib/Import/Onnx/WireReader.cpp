//===- WireReader.cpp - Taking raw data out of a serialized model -*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "WireReader.h"
#include "WireFormat.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using llvm::StringRef;

namespace penstock::onnximport {
namespace {

class Extractor {
public:
  Extractor(StringRef model, int64_t maxInlineBytes, bool numbersNodes, std::string &error)
      : reader(model.data(), error), maxInlineBytes(maxInlineBytes), numbersNodes(numbersNodes) {}

  LogicalResult copyMessage(Message kind, StringRef in, std::string &out, int depth) {
    if (depth > kMaxMessageDepth)
      return reader.fail(in, "messages are nested more than " + llvm::Twine(kMaxMessageDepth) + " deep");
    if (kind == Message::kTensor)
      return copyTensor(in, out);
    if (kind == Message::kNode && numbersNodes)
      writeEntry(out, kNodeMetadataField, kNodeNumberKey, llvm::utostr(numNodes++));
    while (!in.empty()) {
      Field field;
      if (failed(reader.read(in, field)) || failed(copyField(kind, field, out, depth)))
        return failure();
    }
    return success();
  }

private:
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
      if (failed(reader.read(in, field)))
        return failure();
      if (field.number == 2 && field.wireType == kVarint)
        dataType = field.varint;
      if (!holdsRawBytes(field)) {
        fields.push_back(field);
        continue;
      }
      if (data)
        return reader.fail(field.whole, "the data of a tensor come in several pieces; expected one");
      data = field;
    }
    if (data && !fitsDataType(*data, dataType))
      return reader.fail(data->whole, "a tensor of data type " + llvm::Twine(dataType) + " has its data in field " +
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
    writeEntry(out, 13, "location", kSelfLocation);
    writeEntry(out, 13, "offset", llvm::utostr(reader.getOffset(data->payload)));
    writeEntry(out, 13, "length", llvm::utostr(data->payload.size()));
    return success();
  }

  static void writeEntry(std::string &out, uint32_t field, StringRef key, StringRef value) {
    std::string entry;
    writeBytes(entry, 1, key);
    writeBytes(entry, 2, value);
    writeBytes(out, field, entry);
  }

  FieldReader reader;
  int64_t maxInlineBytes;
  bool numbersNodes;
  uint64_t numNodes = 0;
};

} // namespace

LogicalResult extractTensorData(StringRef model, int64_t maxInlineBytes, std::string &result, std::string &error,
                                bool numbersNodes) {
  result.clear();
  return Extractor(model, maxInlineBytes, numbersNodes, error).copyMessage(Message::kModel, model, result, 0);
}

} // namespace penstock::onnximport
