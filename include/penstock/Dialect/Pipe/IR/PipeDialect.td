//===- PipeDialect.td - Stages, channels and programs ------*- tablegen -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// The dialect and the class that every op of it derives from.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_DIALECT_PIPE_IR_PIPEDIALECT
#define PENSTOCK_DIALECT_PIPE_IR_PIPEDIALECT

include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"

def Pipe_Dialect : Dialect {
  let name = "pipe";
  let cppNamespace = "::penstock::pipe";
  let summary = "stages of a model, the channels that join them, and the programs that run them";
  let description = [{
    A `pipe.stage` is a pure function of the messages that it reads. `pipe.channel`s carry values from one stage to one or
    more others. `@source` and `@sink` are reserved names: the pseudo-stages that feed the model's inputs and collect its
    outputs. A `pipe.program` is what one process runs; sends and receives live there and only there.
  }];
  let useDefaultAttributePrinterParser = 1;
  let dependentDialects = ["::penstock::nn::NNDialect"];
  let extraClassDeclaration = [{
    /// Names of the pseudo-stages.
    static ::llvm::StringRef getSourceName() { return "source"; }
    static ::llvm::StringRef getSinkName() { return "sink"; }
    /// Stage of an `nn.kernel`, an i32 (see `pipe-assign-stages`).
    static ::llvm::StringRef getStageIdAttrName() { return "pipe.stage_id"; }
    /// The plan that assigned the stages, a dictionary on the module.
    static ::llvm::StringRef getPlanAttrName() { return "pipe.plan"; }
    /// `#pipe.storage` of the result of an op in a stage; an array of them on a stage, one per block argument.
    static ::llvm::StringRef getStorageAttrName() { return "pipe.storage"; }
    /// Bytes that a role needs, a dictionary on its program.
    static ::llvm::StringRef getMemoryAttrName() { return "pipe.memory"; }
  }];
}

class Pipe_Attr<string name, string attrMnemonic, list<Trait> traits = []> : AttrDef<Pipe_Dialect, name, traits> {
  let mnemonic = attrMnemonic;
}

class Pipe_Op<string mnemonic, list<Trait> traits = []> : Op<Pipe_Dialect, mnemonic, traits>;

#endif
