//===- PipeOps.td - Ops of the pipe dialect ----------------*- tablegen -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_DIALECT_PIPE_IR_PIPEOPS
#define PENSTOCK_DIALECT_PIPE_IR_PIPEOPS

include "penstock/Dialect/Pipe/IR/PipeAttrs.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/IR/RegionKindInterface.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

//===----------------------------------------------------------------------===//
// The graph: inputs, outputs, channels, stages, states
//===----------------------------------------------------------------------===//

class Pipe_ModuleSymbolOp<string mnemonic, list<Trait> traits = []>
    : Pipe_Op<mnemonic, !listconcat([Symbol, HasParent<"::mlir::ModuleOp">,
                                     DeclareOpInterfaceMethods<SymbolUserOpInterface>], traits)>;

def Pipe_InputOp : Pipe_Op<"input", [HasParent<"::mlir::ModuleOp">,
                                     DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "an input of the model";
  let description = [{
    The inputs of the model in their order, by name. An input that nothing reads has no channel; its shape still binds
    symbols. `batch` is the axis along which a request is cut into microbatches; without it the input goes whole to each.
    Constraints:
    * (C1) `type` is a ranked tensor.
    * (C2) `channel`, if any, is a `pipe.channel` from @source of the same type.
    * (C3) `batch` is an axis.

    ```mlir
    pipe.input "x" via @x batch 0 : tensor<4x8xf32>
    pipe.input "unused" : tensor<1xi64>
    ```
  }];
  let arguments = (ins StrAttr:$name, OptionalAttr<FlatSymbolRefAttr>:$channel, OptionalAttr<I64Attr>:$batch,
                       TypeAttr:$type);
  let assemblyFormat = "$name (`via` $channel^)? (`batch` $batch^)? attr-dict `:` $type";
  let hasVerifier = 1;
}

def Pipe_OutputOp : Pipe_Op<"output", [HasParent<"::mlir::ModuleOp">,
                                       DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "an output of the model";
  let description = [{
    The outputs of the model in their order, by name. Two outputs may be one value and share its channel. `batch` is the axis along which the
    microbatches of a request are put together; without it all are the same. Constraints:
    * (C1) `type` is a ranked tensor.
    * (C2) `channel` is a `pipe.channel` to @sink of the same type.
    * (C3) `batch` is an axis.

    ```mlir
    pipe.output "y" via @y batch 0 : tensor<4x8xf32>
    ```
  }];
  let arguments = (ins StrAttr:$name, FlatSymbolRefAttr:$channel, OptionalAttr<I64Attr>:$batch, TypeAttr:$type);
  let assemblyFormat = "$name `via` $channel (`batch` $batch^)? attr-dict `:` $type";
  let hasVerifier = 1;
}

def Pipe_ChannelOp : Pipe_ModuleSymbolOp<"channel"> {
  let summary = "carries one value from its stage to all stages that read it";
  let description = [{
    One producer, one or more consumers. `depth` is the number of slots, decided by `pipe-schedule`. A channel with
    `delay` d starts with d messages of zeros, in d further slots: microbatch m reads message m - d, also in an earlier stage.
    `slot_bytes` (decided by `pipe-place-buffers`) is one expression: the bytes of a message, or their bound. With
    `per_session` the header of each message carries a session id. A control channel carries no bytes: it starts a
    stage that reads nothing else.

    Constraints:
    * (C1) `type` is a ranked tensor.
    * (C2) there is at least one consumer, and no consumer is named twice.
    * (C3) the producer is @source or a stage; each consumer is @sink or a stage.
    * (C4) `depth` is at least 1; `delay` is not negative.
    * (C5) a channel from a stage to itself has a delay of at least 1.
    * (C6) the producing stage lists the channel among its writes, each consuming stage among its reads.
    * (C7) `pipe.carrier`, if there is one, is "nccl", and each end is a stage with `pipe.device`.

    ```mlir
    pipe.channel @h from @s0 to [@s1, @s3] depth 4 tensor "relu_3" : tensor<4x8xf32>
    pipe.channel @back from @s1 to [@s0] depth 3 delay 1 : tensor<4x8xf32>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, FlatSymbolRefAttr:$producer, FlatSymbolRefArrayAttr:$consumers,
                       OptionalAttr<I64Attr>:$depth, DefaultValuedAttr<I64Attr, "0">:$delay,
                       OptionalAttr<StrAttr>:$tensor, TypeAttr:$type, OptionalAttr<NN_ExtentsAttr>:$slot_bytes,
                       UnitAttr:$control, UnitAttr:$per_session, OptionalAttr<StrAttr>:$sym_visibility);
  let assemblyFormat = [{
    $sym_name `from` $producer `to` $consumers (`depth` $depth^)? (`delay` $delay^)? (`tensor` $tensor^)?
    (`control` $control^)? (`per_session` $per_session^)? attr-dict `:` $type
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    bool isFromSource();
    bool isToSink();
    /// Position of a stage (or sink) in `consumers`, or -1.
    int64_t getConsumerIndex(::llvm::StringRef stage);
  }];
}

def Pipe_StageOp : Pipe_ModuleSymbolOp<"stage", [IsolatedFromAbove, SingleBlock]> {
  let summary = "a slice of the model: a pure function from messages to messages";
  let description = [{
    One block argument per channel of `reads`, then one per state; `pipe.return` gives one value per channel of `writes`,
    then the next value of each state. The body is in destination-passing form: `nn.empty` and `nn.call`.
    `group` names the stages that share the work of one (tensor or expert parallelism); `pipe.storage` (after
    `pipe-place-buffers`) has one storage per block argument.

    Constraints:
    * (C1) the name is neither @source nor @sink.
    * (C2) one block argument per read channel and state, of its type; no channel is read twice.
    * (C3) returns one value per written channel and state, of its type; no channel is written twice.
    * (C4) the body holds only `nn.call`, `nn.empty` and ops without side effects; no other op of `pipe`.
    * (C5) it reads at least one channel.
    * (C6) read channels have it as consumer, written ones as producer; states name it.
    * (C7) a stage that keeps a state per session reads only channels with session ids.

    ```mlir
    pipe.stage @s0(%x: tensor<4x8xf32>) -> (tensor<4x8xf32>) reads [@x] writes [@c0] {
      %o = nn.empty : tensor<4x8xf32>
      %0 = nn.call @k0 ins(%x : tensor<4x8xf32>) outs(%o : tensor<4x8xf32>) symbols <[]> -> tensor<4x8xf32>
      pipe.return %0 : tensor<4x8xf32>
    }
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, FlatSymbolRefArrayAttr:$reads, FlatSymbolRefArrayAttr:$writes,
                       FlatSymbolRefArrayAttr:$states, OptionalAttr<StrAttr>:$group,
                       OptionalAttr<StrAttr>:$sym_visibility);
  let regions = (region SizedRegion<1>:$body);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// Number in the plan: the position among the stages of the module.
    int64_t getStageIndex();
    ::mlir::Operation *getReturn() { return getBody().front().getTerminator(); }
    /// Value sent on `writes[i]`.
    ::mlir::Value getWritten(int64_t i) { return getReturn()->getOperand(i); }
  }];
}

def Pipe_ReturnOp : Pipe_Op<"return", [Pure, Terminator, ReturnLike, HasParent<"StageOp">]> {
  let summary = "results of a stage";
  let arguments = (ins Variadic<AnyRankedTensor>:$values);
  let assemblyFormat = "attr-dict ($values^ `:` type($values))?";
  let builders = [OpBuilder<(ins), "build($_builder, $_state, ::mlir::ValueRange());">];
}

def Pipe_StateOp : Pipe_ModuleSymbolOp<"state"> {
  let summary = "a value that a stage keeps from one microbatch to the next";
  let description = [{
    A data edge with delay 1 from the stage to itself. It starts as zeros, or as the weight `init` (a mutable weight).
    With `per_session` there is one value per session id. Constraints:
    * (C1) `type` is a ranked tensor.
    * (C2) `stage` is a stage that lists the state.
    * (C3) `init`, if any, is an `nn.weight` of the same type.

    ```mlir
    pipe.state @h in @s1 : tensor<2x1x64xf32>
    pipe.state @w in @s1 init @fc.w : tensor<64x64xf32>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, FlatSymbolRefAttr:$stage, OptionalAttr<FlatSymbolRefAttr>:$init,
                       TypeAttr:$type, UnitAttr:$per_session, OptionalAttr<StrAttr>:$sym_visibility);
  let assemblyFormat = [{
    $sym_name `in` $stage (`init` $init^)? (`per_session` $per_session^)? attr-dict `:` $type
  }];
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Programs
//===----------------------------------------------------------------------===//

def Pipe_ProgramOp : Pipe_ModuleSymbolOp<"program", [NoTerminator]> {
  let summary = "what one process runs";
  let description = [{
    The number of microbatches M is unknown until the stream ends. The role runs, in this order:
    1. `prologue`, whose items name microbatches;
    2. `steady` for b = base, base + round, ... while b + round <= M; an item is for microbatch b + `microbatch`;
    3. `epilogue`, for the first b that was not run, in the same way.
    Items of a microbatch outside 0 ... M-1 are left out; this happens in the prologue and the epilogue only. A role of
    one stage has neither prologue nor epilogue, base 0 and round 1. `period` is the predicted time between two
    microbatches in seconds, `replicas` the number of processes that run the program on different microbatches. After
    `pipe-place-buffers`, `pipe.memory` has the bytes.

    Constraints:
    * (C1) it runs at least one stage, none twice; each exists.
    * (C2) no stage is run by two programs.
    * (C3) it holds only `pipe.recv`, `pipe.upload`, `pipe.run`, `pipe.download` and `pipe.send`.
    * (C4) whatever M is, each stage runs each microbatch exactly once, in ascending order.
    * (C5) `replicas` is at least 1, `base` 0 to 256, `round` 1 to 256, `period` positive.

    ```mlir
    pipe.program @r0 runs [@s0] period 1.250000e-03 steady {
      %0 = pipe.recv @x : tensor<4x8xf32>
      %1 = pipe.run @s0(%0) : (tensor<4x8xf32>) -> tensor<4x8xf32>
      pipe.send %1 to @c0 : tensor<4x8xf32>
    }
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, FlatSymbolRefArrayAttr:$stages,
                       DefaultValuedAttr<I64Attr, "1">:$replicas, DefaultValuedAttr<I64Attr, "0">:$base,
                       DefaultValuedAttr<I64Attr, "1">:$round, OptionalAttr<F64Attr>:$period, OptionalAttr<StrAttr>:$sym_visibility);
  let regions = (region MaxSizedRegion<1>:$prologue, SizedRegion<1>:$steady, MaxSizedRegion<1>:$epilogue);
  let assemblyFormat = [{
    $sym_name `runs` $stages (`replicas` $replicas^)? (`base` $base^)? (`round` $round^)? (`period` $period^)?
    attr-dict-with-keyword (`prologue` $prologue^)? `steady` $steady (`epilogue` $epilogue^)?
  }];
  let hasVerifier = 1;
}

class Pipe_ItemOp<string mnemonic, list<Trait> traits = []>
    : Pipe_Op<mnemonic, !listconcat([HasParent<"ProgramOp">, // recv_c1, upload_c1, download_c1, send_c1
                                     DeclareOpInterfaceMethods<SymbolUserOpInterface>], traits)>;

def Pipe_RecvOp : Pipe_ItemOp<"recv"> {
  let summary = "waits for the next message of a channel";
  let description = [{
    The n-th receive of a consumer meets the n-th send. The message lies in memory of the host; that of a channel with
    `pipe.carrier` lies on the device of its stage. Constraints:
    * (C1) the op is nested in a `pipe.program`.
    * (C2) `channel` names a `pipe.channel` that a stage of the program consumes.
    * (C3) the type is the channel's.
    * (C4) the message is used exactly once.
  }];
  let arguments = (ins FlatSymbolRefAttr:$channel);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$channel attr-dict `:` type($result)";
  let extraClassDeclaration = [{
    /// What runs on the message, uploaded or not; null: nothing does.
    RunOp getRun();
  }];
}

// Copies of a stage on a device, which the runtime stages: they pass through pinned memory, on streams of their own.
class Pipe_CopyOp<string mnemonic> : Pipe_ItemOp<mnemonic, [SameOperandsAndResultType]> {
  let arguments = (ins AnyRankedTensor:$value);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$value attr-dict `:` type($value)";
}

def Pipe_UploadOp : Pipe_CopyOp<"upload"> {
  let summary = "copies a message from the host to the device of its stage";
  let description = [{
    The copy is under way when the next item begins; what runs on `result` waits for it on the device. Constraints:
    * (C1) the op is nested in a `pipe.program`.
    * (C2) `value` is the message of the `pipe.recv` directly before it.
    * (C3) `result` is used exactly once, by a `pipe.run`.

    Which messages are uploaded is a constraint of `pipe.run`.

    ```mlir
    pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@c0] attributes {pipe.device = "cuda"} {
      ...
    }
    pipe.program @r0 runs [@s0] steady {
      %0 = pipe.recv @x : tensor<4xf32>
      %1 = pipe.upload %0 : tensor<4xf32>
      %2 = pipe.run @s0(%1) : (tensor<4xf32>) -> tensor<4xf32>
      %3 = pipe.download %2 : tensor<4xf32>
      pipe.send %3 to @c0 : tensor<4xf32>
    }
    ```
  }];
}

def Pipe_RunOp : Pipe_ItemOp<"run"> {
  let summary = "runs a stage on the messages of one microbatch";
  let description = [{
    `microbatch` is absolute in the prologue, relative to the round in the steady part and the epilogue. Constraints:
    * (C1) `stage` is a stage of the program.
    * (C2) operands have the types of its reads, results of its writes.
    * (C3) operand i is received from `reads[i]`.
    * (C4) every result is sent, once.
    * (C5) an operand is uploaded, and a result downloaded, exactly if the stage has `pipe.device` and the channel no
      `pipe.carrier`.

    ```mlir
    %1 = pipe.run @s0(%0) microbatch 1 : (tensor<4x8xf32>) -> tensor<4x8xf32>
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$stage, Variadic<AnyRankedTensor>:$inputs,
                       DefaultValuedAttr<I64Attr, "0">:$microbatch,
                       DefaultValuedAttr<Pipe_TaskAttr, "::penstock::pipe::Task::forward">:$task);
  let results = (outs Variadic<AnyRankedTensor>:$outputs);
  let assemblyFormat = [{
    $stage `(` $inputs `)` (`microbatch` $microbatch^)? (`task` $task^)? attr-dict `:` functional-type(operands, results)
  }];
}

def Pipe_DownloadOp : Pipe_CopyOp<"download"> {
  let summary = "copies a result from the device of its stage to the host";
  let description = [{
    The copy begins when the device has made `value`; neither this item nor the send behind it waits for that. The
    message goes to its consumers once the copy is there, at the latest before its role waits for anything else.

    Constraints:
    * (C1) the op is nested in a `pipe.program`.
    * (C2) `value` is a result of a `pipe.run`.
    * (C3) `result` is used exactly once, by the `pipe.send` directly behind the op.

    Which results are downloaded is a constraint of `pipe.run`; `pipe.upload` has an example.
  }];
}

def Pipe_SendOp : Pipe_ItemOp<"send"> {
  let summary = "publishes a tensor to the consumers of a channel";
  let description = [{
    Makes `value` readable for every consumer of `channel`. The n-th send on a channel meets the n-th `pipe.recv` of each
    consumer; that order is the only link between the two, so the op is never reordered per channel. Waits while a
    consumer still holds the slot that the message needs. `flags` goes into the message's header.

    Constraints:
    * (C1) the op is nested in a `pipe.program`.
    * (C2) `channel` names a `pipe.channel` whose producer is a stage of that program.
    * (C3) the type of `value` is the channel's.
    * (C4) `value` is result i of a `pipe.run`, downloaded or not, and `channel` is `writes[i]` of its stage.

    ```mlir
    pipe.send %h to @h : tensor<4x8xf32>
    ```
  }];
  let arguments = (ins AnyRankedTensor:$value, FlatSymbolRefAttr:$channel,
                       DefaultValuedAttr<Pipe_MessageFlagAttr, "::penstock::pipe::MessageFlag::none">:$flags);
  let assemblyFormat = "$value `to` $channel (`flags` $flags^)? attr-dict `:` type($value)";
  let extraClassDeclaration = [{
    /// The result of a run that is sent, before its download if there is one; null: there is no run.
    ::mlir::OpResult getOutput();
  }];
}

#endif
