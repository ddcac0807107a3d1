//===- OperatorRegistry.cpp - Converters of ONNX operators -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "penstock/Import/Onnx/OperatorRegistry.h"
#include "Ops/Families.h"

using namespace mlir;

namespace penstock::onnximport {

OperatorRegistry OperatorRegistry::createDefault() {
  OperatorRegistry registry;
#define OPERATOR_FAMILY(name) register##name##Operators(registry);
#include "Ops/Families.def"
  return registry;
}

void OperatorRegistry::add(StringRef domain, StringRef name, int sinceVersion, Converter converter) {
  table[{domain.str(), name.str()}][sinceVersion] = std::move(converter);
}

const Converter *OperatorRegistry::find(StringRef domain, StringRef name, int opset) const {
  auto entry = table.find({domain.str(), name.str()});
  if (entry == table.end())
    return nullptr;
  auto next = entry->second.upper_bound(opset);
  if (next == entry->second.begin())
    return nullptr;
  const Converter &converter = std::prev(next)->second;
  return converter ? &converter : nullptr;
}

std::vector<SupportedOperator> OperatorRegistry::list() const {
  std::vector<SupportedOperator> result;
  for (auto &[key, versions] : table) {
    SupportedOperator &entry = result.emplace_back();
    entry.domain = key.first;
    entry.name = key.second;
    for (auto &[version, converter] : versions)
      entry.sinceVersions.push_back(version);
  }
  return result;
}

std::vector<SupportedOperator> getSupportedOperators() { return OperatorRegistry::createDefault().list(); }

} // namespace penstock::onnximport
