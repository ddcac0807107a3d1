//===- NNOpsRecurrent.td - Recurrent layers ----------------*- tablegen -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_DIALECT_NN_IR_NNOPSRECURRENT
#define PENSTOCK_DIALECT_NN_IR_NNOPSRECURRENT

include "penstock/Dialect/NN/IR/NNOpBase.td"

def NN_RecurrentOp : NN_Op<"recurrent", [Pure, NN_CostInterface, AttrSizedOperandSegments]> {
  let summary = "RNN, GRU or LSTM over a sequence";
  let description = [{
    Operands, layouts and gate orders are ONNX's with `layout` 0, except that weights are right sides of products, which
    is done once where they are constant: `input` [time, batch, features], `weights` [directions, features,
    gates * hidden], `recurrence` [directions, hidden, gates * hidden], `bias` [directions, 2 * gates * hidden], `lengths` [batch] (i32), `initial_h` and `initial_c` [directions, batch, hidden], `peephole`
    [directions, 3 * hidden]. Results: `output` [time, directions, batch, hidden], `last_h` and, of an LSTM, `last_c`
    [directions, batch, hidden]. `activations` name the functions of each direction.
    With `rounds_state` it is ONNX Runtime's dynamically quantized LSTM: `weights` and `recurrence` are integers, with one
    row more, what the sums of each column are multiplied by. The input, and before each product the hidden state, become
    bytes over their range (with zero in it), whose products are exact sums. A byte that is rounded the other way moves
    all that follow, so that sigmoid and tanh are ONNX Runtime's to the last bit. Constraints:
    * (C1) the shapes agree with the above; an LSTM has `last_c`, the others do not.
    * (C2) only an LSTM has `rounds_state`.
  }];
  let arguments = (ins NN_RecurrentKindAttr:$kind, NN_RecurrentDirectionAttr:$direction, AnyRankedTensor:$input,
                       AnyRankedTensor:$weights, AnyRankedTensor:$recurrence, Optional<AnyRankedTensor>:$bias,
                       Optional<AnyRankedTensor>:$lengths, Optional<AnyRankedTensor>:$initial_h,
                       Optional<AnyRankedTensor>:$initial_c, Optional<AnyRankedTensor>:$peephole,
                       I64Attr:$hidden_size, StrArrayAttr:$activations, DenseF64ArrayAttr:$activation_alpha,
                       DenseF64ArrayAttr:$activation_beta, OptionalAttr<F64Attr>:$clip, UnitAttr:$input_forget,
                       UnitAttr:$linear_before_reset, UnitAttr:$rounds_state);
  let results = (outs AnyRankedTensor:$output, AnyRankedTensor:$last_h, Optional<AnyRankedTensor>:$last_c);
  let assemblyFormat = [{
    $kind $direction $input `,` $weights `,` $recurrence (`bias` $bias^)? (`lengths` $lengths^)?
    (`initial_h` $initial_h^)? (`initial_c` $initial_c^)? (`peephole` $peephole^)? attr-dict `:`
    functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

#endif
