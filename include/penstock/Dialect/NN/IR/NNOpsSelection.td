//===- NNOpsSelection.td - Ops that choose by the data -----*- tablegen -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// How many elements are chosen is found first, by ops of its own, and becomes the value of a data symbol
// (`nn.define_extent`); what is chosen then has that symbol as extent.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_DIALECT_NN_IR_NNOPSSELECTION
#define PENSTOCK_DIALECT_NN_IR_NNOPSSELECTION

include "penstock/Dialect/NN/IR/NNOpBase.td"

def NN_PositionsOp : NN_Op<"positions", [Pure, NN_CostInterface]> {
  let summary = "the positions of the true elements, ascending";
  let description = [{
    The extent of the result is the number of true elements; never more than that many are written. Constraints:
    * (C1) the mask has one axis of i1, the result one axis of i64.

    ```mlir
    %0 = nn.positions %mask : tensor<9xi1> to tensor<?xi64, #nn.extents<[s0]>>
    ```
  }];
  let arguments = (ins AnyRankedTensor:$mask);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$mask attr-dict `:` type($mask) `to` type($result)";
  let hasVerifier = 1;
}

def NN_NonMaxSuppressionOp : NN_Op<"non_max_suppression", [Pure, NN_CostInterface]> {
  let summary = "the best boxes of each class that do not overlap much";
  let description = [{
    `boxes` are batch x boxes x 4, two corners (y, x, y, x) in any order, or with `center_point_box` the centre and the
    sides (x, y, width, height); `scores` are batch x classes x boxes. Of the boxes whose score is above
    `score_threshold`, the best is taken, of equal ones the first; those that overlap a taken one by more than
    `iou_threshold` (area of the intersection by that of the union) are out; at most `limit` are taken per class.
    `selected` has a row (batch, class, box) for each, in that order of batches and classes; rows from `count` on are
    zeros. Constraints:
    * (C1) boxes and scores are f32 and fit each other as above.
    * (C2) `limit` is one i64, the thresholds are one f32 each.
    * (C3) `selected` has three columns of i64.

    ```mlir
    %rows, %n = nn.non_max_suppression %boxes, %scores limit %k iou %t score %s
        : (tensor<1x6x4xf32>, tensor<1x2x6xf32>, tensor<i64>, tensor<f32>, tensor<f32>) -> (tensor<12x3xi64>, tensor<i64>)
    ```
  }];
  let arguments = (ins AnyRankedTensor:$boxes, AnyRankedTensor:$scores, 0DTensorOf<[I64]>:$limit, // non_max_suppression_c2
                       0DTensorOf<[F32]>:$iou_threshold, 0DTensorOf<[F32]>:$score_threshold,
                       UnitAttr:$center_point_box);
  let results = (outs AnyRankedTensor:$selected, 0DTensorOf<[I64]>:$count);
  let assemblyFormat = [{
    $boxes `,` $scores `limit` $limit `iou` $iou_threshold `score` $score_threshold attr-dict `:`
    functional-type(operands, results)
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{ ::mlir::AffineExpr getFlops(); }];
}

#endif
