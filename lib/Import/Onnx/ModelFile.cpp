//===- ModelFile.cpp - An ONNX file and the data beside it -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "ModelFile.h"
#include "WireReader.h"
#include "google/protobuf/io/coded_stream.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include <limits>

namespace penstock::onnximport {

namespace fs = llvm::sys::fs;
namespace path_ns = llvm::sys::path;

/// A regular file, mapped. Pipes and devices are refused: reading them might never end.
static std::unique_ptr<llvm::MemoryBuffer> mapFile(StringRef file, std::string &error) {
  fs::file_status status;
  if (std::error_code code = fs::status(file, status)) {
    error = "cannot open '" + file.str() + "': " + StringRef(code.message()).lower();
    return nullptr;
  }
  if (status.type() != fs::file_type::regular_file) {
    error = "'" + file.str() + "' is not a regular file";
    return nullptr;
  }
  auto buffer = llvm::MemoryBuffer::getFile(file, /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (buffer)
    return std::move(*buffer);
  error = "cannot read '" + file.str() + "': " + StringRef(buffer.getError().message()).lower();
  return nullptr;
}

std::unique_ptr<ModelFile> ModelFile::open(StringRef path, ArrayRef<std::string> externalDirs, std::string &error,
                                           bool numbersNodes) {
  std::unique_ptr<llvm::MemoryBuffer> buffer = mapFile(path, error);
  if (!buffer)
    return nullptr;
  std::unique_ptr<ModelFile> file(new ModelFile(path, externalDirs));
  if (failed(file->parse(buffer->getBuffer(), error, numbersNodes)))
    return nullptr;
  file->files[path] = std::move(buffer);
  return file;
}

std::unique_ptr<ModelFile> ModelFile::parse(StringRef bytes, StringRef path, ArrayRef<std::string> externalDirs,
                                            std::string &error) {
  std::unique_ptr<ModelFile> file(new ModelFile(path, externalDirs));
  return succeeded(file->parse(bytes, error)) ? std::move(file) : nullptr;
}

LogicalResult ModelFile::parse(StringRef bytes, std::string &error, bool numbersNodes) {
  ownBytes = bytes;
  if (bytes.empty()) {
    error = "the file is empty; expected an ONNX model";
    return failure();
  }
  std::string graph;
  if (failed(extractTensorData(bytes, kMaxInlineBytes, graph, error, numbersNodes))) {
    error = "not an ONNX model: " + error;
    return failure();
  }
  if (graph.size() > static_cast<size_t>(std::numeric_limits<int>::max())) {
    error = "the graph takes " + std::to_string(graph.size()) + " bytes without its tensors; expected less than 2 GiB";
    return failure();
  }
  google::protobuf::io::CodedInputStream stream(reinterpret_cast<const uint8_t *>(graph.data()),
                                                static_cast<int>(graph.size()));
  if (!model.ParseFromCodedStream(&stream) || !stream.ConsumedEntireMessage()) {
    error = "not an ONNX model: its protocol buffer does not parse";
    return failure();
  }
  if (!model.has_graph()) {
    error = "not an ONNX model: it has no graph";
    return failure();
  }
  return success();
}

static std::string getRealPath(StringRef path) {
  SmallString<256> real;
  return fs::real_path(path.empty() ? "." : path, real) ? std::string() : std::string(real);
}

static bool isInside(StringRef file, StringRef folder) {
  if (folder.empty())
    return false;
  return file.consume_front(folder) && (folder.ends_with("/") || file.starts_with("/"));
}

FailureOr<std::string> ModelFile::resolve(StringRef location, std::string &error) {
  auto refuse = [&](const Twine &why) {
    error = ("external data '" + location + "' " + why).str();
    return failure();
  };
  if (location.empty() || location.contains('\0'))
    return refuse("is not a file name");
  if (path_ns::is_absolute(location))
    return refuse("has an absolute path; expected one relative to the model's folder or an --external-data-dir");
  for (StringRef part : llvm::make_range(path_ns::begin(location), path_ns::end(location)))
    if (part == "..")
      return refuse(
          "leaves the model's folder through '..'; expected a file inside it or inside an --external-data-dir");
  SmallVector<std::string> folders{path_ns::parent_path(path).str()};
  llvm::append_range(folders, externalDirs);
  for (const std::string &folder : folders) {
    SmallString<256> candidate(folder);
    path_ns::append(candidate, location);
    if (!fs::exists(candidate))
      continue;
    std::string real = getRealPath(candidate);
    if (llvm::any_of(folders, [&](const std::string &allowed) { return isInside(real, getRealPath(allowed)); }))
      return candidate.str().str();
    return refuse("is a link to '" + real + "', outside the model's folder; allow it with --external-data-dir");
  }
  return refuse("does not exist in '" + (folders[0].empty() ? "." : folders[0]) +
                "'; another folder is named with --external-data-dir");
}

FailureOr<StringRef> ModelFile::map(StringRef file, std::string &error) {
  if (file == path)
    return ownBytes;
  std::unique_ptr<llvm::MemoryBuffer> &buffer = files[file];
  if (!buffer)
    buffer = mapFile(file, error);
  if (!buffer)
    return failure();
  return buffer->getBuffer();
}

FailureOr<TensorRange> ModelFile::locate(const onnx::TensorProto &tensor, int64_t numBytes, std::string &error) {
  StringRef location;
  std::optional<int64_t> offset, length;
  for (const onnx::StringStringEntryProto &entry : tensor.external_data()) {
    StringRef value = entry.value();
    if (entry.key() == "location") {
      location = value;
      continue;
    }
    if (entry.key() != "offset" && entry.key() != "length")
      continue;
    int64_t number;
    if (value.getAsInteger(10, number) || number < 0) {
      error = "external data have " + entry.key() + " '" + entry.value() + "'; expected a non-negative number";
      return failure();
    }
    (entry.key() == "offset" ? offset : length) = number;
  }
  TensorRange range;
  range.offset = offset.value_or(0);
  range.numBytes = numBytes;
  if (length && *length != numBytes) {
    error = "has " + std::to_string(*length) + " bytes of data; expected " + std::to_string(numBytes);
    return failure();
  }
  if (location == kSelfLocation) {
    range.path = path;
  } else {
    FailureOr<std::string> file = resolve(location, error);
    if (failed(file))
      return failure();
    range.path = *file;
  }
  FailureOr<StringRef> bytes = map(range.path, error);
  if (failed(bytes))
    return failure();
  int64_t fileBytes = bytes->size();
  if (range.offset > fileBytes || numBytes > fileBytes - range.offset) {
    error = "'" + range.path + "' has " + std::to_string(fileBytes) + " bytes; expected " + std::to_string(numBytes) +
            " from byte " + std::to_string(range.offset);
    return failure();
  }
  return range;
}

FailureOr<StringRef> ModelFile::read(const TensorRange &range, std::string &error) {
  FailureOr<StringRef> bytes = map(range.path, error);
  if (failed(bytes))
    return failure();
  return bytes->substr(range.offset, range.numBytes);
}

} // namespace penstock::onnximport
