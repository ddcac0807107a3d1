//===- RtDialect.td - Calls of the runtime -----------------*- tablegen -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// The dialect and the class that every op of it derives from.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_DIALECT_RT_IR_RTDIALECT
#define PENSTOCK_DIALECT_RT_IR_RTDIALECT

include "mlir/IR/OpBase.td"
include "mlir/IR/EnumAttr.td"

def Rt_Dialect : Dialect {
  let name = "rt";
  let cppNamespace = "::penstock::rtir";
  let summary = "what one process knows and calls: the tables and the program of runtime/include/penstock/rt/Abi.h";
  let description = [{
    One `rt.role` per process. Its tables (`rt.symbol`, `rt.channel`, `rt.storage`, `rt.step`) become the constant tables of
    `rt_role_desc`; its `rt.program` has one op per call of the runtime, in order, for one microbatch. Lowering is one to
    one (`convert-rt-to-llvm`); nothing is decided here any more.

    Extents: the role lists in `extents` the expressions that its tables and kernel calls need; everything else refers to
    them by position. A number of the tables that is not static is written as -1 - i, the i-th expression.
  }];
}

class Rt_Op<string mnemonic, list<Trait> traits = []> : Op<Rt_Dialect, mnemonic, traits>;

def Rt_StorageKind : I32EnumAttr<"StorageKind", "where the bytes of a value live", [
    I32EnumAttrCase<"arena", 0>, I32EnumAttrCase<"channel_in", 1>, I32EnumAttrCase<"channel_out", 2>,
    I32EnumAttrCase<"weight", 3>, I32EnumAttrCase<"constant", 4>, I32EnumAttrCase<"state", 5>]> {
  let cppNamespace = "::penstock::rtir";
}

def Rt_Bound : I32EnumAttr<"Bound", "how a derived symbol is made", [
    I32EnumAttrCase<"min", 0>, I32EnumAttrCase<"max", 1>]> {
  let cppNamespace = "::penstock::rtir";
}

#endif
