//===- KernelNames.cpp - Kernels by the ONNX names in them -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "KernelNames.h"

#include "StageGraph.h"

#include "penstock/Dialect/NN/Transforms/Passes.h"

using namespace mlir;
using namespace penstock;
using namespace penstock::pipe;

/// Names that an op's location holds: of its ONNX node, or of several that were fused.
static void collectNames(Location loc, SmallVectorImpl<StringRef> &names) {
  if (auto name = dyn_cast<NameLoc>(loc)) {
    names.push_back(name.getName().strref());
    collectNames(name.getChildLoc(), names);
  } else if (auto fused = dyn_cast<FusedLoc>(loc)) {
    for (Location part : fused.getLocations())
      collectNames(part, names);
  }
}

/// The first kernel with a name keeps it, but one that ends in the name takes it from one that has it inside.
void KernelNames::add(StringRef name, NamedKernel kernel) {
  auto [entry, isNew] = kernels.try_emplace(name, kernel);
  if (!isNew && entry->second.isInside && !kernel.isInside)
    entry->second = kernel;
}

KernelNames::KernelNames(func::FuncOp entry) : entry(entry) {
  for (nn::KernelOp kernel : getKernels(entry)) {
    auto yield = kernel.getBody().front().getTerminator();
    for (Operation &op : kernel.getBody().front()) {
      bool isInside = !llvm::is_contained(yield->getOperands(), op.getNumResults() ? op.getResult(0) : Value());
      if (auto tensor = op.getAttrOfType<StringAttr>(nn::kTensorAttr))
        add(tensor, {kernel, isInside});
      SmallVector<StringRef> names;
      collectNames(op.getLoc(), names);
      for (StringRef name : names)
        add(name, {kernel, isInside && &op != yield});
    }
    if (auto tensors = kernel->getAttrOfType<ArrayAttr>(nn::kTensorsAttr))
      for (auto tensor : tensors.getAsRange<StringAttr>())
        add(tensor, {kernel, true});
    add(kernel.getName(), {kernel, false});
  }
}

FailureOr<NamedKernel> KernelNames::find(StringRef name) {
  auto found = kernels.find(name);
  if (found != kernels.end())
    return found->second;
  for (unsigned i = 0; i < entry.getNumArguments(); ++i)
    if (getInputName(entry, i) == name)
      return entry.emitError() << "cut '" << name << "' is an input of the model; expected a tensor that a node makes";
  StringRef closest;
  unsigned least = std::max<size_t>(2, name.size() / 3) + 1;
  for (const auto &candidate : kernels) {
    unsigned distance = name.edit_distance(candidate.first(), /*AllowReplacements=*/true, /*MaxEditDistance=*/least);
    if (distance < least || (distance == least && !closest.empty() && candidate.first() < closest)) {
      least = distance;
      closest = candidate.first();
    }
  }
  InFlightDiagnostic error = entry.emitError()
                             << "cut '" << name << "' names no tensor or node of the model that is left after folding";
  if (!closest.empty())
    error << "; did you mean '" << closest << "'?";
  return error;
}

std::optional<int64_t> pipe::getOnnxStage(nn::KernelOp kernel) {
  std::optional<int64_t> result;
  auto take = [&](Operation *op) {
    if (auto stage = op->getAttrOfType<IntegerAttr>(nn::kOnnxStageAttr))
      result = std::max(result.value_or(stage.getInt()), stage.getInt());
  };
  take(kernel);
  kernel.getBody().walk(take);
  return result;
}
