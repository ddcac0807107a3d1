//===- Training.cpp - Steps of optimizers -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "../NodeContext.h"
#include "Families.h"
#include "penstock/Import/Onnx/OperatorRegistry.h"

namespace penstock::onnximport {
namespace {

using nn::BinaryKind;
using nn::CompareKind;
using nn::UnaryKind;

/// One optimized tensor: itself, its gradient, then what the optimizer keeps about it; all of one element type.
class Step {
public:
  Step(NodeContext &n, SmallVector<Value> tensors, Value rate, Value count)
      : n(n), tensors(std::move(tensors)), type(n.elementOf(this->tensors[0])), rate(n.cast_(rate, type)),
        count(count) {}

  Value number(double value) { return n.scalar(value, type); }
  Value scale(Value value, double factor) { return n.mul(value, number(factor)); }
  Value root(Value value) { return n.unary(UnaryKind::sqrt, value); }
  Value isLater() { return n.compare(CompareKind::gt, count, n.scalar(0, n.elementOf(count))); }
  /// With the gradient of the penalty on large elements.
  Value gradient() {
    double norm = n.getFloat("norm_coefficient", 0);
    return norm == 0 ? tensors[1] : n.add(scale(tensors[0], norm), tensors[1]);
  }

  NodeContext &n;
  SmallVector<Value> tensors;
  Type type;
  Value rate, count;
};

using StepFunction = SmallVector<Value> (*)(Step &);

SmallVector<Value> makeAdagrad(Step &s) {
  NodeContext &n = s.n;
  Value decay = n.add(s.number(1), s.scale(n.cast_(s.count, s.type), n.getFloat("decay_factor", 0)));
  Value rate = n.div(s.rate, decay), gradient = s.gradient();
  Value squares = n.add(s.tensors[2], n.mul(gradient, gradient));
  Value divisor = n.add(s.root(squares), s.number(n.getFloat("epsilon", 1e-6f)));
  return {n.sub(s.tensors[0], n.div(n.mul(rate, gradient), divisor)), squares};
}

SmallVector<Value> makeAdam(Step &s) {
  NodeContext &n = s.n;
  double alpha = n.getFloat("alpha", 0.9f), beta = n.getFloat("beta", 0.999f);
  Value gradient = s.gradient();
  Value mean = n.add(s.scale(s.tensors[2], alpha), s.scale(gradient, 1 - alpha));
  Value squares = n.add(s.scale(s.tensors[3], beta), s.scale(n.mul(gradient, gradient), 1 - beta));
  // The first steps are too small by what the averages have not seen yet; in f64, where 1 - beta^T keeps its digits.
  Type f64 = n.builder().getF64Type();
  auto missing = [&](double base) {
    Value one = n.scalar(1, f64);
    return n.sub(one, n.binary(BinaryKind::pow, n.scalar(base, f64), n.cast_(s.count, f64)));
  };
  Value correction = n.cast_(n.div(s.root(missing(beta)), missing(alpha)), s.type);
  Value rate = n.mul(s.rate, n.select(s.isLater(), correction, s.number(1)));
  Value divisor = n.add(s.root(squares), s.number(n.getFloat("epsilon", 1e-6f)));
  Value moved = n.sub(s.tensors[0], n.mul(rate, n.div(mean, divisor)));
  return {s.scale(moved, 1 - n.getFloat("norm_coefficient_post", 0)), mean, squares};
}

SmallVector<Value> makeMomentum(Step &s) {
  NodeContext &n = s.n;
  double alpha = n.getFloat("alpha", 0), beta = n.getFloat("beta", 0);
  Value gradient = s.gradient();
  Value share = n.mul(n.select(s.isLater(), s.number(beta), s.number(1)), gradient);
  Value momentum = n.add(s.scale(s.tensors[2], alpha), share);
  bool isNesterov = n.getString("mode", "standard") == "nesterov";
  Value direction = isNesterov ? n.add(gradient, s.scale(momentum, alpha)) : momentum;
  return {n.sub(s.tensors[0], n.mul(s.rate, direction)), momentum};
}

/// Inputs are the rate, the number of steps so far, then `numPerTensor` lists of equal length; outputs the same lists
/// without the gradients.
Converter optimizer(StepFunction make, int numPerTensor) {
  return [=](NodeContext &n) -> LogicalResult {
    std::string mode = n.getString("mode", "standard");
    if (mode != "standard" && mode != "nesterov")
      return n.emitError() << "mode is '" << mode << "'; expected standard or nesterov";
    Value rate = n.getInput(0), count = n.getInput(1);
    int numTensors = (n.getNumInputs() - 2) / numPerTensor;
    if (!rate || !count)
      return failure();
    if (numTensors < 1 || n.getNumInputs() != 2 + numTensors * numPerTensor)
      return n.emitError() << "has " << n.getNumInputs() << " inputs; expected 2 and " << numPerTensor
                           << " for each tensor";
    for (int i = 0; i < numTensors; ++i) {
      SmallVector<Value> tensors;
      for (int k = 0; k < numPerTensor; ++k)
        tensors.push_back(n.getInput(2 + k * numTensors + i));
      if (llvm::is_contained(tensors, Value()))
        return failure();
      Step step(n, tensors, rate, count);
      for (auto [k, result] : llvm::enumerate(make(step)))
        if (failed(n.setOutput(static_cast<int>(k) * numTensors + i, result)))
          return failure();
    }
    return success();
  };
}

} // namespace

void registerTrainingOperators(OperatorRegistry &r) {
  constexpr StringLiteral kDomain = "ai.onnx.preview.training";
  r.add(kDomain, "Adagrad", 1, optimizer(makeAdagrad, 3));
  r.add(kDomain, "Adam", 1, optimizer(makeAdam, 4));
  r.add(kDomain, "Momentum", 1, optimizer(makeMomentum, 3));
}

} // namespace penstock::onnximport
