//===- BatchRules.cpp - How each op treats the rows of a batch -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "BatchRules.h"

using namespace mlir;
using namespace penstock;
using namespace penstock::pipe;

using Carries = SmallVector<Carry>;

namespace {

RankedTensorType getType(Value value) { return cast<RankedTensorType>(value.getType()); }

//===----------------------------------------------------------------------===//
// Products of extents
//===----------------------------------------------------------------------===//

/// A product as a constant and other factors, in a fixed order.
struct Product {
  int64_t constant = 1;
  SmallVector<AffineExpr> factors;
};

void addFactors(AffineExpr expr, Product &product) {
  if (auto constant = dyn_cast<AffineConstantExpr>(expr))
    product.constant *= constant.getValue();
  else if (expr.getKind() == AffineExprKind::Mul) {
    addFactors(cast<AffineBinaryOpExpr>(expr).getLHS(), product);
    addFactors(cast<AffineBinaryOpExpr>(expr).getRHS(), product);
  } else {
    product.factors.push_back(expr);
  }
}

/// numerator / denominator, if it is a whole product; null otherwise.
AffineExpr divide(AffineExpr numerator, AffineExpr denominator) {
  Product result, divisor;
  addFactors(numerator, result);
  addFactors(denominator, divisor);
  if (divisor.constant == 0 || result.constant % divisor.constant != 0)
    return {};
  for (AffineExpr factor : divisor.factors) {
    auto found = llvm::find(result.factors, factor);
    if (found == result.factors.end())
      return {};
    result.factors.erase(found);
  }
  AffineExpr quotient = getAffineConstantExpr(result.constant / divisor.constant, numerator.getContext());
  for (AffineExpr factor : result.factors)
    quotient = quotient * factor;
  return quotient;
}

/// Product of the extents before an axis.
AffineExpr getElementsBefore(ArrayRef<AffineExpr> extents, int64_t axis) {
  AffineExpr product = getAffineConstantExpr(1, extents.front().getContext());
  for (AffineExpr extent : extents.take_front(axis))
    product = product * extent;
  return product;
}

//===----------------------------------------------------------------------===//
// Rules
//===----------------------------------------------------------------------===//

/// The rules, as methods that share the operands' rows. Each gives the rows of the results, or nothing.
class Rules {
public:
  Rules(Operation *op, ArrayRef<Carry> operands, AffineExpr batch) : op(op), operands(operands), batch(batch) {}

  std::optional<Carries> apply();

private:
  std::optional<Carries> all(const Carry &carry) { return Carries(op->getNumResults(), carry); }
  std::optional<Carries> moved(const Carry &carry, int64_t axis) {
    Carry result = carry;
    result.axis = axis;
    return all(result);
  }
  bool hasNumbers() {
    return llvm::any_of(operands, [](const Carry &carry) { return carry.numbers != RowNumbers::None; });
  }
  /// Only operand `index` has rows.
  bool isOnly(unsigned index) {
    for (auto [i, carry] : llvm::enumerate(operands))
      if (i != index && carry.hasRows())
        return false;
    return operands[index].hasRows();
  }
  /// The one operand with rows keeps them if the op leaves that axis alone.
  std::optional<Carries> keepUnless(ArrayRef<int64_t> touched) {
    if (!isOnly(0) || llvm::is_contained(touched, operands[0].axis))
      return std::nullopt;
    return all(operands[0]);
  }
  std::optional<Carries> broadcast();
  std::optional<Carries> matmul(nn::MatmulOp matmul);
  std::optional<Carries> attention();
  std::optional<Carries> reduce(ArrayRef<int64_t> axes, bool keepDims);
  std::optional<Carries> reshape();
  std::optional<Carries> broadcastTo();
  std::optional<Carries> slice(nn::SliceOp slice);
  std::optional<Carries> concat(int64_t axis);
  std::optional<Carries> pad(nn::PadOp pad);
  std::optional<Carries> gather(nn::GatherOp gather);
  std::optional<Carries> gatherND(nn::GatherNDOp gather);
  std::optional<Carries> elements(int64_t axis);
  std::optional<Carries> resize(nn::ResizeOp resize);
  std::optional<Carries> recurrent(nn::RecurrentOp recurrent);
  std::optional<Carries> sources();

  Operation *op;
  ArrayRef<Carry> operands;
  AffineExpr batch;
};

/// Axes are aligned from the last; all rows must meet on one axis. An operand without rows must have extent 1 there, or
/// the batch is one row.
std::optional<Carries> Rules::broadcast() {
  int64_t numDims = getType(op->getResult(0)).getRank();
  std::optional<Carry> result;
  for (auto [operand, carry] : llvm::zip(op->getOperands(), operands)) {
    if (!carry.hasRows())
      continue;
    Carry aligned = carry;
    aligned.axis += numDims - getType(operand).getRank();
    if (result && !(*result == aligned))
      return std::nullopt;
    result = aligned;
  }
  for (auto [operand, carry] : llvm::zip(op->getOperands(), operands)) {
    int64_t axis = result->axis - (numDims - getType(operand).getRank());
    if (carry.hasRows() || axis < 0)
      continue;
    if (nn::getConstant(nn::getExtent(getType(operand), axis)) != 1 && nn::getConstant(batch) != 1)
      return std::nullopt;
  }
  return all(*result);
}

/// Rows are a leading axis, or the one side's axis that is not contracted.
std::optional<Carries> Rules::matmul(nn::MatmulOp matmul) {
  int64_t numDims = getType(matmul.getResult()).getRank();
  int64_t lhsDims = getType(matmul.getLhs()).getRank(), rhsDims = getType(matmul.getRhs()).getRank();
  auto isMatrixAxis = [](const Carry &carry, int64_t dims) { return carry.hasRows() && carry.axis >= dims - 2; };
  bool lhsInMatrix = isMatrixAxis(operands[0], lhsDims), rhsInMatrix = isMatrixAxis(operands[1], rhsDims);
  if (!lhsInMatrix && !rhsInMatrix)
    return broadcast();
  if (operands[0].hasRows() && operands[1].hasRows())
    return std::nullopt;
  if (lhsInMatrix)
    return operands[0].axis == lhsDims - (matmul.getTransposeLhs() ? 1 : 2) ? moved(operands[0], numDims - 2)
                                                                            : std::nullopt;
  return operands[1].axis == rhsDims - (matmul.getTransposeRhs() ? 2 : 1) ? moved(operands[1], numDims - 1)
                                                                          : std::nullopt;
}

/// Rows are a batch axis that query, key and value share.
std::optional<Carries> Rules::attention() {
  std::optional<Carries> result = broadcast();
  return result && result->front().axis < getType(op->getResult(0)).getRank() - 2 ? result : std::nullopt;
}

std::optional<Carries> Rules::reduce(ArrayRef<int64_t> axes, bool keepDims) {
  if (!isOnly(0) || llvm::is_contained(axes, operands[0].axis))
    return std::nullopt;
  int64_t dropped = llvm::count_if(axes, [&](int64_t axis) { return axis < operands[0].axis; });
  return moved(operands[0], operands[0].axis - (keepDims ? 0 : dropped));
}

/// Row-major order is kept, so the rows lie where as many elements come before them.
std::optional<Carries> Rules::reshape() {
  if (operands[0].numbers == RowNumbers::First)
    return std::nullopt;
  SmallVector<AffineExpr> from = nn::getExtents(getType(op->getOperand(0))),
                          to = nn::getExtents(getType(op->getResult(0)));
  if (llvm::is_contained(from, AffineExpr()) || llvm::is_contained(to, AffineExpr()) || to.empty())
    return std::nullopt;
  AffineExpr before = getElementsBefore(from, operands[0].axis) * operands[0].outer;
  std::optional<Carry> found;
  for (int64_t axis = 0; axis < static_cast<int64_t>(to.size()); ++axis) {
    AffineExpr outer = divide(before, getElementsBefore(to, axis));
    AffineExpr inner = outer ? divide(to[axis], outer * batch) : AffineExpr();
    // A batch of one row fits in several places; one where it begins an axis is as it was.
    if (inner && (!found || (nn::getConstant(outer) == 1 && nn::getConstant(found->outer) != 1)))
      found = Carry{axis, outer, inner, operands[0].numbers};
  }
  return found ? all(*found) : std::nullopt;
}

/// What has no rows yet gets them where it is stretched over the batch.
std::optional<Carries> Rules::broadcastTo() {
  RankedTensorType from = getType(op->getOperand(0)), to = getType(op->getResult(0));
  int64_t shift = to.getRank() - from.getRank();
  if (operands[0].hasRows())
    return operands[0].numbers == RowNumbers::First ? std::nullopt : moved(operands[0], operands[0].axis + shift);
  for (auto [axis, extent] : llvm::enumerate(nn::getExtents(to))) {
    if (extent != batch || isa<AffineConstantExpr>(batch))
      continue;
    int64_t old = static_cast<int64_t>(axis) - shift;
    if (old >= 0 && nn::getConstant(nn::getExtent(from, old)) != 1)
      return std::nullopt;
    AffineExpr one = getAffineConstantExpr(1, batch.getContext());
    return all(Carry{static_cast<int64_t>(axis), one, one, operands[0].numbers});
  }
  return std::nullopt;
}

/// All rows must be taken, in order.
std::optional<Carries> Rules::slice(nn::SliceOp slice) {
  int64_t axis = operands[0].axis;
  bool isWhole = nn::getConstant(slice.getStarts().getExprs()[axis]) == 0 && slice.getSteps()[axis] == 1 &&
                 nn::getExtent(getType(slice.getInput()), axis) == nn::getExtent(getType(slice.getResult()), axis);
  return isOnly(0) && isWhole ? all(operands[0]) : std::nullopt;
}

/// All inputs have rows on the same axis, and are joined along another one. Row numbers may come first along the last
/// axis.
std::optional<Carries> Rules::concat(int64_t axis) {
  if (hasNumbers()) {
    bool isLast = axis == getType(op->getResult(0)).getRank() - 1;
    if (!isLast || operands[0].numbers != RowNumbers::All || operands[0].axis == axis)
      return std::nullopt;
    for (const Carry &carry : operands.drop_front())
      if (carry.numbers != RowNumbers::None || carry.axis != operands[0].axis || carry.outer != operands[0].outer ||
          carry.inner != operands[0].inner)
        return std::nullopt;
    Carry result = operands[0];
    result.numbers = RowNumbers::First;
    return all(result);
  }
  std::optional<Carry> result;
  for (const Carry &carry : operands)
    if (carry.hasRows())
      result = carry;
  bool isOneRow = nn::getConstant(batch) == 1;
  for (const Carry &carry : operands)
    if (carry.hasRows() ? !(carry == *result) : !isOneRow)
      return std::nullopt;
  return result->axis == axis ? std::nullopt : all(*result);
}

std::optional<Carries> Rules::pad(nn::PadOp pad) {
  int64_t axis = operands[0].axis;
  bool isPadded = !isOnly(0) || nn::getConstant(pad.getLow().getExprs()[axis]) != 0 ||
                  nn::getConstant(pad.getHigh().getExprs()[axis]) != 0;
  return isPadded ? std::nullopt : all(operands[0]);
}

/// Rows of the indices take rows of a table; rows of the data are kept beside the axis that is gathered from.
std::optional<Carries> Rules::gather(nn::GatherOp gather) {
  int64_t axis = gather.getAxis();
  if (isOnly(1))
    return moved(operands[1], operands[1].axis + axis);
  if (!isOnly(0) || operands[0].axis == axis)
    return std::nullopt;
  int64_t numIndexDims = getType(gather.getIndices()).getRank();
  return moved(operands[0], operands[0].axis < axis ? operands[0].axis : operands[0].axis + numIndexDims - 1);
}

/// Batched alike, or each index begins with the number of its own row.
std::optional<Carries> Rules::gatherND(nn::GatherNDOp gather) {
  const Carry &data = operands[0], &indices = operands[1];
  int64_t batchDims = gather.getBatchDims();
  if (indices.numbers == RowNumbers::None)
    return data == indices && data.axis < batchDims ? all(data) : std::nullopt;
  AffineExpr one = getAffineConstantExpr(1, batch.getContext());
  bool isOwnRow = indices.numbers == RowNumbers::First && batchDims == 0 && data == Carry{0, one, one} &&
                  indices.axis < getType(gather.getIndices()).getRank() - 1;
  return isOwnRow ? all(Carry{indices.axis, indices.outer, indices.inner}) : std::nullopt;
}

/// gather_elements and scatter_elements: every operand has rows on the same axis, which is not the one that is indexed.
std::optional<Carries> Rules::elements(int64_t axis) {
  for (const Carry &carry : operands)
    if (!(carry == operands[0]))
      return std::nullopt;
  return operands[0].axis == axis ? std::nullopt : all(operands[0]);
}

std::optional<Carries> Rules::resize(nn::ResizeOp resize) {
  int64_t axis = operands[0].axis;
  bool isKept = nn::getExtent(getType(resize.getInput()), axis) == nn::getExtent(getType(resize.getResult()), axis);
  return isOnly(0) && isKept ? all(operands[0]) : std::nullopt;
}

/// The batch is axis 1 of the sequence and of the states, axis 0 of the lengths.
std::optional<Carries> Rules::recurrent(nn::RecurrentOp recurrent) {
  if (recurrent.getRoundsState()) // over the range of all rows
    return std::nullopt;
  AffineExpr one = getAffineConstantExpr(1, batch.getContext());
  auto hasRowsAt = [&](Value value, int64_t axis) {
    for (auto [operand, carry] : llvm::zip(op->getOperands(), operands))
      if (operand == value)
        return carry == Carry{axis, one, one};
    return false;
  };
  for (Value weight : {recurrent.getWeights(), recurrent.getRecurrence(), recurrent.getBias(), recurrent.getPeephole()})
    for (auto [operand, carry] : llvm::zip(op->getOperands(), operands))
      if (weight && operand == weight && carry.hasRows())
        return std::nullopt;
  // A state that is the same for all rows is stretched over them by a broadcast, which has rows.
  auto isState = [&](Value value) {
    return !value || hasRowsAt(value, 1) || (value.getDefiningOp<nn::ConstantOp>() && nn::getConstant(batch) == 1);
  };
  if (!hasRowsAt(recurrent.getInput(), 1) || !isState(recurrent.getInitialH()) || !isState(recurrent.getInitialC()) ||
      (recurrent.getLengths() && !hasRowsAt(recurrent.getLengths(), 0)))
    return std::nullopt;
  Carries results = {{2, one, one}, {1, one, one}};
  if (recurrent.getLastC())
    results.push_back({1, one, one});
  return results;
}

/// No operand has rows. What is spread over the batch has them; what depends on its extent otherwise does not keep them
/// apart.
std::optional<Carries> Rules::sources() {
  if (auto extents = dyn_cast<nn::ExtentTensorOp>(op)) {
    for (AffineExpr expr : extents.getExprs().getExprs())
      if (auto symbol = dyn_cast<AffineSymbolExpr>(batch); symbol && expr.isFunctionOfSymbol(symbol.getPosition()))
        return std::nullopt;
    return all(Carry());
  }
  if (isa<AffineConstantExpr>(batch) || !mentionsBatch(op->getResult(0).getType(), batch))
    return all(Carry());
  if (isa<nn::BroadcastToOp>(op))
    return broadcastTo();
  auto iota = dyn_cast<nn::IotaOp>(op);
  AffineExpr one = getAffineConstantExpr(1, batch.getContext());
  if (!iota)
    return std::nullopt;
  int64_t counted = iota.getAxis();
  for (auto [i, extent] : llvm::enumerate(nn::getExtents(getType(op->getResult(0))))) {
    int64_t axis = i;
    if (extent != batch)
      continue;
    if (axis != counted)
      return all(Carry{axis, one, one});
    auto start = dyn_cast<IntegerAttr>(iota.getStart()), step = dyn_cast<IntegerAttr>(iota.getStep());
    if (start && step && start.getInt() == 0 && step.getInt() == 1)
      return all(Carry{axis, one, one, RowNumbers::All});
  }
  return std::nullopt;
}

std::optional<Carries> Rules::apply() {
  if (llvm::none_of(operands, [](const Carry &carry) { return carry.hasRows(); }))
    return sources();
  if (hasNumbers() && !isa<nn::ReshapeOp, nn::BroadcastToOp, nn::TransposeOp, nn::ConcatOp, nn::GatherNDOp>(op))
    return std::nullopt;
  return llvm::TypeSwitch<Operation *, std::optional<Carries>>(op)
      .Case<nn::UnaryOp, nn::CastOp, nn::BitcastOp>([&](auto) { return all(operands[0]); })
      .Case<nn::BinaryOp, nn::CompareOp, nn::SelectOp>([&](auto) { return broadcast(); })
      .Case([&](nn::MatmulOp op) { return matmul(op); })
      .Case<nn::AttentionOp>([&](auto) { return attention(); })
      .Case<nn::ConvOp, nn::ConvTransposeOp, nn::PoolOp, nn::BatchNormOp>(
          [&](auto) { return isOnly(0) && operands[0].axis == 0 ? all(operands[0]) : std::nullopt; })
      .Case([&](nn::LayerNormOp op) {
        return isOnly(0) && operands[0].axis < static_cast<int64_t>(op.getAxis()) ? all(operands[0]) : std::nullopt;
      })
      .Case<nn::SoftmaxOp, nn::LogSoftmaxOp, nn::CumSumOp, nn::TopKOp>(
          [&](auto op) { return keepUnless({static_cast<int64_t>(op.getAxis())}); })
      .Case([&](nn::ArgReduceOp op) { return reduce({static_cast<int64_t>(op.getAxis())}, op.getKeepDims()); })
      .Case([&](nn::ReduceOp op) { return reduce(op.getAxes(), op.getKeepDims()); })
      .Case([&](nn::TransposeOp op) -> std::optional<Carries> {
        if (operands[0].numbers == RowNumbers::First)
          return std::nullopt;
        return moved(operands[0], llvm::find(op.getPerm(), operands[0].axis) - op.getPerm().begin());
      })
      .Case<nn::ReshapeOp>([&](auto) { return reshape(); })
      .Case<nn::BroadcastToOp>([&](auto) { return broadcastTo(); })
      .Case([&](nn::SliceOp op) { return slice(op); })
      .Case([&](nn::ConcatOp op) { return concat(op.getAxis()); })
      .Case([&](nn::PadOp op) { return pad(op); })
      .Case([&](nn::GatherOp op) { return gather(op); })
      .Case<nn::GatherElementsOp, nn::ScatterElementsOp>([&](auto op) { return elements(op.getAxis()); })
      .Case([&](nn::GatherNDOp op) { return gatherND(op); })
      .Case([&](nn::ResizeOp op) { return resize(op); })
      .Case([&](nn::RecurrentOp op) { return recurrent(op); })
      .Default([](Operation *) { return std::nullopt; });
}

} // namespace

bool pipe::mentionsBatch(Type type, AffineExpr batch) {
  auto symbol = dyn_cast<AffineSymbolExpr>(batch);
  auto tensor = dyn_cast<RankedTensorType>(type);
  return symbol && tensor && llvm::any_of(nn::getExtents(tensor), [&](AffineExpr extent) {
           return extent && extent.isFunctionOfSymbol(symbol.getPosition());
         });
}

std::optional<SmallVector<Carry>> pipe::applyBatchRule(Operation *op, ArrayRef<Carry> operands, AffineExpr batch) {
  return Rules(op, operands, batch).apply();
}
