//===- CublasLtMatch.cpp - Kernels as cuBLASLt sees them ------ -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CublasLtMatch.h"
#include "LibraryMatcher.h"
#include "penstock/Target/LibraryObject.h"

namespace penstock::cuda {
using namespace mlir;
using namespace nn;

namespace {

/// A buffer that holds matrices one after the other.
struct Place {
  int64_t buffer;
  bool isTransposed = false; ///< each matrix
};

Type elementOf(Value value) { return typeOf(value).getElementType(); }

bool swapsLastTwo(ArrayRef<int64_t> perm) {
  int64_t rank = perm.size();
  for (int64_t i = 0; i < rank - 2; ++i)
    if (perm[i] != i)
      return false;
  return rank >= 2 && perm[rank - 1] == rank - 2;
}

/// Where a value lies that is a buffer, perhaps seen in another shape, or with the last two axes swapped. `bufferOf`:
/// of an input or constant of the kernel. `note`: gets the ops on the way.
std::optional<Place> findPlace(Value v, function_ref<std::optional<int64_t>(Value)> bufferOf,
                               function_ref<void(Operation *)> note) {
  if (std::optional<int64_t> buffer = bufferOf(v))
    return Place{*buffer};
  Operation *op = v.getDefiningOp();
  note(op);
  if (auto reshape = dyn_cast<ReshapeOp>(op)) {
    std::optional<Place> inner = findPlace(reshape.getInput(), bufferOf, note);
    return inner && !inner->isTransposed ? inner : std::nullopt;
  }
  auto transpose = dyn_cast<TransposeOp>(op);
  std::optional<Place> inner = transpose ? findPlace(transpose.getInput(), bufferOf, note) : std::nullopt;
  if (!inner || !swapsLastTwo(transpose.getPerm()))
    return std::nullopt;
  inner->isTransposed = !inner->isTransposed;
  return inner;
}

class Matcher : public LibraryMatcher<Matcher, CublasLtKernel, MatmulOp> {
public:
  Matcher(Block &body, bool allowsTf32, llvm::SetVector<ConstantOp> *constants)
      : LibraryMatcher(body, allowsTf32, constants) {
    desc().version = RT_CUDA_PRODUCT_VERSION;
    desc().alpha = 1;
  }

  bool takeRoot(MatmulOp op) {
    Value lhs = op.getLhs(), rhs = op.getRhs();
    CastOp left = getWidening(lhs), right = getWidening(rhs);
    if (!left || !right || elementOf(left.getInput()) != elementOf(right.getInput()))
      return takeType(RT_CUDA_PRODUCT_F32, RT_CUDA_PRODUCT_F16, RT_CUDA_PRODUCT_BF16) && takeProduct(op, lhs, rhs);
    seen.insert(left);
    seen.insert(right);
    desc().type = elementOf(left.getInput()).isF16() ? RT_CUDA_PRODUCT_F16_TO_F32 : RT_CUDA_PRODUCT_BF16_TO_F32;
    desc().allows_tf32 = false;
    return takeProduct(op, left.getInput(), right.getInput());
  }

  /// What is done to each element, in the order in which cuBLASLt does it.
  bool takeUser(Operation *user) {
    if (auto unary = dyn_cast<UnaryOp>(user))
      return takeUnary(unary);
    if (auto binary = dyn_cast<BinaryOp>(user))
      return takeBinary(binary);
    return isa<ReshapeOp>(user);
  }

private:
  /// 16-bit numbers that become f32 on the way into the product, as in cuBLASLt itself.
  static CastOp getWidening(Value factor) {
    auto cast = factor.getDefiningOp<CastOp>();
    bool isWidening = cast && elementOf(factor).isF32() &&
                      (elementOf(cast.getInput()).isF16() || elementOf(cast.getInput()).isBF16());
    return isWidening ? cast : CastOp();
  }

  // Operands: inputs of the kernel, perhaps seen in another shape, or with the last two axes swapped.

  std::optional<Place> resolve(Value v) {
    return findPlace(v, [&](Value operand) { return bufferOf(operand); }, [&](Operation *op) { seen.insert(op); });
  }

  // The product.

  /// The axes before the matrices, without leading ones.
  static SmallVector<AffineExpr> getBatch(ArrayRef<AffineExpr> extents) {
    ArrayRef<AffineExpr> batch = extents.drop_back(2);
    return SmallVector<AffineExpr>(batch.drop_while(isOne));
  }

  /// `from`, `with`: the factors as they lie in memory.
  bool takeProduct(MatmulOp op, Value from, Value with) {
    SmallVector<AffineExpr> left = getExtents(typeOf(op.getLhs())), right = getExtents(typeOf(op.getRhs()));
    std::optional<Place> lhs = resolve(from), rhs = resolve(with);
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

  // What is done to each element.

  bool hasSummand() { return desc().bias >= 0 || desc().residual >= 0; }
  bool hasActivation() { return desc().activation != RT_CUDA_PRODUCT_NO_ACTIVATION; }

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
    std::optional<Place> place = hasType(other) ? resolve(other) : std::nullopt;
    if (!place || place->isTransposed)
      return false;
    buffer = place->buffer;
    return true;
  }

  AffineExpr columns;
};

} // namespace

std::optional<CublasLtKernel> matchCublasLt(Block &body, bool allowsTf32) {
  return Matcher(body, allowsTf32, /*constants=*/nullptr).run();
}

bool isReadByCublasLt(Value factor) {
  auto inputOf = [](Value v) -> std::optional<int64_t> {
    auto argument = dyn_cast<BlockArgument>(v);
    return argument ? std::optional<int64_t>(argument.getArgNumber()) : std::nullopt;
  };
  return findPlace(factor, inputOf, [](Operation *) {}).has_value();
}

LibraryEnd findCublasLtEnd(Block &body) {
  LibraryEnd end;
  end.value = Matcher(body, /*allowsTf32=*/false, &end.constants).takeAll();
  return end;
}

} // namespace penstock::cuda
