//===- NNOpsElementwise.td - One element in, one element out -*- tablegen -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_DIALECT_NN_IR_NNOPSELEMENTWISE
#define PENSTOCK_DIALECT_NN_IR_NNOPSELEMENTWISE

include "penstock/Dialect/NN/IR/NNOpBase.td"

def NN_UnaryOp : NN_InferredOp<"unary"> {
  let summary = "a function of each element";
  let description = [{
    `alpha` and `beta` are the parameters of the function, by kind:

    | kind | meaning |
    |---|---|
    | leaky_relu | x < 0 ? alpha * x : x |
    | thresholded_relu | x > alpha ? x : 0 |
    | elu, celu | x < 0 ? alpha * (exp(x) - 1) : x; celu: alpha * (exp(x / alpha) - 1) |
    | selu | beta * (x <= 0 ? alpha * (exp(x) - 1) : x) |
    | hard_sigmoid | max(0, min(1, alpha * x + beta)) |
    | hard_swish | x * max(0, min(1, x / 6 + 1 / 2)) |
    | gelu, gelu_tanh | x * (1 + erf(x / sqrt 2)) / 2; gelu_tanh is the tanh approximation |
    | shrink | x < -alpha ? x + beta : x > alpha ? x - beta : 0 |
    | is_inf | alpha != 0: positive infinities count; beta != 0: negative ones count |

    Constraints:
    * (C1) kinds that need real numbers take a floating-point element type; `logical_not` takes i1; `bitwise_not` an integer.

    ```mlir
    %1 = nn.unary tanh %0 : tensor<4x?xf32, #nn.extents<[s0]>>
    ```
  }];
  let arguments = (ins NN_UnaryKindAttr:$kind, AnyRankedTensor:$input, OptionalAttr<F64Attr>:$alpha,
                       OptionalAttr<F64Attr>:$beta);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$kind $input attr-dict `:` type($input)";
  let hasVerifier = 1;
}

class NN_BroadcastOp<string mnemonic> : NN_InferredOp<mnemonic> {
  let results = (outs AnyRankedTensor:$result);
}

def NN_BinaryOp : NN_BroadcastOp<"binary"> {
  let summary = "a function of each pair of elements, with broadcasting";
  let description = [{
    Extents are aligned from the last axis; 1 stretches. Two different symbolic extents are taken to be equal, which
    `nn.constraint` records for a check at run time. `mod` has the sign of the divisor, `fmod` that of the dividend.
    `pow` has the element type of its first operand and allows another one for the second. `prelu` is x < 0 ? slope * x : x.

    Constraints:
    * (C1) both operands have the same element type (but for `pow`).
    * (C2) the shapes broadcast.
    * (C3) `logical_*` take i1, `bitwise_*` and `shift_*` integers.
  }];
  let arguments = (ins NN_BinaryKindAttr:$kind, AnyRankedTensor:$lhs, AnyRankedTensor:$rhs);
  let assemblyFormat = "$kind $lhs `,` $rhs attr-dict `:` type($lhs) `,` type($rhs)";
  let hasVerifier = 1;
}

def NN_CompareOp : NN_BroadcastOp<"compare"> {
  let summary = "compares each pair of elements, with broadcasting";
  let description = [{
    Constraints:
    * (C1) both operands have the same element type.
    * (C2) the shapes broadcast.
  }];
  let arguments = (ins NN_CompareKindAttr:$kind, AnyRankedTensor:$lhs, AnyRankedTensor:$rhs);
  let assemblyFormat = "$kind $lhs `,` $rhs attr-dict `:` type($lhs) `,` type($rhs)";
}

def NN_SelectOp : NN_BroadcastOp<"select"> {
  let summary = "takes each element from one of two tensors, with broadcasting";
  let description = [{
    Constraints:
    * (C1) `condition` has element type i1.
    * (C2) both values have the same element type.
    * (C3) the shapes broadcast.
  }];
  let arguments = (ins AnyRankedTensor:$condition, AnyRankedTensor:$lhs, AnyRankedTensor:$rhs);
  let assemblyFormat = "$condition `,` $lhs `,` $rhs attr-dict `:` type($condition) `,` type($lhs) `,` type($rhs)";
}

def NN_CastOp : NN_InferredOp<"cast"> {
  let summary = "converts each element";
  let description = [{
    Float to integer truncates toward zero; anything to i1 is `x != 0`; integer to a narrower integer keeps the low bits.
    With `saturate`, values beyond the range of the target become its ends.
  }];
  let arguments = (ins AnyRankedTensor:$input, TypeAttr:$to, UnitAttr:$saturate);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$input `to` $to attr-dict `:` type($input)";
}

def NN_BitcastOp : NN_InferredOp<"bitcast"> {
  let summary = "the bits of each element as another type";
  let description = [{
    Constraints:
    * (C1) both element types have the same number of bits.

    ```mlir
    %1 = nn.bitcast %0 to i32 : tensor<4xf32>
    ```
  }];
  let arguments = (ins AnyRankedTensor:$input, TypeAttr:$to);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$input `to` $to attr-dict `:` type($input)";
}

#endif
