//===- ModelFile.h - An ONNX file and the data beside it -------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Opens a model, parses its graph without its tensor data, and finds the bytes of a tensor: in the file itself, or in
// external files, which must lie in the model's folder or in one that the user named. Files are mapped, not read.
// Errors are texts without the model's name.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_IMPORT_ONNX_MODELFILE_H
#define PENSTOCK_LIB_IMPORT_ONNX_MODELFILE_H

#include "OnnxValue.h"
#include "mlir/Support/LLVM.h"
#include "onnx/onnx_pb.h"
#include "penstock/Import/Onnx/OnnxImporter.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/MemoryBuffer.h"

namespace penstock::onnximport {

class ModelFile {
public:
  /// `numbersNodes`: nodes carry their numbers, see WireReader.h.
  static std::unique_ptr<ModelFile> open(StringRef path, ArrayRef<std::string> externalDirs, std::string &error,
                                         bool numbersNodes = false);
  /// `bytes` must outlive the result.
  static std::unique_ptr<ModelFile> parse(StringRef bytes, StringRef path, ArrayRef<std::string> externalDirs,
                                          std::string &error);

  onnx::ModelProto &getModel() { return model; }
  StringRef getPath() const { return path; }
  /// The whole file.
  StringRef getBytes() const { return ownBytes; }

  /// Where the `numBytes` bytes of a tensor with external data lie.
  FailureOr<TensorRange> locate(const onnx::TensorProto &tensor, int64_t numBytes, std::string &error);
  /// The bytes of a range that `locate` gave.
  FailureOr<StringRef> read(const TensorRange &range, std::string &error);

private:
  ModelFile(StringRef path, ArrayRef<std::string> externalDirs)
      : path(path), externalDirs(externalDirs.begin(), externalDirs.end()) {}
  LogicalResult parse(StringRef bytes, std::string &error, bool numbersNodes = false);
  FailureOr<std::string> resolve(StringRef location, std::string &error);
  FailureOr<StringRef> map(StringRef file, std::string &error);

  std::string path;
  std::vector<std::string> externalDirs;
  onnx::ModelProto model;
  StringRef ownBytes;
  llvm::StringMap<std::unique_ptr<llvm::MemoryBuffer>> files;
};

} // namespace penstock::onnximport

#endif
