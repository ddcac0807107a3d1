//===- main.cpp - mlir-opt with Penstock's dialects and passes -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// The one program that registers everything of upstream too, so that tests can run any pass.
//===----------------------------------------------------------------------===//
#include "penstock/Conversion/PipeToRt/PipeToRt.h"
#include "penstock/Conversion/RtToLLVM/RtToLLVM.h"
#include "penstock/Dialect/NN/IR/NNOps.h"
#include "penstock/Dialect/NN/Transforms/Passes.h"
#include "penstock/Dialect/Pipe/IR/PipeOps.h"
#include "penstock/Dialect/Pipe/Transforms/Passes.h"
#include "penstock/Dialect/Rt/IR/RtOps.h"
#include "penstock/Target/Cuda/Passes.h"
#include "penstock/Target/Cuda/Pipeline.h"

#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/InitAllPasses.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  mlir::registerAllPasses();
  penstock::nn::registerNNPasses();
  penstock::pipe::registerPipePasses();
  penstock::registerPipeToRtPasses();
  penstock::registerRtToLLVMPasses();
  penstock::cuda::registerCudaPasses();
  penstock::cuda::registerCudaPipelines();
  registry.insert<penstock::nn::NNDialect, penstock::pipe::PipeDialect, penstock::rtir::RtDialect>();
  return mlir::asMainReturnCode(mlir::MlirOptMain(argc, argv, "Penstock optimizer driver\n", registry));
}
