//===- RtProgram.cpp - Order of the calls of a role -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// The rules of Abi.h on the order of calls, checked by walking the program once with the state of each channel.
//===----------------------------------------------------------------------===//
#include "penstock/Dialect/Rt/IR/RtOps.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringMap.h"

using namespace mlir;
using namespace penstock::rtir;

template <typename OpT> static LogicalResult verifyChannel(OpT op, SymbolTableCollection &table) {
  if (table.lookupNearestSymbolFrom<ChannelOp>(op, op.getChannelAttr()))
    return success();
  return op.emitOpError() << "names '" << op.getChannel() << "', which is no channel of the role";
}
LogicalResult WaitOp::verifySymbolUses(SymbolTableCollection &table) { return verifyChannel(*this, table); }
LogicalResult UploadOp::verifySymbolUses(SymbolTableCollection &table) { return verifyChannel(*this, table); }
LogicalResult AcquireOp::verifySymbolUses(SymbolTableCollection &table) { return verifyChannel(*this, table); }
LogicalResult DownloadOp::verifySymbolUses(SymbolTableCollection &table) { return verifyChannel(*this, table); }
LogicalResult PublishOp::verifySymbolUses(SymbolTableCollection &table) { return verifyChannel(*this, table); }
LogicalResult ReleaseOp::verifySymbolUses(SymbolTableCollection &table) { return verifyChannel(*this, table); }

namespace {
/// How far a channel is in one direction: its first call (wait, acquire), the copy that a device needs (upload,
/// download), and its last (release, publish).
enum class Progress { kNone, kHeld, kCopied, kDone };

class ProgramChecker {
public:
  explicit ProgramChecker(RoleOp role)
      : role(role), channels(role.getChannels()), storages(role.getStorages()), steps(role.getSteps()) {}

  LogicalResult check(Operation &op) {
    return llvm::TypeSwitch<Operation *, LogicalResult>(&op)
        .Case<BeginOp, EndOp>([&](auto end) { return checkEdge(end); })
        .Case<WaitOp>([&](WaitOp wait) { return advance(wait, received, Progress::kHeld); })
        .Case<UploadOp>([&](UploadOp upload) { return advance(upload, received, Progress::kCopied); })
        .Case<ReleaseOp>([&](ReleaseOp release) { return advance(release, received, Progress::kDone); })
        .Case<AcquireOp>([&](AcquireOp acquire) {
          return success(succeeded(checkBound(acquire)) && succeeded(advance(acquire, sent, Progress::kHeld)));
        })
        .Case<DownloadOp>([&](DownloadOp download) { return advance(download, sent, Progress::kCopied); })
        .Case<PublishOp>([&](PublishOp publish) { return advance(publish, sent, Progress::kDone); })
        .Case<BindOp>([&](BindOp bind) { return checkBind(bind); })
        .Case<CheckOp>([&](CheckOp check) { return checkExtents(check); })
        .Case<SetSymbolOp>([&](SetSymbolOp set) { return checkSetSymbol(set); })
        .Case<KernelCallOp>([&](KernelCallOp call) { return checkCall(call); })
        .Case<DoneOp>([&](DoneOp done) { return checkDone(done); })
        .Default([&](Operation *other) { return other->emitOpError() << "does not belong into a program"; });
  }

  LogicalResult finish(ProgramOp program) {
    if (!bound) // program_c4
      return program.emitOpError() << "has no rt.bind";
    if (callOpen || numDone != static_cast<int64_t>(steps.size())) // program_c6
      return program.emitOpError() << "completes " << numDone << " steps; expected " << steps.size();
    for (ChannelOp channel : channels) {
      if (channel.getConsumer() && received.lookup(channel.getSymName()) != Progress::kDone) // program_c2
        return program.emitOpError() << "does not wait for and release channel '" << channel.getSymName() << "'";
      if (channel.getOut() && sent.lookup(channel.getSymName()) != Progress::kDone) // program_c3
        return program.emitOpError() << "does not acquire and publish channel '" << channel.getSymName() << "'";
    }
    return success();
  }

private:
  using States = llvm::StringMap<Progress>;

  LogicalResult checkEdge(Operation *op) { // program_c1
    Block &block = *op->getBlock();
    if (op != (isa<BeginOp>(op) ? &block.front() : &block.back()))
      return op->emitOpError() << "expected at the " << (isa<BeginOp>(op) ? "begin" : "end") << " of the program only";
    return success();
  }
  /// Are messages of the channel copied between host and device?
  bool isStaged(StringRef name) {
    auto channel = llvm::find_if(channels, [&](ChannelOp channel) { return channel.getSymName() == name; });
    return role.getDevice() && channel != channels.end() && !channel->getCarrier();
  }
  template <typename OpT> LogicalResult advance(OpT op, States &states, Progress next) {
    bool staged = isStaged(op.getChannel());
    if (next == Progress::kCopied && !staged) // program_c8
      return op.emitOpError() << "on channel '" << op.getChannel()
                              << "' has nothing to copy; expected a channel of the host, in a role on a device";
    Progress &state = states[op.getChannel()];
    Progress expected = next == Progress::kHeld             ? Progress::kNone
                        : next == Progress::kDone && staged ? Progress::kCopied
                                                            : Progress::kHeld;
    if (state != expected) // program_c2, program_c3, program_c8
      return op.emitOpError() << "on channel '" << op.getChannel() << "' is out of order; expected once each: wait, "
                              << (staged ? "upload, " : "") << "release of a received channel, acquire, "
                              << (staged ? "download, " : "") << "publish of a sent one";
    state = next;
    return success();
  }
  LogicalResult checkBound(Operation *op) { // program_c4
    return bound ? success() : op->emitOpError() << "comes before rt.bind";
  }
  LogicalResult checkBind(BindOp op) {
    if (bound || llvm::none_of(received, [](auto &entry) { return entry.second != Progress::kNone; }))
      return op.emitOpError() << "expected once, after the first wait";
    bound = true;
    return success();
  }
  LogicalResult checkExtents(CheckOp op) {
    int64_t count = role.getNumExtents();
    if (static_cast<int64_t>(op.getLhs()) >= count || static_cast<int64_t>(op.getRhs()) >= count)
      return op.emitOpError() << "compares extents " << op.getLhs() << " and " << op.getRhs() << "; the role has "
                              << count;
    return checkBound(op);
  }
  LogicalResult checkSetSymbol(SetSymbolOp op) { // program_c7
    if (failed(checkBound(op)))
      return failure();
    auto symbols = role.getBody().front().getOps<penstock::rtir::SymbolOp>();
    bool isKnown = llvm::any_of(symbols, [&](penstock::rtir::SymbolOp symbol) {
      return symbol.getData() && symbol.getName() == op.getSymbol();
    });
    if (!isKnown)
      return op.emitOpError() << "sets '" << op.getSymbol() << "', which is no data symbol of the role";
    if (op.getStorage() >= storages.size() ||
        (op.getBound() && static_cast<int64_t>(*op.getBound()) >= role.getNumExtents()))
      return op.emitOpError() << "uses storage " << op.getStorage() << " or a bound that the role does not have";
    return success();
  }
  LogicalResult checkCall(KernelCallOp op) {
    if (failed(checkBound(op)))
      return failure();
    if (callOpen) // program_c6
      return op.emitOpError() << "follows a call without its rt.done";
    callOpen = true;
    if (static_cast<int64_t>(op.getSymbols()) > role.getNumExtents())
      return op.emitOpError() << "takes symbols from extent " << op.getSymbols() << "; the role has "
                              << role.getNumExtents();
    for (int64_t buffer : op.getBuffers())
      if (failed(checkBuffer(op, buffer)))
        return failure();
    return success();
  }
  LogicalResult checkBuffer(KernelCallOp op, int64_t buffer) { // program_c5
    if (buffer < 0 || buffer >= static_cast<int64_t>(storages.size()))
      return op.emitOpError() << "uses storage " << buffer << "; the role has " << storages.size();
    StorageOp storage = storages[buffer];
    bool isIn = storage.getKind() == StorageKind::channel_in, isOut = storage.getKind() == StorageKind::channel_out;
    if (!isIn && !isOut)
      return success();
    StringRef channel = channels[storage.getChannel()].getSymName();
    Progress state = (isIn ? received : sent).lookup(channel);
    if (state == Progress::kNone || (isIn && state == Progress::kDone))
      return op.emitOpError() << "uses a slot of channel '" << channel << "' outside of the time in which it is held";
    if (isIn && state == Progress::kHeld && isStaged(channel)) // program_c8
      return op.emitOpError() << "uses a message of channel '" << channel << "' that is not uploaded";
    return success();
  }
  LogicalResult checkDone(DoneOp op) { // program_c6
    if (!callOpen || static_cast<int64_t>(op.getStep()) != numDone || numDone >= static_cast<int64_t>(steps.size()))
      return op.emitOpError() << "completes step " << op.getStep() << "; expected " << numDone << " after its call";
    callOpen = false;
    ++numDone;
    return success();
  }

  RoleOp role;
  std::vector<ChannelOp> channels;
  std::vector<StorageOp> storages;
  std::vector<StepOp> steps;
  States received, sent;
  bool bound = false, callOpen = false;
  int64_t numDone = 0;
};
} // namespace

LogicalResult ProgramOp::verifyOrder() {
  Block &block = getBody().front();
  if (block.empty() || !isa<BeginOp>(block.front()) || !isa<EndOp>(block.back())) // program_c1
    return emitOpError() << "expected to begin with rt.begin and to end with rt.end";
  ProgramChecker checker(cast<RoleOp>(getOperation()->getParentOp()));
  for (Operation &op : block)
    if (failed(checker.check(op)))
      return failure();
  return checker.finish(*this);
}
