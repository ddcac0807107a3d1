//===- NNOpsContraction.td - Products and convolutions -----*- tablegen -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_DIALECT_NN_IR_NNOPSCONTRACTION
#define PENSTOCK_DIALECT_NN_IR_NNOPSCONTRACTION

include "penstock/Dialect/NN/IR/NNOpBase.td"

def NN_MatmulOp : NN_InferredOp<"matmul"> {
  let summary = "products of matrices, over broadcast leading axes";
  let description = [{
    The last two axes are the matrices, `transpose_lhs` / `transpose_rhs` swap them first; the axes before broadcast.

    Constraints:
    * (C1) both operands have at least two axes.
    * (C2) both have the same element type.
    * (C3) the contracted extents agree.
    * (C4) the leading axes broadcast.
  }];
  let arguments = (ins AnyRankedTensor:$lhs, AnyRankedTensor:$rhs, UnitAttr:$transpose_lhs, UnitAttr:$transpose_rhs);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$lhs `,` $rhs attr-dict `:` type($lhs) `,` type($rhs)";
  let extraClassDeclaration = [{ ::mlir::AffineExpr getFlops(); }];
}

def NN_AttentionOp : NN_InferredOp<"attention"> {
  let summary = "softmax(scale * query * transpose(key) + mask) * value, per head";
  let description = [{
    The last two axes of `query` are rows and features, those of `key` and `value` positions and features; the axes before
    are batch axes, the last of them the heads. A head of key and value serves as many heads of the query, one after the
    other, as the extents say. `mask` broadcasts to heads x rows x positions: floats are added to the scaled products, of
    booleans a false one hides its position. A row that sees no position is NaN, or zeros with `zero_masked_rows`.

    f16 and bf16 are computed in f32. Products, exponentials and sums are taken in an order that depends on nothing but the
    number of positions.

    Constraints:
    * (C1) query, key and value have the same number of axes, at least two, and one floating-point element type.
    * (C2) query and key have the same features, key and value the same positions.
    * (C3) batch axes agree, but for the heads: key and value have equally many, the query a multiple of that.
    * (C4) the mask broadcasts to the products; its element type is i1 or that of the query.

    ```mlir
    %0 = nn.attention %q, %k, %v mask %m : tensor<1x1x1x9xf32> {scale = 1.25e-01 : f64} : tensor<1x8x5x64xf32>, tensor<1x4x9x64xf32>, tensor<1x4x9x64xf32>
    ```
  }];
  let arguments = (ins AnyRankedTensor:$query, AnyRankedTensor:$key, AnyRankedTensor:$value,
                       Optional<AnyRankedTensor>:$mask, F64Attr:$scale, UnitAttr:$zero_masked_rows);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = [{
    $query `,` $key `,` $value (`mask` $mask^ `:` type($mask))? attr-dict `:` type($query) `,` type($key) `,` type($value)
  }];
  let extraClassDeclaration = [{ ::mlir::AffineExpr getFlops(); }];
}

def NN_ConvOp : NN_InferredOp<"conv"> {
  let summary = "convolution over any number of spatial axes";
  let description = [{
    `input` is N x C x spatial, `filter` M x C/group x kernel, `bias` M. `pads` holds the low pads of every spatial axis,
    then the high ones (as ONNX does). Constraints:
    * (C1) input and filter have the same number of axes, at least three.
    * (C2) strides and dilations have one positive entry, pads two non-negative ones per spatial axis.
    * (C3) C equals C/group of the filter times `group`; M is a multiple of `group`.
    * (C4) the bias, if any, has M elements.
    * (C5) the kernel fits into the padded input.

    With `channels_last`, input and result are N x spatial x channels; the filter stays as it is. `nn-assign-layouts`
    decides that.

    ```mlir
    %0 = nn.conv %x, %w {channels_last, dilations = array<i64: 1, 1>, group = 1 : i64, pads = array<i64: 1, 1, 1, 1>,
                         strides = array<i64: 1, 1>} : tensor<1x56x56x64xf32>, tensor<32x64x3x3xf32>
    ```
  }];
  let arguments = (ins AnyRankedTensor:$input, AnyRankedTensor:$filter, Optional<AnyRankedTensor>:$bias,
                       DenseI64ArrayAttr:$strides, DenseI64ArrayAttr:$dilations, DenseI64ArrayAttr:$pads,
                       I64Attr:$group, UnitAttr:$channels_last);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = [{
    $input `,` $filter (`bias` $bias^ `:` type($bias))? attr-dict `:` type($input) `,` type($filter)
  }];
  let extraClassDeclaration = [{ ::mlir::AffineExpr getFlops(); }];
}

def NN_ConvTransposeOp : NN_InferredOp<"conv_transpose"> {
  let summary = "transposed convolution over any number of spatial axes";
  let description = [{
    `filter` is C x M/group x kernel. Extent of a spatial result axis:
    (in - 1) * stride + (kernel - 1) * dilation + 1 + output_pad - pad_low - pad_high. Constraints and
    `channels_last` as for `nn.conv`.
  }];
  let arguments = (ins AnyRankedTensor:$input, AnyRankedTensor:$filter, Optional<AnyRankedTensor>:$bias,
                       DenseI64ArrayAttr:$strides, DenseI64ArrayAttr:$dilations, DenseI64ArrayAttr:$pads,
                       DenseI64ArrayAttr:$output_pads, I64Attr:$group, UnitAttr:$channels_last);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = [{
    $input `,` $filter (`bias` $bias^ `:` type($bias))? attr-dict `:` type($input) `,` type($filter)
  }];
  let extraClassDeclaration = [{ ::mlir::AffineExpr getFlops(); }];
}

def NN_PoolOp : NN_InferredOp<"pool"> {
  let summary = "pooling over any number of spatial axes";
  let description = [{
    Elements outside the input do not count: a max ignores them, `average` divides by the number of elements inside,
    `average_include_pad` by the number inside the padded input. With `ceil_mode` a last window may begin inside and end
    outside of the padded input. With `channels_last`, input and result are N x spatial x channels. Constraints:
    * (C1) kernel, strides and dilations have one positive entry, pads two non-negative ones per spatial axis.
  }];
  let arguments = (ins NN_PoolKindAttr:$kind, AnyRankedTensor:$input, DenseI64ArrayAttr:$kernel,
                       DenseI64ArrayAttr:$strides, DenseI64ArrayAttr:$dilations, DenseI64ArrayAttr:$pads,
                       UnitAttr:$ceil_mode, UnitAttr:$channels_last);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$kind $input attr-dict `:` type($input)";
  let extraClassDeclaration = [{ ::mlir::AffineExpr getFlops(); }];
}

#endif
