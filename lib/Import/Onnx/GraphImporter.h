//===- GraphImporter.h - Graphs, scopes and functions ----------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The state of one import: the module under construction, its symbols and constants, and the walk over nodes, subgraphs
// and function bodies. Converters reach it through NodeContext.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_IMPORT_ONNX_GRAPHIMPORTER_H
#define PENSTOCK_LIB_IMPORT_ONNX_GRAPHIMPORTER_H

#include "ModelFile.h"
#include "OnnxValue.h"
#include "PipelineStages.h"
#include "ShapeAlgebra.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "penstock/Import/Onnx/OperatorRegistry.h"
#include "llvm/ADT/StringMap.h"
#include <deque>

namespace penstock::onnximport {

/// Names visible in a graph or function body. A subgraph sees those of its parent; a function body does not.
struct Scope {
  Scope *parent = nullptr;
  llvm::StringMap<OnnxValue *> values;
  const std::map<std::string, int> *opsets = nullptr; ///< by domain; "" for ai.onnx
  bool isMainGraph = false;                           ///< its tensors are named in the module
  int depth = 0;
  std::optional<Location> callLoc; ///< in a function body: the outermost call

  OnnxValue *find(StringRef name) const {
    for (const Scope *scope = this; scope; scope = scope->parent)
      if (OnnxValue *value = scope->values.lookup(name))
        return value;
    return nullptr;
  }
};

class GraphImporter {
public:
  GraphImporter(ModuleOp module, ModelFile &file, const ImportOptions &options, const OperatorRegistry &registry);

  /// Import the model's main graph as `@main`.
  LogicalResult importModel();

  //===--- for converters ------------------------------------------------===//
  MLIRContext *getContext() const { return context; }
  ModelFile &getFile() { return file; }
  ShapeAlgebra &getAlgebra() { return algebra; }
  OpBuilder &getBuilder() { return builder; }
  const ImportOptions &getOptions() const { return options; }

  OnnxValue *createValue(StringRef name, RankedTensorType type);
  /// Make `value` an SSA value; null and an error if it is not a tensor.
  Value materialize(OnnxValue &value, Location loc);
  const Elements *getElements(OnnxValue &value);
  /// The bytes of a constant, of one element where all are equal; nothing if it is not constant.
  std::optional<StringRef> getData(const OnnxValue &value);
  Value getConstant(DenseElementsAttr value);
  Value getExtentTensor(ArrayRef<AffineExpr> exprs, RankedTensorType type);
  /// The number that `value`, one i64, is when the model runs, as an extent that flags call `name`: at most `bound` (if
  /// not null) and what `--dim` says. Null and an error where there is no bound, or no place for it.
  AffineExpr defineExtent(Value value, const std::string &name, AffineExpr bound, Location loc);
  /// Element `position` of `value`, integers of a known number, as an extent: an expression where it follows from
  /// shapes, else one that is found when the model runs, as above.
  AffineExpr getElementAsExtent(Value value, int64_t position, const std::string &name, AffineExpr bound, Location loc);
  /// Read a tensor proto into a new value; null and an error (at `loc`) if it is bad.
  OnnxValue *importTensor(const onnx::TensorProto &tensor, StringRef name, Location loc);

  /// Convert a subgraph in a scope of its own, inputs first; its outputs go to `outputs`.
  /// Tensors of a body that is imported several times are not named in the module.
  LogicalResult importSubgraph(const onnx::GraphProto &graph, Scope &parent, ArrayRef<OnnxValue *> inputs,
                               SmallVectorImpl<OnnxValue *> &outputs, Location loc, bool isRepeated = false);

  //===--- assumptions ---------------------------------------------------===//
  /// Two extents that must be equal for the module to be right, checked at run time: always, or inside of a branch
  /// where that branch is taken.
  struct Assumption {
    AffineExpr left, right;
    std::string reason; ///< what the two are, for the message
  };
  void assumeEqual(AffineExpr left, AffineExpr right, StringRef reason);
  /// The list of the branch under conversion, or null in the main graph.
  std::vector<Assumption> *branchAssumptions = nullptr;

private:
  LogicalResult importInitializers(const onnx::GraphProto &graph, Scope &scope);
  LogicalResult importInputs(const onnx::GraphProto &graph, Scope &scope, func::FuncOp function);
  FailureOr<RankedTensorType> getInputType(const onnx::ValueInfoProto &input);
  LogicalResult bindInput(const onnx::ValueInfoProto &input, RankedTensorType type, StringRef text, Scope &scope);
  LogicalResult importNodes(const google::protobuf::RepeatedPtrField<onnx::NodeProto> &nodes, Scope &scope);
  LogicalResult importNode(const onnx::NodeProto &node, Scope &scope);
  LogicalResult convertNode(const onnx::NodeProto &node, Scope &scope);
  LogicalResult checkFloat8(const onnx::NodeProto &node, Scope &scope, int opset);
  LogicalResult expandFunction(const onnx::NodeProto &node, Scope &scope, const onnx::FunctionProto &function);
  LogicalResult expandSchemaFunction(const onnx::NodeProto &node, Scope &scope, int opset);
  LogicalResult importOutputs(const onnx::GraphProto &graph, Scope &scope, func::FuncOp function);
  LogicalResult recordStates(const onnx::GraphProto &graph, Scope &scope);
  LogicalResult checkOptionsUsed(const onnx::GraphProto &graph);
  LogicalResult checkDimsUsed();
  LogicalResult checkDim(StringRef flag, const std::string &name);
  Value loadWeight(const OnnxValue &value);
  Value materializeElements(const OnnxValue &value);

  ModuleOp module;
  MLIRContext *context;
  ModelFile &file;
  const ImportOptions &options;
  const OperatorRegistry &registry;
  ShapeAlgebra algebra;
  int64_t numNodes = 0;  ///< imported so far, those of functions once per call
  PipelineStages stages; ///< idle unless the options ask for the model's own stages
  OpBuilder builder;
  std::map<std::string, int> modelOpsets;
  std::map<std::tuple<std::string, std::string, std::string>, const onnx::FunctionProto *> functions;

  std::deque<OnnxValue> values;
  llvm::DenseMap<Attribute, Value> constants;
  llvm::DenseMap<std::pair<Attribute, Type>, Value> extentTensors;
  std::map<std::tuple<std::string, int64_t, int64_t, std::string>, Value> weights; ///< by range and type
  Block *entry = nullptr;
  Operation *lastConstant = nullptr, *lastWeight = nullptr, *lastDefinition = nullptr;
  llvm::DenseMap<std::pair<Value, int64_t>, AffineExpr> elementExtents;
  llvm::StringMap<DimOption> shapeDims; ///< dimensions that `--shape` fixes
};

/// Location of a node: its name, or that of its first output.
Location getNodeLoc(MLIRContext *context, const onnx::NodeProto &node);
/// "node 'conv1' (Conv)", for messages.
std::string describeNode(const onnx::NodeProto &node);
/// "" for ai.onnx.
StringRef normalizeDomain(StringRef domain);

} // namespace penstock::onnximport

#endif
