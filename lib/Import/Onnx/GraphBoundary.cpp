//===- GraphBoundary.cpp - Inputs, outputs, states and the options about them -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "GraphImporter.h"
#include "NodeContext.h"
#include "TensorData.h"
#include "llvm/ADT/StringExtras.h"

namespace penstock::onnximport {

using Dimension = onnx::TensorShapeProto_Dimension;

/// A name that says which axes are equal; "?", numbers and nothing do not.
static bool isProperName(StringRef name) {
  int64_t number;
  return !name.empty() && name != "?" && name.getAsInteger(10, number);
}

/// The type of an input. An optional one is a tensor that is always given, as every run has the same inputs.
static const onnx::TypeProto &getGivenType(const onnx::ValueInfoProto &input) {
  return input.type().has_optional_type() ? input.type().optional_type().elem_type() : input.type();
}

/// What flags and messages call an axis.
static std::string getDimensionName(const onnx::ValueInfoProto &input, int axis) {
  const onnx::TensorShapeProto &shape = getGivenType(input).tensor_type().shape();
  if (axis < shape.dim_size() && isProperName(shape.dim(axis).dim_param()))
    return shape.dim(axis).dim_param();
  return input.name() + "." + std::to_string(axis);
}

static bool isStatic(const Dimension &dim) { return dim.has_dim_value() && dim.dim_value() >= 0; }

static std::string formatShapeOption(ArrayRef<ExtentOption> shape) {
  std::string text;
  for (const ExtentOption &extent : shape)
    text += (text.empty() ? "" : "x") + (extent ? std::to_string(*extent) : std::string("?"));
  return text;
}

/// Turns `--shape` of one input into values of its named axes, in `shapeDims`.
static LogicalResult applyShapeOption(const onnx::ValueInfoProto &input, ArrayRef<ExtentOption> given,
                                      const ImportOptions &options, llvm::StringMap<DimOption> &shapeDims,
                                      Location loc) {
  const onnx::TypeProto_Tensor &type = getGivenType(input).tensor_type();
  if (type.has_shape() && type.shape().dim_size() != static_cast<int>(given.size()))
    return emitError(loc) << "input '" << input.name() << "' has " << type.shape().dim_size()
                          << " axes; the shape given for it is " << formatShapeOption(given);
  for (int axis = 0, e = given.size(); axis < e; ++axis) {
    if (!given[axis])
      continue;
    int64_t extent = *given[axis];
    if (type.has_shape() && isStatic(type.shape().dim(axis))) {
      if (type.shape().dim(axis).dim_value() == extent)
        continue;
      return emitError(loc) << "input '" << input.name() << "' has extent " << type.shape().dim(axis).dim_value()
                            << " on axis " << axis << "; the shape given for it is " << formatShapeOption(given);
    }
    std::string name = getDimensionName(input, axis);
    DimOption &option = shapeDims[name];
    auto dim = options.dims.find(name);
    bool fits = dim == options.dims.end() || !dim->second.fixed || dim->second.fixed == extent;
    if (!fits || (option.fixed && *option.fixed != extent))
      return emitError(loc) << "dimension '" << name
                            << "' gets two values: " << (fits ? *option.fixed : *dim->second.fixed) << " and " << extent
                            << " (from input '" << input.name() << "')";
    option.fixed = extent;
  }
  return success();
}

FailureOr<RankedTensorType> GraphImporter::getInputType(const onnx::ValueInfoProto &input) {
  Location loc = NameLoc::get(StringAttr::get(context, input.name()));
  auto fail = [&]() -> InFlightDiagnostic { return emitError(loc) << "input '" << input.name() << "' "; };
  if (!getGivenType(input).has_tensor_type())
    return (fail() << "is not a tensor; sequences and maps are not supported as inputs"), failure();
  const onnx::TypeProto_Tensor &type = getGivenType(input).tensor_type();
  std::string error;
  Type elementType = penstock::onnximport::getElementType(context, type.elem_type(), error);
  if (!elementType)
    return (fail() << error), failure();
  auto shape = options.shapes.find(input.name());
  bool isGiven = shape != options.shapes.end();
  if (!type.has_shape() && !isGiven)
    return (fail() << "has no shape; give one with --shape"), failure();
  int numDims = type.has_shape() ? type.shape().dim_size() : shape->second.size();
  SmallVector<AffineExpr> extents;
  SmallVector<int64_t> known;
  for (int axis = 0; axis < numDims; ++axis) {
    if (type.has_shape() && isStatic(type.shape().dim(axis))) {
      extents.push_back(algebra.constant(type.shape().dim(axis).dim_value()));
    } else {
      std::string name = getDimensionName(input, axis);
      auto fixed = shapeDims.find(name);
      auto option = options.dims.find(name);
      const DimOption *dim = fixed != shapeDims.end()       ? &fixed->second
                             : option != options.dims.end() ? &option->second
                                                            : nullptr;
      extents.push_back(algebra.getDimension(name, dim));
    }
    if (std::optional<int64_t> extent = nn::getConstant(extents.back()))
      known.push_back(*extent);
  }
  if (!checkShape(known, elementType))
    return (fail() << "has dimensions that no memory can hold"), failure();
  return nn::getTensorType(extents, elementType);
}

/// The constant that `text` (numbers, separated by commas) gives an input.
LogicalResult GraphImporter::bindInput(const onnx::ValueInfoProto &input, RankedTensorType type, StringRef text,
                                       Scope &scope) {
  Location loc = NameLoc::get(StringAttr::get(context, input.name()));
  auto fail = [&](const Twine &what) -> LogicalResult {
    return emitError(loc) << "input '" << input.name() << "' cannot be bound to '" << text << "': " << what.str();
  };
  if (!type.hasStaticShape())
    return fail("its shape is not known; give it with --shape or --dim");
  SmallVector<StringRef> parts;
  text.split(parts, ',');
  int64_t numElements = type.getNumElements();
  if (static_cast<int64_t>(parts.size()) != numElements && parts.size() != 1)
    return fail("expected " + Twine(numElements) + " numbers, or one for all");
  Type elementType = type.getElementType();
  SmallVector<Attribute> elements;
  for (StringRef part : parts) {
    part = part.trim();
    if (auto floatType = dyn_cast<FloatType>(elementType)) {
      double number;
      if (part.getAsDouble(number))
        return fail("'" + part + "' is not a number");
      elements.push_back(FloatAttr::get(floatType, number));
      continue;
    }
    auto integerType = cast<IntegerType>(elementType);
    int64_t number;
    if (integerType.getWidth() == 1 && (part == "true" || part == "false"))
      number = part == "true";
    else if (part.getAsInteger(10, number))
      return fail("'" + part + "' is not an integer");
    unsigned width = integerType.getWidth();
    bool fits = width == 1 || integerType.isUnsigned() ? number >= 0 && (width == 64 || number < int64_t(1) << width)
                                                       : llvm::isIntN(width, number);
    if (!fits)
      return fail("'" + part + "' does not fit into its element type");
    elements.push_back(IntegerAttr::get(elementType, APInt(width, static_cast<uint64_t>(number), true)));
  }
  OnnxValue *value = createValue(input.name(), type);
  value->constant = DenseElementsAttr::get(type, elements);
  scope.values[input.name()] = value;
  return success();
}

LogicalResult GraphImporter::importInputs(const onnx::GraphProto &graph, Scope &scope, func::FuncOp function) {
  for (const onnx::ValueInfoProto &input : graph.input()) {
    auto shape = options.shapes.find(input.name());
    if (shape != options.shapes.end() &&
        failed(applyShapeOption(input, shape->second, options, shapeDims, UnknownLoc::get(context))))
      return failure();
  }
  SmallVector<Type> types;
  SmallVector<Attribute> attributes;
  for (const onnx::ValueInfoProto &input : graph.input()) {
    if (OnnxValue *initializer = scope.values.lookup(input.name())) {
      if (!initializer->constant && !initializer->range)
        return emitError(UnknownLoc::get(context)) << "two inputs are called '" << input.name() << "'";
      continue;
    }
    FailureOr<RankedTensorType> type = getInputType(input);
    if (failed(type))
      return failure();
    auto bind = options.binds.find(input.name());
    if (bind != options.binds.end()) {
      if (failed(bindInput(input, *type, bind->second, scope)))
        return failure();
      continue;
    }
    OnnxValue *value = createValue(input.name(), *type);
    value->value = entry->addArgument(*type, NameLoc::get(StringAttr::get(context, input.name())));
    if (!scope.values.try_emplace(input.name(), value).second)
      return emitError(UnknownLoc::get(context)) << "two inputs are called '" << input.name() << "'";
    types.push_back(*type);
    attributes.push_back(
        builder.getDictionaryAttr(builder.getNamedAttr("nn.name", builder.getStringAttr(input.name()))));
  }
  function.setType(FunctionType::get(context, types, {}));
  function.setArgAttrsAttr(builder.getArrayAttr(attributes));
  return success();
}

LogicalResult GraphImporter::importOutputs(const onnx::GraphProto &graph, Scope &scope, func::FuncOp function) {
  SmallVector<Value> results;
  SmallVector<Attribute> attributes;
  if (graph.output().empty())
    return emitError(UnknownLoc::get(context)) << "the graph has no outputs";
  for (const onnx::ValueInfoProto &output : graph.output()) {
    Location loc = NameLoc::get(StringAttr::get(context, output.name()));
    OnnxValue *value = scope.find(output.name());
    if (!value)
      return emitError(loc) << "output '" << output.name() << "' is made by no node";
    Value result = value->isSequence ? Value() : materialize(*value, loc);
    if (!result)
      return emitError(loc) << "output '" << output.name() << "' is not a tensor; expected a tensor";
    int32_t declared = output.type().tensor_type().elem_type();
    int32_t actual = getDataType(value->type.getElementType());
    if (output.type().has_tensor_type() && declared != onnx::TensorProto::UNDEFINED && declared != actual)
      return emitError(loc) << "output '" << output.name() << "' has element type " << getDataTypeName(actual)
                            << "; the model declares " << getDataTypeName(declared);
    results.push_back(result);
    attributes.push_back(
        builder.getDictionaryAttr(builder.getNamedAttr("nn.name", builder.getStringAttr(output.name()))));
  }
  builder.setInsertionPointToEnd(entry);
  builder.create<func::ReturnOp>(UnknownLoc::get(context), results);
  function.setType(FunctionType::get(context, function.getArgumentTypes(), ValueRange(results).getTypes()));
  function.setResAttrsAttr(builder.getArrayAttr(attributes));
  return success();
}

LogicalResult GraphImporter::recordStates(const onnx::GraphProto &graph, Scope &scope) {
  SmallVector<Attribute> states;
  Location loc = UnknownLoc::get(context);
  for (auto &[input, output] : options.states) {
    OnnxValue *in = scope.values.lookup(input), *out = scope.find(output);
    bool isInput = in && in->value && isa<BlockArgument>(in->value);
    bool isOutput = llvm::any_of(graph.output(), [&, &name = output](const auto &info) { return info.name() == name; });
    if (!isInput || !isOutput)
      return emitError(loc) << "state '" << input << "=" << output << "': the model has no "
                            << (isInput ? "output '" + output : "input '" + input) << "'";
    if (in->type != out->type)
      return emitError(loc) << "state '" << input << "=" << output << "': the input has type " << in->type
                            << ", the output " << out->type << "; expected the same";
    states.push_back(builder.getStrArrayAttr({input, output}));
  }
  if (!states.empty())
    module->setAttr("nn.states", builder.getArrayAttr(states));
  return success();
}

static std::string listNames(ArrayRef<std::string> names) {
  std::string text;
  for (const std::string &name : names)
    text += (text.empty() ? "'" : ", '") + name + "'";
  return text.empty() ? "none" : text;
}

/// A flag that names nothing of this model is a mistake.
LogicalResult GraphImporter::checkOptionsUsed(const onnx::GraphProto &graph) {
  Location loc = UnknownLoc::get(context);
  std::vector<std::string> inputs;
  for (const onnx::ValueInfoProto &input : graph.input())
    inputs.push_back(input.name());
  auto checkInput = [&](StringRef flag, const std::string &name) -> LogicalResult {
    if (llvm::is_contained(inputs, name))
      return success();
    return emitError(loc) << flag << " names input '" << name << "'; the model has " << listNames(inputs);
  };
  for (auto &[name, shape] : options.shapes)
    if (failed(checkInput("--shape", name)))
      return failure();
  for (auto &[name, text] : options.binds)
    if (failed(checkInput("--bind", name)))
      return failure();
  if (options.batchDim.empty())
    return success();
  module->setAttr("nn.batch_dim", builder.getStringAttr(options.batchDim));
  return checkDim("--batch-dim", options.batchDim);
}

LogicalResult GraphImporter::checkDim(StringRef flag, const std::string &name) {
  if (llvm::is_contained(algebra.getDimensionNames(), name))
    return success();
  return emitError(UnknownLoc::get(context))
         << flag << " names dimension '" << name << "'; the model has " << listNames(algebra.getDimensionNames());
}

/// Once all nodes are converted: they may have dimensions of their own.
LogicalResult GraphImporter::checkDimsUsed() {
  for (auto &[name, option] : options.dims)
    if (failed(checkDim("--dim", name)))
      return failure();
  return success();
}

} // namespace penstock::onnximport
