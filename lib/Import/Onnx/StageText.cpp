//===- StageText.cpp - A serialized model with stages -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "StageText.h"
#include "WireFormat.h"
#include "llvm/ADT/STLExtras.h"

using namespace mlir;
using llvm::StringRef;

namespace penstock::onnximport {
namespace {

constexpr uint64_t kIrVersion = 11; ///< the first with multi-device annotations
// Fields of onnx.proto.
constexpr uint32_t kModelIrVersion = 1, kModelConfiguration = 26, kNodeDevices = 10, kDevicesConfiguration = 1,
                   kDevicesSharding = 2, kDevicesStage = 3, kConfigurationName = 1, kConfigurationNumDevices = 2;

/// What is to be written, in order.
struct Text {
  std::vector<StringRef> pieces;
  uint64_t numBytes = 0;

  void add(StringRef piece) {
    if (piece.empty())
      return;
    numBytes += piece.size();
    if (!pieces.empty() && pieces.back().end() == piece.begin())
      pieces.back() = StringRef(pieces.back().data(), pieces.back().size() + piece.size());
    else
      pieces.push_back(piece);
  }
  void add(const Text &text) {
    for (StringRef piece : text.pieces)
      add(piece);
  }
};

class Annotator {
public:
  Annotator(StringRef model, const NodeStages &stages, int64_t numStages, llvm::BumpPtrAllocator &allocator,
            std::string &error)
      : reader(model.data(), error), stages(stages), numStages(numStages), saver(allocator) {}

  LogicalResult copyMessage(Message kind, StringRef in, Text &out, int depth) {
    if (depth > kMaxMessageDepth)
      return reader.fail(in, "messages are nested more than " + llvm::Twine(kMaxMessageDepth) + " deep");
    int64_t number = kind == Message::kNode ? numNodes++ : -1;
    while (!in.empty()) {
      Field field;
      if (failed(reader.read(in, field)) || failed(copyField(kind, field, out, depth)))
        return failure();
    }
    if (auto stage = stages.stageOf.find(number); stage != stages.stageOf.end())
      addStage(stage->second, out);
    if (kind == Message::kModel)
      addModelFields(out);
    return success();
  }

private:
  LogicalResult copyField(Message kind, const Field &field, Text &out, int depth) {
    if (kind == Message::kModel && field.number == kModelIrVersion && field.wireType == kVarint) {
      irVersion = std::max(irVersion, field.varint); // written once, at the end
      return success();
    }
    if (field.wireType != kLengthDelimited) {
      out.add(field.whole);
      return success();
    }
    if (kind == Message::kModel && field.number == kModelConfiguration)
      return copyConfiguration(field, out);
    if (kind == Message::kNode && field.number == kNodeDevices)
      return copyDevices(field, out);
    const FieldRule *rule = findRule(kind, field.number);
    if (!rule || !rule->child || !holdsNodes(*rule->child)) {
      out.add(field.whole);
      return success();
    }
    Text child;
    if (failed(copyMessage(*rule->child, field.payload, child, depth + 1)))
      return failure();
    std::string header;
    writeHeader(header, field.number, child.numBytes);
    out.add(saver.save(header));
    out.add(child);
    return success();
  }

  static bool holdsNodes(Message kind) { return kind != Message::kTensor && kind != Message::kSparseTensor; }

  /// The text of a message's first field of this number.
  FailureOr<StringRef> findText(StringRef message, uint32_t number) {
    StringRef result;
    while (!message.empty()) {
      Field field;
      if (failed(reader.read(message, field)))
        return failure();
      if (field.number == number && field.wireType == kLengthDelimited)
        result = field.payload;
    }
    return result;
  }

  /// Another model's configuration stays; ours is written anew.
  LogicalResult copyConfiguration(const Field &field, Text &out) {
    FailureOr<StringRef> name = findText(field.payload, kConfigurationName);
    if (failed(name))
      return failure();
    if (*name != kStageConfiguration)
      out.add(field.whole);
    return success();
  }

  /// What a node says of its devices stays without its stage, if there is more than that.
  LogicalResult copyDevices(const Field &field, Text &out) {
    FailureOr<StringRef> configuration = findText(field.payload, kDevicesConfiguration);
    if (failed(configuration))
      return failure();
    Text kept;
    bool hasMore = false;
    for (StringRef in = field.payload; !in.empty();) {
      Field part;
      if (failed(reader.read(in, part)))
        return failure();
      hasMore |= part.number == kDevicesSharding;
      if (part.number != kDevicesStage)
        kept.add(part.whole);
    }
    if (!hasMore || *configuration == kStageConfiguration)
      return success();
    std::string header;
    writeHeader(header, field.number, kept.numBytes);
    out.add(saver.save(header));
    out.add(kept);
    return success();
  }

  void addStage(int64_t stage, Text &out) {
    std::string entry, field;
    writeBytes(entry, kDevicesConfiguration, kStageConfiguration);
    writeVarint(entry, kDevicesStage << 3 | kVarint);
    writeVarint(entry, stage);
    writeBytes(field, kNodeDevices, entry);
    out.add(saver.save(field));
  }

  void addModelFields(Text &out) {
    std::string fields, entry;
    writeVarint(fields, kModelIrVersion << 3 | kVarint);
    writeVarint(fields, std::max(irVersion, kIrVersion));
    writeBytes(entry, kConfigurationName, kStageConfiguration);
    writeVarint(entry, kConfigurationNumDevices << 3 | kVarint);
    writeVarint(entry, numStages);
    writeBytes(fields, kModelConfiguration, entry);
    out.add(saver.save(fields));
  }

  FieldReader reader;
  const NodeStages &stages;
  int64_t numStages, numNodes = 0;
  uint64_t irVersion = 0;
  llvm::StringSaver saver;
};

} // namespace

LogicalResult StageText::annotate(StringRef model, const NodeStages &stages, int64_t numStages, std::string &error) {
  Text text;
  if (failed(Annotator(model, stages, numStages, allocator, error).copyMessage(Message::kModel, model, text, 0)))
    return failure();
  pieces = std::move(text.pieces);
  return success();
}

} // namespace penstock::onnximport
