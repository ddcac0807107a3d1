//===- StageText.h - A serialized model with stages ------------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A model is walked as bytes: pieces that stay are ranges of the input, new ones are short texts between them, so that
// memory is for the graph and not for the weights. The input is untrusted, as in WireReader.h.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_IMPORT_ONNX_STAGETEXT_H
#define PENSTOCK_LIB_IMPORT_ONNX_STAGETEXT_H

#include "mlir/Support/LLVM.h"
#include "penstock/Import/Onnx/StageWriter.h"
#include "llvm/Support/Allocator.h"
#include "llvm/Support/StringSaver.h"

namespace penstock::onnximport {

/// `model` must outlive the text.
class StageText {
public:
  /// What writeOnnxStages() writes. On failure `error` says what is wrong, and where.
  mlir::LogicalResult annotate(llvm::StringRef model, const NodeStages &stages, int64_t numStages, std::string &error);

  /// In order; together the model.
  llvm::ArrayRef<llvm::StringRef> getPieces() const { return pieces; }

private:
  std::vector<llvm::StringRef> pieces;
  llvm::BumpPtrAllocator allocator;
};

} // namespace penstock::onnximport

#endif
