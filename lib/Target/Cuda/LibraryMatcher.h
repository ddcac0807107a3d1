//===- LibraryMatcher.h - How far a library gets in a kernel -- -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What the matchers of cuBLASLt and cuDNN share: a body has one op that the library is for, and a chain of users from
// it on, as far as the library does them too. A matcher has
//
//   bool takeRoot(Root)         that op; false: it is not the library's after all
//   bool takeUser(Operation *)  the only user of `value`, the end of the chain so far
//
// and sets the descriptor on the way.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_TARGET_CUDA_LIBRARYMATCHER_H
#define PENSTOCK_LIB_TARGET_CUDA_LIBRARYMATCHER_H

#include "LibraryEnd.h"
#include "penstock/Dialect/NN/IR/Extents.h"

#include "llvm/ADT/SmallPtrSet.h"

#include <optional>

namespace penstock::cuda {

inline mlir::RankedTensorType typeOf(mlir::Value value) { return mlir::cast<mlir::RankedTensorType>(value.getType()); }

inline bool isOne(mlir::AffineExpr expr) { return nn::getConstant(expr) == 1; }

/// `Found`: a descriptor `desc` and its `extents`.
template <typename Matcher, typename Found, typename Root> class LibraryMatcher {
public:
  std::optional<Found> run() {
    mlir::Operation *yield = body.getTerminator();
    if (yield->getNumOperands() != 1 || takeAll() != yield->getOperand(0))
      return std::nullopt;
    seen.insert(yield);
    for (mlir::Operation &op : body)
      if (!seen.contains(&op) && !mlir::isa<nn::ConstantOp>(op))
        return std::nullopt;
    return std::move(result);
  }

  /// The last value that the library can make; null if there is none.
  mlir::Value takeAll() {
    auto roots = body.getOps<Root>();
    if (!llvm::hasSingleElement(roots))
      return mlir::Value();
    Root root = *roots.begin();
    value = root.getResult();
    seen.insert(root);
    auto &matcher = static_cast<Matcher &>(*this);
    if (!matcher.takeRoot(root))
      return mlir::Value();
    while (value.hasOneUse()) {
      mlir::Operation *user = *value.user_begin();
      if (!matcher.takeUser(user))
        break;
      seen.insert(user);
      value = user->getResult(0);
    }
    return value;
  }

protected:
  /// `constants`: those that the library would read are taken, and noted. Null: none is.
  LibraryMatcher(mlir::Block &body, bool allowsTf32, llvm::SetVector<nn::ConstantOp> *constants)
      : body(body), context(body.getParentOp()->getContext()), constants(constants) {
    desc().allows_tf32 = allowsTf32;
    desc().bias = desc().residual = -1;
    desc().result = body.getNumArguments();
    desc().workspace = desc().result + 1;
  }

  auto &desc() { return result.desc; }

  /// Sets the descriptor's type to what it is called there.
  bool takeType(int64_t f32, int64_t f16, int64_t bf16) {
    mlir::Type element = typeOf(value).getElementType();
    desc().type = element.isF32() ? f32 : element.isF16() ? f16 : element.isBF16() ? bf16 : 0;
    desc().allows_tf32 &= desc().type == f32;
    return desc().type != 0;
  }

  /// Operands have the result's type.
  bool hasType(mlir::Value operand) const { return typeOf(operand).getElementType() == typeOf(value).getElementType(); }

  /// The kernel's input that `operand` is, or a constant that may become one.
  std::optional<int64_t> bufferOf(mlir::Value operand) {
    if (auto argument = mlir::dyn_cast<mlir::BlockArgument>(operand))
      return argument.getArgNumber();
    auto constant = operand.getDefiningOp<nn::ConstantOp>();
    if (!constant || !constants)
      return std::nullopt;
    constants->insert(constant);
    return 0;
  }

  mlir::Block &body;
  mlir::MLIRContext *context;
  llvm::SetVector<nn::ConstantOp> *constants;
  Found result;
  mlir::Value value; ///< the end of the chain so far
  llvm::SmallPtrSet<mlir::Operation *, 16> seen;
};

} // namespace penstock::cuda

#endif // PENSTOCK_LIB_TARGET_CUDA_LIBRARYMATCHER_H
