//===- RtToLLVM.cpp - From calls of the runtime to LLVM -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "penstock/Conversion/RtToLLVM/RtToLLVM.h"

#include "Functions.h"
#include "penstock/rt/Abi.h"

#include "llvm/ADT/StringExtras.h"

namespace penstock {
#define GEN_PASS_DEF_CONVERTRTTOLLVMPASS
#include "penstock/Conversion/RtToLLVM/Passes.h.inc"
} // namespace penstock

using namespace mlir;
using namespace penstock;

static_assert(int(rtir::StorageKind::arena) == RT_STORAGE_ARENA &&
                  int(rtir::StorageKind::channel_in) == RT_STORAGE_CHANNEL_IN &&
                  int(rtir::StorageKind::channel_out) == RT_STORAGE_CHANNEL_OUT &&
                  int(rtir::StorageKind::weight) == RT_STORAGE_WEIGHT &&
                  int(rtir::StorageKind::constant) == RT_STORAGE_CONSTANT &&
                  int(rtir::StorageKind::state) == RT_STORAGE_STATE,
              "the dialect and the header must number the kinds of storage alike");

namespace {

class RoleConverter {
public:
  RoleConverter(rtir::RoleOp role, ModuleOp module)
      : role(role), module(module), types(role.getContext()), tables(module, types) {}

  LogicalResult convert();

private:
  LogicalResult checkLinked();
  std::string addChannels();
  FailureOr<std::string> addStorages();
  std::string addSteps();
  std::string addSymbols();

  rtir::RoleOp role;
  ModuleOp module;
  AbiTypes types;
  TableBuilder tables;
};

} // namespace

/// The bytes of a hexadecimal text, which the verifier has checked.
static std::vector<uint8_t> parseHex(StringRef digits) {
  std::string bytes = llvm::fromHex(digits);
  return std::vector<uint8_t>(bytes.begin(), bytes.end());
}

/// What the role says of itself, as Abi.h describes it.
static std::string getNoteText(rtir::RoleOp role) {
  std::string text;
  llvm::raw_string_ostream(text) << "abi " << RT_ABI_VERSION << "\nfingerprint " << *role.getFingerprint()
                                 << "\nname stage-" << role.getRole() << "\nrole " << role.getRole() << "\nroles "
                                 << role.getNumRoles() << "\n"
                                 << role.getIdentity();
  return text;
}

/// A constant tensor as it lies in memory: row-major, one byte per bool.
static FailureOr<std::string> getBytes(rtir::StorageOp storage) {
  auto value = dyn_cast<DenseElementsAttr>(*storage.getValue());
  if (!value)
    return storage.emitOpError() << "has a value that is not dense";
  // A uniform constant may have any number of elements, and they all go into the executable.
  constexpr int64_t kMaxElements = int64_t(16) << 20;
  if (value.getNumElements() > kMaxElements)
    return storage.emitOpError() << "is a constant of " << value.getNumElements() << " elements; expected at most "
                                 << kMaxElements << " in an executable";
  std::string bytes;
  if (value.getElementType().isInteger(1)) {
    for (bool element : value.getValues<bool>())
      bytes.push_back(element);
    return bytes;
  }
  ArrayRef<char> raw = value.getRawData();
  int64_t numCopies = value.isSplat() ? value.getNumElements() : 1;
  for (int64_t i = 0; i < numCopies; ++i)
    bytes.append(raw.begin(), raw.end());
  return bytes;
}

/// What is filled in when the weights file has been written must be there.
LogicalResult RoleConverter::checkLinked() {
  if (!role.getFingerprint())
    return role.emitOpError() << "has no fingerprint; expected the linker to have set it";
  if (role.getWeightsFile() && !role.getWeightsHash())
    return role.emitOpError() << "loads weights whose file has no hash; expected the weights to have been written";
  for (rtir::StorageOp storage : role.getStorages())
    if (storage.getKind() == rtir::StorageKind::weight && static_cast<int64_t>(storage.getOffset()) < 0)
      return storage.emitOpError() << "of weight '" << *storage.getWeight()
                                   << "' has no offset; expected the weights to have been written";
  return success();
}

std::string RoleConverter::addChannels() {
  std::vector<Row> rows;
  for (rtir::ChannelOp channel : role.getChannels()) {
    std::optional<uint64_t> consumer = channel.getConsumer();
    int64_t direction = (consumer ? RT_CHANNEL_IN : 0) | (channel.getOut() ? RT_CHANNEL_OUT : 0);
    rows.push_back({tables.addString(channel.getSymName()), tables.addString(channel.getTensor()),
                    int64_t(channel.getId()), int64_t(*rtir::getRuntimeType(channel.getElementType())),
                    int64_t(channel.getDims().size()), tables.addNumbers(channel.getDims(), 64),
                    int64_t(channel.getProducer()), int64_t(channel.getConsumers().size()),
                    tables.addNumbers(channel.getConsumers(), 32), int64_t(channel.getDepth()),
                    int64_t(channel.getSlotBytes()), direction, int64_t(consumer.value_or(0)),
                    int64_t(channel.getCarrier() ? RT_CARRIER_NCCL : RT_CARRIER_HOST)});
  }
  return tables.addRows("channels", types.channel, rows);
}

FailureOr<std::string> RoleConverter::addStorages() {
  std::vector<Row> rows;
  for (rtir::StorageOp storage : role.getStorages()) {
    std::string data;
    if (storage.getKind() == rtir::StorageKind::constant) {
      FailureOr<std::string> bytes = getBytes(storage);
      if (failed(bytes))
        return failure();
      // A constant without elements still has an address.
      data = tables.addBytes(bytes->empty() ? StringRef("\0", 1) : StringRef(*bytes), RT_ALIGNMENT);
    }
    int64_t numBytes = storage.getNumBytes();
    rows.push_back({int64_t(storage.getKind()), int64_t(storage.getChannel()), int64_t(storage.getOffset()),
                    std::max<int64_t>(numBytes, -1), numBytes < 0 ? -1 - numBytes : -1, int64_t(storage.getFirst()),
                    int64_t(storage.getLast()), data, tables.addString(storage.getName())});
  }
  return tables.addRows("storages", types.storage, rows);
}

std::string RoleConverter::addSteps() {
  std::vector<Row> rows;
  for (rtir::StepOp step : role.getSteps())
    rows.push_back({tables.addString(step.getName()), tables.addString(step.getKernel()),
                    int64_t(step.getResults().size()), tables.addNumbers(step.getResults(), 32)});
  return tables.addRows("steps", types.step, rows);
}

std::string RoleConverter::addSymbols() {
  std::vector<std::string> names;
  for (auto symbol : role.getBody().front().getOps<rtir::SymbolOp>())
    names.push_back(tables.addString(symbol.getName()));
  return tables.addPointers(names);
}

LogicalResult RoleConverter::convert() {
  if (failed(checkLinked()))
    return failure();
  FailureOr<std::string> storages = addStorages();
  if (failed(storages))
    return failure();
  std::string channels = addChannels(), steps = addSteps(), symbols = addSymbols();
  std::string extents = createExtentsFunction(module, role), program = createProgramFunction(module, role, tables);
  std::string device;
  if (role.getDevice())
    device = tables.declareStruct(("rt_" + *role.getDevice() + "_device").str(),
                                  LLVM::LLVMStructType::getLiteral(role.getContext(), {}));
  std::vector<uint8_t> hash(16);
  if (role.getWeightsHash())
    hash = parseHex(*role.getWeightsHash());
  tables.addStruct(getRoleSymbol(role.getRole()), types.role,
                   {int64_t(RT_ABI_VERSION),
                    tables.addNote(getNoteText(role)),
                    tables.addString(role.getModel()),
                    tables.addString("stage-" + std::to_string(role.getRole())),
                    int64_t(role.getRole()),
                    int64_t(role.getNumRoles()),
                    int64_t(role.getNumStages()),
                    int64_t(role.getOwnStages().size()),
                    tables.addNumbers(role.getOwnStages(), 32),
                    int64_t(role.getNumThreads()),
                    tables.addString(role.getRequiredFeatures()),
                    role.getNumRoots(),
                    role.getNumDataSymbols(),
                    symbols,
                    role.getNumExtents(),
                    extents,
                    int64_t(role.getChannels().size()),
                    channels,
                    int64_t(role.getStorages().size()),
                    *storages,
                    int64_t(role.getSteps().size()),
                    steps,
                    int64_t(role.getArenaBytes()),
                    role.getWeightsFile() ? tables.addString(*role.getWeightsFile()) : std::string(),
                    int64_t(role.getWeightsBytes()),
                    hash,
                    program,
                    device,
                    int64_t(role.getDeviceNumber())});
  return success();
}

OwningOpRef<ModuleOp> penstock::convertRoleToLLVM(rtir::RoleOp role) {
  OwningOpRef<ModuleOp> module = ModuleOp::create(role.getLoc(), role.getSymName());
  if (failed(RoleConverter(role, *module).convert()))
    return nullptr;
  return module;
}

std::string penstock::getRoleSymbol(int64_t role) { return "penstock_role_" + std::to_string(role); }

OwningOpRef<ModuleOp> penstock::createRoleList(MLIRContext *context, int64_t numRoles) {
  OwningOpRef<ModuleOp> module = ModuleOp::create(UnknownLoc::get(context), "roles");
  AbiTypes types(context);
  TableBuilder tables(*module, types);
  std::vector<std::string> names;
  for (int64_t role = 0; role < numRoles; ++role)
    names.push_back(tables.declareStruct(getRoleSymbol(role), types.role));
  tables.addVisiblePointers("penstock_roles", names);
  tables.addVisibleNumber("penstock_num_roles", numRoles);
  return module;
}

namespace {
struct ConvertRtToLLVMPass : penstock::impl::ConvertRtToLLVMPassBase<ConvertRtToLLVMPass> {
  void runOnOperation() override {
    for (rtir::RoleOp role : llvm::make_early_inc_range(getOperation().getOps<rtir::RoleOp>())) {
      OwningOpRef<ModuleOp> module = convertRoleToLLVM(role);
      if (!module)
        return signalPassFailure();
      OpBuilder(role).insert(module.release());
      role.erase();
    }
  }
};
} // namespace
