//===- Cluster.h - What the stages run on, from a file ------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A cluster file (TOML) lists device classes, the devices in the order of the stages, and the links between them:
//
//   [[class]]                        # at least one
//   name = "zen4"
//   target = "cpu"                   # cpu (default) or cuda
//   profile = "zen4.json"            # a calibrated profile, beside this file; or what follows
//   threads = 8                      # a CPU on paper: threads, gigahertz, vector_bits, fma_units, integer_dot
//   gigahertz = 3.7
//   vector_bits = 512
//   bandwidth = "40 GB/s"
//   peak = { f32 = 9.5e11 }          # instead of a CPU on paper
//   launch = "3 us"
//   staging = { latency = "10 us", bandwidth = "20 GB/s" }   # cuda: between its memory and the host's; free by default
//
//   [[device]]                       # one per stage, in order
//   name = "left"
//   class = "zen4"
//   host = "node-a"                  # "localhost" by default
//   memory = "16 GiB"                # no limit by default
//   count = 2                        # that many of them in a row
//
//   [link.same_host]                 # between neighbours on one host; free by default
//   latency = "1 us"
//   bandwidth = "10 GB/s"
//   transport = "nccl"               # between cuda devices: from one to the next; "host" by default
//   [link.other_host]                # between neighbours on two hosts; shared by all that crosses, by default
//   latency = "15 us"
//   bandwidth = "3 GB/s"
//   shared = true
//   [link.source]                    # from the host of the inputs; free by default
//   [link.sink]                      # to the host of the outputs; free by default
//
// Sizes: bytes, or a string with B, kB, MB, GB, TB, KiB, MiB, GiB, TiB. Times: seconds, or a string with s, ms, us, ns.
// Rates: bytes per second, or a string with a size per s.
//
// Units: seconds, bytes. Ownership: plain values. Threads: pure functions. Errors: text "FILE:LINE:COLUMN: ...";
// nothing throws. Unknown keys are errors.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_PARTITION_CLUSTER_H
#define PENSTOCK_PARTITION_CLUSTER_H

#include "penstock/Partition/CostModel.h"
#include "penstock/Partition/Problem.h"

namespace penstock::partition {

struct ClusterClass {
  std::string name;
  std::string target = "cpu";
  DeviceProfile profile;
  Link staging = {}; ///< between the memory of the host and of a device of this class; part of every boundary
};

struct ClusterDevice {
  std::string name;
  std::string host = "localhost";
  int deviceClass = 0;
  int64_t memoryLimitBytes = kUnlimited;
};

struct Cluster {
  std::vector<ClusterClass> classes;
  std::vector<ClusterDevice> devices; ///< in the order of the stages
  Link sameHost, otherHost, source, sink;
  std::string sameHostTransport = "host", otherHostTransport = "host"; ///< of payloads between devices, or "nccl"
};

/// A cluster, or what is wrong with its text.
struct ClusterResult {
  std::optional<Cluster> cluster;
  std::vector<std::string> errors;
};

/// `fileName` serves messages, and its folder is where profiles are looked for.
ClusterResult parseCluster(const std::string &text, const std::string &fileName);
ClusterResult readCluster(const std::string &fileName);

/// `numDevices` equal CPUs of one host whose links are free: what is assumed without a cluster file.
Cluster makeLocalCluster(int numDevices, const DeviceProfile &profile, int64_t memoryLimitBytes = kUnlimited);

/// Puts the first `numStages` devices, their classes and links into `problem`. Returns why that cannot be, empty if
/// done. Kernel costs must then be given for each class, in the order of `cluster.classes`.
std::vector<std::string> applyCluster(const Cluster &cluster, int numStages, Problem &problem);

/// "16 GiB" and the like; nullopt if it is not a size. "8GiB" is the form of --memory-limit.
std::optional<int64_t> parseByteSize(const std::string &text);

} // namespace penstock::partition

#endif // PENSTOCK_PARTITION_CLUSTER_H
