//===- StageWriter.cpp - Pipeline stages into an ONNX file -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "penstock/Import/Onnx/StageWriter.h"
#include "ModelFile.h"
#include "NodeFlow.h"
#include "StageText.h"
#include "TopologicalOrder.h"
#include "WireReader.h"
#include "penstock/Support/Error.h"
#include "penstock/Support/Files.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

namespace penstock::onnximport {
namespace {

namespace fs = llvm::sys::fs;
namespace path_ns = llvm::sys::path;

/// The first external file that a tensor of the model lies in; empty: none.
StringRef findExternalFile(const onnx::GraphProto &graph);

StringRef findExternalFile(const onnx::TensorProto &tensor) {
  if (tensor.data_location() == onnx::TensorProto::EXTERNAL)
    for (const onnx::StringStringEntryProto &entry : tensor.external_data())
      if (entry.key() == "location" && entry.value() != kSelfLocation)
        return entry.value();
  return "";
}

StringRef findExternalFile(const google::protobuf::RepeatedPtrField<onnx::NodeProto> &nodes) {
  StringRef found;
  for (const onnx::NodeProto &node : nodes)
    for (const onnx::AttributeProto &attribute : node.attribute()) {
      if (attribute.has_t() && found.empty())
        found = findExternalFile(attribute.t());
      for (const onnx::TensorProto &tensor : attribute.tensors())
        found = found.empty() ? findExternalFile(tensor) : found;
      if (attribute.has_g() && found.empty())
        found = findExternalFile(attribute.g());
      for (const onnx::GraphProto &graph : attribute.graphs())
        found = found.empty() ? findExternalFile(graph) : found;
    }
  return found;
}

StringRef findExternalFile(const onnx::GraphProto &graph) {
  for (const onnx::TensorProto &tensor : graph.initializer())
    if (StringRef found = findExternalFile(tensor); !found.empty())
      return found;
  return findExternalFile(graph.node());
}

StringRef findExternalFile(const onnx::ModelProto &model) {
  StringRef found = findExternalFile(model.graph());
  for (const onnx::FunctionProto &function : model.functions())
    found = found.empty() ? findExternalFile(function.node()) : found;
  return found;
}

std::string getRealFolder(StringRef file) {
  StringRef folder = path_ns::parent_path(file);
  SmallString<256> real;
  return fs::real_path(folder.empty() ? "." : folder, real) ? folder.str() : std::string(real);
}

/// Locations of external data are relative to the file that names them.
llvm::Error checkFolder(const onnx::ModelProto &model, StringRef path, StringRef output) {
  StringRef external = findExternalFile(model);
  if (external.empty() || getRealFolder(path) == getRealFolder(output))
    return llvm::Error::success();
  return userError("cannot write '{0}': weights of '{1}' lie beside it, in '{2}'; expected a file in the same folder, "
                   "'{3}'",
                   output, path, external, getRealFolder(path));
}

} // namespace

llvm::Error writeOnnxStages(StringRef path, StringRef output, const NodeStages &stages, int64_t numStages) {
  std::string error;
  std::unique_ptr<ModelFile> file = ModelFile::open(path, {}, error, /*numbersNodes=*/true);
  if (!file || failed(sortNodes(file->getModel(), error)))
    return userError("{0}: {1}", path, error);
  if (llvm::Error wrongFolder = checkFolder(file->getModel(), path, output))
    return wrongFolder;
  NodeStages all = stages;
  addSilentNodes(file->getModel().graph(), all);
  StageText text;
  if (failed(text.annotate(file->getBytes(), all, numStages, error)))
    return userError("{0}: {1}", path, error);
  return writeWholeFile(output, [&](llvm::raw_ostream &os) {
    for (StringRef piece : text.getPieces())
      os << piece;
  });
}

} // namespace penstock::onnximport
