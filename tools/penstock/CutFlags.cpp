//===- CutFlags.cpp - Flags about stages and what they cost -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "CutFlags.h"

#include "Commands.h"

namespace penstock::tool {

void addCutFlags(CLI::App &app, driver::CompileOptions &options) {
  app.add_option("--cut", options.cuts, "end a stage at this ONNX tensor or node; may be given often, in order")
      ->type_name("NAME");
  app.add_option("--balance", options.balance, "what all stages should get the same of")
      ->type_name("WHAT")
      ->check(CLI::IsMember({"time", "params", "memory", "uniform"}))
      ->capture_default_str();
  app.add_flag("--from-onnx-stages", options.fromOnnxStages, "keep the stages that the model's nodes carry");
  app.add_option("--cluster", options.clusterFile, "TOML file of the devices that the stages run on")
      ->type_name("FILE");
  app.add_option("--costs", options.costsFile,
                 "what kernels cost: a device profile, or what 'penstock bench --json' wrote")
      ->type_name("FILE");
  app.add_option("--depth", options.maxDepth,
                 "most slots of a channel, which need memory (default: as many as keep the stages from waiting)")
      ->type_name("N")
      ->check(atLeastOne());
}

void addTargetFlags(CLI::App &app, driver::CompileOptions &options) {
  app.add_option("--target", options.target, "what kernels run on")
      ->type_name("TARGET")
      ->check(CLI::IsMember({"cpu", "cuda"}))
      ->capture_default_str();
  app.add_option("--threads", options.numThreads, "threads of each kernel")
      ->type_name("N")
      ->check(atLeastOne())
      ->capture_default_str();
}

} // namespace penstock::tool
