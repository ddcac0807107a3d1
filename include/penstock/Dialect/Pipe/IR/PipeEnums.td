//===- PipeEnums.td - Enums of the pipe dialect ------------*- tablegen -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// Apart from the attributes: enums are generated per file, not per dialect.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_DIALECT_PIPE_IR_PIPEENUMS
#define PENSTOCK_DIALECT_PIPE_IR_PIPEENUMS

include "mlir/IR/EnumAttr.td"

def Pipe_StorageKind : I32EnumAttr<"StorageKind", "where the bytes of a value live", [
    I32EnumAttrCase<"arena", 0>, I32EnumAttrCase<"channel_in", 1>, I32EnumAttrCase<"channel_out", 2>,
    I32EnumAttrCase<"weight", 3>, I32EnumAttrCase<"constant", 4>, I32EnumAttrCase<"state", 5>]> {
  let cppNamespace = "::penstock::pipe";
  let genSpecializedAttr = 0;
}

def Pipe_Task : I32EnumAttr<"Task", "what a program item does with a stage", [
    I32EnumAttrCase<"forward", 0>, I32EnumAttrCase<"backward", 1>, I32EnumAttrCase<"weight_gradient", 2>]> {
  let cppNamespace = "::penstock::pipe";
  let genSpecializedAttr = 0;
}

def Pipe_MessageFlag : I32EnumAttr<"MessageFlag", "what a message says beside its payload", [
    I32EnumAttrCase<"none", 0>, I32EnumAttrCase<"end_of_request", 1>, I32EnumAttrCase<"end_of_stream", 2>,
    I32EnumAttrCase<"cancelled", 3>]> {
  let cppNamespace = "::penstock::pipe";
  let genSpecializedAttr = 0;
}

#endif
