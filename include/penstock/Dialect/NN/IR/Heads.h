//===- Heads.h - `@name(arguments) -> (results)` ---------------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// How ops that are like functions begin: nn.kernel_def, pipe.stage. Result types stand in the text only; an op takes
// them from its terminator.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_DIALECT_NN_IR_HEADS_H
#define PENSTOCK_DIALECT_NN_IR_HEADS_H

#include "mlir/IR/OpImplementation.h"

namespace penstock::nn {

/// Adds `sym_name` to the attributes of `result`.
mlir::ParseResult parseHead(mlir::OpAsmParser &parser, mlir::OperationState &result,
                            llvm::SmallVectorImpl<mlir::OpAsmParser::Argument> &arguments,
                            llvm::SmallVectorImpl<mlir::Type> &resultTypes);

void printHead(mlir::OpAsmPrinter &printer, llvm::StringRef name, mlir::Region &body, mlir::TypeRange resultTypes);

} // namespace penstock::nn

#endif // PENSTOCK_DIALECT_NN_IR_HEADS_H
