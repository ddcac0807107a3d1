//===- CublasLtMatch.cpp - Kernels as cuBLASLt sees them ------ -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CublasLtMatch.h"
#include "penstock/Dialect/NN/IR/Extents.h"
#include "penstock/Target/LibraryObject.h"

#include "llvm/ADT/SmallPtrSet.h"

namespace penstock::cuda {
using namespace mlir;
using namespace nn;

namespace {

RankedTensorType typeOf(Value value) { return cast<RankedTensorType>(value.getType()); }

bool isOne(AffineExpr expr) { return getConstant(expr) == 1; }

/// A buffer that holds matrices one after the other.
struct Place {
  int64_t buffer;
  bool isTransposed = false; ///< each matrix
};

class Matcher {
public:
  /// `constants`: those that the library would read are taken, and noted. Null: none is.
  Matcher(Block &body, bool allowsTf32, llvm::SetVector<ConstantOp> *constants)
      : body(body), context(body.getParentOp()->getContext()), constants(constants) {
    rt_cuda_product_desc &d = desc();
    d.version = RT_CUDA_PRODUCT_VERSION;
    d.allows_tf32 = allowsTf32;
    d.alpha = 1;
    d.bias = d.residual = -1;
    d.result = body.getNumArguments();
    d.workspace = d.result + 1;
  }

  std::optional<CublasLtKernel> run() {
    Operation *yield = body.getTerminator();
    if (yield->getNumOperands() != 1 || takeAll() != yield->getOperand(0))
      return std::nullopt;
    seen.insert(yield);
    for (Operation &op : body)
      if (!seen.contains(&op) && !isa<ConstantOp>(op))
        return std::nullopt;
    return std::move(result);
  }

  /// The last value that the library can make; null if there is none.
  Value takeAll() {
    auto products = body.getOps<MatmulOp>();
    if (!llvm::hasSingleElement(products))
      return Value();
    MatmulOp product = *products.begin();
    value = product.getResult();
    seen.insert(product);
    if (!takeType() || !takeProduct(product))
      return Value();
    while (value.hasOneUse()) {
      Operation *user = *value.user_begin();
      if (!takeUser(user))
        break;
      seen.insert(user);
      value = user->getResult(0);
    }
    return value;
  }

private:
  rt_cuda_product_desc &desc() { return result.desc; }

  bool takeType() {
    Type element = typeOf(value).getElementType();
    desc().type = element.isF32()    ? RT_CUDA_PRODUCT_F32
                  : element.isF16()  ? RT_CUDA_PRODUCT_F16
                  : element.isBF16() ? RT_CUDA_PRODUCT_BF16
                                     : 0;
    desc().allows_tf32 &= desc().type == RT_CUDA_PRODUCT_F32;
    return desc().type != 0;
  }

  // Operands: inputs of the kernel, perhaps seen in another shape, or with the last two axes swapped.

  std::optional<Place> resolve(Value v) {
    if (typeOf(v).getElementType() != typeOf(value).getElementType())
      return std::nullopt;
    if (auto argument = dyn_cast<BlockArgument>(v))
      return Place{static_cast<int64_t>(argument.getArgNumber())};
    Operation *op = v.getDefiningOp();
    if (auto constant = dyn_cast<ConstantOp>(op); constant && constants) {
      constants->insert(constant);
      return Place{0};
    }
    seen.insert(op);
    if (auto reshape = dyn_cast<ReshapeOp>(op)) {
      std::optional<Place> inner = resolve(reshape.getInput());
      return inner && !inner->isTransposed ? inner : std::nullopt;
    }
    auto transpose = dyn_cast<TransposeOp>(op);
    std::optional<Place> inner = transpose ? resolve(transpose.getInput()) : std::nullopt;
    if (!inner || !swapsLastTwo(transpose.getPerm()))
      return std::nullopt;
    inner->isTransposed = !inner->isTransposed;
    return inner;
  }

  static bool swapsLastTwo(ArrayRef<int64_t> perm) {
    int64_t rank = perm.size();
    for (int64_t i = 0; i < rank - 2; ++i)
      if (perm[i] != i)
        return false;
    return rank >= 2 && perm[rank - 1] == rank - 2;
  }

  // The product.

  /// The axes before the matrices, without leading ones.
  static SmallVector<AffineExpr> getBatch(ArrayRef<AffineExpr> extents) {
    ArrayRef<AffineExpr> batch = extents.drop_back(2);
    return SmallVector<AffineExpr>(batch.drop_while(isOne));
  }

  bool takeProduct(MatmulOp op) {
    SmallVector<AffineExpr> left = getExtents(typeOf(op.getLhs())), right = getExtents(typeOf(op.getRhs()));
    std::optional<Place> lhs = resolve(op.getLhs()), rhs = resolve(op.getRhs());
    if (!lhs || !rhs || llvm::is_contained(left, AffineExpr()) || llvm::is_contained(right, AffineExpr()))
      return false;
    AffineExpr rows = left[left.size() - (op.getTransposeLhs() ? 1 : 2)];
    AffineExpr inner = left[left.size() - (op.getTransposeLhs() ? 2 : 1)];
    columns = right[right.size() - (op.getTransposeRhs() ? 2 : 1)];
    desc().lhs = lhs->buffer, desc().rhs = rhs->buffer;
    desc().transposes_lhs = lhs->isTransposed != op.getTransposeLhs();
    desc().transposes_rhs = rhs->isTransposed != op.getTransposeRhs();
    SmallVector<AffineExpr> leftBatch = getBatch(left), rightBatch = getBatch(right);
    AffineExpr batch = multiplyExtents(leftBatch.empty() ? rightBatch : leftBatch, context);
    if (rightBatch.empty() && !desc().transposes_lhs) {
      // All rows of all matrices meet one right side.
      rows = simplifyExtent(batch * rows);
      batch = getAffineConstantExpr(1, context);
    } else if (leftBatch.empty() || rightBatch.empty()) {
      desc().repeats_lhs = leftBatch.empty();
      desc().repeats_rhs = rightBatch.empty();
    } else if (leftBatch != rightBatch) {
      return false;
    }
    result.extents = {batch, rows, inner, columns};
    return getConstant(inner) != 0 && llvm::all_of(result.extents, isSafeExtent);
  }

  // What is done to each element, in the order in which cuBLASLt does it.

  bool hasSummand() { return desc().bias >= 0 || desc().residual >= 0; }
  bool hasActivation() { return desc().activation != RT_CUDA_PRODUCT_NO_ACTIVATION; }

  bool takeUser(Operation *user) {
    if (auto unary = dyn_cast<UnaryOp>(user))
      return takeUnary(unary);
    if (auto binary = dyn_cast<BinaryOp>(user))
      return takeBinary(binary);
    return isa<ReshapeOp>(user);
  }

  bool takeUnary(UnaryOp op) {
    if (op.getKind() == UnaryKind::identity)
      return true;
    if (hasActivation())
      return false;
    if (op.getKind() == UnaryKind::relu)
      desc().activation = RT_CUDA_PRODUCT_RELU;
    if (op.getKind() == UnaryKind::gelu_tanh)
      desc().activation = RT_CUDA_PRODUCT_GELU_TANH;
    return hasActivation();
  }

  bool takeBinary(BinaryOp op) {
    bool isLeft = op.getLhs() == value;
    Value other = isLeft ? op.getRhs() : op.getLhs();
    if (hasActivation() || getExtents(typeOf(op.getResult())) != getExtents(typeOf(value)))
      return false;
    std::optional<double> number = getUniform(other);
    if (number && op.getKind() == BinaryKind::mul)
      return takeFactor(*number, other);
    if (number && op.getKind() == BinaryKind::div && isLeft && *number != 0)
      return takeFactor(1 / *number, other);
    return op.getKind() == BinaryKind::add && takeSummand(other);
  }

  bool takeFactor(double factor, Value from) {
    if (hasSummand())
      return false;
    seen.insert(from.getDefiningOp());
    desc().alpha *= factor;
    return true;
  }

  bool takeSummand(Value other) {
    SmallVector<AffineExpr> extents = getExtents(typeOf(other)), whole = getExtents(typeOf(value));
    bool isBias = !extents.empty() && extents.back() == columns && whole.back() == columns &&
                  llvm::all_of(ArrayRef(extents).drop_back(), isOne);
    int64_t &buffer = isBias && desc().bias < 0 ? desc().bias : desc().residual;
    bool isResidual = &buffer == &desc().residual;
    if (buffer >= 0 || (isResidual && extents != whole))
      return false;
    std::optional<Place> place = resolve(other);
    if (!place || place->isTransposed)
      return false;
    buffer = place->buffer;
    return true;
  }

  Block &body;
  MLIRContext *context;
  llvm::SetVector<ConstantOp> *constants;
  CublasLtKernel result;
  Value value; ///< the end of the chain so far
  AffineExpr columns;
  llvm::SmallPtrSet<Operation *, 16> seen;
};

} // namespace

std::optional<CublasLtKernel> matchCublasLt(Block &body, bool allowsTf32) {
  return Matcher(body, allowsTf32, /*constants=*/nullptr).run();
}

LibraryEnd findCublasLtEnd(Block &body) {
  LibraryEnd end;
  end.value = Matcher(body, /*allowsTf32=*/false, &end.constants).takeAll();
  return end;
}

} // namespace penstock::cuda
