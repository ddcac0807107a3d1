//===- Checks.cpp - What must hold before import -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "Checks.h"
#include "GraphImporter.h"
#include "TopologicalOrder.h"
#include "onnx/checker.h"
#include "onnx/defs/schema.h"

namespace penstock::onnximport {
namespace {

using Opsets = std::map<std::string, int>;
using NodeList = google::protobuf::RepeatedPtrField<onnx::NodeProto>;
constexpr size_t kMaxNamedNodes = 5;

Opsets getOpsets(const google::protobuf::RepeatedPtrField<onnx::OperatorSetIdProto> &imports) {
  Opsets result;
  for (const onnx::OperatorSetIdProto &import : imports)
    result[normalizeDomain(import.domain()).str()] = static_cast<int>(import.version());
  return result;
}

/// Collects uses of operators, and decides which are supported.
class OperatorCollector {
public:
  OperatorCollector(const onnx::ModelProto &model, const OperatorRegistry &registry) : registry(registry) {
    for (const onnx::FunctionProto &function : model.functions())
      functions[{normalizeDomain(function.domain()).str(), function.name()}] = &function;
  }

  void collect(const NodeList &nodes, const Opsets &opsets, int depth = 0) {
    for (const onnx::NodeProto &node : nodes) {
      collectNode(node, opsets);
      for (const onnx::AttributeProto &attribute : node.attribute()) {
        if (attribute.has_g() && depth < 100)
          collect(attribute.g().node(), opsets, depth + 1);
        for (const onnx::GraphProto &graph : attribute.graphs())
          if (depth < 100)
            collect(graph.node(), opsets, depth + 1);
      }
    }
  }
  std::vector<OperatorUse> uses;

private:
  void collectNode(const onnx::NodeProto &node, const Opsets &opsets) {
    std::string domain = normalizeDomain(node.domain()).str();
    if (functions.count({domain, node.op_type()}))
      return;
    auto version = opsets.find(domain);
    int opset = version == opsets.end() ? 0 : version->second;
    auto [it, inserted] = index.try_emplace({domain, node.op_type(), opset}, uses.size());
    if (inserted) {
      OperatorUse &use = uses.emplace_back();
      use.domain = domain;
      use.name = node.op_type();
      use.opset = opset;
      use.supported = isSupported(domain, node.op_type(), opset, 0);
    }
    std::string name = node.name();
    if (name.empty() && node.output_size())
      name = node.output(0);
    uses[it->second].nodes.push_back(name);
  }

  /// A converter, or a function body whose operators are supported. A body that depends on types is tried at import.
  bool isSupported(const std::string &domain, const std::string &name, int opset, int depth) {
    if (registry.find(domain, name, opset))
      return true;
    const onnx::OpSchema *schema = onnx::OpSchemaRegistry::Schema(name, opset, domain);
    if (!schema || depth > 16)
      return false;
    if (schema->HasContextDependentFunction())
      return true;
    const onnx::FunctionProto *body = schema->HasFunction() ? schema->GetFunction(opset) : nullptr;
    if (!body)
      return false;
    Opsets opsets = getOpsets(body->opset_import());
    return llvm::all_of(body->node(), [&](const onnx::NodeProto &node) {
      std::string inner = normalizeDomain(node.domain()).str();
      auto version = opsets.find(inner);
      return isSupported(inner, node.op_type(), version == opsets.end() ? opset : version->second, depth + 1);
    });
  }

  const OperatorRegistry &registry;
  std::map<std::pair<std::string, std::string>, const onnx::FunctionProto *> functions;
  std::map<std::tuple<std::string, std::string, int>, size_t> index;
};

LogicalResult checkOpsets(MLIRContext &context, const onnx::ModelProto &model) {
  Location loc = UnknownLoc::get(&context);
  const auto &known = onnx::OpSchemaRegistry::DomainToVersionRange::Instance().Map();
  if (model.opset_import().empty())
    return emitError(loc) << "the model imports no operator set";
  for (const onnx::OperatorSetIdProto &import : model.opset_import()) {
    std::string domain = normalizeDomain(import.domain()).str();
    auto range = known.find(domain);
    if (range == known.end())
      continue; // only an error if one of its operators is used
    int newest = range->second.second;
    int oldest = range->second.first;
    if (import.version() < oldest || import.version() > newest)
      return emitError(loc) << "operator set '" << (domain.empty() ? "ai.onnx" : domain) << "' has version "
                            << import.version() << "; expected " << oldest << " to " << newest;
  }
  return success();
}

LogicalResult reportUnsupported(MLIRContext &context, ArrayRef<OperatorUse> uses) {
  LogicalResult result = success();
  for (const OperatorUse &use : uses) {
    if (use.supported)
      continue;
    std::string nodes;
    for (const std::string &name : ArrayRef(use.nodes).take_front(kMaxNamedNodes))
      nodes += (nodes.empty() ? "'" : ", '") + name + "'";
    if (use.nodes.size() > kMaxNamedNodes)
      nodes += " and " + std::to_string(use.nodes.size() - kMaxNamedNodes) + " more";
    std::string fullName = use.domain.empty() ? use.name : use.domain + "." + use.name;
    InFlightDiagnostic error = emitError(UnknownLoc::get(&context));
    error << "operator '" << fullName << "' ";
    if (use.opset == 0)
      error << "is of a domain that the model does not import";
    else
      error << "of operator set " << use.opset << " is not supported";
    error << "; used by node" << (use.nodes.size() == 1 ? " " : "s ") << nodes;
    result = failure();
  }
  return result;
}

/// ONNX's checker looks for the data of tensors; this takes the references away.
void stripTensor(onnx::TensorProto &tensor) {
  if (tensor.data_location() != onnx::TensorProto::EXTERNAL)
    return;
  tensor.clear_data_location();
  tensor.clear_external_data();
  tensor.clear_dims();
  tensor.add_dims(0);
}
void stripGraph(onnx::GraphProto &graph);
void stripNodes(google::protobuf::RepeatedPtrField<onnx::NodeProto> &nodes) {
  for (onnx::NodeProto &node : nodes)
    for (onnx::AttributeProto &attribute : *node.mutable_attribute()) {
      if (attribute.has_t())
        stripTensor(*attribute.mutable_t());
      for (onnx::TensorProto &tensor : *attribute.mutable_tensors())
        stripTensor(tensor);
      if (attribute.has_g())
        stripGraph(*attribute.mutable_g());
      for (onnx::GraphProto &graph : *attribute.mutable_graphs())
        stripGraph(graph);
    }
}
/// A tensor without a shape is one of unknown rank; only the checker insists on the field.
void addShapes(google::protobuf::RepeatedPtrField<onnx::ValueInfoProto> &values) {
  for (onnx::ValueInfoProto &value : values)
    if (value.type().has_tensor_type())
      value.mutable_type()->mutable_tensor_type()->mutable_shape();
}
void stripGraph(onnx::GraphProto &graph) {
  addShapes(*graph.mutable_input());
  addShapes(*graph.mutable_output());
  addShapes(*graph.mutable_value_info());
  for (onnx::TensorProto &tensor : *graph.mutable_initializer())
    stripTensor(tensor);
  stripNodes(*graph.mutable_node());
}

/// The first line, without ONNX's trailing remarks.
std::string firstLine(StringRef text) { return text.split('\n').first.trim().rtrim('.').str(); }

LogicalResult runChecker(MLIRContext &context, const onnx::ModelProto &model) {
  onnx::ModelProto copy = model;
  stripGraph(*copy.mutable_graph());
  for (onnx::FunctionProto &function : *copy.mutable_functions())
    stripNodes(*function.mutable_node());
  if (copy.ir_version() == 3)
    copy.set_ir_version(
        4); // IR 3 wants every initializer among the inputs; tools write it without, and runtimes take it
  try {
    onnx::checker::check_model(copy);
  } catch (const std::exception &problem) {
    return emitError(UnknownLoc::get(&context)) << "not a valid ONNX model: " << firstLine(problem.what());
  }
  return success();
}

} // namespace

std::vector<OperatorUse> collectOperators(const onnx::ModelProto &model, const OperatorRegistry &registry) {
  OperatorCollector collector(model, registry);
  collector.collect(model.graph().node(), getOpsets(model.opset_import()));
  for (const onnx::FunctionProto &function : model.functions()) {
    Opsets opsets = getOpsets(model.opset_import());
    for (auto &[domain, version] : getOpsets(function.opset_import()))
      opsets[domain] = version;
    collector.collect(function.node(), opsets);
  }
  return std::move(collector.uses);
}

LogicalResult checkModel(MLIRContext &context, ModelFile &file, const OperatorRegistry &registry) {
  const onnx::ModelProto &model = file.getModel();
  if (failed(checkOpsets(context, model)) || failed(reportUnsupported(context, collectOperators(model, registry))))
    return failure();
  std::string error;
  if (failed(sortNodes(file.getModel(), error)))
    return emitError(UnknownLoc::get(&context)) << error;
  return runChecker(context, model);
}

} // namespace penstock::onnximport
