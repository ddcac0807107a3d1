//===- PipeOps.cpp - Channels, stages and states -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "penstock/Dialect/Pipe/IR/PipeOps.h"
#include "penstock/Dialect/Pipe/IR/DeviceAttrs.h"

#include "penstock/Dialect/NN/IR/Heads.h"

using namespace mlir;
using namespace penstock::pipe;

#define GET_OP_CLASSES
#include "penstock/Dialect/Pipe/IR/PipeOps.cpp.inc"

static LogicalResult verifyRankedType(Operation *op, Type type) {
  if (!isa<RankedTensorType>(type))
    return op->emitOpError() << "has type " << type << "; expected a ranked tensor";
  return success();
}

static bool contains(ArrayAttr symbols, StringRef name) {
  return llvm::any_of(symbols.getAsRange<FlatSymbolRefAttr>(),
                      [&](FlatSymbolRefAttr symbol) { return symbol.getValue() == name; });
}

/// The first symbol that is listed twice, or null.
static FlatSymbolRefAttr findDuplicate(ArrayAttr symbols) {
  llvm::SmallDenseSet<Attribute> seen;
  for (auto symbol : symbols.getAsRange<FlatSymbolRefAttr>())
    if (!seen.insert(symbol).second)
      return symbol;
  return {};
}

//===----------------------------------------------------------------------===//
// pipe.input, pipe.output
//===----------------------------------------------------------------------===//

/// The type is a tensor, and the axis of the batch, if any, is one of its axes.
template <typename OpT> static LogicalResult verifyTypeAndBatch(OpT op) {
  if (failed(verifyRankedType(op, op.getType())))
    return failure();
  int64_t numDims = cast<RankedTensorType>(op.getType()).getRank(), batch = op.getBatch().value_or(0);
  if (op.getBatch() && (batch < 0 || batch >= numDims))
    return op.emitOpError() << "has batch axis " << batch << " but " << numDims << " axes";
  return success();
}

LogicalResult InputOp::verify() { return verifyTypeAndBatch(*this); }  // input_c1, input_c3
LogicalResult OutputOp::verify() { return verifyTypeAndBatch(*this); } // output_c1, output_c3

/// The channel of an input or output must exist, belong to `end`, and have its type.
template <typename OpT>
static LogicalResult verifyEnd(OpT op, FlatSymbolRefAttr name, StringRef end, bool (ChannelOp::*hasEnd)(),
                               SymbolTableCollection &symbols) {
  auto channel = symbols.lookupNearestSymbolFrom<ChannelOp>(op, name);
  if (!channel)
    return op.emitOpError() << "goes via " << name << ", which is no pipe.channel";
  if (!(channel.*hasEnd)())
    return op.emitOpError() << "goes via " << name << ", which has no end at @" << end;
  if (channel.getType() != op.getType())
    return op.emitOpError() << "has type " << op.getType() << " but channel " << name << " carries "
                            << channel.getType();
  return success();
}

LogicalResult InputOp::verifySymbolUses(SymbolTableCollection &symbols) {
  if (!getChannelAttr())
    return success();
  return verifyEnd(*this, getChannelAttr(), PipeDialect::getSourceName(), &ChannelOp::isFromSource,
                   symbols); // input_c2
}

LogicalResult OutputOp::verifySymbolUses(SymbolTableCollection &symbols) {
  return verifyEnd(*this, getChannelAttr(), PipeDialect::getSinkName(), &ChannelOp::isToSink, symbols); // output_c2
}

//===----------------------------------------------------------------------===//
// pipe.channel
//===----------------------------------------------------------------------===//

bool ChannelOp::isFromSource() { return getProducer() == PipeDialect::getSourceName(); }
bool ChannelOp::isToSink() { return contains(getConsumers(), PipeDialect::getSinkName()); }

int64_t ChannelOp::getConsumerIndex(StringRef stage) {
  for (auto [i, symbol] : llvm::enumerate(getConsumers().getAsRange<FlatSymbolRefAttr>()))
    if (symbol.getValue() == stage)
      return i;
  return -1;
}

LogicalResult ChannelOp::verify() {
  if (failed(verifyRankedType(*this, getType()))) // channel_c1
    return failure();
  if (getConsumers().empty())
    return emitOpError() << "has no consumer; expected at least one"; // channel_c2
  if (FlatSymbolRefAttr twice = findDuplicate(getConsumers()))
    return emitOpError() << "names consumer " << twice << " twice"; // channel_c2
  if (getProducer() == PipeDialect::getSinkName())
    return emitOpError() << "comes from @sink, which sends nothing"; // channel_c3
  if (contains(getConsumers(), PipeDialect::getSourceName()))
    return emitOpError() << "goes to @source, which receives nothing"; // channel_c3
  int64_t delay = getDelay();
  if (getDepth() && static_cast<int64_t>(*getDepth()) < 1)
    return emitOpError() << "has depth " << static_cast<int64_t>(*getDepth()) << "; expected at least 1"; // channel_c4
  if (delay < 0)
    return emitOpError() << "has delay " << delay << "; expected at least 0"; // channel_c4
  if (delay == 0 && contains(getConsumers(), getProducer()))
    return emitOpError() << "goes from @" << getProducer()
                         << " to itself; expected a delay of at least 1"; // channel_c5
  if (getSlotBytes() && getSlotBytes()->getExprs().size() != 1)
    return emitOpError() << "has " << getSlotBytes()->getExprs().size() << " slot sizes; expected one";
  return success();
}

/// channel_c7
static LogicalResult verifyCarrier(ChannelOp channel, SymbolTableCollection &symbols) {
  Attribute carrier = channel->getAttr(kCarrierAttr);
  if (!carrier)
    return success();
  if (carrier != StringAttr::get(channel.getContext(), "nccl"))
    return channel.emitOpError() << "is carried by " << carrier << "; expected \"nccl\", or no carrier";
  SmallVector<FlatSymbolRefAttr> ends(channel.getConsumers().getAsRange<FlatSymbolRefAttr>());
  ends.push_back(channel.getProducerAttr());
  for (FlatSymbolRefAttr name : ends)
    if (auto stage = symbols.lookupNearestSymbolFrom<StageOp>(channel, name); !stage || !stage->hasAttr(kDeviceAttr))
      return channel.emitOpError() << "is carried by " << carrier << ", and " << name
                                   << " is not on a device; expected a pipe.stage with " << kDeviceAttr
                                   << " at each end";
  return success();
}

LogicalResult ChannelOp::verifySymbolUses(SymbolTableCollection &symbols) {
  if (!isFromSource()) {
    auto producer = symbols.lookupNearestSymbolFrom<StageOp>(*this, getProducerAttr());
    if (!producer)
      return emitOpError() << "comes from " << getProducerAttr() << ", which is no pipe.stage"; // channel_c3
    if (!contains(producer.getWrites(), getSymName()))
      return emitOpError() << "comes from " << getProducerAttr() << ", which does not write it"; // channel_c6
  }
  for (auto name : getConsumers().getAsRange<FlatSymbolRefAttr>()) {
    if (name.getValue() == PipeDialect::getSinkName())
      continue;
    auto consumer = symbols.lookupNearestSymbolFrom<StageOp>(*this, name);
    if (!consumer)
      return emitOpError() << "goes to " << name << ", which is no pipe.stage"; // channel_c3
    if (!contains(consumer.getReads(), getSymName()))
      return emitOpError() << "goes to " << name << ", which does not read it"; // channel_c6
  }
  return verifyCarrier(*this, symbols);
}

//===----------------------------------------------------------------------===//
// pipe.state
//===----------------------------------------------------------------------===//

LogicalResult StateOp::verify() { return verifyRankedType(*this, getType()); } // state_c1

LogicalResult StateOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto stage = symbols.lookupNearestSymbolFrom<StageOp>(*this, getStageAttr());
  if (!stage || !contains(stage.getStates(), getSymName()))
    return emitOpError() << "belongs to " << getStageAttr() << ", which is no pipe.stage that lists it"; // state_c2
  if (!getInitAttr())
    return success();
  auto weight = symbols.lookupNearestSymbolFrom<penstock::nn::WeightOp>(*this, getInitAttr());
  if (!weight || weight.getType() != getType())
    return emitOpError() << "starts as " << getInitAttr() << ", which is no nn.weight of type "
                         << getType(); // state_c3
  return success();
}

//===----------------------------------------------------------------------===//
// pipe.stage
//===----------------------------------------------------------------------===//

int64_t StageOp::getStageIndex() {
  int64_t index = 0;
  for (StageOp stage : (*this)->getParentOfType<ModuleOp>().getOps<StageOp>()) {
    if (stage == *this)
      return index;
    ++index;
  }
  return -1;
}

static ParseResult parseSymbolList(OpAsmParser &parser, StringRef keyword, StringRef attrName, OperationState &result) {
  SmallVector<Attribute> symbols;
  if (succeeded(parser.parseOptionalKeyword(keyword)) &&
      parser.parseCommaSeparatedList(AsmParser::Delimiter::Square, [&]() -> ParseResult {
        StringAttr name;
        if (parser.parseSymbolName(name))
          return failure();
        symbols.push_back(FlatSymbolRefAttr::get(name));
        return success();
      }))
    return failure();
  result.addAttribute(attrName, parser.getBuilder().getArrayAttr(symbols));
  return success();
}

ParseResult StageOp::parse(OpAsmParser &parser, OperationState &result) {
  SmallVector<OpAsmParser::Argument> arguments;
  SmallVector<Type> resultTypes;
  if (penstock::nn::parseHead(parser, result, arguments, resultTypes) ||
      parseSymbolList(parser, "reads", "reads", result) || parseSymbolList(parser, "writes", "writes", result) ||
      parseSymbolList(parser, "states", "states", result))
    return failure();
  StringAttr group;
  if (succeeded(parser.parseOptionalKeyword("group")) && parser.parseAttribute(group, "group", result.attributes))
    return failure();
  if (parser.parseOptionalAttrDictWithKeyword(result.attributes))
    return failure();
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseRegion(*result.addRegion(), arguments))
    return failure();
  Region &body = *result.regions.front();
  if (body.empty() || body.front().empty() || body.front().back().getOperandTypes() != TypeRange(resultTypes))
    return parser.emitError(loc) << "the stage does not end in a pipe.return of the result types"; // stage_c3
  return success();
}

static void printSymbolList(OpAsmPrinter &printer, StringRef keyword, ArrayAttr symbols) {
  printer << " " << keyword << " [";
  llvm::interleaveComma(symbols.getAsRange<FlatSymbolRefAttr>(), printer,
                        [&](FlatSymbolRefAttr symbol) { printer.printSymbolName(symbol.getValue()); });
  printer << "]";
}

void StageOp::print(OpAsmPrinter &printer) {
  penstock::nn::printHead(printer, getSymName(), getBody(), getReturn()->getOperandTypes());
  printSymbolList(printer, "reads", getReads());
  printSymbolList(printer, "writes", getWrites());
  if (!getStates().empty())
    printSymbolList(printer, "states", getStates());
  if (getGroupAttr())
    printer << " group " << getGroupAttr();
  printer.printOptionalAttrDictWithKeyword((*this)->getAttrs(), {"sym_name", "reads", "writes", "states", "group"});
  printer << " ";
  printer.printRegion(getBody(), /*printEntryBlockArgs=*/false);
}

/// True if an op may stand in a stage: it has no effect but on storage of the stage itself.
static bool isAllowedInStage(Operation *op) {
  if (isa<penstock::nn::CallOp, penstock::nn::EmptyOp, ReturnOp>(op))
    return true;
  return !isa<PipeDialect>(op->getDialect()) && isMemoryEffectFree(op);
}

LogicalResult StageOp::verify() {
  if (getSymName() == PipeDialect::getSourceName() || getSymName() == PipeDialect::getSinkName())
    return emitOpError() << "has the reserved name @" << getSymName(); // stage_c1
  if (FlatSymbolRefAttr twice = findDuplicate(getReads()))
    return emitOpError() << "reads " << twice << " twice"; // stage_c2
  if (FlatSymbolRefAttr twice = findDuplicate(getWrites()))
    return emitOpError() << "writes " << twice << " twice"; // stage_c3
  if (getReads().empty())
    return emitOpError() << "reads no channel; expected at least one"; // stage_c5
  Block &block = getBody().front();
  if (block.getNumArguments() != getReads().size() + getStates().size())
    return emitOpError() << "has " << block.getNumArguments() << " arguments; expected " << getReads().size()
                         << " for its reads and " << getStates().size() << " for its states"; // stage_c2
  auto ret = dyn_cast<ReturnOp>(block.empty() ? nullptr : &block.back());
  if (!ret)
    return emitOpError() << "does not end in a pipe.return"; // stage_c3
  if (ret.getNumOperands() != getWrites().size() + getStates().size())
    return emitOpError() << "returns " << ret.getNumOperands() << " values; expected " << getWrites().size()
                         << " for its writes and " << getStates().size() << " for its states"; // stage_c3
  for (Operation &op : block)
    if (!isAllowedInStage(&op))
      return op.emitOpError() << "is not pure; expected only nn.call, nn.empty and pure ops in a stage"; // stage_c4
  return success();
}

/// The channels of one direction must exist, have this stage as that end, and carry the values' types.
static LogicalResult verifyChannels(StageOp stage, ArrayAttr names, bool isRead, TypeRange types,
                                    SymbolTableCollection &symbols) {
  for (auto [name, type] : llvm::zip(names.getAsRange<FlatSymbolRefAttr>(), types)) {
    StringRef verb = isRead ? "reads " : "writes ";
    auto channel = symbols.lookupNearestSymbolFrom<ChannelOp>(stage, name);
    if (!channel)
      return stage.emitOpError() << verb << name << ", which is no pipe.channel"; // stage_c6
    bool isEnd =
        isRead ? channel.getConsumerIndex(stage.getSymName()) >= 0 : channel.getProducer() == stage.getSymName();
    if (!isEnd)
      return stage.emitOpError() << verb << name << ", which does not name it as "
                                 << (isRead ? "consumer" : "producer"); // stage_c6
    if (channel.getType() != type)
      return stage.emitOpError() << verb << name << " as " << type << " but the channel carries "
                                 << channel.getType(); // stage_c2, stage_c3
  }
  return success();
}

static LogicalResult verifyStates(StageOp stage, SymbolTableCollection &symbols) {
  size_t numReads = stage.getReads().size(), numWrites = stage.getWrites().size();
  for (auto [i, name] : llvm::enumerate(stage.getStates().getAsRange<FlatSymbolRefAttr>())) {
    auto state = symbols.lookupNearestSymbolFrom<StateOp>(stage, name);
    if (!state || state.getStage() != stage.getSymName())
      return stage.emitOpError() << "keeps " << name << ", which is no pipe.state of it"; // stage_c6
    Type in = stage.getBody().getArgument(numReads + i).getType();
    Type out = stage.getReturn()->getOperand(numWrites + i).getType();
    if (in != state.getType() || out != state.getType())
      return stage.emitOpError() << "keeps " << name << " as " << in << " and returns " << out << "; expected "
                                 << state.getType(); // stage_c2, stage_c3
    if (!state.getPerSession())
      continue;
    for (auto read : stage.getReads().getAsRange<FlatSymbolRefAttr>())
      if (!symbols.lookupNearestSymbolFrom<ChannelOp>(stage, read).getPerSession())
        return stage.emitOpError() << "keeps " << name << " per session but reads " << read
                                   << ", whose messages have no session id"; // stage_c7
  }
  return success();
}

LogicalResult StageOp::verifySymbolUses(SymbolTableCollection &symbols) {
  if (failed(verifyChannels(*this, getReads(), /*isRead=*/true, getBody().getArgumentTypes(), symbols)) ||
      failed(verifyChannels(*this, getWrites(), /*isRead=*/false, getReturn()->getOperandTypes(), symbols)))
    return failure();
  return verifyStates(*this, symbols);
}
