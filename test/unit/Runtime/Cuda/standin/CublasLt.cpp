//===- CublasLt.cpp - libcublasLt.so.13 of the machine that is not there -===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A product is work on a stream, done in double precision, element by element. An algorithm remembers what it was
// chosen for: with other descriptors, less scratch memory, or buffers that are not aligned as was promised, it is a
// fault.
//
//===----------------------------------------------------------------------===//
#include "CublasLtApi.h"
#include "Numbers.h"
#include "Standin.h"

#include <array>
#include <map>
#include <set>
#include <utility>

using namespace standin;
using namespace penstock::rt::cuda::blas;

template <typename Type> using Declared = Type;
using penstock::rt::cuda::Stream;

#pragma GCC visibility push(default)
extern "C" {
#define PENSTOCK_CUBLASLT_CALL(member, symbol, ...) Declared<__VA_ARGS__> symbol;
#include "CublasLtCalls.def"
#undef PENSTOCK_CUBLASLT_CALL
}
#pragma GCC visibility pop

namespace {

struct LayoutState {
  DataType type = kFloat32;
  uint64_t rows = 0, columns = 0;
  int64_t stride = 0, batchStride = 0;
  int32_t batch = 1;
  bool operator==(const LayoutState &other) const {
    return type == other.type && rows == other.rows && columns == other.columns && stride == other.stride &&
           batchStride == other.batchStride && batch == other.batch;
  }
};
struct ProductState {
  ComputeType compute = kComputeFloat32;
  Order transposeA = kAsItIs, transposeB = kAsItIs;
  uint32_t epilogue = kNoEpilogue;
  const void *bias = nullptr;
};
struct PreferenceState {
  uint64_t workspaceBytes = 0;
  uint32_t schemes = 7;
  uint32_t alignments[4] = {256, 256, 256, 256};
};

/// For every product; they differ in a number only.
constexpr int kNumAlgorithms = 3;
/// What an algorithm is for. Algorithm::data has a fingerprint of what it multiplies, then alignments, scratch
/// memory and the number.
struct Choice {
  LayoutState a, b, c, d;
  ProductState product;
  uint32_t alignments[4];
  size_t workspaceBytes;
};

struct Library {
  std::set<void *> handles, layouts, products, preferences;
  std::map<std::array<uint64_t, 8>, Choice> choices; ///< by the algorithm
};
Library &library() {
  static auto *theLibrary = [] {
    auto *made = new Library;
    addReset([made] { *made = Library(); });
    addLeakCheck([made] {
      size_t left = made->handles.size() + made->layouts.size() + made->products.size() + made->preferences.size();
      if (left > 0)
        addFault("leak: " + std::to_string(left) + " handles and descriptors of cuBLASLt");
    });
    return made;
  }();
  return *theLibrary;
}

template <typename State, typename Pointer> State *stateOf(std::set<void *> &known, Pointer pointer) {
  return known.count(pointer) ? reinterpret_cast<State *>(pointer) : nullptr;
}
LayoutState *stateOf(Layout layout) { return stateOf<LayoutState>(library().layouts, layout); }
ProductState *stateOf(Product product) { return stateOf<ProductState>(library().products, product); }
PreferenceState *stateOf(Preference preference) { return stateOf<PreferenceState>(library().preferences, preference); }

template <typename State, typename Pointer> Outcome make(std::set<void *> &known, Pointer *pointer, State state) {
  auto *made = new State(state);
  known.insert(made);
  *pointer = reinterpret_cast<Pointer>(made);
  return kSuccess;
}
template <typename State, typename Pointer> Outcome drop(std::set<void *> &known, Pointer pointer) {
  if (known.erase(pointer) == 0)
    return kInvalidValue;
  delete reinterpret_cast<State *>(pointer);
  return kSuccess;
}

template <typename Field> Outcome put(Field &field, const void *value, size_t numBytes) {
  if (numBytes != sizeof(Field))
    return kInvalidValue;
  std::memcpy(&field, value, numBytes);
  return kSuccess;
}

//===----------------------------------------------------------------------===//
// Numbers
//===----------------------------------------------------------------------===//

Float toFloat(DataType type) { return type == kFloat32 ? Float::kF32 : type == kFloat16 ? Float::kF16 : Float::kBF16; }
size_t bytesOf(DataType type) { return standin::bytesOf(toFloat(type)); }

struct Matrix {
  char *data;
  LayoutState layout;
  Order order;

  uint64_t rows() const { return order == kTransposed ? layout.columns : layout.rows; }
  uint64_t columns() const { return order == kTransposed ? layout.rows : layout.columns; }
  char *at(int64_t batch, uint64_t row, uint64_t column) const {
    if (order == kTransposed)
      std::swap(row, column);
    int64_t index = batch * layout.batchStride + int64_t(column) * layout.stride + int64_t(row);
    return data + index * int64_t(bytesOf(layout.type));
  }
  float get(int64_t batch, uint64_t row, uint64_t column) const {
    return load(at(batch, row, column), toFloat(layout.type));
  }
  Access access(bool writes) const {
    int64_t last = int64_t(layout.batch - 1) * layout.batchStride + int64_t(layout.columns - 1) * layout.stride +
                   int64_t(layout.rows);
    return {data, size_t(last) * bytesOf(layout.type), writes};
  }
};

struct Call {
  Matrix a, b, c, d;
  ProductState product;
  float alpha, beta;
};

double finish(double x, uint32_t epilogue) {
  if (epilogue & kRelu)
    return x < 0 ? 0 : x;
  if (epilogue & kGelu)
    return x / 2 * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
  return x;
}

double factor(float value, ComputeType compute) { return compute == kComputeTf32 ? roundToTf32(value) : value; }

void multiply(const Call &call) {
  for (int64_t batch = 0; batch < call.d.layout.batch; ++batch)
    for (uint64_t column = 0; column < call.d.columns(); ++column)
      for (uint64_t row = 0; row < call.d.rows(); ++row) {
        double sum = 0;
        for (uint64_t i = 0; i < call.a.columns(); ++i)
          sum += factor(call.a.get(batch, row, i), call.product.compute) *
                 factor(call.b.get(batch, i, column), call.product.compute);
        sum *= call.alpha;
        if (call.beta != 0)
          sum += double(call.beta) * call.c.get(batch, row, column);
        if (call.product.epilogue & kBias)
          sum += load(static_cast<const char *>(call.product.bias) + row * bytesOf(call.d.layout.type),
                      toFloat(call.d.layout.type));
        store(call.d.at(batch, row, column), toFloat(call.d.layout.type), finish(sum, call.product.epilogue));
      }
}

//===----------------------------------------------------------------------===//
// Rules
//===----------------------------------------------------------------------===//

bool isSound(const LayoutState &layout) {
  return layout.rows > 0 && layout.columns > 0 && layout.batch > 0 && layout.stride >= int64_t(layout.rows);
}

bool fits(const ProductState &product, const LayoutState &a, const LayoutState &b, const LayoutState &c,
          const LayoutState &d) {
  Matrix left{nullptr, a, product.transposeA}, right{nullptr, b, product.transposeB};
  for (const LayoutState *layout : {&a, &b, &c, &d})
    if (!isSound(*layout) || layout->batch != d.batch)
      return false;
  if (a.type != b.type || c.type != d.type || (a.type != d.type && d.type != kFloat32))
    return false;
  bool isWhole = d.batch == 1 || d.batchStride >= d.stride * int64_t(d.columns);
  return left.columns() == right.rows() && left.rows() == d.rows && right.columns() == d.columns && c.rows == d.rows &&
         c.columns == d.columns && isWhole && (product.compute == kComputeFloat32 || a.type == kFloat32);
}

bool isSame(const ProductState &lhs, const ProductState &rhs) {
  return lhs.compute == rhs.compute && lhs.transposeA == rhs.transposeA && lhs.transposeB == rhs.transposeB &&
         lhs.epilogue == rhs.epilogue;
}

/// The same in every process.
uint64_t fingerprint(const Choice &choice) {
  uint64_t hash = 14695981039346656037u;
  auto add = [&](uint64_t word) { hash = (hash ^ word) * 1099511628211u; };
  for (const LayoutState *layout : {&choice.a, &choice.b, &choice.c, &choice.d}) {
    add(uint64_t(layout->type)), add(layout->rows), add(layout->columns), add(uint64_t(layout->stride));
    add(uint64_t(layout->batchStride)), add(uint64_t(layout->batch));
  }
  add(uint64_t(choice.product.compute)), add(uint64_t(choice.product.transposeA));
  add(uint64_t(choice.product.transposeB)), add(choice.product.epilogue);
  return hash;
}
std::array<uint64_t, 8> wordsOf(const Algorithm &algorithm) {
  std::array<uint64_t, 8> words;
  std::copy(std::begin(algorithm.data), std::end(algorithm.data), words.begin());
  return words;
}

bool isAligned(const void *data, uint64_t alignment) {
  return alignment == 0 || reinterpret_cast<uintptr_t>(data) % alignment == 0;
}

void checkOverlap(const Call &call) {
  auto meets = [&](const Matrix &other) {
    Access written = call.d.access(true), read = other.access(false);
    const char *begin = static_cast<const char *>(written.data), *from = static_cast<const char *>(read.data);
    return from < begin + written.numBytes && begin < from + read.numBytes;
  };
  bool inPlace = call.c.data == call.d.data && call.c.layout == call.d.layout;
  if (meets(call.a) || meets(call.b) || (call.beta != 0 && meets(call.c) && !inPlace))
    addFault("out of place: a product is written over what it reads");
}

void checkAlgorithm(const Choice &choice, const Call &call, size_t workspaceBytes) {
  if (!isSame(choice.product, call.product) || !(choice.a == call.a.layout) || !(choice.b == call.b.layout) ||
      !(choice.c == call.c.layout) || !(choice.d == call.d.layout))
    addFault("mismatch: an algorithm that was chosen for another product");
  const Matrix *matrices[] = {&call.a, &call.b, &call.c, &call.d};
  for (size_t i = 0; i < 4; ++i)
    if (!isAligned(matrices[i]->data, choice.alignments[i]) ||
        !isAligned(matrices[i]->at(call.d.layout.batch - 1, 0, 0), choice.alignments[i]))
      addFault("out of place: a factor that is not aligned as was said when the algorithm was chosen");
  uintptr_t promised = reinterpret_cast<uintptr_t>(choice.product.bias);
  if (call.product.epilogue & kBias && !isAligned(call.product.bias, promised & -promised))
    addFault("out of place: a bias that is not aligned as was said when the algorithm was chosen");
  if (workspaceBytes < choice.workspaceBytes)
    addFault("out of place: less scratch memory than the algorithm needs");
}

std::vector<Access> accessesOf(const Call &call, void *workspace, size_t workspaceBytes) {
  std::vector<Access> accesses = {call.a.access(false), call.b.access(false), call.d.access(true)};
  if (call.beta != 0 && call.c.data != call.d.data)
    accesses.push_back(call.c.access(false));
  if (call.product.epilogue & kBias)
    accesses.push_back({call.product.bias, call.d.layout.rows * bytesOf(call.d.layout.type), false});
  if (workspaceBytes > 0)
    accesses.push_back({workspace, workspaceBytes, true});
  return accesses;
}

} // namespace

extern "C" {

size_t cublasLtGetVersion() { return 130100; }

const char *cublasLtGetStatusString(Outcome outcome) {
  return outcome == kNotSupported     ? "the functionality requested is not supported"
         : outcome == kAllocFailed    ? "the resource allocation failed"
         : outcome == kInvalidValue   ? "an unsupported value or parameter was passed to the function"
         : outcome == kNotInitialized ? "the library was not initialized"
                                      : "an internal operation failed";
}

Outcome cublasLtCreate(Handle *handle) {
  Entry entry("cublasLtCreate");
  if (entry.code || currentDevice() < 0)
    return entry.code ? entry.code : kNotInitialized;
  if (isCapturing())
    addFault("out of place: cuBLASLt starts while a graph is recorded");
  return make(library().handles, handle, 0);
}
Outcome cublasLtDestroy(Handle handle) {
  Entry entry("cublasLtDestroy");
  return drop<int>(library().handles, handle);
}

Outcome cublasLtMatrixLayoutCreate(Layout *layout, DataType type, uint64_t rows, uint64_t columns, int64_t stride) {
  Entry entry("cublasLtMatrixLayoutCreate");
  if (entry.code)
    return entry.code;
  LayoutState state;
  state.type = type, state.rows = rows, state.columns = columns, state.stride = stride;
  return make(library().layouts, layout, state);
}
Outcome cublasLtMatrixLayoutSetAttribute(Layout layout, LayoutAttribute attribute, const void *value, size_t numBytes) {
  Entry entry("cublasLtMatrixLayoutSetAttribute");
  LayoutState *state = stateOf(layout);
  if (entry.code || !state)
    return entry.code ? entry.code : kInvalidValue;
  return attribute == kBatchCount    ? put(state->batch, value, numBytes)
         : attribute == kBatchStride ? put(state->batchStride, value, numBytes)
                                     : int32_t(kInvalidValue);
}
Outcome cublasLtMatrixLayoutDestroy(Layout layout) {
  Entry entry("cublasLtMatrixLayoutDestroy");
  return drop<LayoutState>(library().layouts, layout);
}

Outcome cublasLtMatmulDescCreate(Product *product, ComputeType compute, DataType scale) {
  Entry entry("cublasLtMatmulDescCreate");
  if (entry.code || scale != kFloat32)
    return entry.code ? entry.code : kNotSupported;
  ProductState state;
  state.compute = compute;
  return make(library().products, product, state);
}
Outcome cublasLtMatmulDescSetAttribute(Product product, ProductAttribute attribute, const void *value,
                                       size_t numBytes) {
  Entry entry("cublasLtMatmulDescSetAttribute");
  ProductState *state = stateOf(product);
  if (entry.code || !state)
    return entry.code ? entry.code : kInvalidValue;
  return attribute == kTransposeA    ? put(state->transposeA, value, numBytes)
         : attribute == kTransposeB  ? put(state->transposeB, value, numBytes)
         : attribute == kEpilogue    ? put(state->epilogue, value, numBytes)
         : attribute == kBiasPointer ? put(state->bias, value, numBytes)
                                     : int32_t(kInvalidValue);
}
Outcome cublasLtMatmulDescDestroy(Product product) {
  Entry entry("cublasLtMatmulDescDestroy");
  return drop<ProductState>(library().products, product);
}

Outcome cublasLtMatmulPreferenceCreate(Preference *preference) {
  Entry entry("cublasLtMatmulPreferenceCreate");
  return entry.code ? entry.code : make(library().preferences, preference, PreferenceState());
}
Outcome cublasLtMatmulPreferenceSetAttribute(Preference preference, PreferenceAttribute attribute, const void *value,
                                             size_t numBytes) {
  Entry entry("cublasLtMatmulPreferenceSetAttribute");
  PreferenceState *state = stateOf(preference);
  if (entry.code || !state)
    return entry.code ? entry.code : kInvalidValue;
  if (attribute >= kAlignmentA && attribute <= kAlignmentD)
    return put(state->alignments[attribute - kAlignmentA], value, numBytes);
  return attribute == kWorkspaceBytes     ? put(state->workspaceBytes, value, numBytes)
         : attribute == kReductionSchemes ? put(state->schemes, value, numBytes)
                                          : int32_t(kInvalidValue);
}
Outcome cublasLtMatmulPreferenceDestroy(Preference preference) {
  Entry entry("cublasLtMatmulPreferenceDestroy");
  return drop<PreferenceState>(library().preferences, preference);
}

Outcome cublasLtMatmulAlgoGetHeuristic(Handle handle, Product product, Layout a, Layout b, Layout c, Layout d,
                                       Preference preference, int wanted, Heuristic *found, int *count) {
  Entry entry("cublasLtMatmulAlgoGetHeuristic");
  ProductState *state = stateOf(product);
  PreferenceState *wish = stateOf(preference);
  *count = 0;
  for (Layout layout : {a, b, c, d})
    if (!stateOf(layout))
      return kInvalidValue;
  if (entry.code || library().handles.count(handle) == 0 || !state || !wish || wanted < 1)
    return entry.code ? entry.code : kInvalidValue;
  Choice choice = {*stateOf(a), *stateOf(b), *stateOf(c), *stateOf(d), *state, {}, wish->workspaceBytes / 2};
  std::memcpy(choice.alignments, wish->alignments, sizeof(choice.alignments));
  if (!fits(choice.product, choice.a, choice.b, choice.c, choice.d))
    return kNotSupported;
  if (choice.product.epilogue & kBias && !choice.product.bias)
    addFault("mismatch: an algorithm is chosen without the alignment of the bias");
  if (wish->schemes != kReduceComputeType)
    addFault("mismatch: parts of a sum may be kept with less precision than f32");
  *count = std::min(wanted, kNumAlgorithms);
  for (int i = 0; i < *count; ++i) {
    found[i] = Heuristic();
    uint64_t *data = found[i].algorithm.data;
    data[0] = fingerprint(choice), data[5] = choice.workspaceBytes, data[6] = uint64_t(i);
    std::copy(std::begin(choice.alignments), std::end(choice.alignments), data + 1);
    library().choices[wordsOf(found[i].algorithm)] = choice;
    found[i].workspaceBytes = choice.workspaceBytes;
  }
  return kSuccess;
}

Outcome cublasLtMatmulAlgoCheck(Handle handle, Product product, Layout a, Layout b, Layout c, Layout d,
                                const Algorithm *algorithm, Heuristic *found) {
  Entry entry("cublasLtMatmulAlgoCheck");
  ProductState *state = stateOf(product);
  for (Layout layout : {a, b, c, d})
    if (!stateOf(layout))
      return kInvalidValue;
  if (entry.code || library().handles.count(handle) == 0 || !state)
    return entry.code ? entry.code : kInvalidValue;
  const uint64_t *data = algorithm->data;
  Choice choice = {*stateOf(a), *stateOf(b), *stateOf(c), *stateOf(d), *state, {}, data[5]};
  std::copy(data + 1, data + 5, choice.alignments);
  if (data[0] != fingerprint(choice))
    return kNotSupported;
  library().choices[wordsOf(*algorithm)] = choice;
  std::memset(found, 0, sizeof(*found)); // the real one does not fill in the algorithm either
  found->workspaceBytes = choice.workspaceBytes;
  return kSuccess;
}

Outcome cublasLtMatmul(Handle handle, Product product, const void *alpha, const void *a, Layout layoutA, const void *b,
                       Layout layoutB, const void *beta, const void *c, Layout layoutC, void *d, Layout layoutD,
                       const Algorithm *algorithm, void *workspace, size_t workspaceBytes, Stream stream) {
  Entry entry("cublasLtMatmul", streamName(stream));
  ProductState *state = stateOf(product);
  for (Layout layout : {layoutA, layoutB, layoutC, layoutD})
    if (!stateOf(layout))
      return kInvalidValue;
  if (entry.code || library().handles.count(handle) == 0 || !state || !algorithm)
    return entry.code ? entry.code : kInvalidValue;
  auto matrix = [](const void *data, Layout layout, Order order) {
    return Matrix{static_cast<char *>(const_cast<void *>(data)), *stateOf(layout), order};
  };
  Call call = {matrix(a, layoutA, state->transposeA),
               matrix(b, layoutB, state->transposeB),
               matrix(c, layoutC, kAsItIs),
               matrix(d, layoutD, kAsItIs),
               *state,
               *static_cast<const float *>(alpha),
               *static_cast<const float *>(beta)};
  if (!fits(call.product, call.a.layout, call.b.layout, call.c.layout, call.d.layout))
    return kInvalidValue;
  auto choice = library().choices.find(wordsOf(*algorithm));
  if (choice == library().choices.end())
    return kInvalidValue;
  if (reinterpret_cast<uintptr_t>(workspace) % 256 != 0)
    return kInvalidValue; // as the real one does
  checkAlgorithm(choice->second, call, workspaceBytes);
  checkOverlap(call);
  auto work = std::make_shared<standin::Operation>();
  work->name = "product";
  work->accesses = accessesOf(call, workspace, workspaceBytes);
  work->run = [call] { multiply(call); };
  return enqueue(stream, work) == 0 ? int32_t(kSuccess) : int32_t(kInvalidValue);
}

} // extern "C"
