//===- PlanJson.cpp - plan.json -----------------------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "penstock/Link/PlanJson.h"

#include "penstock/Dialect/NN/IR/DataSymbols.h"
#include "penstock/Dialect/NN/Transforms/Passes.h"
#include "penstock/Dialect/Pipe/IR/DeviceAttrs.h"
#include "penstock/Dialect/Pipe/Transforms/Passes.h"
#include "penstock/rt/Abi.h"

#include "llvm/ADT/MapVector.h"

#include <nlohmann/json.hpp>

using namespace mlir;
using namespace penstock;
using namespace penstock::link;
using Json = nlohmann::ordered_json;

namespace {

class PlanWriter {
public:
  PlanWriter(ModuleOp module, ArrayRef<LinkedRole> roles, const PlanInfo &info);

  llvm::Expected<std::string> write();

private:
  Json writeExpr(AffineExpr expr);
  Json writeSymbols();
  Json writeSymbol(nn::SymbolOp symbol);
  void writeType(Json &object, Type type);
  template <typename OpT> Json writeTensors();
  Json writeStage(const LinkedRole &role);
  Json writeKernels(const LinkedRole &role);
  void writeCall(Json &object, nn::CallOp call);
  Json writeWeights(const LinkedRole &role);
  Json writeMemory(const LinkedRole &role);
  Json writeChannels();
  Json writeModelKernels();
  Json writeProgram(const LinkedRole &linked);
  Json writeSteps(Region &region, const LinkedRole &linked);
  Json writeMessage(StringRef verb, FlatSymbolRefAttr channel, Type type, const LinkedRole &linked);
  Json writeConstraints();
  Json writeMicrobatch();
  Json stageRef(StringRef name);

  ModuleOp module;
  ArrayRef<LinkedRole> roles;
  const PlanInfo &info;
  llvm::MapVector<int64_t, nn::SymbolOp> symbols; // by index in the module
  llvm::StringMap<int64_t> stages;
};

} // namespace

/// Any attribute that a plan may hold, as JSON.
static Json toJson(Attribute attribute) {
  return llvm::TypeSwitch<Attribute, Json>(attribute)
      .Case([](BoolAttr value) { return Json(value.getValue()); })
      .Case([](IntegerAttr value) { return Json(value.getInt()); })
      .Case([](FloatAttr value) { return Json(value.getValueAsDouble()); })
      .Case([](StringAttr value) { return Json(value.getValue().str()); })
      .Case([](DenseI64ArrayAttr value) { return Json(value.asArrayRef().vec()); })
      .Case([](ArrayAttr value) {
        Json list = Json::array();
        for (Attribute element : value)
          list.push_back(toJson(element));
        return list;
      })
      .Case([](DictionaryAttr value) {
        Json object = Json::object();
        for (NamedAttribute entry : value)
          object[entry.getName().str()] = toJson(entry.getValue());
        return object;
      })
      .Default([](Attribute other) {
        std::string text;
        llvm::raw_string_ostream(text) << other;
        return Json(text);
      });
}

PlanWriter::PlanWriter(ModuleOp module, ArrayRef<LinkedRole> roles, const PlanInfo &info)
    : module(module), roles(roles), info(info) {
  auto ordered = llvm::to_vector(module.getOps<nn::SymbolOp>());
  llvm::sort(ordered, [](nn::SymbolOp lhs, nn::SymbolOp rhs) { return lhs.getIndex() < rhs.getIndex(); });
  for (nn::SymbolOp symbol : ordered)
    symbols[symbol.getIndex()] = symbol;
  for (auto [i, stage] : llvm::enumerate(module.getOps<pipe::StageOp>()))
    stages[stage.getSymName()] = i;
}

/// 3, "batch", or ["floordiv", E, E]; derived symbols are written out.
Json PlanWriter::writeExpr(AffineExpr expr) {
  if (auto constant = dyn_cast<AffineConstantExpr>(expr))
    return constant.getValue();
  if (auto reference = dyn_cast<AffineSymbolExpr>(expr)) {
    nn::SymbolOp symbol = symbols.lookup(reference.getPosition());
    if (symbol.getKind() == nn::SymbolKind::root || symbol.getKind() == nn::SymbolKind::data)
      return symbol.getSymName().str();
    Json result;
    for (AffineExpr part : symbol.getExprs()->getExprs()) {
      Json next = writeExpr(part);
      const char *word = symbol.getKind() == nn::SymbolKind::min ? "min" : "max";
      result = result.is_null() ? next : Json::array({word, result, next});
    }
    return result;
  }
  auto binary = cast<AffineBinaryOpExpr>(expr);
  const char *word = expr.getKind() == AffineExprKind::Add        ? "+"
                     : expr.getKind() == AffineExprKind::Mul      ? "*"
                     : expr.getKind() == AffineExprKind::FloorDiv ? "floordiv"
                     : expr.getKind() == AffineExprKind::CeilDiv  ? "ceildiv"
                                                                  : "mod";
  return Json::array({word, writeExpr(binary.getLHS()), writeExpr(binary.getRHS())});
}

/// The roots, then what kernels find: the order in which messages carry their values.
Json PlanWriter::writeSymbols() {
  Json list = Json::array();
  for (nn::SymbolKind kind : {nn::SymbolKind::root, nn::SymbolKind::data})
    for (auto [index, symbol] : symbols)
      if (symbol.getKind() == kind)
        list.push_back(writeSymbol(symbol));
  return list;
}

Json PlanWriter::writeSymbol(nn::SymbolOp symbol) {
  Json object = {{"name", symbol.getSymName().str()}};
  if (symbol.getKind() == nn::SymbolKind::data)
    object["data"] = true;
  if (symbol.getLower())
    object["lower"] = int64_t(*symbol.getLower());
  if (symbol.getUpper())
    object["upper"] = int64_t(*symbol.getUpper());
  if (symbol.getTypical())
    object["typical"] = int64_t(*symbol.getTypical());
  return object;
}

void PlanWriter::writeType(Json &object, Type type) {
  auto tensor = cast<RankedTensorType>(type);
  std::optional<int32_t> number = rtir::getRuntimeType(tensor.getElementType());
  object["dtype"] = rtir::getRuntimeTypeName(number.value_or(0)).str();
  Json dims = Json::array();
  for (AffineExpr extent : nn::getExtents(tensor))
    dims.push_back(writeExpr(extent));
  object["dims"] = dims;
}

template <typename OpT> Json PlanWriter::writeTensors() {
  Json list = Json::array();
  for (OpT op : module.getOps<OpT>()) {
    Json object = {{"name", op.getName().str()}};
    writeType(object, op.getType());
    if (op.getBatch())
      object["batch_axis"] = int64_t(*op.getBatch());
    Json channels = Json::array();
    if (FlatSymbolRefAttr channel = op.getChannelAttr())
      channels.push_back(channel.getValue().str());
    object["channels"] = channels;
    list.push_back(object);
  }
  return list;
}

/// What a library does for a kernel.
static void writeLibrary(Json &object, nn::KernelDefOp kernel) {
  for (const char *field : {"kind", "library", "isa"})
    if (auto value = kernel->getAttrOfType<StringAttr>(std::string("kernel.") + field))
      object[field] = value.getValue().str();
  if (auto packing = kernel->getAttrOfType<ArrayAttr>(nn::kKernelPackingAttr))
    for (auto [i, attribute] : llvm::enumerate(packing))
      if (auto packed = dyn_cast<nn::PackingAttr>(attribute))
        object["packed_weights"].push_back({{"input", i}, {"layout", packed.getLayout().str()}});
  if (kernel->hasAttr("kernel.growing_scratch"))
    object["scratch"] = "by shape";
}

/// The first name that a location holds; empty: none.
static std::string findName(Location loc) {
  if (auto name = dyn_cast<NameLoc>(loc))
    return name.getName().str();
  std::string found;
  if (auto fused = dyn_cast<FusedLoc>(loc))
    for (Location part : fused.getLocations())
      if (found.empty())
        found = findName(part);
  return found;
}

/// One entry per step; what it makes is said by the call that the step came from.
Json PlanWriter::writeKernels(const LinkedRole &linked) {
  llvm::StringMap<nn::KernelDefOp> kernels;
  for (auto kernel : module.getOps<nn::KernelDefOp>())
    if (auto object = kernel->getAttrOfType<StringAttr>("kernel.object"))
      kernels[("k_" + object.getValue()).str()] = kernel;
  SmallVector<nn::CallOp> calls;
  for (auto name : pipe::ProgramOp(linked.program).getStages().getAsRange<FlatSymbolRefAttr>())
    if (auto stage = module.lookupSymbol<pipe::StageOp>(name))
      llvm::append_range(calls, stage.getBody().front().getOps<nn::CallOp>());
  Json list = Json::array();
  for (auto [i, step] : llvm::enumerate(rtir::RoleOp(linked.role).getSteps())) {
    Json object = {{"name", step.getName().str()}, {"kernel", step.getKernel().str()}};
    if (nn::KernelDefOp kernel = kernels.lookup(step.getKernel()))
      writeLibrary(object, kernel);
    if (i < calls.size())
      writeCall(object, calls[i]);
    list.push_back(object);
  }
  return list;
}

void PlanWriter::writeCall(Json &object, nn::CallOp call) {
  if (std::string node = findName(call.getLoc()); !node.empty())
    object["node"] = node;
  if (auto tensors = call->getAttrOfType<ArrayAttr>(nn::kTensorsAttr); tensors && !tensors.empty())
    object["tensor"] = cast<StringAttr>(tensors.getValue().back()).getValue().str();
  if (auto original = call->getAttrOfType<StringAttr>(pipe::kCloneOfAttr))
    object["clone_of"] = original.getValue().str();
  object["results"] = Json::array();
  for (Value result : call.getResults())
    writeType(object["results"].emplace_back(), result.getType());
}

/// The model's kernels by name; of stages written by hand, what they call.
Json PlanWriter::writeModelKernels() {
  if (auto names = module->getAttrOfType<ArrayAttr>(pipe::kKernelsAttr))
    return toJson(names);
  Json list = Json::array();
  for (const LinkedRole &linked : roles)
    for (rtir::StepOp step : rtir::RoleOp(linked.role).getSteps())
      list.push_back(step.getName().str());
  return list;
}

/// A send or receive as the role's own tables have it: the proof compares them with the plan's channels.
Json PlanWriter::writeMessage(StringRef verb, FlatSymbolRefAttr name, Type type, const LinkedRole &linked) {
  Json object = {{verb.str(), name.getValue().str()}};
  for (rtir::ChannelOp channel : rtir::RoleOp(linked.role).getChannels())
    if (channel.getSymName() == name.getValue())
      object["tensor"] = channel.getTensor().str();
  writeType(object, type);
  return object;
}

Json PlanWriter::writeSteps(Region &region, const LinkedRole &linked) {
  Json list = Json::array();
  for (Operation &op : region.getOps()) {
    if (isa<pipe::UploadOp, pipe::DownloadOp>(op)) // nobody waits for a copy: the proof knows none
      continue;
    pipe::RunOp run = dyn_cast<pipe::RunOp>(op);
    Json object;
    if (auto recv = dyn_cast<pipe::RecvOp>(op)) {
      object = writeMessage("receive", recv.getChannelAttr(), recv.getType(), linked);
      run = recv.getRun();
    } else if (auto send = dyn_cast<pipe::SendOp>(op)) {
      object = writeMessage("send", send.getChannelAttr(), send.getValue().getType(), linked);
      run = cast<pipe::RunOp>(send.getOutput().getOwner());
    } else {
      object["run"] = stageRef(run.getStage());
    }
    if (run.getMicrobatch() != 0)
      object["microbatch"] = int64_t(run.getMicrobatch());
    list.push_back(object);
  }
  return list;
}

Json PlanWriter::writeProgram(const LinkedRole &linked) {
  pipe::ProgramOp program = linked.program;
  return {{"base", int64_t(program.getBase())},
          {"round", int64_t(program.getRound())},
          {"prologue", writeSteps(program.getPrologue(), linked)},
          {"steady", writeSteps(program.getSteady(), linked)},
          {"epilogue", writeSteps(program.getEpilogue(), linked)}};
}

Json PlanWriter::writeWeights(const LinkedRole &role) {
  Json list = Json::array();
  for (auto [name, place] : llvm::zip(role.weightNames, role.weights.places))
    list.push_back({{"name", name},
                    {"offset", place.offset},
                    {"bytes", place.numBytes},
                    {"checksum", formatChecksum(place.checksum)}});
  return list;
}

/// What the placement promised; the bytes of the weights as they were written: equal ones are there once.
Json PlanWriter::writeMemory(const LinkedRole &role) {
  Json memory = Json::object();
  if (auto planned =
          pipe::ProgramOp(role.program)->getAttrOfType<DictionaryAttr>(pipe::PipeDialect::getMemoryAttrName()))
    memory = toJson(planned);
  int64_t saved = memory.value("weights", role.weights.numBytes) - role.weights.numBytes;
  if (memory.value("total", int64_t(-1)) >= 0)
    memory["total"] = memory["total"].get<int64_t>() - saved;
  memory["weights"] = role.weights.numBytes;
  return memory;
}

Json PlanWriter::writeStage(const LinkedRole &linked) {
  rtir::RoleOp role = linked.role;
  Json object = {{"name", "stage-" + std::to_string(role.getRole())},
                 {"executable", linked.executable},
                 {"stages", role.getOwnStages().vec()}};
  object["weights"] = role.getWeightsFile() ? Json(role.getWeightsFile()->str()) : Json(nullptr);
  object["weights_bytes"] = linked.weights.numBytes;
  object["weights_checksum"] = role.getWeightsHash() ? Json(role.getWeightsHash()->str()) : Json(nullptr);
  object["threads"] = int64_t(role.getNumThreads());
  object["device"] = role.getDevice().value_or("cpu").str();
  auto plan = module->getAttrOfType<DictionaryAttr>(pipe::PipeDialect::getPlanAttrName());
  auto costs = plan ? plan.getAs<ArrayAttr>("stages") : ArrayAttr();
  double seconds = 0;
  bool known = costs && !role.getOwnStages().empty();
  for (int64_t stage : role.getOwnStages()) {
    auto cost = known && stage < int64_t(costs.size()) ? dyn_cast<DictionaryAttr>(costs[stage]) : DictionaryAttr();
    auto compute = cost ? cost.getAs<FloatAttr>("compute_seconds") : FloatAttr();
    known = known && compute;
    seconds += compute ? compute.getValueAsDouble() : 0;
  }
  object["predicted_ms"] = known ? Json(seconds * 1e3) : Json(nullptr);
  object["memory"] = writeMemory(linked);
  object["kernels"] = writeKernels(linked);
  object["program"] = writeProgram(linked);
  object["weight_tensors"] = writeWeights(linked);
  return object;
}

Json PlanWriter::stageRef(StringRef name) {
  auto found = stages.find(name);
  return found == stages.end() ? Json(name.str()) : Json(found->second);
}

Json PlanWriter::writeChannels() {
  Json list = Json::array();
  for (auto channel : module.getOps<pipe::ChannelOp>()) {
    Json object = {{"name", channel.getSymName().str()},
                   {"tensor", channel.getTensor().value_or(channel.getSymName()).str()}};
    writeType(object, channel.getType());
    object["from"] = stageRef(channel.getProducer());
    Json to = Json::array();
    for (auto consumer : channel.getConsumers().getAsRange<FlatSymbolRefAttr>())
      to.push_back(stageRef(consumer.getValue()));
    object["to"] = to;
    object["depth"] = int64_t(channel.getDepth().value_or(1));
    std::optional<int64_t> slot =
        channel.getSlotBytes() ? nn::getConstant(channel.getSlotBytes()->getExprs()[0]) : std::nullopt;
    object["slot_bytes"] = slot.value_or(-1);
    if (channel.getControl())
      object["control"] = true;
    if (auto carrier = channel->getAttrOfType<StringAttr>(pipe::kCarrierAttr))
      object["carrier"] = carrier.getValue().str();
    list.push_back(object);
  }
  return list;
}

/// Those that a request's shapes can break; the others are checked by the roles.
Json PlanWriter::writeConstraints() {
  Json list = Json::array();
  nn::DataSymbols dataSymbols(module);
  for (auto constraint : module.getOps<nn::ConstraintOp>()) {
    ArrayRef<AffineExpr> exprs = constraint.getExprs().getExprs();
    if (dataSymbols.contains(exprs[0]) || dataSymbols.contains(exprs[1]))
      continue;
    list.push_back({{"relation", "eq"},
                    {"left", writeExpr(exprs[0])},
                    {"right", writeExpr(exprs[1])},
                    {"what", constraint.getReason().str()}});
  }
  return list;
}

/// How a request is cut: along the symbol of the batch, or by the static batch. Null when nothing was proved.
Json PlanWriter::writeMicrobatch() {
  for (auto input : module.getOps<pipe::InputOp>()) {
    if (!input.getBatch())
      continue;
    AffineExpr extent = nn::getExtent(cast<RankedTensorType>(input.getType()), *input.getBatch());
    if (std::optional<int64_t> rows = nn::getConstant(extent))
      return {{"rows", *rows}};
    Json result;
    extent.walk([&](AffineExpr part) {
      if (auto reference = dyn_cast<AffineSymbolExpr>(part))
        if (nn::SymbolOp symbol = symbols.lookup(reference.getPosition()))
          result = {{"rows", std::max<int64_t>(1, info.microbatchRows)}, {"symbol", symbol.getSymName().str()}};
    });
    return result;
  }
  return nullptr;
}

llvm::Expected<std::string> PlanWriter::write() {
  auto model = module->getAttrOfType<StringAttr>("nn.model");
  Json root = {
      {"schema", kPlanSchemaVersion},
      {"penstock", info.version},
      {"model", model ? model.getValue().str() : ""},
      {"fingerprint", info.identity.fingerprint},
      {"identity",
       {{"model", info.identity.model},
        {"weights", info.identity.weights},
        {"cut", info.identity.cut},
        {"schedule", info.identity.schedule},
        {"build", info.identity.build}}},
      {"abi", RT_ABI_VERSION},
      {"target", {{"triple", info.profile.triple}, {"cpu", info.profile.cpu}, {"features", info.profile.features}}},
      {"libraries", info.libraries},
      {"flags", info.flags}};
  if (info.allInOne)
    root["all_in_one"] = kAllInOne;
  root["symbols"] = writeSymbols();
  root["inputs"] = writeTensors<pipe::InputOp>();
  root["outputs"] = writeTensors<pipe::OutputOp>();
  root["kernels"] = writeModelKernels();
  root["stages"] = Json::array();
  for (const LinkedRole &role : roles)
    root["stages"].push_back(writeStage(role));
  root["channels"] = writeChannels();
  root["constraints"] = writeConstraints();
  root["microbatch"] = writeMicrobatch();
  auto plan = module->getAttrOfType<DictionaryAttr>(pipe::PipeDialect::getPlanAttrName());
  root["plan"] = plan ? toJson(plan) : Json(nullptr);
  // Names come from the model; bytes that are no UTF-8 are replaced, since JSON has no way to say them.
  return root.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

llvm::Expected<std::string> penstock::link::writePlanJson(ModuleOp module, ArrayRef<LinkedRole> roles,
                                                          const PlanInfo &info) {
  return PlanWriter(module, roles, info).write();
}
