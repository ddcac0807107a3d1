//===- NNOpsModule.td - Symbols, weights, kernels, calls ---*- tablegen -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_DIALECT_NN_IR_NNOPSMODULE
#define PENSTOCK_DIALECT_NN_IR_NNOPSMODULE

include "penstock/Dialect/NN/IR/NNOpBase.td"

def NN_SymbolOp : NN_Op<"symbol", [Symbol]> {
  let summary = "names an unknown extent of the module";
  let description = [{
    `index` i makes `s<i>` of every extent expression. A root symbol is bound by the shapes of the model's inputs and may
    have bounds and a typical value (used for costs and layouts); `min` and `max` symbols are derived from expressions
    over symbols of lower index. A `data` symbol gets its value from a kernel while the model runs (`nn.define_extent`);
    its expression, if any, is the most that it can be. Constraints:
    * (C1) indices are distinct and start at 0 (checked on the module by `nn-verify-symbols`).
    * (C2) a root has no expressions, a derived symbol at least two, a data symbol at most one.
    * (C3) 0 <= lower <= typical <= upper where given.
    * (C4) a data symbol has an expression or `upper`.

    ```mlir
    nn.symbol @batch = 0 root {lower = 1 : i64, upper = 16 : i64, typical = 4 : i64}
    nn.symbol @kept = 1 min of #nn.extents<[s0, 8]>
    nn.symbol @boxes.0 = 2 data of #nn.extents<[s0 * 100]>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, I64Attr:$index, NN_SymbolKindAttr:$kind,
                       OptionalAttr<NN_ExtentsAttr>:$exprs, OptionalAttr<I64Attr>:$lower, OptionalAttr<I64Attr>:$upper,
                       OptionalAttr<I64Attr>:$typical, OptionalAttr<StrAttr>:$sym_visibility);
  let assemblyFormat = "$sym_name `=` custom<SymbolIndex>($index) $kind (`of` $exprs^)? attr-dict";
  let hasVerifier = 1;
}

def NN_ConstraintOp : NN_Op<"constraint"> {
  let summary = "two extents that must agree at run time";
  let description = [{
    ```mlir
    nn.constraint #nn.extents<[s0, s1 * 2]> "operands of node 'add_3'"
    ```
    Constraints:
    * (C1) exactly two expressions.
  }];
  let arguments = (ins NN_ExtentsAttr:$exprs, StrAttr:$reason);
  let assemblyFormat = "$exprs $reason attr-dict";
  let hasVerifier = 1;
}

def NN_WeightOp : NN_Op<"weight", [Symbol, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "a constant tensor that lives outside the module";
  let description = [{
    A range of bytes of a file; or the result of a kernel over other weights (`init`), computed when the executables are
    linked; or another weight as a library wants its bytes (`packed`), for kernels of that library only. Constraints:
    * (C1) exactly one of `file`, `init` and `packed`.
    * (C2) the type is static, and `num_bytes` of the file range is its size.
    * (C3) `packed` names a weight of the same type that is not packed itself.

    ```mlir
    nn.weight @w : tensor<768x3072xf32> from <"model.onnx", 4096, 9437184>
    nn.weight @w.packed : tensor<768x3072xf32> packed @w as <"oneDNN 2.6.3", "768x3072 ab to BA16a64b", 9437184>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttr:$type, OptionalAttr<NN_FileRangeAttr>:$file,
                       OptionalAttr<FlatSymbolRefAttr>:$init, OptionalAttr<FlatSymbolRefArrayAttr>:$init_operands,
                       OptionalAttr<FlatSymbolRefAttr>:$packed, OptionalAttr<NN_PackingAttr>:$packing,
                       OptionalAttr<StrAttr>:$sym_visibility);
  let assemblyFormat = [{
    $sym_name `:` $type (`from` $file^)? (`init` $init^ `(` $init_operands `)`)? (`packed` $packed^ `as` $packing)?
    attr-dict
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// Bytes that the weight takes where it is stored.
    int64_t getStoredBytes();
  }];
}

def NN_LoadWeightOp : NN_Op<"load_weight", [Pure, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "the value of a weight";
  let description = [{
    Constraints:
    * (C1) `weight` names an `nn.weight` of the result's type.
  }];
  let arguments = (ins FlatSymbolRefAttr:$weight);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$weight attr-dict `:` type($result)";
}

def NN_ConstantOp : NN_Op<"constant", [Pure, ConstantLike, AllTypesMatch<["value", "result"]>]> {
  let summary = "a small or uniform constant tensor";
  let description = [{
    At most 1 KiB of elements, or any number of equal ones; larger constants are `nn.weight`s.

    ```mlir
    %0 = nn.constant dense<1.0> : tensor<8x64xf32>
    ```
  }];
  let arguments = (ins ElementsAttr:$value);
  let results = (outs AnyStaticShapeTensor:$result);
  let assemblyFormat = "attr-dict $value";
  let hasFolder = 1;
}

def NN_ExtentTensorOp : NN_Op<"extent_tensor", [Pure, NN_CostInterface]> {
  let summary = "a tensor of the values of expressions over symbols";
  let description = [{
    What is left of shape arithmetic whose result is used as data. Constraints:
    * (C1) one expression per element of the static result, whose elements are i64 or i32.
  }];
  let arguments = (ins NN_ExtentsAttr:$exprs);
  let results = (outs AnyStaticShapeTensor:$result);
  let assemblyFormat = "$exprs attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def NN_DefineExtentOp : NN_Op<"define_extent", [AllTypesMatch<["value", "result"]>,
                                                DeclareOpInterfaceMethods<MemoryEffectsOpInterface>,
                                                DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "gives a data symbol its value";
  let description = [{
    The value is the operand's, and the result's. While it names its symbol the op has an effect, so that it stays where
    it is although nothing uses its result; `nn-fuse-kernels` moves the name to the kernel. Constraints:
    * (C1) `symbol`, if any, names an `nn.symbol` of kind `data`.

    ```mlir
    %n = nn.define_extent %count as @boxes.0 : tensor<i64>
    ```
  }];
  let arguments = (ins 0DTensorOf<[I64]>:$value, OptionalAttr<FlatSymbolRefAttr>:$symbol);
  let results = (outs 0DTensorOf<[I64]>:$result);
  let assemblyFormat = "$value (`as` $symbol^)? attr-dict `:` type($result)";
}

def NN_EmptyOp : NN_Op<"empty", [MemoryEffects<[MemAlloc]>]> {
  let summary = "storage for a result";
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "attr-dict `:` type($result)";
}

def NN_YieldOp : NN_Op<"yield", [Pure, Terminator, ReturnLike,
                                 ParentOneOf<["KernelOp", "KernelDefOp", "IfOp"]>]> {
  let summary = "results of a region";
  let arguments = (ins Variadic<AnyRankedTensor>:$values);
  let assemblyFormat = "attr-dict ($values^ `:` type($values))?";
  let builders = [OpBuilder<(ins), "build($_builder, $_state, ::mlir::ValueRange());">];
}

def NN_KernelOp : NN_Op<"kernel", [Pure, IsolatedFromAbove, SingleBlock, NN_CostInterface,
                                   DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "a fused group of ops: the unit of cost, of cutting and of code";
  let description = [{
    ```mlir
    %1 = nn.kernel "conv1" ins(%a = %x : tensor<1x3x8x8xf32>, %b = %w : tensor<4x3x3x3xf32>) -> (tensor<1x4x8x8xf32>) {
      ...
      nn.yield %t : tensor<1x4x8x8xf32>
    }
    ```
    Constraints:
    * (C1) one block argument per operand, of its type.
    * (C2) ends in an `nn.yield` of values of the result types.
    * (C3) holds only pure ops; every result is computed inside (no block argument is yielded).
    * (C4) `defines`, if any, names an `nn.symbol` of kind `data`, whose value is the first result, one i64.
  }];
  let arguments = (ins StrAttr:$name, Variadic<AnyRankedTensor>:$inputs, OptionalAttr<FlatSymbolRefAttr>:$defines);
  let results = (outs Variadic<AnyRankedTensor>:$outputs);
  let regions = (region SizedRegion<1>:$body);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    ::mlir::AffineExpr getFlops();
    ::mlir::AffineExpr getBytesRead();
    ::mlir::AffineExpr getBytesWritten();
  }];
}

def NN_KernelDefOp : NN_Op<"kernel_def", [Symbol, IsolatedFromAbove, SingleBlock]> {
  let summary = "a kernel as a symbol, called by `nn.call`";
  let description = [{
    The extents of its types are over its own symbols `s0`.. (fewer than `num_symbols`), whose values the call gives.
    Constraints:
    * (C1) ends in an `nn.yield`.
    * (C2) every symbol of its types is below `num_symbols`.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, I64Attr:$num_symbols, OptionalAttr<StrAttr>:$sym_visibility);
  let regions = (region SizedRegion<1>:$body);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// Types of the results, from the terminator.
    ::mlir::TypeRange getResultTypes();
    ::mlir::Operation *getYield() { return getBody().front().getTerminator(); }
  }];
}

def NN_CallOp : NN_Op<"call", [AttrSizedOperandSegments, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "runs a kernel, writing into given storage";
  let description = [{
    Destination-passing: result i is `outs[i]` after the call. `workspace` is scratch storage. Constraints:
    * (C1) `kernel` names an `nn.kernel_def`.
    * (C2) operand and result types are the kernel's with `symbols` put in for its own.
    * (C3) each result has the type of its `outs` operand.
    * (C4) `defines`, if any, names an `nn.symbol` of kind `data`, whose value is the first result, one i64.

    ```mlir
    %0 = nn.call @k0 ins(%x, %w : T0, T1) outs(%o : T2) symbols #nn.extents<[s0, s1 * 2]>
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$kernel, Variadic<AnyRankedTensor>:$inputs, Variadic<AnyRankedTensor>:$outs,
                       Optional<AnyRankedTensor>:$workspace, NN_ExtentsAttr:$symbols,
                       OptionalAttr<FlatSymbolRefAttr>:$defines);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = [{
    $kernel `ins` `(` ($inputs^ `:` type($inputs))? `)` `outs` `(` $outs `:` type($outs) `)`
    (`workspace` `(` $workspace^ `:` type($workspace) `)`)? `symbols` $symbols (`defines` $defines^)?
    attr-dict `->` type($results)
  }];
  let hasVerifier = 1;
}

def NN_IfOp : NN_Op<"if", [SingleBlock, NoRegionArguments, RecursiveMemoryEffects, NN_CostInterface]> {
  let summary = "one of two regions, by a condition known at run time";
  let description = [{
    Constraints:
    * (C1) the condition is a tensor of one i1.
    * (C2) both regions yield values of the result types.
    * (C3) `then_assumes` and `else_assumes` have two expressions for each of their reasons.

    A region may be right only where some extents are equal, as after "if the extent is 1 then squeeze". These are the
    pairs of `then_assumes` and `else_assumes`; where one differs when its region is about to run, the run ends with an
    error that gives the reason instead.

    ```mlir
    %0 = nn.if %c : tensor<i1> -> (tensor<4xf32>) {
      ...
    } else {
      ...
    } {then_assumes = #nn.extents<[s0, 1]>, then_reasons = ["extents 'len' and '1' (then branch of node 'if_1')"]}
    ```
  }];
  let arguments = (ins AnyRankedTensor:$condition, OptionalAttr<NN_ExtentsAttr>:$then_assumes,
                       OptionalAttr<StrArrayAttr>:$then_reasons, OptionalAttr<NN_ExtentsAttr>:$else_assumes,
                       OptionalAttr<StrArrayAttr>:$else_reasons);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let regions = (region SizedRegion<1>:$then_region, SizedRegion<1>:$else_region);
  let assemblyFormat = [{
    $condition `:` type($condition) `->` `(` type($results) `)` $then_region `else` $else_region attr-dict
  }];
  let hasVerifier = 1;
}

#endif
