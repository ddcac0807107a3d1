//===- PipeDialect.cpp - Registration and attributes of the pipe dialect -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "penstock/Dialect/Pipe/IR/PipeOps.h"

#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace penstock::pipe;

#include "penstock/Dialect/Pipe/IR/PipeDialect.cpp.inc"
#include "penstock/Dialect/Pipe/IR/PipeEnums.cpp.inc"
#define GET_ATTRDEF_CLASSES
#include "penstock/Dialect/Pipe/IR/PipeAttrs.cpp.inc"

void PipeDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "penstock/Dialect/Pipe/IR/PipeAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "penstock/Dialect/Pipe/IR/PipeOps.cpp.inc"
      >();
}

//===----------------------------------------------------------------------===//
// #pipe.storage
//===----------------------------------------------------------------------===//

Attribute StorageAttr::parse(AsmParser &parser, Type) {
  StringRef keyword;
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseLess() || parser.parseKeyword(&keyword))
    return {};
  std::optional<StorageKind> kind = symbolizeStorageKind(keyword);
  if (!kind) {
    parser.emitError(loc) << "unknown storage '" << keyword << "'";
    return {};
  }
  FlatSymbolRefAttr symbol;
  penstock::nn::ExtentsAttr bytes;
  int64_t offset = -1, first = -1, last = -1, alias = -1;
  while (succeeded(parser.parseOptionalComma())) {
    SMLoc fieldLoc = parser.getCurrentLocation();
    StringRef field;
    if (parser.parseKeyword(&field) || parser.parseEqual())
      return {};
    ParseResult parsed = success();
    if (field == "symbol")
      parsed = parser.parseAttribute(symbol);
    else if (field == "bytes") {
      bytes = llvm::dyn_cast_or_null<penstock::nn::ExtentsAttr>(penstock::nn::ExtentsAttr::parse(parser, Type()));
      parsed = success(static_cast<bool>(bytes));
    } else if (field == "offset")
      parsed = parser.parseInteger(offset);
    else if (field == "first")
      parsed = parser.parseInteger(first);
    else if (field == "last")
      parsed = parser.parseInteger(last);
    else if (field == "alias")
      parsed = parser.parseInteger(alias);
    else
      parsed = parser.emitError(fieldLoc) << "unknown field '" << field << "' of a storage";
    if (parsed)
      return {};
  }
  if (parser.parseGreater())
    return {};
  return parser.getChecked<StorageAttr>(loc, parser.getContext(), *kind, symbol, offset, bytes, first, last, alias);
}

void StorageAttr::print(AsmPrinter &printer) const {
  printer << "<" << stringifyStorageKind(getKind());
  if (getSymbol())
    printer << ", symbol = " << getSymbol();
  if (getKind() == StorageKind::arena || getOffset() != -1)
    printer << ", offset = " << getOffset();
  if (getBytes()) {
    printer << ", bytes = ";
    getBytes().print(printer);
  }
  if (getFirst() != -1)
    printer << ", first = " << getFirst();
  if (getLast() != -1)
    printer << ", last = " << getLast();
  if (getAlias() != -1)
    printer << ", alias = " << getAlias();
  printer << ">";
}

LogicalResult StorageAttr::verify(function_ref<InFlightDiagnostic()> emitError, StorageKind kind,
                                  FlatSymbolRefAttr symbol, int64_t offset, penstock::nn::ExtentsAttr bytes,
                                  int64_t first, int64_t last, int64_t alias) {
  bool needsSymbol = kind != StorageKind::arena && kind != StorageKind::constant;
  if (needsSymbol != static_cast<bool>(symbol))
    return emitError() << "storage of kind '" << stringifyStorageKind(kind) << "' "
                       << (needsSymbol ? "needs a symbol" : "has no symbol");
  if (bytes && bytes.getExprs().size() != 1)
    return emitError() << "storage has " << bytes.getExprs().size() << " expressions for its bytes; expected one";
  if (offset < -1 || first < -1 || last < first)
    return emitError() << "storage has offset " << offset << " and steps " << first << " to " << last
                       << "; expected an offset of at least 0 (or -1) and ascending steps";
  if (kind == StorageKind::arena && (!bytes || first < 0))
    return emitError() << "storage in the arena needs its bytes and steps";
  return success();
}
