//===- NNOpsMovement.td - Ops that move elements -----------*- tablegen -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_DIALECT_NN_IR_NNOPSMOVEMENT
#define PENSTOCK_DIALECT_NN_IR_NNOPSMOVEMENT

include "penstock/Dialect/NN/IR/NNOpBase.td"

def NN_TransposeOp : NN_InferredOp<"transpose"> {
  let summary = "permutes axes";
  let description = [{
    Axis i of the result is axis `perm[i]` of the input. Constraints:
    * (C1) `perm` is a permutation of the axes.
  }];
  let arguments = (ins AnyRankedTensor:$input, DenseI64ArrayAttr:$perm);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$input $perm attr-dict `:` type($input)";
}

class NN_TypedOp<string mnemonic, list<Trait> traits = []>
    : NN_Op<mnemonic, !listconcat([Pure, NN_CostInterface], traits)> {
  let results = (outs AnyRankedTensor:$result);
  let hasVerifier = 1;
}

def NN_ReshapeOp : NN_TypedOp<"reshape"> {
  let summary = "the same elements, row-major, in another shape";
  let description = [{
    Constraints:
    * (C1) input and result have the same element type.
    * (C2) where both numbers of elements are known they are equal.
  }];
  let arguments = (ins AnyRankedTensor:$input);
  let assemblyFormat = "$input attr-dict `:` type($input) `to` type($result)";
  let extraClassDeclaration = [{ ::mlir::AffineExpr getFlops(); }];
}

def NN_BroadcastToOp : NN_TypedOp<"broadcast_to"> {
  let summary = "stretches axes of extent 1 and adds leading ones";
  let description = [{
    Constraints:
    * (C1) the input's shape broadcasts to the result's; element types agree.
  }];
  let arguments = (ins AnyRankedTensor:$input);
  let assemblyFormat = "$input attr-dict `:` type($input) `to` type($result)";
}

def NN_SliceOp : NN_TypedOp<"slice"> {
  let summary = "every step-th element from a start, along every axis";
  let description = [{
    result[i0, i1, ...] = input[starts[0] + i0 * steps[0], ...]; the extents of the result say where it ends. Steps may be
    negative. Constraints:
    * (C1) one start and one non-zero step per axis.
    * (C2) where all is known, every element read lies inside the input.
  }];
  let arguments = (ins AnyRankedTensor:$input, NN_ExtentsAttr:$starts, DenseI64ArrayAttr:$steps);
  let assemblyFormat = "$input `from` $starts `step` $steps attr-dict `:` type($input) `to` type($result)";
}

def NN_ConcatOp : NN_InferredOp<"concat"> {
  let summary = "joins tensors along an axis";
  let description = [{
    Constraints:
    * (C1) at least one input; all have one element type and number of axes.
    * (C2) `axis` is an axis; the extents of every other axis agree.
  }];
  let arguments = (ins Variadic<AnyRankedTensor>:$inputs, I64Attr:$axis);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$inputs `axis` $axis attr-dict `:` type($inputs)";
}

def NN_PadOp : NN_InferredOp<"pad"> {
  let summary = "adds elements at the ends of axes";
  let description = [{
    Constraints:
    * (C1) one low and one high pad per axis.
    * (C2) `value`, if given, is a scalar tensor of the input's element type; without it zeros are added.
  }];
  let arguments = (ins NN_PadModeAttr:$mode, AnyRankedTensor:$input, Optional<AnyRankedTensor>:$value,
                       NN_ExtentsAttr:$low, NN_ExtentsAttr:$high);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = [{
    $mode $input `:` type($input) `low` $low `high` $high (`value` $value^ `:` type($value))? attr-dict
  }];
}

def NN_GatherOp : NN_InferredOp<"gather"> {
  let summary = "takes slices along an axis by index";
  let description = [{
    The axis is replaced by the axes of `indices`. A negative index counts from the end. An index outside is clamped into
    range (ONNX leaves it undefined; nothing outside the input is ever read). Constraints:
    * (C1) `indices` are i32 or i64.
    * (C2) `axis` is an axis of the input.
  }];
  let arguments = (ins AnyRankedTensor:$input, AnyRankedTensor:$indices, I64Attr:$axis);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$input `,` $indices `axis` $axis attr-dict `:` type($input) `,` type($indices)";
}

def NN_GatherElementsOp : NN_InferredOp<"gather_elements"> {
  let summary = "takes single elements along an axis by index";
  let description = [{ Constraints as for `nn.gather`; `indices` has as many axes as the input. }];
  let arguments = (ins AnyRankedTensor:$input, AnyRankedTensor:$indices, I64Attr:$axis);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$input `,` $indices `axis` $axis attr-dict `:` type($input) `,` type($indices)";
}

def NN_GatherNDOp : NN_InferredOp<"gather_nd"> {
  let summary = "takes slices by index tuples";
  let description = [{
    Constraints:
    * (C1) the last extent of `indices` is a constant, at most the axes of the input less `batch_dims`.
  }];
  let arguments = (ins AnyRankedTensor:$input, AnyRankedTensor:$indices, I64Attr:$batch_dims);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$input `,` $indices `batch_dims` $batch_dims attr-dict `:` type($input) `,` type($indices)";
}

def NN_ScatterElementsOp : NN_InferredOp<"scatter_elements"> {
  let summary = "a copy of the input with single elements replaced along an axis";
  let description = [{ Updates are applied in row-major order. Constraints as for `nn.gather_elements`. }];
  let arguments = (ins NN_ScatterKindAttr:$kind, AnyRankedTensor:$input, AnyRankedTensor:$indices,
                       AnyRankedTensor:$updates, I64Attr:$axis);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = [{
    $kind $input `,` $indices `,` $updates `axis` $axis attr-dict `:` type($input) `,` type($indices) `,` type($updates)
  }];
}

def NN_ScatterNDOp : NN_InferredOp<"scatter_nd"> {
  let summary = "a copy of the input with slices replaced by index tuples";
  let description = [{ Updates are applied in row-major order. Constraints as for `nn.gather_nd`. }];
  let arguments = (ins NN_ScatterKindAttr:$kind, AnyRankedTensor:$input, AnyRankedTensor:$indices,
                       AnyRankedTensor:$updates);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = [{
    $kind $input `,` $indices `,` $updates attr-dict `:` type($input) `,` type($indices) `,` type($updates)
  }];
}

def NN_ResizeOp : NN_TypedOp<"resize"> {
  let summary = "resamples axes";
  let description = [{
    `scales` has one entry per axis; 1.0 leaves an axis as it is. A scale of 0.0 stands for the quotient of the extents of
    result and input. `roi` (2 per axis) serves `tf_crop_and_resize` only, which fills with `extrapolation`. Constraints:
    * (C1) one scale per axis; input and result have the same number of axes and element type.
  }];
  let arguments = (ins NN_ResizeModeAttr:$mode, NN_ResizeCoordinatesAttr:$coordinates, NN_ResizeNearestAttr:$nearest,
                       AnyRankedTensor:$input, DenseF64ArrayAttr:$scales, OptionalAttr<DenseF64ArrayAttr>:$roi,
                       F64Attr:$cubic_coeff, F64Attr:$extrapolation, UnitAttr:$exclude_outside, UnitAttr:$antialias);
  let assemblyFormat = [{
    $mode $coordinates $nearest $input `scales` $scales attr-dict `:` type($input) `to` type($result)
  }];
}

def NN_IotaOp : NN_TypedOp<"iota"> {
  let summary = "start + step * index along an axis";
  let description = [{
    Constraints:
    * (C1) `axis` is an axis of the result.
    * (C2) `start` and `step` have the result's element type.
  }];
  let arguments = (ins I64Attr:$axis, TypedAttrInterface:$start, TypedAttrInterface:$step);
  let assemblyFormat = "`axis` $axis `start` $start `step` $step attr-dict `:` type($result)";
}

#endif
