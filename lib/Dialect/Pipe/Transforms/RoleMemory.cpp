//===- RoleMemory.cpp - The memory contract of a role -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "RoleMemory.h"

#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace penstock;
using namespace penstock::pipe;

std::optional<int64_t> RoleMemory::getTotal() const {
  if (!unbounded.empty())
    return std::nullopt;
  int64_t total = 0;
  for (int64_t part : {weights, arena, slots, slotsRead, states, runtime, shapes})
    if (llvm::AddOverflow(total, part, total))
      return std::nullopt;
  return total;
}

DictionaryAttr RoleMemory::toAttr(MLIRContext *context) const {
  Builder builder(context);
  SmallVector<NamedAttribute> fields;
  auto add = [&](StringRef name, int64_t value) {
    fields.push_back(builder.getNamedAttr(name, builder.getI64IntegerAttr(value)));
  };
  bool isKnown = unbounded.empty();
  add("arena", arena);
  add("arena_lower_bound", arenaLowerBound);
  add("arena_no_reuse", arenaNoReuse);
  add("runtime", runtime);
  add("shapes", isKnown ? shapes : -1);
  add("slots", isKnown ? slots : -1);
  add("slots_read", isKnown ? slotsRead : -1);
  add("states", states);
  add("total", getTotal().value_or(-1));
  fields.push_back(builder.getNamedAttr("unbounded", builder.getStrArrayAttr(unbounded.getArrayRef())));
  add("weights", weights);
  add("workspaces", workspaces);
  if (numOverwritten > 0)
    add("overwritten_inputs", numOverwritten);
  if (numCopied > 0)
    add("copied_inputs", numCopied);
  return builder.getDictionaryAttr(fields);
}

std::string RoleMemory::describe() const {
  std::string text;
  llvm::raw_string_ostream(text) << "weights " << weights << ", arena " << arena << ", slots " << slots
                                 << " written and " << slotsRead << " read, states " << states << ", runtime "
                                 << runtime << ", further shapes " << shapes;
  return text;
}

/// A library keeps something for each kernel and tuple of extents at which it runs, however many calls there are of it.
void pipe::countRuntime(ArrayRef<nn::CallOp> calls, int64_t numSlots, int64_t numThreads, const SymbolTable &symbols,
                        RoleMemory &memory) {
  struct Kept {
    llvm::DenseSet<Attribute> extents;
    bool isStatic = true;
  };
  llvm::MapVector<nn::KernelDefOp, Kept> kernels;
  for (nn::CallOp call : calls) {
    auto kernel = symbols.lookup<nn::KernelDefOp>(call.getKernel());
    Kept &kept = kernels[kernel];
    kept.extents.insert(call.getSymbols());
    kept.isStatic &=
        llvm::all_of(call.getSymbols().getExprs(), [](AffineExpr expr) { return nn::getConstant(expr).has_value(); });
  }
  memory.runtime = kRuntimeBytes + numSlots * kSlotOverheadBytes + (numThreads - 1) * kThreadBytes;
  for (auto &[kernel, kept] : kernels) {
    auto bytes = kernel->getAttrOfType<IntegerAttr>(kShapeBytesAttr);
    auto most = kernel->getAttrOfType<IntegerAttr>(kMaxShapesAttr);
    if (!bytes)
      continue;
    int64_t numKnown = kept.extents.size();
    memory.runtime += numKnown * bytes.getInt();
    if (!kept.isStatic && most)
      memory.shapes += std::max<int64_t>(0, most.getInt() - numKnown) * bytes.getInt();
  }
}
