//===- GraphImporter.cpp - Graphs, scopes and functions -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "GraphImporter.h"
#include "NodeContext.h"
#include "TensorData.h"
#include "onnx/defs/schema.h"
#include "onnx/shape_inference/attribute_binder.h"
#include "llvm/Support/SaveAndRestore.h"

namespace penstock::onnximport {

using NodeList = google::protobuf::RepeatedPtrField<onnx::NodeProto>;
/// Function bodies and subgraphs may nest this deep; functions that call each other in a circle hit it.
constexpr int kMaxScopeDepth = 64;
/// Functions that call others twice, loops and conditions of extents can make a small file a model without end.
constexpr int64_t kMaxNodes = 250'000;

StringRef normalizeDomain(StringRef domain) { return domain == "ai.onnx" ? StringRef() : domain; }

Location getNodeLoc(MLIRContext *context, const onnx::NodeProto &node) {
  std::string name = node.name();
  if (name.empty())
    for (const std::string &output : node.output())
      if (name = output; !name.empty())
        break;
  return NameLoc::get(StringAttr::get(context, name.empty() ? node.op_type() : name));
}

std::string describeNode(const onnx::NodeProto &node) {
  if (!node.name().empty())
    return "node '" + node.name() + "' (" + node.op_type() + ")";
  return "node of '" + (node.output_size() ? node.output(0) : std::string()) + "' (" + node.op_type() + ")";
}

GraphImporter::GraphImporter(ModuleOp module, ModelFile &file, const ImportOptions &options,
                             const OperatorRegistry &registry)
    : module(module), context(module.getContext()), file(file), options(options), registry(registry), algebra(module),
      stages(file.getModel()), builder(context, &stages) {
  for (const onnx::OperatorSetIdProto &opset : file.getModel().opset_import())
    modelOpsets[normalizeDomain(opset.domain()).str()] = static_cast<int>(opset.version());
  for (const onnx::FunctionProto &function : file.getModel().functions())
    functions[{normalizeDomain(function.domain()).str(), function.name(), function.overload()}] = &function;
}

LogicalResult GraphImporter::importModel() {
  const onnx::GraphProto &graph = file.getModel().graph();
  auto function = func::FuncOp::create(UnknownLoc::get(context), "main", FunctionType::get(context, {}, {}));
  module.push_back(function);
  entry = function.addEntryBlock();
  builder.setInsertionPointToEnd(entry);
  Scope scope;
  scope.opsets = &modelOpsets;
  scope.isMainGraph = true;
  if (failed(importInitializers(graph, scope)) || failed(importInputs(graph, scope, function)) ||
      failed(checkOptionsUsed(graph)) || failed(importNodes(graph.node(), scope)) || failed(checkDimsUsed()) ||
      failed(importOutputs(graph, scope, function)) || failed(stages.check(function)))
    return failure();
  return recordStates(graph, scope);
}

//===----------------------------------------------------------------------===//
// Values
//===----------------------------------------------------------------------===//

OnnxValue *GraphImporter::createValue(StringRef name, RankedTensorType type) {
  OnnxValue &value = values.emplace_back();
  value.name = name.str();
  value.type = type;
  return &value;
}

OnnxValue *GraphImporter::importTensor(const onnx::TensorProto &tensor, StringRef name, Location loc) {
  OnnxValue *value = createValue(name, {});
  std::string error;
  if (succeeded(readTensor(context, file, tensor, *value, error)))
    return value;
  emitError(loc) << "tensor '" << name << "': " << error;
  return nullptr;
}

LogicalResult GraphImporter::importInitializers(const onnx::GraphProto &graph, Scope &scope) {
  if (graph.sparse_initializer_size())
    return emitError(UnknownLoc::get(context))
           << "initializer '" << graph.sparse_initializer(0).values().name() << "' is sparse; expected a dense one";
  for (const onnx::TensorProto &tensor : graph.initializer()) {
    OnnxValue *value = importTensor(tensor, tensor.name(), NameLoc::get(StringAttr::get(context, tensor.name())));
    if (!value)
      return failure();
    if (!scope.values.try_emplace(tensor.name(), value).second)
      return emitError(UnknownLoc::get(context)) << "two initializers are called '" << tensor.name() << "'";
  }
  return success();
}

void GraphImporter::assumeEqual(AffineExpr left, AffineExpr right, StringRef reason) {
  if (branchAssumptions) {
    std::string what = "'" + algebra.describe(left) + "' and '" + algebra.describe(right) + "' (" + reason.str() + ")";
    branchAssumptions->push_back({left, right, what});
    return;
  }
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPoint(entry->getParentOp());
  builder.create<nn::ConstraintOp>(UnknownLoc::get(context), nn::ExtentsAttr::get(context, {left, right}),
                                   builder.getStringAttr(reason));
}

//===----------------------------------------------------------------------===//
// Nodes
//===----------------------------------------------------------------------===//

LogicalResult GraphImporter::importNodes(const NodeList &nodes, Scope &scope) {
  for (const onnx::NodeProto &node : nodes)
    if (failed(importNode(node, scope)))
      return failure();
  return success();
}

/// Converts a node; errors from anywhere below get the node's name.
LogicalResult GraphImporter::importNode(const onnx::NodeProto &node, Scope &scope) {
  if (++numNodes > kMaxNodes)
    return emitError(getNodeLoc(context, node))
           << "the model expands to more than " << kMaxNodes << " nodes; " << describeNode(node) << " is one too many";
  std::vector<std::string> messages;
  LogicalResult result = success();
  {
    ScopedDiagnosticHandler handler(context, [&](Diagnostic &diagnostic) {
      if (diagnostic.getSeverity() != DiagnosticSeverity::Error)
        return failure();
      messages.push_back(diagnostic.str());
      return success();
    });
    result = convertNode(node, scope);
  }
  Location loc = getNodeLoc(context, node);
  for (const std::string &message : messages)
    emitError(loc) << describeNode(node) << ": " << message;
  if (failed(result) && messages.empty())
    return emitError(loc) << describeNode(node) << ": cannot be imported";
  return success(succeeded(result) && messages.empty());
}

/// Floats of eight bits hold data; ONNX has few operators that take them, and code is made for no others.
LogicalResult GraphImporter::checkFloat8(const onnx::NodeProto &node, Scope &scope, int opset) {
  const onnx::OpSchema *schema = onnx::OpSchemaRegistry::Schema(node.op_type(), opset, node.domain());
  if (!schema || schema->inputs().empty())
    return success();
  for (int i = 0; i < node.input_size(); ++i) {
    OnnxValue *value = node.input(i).empty() ? nullptr : scope.find(node.input(i));
    auto type = value && value->type ? dyn_cast<FloatType>(value->type.getElementType()) : FloatType();
    if (!type || type.getWidth() != 8)
      continue;
    const onnx::OpSchema::FormalParameter &formal = schema->inputs()[std::min<size_t>(i, schema->inputs().size() - 1)];
    std::string name = getDataTypeName(getDataType(type));
    if (llvm::none_of(formal.GetTypes(),
                      [&](const std::string *allowed) { return *allowed == "tensor(" + name + ")"; }))
      return emitError(getNodeLoc(context, node))
             << "input " << i << " ('" << node.input(i) << "') has element type " << name
             << ", which the operator does not take in operator set " << opset;
  }
  return success();
}

LogicalResult GraphImporter::convertNode(const onnx::NodeProto &node, Scope &scope) {
  std::string domain = normalizeDomain(node.domain()).str();
  Location loc = getNodeLoc(context, node);
  llvm::SaveAndRestore outerStage(stages.current);
  llvm::SaveAndRestore outerNumbers(stages.numbers);
  if (options.numbersNodes)
    stages.enterNumbered(node);
  if (options.pipelineStages && failed(stages.enter(node, loc)))
    return failure();
  for (const std::string &input : node.input())
    if (!input.empty() && !scope.find(input))
      return emitError(loc) << "input '" << input << "' is not defined";
  auto function = functions.find({domain, node.op_type(), node.overload()});
  if (function != functions.end())
    return expandFunction(node, scope, *function->second);
  auto version = scope.opsets->find(domain);
  if (version == scope.opsets->end())
    return emitError(loc) << "the model does not import operator set '" << domain << "'";
  int opset = version->second;
  if (failed(checkFloat8(node, scope, opset)))
    return failure();
  if (const Converter *converter = registry.find(domain, node.op_type(), opset)) {
    OpBuilder::InsertionGuard guard(builder);
    NodeContext nodeContext(*this, scope, node, opset);
    return (*converter)(nodeContext);
  }
  return expandSchemaFunction(node, scope, opset);
}

LogicalResult GraphImporter::expandSchemaFunction(const onnx::NodeProto &node, Scope &scope, int opset) {
  Location loc = getNodeLoc(context, node);
  const onnx::OpSchema *schema = onnx::OpSchemaRegistry::Schema(node.op_type(), opset, node.domain());
  if (!schema || (!schema->HasFunction() && !schema->HasContextDependentFunction()))
    return emitError(loc) << "operator '" << node.op_type() << "' of operator set " << opset << " is not supported";
  onnx::NodeProto call = node;
  for (auto &[name, attribute] : schema->attributes())
    if (attribute.default_value.type() != onnx::AttributeProto::UNDEFINED &&
        llvm::none_of(node.attribute(), [&, &name = name](const auto &given) { return given.name() == name; }))
      (*call.add_attribute() = attribute.default_value).set_name(name);
  if (schema->HasFunction())
    if (const onnx::FunctionProto *body = schema->GetFunction(opset))
      return expandFunction(call, scope, *body);
  std::vector<onnx::TypeProto> types(node.input_size());
  for (int i = 0; i < node.input_size(); ++i) {
    OnnxValue *value = node.input(i).empty() ? nullptr : scope.find(node.input(i));
    if (!value || !value->type)
      continue;
    onnx::TypeProto_Tensor *type = types[i].mutable_tensor_type();
    type->set_elem_type(getDataType(value->type.getElementType()));
    onnx::TensorShapeProto *shape = type->mutable_shape();
    for (int64_t extent : value->type.getShape()) {
      onnx::TensorShapeProto_Dimension *dim = shape->add_dim();
      if (!ShapedType::isDynamic(extent))
        dim->set_dim_value(extent);
    }
  }
  onnx::FunctionProto body;
  onnx::FunctionBodyBuildContextImpl buildContext(call, types);
  if (!schema->BuildContextDependentFunction(buildContext, body, opset))
    return emitError(loc) << "operator '" << node.op_type() << "' has no function body for these inputs";
  if (body.opset_import().empty()) {
    onnx::OperatorSetIdProto *import = body.add_opset_import();
    import->set_version(opset);
  }
  return expandFunction(call, scope, body);
}

/// Converts the body in a scope of its own whose inputs are the call's.
LogicalResult GraphImporter::expandFunction(const onnx::NodeProto &node, Scope &scope,
                                            const onnx::FunctionProto &function) {
  Location loc = getNodeLoc(context, node);
  if (scope.depth >= kMaxScopeDepth)
    return emitError(loc) << "functions call each other more than " << kMaxScopeDepth << " deep";
  if (node.input_size() > function.input_size() || node.output_size() > function.output_size())
    return emitError(loc) << "has " << node.input_size() << " inputs and " << node.output_size()
                          << " outputs; the function takes " << function.input_size() << " and gives "
                          << function.output_size();
  onnx::NodeProto call = node;
  for (const onnx::AttributeProto &attribute : function.attribute_proto())
    if (llvm::none_of(node.attribute(), [&](const auto &given) { return given.name() == attribute.name(); }))
      *call.add_attribute() = attribute;
  onnx::FunctionProto body = function;
  onnx::internal::AttributeBinder::BindAttributes(call, body);

  std::map<std::string, int> opsets = *scope.opsets;
  for (const onnx::OperatorSetIdProto &opset : body.opset_import())
    opsets[normalizeDomain(opset.domain()).str()] = static_cast<int>(opset.version());
  Scope inner;
  inner.opsets = &opsets;
  inner.depth = scope.depth + 1;
  inner.callLoc = scope.callLoc ? scope.callLoc : std::optional<Location>(loc);
  for (int i = 0; i < node.input_size(); ++i)
    if (!node.input(i).empty())
      inner.values[body.input(i)] = scope.find(node.input(i));
  if (failed(importNodes(body.node(), inner)))
    return failure();
  NodeContext nodeContext(*this, scope, node, 0);
  for (int i = 0; i < node.output_size(); ++i) {
    if (node.output(i).empty())
      continue;
    OnnxValue *value = inner.find(body.output(i));
    if (!value)
      return emitError(loc) << "the function does not make its output '" << body.output(i) << "'";
    if (failed(nodeContext.forward(i, value)))
      return failure();
  }
  return success();
}

LogicalResult GraphImporter::importSubgraph(const onnx::GraphProto &graph, Scope &parent, ArrayRef<OnnxValue *> inputs,
                                            SmallVectorImpl<OnnxValue *> &outputs, Location loc, bool isRepeated) {
  if (parent.depth >= kMaxScopeDepth)
    return emitError(loc) << "graphs are nested more than " << kMaxScopeDepth << " deep";
  if (static_cast<int>(inputs.size()) != graph.input_size())
    return emitError(loc) << "its graph '" << graph.name() << "' has " << graph.input_size() << " inputs; expected "
                          << inputs.size();
  Scope scope;
  scope.parent = &parent;
  scope.opsets = parent.opsets;
  scope.isMainGraph = parent.isMainGraph && !isRepeated;
  scope.callLoc = parent.callLoc;
  scope.depth = parent.depth + 1;
  if (failed(importInitializers(graph, scope)))
    return failure();
  for (auto [input, value] : llvm::zip(graph.input(), inputs))
    scope.values[input.name()] = value;
  if (failed(importNodes(graph.node(), scope)))
    return failure();
  for (const onnx::ValueInfoProto &output : graph.output()) {
    OnnxValue *value = scope.find(output.name());
    if (!value)
      return emitError(loc) << "output '" << output.name() << "' of its graph '" << graph.name() << "' is not defined";
    outputs.push_back(value);
  }
  return success();
}

} // namespace penstock::onnximport
