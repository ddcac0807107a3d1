//===- KernelReport.cpp - What assemblers say of kernels -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "penstock/Driver/Compiler.h"

#include "mlir/IR/BuiltinAttributes.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/JSON.h"

namespace penstock::driver {
using namespace mlir;

static constexpr StringLiteral kNumbers[] = {"threads", "registers", "shared", "stack", "spill_stores", "spill_loads"};

static int64_t getNumber(DictionaryAttr function, StringRef name) {
  auto value = function.getAs<IntegerAttr>(name);
  return value ? value.getInt() : 0;
}

static StringRef getText(DictionaryAttr function, StringRef name) {
  auto value = function.getAs<StringAttr>(name);
  return value ? value.getValue() : "";
}

static void printTexts(StringRef kernel, StringRef function, StringRef arch, raw_ostream &os) {
  os << llvm::left_justify(kernel, 24) << " " << llvm::left_justify(function, 38) << " " << llvm::left_justify(arch, 8);
}

static void printRow(nn::KernelDefOp kernel, DictionaryAttr function, raw_ostream &os) {
  printTexts(kernel.getSymName(), getText(function, "name"), getText(function, "arch"), os);
  for (StringRef name : kNumbers)
    os << llvm::format(" %12lld", static_cast<long long>(getNumber(function, name)));
  os << "\n";
}

bool printDeviceFunctions(ModuleOp module, bool json, raw_ostream &os) {
  SmallVector<std::pair<nn::KernelDefOp, DictionaryAttr>> rows;
  for (auto kernel : module.getOps<nn::KernelDefOp>())
    if (auto functions = kernel->getAttrOfType<ArrayAttr>(kKernelFunctionsAttr))
      for (auto function : functions.getAsRange<DictionaryAttr>())
        rows.push_back({kernel, function});
  if (json) {
    llvm::json::Array list;
    for (auto [kernel, function] : rows) {
      llvm::json::Object row{{"kernel", kernel.getSymName()},
                             {"function", getText(function, "name")},
                             {"arch", getText(function, "arch")}};
      for (StringRef name : kNumbers)
        row[name] = getNumber(function, name);
      list.push_back(std::move(row));
    }
    os << llvm::formatv("{0:2}", llvm::json::Value(llvm::json::Object{{"functions", std::move(list)}})) << "\n";
    return !rows.empty();
  }
  if (rows.empty())
    return false;
  printTexts("kernel", "function", "arch", os);
  for (StringRef name : kNumbers)
    os << llvm::format(" %12s", name.data());
  os << "\n";
  for (auto [kernel, function] : rows)
    printRow(kernel, function, os);
  return true;
}

} // namespace penstock::driver
