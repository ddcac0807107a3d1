//===- WireReader.h - Taking raw data out of a serialized model -*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A model of many gigabytes is a small graph and large tensors. This walks the protobuf wire format of a `ModelProto`
// and writes it again with every large tensor's data replaced by a reference (offset and length in the given bytes), in
// the form of ONNX's own external data whose location is `kSelfLocation`. Protobuf then parses the rest.
//
// The input is untrusted: every length is checked, and nesting is bounded.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_IMPORT_ONNX_WIREREADER_H
#define PENSTOCK_LIB_IMPORT_ONNX_WIREREADER_H

#include "mlir/Support/LLVM.h"
#include "llvm/ADT/StringRef.h"
#include <string>

namespace penstock::onnximport {

/// Location of data that lie in the model's file itself.
constexpr llvm::StringLiteral kSelfLocation("\1model");
/// Key of the metadata that hold a node's number: its place among all nodes of the file, those of subgraphs and of
/// functions included, each before the nodes inside of it.
constexpr llvm::StringLiteral kNodeNumberKey("\1node");
/// `NodeProto.metadata_props`.
constexpr uint32_t kNodeMetadataField = 9;

/// Write `model` to `result` without tensor data above `maxInlineBytes`; with `numbersNodes` every node gets its number
/// as its first metadata. On failure `error` says what is wrong, and where.
mlir::LogicalResult extractTensorData(llvm::StringRef model, int64_t maxInlineBytes, std::string &result,
                                      std::string &error, bool numbersNodes = false);

} // namespace penstock::onnximport

#endif
