//===- NodeStages.cpp - Stages that ONNX can say -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "NodeFlow.h"
#include "TopologicalOrder.h"
#include "WireReader.h"
#include "penstock/Import/Onnx/StageWriter.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringMap.h"
#include <set>

namespace penstock::onnximport {
namespace {

using Op = std::pair<NodePath, int64_t>;

/// Nodes at one depth of the paths, outermost first; `ops` are those whose outer nodes have no single stage.
void chooseAtDepth(llvm::ArrayRef<const Op *> ops, size_t depth, const std::map<int64_t, std::set<int64_t>> &found,
                   std::map<int64_t, int64_t> &stageOf) {
  std::vector<const Op *> deeper;
  for (const Op *op : ops) {
    const auto &[path, stage] = *op;
    if (depth >= path.size())
      continue;
    const std::set<int64_t> &stages = found.at(path[depth]);
    if (stages.size() > 1 && depth + 1 < path.size()) {
      deeper.push_back(op);
      continue;
    }
    auto [entry, isNew] = stageOf.try_emplace(path[depth], stage);
    entry->second = std::min(entry->second, stage);
  }
  if (!deeper.empty())
    chooseAtDepth(deeper, depth + 1, found, stageOf);
}

} // namespace

NodeStages NodeStages::choose(llvm::ArrayRef<Op> ops) {
  NodeStages result;
  std::map<int64_t, std::set<int64_t>> found;
  std::vector<const Op *> all;
  for (const Op &op : ops) {
    for (int64_t node : op.first)
      found[node].insert(op.second);
    result.withCode.insert(op.first.begin(), op.first.end());
    all.push_back(&op);
  }
  chooseAtDepth(all, 0, found, result.stageOf);
  return result;
}

std::optional<int64_t> NodeStages::read(llvm::ArrayRef<int64_t> path) const {
  for (int64_t node : llvm::reverse(path))
    if (auto stage = stageOf.find(node); stage != stageOf.end())
      return stage->second;
  return std::nullopt;
}

//===----------------------------------------------------------------------===//
// Nodes of which no code is left
//===----------------------------------------------------------------------===//

int64_t getNodeNumber(const onnx::NodeProto &node) {
  int64_t number = -1;
  if (node.metadata_props_size() && node.metadata_props(0).key() == kNodeNumberKey)
    (void)llvm::StringRef(node.metadata_props(0).value()).getAsInteger(10, number);
  return number;
}

namespace {

constexpr int64_t kNone = -1;

/// One node of a sorted graph while stages flow from readers to producers.
struct FlowNode {
  int64_t number = kNone;
  int64_t given = kNone;       ///< the stage that it has
  int64_t reached = kNone;     ///< the last stage that it depends on
  int64_t firstReader = kNone; ///< the first stage that reads it
  bool isOpen = false;         ///< a reader's stage is not known
  std::vector<int> producers;
};

std::vector<FlowNode> collectFlow(const onnx::GraphProto &graph, const NodeStages &stages) {
  std::vector<FlowNode> flow(graph.node_size());
  llvm::StringMap<int> producerOf;
  for (int i = 0; i < graph.node_size(); ++i) {
    FlowNode &node = flow[i];
    node.number = getNodeNumber(graph.node(i));
    if (auto stage = stages.stageOf.find(node.number); stage != stages.stageOf.end())
      node.given = node.reached = stage->second;
    for (llvm::StringRef name : listReads(graph.node(i)))
      if (auto producer = producerOf.find(name); producer != producerOf.end()) {
        node.producers.push_back(producer->second);
        node.reached = std::max(node.reached, flow[producer->second].reached);
      }
    for (const std::string &output : graph.node(i).output())
      producerOf[output] = i;
  }
  return flow;
}

} // namespace

void addSilentNodes(const onnx::GraphProto &graph, NodeStages &stages) {
  std::vector<FlowNode> flow = collectFlow(graph, stages);
  for (FlowNode &node : llvm::reverse(flow)) {
    int64_t stage = node.given;
    if (stage == kNone && !node.isOpen && !stages.withCode.count(node.number) && node.reached <= node.firstReader)
      stage = node.firstReader;
    bool isDead = node.given == kNone && node.firstReader == kNone && !node.isOpen;
    if (stage != kNone)
      stages.stageOf[node.number] = stage;
    for (int producer : node.producers) {
      int64_t &first = flow[producer].firstReader;
      flow[producer].isOpen |= stage == kNone && (!isDead || stages.withCode.count(node.number));
      if (stage != kNone && (first == kNone || stage < first))
        first = stage;
    }
  }
}

} // namespace penstock::onnximport
