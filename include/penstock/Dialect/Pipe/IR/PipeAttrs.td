//===- PipeAttrs.td - Attributes and enums of the pipe dialect -*- tablegen -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_DIALECT_PIPE_IR_PIPEATTRS
#define PENSTOCK_DIALECT_PIPE_IR_PIPEATTRS

include "penstock/Dialect/Pipe/IR/PipeDialect.td"
include "penstock/Dialect/NN/IR/NNAttrs.td"
include "penstock/Dialect/Pipe/IR/PipeEnums.td"

def Pipe_StorageAttr : Pipe_Attr<"Storage", "storage"> {
  let summary = "where the bytes of a value of a stage live";
  let description = [{
    * `arena`: in the arena of the role, from `offset`. An `offset` of -1 is planned at run time, from `bytes`, `first` and
      `last`; then every arena offset of the role is -1.
    * `channel_in`, `channel_out`: in the slot of channel `symbol`.
    * `weight`: in the weights file of the role, from `offset`; `symbol` is the `nn.weight`.
    * `constant`: in the executable.
    * `state`: the `pipe.state` `symbol`.

    `bytes` is one expression over the module's symbols; a constant where the extents are static or bounded (then it is
    the bound). `first` and `last` are the first and the last step (call of a kernel, counted over the role) at which the
    bytes are in use, both included. `alias` is the position of the input of the call whose bytes the value takes over.

    ```mlir
    %o = nn.empty {pipe.storage = #pipe.storage<arena, offset = 0, bytes = <[49152]>, first = 1, last = 3>} : tensor<...>
    %w = nn.load_weight @w {pipe.storage = #pipe.storage<weight, symbol = @w, offset = 0, bytes = <[864]>>} : tensor<...>
    ```
  }];
  let parameters = (ins EnumParameter<Pipe_StorageKind>:$kind, OptionalParameter<"::mlir::FlatSymbolRefAttr">:$symbol,
                        DefaultValuedParameter<"int64_t", "-1">:$offset,
                        OptionalParameter<"::penstock::nn::ExtentsAttr">:$bytes,
                        DefaultValuedParameter<"int64_t", "-1">:$first, DefaultValuedParameter<"int64_t", "-1">:$last,
                        DefaultValuedParameter<"int64_t", "-1">:$alias);
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
}

def Pipe_TaskAttr : EnumAttr<Pipe_Dialect, Pipe_Task, "task"> {
  let assemblyFormat = "$value";
}

def Pipe_MessageFlagAttr : EnumAttr<Pipe_Dialect, Pipe_MessageFlag, "message_flag"> {
  let assemblyFormat = "$value";
}

#endif
