//===- Options.h - What a compilation is asked for -------------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// The options of `penstock compile` and `penstock plan` as plain data. Nothing reads a flag behind this struct's back.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_DRIVER_OPTIONS_H
#define PENSTOCK_DRIVER_OPTIONS_H

#include "penstock/Import/Onnx/OnnxImporter.h"

#include <cstdint>
#include <string>
#include <vector>

namespace penstock::driver {

struct CompileOptions {
  std::string model;  ///< an .onnx file, or a dump of a phase with `compileFrom`
  std::string output; ///< folder to write; empty: the model's name with .penstock
  onnximport::ImportOptions import;

  int64_t numStages = 0;         ///< 0: as many as cuts, annotations or a plan imply, else 1
  std::string balance = "time";  ///< time, params, memory or uniform
  std::vector<std::string> cuts; ///< names of ONNX tensors or nodes, in order
  int64_t memoryLimitBytes = 0;  ///< of each stage; 0: none
  int64_t maxDepth = 0;          ///< most slots of a channel; 0: as many as its messages are on their way for
  bool fromOnnxStages = false;
  std::string planFile;    ///< a plan.json whose assignment is taken over
  std::string clusterFile; ///< TOML; empty: as many equal CPUs as stages
  std::string
      costsFile; ///< a device profile, or what `penstock bench --json` wrote; empty: what is known of the target
  bool isProfiled = false; ///< plan, run the plan to time every kernel, and plan again
  int64_t microbatch = 0;  ///< rows of a microbatch; 0: the model's static batch, else 1

  std::string target = "cpu";
  std::string arch = "native";
  int64_t numThreads = 1;  ///< per kernel
  bool allInOne = false;   ///< write the executable that holds all stages too
  std::string precision;   ///< of contractions: f32, f16 or bf16; empty: as the model says
  std::string transport;   ///< of payloads between stages on GPUs: host or nccl; empty: as the cluster file says
  bool allowsTf32 = false; ///< cuda: contractions of f32 may round their factors to TensorFloat-32

  std::string cacheFolder; ///< of compiled kernels; empty: in the user's cache folder, if there is one
  bool isCached = true;

  std::string compileTo = "link";
  std::string compileFrom; ///< empty: from the model
  std::string dumpPhases;  ///< folder for one dump per phase; empty: none
};

} // namespace penstock::driver

#endif // PENSTOCK_DRIVER_OPTIONS_H
