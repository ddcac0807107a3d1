//===- NodeContext.h - One ONNX node under conversion ----------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What a converter sees: the node's attributes and inputs, functions that make nn ops, and where to put the results.
//
// Functions that make values take and return null for "failed, already reported", so that a converter is one
// expression; `setOutput` turns null into failure. Axes count from the front, extents are expressions (see
// ShapeAlgebra.h).
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_IMPORT_ONNX_NODECONTEXT_H
#define PENSTOCK_LIB_IMPORT_ONNX_NODECONTEXT_H

#include "OnnxValue.h"
#include "ShapeAlgebra.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "onnx/onnx_pb.h"
#include "penstock/Dialect/NN/IR/NNOps.h"

namespace penstock::onnximport {

class GraphImporter;
struct Scope;
using Extents = SmallVector<AffineExpr>;
using Ints = SmallVector<int64_t>;

class NodeContext {
public:
  NodeContext(GraphImporter &importer, Scope &scope, const onnx::NodeProto &node, int opset);

  //===--- the node ------------------------------------------------------===//
  const onnx::NodeProto &getNode() const { return node; }
  StringRef getOpType() const { return node.op_type(); }
  /// Version of the operator set of the node's domain.
  int getOpset() const { return opset; }
  Location getLoc() const { return loc; }
  MLIRContext *getContext() const { return context; }
  InFlightDiagnostic emitError() const { return mlir::emitError(loc); }
  GraphImporter &getImporter() { return importer; }
  Scope &getScope() { return scope; }
  ShapeAlgebra &algebra();
  OpBuilder &builder();

  //===--- attributes ----------------------------------------------------===//
  const onnx::AttributeProto *findAttr(StringRef name) const;
  bool hasAttr(StringRef name) const { return findAttr(name) != nullptr; }
  int64_t getInt(StringRef name, int64_t defaultValue) const;
  double getFloat(StringRef name, double defaultValue) const;
  std::string getString(StringRef name, StringRef defaultValue) const;
  std::optional<Ints> getInts(StringRef name) const;
  std::vector<double> getFloats(StringRef name) const;
  std::vector<std::string> getStrings(StringRef name) const;
  /// The element type that an attribute's data type number names; null and an error if there is none.
  Type getTypeAttr(StringRef name, int64_t defaultValue) const;

  //===--- inputs --------------------------------------------------------===//
  int getNumInputs() const { return node.input_size(); }
  bool hasInput(int index) const { return index < node.input_size() && !node.input(index).empty(); }
  /// The value behind an input; null and an error if it is absent.
  OnnxValue *getValue(int index);
  /// Null and an error if the input is absent or not a tensor.
  RankedTensorType getType(int index);
  Type getElementType(int index);
  int64_t getNumDims(int index);
  Extents getExtents(int index);
  /// The tensor as data.
  Value getInput(int index);
  Value getOptionalInput(int index) { return hasInput(index) ? getInput(index) : Value(); }
  /// What is known of the elements, or null.
  const Elements *getElements(int index);
  /// The bytes of a constant as ONNX stores them, of one element where all are equal; nothing if it is not constant.
  std::optional<StringRef> getData(int index);
  /// Integers known as expressions; an error that calls the shape data-dependent if they are not.
  FailureOr<Extents> getExtentsInput(int index);
  /// The extents of output 0 as an input gives them; those that depend on data are found when the model runs.
  FailureOr<Extents> getShapeInput(int index);
  /// Constant integers; an error if they are not constant.
  FailureOr<Ints> getIntsInput(int index);
  /// A constant number of one element; the default if the input is absent.
  FailureOr<double> getScalarInput(int index, double defaultValue);
  /// Attribute up to some version, input after it: constant integers from whichever is there.
  FailureOr<std::optional<Ints>> getIntsAttrOrInput(StringRef name, int index);

  //===--- axes ----------------------------------------------------------===//
  /// `axis` in [0, numDims); an error if it is outside [-numDims, numDims).
  FailureOr<int64_t> normalizeAxis(int64_t axis, int64_t numDims);
  /// Sorted and distinct.
  FailureOr<Ints> normalizeAxes(ArrayRef<int64_t> axes, int64_t numDims);

  //===--- results -------------------------------------------------------===//
  int getNumOutputs() const { return node.output_size(); }
  bool hasOutput(int index) const { return index < node.output_size() && !node.output(index).empty(); }
  /// Failure if `value` is null.
  LogicalResult setOutput(int index, Value value);
  /// A result known at import.
  LogicalResult setOutput(int index, RankedTensorType type, Elements elements);
  LogicalResult setOutput(int index, DenseElementsAttr constant);
  /// The output is the input under another name.
  LogicalResult forward(int output, OnnxValue *value);
  /// What output `index` stands for, once it is set; null if nobody uses it.
  OnnxValue *getOutput(int index);
  /// What flags and messages call an axis of an output.
  std::string getAxisName(int output, int64_t axis) const;
  /// The extent of an axis of an output that `value`, one integer, is when the model runs; at most `bound` if not null.
  /// Null and an error if that cannot be.
  AffineExpr dataExtent(Value value, int output, int64_t axis, AffineExpr bound);
  LogicalResult setSequence(int index, std::vector<OnnxValue *> values);

  /// An error unless memory can hold a result of these extents.
  LogicalResult checkExtents(ArrayRef<AffineExpr> extents, Type elementType);

  //===--- ops -----------------------------------------------------------===//
  template <typename OpT> Value make(ValueRange operands, ArrayRef<NamedAttribute> attributes) {
    if (llvm::any_of(operands, [](Value operand) { return !operand; }))
      return {};
    FailureOr<OpT> op = nn::createInferred<OpT>(builder(), loc, operands, attributes);
    return failed(op) ? Value() : op->getOperation()->getResult(0);
  }
  NamedAttribute attr(StringRef name, Attribute value) { return b.getNamedAttr(name, value); }
  NamedAttribute unit(StringRef name) { return b.getNamedAttr(name, b.getUnitAttr()); }
  NamedAttribute ints(StringRef name, ArrayRef<int64_t> values) {
    return b.getNamedAttr(name, b.getDenseI64ArrayAttr(values));
  }
  NamedAttribute integer(StringRef name, int64_t value) { return b.getNamedAttr(name, b.getI64IntegerAttr(value)); }
  NamedAttribute number(StringRef name, double value) { return b.getNamedAttr(name, b.getF64FloatAttr(value)); }
  nn::ExtentsAttr extents(ArrayRef<AffineExpr> exprs) { return nn::ExtentsAttr::get(context, exprs); }

  static RankedTensorType typeOf(Value value) { return cast<RankedTensorType>(value.getType()); }
  static Type elementOf(Value value) { return typeOf(value).getElementType(); }
  /// Normalized; of a null value none.
  Extents extentsOf(Value value);
  Extents extentsOf(RankedTensorType type);
  AffineExpr cst(int64_t value) { return getAffineConstantExpr(value, context); }

  Value constant(DenseElementsAttr value);
  /// A constant of one element, converted to the type; of rank 0 unless a shape is given.
  Value scalar(double value, Type elementType, ArrayRef<int64_t> shape = {});
  Value intTensor(ArrayRef<int64_t> values, Type elementType, ArrayRef<int64_t> shape);
  Value extentTensor(ArrayRef<AffineExpr> exprs, RankedTensorType type);
  Value unary(nn::UnaryKind kind, Value input, std::optional<double> alpha = {}, std::optional<double> beta = {});
  Value binary(nn::BinaryKind kind, Value lhs, Value rhs);
  Value add(Value lhs, Value rhs) { return binary(nn::BinaryKind::add, lhs, rhs); }
  Value sub(Value lhs, Value rhs) { return binary(nn::BinaryKind::sub, lhs, rhs); }
  Value mul(Value lhs, Value rhs) { return binary(nn::BinaryKind::mul, lhs, rhs); }
  Value div(Value lhs, Value rhs) { return binary(nn::BinaryKind::div, lhs, rhs); }
  Value compare(nn::CompareKind kind, Value lhs, Value rhs);
  Value select(Value condition, Value lhs, Value rhs);
  /// The value itself if it has that type.
  Value cast_(Value input, Type elementType, bool saturate = false);
  Value matmul(Value lhs, Value rhs, bool transposeLhs = false, bool transposeRhs = false);
  Value transpose(Value input, ArrayRef<int64_t> perm);
  Value reshape(Value input, ArrayRef<AffineExpr> extents);
  /// Inserts axes of extent 1; `axes` count in the result.
  Value unsqueeze(Value input, ArrayRef<int64_t> axes);
  Value squeeze(Value input, ArrayRef<int64_t> axes);
  Value broadcastTo(Value input, ArrayRef<AffineExpr> extents);
  Value slice(Value input, ArrayRef<AffineExpr> starts, ArrayRef<int64_t> steps, ArrayRef<AffineExpr> extents);
  /// Elements [start, start + length) of one axis.
  Value sliceAxis(Value input, int64_t axis, AffineExpr start, AffineExpr length, int64_t step = 1);
  Value concat(ArrayRef<Value> inputs, int64_t axis);
  Value pad(nn::PadMode mode, Value input, ArrayRef<AffineExpr> low, ArrayRef<AffineExpr> high, Value value = {});
  Value gather(Value input, Value indices, int64_t axis);
  Value reduce(nn::ReduceKind kind, Value input, ArrayRef<int64_t> axes, bool keepDims);
  Value iota(RankedTensorType type, int64_t axis, double start = 0, double step = 1);

private:
  OnnxValue *defineOutput(int index);

  GraphImporter &importer;
  Scope &scope;
  const onnx::NodeProto &node;
  int opset;
  Location loc;
  MLIRContext *context;
  Builder b;
};

/// True for signed and unsigned integers and bool.
inline bool isIntegerType(Type type) { return isa<IntegerType>(type); }

} // namespace penstock::onnximport

#endif
