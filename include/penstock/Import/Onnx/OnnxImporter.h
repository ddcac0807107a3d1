//===- OnnxImporter.h - From an ONNX file to the nn dialect -----*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The first phase of the compiler. Memory is for the graph, not for the weights: tensors above `kMaxInlineBytes` become
// `nn.weight` ops that name a range of bytes of the model's file or of an external one.
//
// Errors go to the context's diagnostic engine, lower case, and name file, node and value. A failure leaves nothing
// behind. Nothing here throws; one context may serve one import at a time.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_IMPORT_ONNX_ONNXIMPORTER_H
#define PENSTOCK_IMPORT_ONNX_ONNXIMPORTER_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/ADT/MapVector.h"
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace penstock::onnximport {

/// Constants of at most this many bytes live in the module; larger ones are weights.
constexpr int64_t kMaxInlineBytes = 1024;

/// What is known of a named dimension: one value, or bounds.
struct DimOption {
  std::optional<int64_t> fixed;
  std::optional<int64_t> lower, upper, typical;
};

/// An extent of a shape option; none leaves the axis as the model says.
using ExtentOption = std::optional<int64_t>;

/// In the order of the command line.
template <typename T> using OptionMap = llvm::MapVector<std::string, T, std::map<std::string, unsigned>>;

struct ImportOptions {
  /// By name of a dimension: its `dim_param`, or `INPUT.AXIS` where the model gives it no proper name.
  OptionMap<DimOption> dims;
  /// By name of an input.
  OptionMap<std::vector<ExtentOption>> shapes;
  /// By name of an input: the text of its value, numbers separated by commas. The input becomes a constant.
  OptionMap<std::string> binds;
  /// Inputs fed by an output of the call before: (input, output).
  std::vector<std::pair<std::string, std::string>> states;
  /// Folders besides the model's own in which external data may lie.
  std::vector<std::string> externalDataDirs;
  /// Name of the dimension that is the batch; empty: found by a later phase.
  std::string batchDim;
  /// Give every op the pipeline stage that its node carries, as `nn.onnx_stage`.
  bool pipelineStages = false;
  /// Give every op the numbers of the nodes that it was made for, as `nn.onnx_nodes` (see StageWriter.h). Only for a
  /// model in a file.
  bool numbersNodes = false;
};

/// Parse the text of one flag into `options`: `NAME=N` or `NAME=LO..HI[:TYPICAL]`; `INPUT=1x3x?x224`;
/// `INPUT=VALUE[,VALUE]`; `INPUT=OUTPUT`. On failure `error` says what was expected.
mlir::LogicalResult parseDimOption(llvm::StringRef text, ImportOptions &options, std::string &error);
mlir::LogicalResult parseShapeOption(llvm::StringRef text, ImportOptions &options, std::string &error);
mlir::LogicalResult parseBindOption(llvm::StringRef text, ImportOptions &options, std::string &error);
mlir::LogicalResult parseStateOption(llvm::StringRef text, ImportOptions &options, std::string &error);

/// Read the model at `path`. The module holds one function, `@main`, in the `nn` dialect, and the symbols and weights
/// it uses.
mlir::FailureOr<mlir::OwningOpRef<mlir::ModuleOp>> importOnnxModel(mlir::MLIRContext &context, llvm::StringRef path,
                                                                   const ImportOptions &options = {});

/// The same for a model in memory. `path` stands in messages, and external data are looked for beside it; ranges of
/// weights refer to the serialized bytes.
mlir::FailureOr<mlir::OwningOpRef<mlir::ModuleOp>> importOnnxBuffer(mlir::MLIRContext &context, llvm::StringRef bytes,
                                                                    llvm::StringRef path,
                                                                    const ImportOptions &options = {});

/// An operator that the importer converts by itself. Operators with a function body of their own work besides these.
struct SupportedOperator {
  std::string domain, name;
  std::vector<int> sinceVersions;
};
std::vector<SupportedOperator> getSupportedOperators();

/// What one operator of a model is to the importer, for `inspect`.
struct OperatorUse {
  std::string domain, name;
  int opset = 0;
  std::vector<std::string> nodes;
  bool supported = false;
};
/// Every operator of the model with its nodes, in order of first use, whether supported or not.
mlir::FailureOr<std::vector<OperatorUse>> listOperators(mlir::MLIRContext &context, llvm::StringRef path,
                                                        const ImportOptions &options = {});

} // namespace penstock::onnximport

#endif
