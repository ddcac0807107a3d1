//===- NNOpsReduction.td - Reductions and normalizations ---*- tablegen -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_DIALECT_NN_IR_NNOPSREDUCTION
#define PENSTOCK_DIALECT_NN_IR_NNOPSREDUCTION

include "penstock/Dialect/NN/IR/NNOpBase.td"

def NN_ReduceOp : NN_InferredOp<"reduce"> {
  let summary = "reduces axes";
  let description = [{
    An empty max is the smallest value of the element type (minus infinity for floats), an empty min the largest, an empty
    mean NaN. Constraints:
    * (C1) `axes` are distinct axes of the input, ascending.
  }];
  let arguments = (ins NN_ReduceKindAttr:$kind, AnyRankedTensor:$input, DenseI64ArrayAttr:$axes, UnitAttr:$keep_dims);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$kind $input `axes` $axes attr-dict `:` type($input)";
  let hasVerifier = 1;
}

def NN_ArgReduceOp : NN_InferredOp<"arg_reduce"> {
  let summary = "the index of the largest or smallest element along an axis";
  let description = [{
    The result has element type i64. Constraints:
    * (C1) `axis` is an axis; `kind` is max or min.
  }];
  let arguments = (ins NN_ReduceKindAttr:$kind, AnyRankedTensor:$input, I64Attr:$axis, UnitAttr:$keep_dims,
                       UnitAttr:$select_last);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$kind $input `axis` $axis attr-dict `:` type($input)";
}

class NN_AxisOp<string mnemonic, string text> : NN_InferredOp<mnemonic> {
  let summary = text;
  let description = [{
    Constraints:
    * (C1) `axis` is an axis of the input.
  }];
  let arguments = (ins AnyRankedTensor:$input, I64Attr:$axis);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$input `axis` $axis attr-dict `:` type($input)";
}
def NN_SoftmaxOp : NN_AxisOp<"softmax", "exp(x - max) / sum(exp(x - max)) along an axis">;
def NN_LogSoftmaxOp : NN_AxisOp<"log_softmax", "x - max - log(sum(exp(x - max))) along an axis">;

def NN_CumSumOp : NN_InferredOp<"cumsum"> {
  let summary = "running sums along an axis";
  let description = [{
    `exclusive` leaves out the element itself; `reverse` sums from the last element on. Constraints:
    * (C1) `axis` is an axis of the input.
  }];
  let arguments = (ins AnyRankedTensor:$input, I64Attr:$axis, UnitAttr:$exclusive, UnitAttr:$reverse);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$input `axis` $axis attr-dict `:` type($input)";
}

def NN_TopKOp : NN_Op<"topk", [Pure, NN_CostInterface]> {
  let summary = "the k largest or smallest elements along an axis, and their indices";
  let description = [{
    k is the extent of the results along `axis`. Equal elements come in the order of their index. Constraints:
    * (C1) results have the input's extents but along `axis`; indices have element type i64.
  }];
  let arguments = (ins AnyRankedTensor:$input, I64Attr:$axis, BoolAttr:$largest);
  let results = (outs AnyRankedTensor:$values, AnyRankedTensor:$indices);
  let assemblyFormat = "$input `axis` $axis attr-dict `:` type($input) `to` type($values) `,` type($indices)";
  let hasVerifier = 1;
}

def NN_LayerNormOp : NN_InferredOp<"layer_norm"> {
  let summary = "normalizes the axes from `axis` to the last";
  let description = [{
    (x - mean) / sqrt(variance + epsilon) * scale + bias; with `rms`, x / sqrt(mean(x * x) + epsilon) * scale. Scale and
    bias broadcast to the input. Constraints:
    * (C1) `axis` is an axis of the input; scale and bias broadcast to it.
  }];
  let arguments = (ins AnyRankedTensor:$input, AnyRankedTensor:$scale, Optional<AnyRankedTensor>:$bias, I64Attr:$axis,
                       F64Attr:$epsilon, UnitAttr:$rms);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = [{
    $input `scale` $scale `:` type($scale) (`bias` $bias^ `:` type($bias))? `axis` $axis attr-dict `:` type($input)
  }];
}

def NN_BatchNormOp : NN_InferredOp<"batch_norm"> {
  let summary = "(x - mean) / sqrt(variance + epsilon) * scale + bias, per channel (axis 1)";
  let description = [{
    Constraints:
    * (C1) the input has at least two axes.
    * (C2) scale, bias, mean and variance have one axis of the channel's extent.
  }];
  let arguments = (ins AnyRankedTensor:$input, AnyRankedTensor:$scale, AnyRankedTensor:$bias, AnyRankedTensor:$mean,
                       AnyRankedTensor:$variance, F64Attr:$epsilon);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = [{
    $input `,` $scale `,` $bias `,` $mean `,` $variance attr-dict `:` type($input) `,` type($scale) `,` type($bias) `,`
    type($mean) `,` type($variance)
  }];
}

#endif
