//===- Heads.cpp - `@name(arguments) -> (results)` -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "penstock/Dialect/NN/IR/Heads.h"

using namespace mlir;

ParseResult penstock::nn::parseHead(OpAsmParser &parser, OperationState &result,
                                    SmallVectorImpl<OpAsmParser::Argument> &arguments,
                                    SmallVectorImpl<Type> &resultTypes) {
  StringAttr name;
  return failure(parser.parseSymbolName(name, "sym_name", result.attributes) ||
                 parser.parseArgumentList(arguments, AsmParser::Delimiter::Paren, /*allowType=*/true) ||
                 parser.parseArrow() || parser.parseCommaSeparatedList(AsmParser::Delimiter::Paren, [&] {
                   return parser.parseType(resultTypes.emplace_back());
                 }));
}

void penstock::nn::printHead(OpAsmPrinter &printer, StringRef name, Region &body, TypeRange resultTypes) {
  printer << " ";
  printer.printSymbolName(name);
  printer << "(";
  llvm::interleaveComma(body.getArguments(), printer,
                        [&](BlockArgument argument) { printer.printRegionArgument(argument); });
  printer << ") -> (";
  llvm::interleaveComma(resultTypes, printer);
  printer << ")";
}
