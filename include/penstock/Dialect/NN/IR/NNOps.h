//===- NNOps.h - The nn dialect, its attributes and ops --------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// Everything that TableGen makes from NNOps.td, and the checked builder for ops whose types are inferred.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_DIALECT_NN_IR_NNOPS_H
#define PENSTOCK_DIALECT_NN_IR_NNOPS_H

#include "penstock/Dialect/NN/IR/Extents.h"

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/IR/TensorEncoding.h"
#include "mlir/Interfaces/CallInterfaces.h"
#include "mlir/Interfaces/ControlFlowInterfaces.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include <string>
#include <vector>

namespace mlir {
class ModuleOp;
} // namespace mlir

namespace penstock::nn {
/// FLOPs that one exp, tanh, erf, division or the like counts for.
inline constexpr int64_t kTranscendentalFlops = 8;

mlir::AffineExpr defaultFlops(mlir::Operation *op);
mlir::AffineExpr defaultBytesRead(mlir::Operation *op);
mlir::AffineExpr defaultBytesWritten(mlir::Operation *op);
} // namespace penstock::nn

#include "penstock/Dialect/NN/IR/NNDialect.h.inc"
#include "penstock/Dialect/NN/IR/NNEnums.h.inc"
#define GET_ATTRDEF_CLASSES
#include "penstock/Dialect/NN/IR/NNAttrs.h.inc"
#include "penstock/Dialect/NN/IR/NNInterfaces.h.inc"
#define GET_OP_CLASSES
#include "penstock/Dialect/NN/IR/NNOps.h.inc"

namespace penstock::nn {

/// Discardable attribute: the pipeline stage that the ONNX node of an op carries.
inline constexpr llvm::StringLiteral kOnnxStageAttr = "nn.onnx_stage";

/// The one number that a floating-point constant holds, whatever its shape.
std::optional<double> getUniform(Value value);

/// Names of the module's symbols, by their number.
std::vector<std::string> getSymbolNames(ModuleOp module);

/// Builds an op whose result types are inferred; a combination that does not fit is an error at `loc`, and nothing is
/// built.
template <typename OpT>
FailureOr<OpT> createInferred(OpBuilder &builder, Location loc, ValueRange operands,
                              ArrayRef<NamedAttribute> attributes = {}) {
  OperationState state(loc, OpT::getOperationName());
  state.addOperands(operands);
  state.addAttributes(attributes);
  std::optional<RegisteredOperationName> name = state.name.getRegisteredInfo();
  if (!name)
    return emitError(loc) << "'" << OpT::getOperationName() << "' is not registered";
  NamedAttrList list(attributes);
  auto report = [&] { return emitError(loc) << "'" << OpT::getOperationName() << "' "; };
  if (failed(name->verifyInherentAttrs(list, report)))
    return failure();
  SmallVector<Type> types;
  if (failed(OpT::inferReturnTypes(builder.getContext(), loc, operands, list.getDictionary(builder.getContext()),
                                   /*properties=*/nullptr, RegionRange(), types)))
    return failure();
  state.addTypes(types);
  return cast<OpT>(builder.create(state));
}

} // namespace penstock::nn

#endif // PENSTOCK_DIALECT_NN_IR_NNOPS_H
