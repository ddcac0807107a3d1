//===- RtOps.td - Ops of the rt dialect --------------------*- tablegen -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_DIALECT_RT_IR_RTOPS
#define PENSTOCK_DIALECT_RT_IR_RTOPS

include "penstock/Dialect/Rt/IR/RtDialect.td"
include "mlir/IR/SymbolInterfaces.td"

//===----------------------------------------------------------------------===//
// A role and its tables
//===----------------------------------------------------------------------===//

def Rt_RoleOp : Rt_Op<"role", [Symbol, SymbolTable, IsolatedFromAbove, SingleBlock, NoTerminator]> {
  let summary = "one process: its tables and its program";
  let description = [{
    `weights_bytes`, `weights_hash`, `fingerprint`, `identity` and the offsets of weight storages are known once the weights
    file is written, when the executables are linked. `identity` is part of the executable's note: lines of KEY VALUE that say
    which model, weights, cut, schedule and build a fingerprint stands for.

    With `device`, the kernels run on a device of that kind, and all values lie there; `device_number` counts the roles of
    the plan that do, up to this one. Messages of its channels are copied to it and from it by `rt.upload` and `rt.download`,
    unless they have a `carrier`.

    Constraints:
    * (C1) 0 <= `role` < `num_roles`; own stages are distinct and below `num_stages`.
    * (C2) the body is: symbols (those of the inputs, of the data, then derived ones), channels, storages, steps, then one
      `rt.program`.
    * (C3) `extents` has no dimensions and as many symbols as there are symbol ops.
    * (C4) storages and steps carry their position as number.
    * (C5) at least one channel is received.
    * (C6) `arena_bytes` is -1 or not negative; `num_threads` is at least 1.
    * (C7) arena storages have an offset exactly when `arena_bytes` is not -1, and lie inside the arena.
    * (C8) hashes are hexadecimal: 64 digits of `fingerprint`, 32 of `weights_hash`; `identity` ends each line.
    * (C9) `device` is "cuda", if there is one.

    ```mlir
    rt.role @s0 role 0 of 2 stages [0] of 2 model "m.onnx" arena 64 extents affine_map<()[s0] -> (s0, s0 * 4)> {
      rt.symbol "batch"
      rt.channel @x id 0 "x" f32 [-1, 3] from -1 to [0] depth 2 bytes -1 in 0
      rt.channel @y id 1 "relu" f32 [-1, 3] from 0 to [1] depth 2 bytes -1 out
      rt.storage 0 channel_in "x" {channel = 0 : i64}
      rt.storage 1 channel_out "relu" {channel = 1 : i64}
      rt.step 0 "relu" kernel "k_1a2b" makes [1]
      rt.program {
        rt.begin
        rt.wait @x
        rt.bind
        rt.acquire @y
        rt.call "k_1a2b" buffers [0, 1] symbols 0
        rt.done 0
        rt.publish @y
        rt.release @x
        rt.end
      }
    }
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, I64Attr:$role, I64Attr:$num_roles, DenseI64ArrayAttr:$own_stages,
                       I64Attr:$num_stages, StrAttr:$model, I64Attr:$arena_bytes, AffineMapAttr:$extents,
                       DefaultValuedAttr<I64Attr, "1">:$num_threads, DefaultValuedStrAttr<StrAttr, "">:$required_features,
                       OptionalAttr<StrAttr>:$weights_file, DefaultValuedAttr<I64Attr, "0">:$weights_bytes,
                       OptionalAttr<StrAttr>:$weights_hash, OptionalAttr<StrAttr>:$fingerprint,
                       DefaultValuedStrAttr<StrAttr, "">:$identity, OptionalAttr<StrAttr>:$device,
                       DefaultValuedAttr<I64Attr, "0">:$device_number, OptionalAttr<StrAttr>:$sym_visibility);
  let regions = (region SizedRegion<1>:$body);
  let builders = [OpBuilder<(ins "::llvm::StringRef":$name, "int64_t":$role, "int64_t":$numRoles,
      "::llvm::ArrayRef<int64_t>":$ownStages, "int64_t":$numStages, "::llvm::StringRef":$model, "int64_t":$arenaBytes), [{
    auto i64 = [&](int64_t value) { return $_builder.getI64IntegerAttr(value); };
    build($_builder, $_state, $_builder.getStringAttr(name), i64(role), i64(numRoles),
          $_builder.getDenseI64ArrayAttr(ownStages), i64(numStages), $_builder.getStringAttr(model), i64(arenaBytes),
          ::mlir::AffineMapAttr::get(::mlir::AffineMap::get($_builder.getContext())), i64(1), $_builder.getStringAttr(""),
          nullptr, i64(0), nullptr, nullptr, $_builder.getStringAttr(""), nullptr, i64(0), nullptr);
    $_state.regions[0]->emplaceBlock();
  }]>];
  let assemblyFormat = [{
    $sym_name `role` $role `of` $num_roles `stages` $own_stages `of` $num_stages `model` $model `arena` $arena_bytes
    `extents` $extents attr-dict-with-keyword $body
  }];
  let hasRegionVerifier = 1; // Its children are verified first.
  let extraClassDeclaration = [{
    int64_t getNumExtents() { return getExtents().getNumResults(); }
    std::vector<ChannelOp> getChannels();
    std::vector<StorageOp> getStorages();
    std::vector<StepOp> getSteps();
    ProgramOp getProgram();
    /// Number of symbols that messages carry; they come first. The last of them are found by kernels.
    int64_t getNumRoots();
    int64_t getNumDataSymbols();
  }];
}

class Rt_TableOp<string mnemonic, list<Trait> traits = []>
    : Rt_Op<mnemonic, !listconcat([HasParent<"RoleOp">], traits)>;

def Rt_SymbolOp : Rt_TableOp<"symbol"> {
  let summary = "a root symbol, whose value each message carries";
  let description = [{
    With a value out of its bounds, no extent that needs it has a value: storage may be planned for the upper bound.
    The value of a `data` symbol is below 0 until a kernel has found it.

    ```mlir
    rt.symbol "batch" {lower = 1 : i64, upper = 16 : i64}
    rt.symbol "boxes.0" {data}
    ```
  }];
  let arguments = (ins StrAttr:$name, OptionalAttr<I64Attr>:$lower, OptionalAttr<I64Attr>:$upper, UnitAttr:$data);
  let assemblyFormat = "$name attr-dict";
}

def Rt_DerivedSymbolOp : Rt_TableOp<"derived_symbol"> {
  let summary = "a symbol computed from earlier ones";
  let description = [{
    The least or the greatest of the results of `map`. Constraints:
    * (C1) `map` has no dimensions, at least one result, and only symbols of earlier ops (checked on the role).

    ```mlir
    rt.derived_symbol "kept" min affine_map<()[s0] -> (s0, 512)>
    ```
  }];
  let arguments = (ins StrAttr:$name, Rt_Bound:$bound, AffineMapAttr:$map);
  let assemblyFormat = "$name $bound $map attr-dict";
}

def Rt_ChannelOp : Rt_TableOp<"channel", [Symbol]> {
  let summary = "a channel that this role touches";
  let description = [{
    `dims` are numbers, or -1 - i for the i-th extent; `slot_bytes` is -1 for slots that are sized when a request begins.
    `producer` and `consumers` are stages, -1 is the source, -2 the sink. Constraints:
    * (C1) at least one consumer; depth at least 1.
    * (C2) references to extents are in range.
    * (C3) it is received (`in`, with the position among the consumers), sent (`out`), or both.
    * (C4) the element type is one that the runtime knows.
    * (C5) `carrier` is "nccl", if there is one: payloads go from device to device.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, I64Attr:$id, StrAttr:$tensor, TypeAttr:$element_type,
                       DenseI64ArrayAttr:$dims, I64Attr:$producer, DenseI64ArrayAttr:$consumers, I64Attr:$depth,
                       I64Attr:$slot_bytes, OptionalAttr<I64Attr>:$consumer, UnitAttr:$out,
                       OptionalAttr<StrAttr>:$carrier, OptionalAttr<StrAttr>:$sym_visibility);
  let assemblyFormat = [{
    $sym_name `id` $id $tensor $element_type $dims `from` $producer `to` $consumers `depth` $depth `bytes` $slot_bytes
    (`in` $consumer^)? (`out` $out^)? attr-dict
  }];
  let hasVerifier = 1;
}

def Rt_StorageOp : Rt_TableOp<"storage"> {
  let summary = "where the bytes of one value live";
  let description = [{
    Constraints:
    * (C1) channel kinds give `channel`, a position in the role's channels of that direction.
    * (C2) `weight` gives the symbol `weight`; its `offset` is -1 until the weights file is written.
    * (C3) `constant` gives `value`.
    * (C4) `num_bytes` is a number or -1 - i for the i-th extent; states have a number.
    * (C5) arena storages give 0 <= `first` <= `last`.

    ```mlir
    rt.storage 0 arena "relu_3" {offset = 0 : i64, num_bytes = 4096 : i64, first = 1 : i64, last = 3 : i64}
    ```
  }];
  let arguments = (ins I64Attr:$number, Rt_StorageKind:$kind, StrAttr:$name,
                       DefaultValuedAttr<I64Attr, "-1">:$channel, OptionalAttr<FlatSymbolRefAttr>:$weight,
                       OptionalAttr<ElementsAttr>:$value, DefaultValuedAttr<I64Attr, "-1">:$offset,
                       DefaultValuedAttr<I64Attr, "0">:$num_bytes, DefaultValuedAttr<I64Attr, "-1">:$first,
                       DefaultValuedAttr<I64Attr, "-1">:$last);
  let builders = [OpBuilder<(ins "int64_t":$number, "StorageKind":$kind, "::llvm::StringRef":$name), [{
    auto i64 = [&](int64_t value) { return $_builder.getI64IntegerAttr(value); };
    build($_builder, $_state, i64(number), StorageKindAttr::get($_builder.getContext(), kind), $_builder.getStringAttr(name),
          i64(-1), nullptr, nullptr, i64(-1), i64(0), i64(-1), i64(-1));
  }]>];
  let assemblyFormat = "$number $kind $name attr-dict";
  let hasVerifier = 1;
}

def Rt_StepOp : Rt_TableOp<"step"> {
  let summary = "name of a kernel call, for messages, traces and recordings";
  let description = [{
    `makes` lists the storages of the call's results, so that a recording can hold what each kernel made. Constraints:
    * (C1) every storage that the step makes exists, in the arena, a channel that the role sends, or a state.

    ```mlir
    rt.step 0 "relu" kernel "k_1a2b" makes [1]
    ```
  }];
  let arguments = (ins I64Attr:$number, StrAttr:$name, StrAttr:$kernel,
                       DefaultValuedOptionalAttr<DenseI64ArrayAttr, "{}">:$results);
  let assemblyFormat = "$number $name `kernel` $kernel (`makes` $results^)? attr-dict";
}

//===----------------------------------------------------------------------===//
// The program of one microbatch
//===----------------------------------------------------------------------===//

def Rt_ProgramOp : Rt_TableOp<"program", [SingleBlock, NoTerminator]> {
  let summary = "what the role does for each microbatch";
  let description = [{
    The runtime repeats it until the stream ends. Constraints:
    * (C1) it begins with `rt.begin`, ends with `rt.end`, and holds no further one of them.
    * (C2) every received channel is waited for and released once, in that order.
    * (C3) every sent channel is acquired and published once, in that order.
    * (C4) there is one `rt.bind`, after a wait and before each check, acquire and call.
    * (C5) a call uses a slot only between its wait and its release, or after its acquire.
    * (C6) each call is followed by the `rt.done` of its step; steps are counted from 0.
    * (C7) `rt.set_symbol` comes after `rt.bind`, and names a data symbol, a storage and an extent of the role.
    * (C8) in a role with `device`, a received channel without `carrier` is uploaded once, between its wait and its
      release, and a call uses its slot after that; a sent one is downloaded once, between its acquire and its publish.
      No other channel is.

    ```mlir
    rt.program {
      rt.begin
      rt.wait @x
      rt.upload @x
      rt.bind
      rt.acquire @y
      rt.call "k_1a2b" buffers [0, 1] symbols 0
      rt.done 0
      rt.download @y
      rt.publish @y
      rt.release @x
      rt.end
    }
    ```
  }];
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "attr-dict-with-keyword $body";
  let extraClassDeclaration = [{
    /// The constraints above; part of the verification of the role, whose tables they need.
    ::llvm::LogicalResult verifyOrder();
  }];
}

class Rt_CallOp<string mnemonic, string function, list<Trait> traits = []>
    : Rt_Op<mnemonic, !listconcat([HasParent<"ProgramOp">], traits)> {
  let summary = "calls `" # function # "`";
}

class Rt_ChannelCallOp<string mnemonic, string function>
    : Rt_CallOp<mnemonic, function, [DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let arguments = (ins FlatSymbolRefAttr:$channel);
  let assemblyFormat = "$channel attr-dict";
}

def Rt_BeginOp : Rt_CallOp<"begin", "rt_begin"> { let assemblyFormat = "attr-dict"; }
def Rt_BindOp : Rt_CallOp<"bind", "rt_bind"> { let assemblyFormat = "attr-dict"; }
def Rt_EndOp : Rt_CallOp<"end", "rt_end"> { let assemblyFormat = "attr-dict"; }
def Rt_WaitOp : Rt_ChannelCallOp<"wait", "rt_wait">;
def Rt_UploadOp : Rt_ChannelCallOp<"upload", "rt_upload">;
def Rt_AcquireOp : Rt_ChannelCallOp<"acquire", "rt_acquire">;
def Rt_DownloadOp : Rt_ChannelCallOp<"download", "rt_download">;
def Rt_PublishOp : Rt_ChannelCallOp<"publish", "rt_publish">;
def Rt_ReleaseOp : Rt_ChannelCallOp<"release", "rt_release">;

def Rt_DoneOp : Rt_CallOp<"done", "rt_done"> {
  let arguments = (ins I64Attr:$step);
  let assemblyFormat = "$step attr-dict";
}

def Rt_CheckOp : Rt_CallOp<"check", "rt_check"> {
  let description = [{
    Two extents that the model assumes equal; different ones end the run with `reason`.

    ```mlir
    rt.check 2 equals 5 "operands of node 'add_3'"
    ```
  }];
  let arguments = (ins I64Attr:$lhs, I64Attr:$rhs, StrAttr:$reason);
  let assemblyFormat = "$lhs `equals` $rhs $reason attr-dict";
}

def Rt_SetSymbolOp : Rt_CallOp<"set_symbol", "rt_set_symbol"> {
  let description = [{
    The data symbol of that name gets the value in `storage`, one i64. A value outside of `lower` to `upper` or above the
    extent `bound`, where there is one, ends the run; the message names the node `from` which it comes.

    ```mlir
    rt.set_symbol "boxes.0" storage 3 lower 0 bound 7 from "/NonMaxSuppression"
    ```
  }];
  let arguments = (ins StrAttr:$symbol, I64Attr:$storage, I64Attr:$lower, OptionalAttr<I64Attr>:$upper,
                       OptionalAttr<I64Attr>:$bound, StrAttr:$node);
  let assemblyFormat = [{
    $symbol `storage` $storage `lower` $lower (`upper` $upper^)? (`bound` $bound^)? `from` $node attr-dict
  }];
}

def Rt_KernelCallOp : Rt_CallOp<"call", "a kernel"> {
  let description = [{
    `buffers` are numbers of storages, in the order of the kernel's buffers; the values of the kernel's symbols are the
    extents from position `symbols` on.
  }];
  let arguments = (ins StrAttr:$kernel, DenseI64ArrayAttr:$buffers, I64Attr:$symbols);
  let assemblyFormat = "$kernel `buffers` $buffers `symbols` $symbols attr-dict";
}

#endif
