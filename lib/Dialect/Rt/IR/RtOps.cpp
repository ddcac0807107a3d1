//===- RtOps.cpp - Tables of a role -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// Verifiers of the tables; what a table may refer to is checked here, so that lowering need not.
//===----------------------------------------------------------------------===//
#include "penstock/Dialect/Rt/IR/RtOps.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace penstock::rtir;

#define GET_OP_CLASSES
#include "penstock/Dialect/Rt/IR/RtOps.cpp.inc"

template <typename OpT> static std::vector<OpT> collect(RoleOp role) {
  auto range = role.getBody().front().getOps<OpT>();
  return std::vector<OpT>(range.begin(), range.end());
}

std::vector<ChannelOp> RoleOp::getChannels() { return collect<ChannelOp>(*this); }
std::vector<StorageOp> RoleOp::getStorages() { return collect<StorageOp>(*this); }
std::vector<StepOp> RoleOp::getSteps() { return collect<StepOp>(*this); }
ProgramOp RoleOp::getProgram() { return *getBody().front().getOps<ProgramOp>().begin(); }
int64_t RoleOp::getNumRoots() { return collect<penstock::rtir::SymbolOp>(*this).size(); }
int64_t RoleOp::getNumDataSymbols() {
  return llvm::count_if(collect<penstock::rtir::SymbolOp>(*this),
                        [](penstock::rtir::SymbolOp symbol) { return symbol.getData(); });
}

//===----------------------------------------------------------------------===//
// RoleOp
//===----------------------------------------------------------------------===//

/// Position of an op's kind in the body of a role; -1 for an op that does not belong there.
static int rankInRole(Operation &op) {
  return llvm::TypeSwitch<Operation *, int>(&op)
      .Case<penstock::rtir::SymbolOp>([](auto symbol) { return symbol.getData() ? 1 : 0; })
      .Case<DerivedSymbolOp>([](auto) { return 2; })
      .Case<ChannelOp>([](auto) { return 3; })
      .Case<StorageOp>([](auto) { return 4; })
      .Case<StepOp>([](auto) { return 5; })
      .Case<ProgramOp>([](auto) { return 6; })
      .Default([](auto) { return -1; });
}

static LogicalResult verifyBody(RoleOp role) { // role_c2
  int rank = 0, numPrograms = 0;
  for (Operation &op : role.getBody().front()) {
    int next = rankInRole(op);
    if (next < rank)
      return op.emitOpError()
             << "stands in the wrong place of a role; expected symbols (data symbols last), derived symbols, channels, "
                "storages, steps, one program";
    rank = next;
    numPrograms += isa<ProgramOp>(op);
  }
  if (numPrograms != 1)
    return role.emitOpError() << "has " << numPrograms << " programs; expected 1";
  return success();
}

static LogicalResult verifyNumbers(RoleOp role) { // role_c1, role_c6
  if (role.getRole() >= role.getNumRoles() || static_cast<int64_t>(role.getRole()) < 0)
    return role.emitOpError() << "is role " << role.getRole() << " of " << role.getNumRoles();
  DenseSet<int64_t> seen;
  for (int64_t stage : role.getOwnStages())
    if (stage < 0 || stage >= static_cast<int64_t>(role.getNumStages()) || !seen.insert(stage).second)
      return role.emitOpError() << "runs stage " << stage << "; expected distinct stages below " << role.getNumStages();
  if (static_cast<int64_t>(role.getArenaBytes()) < -1)
    return role.emitOpError() << "has an arena of " << static_cast<int64_t>(role.getArenaBytes())
                              << " bytes; expected -1 or more";
  if (static_cast<int64_t>(role.getNumThreads()) < 1)
    return role.emitOpError() << "has " << static_cast<int64_t>(role.getNumThreads())
                              << " threads; expected at least 1";
  return success();
}

static LogicalResult verifySymbols(RoleOp role) { // role_c3, derived_symbol_c1
  unsigned numSymbols = role.getNumRoots();
  for (DerivedSymbolOp derived : collect<DerivedSymbolOp>(role)) {
    AffineMap map = derived.getMap();
    if (map.getNumDims() != 0 || map.getNumResults() == 0 || map.getNumSymbols() > numSymbols)
      return derived.emitOpError() << "has the map " << derived.getMapAttr() << "; expected results over at most "
                                   << numSymbols << " earlier symbols and no dimensions";
    ++numSymbols;
  }
  AffineMap extents = role.getExtents();
  if (extents.getNumDims() != 0 || extents.getNumSymbols() != numSymbols)
    return role.emitOpError() << "has extents over " << extents.getNumDims() << " dimensions and "
                              << extents.getNumSymbols() << " symbols; expected 0 and " << numSymbols;
  return success();
}

static LogicalResult verifyDevice(RoleOp role) { // role_c9
  if (auto device = role.getDevice(); device && *device != "cuda")
    return role.emitOpError() << "runs on device '" << *device << "'; expected 'cuda', or none";
  return success();
}

static LogicalResult verifyHashes(RoleOp role) { // role_c8
  auto check = [&](std::optional<StringRef> text, size_t numDigits, StringRef name) -> LogicalResult {
    if (!text || (text->size() == numDigits && llvm::all_of(*text, llvm::isHexDigit)))
      return success();
    return role.emitOpError() << "has the " << name << " '" << *text << "'; expected " << numDigits
                              << " hexadecimal digits";
  };
  if (!role.getIdentity().empty() && !role.getIdentity().ends_with("\n"))
    return role.emitOpError() << "has an identity that ends within a line";
  return success(succeeded(check(role.getFingerprint(), 64, "fingerprint")) &&
                 succeeded(check(role.getWeightsHash(), 32, "weights hash")));
}

static LogicalResult verifyArena(RoleOp role, StorageOp storage) { // role_c7
  int64_t arena = role.getArenaBytes(), offset = storage.getOffset(), numBytes = storage.getNumBytes();
  if (storage.getKind() != StorageKind::arena)
    return success();
  if ((arena == -1) != (offset == -1))
    return storage.emitOpError() << "has the offset " << offset << " in an arena of " << arena
                                 << " bytes; expected -1 exactly where the arena is planned at run time";
  if (arena != -1 && (numBytes < 0 || offset < 0 || numBytes > arena || offset > arena - numBytes))
    return storage.emitOpError() << "lies at " << offset << " with " << numBytes
                                 << " bytes; expected it inside the arena of " << arena;
  return success();
}

/// Every number of an op that may refer to an extent.
static LogicalResult verifyExtentReferences(Operation *op, ArrayRef<int64_t> numbers, int64_t numExtents) {
  for (int64_t number : numbers)
    if (number < -numExtents)
      return op->emitOpError() << "refers to extent " << -1 - number << "; the role has " << numExtents;
  return success();
}

static LogicalResult verifySteps(RoleOp role) { // role_c4, step_c1
  std::vector<StorageOp> storages = role.getStorages();
  for (auto [i, step] : llvm::enumerate(role.getSteps())) {
    if (step.getNumber() != i)
      return step.emitOpError() << "is number " << step.getNumber() << "; expected " << i;
    for (int64_t made : step.getResults()) {
      if (made < 0 || made >= static_cast<int64_t>(storages.size()))
        return step.emitOpError() << "makes storage " << made << "; the role has " << storages.size();
      StorageKind kind = storages[made].getKind();
      if (kind != StorageKind::arena && kind != StorageKind::channel_out && kind != StorageKind::state)
        return step.emitOpError() << "makes storage " << made << ", which is a " << stringifyStorageKind(kind)
                                  << "; expected one in the arena, in a channel that is sent, or a state";
    }
  }
  return success();
}

static LogicalResult verifyTables(RoleOp role) { // role_c4, role_c5, role_c7
  std::vector<ChannelOp> channels = role.getChannels();
  if (llvm::none_of(channels, [](ChannelOp channel) { return channel.getConsumer().has_value(); }))
    return role.emitOpError() << "receives no channel; expected at least one";
  for (ChannelOp channel : channels)
    if (failed(verifyExtentReferences(channel, channel.getDims(), role.getNumExtents())))
      return failure();
  for (auto [i, storage] : llvm::enumerate(role.getStorages())) {
    if (storage.getNumber() != i)
      return storage.emitOpError() << "is number " << storage.getNumber() << "; expected " << i;
    int64_t channel = storage.getChannel();
    bool isIn = storage.getKind() == StorageKind::channel_in, isOut = storage.getKind() == StorageKind::channel_out;
    if (isIn || isOut) // storage_c1
      if (channel < 0 || channel >= static_cast<int64_t>(channels.size()) ||
          (isIn ? !channels[channel].getConsumer() : !channels[channel].getOut()))
        return storage.emitOpError() << "lies in channel " << channel << ", which the role does not "
                                     << (isIn ? "receive" : "send");
    if (failed(verifyArena(role, storage)) ||
        failed(verifyExtentReferences(storage, {static_cast<int64_t>(storage.getNumBytes())}, role.getNumExtents())))
      return failure();
  }
  return verifySteps(role);
}

LogicalResult RoleOp::verifyRegions() {
  return success(succeeded(verifyNumbers(*this)) && succeeded(verifyBody(*this)) && succeeded(verifySymbols(*this)) &&
                 succeeded(verifyHashes(*this)) && succeeded(verifyDevice(*this)) && succeeded(verifyTables(*this)) &&
                 succeeded(getProgram().verifyOrder()));
}

//===----------------------------------------------------------------------===//
// Tables
//===----------------------------------------------------------------------===//

LogicalResult ChannelOp::verify() {
  int64_t depth = getDepth(), slotBytes = getSlotBytes();
  if (getConsumers().empty()) // channel_c1
    return emitOpError() << "has no consumer";
  if (depth < 1)
    return emitOpError() << "has a depth of " << depth << "; expected at least 1";
  if (slotBytes < -1)
    return emitOpError() << "has slots of " << slotBytes << " bytes; expected -1 or more";
  if (!getConsumer() && !getOut()) // channel_c3
    return emitOpError() << "is neither received nor sent by the role";
  if (getConsumer() && *getConsumer() >= getConsumers().size())
    return emitOpError() << "is received by consumer " << *getConsumer() << " of " << getConsumers().size();
  if (!getRuntimeType(getElementType())) // channel_c4
    return emitOpError() << "carries elements of type " << getElementType() << ", which the runtime does not know";
  if (getCarrier() && *getCarrier() != "nccl") // channel_c5
    return emitOpError() << "is carried by '" << *getCarrier() << "'; expected 'nccl', or none";
  return success();
}

LogicalResult StorageOp::verify() {
  bool ofChannel = getKind() == StorageKind::channel_in || getKind() == StorageKind::channel_out;
  int64_t channel = getChannel(), first = getFirst(), last = getLast(), numBytes = getNumBytes();
  if (ofChannel != (channel >= 0)) // storage_c1
    return emitOpError() << "gives channel " << channel << "; expected one exactly for storage in a channel";
  if ((getKind() == StorageKind::weight) != getWeight().has_value()) // storage_c2
    return emitOpError() << "expected a weight exactly for the kind 'weight'";
  if ((getKind() == StorageKind::constant) != getValue().has_value()) // storage_c3
    return emitOpError() << "expected a value exactly for the kind 'constant'";
  if (getKind() == StorageKind::state && numBytes < 0) // storage_c4
    return emitOpError() << "is a state of unknown size";
  if (getKind() == StorageKind::arena && (first < 0 || last < first)) // storage_c5
    return emitOpError() << "is used from step " << first << " to " << last << "; expected 0 <= first <= last";
  return success();
}
