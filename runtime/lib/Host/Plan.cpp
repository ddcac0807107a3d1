//===- Plan.cpp - plan.json as the runtime reads it --------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "penstock/rt/Plan.h"

#include <fcntl.h>
#include <map>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include "Memory.h"
#include "transports/nccl/Links.h"

namespace penstock {
namespace rt {

using nlohmann::json;

namespace {

constexpr int64_t kMaxFileBytes = int64_t(256) << 20;
constexpr size_t kMaxStages = 4096, kMaxChannels = 1 << 16, kMaxDims = 64, kMaxDepthOfExpr = 64, kMaxItems = 1 << 16;
constexpr int64_t kMaxRound = 256; ///< microbatches of a round of a program

/// Reads fields and remembers the first mistake; everything after it is ignored.
class Reader {
public:
  explicit Reader(std::string path) : path(std::move(path)) {}

  bool failed() const { return !problem.empty(); }
  Status status() const { return failed() ? Status(Code::kInvalid, path + ": " + problem) : Status(); }
  void mistake(const std::string &where, const std::string &expected) {
    if (!failed())
      problem = where + ": expected " + expected;
  }

  std::string text(const json &object, const char *key, const std::string &where) {
    const json *value = find(object, key, where);
    if (!value)
      return std::string();
    if (!value->is_string()) {
      mistake(where + "." + key, "a string");
      return std::string();
    }
    return value->get<std::string>();
  }
  int64_t number(const json &object, const char *key, const std::string &where, int64_t low, int64_t high) {
    const json *value = find(object, key, where);
    return value ? numberOf(*value, where + "." + key, low, high) : low;
  }
  int64_t numberOf(const json &value, const std::string &where, int64_t low, int64_t high) {
    bool fits =
        value.is_number_integer() && !(value.is_number_unsigned() && value.get<uint64_t>() > uint64_t(INT64_MAX));
    int64_t result = fits ? value.get<int64_t>() : 0;
    if (fits && result >= low && result <= high)
      return result;
    std::string range = high == INT64_MAX ? "at least " + std::to_string(low)
                                          : "within " + std::to_string(low) + ".." + std::to_string(high);
    mistake(where, "an integer " + range);
    return low;
  }
  const json &list(const json &object, const char *key, const std::string &where, size_t most) {
    static const json kEmpty = json::array();
    const json *value = find(object, key, where);
    if (!value)
      return kEmpty;
    if (value->is_array() && value->size() <= most)
      return *value;
    mistake(where + "." + key, "a list of at most " + std::to_string(most));
    return kEmpty;
  }
  /// Null when absent or null, which is no mistake.
  const json *optional(const json &object, const char *key) {
    if (!object.is_object())
      return nullptr;
    auto found = object.find(key);
    return found == object.end() || found->is_null() ? nullptr : &*found;
  }

  Expr expr(const json &value, const std::string &where, size_t depth = 0);
  int32_t stage(const json &value, const std::string &where, int32_t pseudo);

  Plan plan;
  std::map<std::string, int64_t> symbolByName;

private:
  const json *find(const json &object, const char *key, const std::string &where) {
    if (!object.is_object()) {
      mistake(where, "an object");
      return nullptr;
    }
    auto found = object.find(key);
    if (found != object.end())
      return &*found;
    mistake(where, std::string("a field '") + key + "'");
    return nullptr;
  }
  std::string path, problem;
};

/// 3, "batch", or ["floordiv", E, E].
Expr Reader::expr(const json &value, const std::string &where, size_t depth) {
  Expr result;
  if (value.is_number_integer()) {
    result.value = numberOf(value, where, INT64_MIN, INT64_MAX);
    return result;
  }
  if (value.is_string()) {
    result.kind = Expr::kSymbol;
    std::string name = value.get<std::string>();
    if (auto found = symbolByName.find(name); found != symbolByName.end()) {
      result.value = found->second;
      return result;
    }
    mistake(where, "a symbol of the plan instead of '" + name + "'");
    return Expr();
  }
  static constexpr const char *kWords[] = {"+", "-", "*", "floordiv", "ceildiv", "mod", "min", "max"};
  if (value.is_array() && value.size() == 3 && value[0].is_string() && depth < kMaxDepthOfExpr) {
    for (int i = 0; i < 8; ++i) {
      if (value[0].get<std::string>() != kWords[i])
        continue;
      result.kind = static_cast<Expr::Kind>(Expr::kAdd + i);
      result.left = std::make_shared<Expr>(expr(value[1], where, depth + 1));
      result.right = std::make_shared<Expr>(expr(value[2], where, depth + 1));
      return result;
    }
  }
  mistake(where, "an integer, a symbol, or [OPERATOR, LEFT, RIGHT]");
  return Expr();
}

/// A stage's number, or the name of the pseudo-stage that may stand there.
int32_t Reader::stage(const json &value, const std::string &where, int32_t pseudo) {
  if (value.is_string() && value.get<std::string>() == stageName(pseudo))
    return pseudo;
  if (value.is_number_integer() && value == pseudo)
    return pseudo;
  if (!value.is_number_integer()) {
    mistake(where, "the number of a stage or '" + stageName(pseudo) + "'");
    return 0;
  }
  return static_cast<int32_t>(numberOf(value, where, 0, int64_t(plan.stages.size()) - 1));
}

std::string at(const char *list, size_t index) { return std::string(list) + "[" + std::to_string(index) + "]"; }

int32_t readDtype(Reader &reader, const json &object, const std::string &where) {
  int32_t dtype = RT_F32;
  std::string name = reader.text(object, "dtype", where);
  if (!reader.failed() && !dtypeFromName(name, dtype))
    reader.mistake(where + ".dtype", "an element type such as f32 instead of '" + name + "'");
  return dtype;
}

void readSymbols(Reader &reader, const json &root) {
  const json &list = reader.list(root, "symbols", "plan", 4096);
  for (size_t i = 0; i < list.size(); ++i) {
    PlanSymbol symbol;
    std::string where = at("symbols", i);
    symbol.name = reader.text(list[i], "name", where);
    if (const json *data = reader.optional(list[i], "data"))
      symbol.isData = data->is_boolean() && data->get<bool>();
    if (reader.optional(list[i], "lower"))
      symbol.lower = reader.number(list[i], "lower", where, 0, INT64_MAX);
    if (reader.optional(list[i], "upper"))
      symbol.upper = reader.number(list[i], "upper", where, symbol.lower, INT64_MAX);
    if (reader.optional(list[i], "typical"))
      symbol.typical = reader.number(list[i], "typical", where, 0, INT64_MAX);
    if (!reader.symbolByName.emplace(symbol.name, int64_t(i)).second)
      reader.mistake(where + ".name", "a name of its own instead of '" + symbol.name + "'");
    reader.plan.symbols.push_back(symbol);
  }
}

/// A file in the folder itself: a path that leaves it is refused.
void checkFileName(Reader &reader, const std::string &name, const std::string &where) {
  if (name.empty() || name[0] == '.' || name.find('/') != std::string::npos || name.find('\0') != std::string::npos)
    reader.mistake(where, "the name of a file in the folder instead of '" + name + "'");
}

std::vector<PlanStep> readSteps(Reader &reader, const json &stage, const std::string &where) {
  std::vector<PlanStep> steps;
  if (!reader.optional(stage, "kernels"))
    return steps;
  const json &list = reader.list(stage, "kernels", where, kMaxChannels);
  for (size_t i = 0; i < list.size() && !reader.failed(); ++i) {
    std::string at = where + ".kernels[" + std::to_string(i) + "]";
    auto given = [&](const char *key) {
      return reader.optional(list[i], key) ? reader.text(list[i], key, at) : std::string();
    };
    steps.push_back(
        {reader.text(list[i], "name", at), reader.text(list[i], "kernel", at), given("tensor"), given("clone_of")});
  }
  return steps;
}

/// "f32[batch, 3, 48]"
std::string readType(Reader &reader, const json &object, const std::string &where) {
  std::string text;
  std::vector<std::string> names = reader.plan.symbolNames();
  const char *dtype = dtypeName(readDtype(reader, object, where));
  for (const json &dim : reader.list(object, "dims", where, kMaxDims))
    text += (text.empty() ? "" : ", ") + reader.expr(dim, where + ".dims").toString(names);
  return std::string(dtype) + "[" + text + "]";
}

using ChannelNumbers = std::map<std::string, int32_t>; // by name

/// {"receive": CHANNEL, ...}, {"run": STAGE}, {"send": CHANNEL, ...}
PlanItem readItem(Reader &reader, const json &object, const ChannelNumbers &channels, const std::string &where) {
  PlanItem item;
  if (reader.optional(object, "microbatch"))
    item.microbatch = reader.number(object, "microbatch", where, -kMaxRound, kMaxRound);
  bool receives = reader.optional(object, "receive"), sends = reader.optional(object, "send");
  if (!receives && !sends) {
    item.stage = int32_t(reader.number(object, "run", where, 0, int64_t(reader.plan.stages.size()) - 1));
    return item;
  }
  item.kind = receives ? PlanItem::kReceive : PlanItem::kSend;
  std::string name = reader.text(object, receives ? "receive" : "send", where);
  auto found = channels.find(name);
  if (found == channels.end())
    reader.mistake(where, "a channel of the plan instead of '" + name + "'");
  else
    item.channel = found->second;
  item.tensor = reader.text(object, "tensor", where);
  item.type = readType(reader, object, where);
  return item;
}

/// The programs name channels, and so they are read last.
void readPrograms(Reader &reader, const json &root) {
  ChannelNumbers channels;
  for (const ChannelDesc &channel : reader.plan.channels)
    channels[channel.name] = channel.id;
  const json &list = reader.list(root, "stages", "plan", kMaxStages);
  for (size_t i = 0; i < list.size() && !reader.failed(); ++i) {
    const json *object = reader.optional(list[i], "program");
    std::string where = at("stages", i) + ".program";
    if (!object)
      return reader.mistake(at("stages", i), "a field 'program'; compile the model again with this version");
    PlanProgram &program = reader.plan.stages[i].program;
    program.base = reader.number(*object, "base", where, 0, kMaxRound);
    program.round = reader.number(*object, "round", where, 1, kMaxRound);
    auto read = [&](const char *key, std::vector<PlanItem> &items) {
      const json &steps = reader.list(*object, key, where, kMaxItems);
      for (size_t k = 0; k < steps.size() && !reader.failed(); ++k)
        items.push_back(readItem(reader, steps[k], channels, where + "." + at(key, k)));
    };
    read("prologue", program.prologue);
    read("steady", program.steady);
    read("epilogue", program.epilogue);
  }
}

void readKernelNames(Reader &reader, const json &root) {
  const json &list = reader.list(root, "kernels", "plan", kMaxItems);
  if (list.empty())
    reader.mistake("kernels", "at least one");
  for (const json &name : list)
    if (name.is_string())
      reader.plan.kernels.push_back(name.get<std::string>());
    else
      reader.mistake("kernels", "names");
}

void readStages(Reader &reader, const json &root) {
  const json &list = reader.list(root, "stages", "plan", kMaxStages);
  if (list.empty())
    reader.mistake("stages", "at least one");
  for (size_t i = 0; i < list.size(); ++i) {
    PlanStage stage;
    std::string where = at("stages", i);
    stage.name = reader.text(list[i], "name", where);
    stage.executable = reader.text(list[i], "executable", where);
    checkFileName(reader, stage.executable, where + ".executable");
    if (reader.optional(list[i], "weights")) {
      stage.weights = reader.text(list[i], "weights", where);
      if (!stage.weights.empty())
        checkFileName(reader, stage.weights, where + ".weights");
    }
    if (reader.optional(list[i], "threads"))
      stage.numThreads = int32_t(reader.number(list[i], "threads", where, 1, 4096));
    if (const json *predicted = reader.optional(list[i], "predicted_ms"))
      stage.predictedMs = predicted->is_number() ? predicted->get<double>() : -1;
    stage.steps = readSteps(reader, list[i], where);
    reader.plan.stages.push_back(stage);
  }
}

void readChannels(Reader &reader, const json &root) {
  const json &list = reader.list(root, "channels", "plan", kMaxChannels);
  for (size_t i = 0; i < list.size() && !reader.failed(); ++i) {
    ChannelDesc channel;
    std::string where = at("channels", i);
    channel.id = int32_t(i);
    channel.name = reader.text(list[i], "name", where);
    channel.tensor = reader.text(list[i], "tensor", where);
    channel.dtype = readDtype(reader, list[i], where);
    reader.plan.channelTypes.push_back(readType(reader, list[i], where));
    for (const json &dim : reader.list(list[i], "dims", where, kMaxDims)) {
      Expr extent = reader.expr(dim, where + ".dims");
      channel.dims.push_back(extent.isNumber() && extent.value >= 0 ? extent.value : -1);
    }
    channel.depth = int32_t(reader.number(list[i], "depth", where, 1, 1 << 20));
    channel.slotBytes = reader.number(list[i], "slot_bytes", where, -1, INT64_MAX);
    channel.numSymbols = int32_t(reader.plan.symbols.size());
    if (list[i].contains("from"))
      channel.producerStage = reader.stage(list[i]["from"], where + ".from", RT_STAGE_SOURCE);
    else
      reader.mistake(where, "a field 'from'");
    for (const json &to : reader.list(list[i], "to", where, kMaxStages))
      channel.consumerStages.push_back(reader.stage(to, where + ".to", RT_STAGE_SINK));
    if (channel.consumerStages.empty())
      reader.mistake(where + ".to", "at least one consumer");
    if (reader.optional(list[i], "carrier")) {
      if (reader.text(list[i], "carrier", where) != "nccl")
        reader.mistake(where + ".carrier", "\"nccl\", or no carrier");
      channel.slotBytes = hostSlotBytes(channel.consumerStages.size());
    }
    reader.plan.channels.push_back(channel);
  }
}

bool touches(const ChannelDesc &channel, bool isInput) {
  if (isInput)
    return channel.producerStage == RT_STAGE_SOURCE;
  for (int32_t stage : channel.consumerStages)
    if (stage == RT_STAGE_SINK)
      return true;
  return false;
}

/// Channels by name; of equal names the last.
std::map<std::string, int32_t> indexChannels(const Plan &plan, bool isInput) {
  std::map<std::string, int32_t> result;
  for (const ChannelDesc &channel : plan.channels)
    if (touches(channel, isInput))
      result[channel.name] = channel.id;
  return result;
}

void readTensors(Reader &reader, const json &root, bool isInput) {
  const char *key = isInput ? "inputs" : "outputs";
  std::vector<PlanTensor> &tensors = isInput ? reader.plan.inputs : reader.plan.outputs;
  const json &list = reader.list(root, key, "plan", kMaxChannels);
  const std::map<std::string, int32_t> byName = indexChannels(reader.plan, isInput);
  for (size_t i = 0; i < list.size() && !reader.failed(); ++i) {
    PlanTensor tensor;
    std::string where = at(key, i);
    tensor.name = reader.text(list[i], "name", where);
    tensor.dtype = readDtype(reader, list[i], where);
    for (const json &dim : reader.list(list[i], "dims", where, kMaxDims))
      tensor.dims.push_back(reader.expr(dim, where + ".dims"));
    if (reader.optional(list[i], "batch_axis"))
      tensor.batchAxis = int32_t(reader.number(list[i], "batch_axis", where, 0, int64_t(tensor.dims.size()) - 1));
    for (const json &name : reader.list(list[i], "channels", where, kMaxChannels)) {
      auto known = name.is_string() ? byName.find(name.get<std::string>()) : byName.end();
      int32_t found = known == byName.end() ? -1 : known->second;
      if (found < 0)
        reader.mistake(where + ".channels", isInput ? "channels from the source" : "channels to the sink");
      else if (reader.plan.channels[size_t(found)].dims.size() != tensor.dims.size() ||
               reader.plan.channels[size_t(found)].dtype != tensor.dtype)
        reader.mistake(where + ".channels", "channels of the tensor's own type");
      tensor.channels.push_back(found);
    }
    if (!isInput && tensor.channels.empty())
      reader.mistake(where + ".channels", "a channel to the sink");
    tensors.push_back(tensor);
  }
}

void readConstraints(Reader &reader, const json &root) {
  if (!reader.optional(root, "constraints"))
    return;
  const json &list = reader.list(root, "constraints", "plan", kMaxChannels);
  for (size_t i = 0; i < list.size() && !reader.failed(); ++i) {
    PlanConstraint constraint;
    std::string where = at("constraints", i);
    std::string relation = reader.text(list[i], "relation", where);
    if (relation == "le")
      constraint.relation = PlanConstraint::kLessEqual;
    else if (relation != "eq")
      reader.mistake(where + ".relation", "eq or le");
    for (const char *side : {"left", "right"})
      if (!list[i].contains(side))
        reader.mistake(where, std::string("a field '") + side + "'");
    if (reader.failed())
      return;
    constraint.left = reader.expr(list[i]["left"], where + ".left");
    constraint.right = reader.expr(list[i]["right"], where + ".right");
    if (reader.optional(list[i], "what"))
      constraint.what = reader.text(list[i], "what", where);
    reader.plan.constraints.push_back(constraint);
  }
}

void readMicrobatch(Reader &reader, const json &root) {
  const json *cut = reader.optional(root, "microbatch");
  if (!cut)
    return;
  reader.plan.microbatchRows = reader.number(*cut, "rows", "microbatch", 1, INT64_MAX);
  if (const json *symbol = reader.optional(*cut, "symbol")) {
    Expr expr = reader.expr(*symbol, "microbatch.symbol");
    if (!expr.isSymbol())
      reader.mistake("microbatch.symbol", "a symbol");
    reader.plan.batchSymbol = int32_t(expr.value);
  }
}

void readIdentity(Reader &reader, const json &root) {
  Identity &identity = reader.plan.identity;
  const json *object = reader.optional(root, "identity");
  if (!object)
    return reader.mistake("plan", "a field 'identity'");
  identity.model = reader.text(*object, "model", "identity");
  identity.weights = reader.text(*object, "weights", "identity");
  identity.cut = reader.text(*object, "cut", "identity");
  identity.schedule = reader.text(*object, "schedule", "identity");
  identity.build = reader.text(*object, "build", "identity");
  std::string text = reader.text(root, "fingerprint", "plan");
  bool hex = text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (!hex)
    reader.mistake("fingerprint", "64 hexadecimal digits");
  identity.fingerprint = text;
}

/// Every symbol must get its value from some input, and every stage must be reached.
void checkWhole(Reader &reader) {
  const Plan &plan = reader.plan;
  std::vector<bool> bound(plan.symbols.size(), false), reads(plan.stages.size(), false);
  for (const PlanTensor &input : plan.inputs)
    for (const Expr &dim : input.dims)
      if (dim.isSymbol())
        bound[size_t(dim.value)] = true;
  for (size_t i = 0; i < bound.size(); ++i)
    if (!bound[i] && !plan.symbols[i].isData)
      reader.mistake("symbols", "an input with the dimension '" + plan.symbols[i].name + "'");
  for (const ChannelDesc &channel : plan.channels)
    for (int32_t stage : channel.consumerStages)
      if (stage >= 0)
        reads[size_t(stage)] = true;
  for (size_t i = 0; i < reads.size(); ++i)
    if (!reads[i])
      reader.mistake(at("stages", i), "a channel that the stage reads");
  if (plan.outputs.empty())
    reader.mistake("outputs", "at least one");
}

} // namespace

Status Plan::parse(const std::string &text, const std::string &path, Plan &plan) {
  Reader reader(path);
  json root = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (root.is_discarded() || !root.is_object())
    return fail(Code::kInvalid, "%s: expected a JSON object; the file is damaged", path.c_str());
  int64_t schema = reader.number(root, "schema", "plan", 0, INT64_MAX);
  if (!reader.failed() && schema != kPlanSchema)
    reader.mistake("schema", "version " + std::to_string(kPlanSchema) + " instead of " + std::to_string(schema) +
                                 "; compile the model again with this version");
  reader.plan.model = reader.text(root, "model", "plan");
  readIdentity(reader, root);
  readSymbols(reader, root);
  if (!reader.failed())
    readStages(reader, root);
  if (!reader.failed())
    readChannels(reader, root);
  if (!reader.failed()) {
    readTensors(reader, root, true);
    readTensors(reader, root, false);
    readConstraints(reader, root);
    readMicrobatch(reader, root);
    readKernelNames(reader, root);
    readPrograms(reader, root);
  }
  if (!reader.failed())
    checkWhole(reader);
  if (!reader.failed())
    plan = std::move(reader.plan);
  return reader.status();
}

Status Plan::load(const std::string &folder, Plan &plan) {
  std::string path = folder + "/plan.json";
  Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)); // a pipe is refused, not waited for
  struct stat info;
  if (!fd.valid() || fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode))
    return fail(Code::kInvalid, "cannot read '%s'; expected a folder that penstock compile wrote", path.c_str());
  if (info.st_size > kMaxFileBytes)
    return fail(Code::kInvalid, "'%s' has %lld bytes, expected at most %lld", path.c_str(), (long long)info.st_size,
                (long long)kMaxFileBytes);
  std::string text(size_t(info.st_size), '\0');
  size_t done = 0;
  while (done < text.size()) {
    ssize_t got = read(fd.get(), &text[done], text.size() - done);
    if (got <= 0)
      return failErrno("cannot read '%s'", path.c_str());
    done += size_t(got);
  }
  Status status = parse(text, path, plan);
  plan.folder = folder;
  return status;
}

std::vector<std::string> Plan::symbolNames() const {
  std::vector<std::string> names;
  for (const PlanSymbol &symbol : symbols)
    names.push_back(symbol.name);
  return names;
}

} // namespace rt
} // namespace penstock
