// RUN: penstock-opt %s --pipe-place-buffers --split-input-file | FileCheck %s

// Inputs are read and outputs written in their slots. What stays inside shares the arena; a kernel's workspace is a value
// like any other. The weight that two ops load has one place in the weights file.
// CHECK:       pipe.channel @x
// CHECK-SAME:    slot_bytes = #nn.extents<[4096]>
// CHECK:       pipe.stage @s0
// CHECK-SAME:    pipe.storage = [#pipe.storage<channel_in, symbol = @x>]
// CHECK:         nn.load_weight @w {pipe.storage = #pipe.storage<weight, symbol = @w, offset = 0, bytes = <[4096]>>}
// CHECK:         nn.load_weight @v {pipe.storage = #pipe.storage<weight, symbol = @v, offset = 4096, bytes = <[16]>>}
// CHECK:         nn.load_weight @u {pipe.storage = #pipe.storage<weight, symbol = @u, offset = 0, bytes = <[4096]>>}
// CHECK:         %[[A:.*]] = nn.empty {pipe.storage = #pipe.storage<arena, offset = [[AT:[0-9]+]], bytes = <[4096]>, first = 0, last = 1>} : tensor<1024xf32>
// CHECK:         %[[W:.*]] = nn.empty {pipe.storage = #pipe.storage<arena, offset = {{[0-9]+}}, bytes = <[256]>, first = 0, last = 0>} : tensor<256xi8>
// CHECK:         nn.call @k0 ins({{.*}}) outs(%[[A]] : tensor<1024xf32>) workspace(%[[W]] : tensor<256xi8>)
// CHECK:         nn.empty {pipe.storage = #pipe.storage<arena, offset = {{[0-9]+}}, bytes = <[4096]>, first = 1, last = 2>}
// CHECK:         nn.empty {pipe.storage = #pipe.storage<arena, offset = [[AT]], bytes = <[4096]>, first = 2, last = 3>}
// CHECK:         nn.empty {pipe.storage = #pipe.storage<channel_out, symbol = @y>}
// CHECK:       pipe.program @r0
// CHECK-SAME:    arena = 8448 : i64, arena_lower_bound = 8448 : i64, arena_no_reuse = 13312 : i64, runtime = 737280 : i64, shapes = 0 : i64, slots = 8192 : i64, slots_read = 8192 : i64, states = 0 : i64, total = 766272 : i64, unbounded = [], weights = 4160 : i64, workspaces = 256 : i64
module {
  nn.weight @w : tensor<1024xf32> from <"m.onnx", 0, 4096>
  nn.weight @u : tensor<1024xf32> from <"m.onnx", 0, 4096>
  nn.weight @v : tensor<4xf32> from <"m.onnx", 4096, 16>
  pipe.channel @x from @source to [@s0] depth 2 : tensor<1024xf32>
  pipe.channel @y from @s0 to [@sink] depth 2 : tensor<1024xf32>
  nn.kernel_def @k0(%a: tensor<1024xf32>, %b: tensor<1024xf32>) -> (tensor<1024xf32>) symbols 0 attributes {kernel.workspace = #nn.extents<[256]>} {
    %0 = nn.binary add %a, %b : tensor<1024xf32>, tensor<1024xf32>
    nn.yield %0 : tensor<1024xf32>
  }
  pipe.stage @s0(%x: tensor<1024xf32>) -> (tensor<1024xf32>) reads [@x] writes [@y] {
    %w = nn.load_weight @w : tensor<1024xf32>
    %v = nn.load_weight @v : tensor<4xf32>
    %u = nn.load_weight @u : tensor<1024xf32>
    %o0 = nn.empty : tensor<1024xf32>
    %0 = nn.call @k0 ins(%x, %w : tensor<1024xf32>, tensor<1024xf32>) outs(%o0 : tensor<1024xf32>) symbols <[]> -> tensor<1024xf32>
    %o1 = nn.empty : tensor<1024xf32>
    %1 = nn.call @k0 ins(%0, %u : tensor<1024xf32>, tensor<1024xf32>) outs(%o1 : tensor<1024xf32>) symbols <[]> -> tensor<1024xf32>
    %o2 = nn.empty : tensor<1024xf32>
    %2 = nn.call @k0 ins(%1, %u : tensor<1024xf32>, tensor<1024xf32>) outs(%o2 : tensor<1024xf32>) symbols <[]> -> tensor<1024xf32>
    %o3 = nn.empty : tensor<1024xf32>
    %3 = nn.call @k0 ins(%2, %u : tensor<1024xf32>, tensor<1024xf32>) outs(%o3 : tensor<1024xf32>) symbols <[]> -> tensor<1024xf32>
    pipe.return %3 : tensor<1024xf32>
  }
  pipe.program @r0 runs [@s0] steady {
    %0 = pipe.recv @x : tensor<1024xf32>
    %1 = pipe.run @s0(%0) : (tensor<1024xf32>) -> tensor<1024xf32>
    pipe.send %1 to @y : tensor<1024xf32>
  }
}

// -----

// Bounded extents are placed at their bound.
// CHECK:       pipe.channel @x
// CHECK-SAME:    slot_bytes = #nn.extents<[32]>
// CHECK:         nn.empty {pipe.storage = #pipe.storage<arena, offset = 0, bytes = <[32]>, first = 0, last = 1>} : tensor<?xf32
// CHECK:       pipe.program @r0
// CHECK-SAME:    arena = 64 : i64
// CHECK-SAME:    unbounded = []
module {
  nn.symbol @seq = 0 root {upper = 8 : i64}
  pipe.channel @x from @source to [@s0] depth 2 : tensor<?xf32, #nn.extents<[s0]>>
  pipe.channel @y from @s0 to [@sink] depth 2 : tensor<?xf32, #nn.extents<[s0]>>
  nn.kernel_def @k0(%a: tensor<?xf32, #nn.extents<[s0]>>) -> (tensor<?xf32, #nn.extents<[s0]>>) symbols 1 {
    %0 = nn.unary exp %a : tensor<?xf32, #nn.extents<[s0]>>
    nn.yield %0 : tensor<?xf32, #nn.extents<[s0]>>
  }
  pipe.stage @s0(%x: tensor<?xf32, #nn.extents<[s0]>>) -> (tensor<?xf32, #nn.extents<[s0]>>) reads [@x] writes [@y] {
    %o0 = nn.empty : tensor<?xf32, #nn.extents<[s0]>>
    %0 = nn.call @k0 ins(%x : tensor<?xf32, #nn.extents<[s0]>>) outs(%o0 : tensor<?xf32, #nn.extents<[s0]>>) symbols <[s0]> -> tensor<?xf32, #nn.extents<[s0]>>
    %o1 = nn.empty : tensor<?xf32, #nn.extents<[s0]>>
    %1 = nn.call @k0 ins(%0 : tensor<?xf32, #nn.extents<[s0]>>) outs(%o1 : tensor<?xf32, #nn.extents<[s0]>>) symbols <[s0]> -> tensor<?xf32, #nn.extents<[s0]>>
    pipe.return %1 : tensor<?xf32, #nn.extents<[s0]>>
  }
  pipe.program @r0 runs [@s0] steady {
    %0 = pipe.recv @x : tensor<?xf32, #nn.extents<[s0]>>
    %1 = pipe.run @s0(%0) : (tensor<?xf32, #nn.extents<[s0]>>) -> tensor<?xf32, #nn.extents<[s0]>>
    pipe.send %1 to @y : tensor<?xf32, #nn.extents<[s0]>>
  }
}

// -----

// One free extent leaves the whole arena to the run; what is known of the bytes is kept. The kernel's workspace is given over
// its own symbols.
// CHECK:       pipe.channel @x
// CHECK-SAME:    slot_bytes = #nn.extents<[s0 * 8]>
// CHECK:         nn.empty {pipe.storage = #pipe.storage<arena, offset = -1, bytes = <[s0 * 8]>, first = 0, last = 1>} : tensor<?xf32
// CHECK:         nn.empty {pipe.storage = #pipe.storage<arena, offset = -1, bytes = <[s0 * 32]>, first = 0, last = 0>} : tensor<?xi8, #nn.extents<[s0 * 32]>>
// CHECK:       pipe.program @r0
// CHECK-SAME:    arena = -1 : i64
// CHECK-SAME:    unbounded = ["seq"]
module {
  nn.symbol @seq = 0 root
  pipe.channel @x from @source to [@s0] depth 2 : tensor<?xf32, #nn.extents<[s0 * 2]>>
  pipe.channel @y from @s0 to [@sink] depth 2 : tensor<?xf32, #nn.extents<[s0 * 2]>>
  nn.kernel_def @k0(%a: tensor<?xf32, #nn.extents<[s0]>>) -> (tensor<?xf32, #nn.extents<[s0]>>) symbols 1 attributes {kernel.workspace = #nn.extents<[s0 * 16]>} {
    %0 = nn.unary exp %a : tensor<?xf32, #nn.extents<[s0]>>
    nn.yield %0 : tensor<?xf32, #nn.extents<[s0]>>
  }
  pipe.stage @s0(%x: tensor<?xf32, #nn.extents<[s0 * 2]>>) -> (tensor<?xf32, #nn.extents<[s0 * 2]>>) reads [@x] writes [@y] {
    %o0 = nn.empty : tensor<?xf32, #nn.extents<[s0 * 2]>>
    %0 = nn.call @k0 ins(%x : tensor<?xf32, #nn.extents<[s0 * 2]>>) outs(%o0 : tensor<?xf32, #nn.extents<[s0 * 2]>>) symbols <[s0 * 2]> -> tensor<?xf32, #nn.extents<[s0 * 2]>>
    %o1 = nn.empty : tensor<?xf32, #nn.extents<[s0 * 2]>>
    %1 = nn.call @k0 ins(%0 : tensor<?xf32, #nn.extents<[s0 * 2]>>) outs(%o1 : tensor<?xf32, #nn.extents<[s0 * 2]>>) symbols <[s0 * 2]> -> tensor<?xf32, #nn.extents<[s0 * 2]>>
    pipe.return %1 : tensor<?xf32, #nn.extents<[s0 * 2]>>
  }
  pipe.program @r0 runs [@s0] steady {
    %0 = pipe.recv @x : tensor<?xf32, #nn.extents<[s0 * 2]>>
    %1 = pipe.run @s0(%0) : (tensor<?xf32, #nn.extents<[s0 * 2]>>) -> tensor<?xf32, #nn.extents<[s0 * 2]>>
    pipe.send %1 to @y : tensor<?xf32, #nn.extents<[s0 * 2]>>
  }
}

// -----

// An end that is so far away that it means "to the end" is no bound.
// CHECK:       pipe.channel @x
// CHECK-SAME:    slot_bytes = #nn.extents<[s1 * 4]>
// CHECK:       pipe.program @r0
// CHECK-SAME:    unbounded = ["min.1"]
module {
  nn.symbol @seq = 0 root
  nn.symbol @min.1 = 1 min of <[s0, 1000000000]>
  pipe.channel @x from @source to [@s0] depth 2 : tensor<?xf32, #nn.extents<[s1]>>
  pipe.channel @y from @s0 to [@sink] depth 2 : tensor<?xf32, #nn.extents<[s1]>>
  nn.kernel_def @k0(%a: tensor<?xf32, #nn.extents<[s0]>>) -> (tensor<?xf32, #nn.extents<[s0]>>) symbols 1 {
    %0 = nn.unary exp %a : tensor<?xf32, #nn.extents<[s0]>>
    nn.yield %0 : tensor<?xf32, #nn.extents<[s0]>>
  }
  pipe.stage @s0(%x: tensor<?xf32, #nn.extents<[s1]>>) -> (tensor<?xf32, #nn.extents<[s1]>>) reads [@x] writes [@y] {
    %o0 = nn.empty : tensor<?xf32, #nn.extents<[s1]>>
    %0 = nn.call @k0 ins(%x : tensor<?xf32, #nn.extents<[s1]>>) outs(%o0 : tensor<?xf32, #nn.extents<[s1]>>) symbols <[s1]> -> tensor<?xf32, #nn.extents<[s1]>>
    pipe.return %0 : tensor<?xf32, #nn.extents<[s1]>>
  }
  pipe.program @r0 runs [@s0] steady {
    %0 = pipe.recv @x : tensor<?xf32, #nn.extents<[s1]>>
    %1 = pipe.run @s0(%0) : (tensor<?xf32, #nn.extents<[s1]>>) -> tensor<?xf32, #nn.extents<[s1]>>
    pipe.send %1 to @y : tensor<?xf32, #nn.extents<[s1]>>
  }
}

// -----

// A kernel that works in place takes over the input that dies with the call (%1 lies where %0 lay). It copies one that is
// needed later (%0 at the second call), one that it reads twice, and one that lies in a slot.
// CHECK:         %[[O0:.*]] = nn.empty {pipe.storage = #pipe.storage<arena, offset = [[A:[0-9]+]], bytes = <[4096]>, first = 0, last = 2>}
// CHECK:         nn.empty {pipe.storage = #pipe.storage<arena, offset = [[B:[0-9]+]], bytes = <[4096]>, first = 1, last = 3>}
// CHECK:         nn.empty {pipe.storage = #pipe.storage<arena, offset = [[A]], bytes = <[4096]>, first = 2, last = 3, alias = 1>}
// CHECK:         nn.empty {pipe.storage = #pipe.storage<arena, offset = [[B]], bytes = <[4096]>, first = 3, last = 4, alias = 1>}
// CHECK:         nn.empty {pipe.storage = #pipe.storage<arena, offset = {{[0-9]+}}, bytes = <[4096]>, first = 4, last = 5>}
// CHECK:         nn.empty {pipe.storage = #pipe.storage<channel_out, symbol = @y>}
// CHECK:       pipe.program @r0
// CHECK-SAME:    copied_inputs = 4 : i64, overwritten_inputs = 2 : i64
module {
  pipe.channel @x from @source to [@s0] depth 2 : tensor<1024xf32>
  pipe.channel @y from @s0 to [@sink] depth 2 : tensor<1024xf32>
  nn.kernel_def @k0(%a: tensor<1024xf32>, %b: tensor<1024xf32>) -> (tensor<1024xf32>) symbols 0 attributes {kernel.in_place = 1 : i64} {
    %0 = nn.binary sub %b, %a : tensor<1024xf32>, tensor<1024xf32>
    nn.yield %0 : tensor<1024xf32>
  }
  pipe.stage @s0(%x: tensor<1024xf32>) -> (tensor<1024xf32>) reads [@x] writes [@y] {
    %o0 = nn.empty : tensor<1024xf32>
    %0 = nn.call @k0 ins(%x, %x : tensor<1024xf32>, tensor<1024xf32>) outs(%o0 : tensor<1024xf32>) symbols <[]> -> tensor<1024xf32>
    %o1 = nn.empty : tensor<1024xf32>
    %1 = nn.call @k0 ins(%x, %0 : tensor<1024xf32>, tensor<1024xf32>) outs(%o1 : tensor<1024xf32>) symbols <[]> -> tensor<1024xf32>
    %o2 = nn.empty : tensor<1024xf32>
    %2 = nn.call @k0 ins(%1, %0 : tensor<1024xf32>, tensor<1024xf32>) outs(%o2 : tensor<1024xf32>) symbols <[]> -> tensor<1024xf32>
    %o3 = nn.empty : tensor<1024xf32>
    %3 = nn.call @k0 ins(%2, %1 : tensor<1024xf32>, tensor<1024xf32>) outs(%o3 : tensor<1024xf32>) symbols <[]> -> tensor<1024xf32>
    %o4 = nn.empty : tensor<1024xf32>
    %4 = nn.call @k0 ins(%3, %3 : tensor<1024xf32>, tensor<1024xf32>) outs(%o4 : tensor<1024xf32>) symbols <[]> -> tensor<1024xf32>
    %o5 = nn.empty : tensor<1024xf32>
    %5 = nn.call @k0 ins(%x, %4 : tensor<1024xf32>, tensor<1024xf32>) outs(%o5 : tensor<1024xf32>) symbols <[]> -> tensor<1024xf32>
    pipe.return %5 : tensor<1024xf32>
  }
  pipe.program @r0 runs [@s0] steady {
    %0 = pipe.recv @x : tensor<1024xf32>
    %1 = pipe.run @s0(%0) : (tensor<1024xf32>) -> tensor<1024xf32>
    pipe.send %1 to @y : tensor<1024xf32>
  }
}

// -----

// The runtime plans with the same rule: such a result is its input's storage for longer.
// CHECK:         nn.empty {pipe.storage = #pipe.storage<arena, offset = -1, bytes = <[s0 * 4]>, first = 0, last = 1>}
// CHECK:         nn.empty {pipe.storage = #pipe.storage<arena, offset = -1, bytes = <[s0 * 4]>, first = 1, last = 2, alias = 0>}
// CHECK:       pipe.program @r0
// CHECK-SAME:    overwritten_inputs = 1 : i64
module {
  nn.symbol @seq = 0 root
  pipe.channel @x from @source to [@s0] depth 2 : tensor<?xf32, #nn.extents<[s0]>>
  pipe.channel @y from @s0 to [@sink] depth 2 : tensor<?xf32, #nn.extents<[s0]>>
  nn.kernel_def @k0(%a: tensor<?xf32, #nn.extents<[s0]>>) -> (tensor<?xf32, #nn.extents<[s0]>>) symbols 1 attributes {kernel.in_place = 0 : i64} {
    %0 = nn.unary exp %a : tensor<?xf32, #nn.extents<[s0]>>
    nn.yield %0 : tensor<?xf32, #nn.extents<[s0]>>
  }
  pipe.stage @s0(%x: tensor<?xf32, #nn.extents<[s0]>>) -> (tensor<?xf32, #nn.extents<[s0]>>) reads [@x] writes [@y] {
    %o0 = nn.empty : tensor<?xf32, #nn.extents<[s0]>>
    %0 = nn.call @k0 ins(%x : tensor<?xf32, #nn.extents<[s0]>>) outs(%o0 : tensor<?xf32, #nn.extents<[s0]>>) symbols <[s0]> -> tensor<?xf32, #nn.extents<[s0]>>
    %o1 = nn.empty : tensor<?xf32, #nn.extents<[s0]>>
    %1 = nn.call @k0 ins(%0 : tensor<?xf32, #nn.extents<[s0]>>) outs(%o1 : tensor<?xf32, #nn.extents<[s0]>>) symbols <[s0]> -> tensor<?xf32, #nn.extents<[s0]>>
    %o2 = nn.empty : tensor<?xf32, #nn.extents<[s0]>>
    %2 = nn.call @k0 ins(%1 : tensor<?xf32, #nn.extents<[s0]>>) outs(%o2 : tensor<?xf32, #nn.extents<[s0]>>) symbols <[s0]> -> tensor<?xf32, #nn.extents<[s0]>>
    pipe.return %2 : tensor<?xf32, #nn.extents<[s0]>>
  }
  pipe.program @r0 runs [@s0] steady {
    %0 = pipe.recv @x : tensor<?xf32, #nn.extents<[s0]>>
    %1 = pipe.run @s0(%0) : (tensor<?xf32, #nn.extents<[s0]>>) -> tensor<?xf32, #nn.extents<[s0]>>
    pipe.send %1 to @y : tensor<?xf32, #nn.extents<[s0]>>
  }
}
