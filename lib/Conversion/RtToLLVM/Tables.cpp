//===- Tables.cpp - Constant tables in the LLVM dialect -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "Tables.h"

#include "penstock/rt/Abi.h"

#include "llvm/Support/Endian.h"

#include <cstring>

using namespace mlir;
using namespace penstock;

AbiTypes::AbiTypes(MLIRContext *context)
    : ptr(LLVM::LLVMPointerType::get(context)), i8(IntegerType::get(context, 8)), i32(IntegerType::get(context, 32)),
      i64(IntegerType::get(context, 64)) {
  auto make = [&](ArrayRef<Type> fields) { return LLVM::LLVMStructType::getLiteral(context, fields); };
  // name, tensor, id, dtype, num_dims, dims, producer, num_consumers, consumers, depth, slot_bytes, direction,
  // consumer, carrier
  channel = make({ptr, ptr, i32, i32, i32, ptr, i32, i32, ptr, i32, i64, i32, i32, i32});
  // kind, index, offset, num_bytes, num_bytes_extent, first_use, last_use, data, name
  storage = make({i32, i32, i64, i64, i32, i32, i32, ptr, ptr});
  // name, kernel, num_results, results
  step = make({ptr, ptr, i32, ptr});
  role = make({
      i32, ptr, // abi_version, note
      ptr, ptr, i32, i32,
      i32, i32,
      ptr,      // model, role_name, role, num_roles, num_stages, own stages
      i32, ptr, // num_threads, required_features
      i32, i32, ptr, i32,
      ptr, // symbols, extents
      i32, ptr, i32, ptr,
      i32, ptr,                                        // channels, storages, steps
      i64, ptr, i64, LLVM::LLVMArrayType::get(i8, 16), // arena_bytes, weights file, bytes, hash
      ptr,                                             // program
      ptr, i32                                         // device, device_number
  });
}

std::string TableBuilder::freshName(StringRef stem) { return (stem + "_" + Twine(numGlobals++)).str(); }

LLVM::GlobalOp TableBuilder::addGlobal(StringRef name, Type type, LLVM::Linkage linkage,
                                       llvm::function_ref<Value()> initialize) {
  auto global = builder.create<LLVM::GlobalOp>(loc, type, /*isConstant=*/true, linkage, name, Attribute());
  OpBuilder::InsertionGuard guard(builder);
  builder.createBlock(&global.getInitializerRegion());
  builder.create<LLVM::ReturnOp>(loc, initialize());
  return global;
}

std::string TableBuilder::addBytes(StringRef bytes, uint64_t alignment) {
  if (bytes.empty())
    return "";
  std::string name = freshName("bytes");
  builder.create<LLVM::GlobalOp>(loc, LLVM::LLVMArrayType::get(types.i8, bytes.size()), /*isConstant=*/true,
                                 LLVM::Linkage::Internal, name, builder.getStringAttr(bytes), alignment);
  return name;
}

/// What `rt_note` and the text behind it are in memory; the next note of the section begins at a multiple of four.
std::string TableBuilder::addNote(StringRef text) {
  rt_note note = {};
  llvm::support::endian::write32le(&note.name_bytes, sizeof(RT_NOTE_NAME));
  llvm::support::endian::write32le(&note.text_bytes, text.size());
  llvm::support::endian::write32le(&note.type, RT_NOTE_TYPE);
  std::memcpy(note.name, RT_NOTE_NAME, sizeof(RT_NOTE_NAME));
  std::string bytes(reinterpret_cast<const char *>(&note), sizeof(note));
  bytes += text;
  bytes.resize(llvm::alignTo(bytes.size(), 4));
  std::string name = addBytes(bytes, /*alignment=*/4);
  module.lookupSymbol<LLVM::GlobalOp>(name).setSection(".note.penstock");
  return name;
}

std::string TableBuilder::addString(StringRef text) {
  std::string &name = strings[text];
  if (name.empty())
    name = addBytes(StringRef(text.str().c_str(), text.size() + 1), 1);
  return name;
}

std::string TableBuilder::addNumbers(ArrayRef<int64_t> numbers, unsigned width) {
  if (numbers.empty())
    return "";
  std::string name = freshName("numbers");
  Type element = builder.getIntegerType(width);
  SmallVector<APInt> values;
  for (int64_t number : numbers)
    values.push_back(APInt(width, number, /*isSigned=*/true));
  auto value = DenseElementsAttr::get(RankedTensorType::get(values.size(), element), values);
  builder.create<LLVM::GlobalOp>(loc, LLVM::LLVMArrayType::get(element, values.size()), /*isConstant=*/true,
                                 LLVM::Linkage::Internal, name, value);
  return name;
}

Value TableBuilder::buildField(Type type, const Field &field) {
  if (auto *number = std::get_if<int64_t>(&field))
    return builder.create<LLVM::ConstantOp>(loc, type, builder.getIntegerAttr(type, *number));
  if (auto *bytes = std::get_if<std::vector<uint8_t>>(&field)) {
    StringRef text(reinterpret_cast<const char *>(bytes->data()), bytes->size());
    return builder.create<LLVM::ConstantOp>(loc, type, builder.getStringAttr(text));
  }
  const std::string &name = std::get<std::string>(field);
  if (name.empty())
    return builder.create<LLVM::ZeroOp>(loc, type);
  return builder.create<LLVM::AddressOfOp>(loc, type, name);
}

Value TableBuilder::buildStruct(LLVM::LLVMStructType type, const Row &row) {
  Value value = builder.create<LLVM::UndefOp>(loc, type);
  for (auto [i, field] : llvm::enumerate(row))
    value = builder.create<LLVM::InsertValueOp>(loc, value, buildField(type.getBody()[i], field), i);
  return value;
}

std::string TableBuilder::addPointers(ArrayRef<std::string> names) {
  if (names.empty())
    return "";
  std::string name = freshName("pointers");
  addPointerTable(name, names, LLVM::Linkage::Internal);
  return name;
}

void TableBuilder::addPointerTable(StringRef name, ArrayRef<std::string> names, LLVM::Linkage linkage) {
  auto type = LLVM::LLVMArrayType::get(types.ptr, names.size());
  addGlobal(name, type, linkage, [&] {
    Value value = builder.create<LLVM::UndefOp>(loc, type);
    for (auto [i, target] : llvm::enumerate(names))
      value = builder.create<LLVM::InsertValueOp>(loc, value, buildField(types.ptr, target), i);
    return value;
  });
}

void TableBuilder::addVisiblePointers(StringRef name, ArrayRef<std::string> names) {
  addPointerTable(name, names, LLVM::Linkage::External);
}

void TableBuilder::addVisibleNumber(StringRef name, int64_t number) {
  addGlobal(name, types.i32, LLVM::Linkage::External, [&] { return buildField(types.i32, number); });
}

std::string TableBuilder::declareStruct(StringRef name, LLVM::LLVMStructType type) {
  builder.create<LLVM::GlobalOp>(loc, type, /*isConstant=*/true, LLVM::Linkage::External, name, Attribute());
  return name.str();
}

std::string TableBuilder::addRows(StringRef name, LLVM::LLVMStructType type, ArrayRef<Row> rows) {
  if (rows.empty())
    return "";
  auto array = LLVM::LLVMArrayType::get(type, rows.size());
  addGlobal(name, array, LLVM::Linkage::Internal, [&] {
    Value value = builder.create<LLVM::UndefOp>(loc, array);
    for (auto [i, row] : llvm::enumerate(rows))
      value = builder.create<LLVM::InsertValueOp>(loc, value, buildStruct(type, row), i);
    return value;
  });
  return name.str();
}

void TableBuilder::addStruct(StringRef name, LLVM::LLVMStructType type, const Row &row) {
  addGlobal(name, type, LLVM::Linkage::External, [&] { return buildStruct(type, row); });
}
