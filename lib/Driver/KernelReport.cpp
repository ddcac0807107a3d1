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

static void printFunctions(ArrayRef<std::pair<nn::KernelDefOp, DictionaryAttr>> rows, raw_ostream &os) {
  printTexts("kernel", "function", "arch", os);
  for (StringRef name : kNumbers)
    os << llvm::format(" %12s", name.data());
  os << "\n";
  for (auto [kernel, function] : rows)
    printRow(kernel, function, os);
}

static llvm::json::Array listFunctions(ArrayRef<std::pair<nn::KernelDefOp, DictionaryAttr>> rows) {
  llvm::json::Array list;
  for (auto [kernel, function] : rows) {
    llvm::json::Object row{
        {"kernel", kernel.getSymName()}, {"function", getText(function, "name")}, {"arch", getText(function, "arch")}};
    for (StringRef name : kNumbers)
      row[name] = getNumber(function, name);
    list.push_back(std::move(row));
  }
  return list;
}

bool printDeviceFunctions(ModuleOp module, bool json, raw_ostream &os) {
  SmallVector<std::pair<nn::KernelDefOp, DictionaryAttr>> rows;
  SmallVector<std::pair<StringRef, StringRef>> libraries; ///< kernel, and what does it
  for (auto kernel : module.getOps<nn::KernelDefOp>()) {
    if (auto functions = kernel->getAttrOfType<ArrayAttr>(kKernelFunctionsAttr))
      for (auto function : functions.getAsRange<DictionaryAttr>())
        rows.push_back({kernel, function});
    if (auto library = kernel->getAttrOfType<StringAttr>("kernel.library"))
      libraries.push_back({kernel.getSymName(), library.getValue()});
  }
  if (json) {
    llvm::json::Array list;
    for (auto [kernel, library] : libraries)
      list.push_back(llvm::json::Object{{"kernel", kernel}, {"library", library}});
    llvm::json::Object report{{"functions", listFunctions(rows)}, {"libraries", std::move(list)}};
    os << llvm::formatv("{0:2}", llvm::json::Value(std::move(report))) << "\n";
    return !rows.empty() || !libraries.empty();
  }
  if (!rows.empty())
    printFunctions(rows, os);
  if (!libraries.empty())
    os << llvm::left_justify("kernel", 24) << " library\n";
  for (auto [kernel, library] : libraries)
    os << llvm::left_justify(kernel, 24) << " " << library << "\n";
  return !rows.empty() || !libraries.empty();
}

} // namespace penstock::driver
