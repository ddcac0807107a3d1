//===- WireFormat.h - Fields of a serialized model --------------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The protobuf wire format as far as ONNX needs it: fields of a message, which of them hold messages of interest, and
// how to write them. Input is untrusted: every length is checked.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_IMPORT_ONNX_WIREFORMAT_H
#define PENSTOCK_LIB_IMPORT_ONNX_WIREFORMAT_H

#include "mlir/Support/LLVM.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/ADT/Twine.h"
#include <optional>
#include <string>

namespace penstock::onnximport {

/// Protobuf's own default limit of nested messages.
constexpr int kMaxMessageDepth = 100;

enum class Message { kModel, kGraph, kNode, kAttribute, kFunction, kTensor, kSparseTensor };
enum WireType { kVarint = 0, kFixed64 = 1, kLengthDelimited = 2, kFixed32 = 5 };

/// A field that holds a message which may hold tensors, or that the importer does not need (documentation, training).
struct FieldRule {
  Message parent;
  uint32_t field;
  std::optional<Message> child; ///< none: not needed
};
const FieldRule *findRule(Message parent, uint32_t field);

/// One field as it lies in the input.
struct Field {
  uint32_t number;
  uint32_t wireType;
  llvm::StringRef whole;   ///< tag, length and payload
  llvm::StringRef payload; ///< of a length-delimited field
  uint64_t varint = 0;
};

/// Reads fields of the message that begins at `base`; errors are texts that name the byte.
class FieldReader {
public:
  FieldReader(const char *base, std::string &error) : base(base), error(error) {}

  /// Takes the first field from `in`.
  mlir::LogicalResult read(llvm::StringRef &in, Field &field);
  mlir::LogicalResult fail(llvm::StringRef at, const llvm::Twine &what);
  size_t getOffset(llvm::StringRef at) const { return at.data() - base; }

private:
  mlir::LogicalResult readVarint(llvm::StringRef &in, uint64_t &value);

  const char *base;
  std::string &error;
};

void writeVarint(std::string &out, uint64_t value);
/// Tag and length of a field whose payload follows.
void writeHeader(std::string &out, uint32_t field, uint64_t numBytes);
void writeBytes(std::string &out, uint32_t field, llvm::StringRef bytes);

} // namespace penstock::onnximport

#endif
