//===- CublasLt.cpp - cuBLASLt of this machine -------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "CublasLt.h"

#include "../CudaDriver.h"

#include <algorithm>
#include <cstring>
#include <dlfcn.h>

namespace penstock {
namespace rt {
namespace cuda {

using namespace blas;

static constexpr const char *kWhatToInstall = "install cuBLAS 13";

static const char *findCalls(void *library, Calls &calls) {
#define PENSTOCK_CUBLASLT_CALL(member, symbol, ...)                                                                    \
  calls.member = reinterpret_cast<Pointer<__VA_ARGS__>>(dlsym(library, #symbol));                                      \
  if (!calls.member)                                                                                                   \
    return #symbol;
#include "CublasLtCalls.def"
#undef PENSTOCK_CUBLASLT_CALL
  return nullptr;
}

std::unique_ptr<CublasLt> CublasLt::open(std::string &error) {
  void *library = dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    error = text("no cuBLASLt: %s; %s", dlerror(), kWhatToInstall);
    return nullptr;
  }
  std::unique_ptr<CublasLt> opened(new CublasLt);
  if (const char *missing = findCalls(library, opened->calls)) {
    error = text("%s has no '%s'; %s", kLibrary, missing, kWhatToInstall);
    return nullptr;
  }
  if (size_t version = opened->calls.version(); version < kLeastVersion) {
    error = text("%s has version %zu, expected %zu or newer; %s", kLibrary, version, kLeastVersion, kWhatToInstall);
    return nullptr;
  }
  if (Outcome outcome = opened->calls.create(&opened->handle)) {
    error = text("%s does not start: %s", kLibrary, opened->wordsOf(outcome));
    return nullptr;
  }
  return opened;
}

CublasLt::~CublasLt() {
  if (handle)
    (void)calls.destroy(handle);
}

static ProductChoice toChoice(const Algorithm &algorithm) {
  ProductChoice choice;
  static_assert(sizeof(choice.words) == sizeof(Algorithm), "a choice is an algorithm");
  std::memcpy(choice.words, &algorithm, sizeof(choice.words));
  choice.isKnown = true;
  return choice;
}

Outcome CublasLt::make(const ProductProblem &problem, ProductChoice &choice, std::unique_ptr<ProductPlan> &plan) const {
  auto made = std::make_unique<ProductPlan>(calls);
  Outcome outcome = made->describe(problem);
  if (outcome == blas::kSuccess && !made->accepts(problem, choice, handle)) {
    std::vector<Heuristic> found(1);
    outcome = made->choose(problem, handle, found);
    choice = ProductChoice();
    if (outcome == blas::kSuccess) {
      made->chosen = found.front();
      choice = toChoice(made->chosen.algorithm);
    }
  }
  if (outcome == blas::kSuccess)
    plan = std::move(made);
  return outcome;
}

Outcome CublasLt::list(const ProductProblem &problem, size_t room, std::vector<ProductChoice> &choices) const {
  ProductPlan plan(calls);
  std::vector<Heuristic> found(room);
  Outcome outcome = plan.describe(problem);
  if (outcome == blas::kSuccess)
    outcome = plan.choose(problem, handle, found);
  if (outcome == blas::kSuccess)
    for (const Heuristic &one : found)
      if (one.state == blas::kSuccess)
        choices.push_back(toChoice(one.algorithm));
  return outcome;
}

Outcome CublasLt::run(const ProductPlan &plan, const ProductBuffers &buffers, Stream stream) const {
  if (plan.hasBias)
    if (Outcome outcome = calls.setProduct(plan.product, kBiasPointer, &buffers.bias, sizeof(buffers.bias)))
      return outcome;
  float beta = plan.hasResidual ? 1 : 0;
  const void *addend = plan.hasResidual ? buffers.residual : buffers.result;
  return calls.multiply(handle, plan.product, &buffers.alpha, buffers.rhs, plan.left, buffers.lhs, plan.right, &beta,
                        addend, plan.result, buffers.result, plan.result, &plan.chosen.algorithm, buffers.workspace,
                        plan.chosen.workspaceBytes, stream);
}

ProductPlan::~ProductPlan() {
  for (Layout layout : {left, right, result})
    if (layout)
      (void)calls.dropLayout(layout);
  if (product)
    (void)calls.dropProduct(product);
}

static DataType toFactorType(ProductType type) {
  if (type == ProductType::kF32)
    return kFloat32;
  return type == ProductType::kF16 || type == ProductType::kF16ToF32 ? kFloat16 : kBFloat16;
}
static DataType toResultType(ProductType type) {
  return type == ProductType::kF16 || type == ProductType::kBF16 ? toFactorType(type) : kFloat32;
}

static uint32_t toEpilogue(const ProductProblem &problem) {
  uint32_t bits = problem.hasBias ? kBias : 0;
  if (problem.activation == ProductActivation::kRelu)
    bits |= kRelu;
  if (problem.activation == ProductActivation::kGeluTanh)
    bits |= kGelu;
  return bits ? bits : uint32_t(kNoEpilogue);
}

Outcome ProductPlan::describe(const ProductProblem &problem) {
  hasBias = problem.hasBias, hasResidual = problem.hasResidual;
  Order first = problem.transposesRhs ? blas::kTransposed : kAsItIs;
  Order second = problem.transposesLhs ? blas::kTransposed : kAsItIs;
  uint32_t epilogue = toEpilogue(problem);
  // Only its alignment matters here, and it must be the same wherever the bias lies.
  uint64_t bias = uint64_t(problem.alignment);
  Outcome outcome = calls.makeProduct(&product, problem.allowsTf32 ? kComputeTf32 : kComputeFloat32, kFloat32);
  auto set = [&](ProductAttribute attribute, const auto &value) {
    if (outcome == blas::kSuccess)
      outcome = calls.setProduct(product, attribute, &value, sizeof(value));
  };
  set(kTransposeA, first);
  set(kTransposeB, second);
  set(kEpilogue, epilogue);
  if (hasBias)
    set(kBiasPointer, bias);
  return outcome == blas::kSuccess ? describeLayouts(problem) : outcome;
}

/// `rows` matrices' rows of `columns` elements: to the library, as many columns of so many rows.
static Outcome makeLayout(const Calls &calls, Layout &layout, DataType type, int64_t rows, int64_t columns,
                          int64_t batch, int64_t stride) {
  int32_t count = int32_t(batch);
  Outcome outcome = calls.makeLayout(&layout, type, uint64_t(columns), uint64_t(rows), columns);
  if (outcome == blas::kSuccess && batch > 1)
    outcome = calls.setLayout(layout, kBatchCount, &count, sizeof(count));
  if (outcome == blas::kSuccess && batch > 1)
    outcome = calls.setLayout(layout, kBatchStride, &stride, sizeof(stride));
  return outcome;
}

Outcome ProductPlan::describeLayouts(const ProductProblem &problem) {
  if (problem.batch > INT32_MAX)
    return kNotSupported;
  DataType type = toFactorType(problem.type);
  int64_t rows = problem.rows, inner = problem.inner, columns = problem.columns, batch = problem.batch;
  int64_t leftRows = problem.transposesRhs ? columns : inner, leftColumns = problem.transposesRhs ? inner : columns;
  int64_t rightRows = problem.transposesLhs ? inner : rows, rightColumns = problem.transposesLhs ? rows : inner;
  Outcome outcome =
      makeLayout(calls, left, type, leftRows, leftColumns, batch, problem.repeatsRhs ? 0 : leftRows * leftColumns);
  if (outcome == blas::kSuccess)
    outcome = makeLayout(calls, right, type, rightRows, rightColumns, batch,
                         problem.repeatsLhs ? 0 : rightRows * rightColumns);
  if (outcome == blas::kSuccess)
    outcome = makeLayout(calls, result, toResultType(problem.type), rows, columns, batch, rows * columns);
  return outcome;
}

/// An algorithm of an earlier start, which may have been with another library, or not be one at all.
bool ProductPlan::accepts(const ProductProblem &problem, const ProductChoice &choice, Handle handle) {
  if (!choice.isKnown)
    return false;
  Algorithm algorithm;
  std::memcpy(&algorithm, choice.words, sizeof(algorithm));
  Outcome outcome = calls.check(handle, product, left, right, result, result, &algorithm, &chosen);
  if (outcome != blas::kSuccess || chosen.state != blas::kSuccess ||
      int64_t(chosen.workspaceBytes) > problem.workspaceBytes)
    return false;
  chosen.algorithm = algorithm;
  return true;
}

/// The heuristic's choices, as many as there is room for, the best first. At least one, or kNotSupported.
Outcome ProductPlan::choose(const ProductProblem &problem, Handle handle, std::vector<Heuristic> &found) const {
  Preference preference = nullptr;
  Outcome outcome = calls.makePreference(&preference);
  if (outcome != blas::kSuccess)
    return outcome;
  auto set = [&](PreferenceAttribute attribute, const auto &value) {
    if (outcome == blas::kSuccess)
      outcome = calls.setPreference(preference, attribute, &value, sizeof(value));
  };
  set(kWorkspaceBytes, uint64_t(problem.workspaceBytes));
  set(kReductionSchemes, kReduceComputeType);
  for (PreferenceAttribute attribute : {kAlignmentA, kAlignmentB, kAlignmentC, kAlignmentD})
    set(attribute, uint32_t(problem.alignment));
  int count = 0;
  if (outcome == blas::kSuccess)
    outcome =
        calls.choose(handle, product, left, right, result, result, preference, int(found.size()), found.data(), &count);
  (void)calls.dropPreference(preference);
  found.resize(size_t(count));
  if (outcome == blas::kSuccess && (found.empty() || found.front().state != blas::kSuccess))
    outcome = kNotSupported;
  return outcome;
}

} // namespace cuda
} // namespace rt
} // namespace penstock
