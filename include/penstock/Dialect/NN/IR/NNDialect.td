//===- NNDialect.td - Neural-network operators on tensors --*- tablegen -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// The dialect and the class that every op of it derives from. Included by every NNOps*.td.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_DIALECT_NN_IR_NNDIALECT
#define PENSTOCK_DIALECT_NN_IR_NNDIALECT

include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/BuiltinAttributeInterfaces.td"

def NN_Dialect : Dialect {
  let name = "nn";
  let cppNamespace = "::penstock::nn";
  let summary = "neural-network operators on tensors, without side effects";
  let description = [{
    Tensors in, tensors out. ONNX's versions and corner cases end in the importer: axes are non-negative attributes, pads
    are explicit, optional inputs are resolved, broadcasting is implicit by rule. Every tensor has an element type and a
    rank; every unknown extent is an expression over the symbols of the module (see `#nn.extents`).
  }];
  let useDefaultAttributePrinterParser = 1;
  let hasConstantMaterializer = 1;
  // The generated parser infers result types from the attribute dictionary, before properties are filled in.
  let usePropertiesForAttributes = 0;
  let dependentDialects = ["::mlir::func::FuncDialect"];
}

class NN_Attr<string name, string attrMnemonic, list<Trait> traits = []> : AttrDef<NN_Dialect, name, traits> {
  let mnemonic = attrMnemonic;
}

class NN_Op<string mnemonic, list<Trait> traits = []> : Op<NN_Dialect, mnemonic, traits>;

#endif
