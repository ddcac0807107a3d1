//===- Lattice.h - Downsets and how they grow -------------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A downset holds, with each unit, all units that precede it: what can lie before a boundary. The lattice here is a
// graph whose nodes are downsets, numbered by rising size, and whose edges add one unit. It holds all downsets
// (enumerate), or only those of a beam around some topological orders.
//
// Units, threads: as in Problem.h. Private to lib/Partition.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_PARTITION_LATTICE_H
#define PENSTOCK_LIB_PARTITION_LATTICE_H

#include "Core.h"

namespace penstock::partition {

struct LatticeOptions {
  int64_t maxNodes = 0;
  int64_t maxBytes = 0;
  /// -1: all downsets. Otherwise that many per size, beside those on `orders`.
  int beamWidth = -1;
  std::vector<std::vector<int>> orders;
};

class Lattice {
public:
  struct Edge {
    int node; ///< the larger downset
    int unit; ///< what it has more
  };

  /// False if a limit was reached; the lattice is then unusable.
  bool enumerate(const Core &core, const LatticeOptions &options);

  int numNodes() const { return static_cast<int>(level.size()); }
  const Word *set(int node) const { return &words[size_t(node) * numWords]; }
  const Edge *edgesBegin(int node) const { return edges.data() + firstEdge[node]; }
  const Edge *edgesEnd(int node) const { return edges.data() + firstEdge[node + 1]; }

  size_t numWords = 0;
  std::vector<int> level;                    ///< number of units
  std::vector<int> lowest, highest;          ///< boundaries (counted as stages before it, 0..k) at which it may stand
  std::vector<uint64_t> lacks, passes;       ///< per free cut: some of `before` is missing; some of `after` is there
  std::vector<double> load;                  ///< least possible load of its units, over the classes in use
  std::vector<int64_t> openCount, openBytes; ///< messages made inside and read outside

private:
  std::vector<Word> words;
  std::vector<Edge> edges;
  std::vector<int64_t> firstEdge;
  friend class LatticeBuilder;
};

/// A few topological orders that obey windows and cuts: as given, breadth first, depth first, least live bytes, by
/// depth.
std::vector<std::vector<int>> makeOrders(const Core &core);

} // namespace penstock::partition

#endif // PENSTOCK_LIB_PARTITION_LATTICE_H
