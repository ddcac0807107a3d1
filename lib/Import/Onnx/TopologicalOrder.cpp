//===- TopologicalOrder.cpp - Order of a graph's nodes -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "TopologicalOrder.h"
#include "GraphImporter.h"
#include <queue>
#include <set>

using namespace mlir;

namespace penstock::onnximport {
namespace {

using NodeList = google::protobuf::RepeatedPtrField<onnx::NodeProto>;

void collectReads(const onnx::NodeProto &node, std::vector<StringRef> &reads) {
  for (const std::string &input : node.input())
    reads.push_back(input);
  auto collectGraph = [&](const onnx::GraphProto &graph) {
    for (const onnx::NodeProto &inner : graph.node())
      collectReads(inner, reads);
    for (const onnx::ValueInfoProto &output : graph.output())
      reads.push_back(output.name());
  };
  for (const onnx::AttributeProto &attribute : node.attribute()) {
    if (attribute.has_g())
      collectGraph(attribute.g());
    for (const onnx::GraphProto &graph : attribute.graphs())
      collectGraph(graph);
  }
}

/// Names the nodes of one cycle among those that are left.
std::string describeCycle(const NodeList &nodes, const std::vector<std::set<int>> &producers,
                          const std::vector<bool> &done) {
  int node = 0;
  while (done[node])
    ++node;
  std::vector<int> path;
  // Every node that is left waits for another one that is left, so this walk comes back to a node it has seen.
  while (!llvm::is_contained(path, node)) {
    path.push_back(node);
    node = *llvm::find_if(producers[node], [&](int producer) { return !done[producer]; });
  }
  path.erase(path.begin(), llvm::find(path, node));
  std::string text = "the graph has a cycle: ";
  for (int member : path)
    text += describeNode(nodes.Get(member)) + " reads from ";
  return text + describeNode(nodes.Get(node));
}

LogicalResult findOrder(const NodeList &nodes, std::vector<int> &order, std::string &error) {
  llvm::StringMap<int> producerOf;
  for (int i = 0; i < nodes.size(); ++i)
    for (const std::string &output : nodes.Get(i).output()) {
      if (output.empty())
        continue;
      auto [it, inserted] = producerOf.try_emplace(output, i);
      if (!inserted) {
        error = "tensor '" + output + "' is made twice: by " + describeNode(nodes.Get(it->second)) + " and by " +
                describeNode(nodes.Get(i));
        return failure();
      }
    }
  std::vector<std::set<int>> producers(nodes.size());
  std::vector<std::vector<int>> consumers(nodes.size());
  for (int i = 0; i < nodes.size(); ++i) {
    for (StringRef name : listReads(nodes.Get(i))) {
      auto it = producerOf.find(name);
      if (it == producerOf.end())
        continue;
      // A name inside a subgraph may repeat an output of its own node; only a direct input is a cycle then.
      if (it->second == i && !llvm::is_contained(nodes.Get(i).input(), name))
        continue;
      if (producers[i].insert(it->second).second)
        consumers[it->second].push_back(i);
    }
  }
  std::vector<size_t> waiting(nodes.size());
  std::priority_queue<int, std::vector<int>, std::greater<int>> ready;
  std::vector<bool> done(nodes.size(), false);
  for (int i = 0; i < nodes.size(); ++i)
    if ((waiting[i] = producers[i].size()) == 0)
      ready.push(i);
  order.clear();
  while (!ready.empty()) {
    int node = ready.top();
    ready.pop();
    done[node] = true;
    order.push_back(node);
    for (int consumer : consumers[node])
      if (--waiting[consumer] == 0)
        ready.push(consumer);
  }
  if (static_cast<int>(order.size()) == nodes.size())
    return success();
  error = describeCycle(nodes, producers, done);
  return failure();
}

LogicalResult sortGraph(onnx::GraphProto &graph, std::string &error);

LogicalResult sortList(NodeList &nodes, std::string &error) {
  std::vector<int> order;
  if (failed(findOrder(nodes, order, error)))
    return failure();
  if (!std::is_sorted(order.begin(), order.end())) {
    NodeList sorted;
    for (int index : order)
      sorted.Add()->Swap(nodes.Mutable(index));
    nodes.Swap(&sorted);
  }
  for (onnx::NodeProto &node : nodes)
    for (onnx::AttributeProto &attribute : *node.mutable_attribute()) {
      if (attribute.has_g() && failed(sortGraph(*attribute.mutable_g(), error)))
        return failure();
      for (onnx::GraphProto &graph : *attribute.mutable_graphs())
        if (failed(sortGraph(graph, error)))
          return failure();
    }
  return success();
}

/// Nesting is bounded by the depth that protobuf parses.
LogicalResult sortGraph(onnx::GraphProto &graph, std::string &error) { return sortList(*graph.mutable_node(), error); }

} // namespace

std::vector<StringRef> listReads(const onnx::NodeProto &node) {
  std::vector<StringRef> reads;
  collectReads(node, reads);
  return reads;
}

LogicalResult sortNodes(onnx::ModelProto &model, std::string &error) {
  for (onnx::FunctionProto &function : *model.mutable_functions())
    if (failed(sortList(*function.mutable_node(), error)))
      return failure();
  return sortGraph(*model.mutable_graph(), error);
}

} // namespace penstock::onnximport
