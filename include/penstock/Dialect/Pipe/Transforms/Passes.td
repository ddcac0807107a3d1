//===- Passes.td - Passes of the phases assign to place ----*- tablegen -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_DIALECT_PIPE_TRANSFORMS_PASSES
#define PENSTOCK_DIALECT_PIPE_TRANSFORMS_PASSES

include "mlir/Pass/PassBase.td"

def VerifyBatchPass : Pass<"pipe-verify-batch", "::mlir::ModuleOp"> {
  let summary = "prove that the rows of a batch never meet, and mark their axis";
  let description = [{
    Requires: `@main`, before or after fusion.
    Ensures:  if every op keeps the rows of the batch apart, each input and output that has rows carries `nn.batch_dim`, the
              axis along which a request is cut into microbatches and put together again; what has none goes whole to each
              microbatch. Otherwise nothing is marked, and the module has `nn.batch_unproved`: the node that mixes rows and
              why; with `required`, or where `batch-dim` was given, that is an error.

    The batch is the symbol `batch-dim`, else the leading extent that inputs and outputs share, a symbol before a number.

    Before:
    ```mlir
    nn.symbol @batch = 0 root
    func.func @main(%x: tensor<?x8xf32, #nn.extents<[s0]>>) -> tensor<8x?xf32, #nn.extents<[s0]>> {
      %0 = nn.transpose %x [1, 0] : tensor<?x8xf32, #nn.extents<[s0]>>
      return %0 : tensor<8x?xf32, #nn.extents<[s0]>>
    }
    ```
    After (with `batch-dim=batch`):
    ```mlir
    func.func @main(%x: tensor<?x8xf32, #nn.extents<[s0]>> {nn.batch_dim = 0 : i64}) -> (tensor<8x?xf32, #nn.extents<[s0]>> {nn.batch_dim = 1 : i64}) {
    ...
    ```
  }];
  let options = [
    Option<"batchDim", "batch-dim", "std::string", "\"\"", "symbol of the batch">,
    Option<"isRequired", "required", "bool", "false", "fail where nothing can be proved">];
}

def AssignStagesPass : Pass<"pipe-assign-stages", "::mlir::ModuleOp"> {
  let summary = "give every kernel a stage";
  let description = [{
    Requires: `@main` holds kernels, weights and constants (see `nn-fuse-kernels`).
    Ensures:  every `nn.kernel` carries `pipe.stage_id` and `pipe.seconds`, its predicted time; no value flows to an earlier stage and no stage is empty; cheap
              kernels (masks, shape arithmetic) that several stages read are cloned, the copies marked `nn.clone_of`; the
              module has `pipe.plan`: costs, bytes, memory, and the certificate. An output that no kernel makes gets one.
    Does not: change what is computed, or how kernels are grouped.

    The plan has the least bottleneck that the partitioner finds, at the symbols' typical values: the value given, else the
    upper bound, else 1 for the leading axis of an input and 128 for others. A `pipe.stage_id` that is there already is
    kept. Each of `cuts` is the name of an ONNX tensor or node: the kernel that makes it, and all before it, come before
    the boundary; a tensor inside of a kernel moves the cut to the kernel's end, with a remark. `from-onnx-stages` keeps
    the stages of the model's own annotations (`nn.onnx_stage`). `plan` is a plan.json whose stages are taken over.
    `num-stages` 0 means as many as these imply.

    Before:
    ```mlir
    func.func @main(%x: tensor<4x8xf32> {nn.name = "x"}) -> (tensor<4x8xf32> {nn.name = "y"}) {
      %0 = nn.kernel "a" ins(%i = %x : tensor<4x8xf32>) -> (tensor<4x8xf32>) {
        %t = nn.unary tanh %i : tensor<4x8xf32>
        nn.yield %t : tensor<4x8xf32>
      }
      %1 = nn.kernel "b" ins(%i = %0 : tensor<4x8xf32>) -> (tensor<4x8xf32>) {
        %t = nn.unary tanh %i : tensor<4x8xf32>
        nn.yield %t : tensor<4x8xf32>
      }
      return %1 : tensor<4x8xf32>
    }
    ```
    After (with `num-stages=2`): the module has `pipe.plan`, and
    ```mlir
      %0 = nn.kernel "a" ins(%i = %x : tensor<4x8xf32>) -> (tensor<4x8xf32>) attributes {pipe.seconds = ..., pipe.stage_id = 0 : i32} {
      ...
      %1 = nn.kernel "b" ins(%i = %0 : tensor<4x8xf32>) -> (tensor<4x8xf32>) attributes {pipe.seconds = ..., pipe.stage_id = 1 : i32} {
      ...
    ```
  }];
  let options = [
    Option<"numStages", "num-stages", "int64_t", "0", "number of stages; 0: as cuts and annotations imply, else 1">,
    Option<"balance", "balance", "std::string", "\"time\"", "what is balanced: time, params, memory or uniform">,
    Option<"memoryLimit", "memory-limit", "int64_t", "0", "bytes that a stage may need; 0 is no limit">,
    ListOption<"cuts", "cuts", "std::string", "ONNX tensors or nodes after which to cut">,
    Option<"fromOnnxStages", "from-onnx-stages", "bool", "false", "keep the stages that the model's nodes carry">,
    Option<"plan", "plan", "std::string", "\"\"", "a plan.json whose stages are taken over">];
  let dependentDialects = ["::penstock::nn::NNDialect", "::penstock::pipe::PipeDialect"];
  let statistics = [Statistic<"numClones", "num-clones", "copies of cheap kernels">];
}

def SplitStagesPass : Pass<"pipe-split-stages", "::mlir::ModuleOp"> {
  let summary = "turn stage annotations into pure stages joined by channels";
  let description = [{
    Requires: `@main` holds kernels, weights and constants; every `nn.kernel` carries `pipe.stage_id` (see
              `pipe-assign-stages`); a value flows only to its own or later stages; stages are 0, 1, ... without a gap.
    Ensures:  one `pipe.stage` per number, in destination-passing form; one `pipe.channel` per value that leaves its stage,
              listing all its consumers, and one per input that is read; a stage that reads nothing gets a control
              channel. Kernels are `nn.kernel_def` symbols; those of equal structure, up to their symbols, are one. An
              output that is a weight, a constant or an input is copied by a kernel of its own. `@main` is gone;
              `pipe.input` and `pipe.output` keep its signature. Where kernels were moved by hand since `pipe.plan` was
              written, its figures are those of what is there now; the proven bound stays. `pipe.kernels` of the module
              lists the kernels, and calls of clones keep `nn.clone_of`, for the proof (see `pipe-schedule`).
    Does not: choose cuts, or order microbatches (see `pipe-schedule`).

    `nn.states` of the module lists pairs of an input and the output that is fed back into it: they become a `pipe.state`
    of the stage that reads the one and makes the other, and are no longer part of the signature. The next value is copied
    by the last kernel of the stage, when nothing reads the present one any more.

    Before:
    ```mlir
    func.func @main(%x: tensor<4x8xf32> {nn.name = "x"}) -> (tensor<4x8xf32> {nn.name = "y"}) {
      %0 = nn.kernel "a" ins(%i = %x : tensor<4x8xf32>) -> (tensor<4x8xf32>) attributes {pipe.stage_id = 0 : i32} {
        %t = nn.unary tanh %i : tensor<4x8xf32>
        nn.yield %t : tensor<4x8xf32>
      }
      %1 = nn.kernel "b" ins(%i = %0 : tensor<4x8xf32>) -> (tensor<4x8xf32>) attributes {pipe.stage_id = 1 : i32} {
        %t = nn.unary tanh %i : tensor<4x8xf32>
        nn.yield %t : tensor<4x8xf32>
      }
      return %1 : tensor<4x8xf32>
    }
    ```
    After:
    ```mlir
    pipe.input "x" via @x : tensor<4x8xf32>
    pipe.output "y" via @y : tensor<4x8xf32>
    pipe.channel @x from @source to [@s0] tensor "x" : tensor<4x8xf32>
    pipe.channel @c0 from @s0 to [@s1] tensor "a" : tensor<4x8xf32>
    pipe.channel @y from @s1 to [@sink] tensor "b" : tensor<4x8xf32>
    nn.kernel_def @k0(%arg0: tensor<4x8xf32>) -> (tensor<4x8xf32>) symbols 0 {
      %0 = nn.unary tanh %arg0 : tensor<4x8xf32>
      nn.yield %0 : tensor<4x8xf32>
    }
    pipe.stage @s0(%arg0: tensor<4x8xf32>) -> (tensor<4x8xf32>) reads [@x] writes [@c0] {
      %0 = nn.empty : tensor<4x8xf32>
      %1 = nn.call @k0 ins(%arg0 : tensor<4x8xf32>) outs(%0 : tensor<4x8xf32>) symbols <[]> {nn.kernel_name = "a"} -> tensor<4x8xf32>
      pipe.return %1 : tensor<4x8xf32>
    }
    pipe.stage @s1(%arg0: tensor<4x8xf32>) -> (tensor<4x8xf32>) reads [@c0] writes [@y] {
      %0 = nn.empty : tensor<4x8xf32>
      %1 = nn.call @k0 ins(%arg0 : tensor<4x8xf32>) outs(%0 : tensor<4x8xf32>) symbols <[]> {nn.kernel_name = "b"} -> tensor<4x8xf32>
      pipe.return %1 : tensor<4x8xf32>
    }
    ```
  }];
  let dependentDialects = ["::penstock::nn::NNDialect", "::penstock::pipe::PipeDialect"];
  let statistics = [Statistic<"numChannels", "num-channels", "channels made">,
                    Statistic<"numKernels", "num-kernels", "distinct kernels">,
                    Statistic<"numCalls", "num-calls", "calls of kernels">];
}

def SchedulePass : Pass<"pipe-schedule", "::mlir::ModuleOp"> {
  let summary = "write the program of each role, and prove that they do not block";
  let description = [{
    Requires: stages and channels (see `pipe-split-stages`); times of the stages in `pipe.plan`, if any.
    Ensures:  one `pipe.program` per role with a matching receive for each send; every channel has a depth; the programs
              are proved to run for every number of microbatches, and every kernel of `pipe.kernels` to have one owner; `period` is the predicted time between two results. A
              slot from stage i to stage j is held while a microbatch moves through stages i ... j, so that is the default
              depth, j - i + 1, or `max-depth` where that is less. A depth that is written already is kept. A remark
              tells what each depth below the default costs. What the host carries is uploaded behind its receive, and
              downloaded before its send, if the stage has `pipe.device`.
    Does not: change stages.

    `roles` gives the role of each stage (`roles=0,1,0,1` runs stages 0 and 2 in one process); by default each stage is a
    role of its own.

    Before:
    ```mlir
    pipe.input "x" via @x : tensor<4xf32>
    pipe.output "y" via @y : tensor<4xf32>
    pipe.channel @x from @source to [@s0] : tensor<4xf32>
    pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
    nn.kernel_def @k0(%arg0: tensor<4xf32>) -> (tensor<4xf32>) symbols 0 {
      %0 = nn.unary tanh %arg0 : tensor<4xf32>
      nn.yield %0 : tensor<4xf32>
    }
    pipe.stage @s0(%arg0: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] {
      %0 = nn.empty : tensor<4xf32>
      %1 = nn.call @k0 ins(%arg0 : tensor<4xf32>) outs(%0 : tensor<4xf32>) symbols <[]> -> tensor<4xf32>
      pipe.return %1 : tensor<4xf32>
    }
    ```
    After: depths, and
    ```mlir
    pipe.program @r0 runs [@s0] steady {
      %0 = pipe.recv @x : tensor<4xf32>
      %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
      pipe.send %1 to @y : tensor<4xf32>
    }
    ```
  }];
  let options = [ListOption<"roles", "roles", "int64_t", "role of each stage">,
                 Option<"maxDepth", "max-depth", "int64_t", "0", "most slots of a channel; 0 is no limit">];
  let dependentDialects = ["::penstock::pipe::PipeDialect"];
}

def PlaceBuffersPass : Pass<"pipe-place-buffers", "::mlir::ModuleOp"> {
  let summary = "decide where each value of each stage lives";
  let description = [{
    Requires: stages, channels and programs (see `pipe-schedule`). Where kernels are compiled already, their definitions
              carry `kernel.workspace`, one expression over their symbols: the bytes of scratch storage, and perhaps
              `kernel.in_place`: the input that the kernel wants to find in its first result, and copies there otherwise.
    Ensures:  every value of a stage has a `#pipe.storage`: block arguments are read in the slots of their channels, results
              that leave the stage are written into theirs, weights have an offset in the role's weights file, the rest is
              in the arena of the role, where values that are never live together share bytes. A call whose kernel needs a
              workspace has one. `slot_bytes` of every channel, and `pipe.memory` of every program, are set.

    Where all extents of a role's arena are static or bounded, offsets and the arena's size are fixed here; sizes are then
    bounds. Otherwise each offset is -1, `pipe.memory` names the free symbols, and the runtime plans with the same planner,
    once per tuple of symbol values, from `bytes`, `first` and `last`. The result of a kernel that works in place takes over
    the bytes of that input (`alias`) where it lies in the arena, has the result's size and is read last and only once by the
    call; `pipe.memory` counts those (`overwritten_inputs`) and the others, which are copied (`copied_inputs`).
    `pipe.memory` is the role's memory contract: `weights`, `arena` (with the largest of the `workspaces`), `states`, `slots`
    that it writes and `slots_read`, which others write and it maps too, `runtime`, and what libraries may keep for further
    `shapes`; `total` is their sum. `memory-limit` bounds the total.

    Before:
    ```mlir
    pipe.input "x" via @x : tensor<4xf32>
    pipe.output "y" via @y : tensor<4xf32>
    pipe.channel @x from @source to [@s0] depth 2 : tensor<4xf32>
    pipe.channel @y from @s0 to [@sink] depth 2 : tensor<4xf32>
    nn.weight @w : tensor<4xf32> from <"m.onnx", 0, 16>
    nn.kernel_def @k0(%a: tensor<4xf32>, %b: tensor<4xf32>) -> (tensor<4xf32>) symbols 0 attributes {kernel.workspace = #nn.extents<[256]>} {
      %0 = nn.binary add %a, %b : tensor<4xf32>, tensor<4xf32>
      nn.yield %0 : tensor<4xf32>
    }
    pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] {
      %w = nn.load_weight @w : tensor<4xf32>
      %0 = nn.empty : tensor<4xf32>
      %1 = nn.call @k0 ins(%x, %w : tensor<4xf32>, tensor<4xf32>) outs(%0 : tensor<4xf32>) symbols <[]> -> tensor<4xf32>
      %2 = nn.empty : tensor<4xf32>
      %3 = nn.call @k0 ins(%1, %w : tensor<4xf32>, tensor<4xf32>) outs(%2 : tensor<4xf32>) symbols <[]> -> tensor<4xf32>
      pipe.return %3 : tensor<4xf32>
    }
    pipe.program @r0 runs [@s0] steady {
      %0 = pipe.recv @x : tensor<4xf32>
      %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
      pipe.send %1 to @y : tensor<4xf32>
    }
    ```
    After: channels with `slot_bytes`, and
    ```mlir
    pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] attributes {pipe.storage = [#pipe.storage<channel_in, symbol = @x>]} {
      %w = nn.load_weight @w {pipe.storage = #pipe.storage<weight, symbol = @w, offset = 0, bytes = <[16]>>} : tensor<4xf32>
      %0 = nn.empty {pipe.storage = #pipe.storage<arena, offset = 256, bytes = <[16]>, first = 0, last = 1>} : tensor<4xf32>
      %1 = nn.empty {pipe.storage = #pipe.storage<arena, offset = 0, bytes = <[256]>, first = 0, last = 0>} : tensor<256xi8>
      %2 = nn.call @k0 ins(%x, %w : tensor<4xf32>, tensor<4xf32>) outs(%0 : tensor<4xf32>) workspace(%1 : tensor<256xi8>) symbols <[]> -> tensor<4xf32>
      %3 = nn.empty {pipe.storage = #pipe.storage<channel_out, symbol = @y>} : tensor<4xf32>
      %4 = nn.empty {pipe.storage = #pipe.storage<arena, offset = 0, bytes = <[256]>, first = 1, last = 1>} : tensor<256xi8>
      %5 = nn.call @k0 ins(%2, %w : tensor<4xf32>, tensor<4xf32>) outs(%3 : tensor<4xf32>) workspace(%4 : tensor<256xi8>) symbols <[]> -> tensor<4xf32>
      pipe.return %5 : tensor<4xf32>
    }
    pipe.program @r0 runs [@s0] attributes {pipe.memory = {arena = 320 : i64, arena_lower_bound = 320 : i64, arena_no_reuse = 576 : i64, runtime = 737280 : i64, shapes = 0 : i64, slots = 128 : i64, slots_read = 128 : i64, states = 0 : i64, total = 737920 : i64, unbounded = [], weights = 64 : i64, workspaces = 256 : i64}} steady {
    ...
    ```
  }];
  let options = [Option<"memoryLimit", "memory-limit", "int64_t", "0", "bytes that a role may need; 0 is no limit">,
                 Option<"numThreads", "num-threads", "int64_t", "1", "threads of a kernel">];
  let dependentDialects = ["::penstock::nn::NNDialect", "::penstock::pipe::PipeDialect"];
}

def VerifySchedulePass : Pass<"pipe-verify-schedule", "::mlir::ModuleOp"> {
  let summary = "check the programs of all roles, and prove that they do not block";
  let description = [{
    Requires: nothing.
    Ensures:  what must hold after schedule, also of programs that were written by hand: every stage is run by one program,
              every send has its receives, of one type and in order, no cyclic wait for any number of microbatches, every
              channel has a depth; if the module has `pipe.kernels`, each of these is called by one stage, other calls are
              marked as clones, and no stage is without a call. Changes nothing.

    Before:
    ```mlir
    pipe.channel @x from @source to [@s0] depth 2 : tensor<4xf32>
    pipe.channel @y from @s0 to [@sink] depth 2 : tensor<4xf32>
    pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] {
      pipe.return %x : tensor<4xf32>
    }
    pipe.program @r0 runs [@s0] steady {
      %0 = pipe.recv @x : tensor<4xf32>
      %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
      pipe.send %1 to @y : tensor<4xf32>
    }
    ```
    After: the same.
    ```mlir
    pipe.program @r0 runs [@s0] steady {
    ```
  }];
}

def VerifyPlacementPass : Pass<"pipe-verify-placement", "::mlir::ModuleOp"> {
  let summary = "check the storage of every value of every stage";
  let description = [{
    Requires: programs (see `pipe-schedule`).
    Ensures:  what must hold after place, also of storage that was written by hand: every value has one, large enough for
              its bound and held as long as it is used; what leaves a stage is written into its slot; values that are in
              use at one step do not overlap, and lie inside of the arena. Changes nothing, and shares no code with
              `pipe-place-buffers`.

    Before:
    ```mlir
    pipe.channel @x from @source to [@s0] depth 2 {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
    pipe.channel @y from @s0 to [@sink] depth 2 {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
    nn.kernel_def @k0(%a: tensor<4xf32>) -> (tensor<4xf32>) symbols 0 {
      %0 = nn.unary tanh %a : tensor<4xf32>
      nn.yield %0 : tensor<4xf32>
    }
    pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] attributes {pipe.storage = [#pipe.storage<channel_in, symbol = @x>]} {
      %0 = nn.empty {pipe.storage = #pipe.storage<channel_out, symbol = @y>} : tensor<4xf32>
      %1 = nn.call @k0 ins(%x : tensor<4xf32>) outs(%0 : tensor<4xf32>) symbols <[]> -> tensor<4xf32>
      pipe.return %1 : tensor<4xf32>
    }
    pipe.program @r0 runs [@s0] attributes {pipe.memory = {arena = 0 : i64}} steady {
      %0 = pipe.recv @x : tensor<4xf32>
      %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
      pipe.send %1 to @y : tensor<4xf32>
    }
    ```
    After: the same.
    ```mlir
    pipe.program @r0 runs [@s0] attributes {pipe.memory = {arena = 0 : i64}} steady {
    ```
  }];
}

#endif
