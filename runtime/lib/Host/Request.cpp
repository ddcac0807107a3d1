//===- Request.cpp - From named tensors to messages and back -----*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "Request.h"

#include <algorithm>
#include <cstring>

namespace penstock {
namespace rt {

static std::string listNames(const std::vector<PlanTensor> &tensors) {
  std::string text;
  for (const PlanTensor &tensor : tensors)
    text += (text.empty() ? "'" : ", '") + tensor.name + "'";
  return text.empty() ? "none" : text;
}

static std::string shapeWords(const PlanTensor &tensor, const std::vector<std::string> &names) {
  std::string text;
  for (const Expr &dim : tensor.dims)
    text += (text.empty() ? "" : "x") + dim.toString(names);
  return text.empty() ? "scalar" : text;
}

Status BoundRequest::bind(const Plan &plan, const TensorViewMap &given, BoundRequest &request) {
  request = BoundRequest();
  request.plan = &plan;
  if (Status status = request.matchInputs(given); !status.ok())
    return status;
  if (Status status = request.bindSymbols(); !status.ok())
    return status;
  if (Status status = request.checkBounds(); !status.ok())
    return status;
  return request.cut();
}

Status BoundRequest::matchInputs(const TensorViewMap &given) {
  for (const auto &entry : given) {
    bool known = std::any_of(plan->inputs.begin(), plan->inputs.end(),
                             [&](const PlanTensor &input) { return input.name == entry.first; });
    if (!known)
      return fail(Code::kInvalid, "the model has no input '%s'; expected %s", entry.first.c_str(),
                  listNames(plan->inputs).c_str());
  }
  for (const PlanTensor &input : plan->inputs) {
    auto found = given.find(input.name);
    if (found == given.end())
      return fail(Code::kInvalid, "input '%s' is missing; expected %s", input.name.c_str(),
                  listNames(plan->inputs).c_str());
    const TensorView &view = found->second;
    if (view.dtype != input.dtype) {
      const char *name = dtypeName(view.dtype);
      return fail(Code::kInvalid, "input '%s' has type %s, expected %s", input.name.c_str(), name ? name : "unknown",
                  dtypeName(input.dtype));
    }
    int64_t numBytes;
    if (!tensorBytes(view.dtype, view.dims.data(), view.dims.size(), numBytes) || numBytes != view.numBytes)
      return fail(Code::kInvalid, "input '%s' has %lld bytes, expected those of shape %s", input.name.c_str(),
                  (long long)view.numBytes, dimsToString(view.dims).c_str());
    if (view.dims.size() != input.dims.size())
      return fail(Code::kInvalid, "input '%s' has shape %s, expected %s", input.name.c_str(),
                  dimsToString(view.dims).c_str(), shapeWords(input, plan->symbolNames()).c_str());
    inputs.push_back(view);
  }
  return Status();
}

/// Compares one extent with the plan, or takes a symbol's value from it. The static batch axis is compared in
/// cutStatic().
Status BoundRequest::bindDim(size_t index, size_t axis, std::vector<bool> &bound) {
  const PlanTensor &input = plan->inputs[index];
  const Expr &dim = input.dims[axis];
  int64_t extent = inputs[index].dims[axis];
  if (dim.isSymbol() && !bound[size_t(dim.value)]) {
    bound[size_t(dim.value)] = true;
    symbols[size_t(dim.value)] = extent;
    return Status();
  }
  bool cutHere = int32_t(axis) == input.batchAxis && plan->microbatchRows > 0 && plan->batchSymbol < 0;
  if (!dim.isNumber() && !dim.isSymbol())
    return Status();
  int64_t expected = dim.isNumber() ? dim.value : symbols[size_t(dim.value)];
  if (extent == expected || cutHere)
    return Status();
  if (dim.isSymbol())
    return fail(Code::kInvalid,
                "input '%s' has shape %s: dimension %zu is %lld, expected '%s' = %lld as in the inputs "
                "before it",
                input.name.c_str(), dimsToString(inputs[index].dims).c_str(), axis, (long long)extent,
                plan->symbols[size_t(dim.value)].name.c_str(), (long long)expected);
  return fail(Code::kInvalid, "input '%s' has shape %s, expected %s", input.name.c_str(),
              dimsToString(inputs[index].dims).c_str(), shapeWords(input, plan->symbolNames()).c_str());
}

Status BoundRequest::bindSymbols() {
  symbols.assign(plan->symbols.size(), -1); // and what kernels find stays so
  std::vector<bool> bound(symbols.size(), false);
  for (size_t i = 0; i < inputs.size(); ++i)
    for (size_t axis = 0; axis < inputs[i].dims.size(); ++axis)
      if (Status status = bindDim(i, axis, bound); !status.ok())
        return status;
  // Extents that are computed can be checked only now that all symbols have values.
  for (size_t i = 0; i < inputs.size(); ++i) {
    for (size_t axis = 0; axis < inputs[i].dims.size(); ++axis) {
      const Expr &dim = plan->inputs[i].dims[axis];
      int64_t expected = 0;
      if (dim.isNumber() || dim.isSymbol())
        continue;
      if (!dim.evaluate(symbols, expected) || expected != inputs[i].dims[axis])
        return fail(Code::kInvalid, "input '%s' has shape %s: dimension %zu is %lld, expected %s = %lld",
                    plan->inputs[i].name.c_str(), dimsToString(inputs[i].dims).c_str(), axis,
                    (long long)inputs[i].dims[axis], dim.toString(plan->symbolNames()).c_str(), (long long)expected);
    }
  }
  return Status();
}

Status BoundRequest::checkBounds() const {
  for (size_t i = 0; i < symbols.size(); ++i) {
    const PlanSymbol &symbol = plan->symbols[i];
    if (symbol.isData)
      continue;
    // The batch is bounded by what a microbatch holds; a request may have any number of microbatches.
    int64_t value = int32_t(i) == plan->batchSymbol ? std::min(symbols[i], plan->microbatchRows) : symbols[i];
    if (value >= symbol.lower && (symbol.upper < 0 || value <= symbol.upper))
      continue;
    std::string upper = symbol.upper < 0 ? "" : std::to_string(symbol.upper);
    return fail(Code::kInvalid, "dimension '%s' is %lld, expected %lld..%s as the folder was compiled for",
                symbol.name.c_str(), (long long)symbols[i], (long long)symbol.lower, upper.c_str());
  }
  for (const PlanConstraint &constraint : plan->constraints) {
    int64_t left = 0, right = 0;
    bool known = constraint.left.evaluate(symbols, left) && constraint.right.evaluate(symbols, right);
    bool isEqual = constraint.relation == PlanConstraint::kEqual;
    if (known && (isEqual ? left == right : left <= right))
      continue;
    std::vector<std::string> names = plan->symbolNames();
    return fail(Code::kInvalid, "the inputs' shapes do not fit each other: %s is %lld, expected %s%s = %lld%s%s",
                constraint.left.toString(names).c_str(), (long long)left, isEqual ? "" : "at most ",
                constraint.right.toString(names).c_str(), (long long)right, constraint.what.empty() ? "" : " for ",
                constraint.what.c_str());
  }
  return Status();
}

Status BoundRequest::cut() {
  partRows.assign(inputs.size(), -1);
  if (plan->microbatchRows <= 0)
    return Status();
  return plan->batchSymbol < 0 ? cutStatic() : cutSymbolic();
}

Status BoundRequest::cutStatic() {
  int64_t parts = -1;
  const PlanTensor *first = nullptr;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const PlanTensor &input = plan->inputs[i];
    if (input.batchAxis < 0)
      continue;
    int64_t rows = input.dims[size_t(input.batchAxis)].value, extent = inputs[i].dims[size_t(input.batchAxis)];
    if (rows <= 0 || extent <= 0 || extent % rows != 0)
      return fail(Code::kInvalid, "input '%s' has shape %s, expected %s or a multiple of it in dimension %d",
                  input.name.c_str(), dimsToString(inputs[i].dims).c_str(),
                  shapeWords(input, plan->symbolNames()).c_str(), input.batchAxis);
    if (parts >= 0 && extent / rows != parts)
      return fail(Code::kInvalid, "input '%s' is %lld microbatches, expected %lld as '%s'", input.name.c_str(),
                  (long long)(extent / rows), (long long)parts, first->name.c_str());
    parts = extent / rows;
    first = &input;
    partRows[i] = rows;
  }
  count = std::max<int64_t>(parts, 1);
  return Status();
}

Status BoundRequest::cutSymbolic() {
  int64_t batch = symbols[size_t(plan->batchSymbol)];
  if (batch <= plan->microbatchRows)
    return Status();
  count = (batch - 1) / plan->microbatchRows + 1;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const PlanTensor &input = plan->inputs[i];
    if (input.batchAxis < 0)
      continue;
    int64_t extent = inputs[i].dims[size_t(input.batchAxis)];
    if (extent % batch != 0)
      return fail(Code::kInvalid, "input '%s' has shape %s: dimension %d is expected to be a multiple of '%s' = %lld",
                  input.name.c_str(), dimsToString(inputs[i].dims).c_str(), input.batchAxis,
                  plan->symbols[size_t(plan->batchSymbol)].name.c_str(), (long long)batch);
    partRows[i] = extent / batch * plan->microbatchRows;
  }
  return Status();
}

void BoundRequest::symbolsOf(int64_t microbatch, std::vector<int64_t> &values) const {
  values = symbols;
  if (plan->batchSymbol < 0 || count <= 1)
    return;
  int64_t batch = symbols[size_t(plan->batchSymbol)];
  values[size_t(plan->batchSymbol)] = std::min(plan->microbatchRows, batch - microbatch * plan->microbatchRows);
}

int64_t BoundRequest::beginOf(size_t index, int64_t microbatch) const { return partRows[index] * microbatch; }

void BoundRequest::inputDims(size_t index, int64_t microbatch, std::vector<int64_t> &dims) const {
  dims = inputs[index].dims;
  if (partRows[index] < 0)
    return;
  int64_t &extent = dims[size_t(plan->inputs[index].batchAxis)];
  extent = std::min(partRows[index], extent - beginOf(index, microbatch));
}

void BoundRequest::copyInput(size_t index, int64_t microbatch, void *to) const {
  const TensorView &whole = inputs[index];
  if (whole.numBytes == 0)
    return;
  if (partRows[index] < 0) {
    std::memcpy(to, whole.data, size_t(whole.numBytes));
    return;
  }
  auto axis = static_cast<size_t>(plan->inputs[index].batchAxis);
  int64_t outer = 1, inner = dtypeBytes(whole.dtype), extent = whole.dims[axis];
  for (size_t i = 0; i < axis; ++i)
    outer *= whole.dims[i];
  for (size_t i = axis + 1; i < whole.dims.size(); ++i)
    inner *= whole.dims[i];
  int64_t begin = beginOf(index, microbatch), rows = std::min(partRows[index], extent - begin);
  for (int64_t i = 0; i < outer; ++i)
    std::memcpy(static_cast<char *>(to) + i * rows * inner,
                static_cast<const char *>(whole.data) + (i * extent + begin) * inner, size_t(rows * inner));
}

Status OutputAssembler::add(size_t index, const TensorView &part) {
  // What does not carry the batch is the same in every part.
  if (plan.outputs[index].batchAxis < 0 && !parts[index].empty())
    return Status();
  Tensor piece;
  if (Status status = pool.make(part.dtype, part.dims, piece); !status.ok())
    return status;
  if (piece.numBytes != part.numBytes)
    return fail(Code::kMismatch, "output '%s' came with %lld bytes, expected %lld for shape %s",
                plan.outputs[index].name.c_str(), (long long)part.numBytes, (long long)piece.numBytes,
                dimsToString(part.dims).c_str());
  if (part.numBytes)
    std::memcpy(piece.data.get(), part.data, size_t(part.numBytes));
  parts[index].push_back(std::move(piece));
  return Status();
}

Status OutputAssembler::join(const PlanTensor &output, std::vector<Tensor> &pieces, Tensor &whole) const {
  auto axis = static_cast<size_t>(output.batchAxis);
  std::vector<int64_t> dims = pieces[0].dims;
  int64_t outer = 1, inner = dtypeBytes(pieces[0].dtype);
  for (size_t i = 0; i < dims.size(); ++i)
    (i < axis ? outer : inner) *= i == axis ? 1 : dims[i];
  for (size_t p = 1; p < pieces.size(); ++p) {
    std::vector<int64_t> other = pieces[p].dims;
    dims[axis] += other[axis];
    other[axis] = pieces[0].dims[axis];
    if (other != pieces[0].dims)
      return fail(Code::kMismatch, "output '%s' has shape %s in microbatch %zu and %s in the first one",
                  output.name.c_str(), dimsToString(pieces[p].dims).c_str(), p, dimsToString(pieces[0].dims).c_str());
  }
  if (Status status = pool.make(pieces[0].dtype, dims, whole); !status.ok())
    return status;
  int64_t begin = 0;
  for (const Tensor &piece : pieces) {
    int64_t rowBytes = piece.dims[axis] * inner;
    for (int64_t i = 0; i < outer && rowBytes; ++i)
      std::memcpy(whole.data.get() + i * dims[axis] * inner + begin, piece.data.get() + i * rowBytes, size_t(rowBytes));
    begin += rowBytes;
  }
  return Status();
}

Status OutputAssembler::finish(int64_t numMicrobatches, TensorMap &outputs) {
  outputs.clear();
  for (size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].empty())
      continue;
    const PlanTensor &output = plan.outputs[i];
    Tensor &result = outputs[output.name];
    if (parts[i].size() == 1) {
      result = std::move(parts[i][0]);
      continue;
    }
    if (int64_t(parts[i].size()) != numMicrobatches)
      return fail(Code::kMismatch, "output '%s' came in %zu parts, expected %lld", output.name.c_str(), parts[i].size(),
                  (long long)numMicrobatches);
    if (Status status = join(output, parts[i], result); !status.ok())
      return status;
  }
  return Status();
}

} // namespace rt
} // namespace penstock
