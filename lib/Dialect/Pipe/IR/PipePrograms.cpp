//===- PipePrograms.cpp - Verifiers of programs and their items -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "penstock/Dialect/Pipe/IR/DeviceAttrs.h"
#include "penstock/Dialect/Pipe/IR/PipeOps.h"

using namespace mlir;
using namespace penstock::pipe;

/// Most microbatches of a round, and before the first round.
static constexpr uint64_t kMaxRound = 256;

static bool runsStage(ProgramOp program, StringRef stage) {
  return llvm::any_of(program.getStages().getAsRange<FlatSymbolRefAttr>(),
                      [&](FlatSymbolRefAttr symbol) { return symbol.getValue() == stage; });
}

//===----------------------------------------------------------------------===//
// pipe.program
//===----------------------------------------------------------------------===//

/// The microbatches of the runs of one stage and task in a region, in program order.
static SmallVector<int64_t> getMicrobatches(Region &region, StringRef stage, Task task) {
  SmallVector<int64_t> result;
  for (auto run : region.getOps<RunOp>())
    if (run.getStage() == stage && run.getTask() == task)
      result.push_back(run.getMicrobatch());
  return result;
}

/// program_c4 for one stage and task, with `numMicrobatches` in all.
static LogicalResult verifyExpansion(ProgramOp program, StringRef stage, Task task, int64_t numMicrobatches) {
  SmallVector<int64_t> ran = getMicrobatches(program.getPrologue(), stage, task);
  SmallVector<int64_t> steady = getMicrobatches(program.getSteady(), stage, task);
  int64_t base = program.getBase(), round = program.getRound();
  for (; base + round <= numMicrobatches; base += round)
    for (int64_t microbatch : steady)
      ran.push_back(base + microbatch);
  for (int64_t microbatch : getMicrobatches(program.getEpilogue(), stage, task))
    ran.push_back(base + microbatch);
  llvm::erase_if(ran, [&](int64_t microbatch) { return microbatch < 0 || microbatch >= numMicrobatches; });
  for (int64_t i = 0; i < numMicrobatches; ++i)
    if (i >= static_cast<int64_t>(ran.size()) || ran[i] != i)
      return program.emitOpError() << "with " << numMicrobatches << " microbatches, @" << stage
                                   << " does not run microbatch " << i << " once and in order";
  if (static_cast<int64_t>(ran.size()) != numMicrobatches)
    return program.emitOpError() << "with " << numMicrobatches << " microbatches, @" << stage << " runs " << ran.size()
                                 << " times";
  return success();
}

/// program_c4. From three rounds on, one more only repeats what two have shown.
static LogicalResult verifyMicrobatches(ProgramOp program, StringRef stage, Task task) {
  bool isRun = llvm::any_of(program->getRegions(),
                            [&](Region &region) { return !getMicrobatches(region, stage, task).empty(); });
  if (!isRun && task != Task::forward)
    return success();
  int64_t most = program.getBase() + 3 * program.getRound();
  for (int64_t numMicrobatches = 1; numMicrobatches <= most; ++numMicrobatches)
    if (failed(verifyExpansion(program, stage, task, numMicrobatches)))
      return failure();
  return success();
}

LogicalResult ProgramOp::verify() {
  if (getStages().empty())
    return emitOpError() << "runs no stage; expected at least one"; // program_c1
  llvm::SmallDenseSet<Attribute> seen;
  for (Attribute stage : getStages())
    if (!seen.insert(stage).second)
      return emitOpError() << "runs " << stage << " twice"; // program_c1
  if (static_cast<int64_t>(getReplicas()) < 1)
    return emitOpError() << "has " << static_cast<int64_t>(getReplicas())
                         << " replicas; expected at least 1"; // program_c5
  if (getBase() > kMaxRound || getRound() < 1 || getRound() > kMaxRound)
    return emitOpError() << "has base " << static_cast<int64_t>(getBase()) << " and round "
                         << static_cast<int64_t>(getRound()) << "; expected 0.." << kMaxRound << " and 1.."
                         << kMaxRound; // program_c5
  if (getPeriod() && !(getPeriod()->convertToDouble() > 0))
    return emitOpError() << "has a period that is not positive"; // program_c5
  for (Region &region : getOperation()->getRegions())
    for (Operation &op : region.getOps())
      if (!isa<RecvOp, UploadOp, RunOp, DownloadOp, SendOp>(op))
        return op.emitOpError() << "stands in a program; expected only pipe.recv, pipe.upload, pipe.run, pipe.download "
                                   "and pipe.send"; // program_c3
  for (auto stage : getStages().getAsRange<FlatSymbolRefAttr>())
    for (Task task : {Task::forward, Task::backward, Task::weight_gradient})
      if (failed(verifyMicrobatches(*this, stage.getValue(), task))) // program_c4
        return failure();
  return success();
}

LogicalResult ProgramOp::verifySymbolUses(SymbolTableCollection &symbols) {
  for (auto name : getStages().getAsRange<FlatSymbolRefAttr>()) {
    if (!symbols.lookupNearestSymbolFrom<StageOp>(*this, name))
      return emitOpError() << "runs " << name << ", which is no pipe.stage"; // program_c1
    for (ProgramOp other : (*this)->getParentOfType<ModuleOp>().getOps<ProgramOp>())
      if (other != *this && runsStage(other, name.getValue()))
        return emitOpError() << "runs " << name << ", which @" << other.getSymName() << " runs too"; // program_c2
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Items
//===----------------------------------------------------------------------===//

/// "@c0 ('relu_3', from @s0 to @s1 and @sink)"; the name alone where there is no such channel.
static std::string describeChannel(Operation *op, FlatSymbolRefAttr name, SymbolTableCollection &symbols) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  stream << name;
  auto channel = symbols.lookupNearestSymbolFrom<ChannelOp>(op, name);
  if (!channel)
    return stream.str();
  stream << " (";
  if (channel.getTensor())
    stream << "'" << *channel.getTensor() << "', ";
  stream << "from " << channel.getProducerAttr() << " to ";
  llvm::interleave(channel.getConsumers(), stream, " and ");
  stream << ")";
  return stream.str();
}

/// The channel that an item names, if one of the program's stages is at the right end of it and the type agrees.
template <typename OpT>
static LogicalResult verifyItemChannel(OpT op, Type type, bool isRecv, SymbolTableCollection &symbols) {
  auto program = cast<ProgramOp>(op->getParentOp());
  auto channel = symbols.lookupNearestSymbolFrom<ChannelOp>(op, op.getChannelAttr());
  if (!channel)
    return op.emitOpError() << "names " << op.getChannelAttr() << ", which is no pipe.channel"; // recv_c2, send_c2
  bool isEnd = isRecv ? llvm::any_of(channel.getConsumers().template getAsRange<FlatSymbolRefAttr>(),
                                     [&](FlatSymbolRefAttr stage) { return runsStage(program, stage.getValue()); })
                      : runsStage(program, channel.getProducer());
  if (!isEnd)
    return op.emitOpError() << "names " << op.getChannelAttr() << ", which no stage of @" << program.getSymName()
                            << (isRecv ? " reads" : " writes"); // recv_c2, send_c2
  if (channel.getType() != type)
    return op.emitOpError() << "has type " << type << "; channel " << describeChannel(op, op.getChannelAttr(), symbols)
                            << " carries " << channel.getType(); // recv_c3, send_c3
  return success();
}

LogicalResult RecvOp::verifySymbolUses(SymbolTableCollection &symbols) {
  if (failed(verifyItemChannel(*this, getType(), /*isRecv=*/true, symbols)))
    return failure();
  if (!getResult().hasOneUse())
    return emitOpError() << "has a message that is not used exactly once"; // recv_c4
  return success();
}

LogicalResult SendOp::verifySymbolUses(SymbolTableCollection &symbols) {
  if (failed(verifyItemChannel(*this, getValue().getType(), /*isRecv=*/false, symbols)))
    return failure();
  OpResult output = getOutput();
  if (!output)
    return emitOpError() << "sends a value that is no result of pipe.run"; // send_c4
  auto run = cast<RunOp>(output.getOwner());
  auto stage = symbols.lookupNearestSymbolFrom<StageOp>(*this, run.getStageAttr());
  unsigned index = output.getResultNumber();
  if (!stage || index >= stage.getWrites().size() || stage.getWrites()[index] != getChannelAttr())
    return emitOpError() << "sends result #" << index << " of " << run.getStageAttr() << " to " << getChannelAttr()
                         << ", which is not what the stage writes it to"; // send_c4
  return success();
}

RunOp RecvOp::getRun() {
  if (!getResult().hasOneUse())
    return {};
  Operation *user = *getResult().user_begin();
  if (auto upload = dyn_cast<UploadOp>(user))
    user = upload.getResult().hasOneUse() ? *upload.getResult().user_begin() : nullptr;
  return dyn_cast_or_null<RunOp>(user);
}

OpResult SendOp::getOutput() {
  Value value = getValue();
  if (auto download = value.getDefiningOp<DownloadOp>())
    value = download.getValue();
  return value.getDefiningOp<RunOp>() ? cast<OpResult>(value) : OpResult();
}

LogicalResult UploadOp::verifySymbolUses(SymbolTableCollection &) {
  auto recv = getValue().getDefiningOp<RecvOp>();
  if (!recv || (*this)->getPrevNode() != recv)
    return emitOpError() << "does not copy the message of a pipe.recv directly before it"; // upload_c2
  if (!getResult().hasOneUse() || !isa<RunOp>(*getResult().user_begin()))
    return emitOpError() << "copies message " << recv.getChannelAttr()
                         << " for what is not exactly one pipe.run"; // upload_c3
  return success();
}

LogicalResult DownloadOp::verifySymbolUses(SymbolTableCollection &) {
  if (!getValue().getDefiningOp<RunOp>())
    return emitOpError() << "copies a value that is no result of pipe.run"; // download_c2
  auto send = dyn_cast_or_null<SendOp>((*this)->getNextNode());
  if (!send || !getResult().hasOneUse() || send.getValue() != getResult())
    return emitOpError()
           << "has a copy that is not used exactly once, by a pipe.send directly behind it"; // download_c3
  return success();
}

bool penstock::pipe::isStaged(StageOp stage, ChannelOp channel) {
  return stage->getAttrOfType<StringAttr>(kDeviceAttr) && !channel->getAttrOfType<StringAttr>(kCarrierAttr);
}

/// run_c5 for an operand or result; nothing where there is no such channel, which is said elsewhere.
static LogicalResult verifyStaging(RunOp run, StageOp stage, bool isCopied, const Twine &what, StringRef verb,
                                   FlatSymbolRefAttr name, SymbolTableCollection &symbols) {
  auto channel = symbols.lookupNearestSymbolFrom<ChannelOp>(run, name);
  if (!channel || isCopied == isStaged(stage, channel))
    return success();
  auto device = stage->getAttrOfType<StringAttr>(kDeviceAttr);
  auto carrier = channel->getAttrOfType<StringAttr>(kCarrierAttr);
  return run.emitOpError() << what << " is " << (isCopied ? "" : "not ") << verb << "; " << run.getStageAttr()
                           << " runs on " << (device ? device.getValue() : "the host") << ", and "
                           << (carrier ? carrier.getValue() : "the host") << " carries "
                           << describeChannel(run, name, symbols);
}

LogicalResult RunOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto stage = symbols.lookupNearestSymbolFrom<StageOp>(*this, getStageAttr());
  auto program = cast<ProgramOp>((*this)->getParentOp());
  if (!stage || !runsStage(program, getStage()))
    return emitOpError() << "runs " << getStageAttr() << ", which is no stage of @" << program.getSymName(); // run_c1
  auto describe = [&](FlatSymbolRefAttr name) { return describeChannel(*this, name, symbols); };
  TypeRange reads = TypeRange(stage.getBody().getArgumentTypes()).take_front(stage.getReads().size());
  TypeRange writes = TypeRange(stage.getReturn()->getOperandTypes()).take_front(stage.getWrites().size());
  if (getOperandTypes() != reads || getResultTypes() != writes)
    return emitOpError() << "does not have the types of " << getStageAttr(); // run_c2
  for (auto [i, pair] : llvm::enumerate(llvm::zip(getInputs(), stage.getReads()))) {
    auto upload = std::get<0>(pair).getDefiningOp<UploadOp>();
    auto recv = (upload ? upload.getValue() : std::get<0>(pair)).getDefiningOp<RecvOp>();
    auto name = cast<FlatSymbolRefAttr>(std::get<1>(pair));
    if (!recv || recv.getChannelAttr() != name)
      return emitOpError() << "operand #" << i << " is not received from " << describe(name); // run_c3
    if (failed(verifyStaging(*this, stage, static_cast<bool>(upload), "operand #" + Twine(i), "uploaded", name,
                             symbols))) // run_c5
      return failure();
  }
  for (OpResult output : getOperation()->getResults()) {
    Operation *user = output.hasOneUse() ? *output.user_begin() : nullptr;
    auto name = cast<FlatSymbolRefAttr>(stage.getWrites()[output.getResultNumber()]);
    if (!isa_and_nonnull<SendOp, DownloadOp>(user))
      return emitOpError() << "result #" << output.getResultNumber() << " is not sent once, to "
                           << describe(name); // run_c4
    if (failed(verifyStaging(*this, stage, isa<DownloadOp>(user), "result #" + Twine(output.getResultNumber()),
                             "downloaded", name, symbols))) // run_c5
      return failure();
  }
  return success();
}
