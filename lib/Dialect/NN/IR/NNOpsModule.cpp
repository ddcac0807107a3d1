//===- NNOpsModule.cpp - Symbols, weights, kernels, calls -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "penstock/Dialect/NN/IR/Heads.h"
#include "penstock/Dialect/NN/IR/NNOps.h"

#include "mlir/IR/BuiltinOps.h"

using namespace penstock::nn;

static ParseResult parseSymbolIndex(OpAsmParser &parser, IntegerAttr &index) {
  int64_t value;
  if (parser.parseInteger(value))
    return failure();
  index = parser.getBuilder().getI64IntegerAttr(value);
  return success();
}

static void printSymbolIndex(OpAsmPrinter &printer, Operation *, IntegerAttr index) { printer << index.getInt(); }

std::vector<std::string> penstock::nn::getSymbolNames(ModuleOp module) {
  std::vector<std::string> names;
  for (auto symbol : module.getOps<SymbolOp>())
    names.push_back(symbol.getSymName().str());
  return names;
}

#define GET_OP_CLASSES
#include "penstock/Dialect/NN/IR/NNOps.cpp.inc"

LogicalResult SymbolOp::verify() {
  size_t numExprs = getExprs() ? getExprs()->getExprs().size() : 0;
  bool isRoot = getKind() == SymbolKind::root, isData = getKind() == SymbolKind::data;
  if (isRoot ? numExprs != 0 : isData ? numExprs > 1 : numExprs < 2)
    return emitOpError() << "of kind " << stringifySymbolKind(getKind()) << " has " << numExprs
                         << " expressions; expected "
                         << (isRoot   ? "none"
                             : isData ? "at most one"
                                      : "at least two"); // symbol_c2
  int64_t lower = getLower().value_or(0), upper = getUpper().value_or(INT64_MAX),
          typical = getTypical().value_or(lower);
  if (lower < 0 || lower > upper || typical < lower || typical > upper)
    return emitOpError() << "has bounds " << lower << ".." << upper << " and typical value " << typical
                         << "; expected 0 <= lower <= typical <= upper"; // symbol_c3
  if (isData && numExprs == 0 && !getUpper())
    return emitOpError() << "has no bound; expected an expression or 'upper'"; // symbol_c4
  return success();
}

LogicalResult ConstraintOp::verify() {
  if (getExprs().getExprs().size() != 2)
    return emitOpError() << "has " << getExprs().getExprs().size() << " expressions; expected two"; // constraint_c1
  return success();
}

LogicalResult WeightOp::verify() {
  auto type = dyn_cast<RankedTensorType>(getType());
  if (!type || !type.hasStaticShape())
    return emitOpError() << "has type " << getType() << "; expected a static tensor"; // weight_c2
  int numSources = bool(getFile()) + bool(getInit()) + bool(getPacked());
  if (numSources != 1 || bool(getPacked()) != bool(getPacking()))
    return emitOpError() << "must come from a file, a kernel or another weight, from exactly one of them"; // weight_c1
  if (getFile() && getFile()->getNumBytes() != *getConstant(nn::getNumBytes(type)))
    return emitOpError() << "has " << getFile()->getNumBytes() << " bytes in its file; expected "
                         << *getConstant(nn::getNumBytes(type)) << " for " << type; // weight_c2
  return success();
}

LogicalResult WeightOp::verifySymbolUses(SymbolTableCollection &symbols) {
  if (!getPacked())
    return success();
  auto source = symbols.lookupNearestSymbolFrom<WeightOp>(*this, getPackedAttr());
  if (!source || source.getPacked())
    return emitOpError() << "packs " << getPackedAttr() << ", which is no unpacked nn.weight"; // weight_c3
  if (source.getType() != getType())
    return emitOpError() << "has type " << getType() << " but packs a weight of type " << source.getType(); // weight_c3
  return success();
}

int64_t WeightOp::getStoredBytes() {
  return getPacking() ? getPacking()->getNumBytes() : *getConstant(getNumBytes(cast<RankedTensorType>(getType())));
}

LogicalResult LoadWeightOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto weight = symbols.lookupNearestSymbolFrom<WeightOp>(*this, getWeightAttr());
  if (!weight)
    return emitOpError() << "loads " << getWeightAttr() << ", which is no nn.weight"; // load_weight_c1
  if (weight.getType() != getType())
    return emitOpError() << "has type " << getType() << " but the weight has " << weight.getType(); // load_weight_c1
  return success();
}

LogicalResult ExtentTensorOp::verify() {
  auto type = cast<RankedTensorType>(getType());
  if (type.getNumElements() != static_cast<int64_t>(getExprs().getExprs().size()))
    return emitOpError() << "has " << getExprs().getExprs().size() << " expressions for " << type.getNumElements()
                         << " elements"; // extent_tensor_c1
  if (!type.getElementType().isInteger(64) && !type.getElementType().isInteger(32))
    return emitOpError() << "has element type " << type.getElementType() << "; expected i64 or i32"; // extent_tensor_c1
  return success();
}

/// Anything that removes or moves an op must leave one that gives a symbol its value.
void DefineExtentOp::getEffects(SmallVectorImpl<MemoryEffects::EffectInstance> &effects) {
  if (getSymbol())
    effects.emplace_back(MemoryEffects::Write::get());
}

static bool isDataSymbol(Operation *op, FlatSymbolRefAttr name, SymbolTableCollection &symbols) {
  auto symbol = symbols.lookupNearestSymbolFrom<SymbolOp>(op, name);
  return symbol && symbol.getKind() == SymbolKind::data;
}

LogicalResult DefineExtentOp::verifySymbolUses(SymbolTableCollection &symbols) {
  if (getSymbolAttr() && !isDataSymbol(*this, getSymbolAttr(), symbols))
    return emitOpError() << "defines " << getSymbolAttr() << ", which is no data symbol"; // define_extent_c1
  return success();
}

/// What a kernel, or its call, defines.
static LogicalResult verifyDefines(Operation *op, FlatSymbolRefAttr name, SymbolTableCollection &symbols) {
  if (!name)
    return success();
  if (!isDataSymbol(op, name, symbols))
    return op->emitOpError() << "defines " << name << ", which is no data symbol"; // kernel_c4, call_c4
  auto type = op->getNumResults() ? cast<RankedTensorType>(op->getResult(0).getType()) : RankedTensorType();
  if (!type || type.getRank() != 0 || !type.getElementType().isInteger(64))
    return op->emitOpError() << "defines " << name << " by a first result of type " << type
                             << "; expected tensor<i64>"; // kernel_c4, call_c4
  return success();
}

LogicalResult IfOp::verify() {
  auto type = cast<RankedTensorType>(getCondition().getType());
  if (!type.getElementType().isInteger(1) || !type.hasStaticShape() || type.getNumElements() != 1)
    return emitOpError() << "condition has type " << type << "; expected one i1"; // if_c1
  for (Region &region : getOperation()->getRegions()) {
    auto yield = dyn_cast<YieldOp>(region.front().getTerminator());
    if (!yield || yield.getOperandTypes() != getResultTypes())
      return emitOpError() << "a region does not yield values of the result types"; // if_c2
  }
  for (auto [assumes, reasons] :
       {std::pair(getThenAssumes(), getThenReasons()), std::pair(getElseAssumes(), getElseReasons())}) {
    size_t numExprs = assumes ? assumes->getExprs().size() : 0, numReasons = reasons ? reasons->size() : 0;
    if (numExprs != 2 * numReasons)
      return emitOpError() << "assumes " << numExprs << " expressions for " << numReasons
                           << " reasons; expected two for each"; // if_c3
  }
  return success();
}

//===----------------------------------------------------------------------===//
// nn.kernel
//===----------------------------------------------------------------------===//

ParseResult KernelOp::parse(OpAsmParser &parser, OperationState &result) {
  StringAttr name;
  SmallVector<OpAsmParser::Argument> arguments;
  SmallVector<OpAsmParser::UnresolvedOperand> operands;
  SmallVector<Type> resultTypes;
  auto parseInput = [&]() -> ParseResult {
    return failure(parser.parseArgument(arguments.emplace_back()) || parser.parseEqual() ||
                   parser.parseOperand(operands.emplace_back()) || parser.parseColonType(arguments.back().type));
  };
  if (parser.parseAttribute(name, "name", result.attributes) || parser.parseKeyword("ins") ||
      parser.parseCommaSeparatedList(AsmParser::Delimiter::Paren, parseInput) || parser.parseArrow() ||
      parser.parseCommaSeparatedList(AsmParser::Delimiter::Paren,
                                     [&] { return parser.parseType(resultTypes.emplace_back()); }) ||
      parser.parseOptionalAttrDictWithKeyword(result.attributes))
    return failure();
  result.addTypes(resultTypes);
  for (auto [operand, argument] : llvm::zip(operands, arguments))
    if (parser.resolveOperand(operand, argument.type, result.operands))
      return failure();
  return parser.parseRegion(*result.addRegion(), arguments);
}

void KernelOp::print(OpAsmPrinter &printer) {
  printer << " " << getNameAttr() << " ins(";
  llvm::interleaveComma(llvm::zip(getBody().getArguments(), getInputs()), printer, [&](auto pair) {
    printer.printOperand(std::get<0>(pair));
    printer << " = " << std::get<1>(pair) << " : " << std::get<1>(pair).getType();
  });
  printer << ") -> (";
  llvm::interleaveComma(getResultTypes(), printer);
  printer << ")";
  printer.printOptionalAttrDictWithKeyword((*this)->getAttrs(), {"name"});
  printer << " ";
  printer.printRegion(getBody(), /*printEntryBlockArgs=*/false);
}

LogicalResult KernelOp::verify() {
  Block &block = getBody().front();
  if (block.getArgumentTypes() != getInputs().getTypes())
    return emitOpError() << "block arguments do not have the types of the operands"; // kernel_c1
  auto yield = dyn_cast<YieldOp>(block.empty() ? nullptr : &block.back());
  if (!yield || yield.getOperandTypes() != getResultTypes())
    return emitOpError() << "does not end in an nn.yield of the result types"; // kernel_c2
  for (Value value : yield.getValues())
    if (isa<BlockArgument>(value))
      return emitOpError() << "yields a block argument; expected a value computed inside"; // kernel_c3
  for (Operation &op : block)
    if (!isMemoryEffectFree(&op))
      return op.emitOpError() << "is not pure; expected only pure ops in a kernel"; // kernel_c3
  return success();
}

LogicalResult KernelOp::verifySymbolUses(SymbolTableCollection &symbols) {
  return verifyDefines(*this, getDefinesAttr(), symbols);
}

//===----------------------------------------------------------------------===//
// nn.kernel_def
//===----------------------------------------------------------------------===//

ParseResult KernelDefOp::parse(OpAsmParser &parser, OperationState &result) {
  SmallVector<OpAsmParser::Argument> arguments;
  SmallVector<Type> resultTypes;
  int64_t numSymbols;
  if (parseHead(parser, result, arguments, resultTypes) || parser.parseKeyword("symbols") ||
      parser.parseInteger(numSymbols) || parser.parseOptionalAttrDictWithKeyword(result.attributes))
    return failure();
  result.addAttribute("num_symbols", parser.getBuilder().getI64IntegerAttr(numSymbols));
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseRegion(*result.addRegion(), arguments))
    return failure();
  Block &block = result.regions.front()->front();
  if (block.empty() || block.back().getOperandTypes() != TypeRange(resultTypes))
    return parser.emitError(loc) << "the kernel does not end in an nn.yield of the result types"; // kernel_def_c1
  return success();
}

void KernelDefOp::print(OpAsmPrinter &printer) {
  printHead(printer, getSymName(), getBody(), getYield()->getOperandTypes());
  printer << " symbols " << getNumSymbols();
  printer.printOptionalAttrDictWithKeyword((*this)->getAttrs(), {"sym_name", "num_symbols"});
  printer << " ";
  printer.printRegion(getBody(), /*printEntryBlockArgs=*/false);
}

TypeRange KernelDefOp::getResultTypes() { return getYield()->getOperandTypes(); }

static LogicalResult verifySymbolsBelow(Operation *op, TypeRange types, unsigned numSymbols) {
  for (Type type : types)
    if (auto tensor = dyn_cast<RankedTensorType>(type))
      for (AffineExpr extent : getExtents(tensor))
        if (extent && getNumSymbols(extent) > numSymbols)
          return op->emitOpError() << "has type " << tensor << " in a kernel of " << numSymbols
                                   << " symbols"; // kernel_def_c2
  return success();
}

LogicalResult KernelDefOp::verify() {
  Block &block = getBody().front();
  if (block.empty() || !isa<YieldOp>(block.back()))
    return emitOpError() << "does not end in an nn.yield"; // kernel_def_c1
  unsigned numSymbols = getNumSymbols();
  if (failed(verifySymbolsBelow(*this, block.getArgumentTypes(), numSymbols)))
    return failure();
  for (Operation &op : block)
    if (failed(verifySymbolsBelow(&op, op.getResultTypes(), numSymbols)))
      return failure();
  return success();
}

//===----------------------------------------------------------------------===//
// nn.call
//===----------------------------------------------------------------------===//

LogicalResult CallOp::verify() {
  if (getOuts().getTypes() != getResultTypes())
    return emitOpError() << "results and outs differ in type"; // call_c3
  return success();
}

/// The types must be the kernel's once its symbols are replaced.
static LogicalResult verifyCallTypes(CallOp call, StringRef what, TypeRange given, TypeRange ofKernel) {
  if (given.size() != ofKernel.size())
    return call.emitOpError() << "has " << given.size() << " " << what << " but the kernel has " << ofKernel.size();
  for (auto [i, pair] : llvm::enumerate(llvm::zip(given, ofKernel))) {
    RankedTensorType expected = replaceSymbols(cast<RankedTensorType>(std::get<1>(pair)), call.getSymbols().getExprs());
    if (std::get<0>(pair) != expected)
      return call.emitOpError() << what << " #" << i << " has type " << std::get<0>(pair) << "; expected " << expected;
  }
  return success();
}

LogicalResult CallOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto kernel = symbols.lookupNearestSymbolFrom<KernelDefOp>(*this, getKernelAttr());
  if (!kernel)
    return emitOpError() << "calls " << getKernelAttr() << ", which is no nn.kernel_def"; // call_c1
  if (getSymbols().getExprs().size() != kernel.getNumSymbols())
    return emitOpError() << "gives " << getSymbols().getExprs().size() << " symbols; expected "
                         << kernel.getNumSymbols(); // call_c2
  if (failed(verifyCallTypes(*this, "inputs", getInputs().getTypes(), kernel.getBody().getArgumentTypes())))
    return failure(); // call_c2
  if (failed(verifyCallTypes(*this, "outs", getOuts().getTypes(), kernel.getResultTypes())))
    return failure(); // call_c2
  return verifyDefines(*this, getDefinesAttr(), symbols);
}
