// RUN: penstock-opt %s --pipe-verify-placement --split-input-file --verify-diagnostics

// What pipe-place-buffers writes is accepted.
module {
  pipe.channel @x from @source to [@s0] depth 2 {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] depth 2 {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
  nn.kernel_def @k0(%a: tensor<4xf32>) -> (tensor<4xf32>) symbols 0 {
    %0 = nn.unary tanh %a : tensor<4xf32>
    nn.yield %0 : tensor<4xf32>
  }
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] attributes {pipe.storage = [#pipe.storage<channel_in, symbol = @x>]} {
    %0 = nn.empty {pipe.storage = #pipe.storage<arena, offset = 0, bytes = <[16]>, first = 0, last = 1>} : tensor<4xf32>
    %1 = nn.call @k0 ins(%x : tensor<4xf32>) outs(%0 : tensor<4xf32>) symbols <[]> {nn.kernel_name = "a"} -> tensor<4xf32>
    %2 = nn.empty {pipe.storage = #pipe.storage<arena, offset = 64, bytes = <[16]>, first = 1, last = 2>} : tensor<4xf32>
    %3 = nn.call @k0 ins(%1 : tensor<4xf32>) outs(%2 : tensor<4xf32>) symbols <[]> {nn.kernel_name = "b"} -> tensor<4xf32>
    %4 = nn.empty {pipe.storage = #pipe.storage<channel_out, symbol = @y>} : tensor<4xf32>
    %5 = nn.call @k0 ins(%3 : tensor<4xf32>) outs(%4 : tensor<4xf32>) symbols <[]> {nn.kernel_name = "c"} -> tensor<4xf32>
    pipe.return %5 : tensor<4xf32>
  }
  pipe.program @r0 runs [@s0] attributes {pipe.memory = {arena = 128 : i64}} steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @y : tensor<4xf32>
  }
}

// -----

// Two values that are in use at one step overlap.
module {
  pipe.channel @x from @source to [@s0] depth 2 {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] depth 2 {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
  nn.kernel_def @k0(%a: tensor<4xf32>) -> (tensor<4xf32>) symbols 0 {
    %0 = nn.unary tanh %a : tensor<4xf32>
    nn.yield %0 : tensor<4xf32>
  }
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] attributes {pipe.storage = [#pipe.storage<channel_in, symbol = @x>]} {
    %0 = nn.empty {pipe.storage = #pipe.storage<arena, offset = 0, bytes = <[16]>, first = 0, last = 1>} : tensor<4xf32>
    %1 = nn.call @k0 ins(%x : tensor<4xf32>) outs(%0 : tensor<4xf32>) symbols <[]> {nn.kernel_name = "a"} -> tensor<4xf32>
    %2 = nn.empty {pipe.storage = #pipe.storage<arena, offset = 0, bytes = <[16]>, first = 1, last = 2>} : tensor<4xf32>
    %3 = nn.call @k0 ins(%1 : tensor<4xf32>) outs(%2 : tensor<4xf32>) symbols <[]> {nn.kernel_name = "b"} -> tensor<4xf32>
    %4 = nn.empty {pipe.storage = #pipe.storage<channel_out, symbol = @y>} : tensor<4xf32>
    %5 = nn.call @k0 ins(%3 : tensor<4xf32>) outs(%4 : tensor<4xf32>) symbols <[]> {nn.kernel_name = "c"} -> tensor<4xf32>
    pipe.return %5 : tensor<4xf32>
  }
  // expected-error @below {{the arena of @r0 is wrong: value}}
  pipe.program @r0 runs [@s0] attributes {pipe.memory = {arena = 128 : i64}} steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @y : tensor<4xf32>
  }
}

// -----

// A value lies outside of the arena.
module {
  pipe.channel @x from @source to [@s0] depth 2 {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] depth 2 {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
  nn.kernel_def @k0(%a: tensor<4xf32>) -> (tensor<4xf32>) symbols 0 {
    %0 = nn.unary tanh %a : tensor<4xf32>
    nn.yield %0 : tensor<4xf32>
  }
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] attributes {pipe.storage = [#pipe.storage<channel_in, symbol = @x>]} {
    %0 = nn.empty {pipe.storage = #pipe.storage<arena, offset = 0, bytes = <[16]>, first = 0, last = 1>} : tensor<4xf32>
    %1 = nn.call @k0 ins(%x : tensor<4xf32>) outs(%0 : tensor<4xf32>) symbols <[]> {nn.kernel_name = "a"} -> tensor<4xf32>
    %2 = nn.empty {pipe.storage = #pipe.storage<arena, offset = 64, bytes = <[16]>, first = 1, last = 2>} : tensor<4xf32>
    %3 = nn.call @k0 ins(%1 : tensor<4xf32>) outs(%2 : tensor<4xf32>) symbols <[]> {nn.kernel_name = "b"} -> tensor<4xf32>
    %4 = nn.empty {pipe.storage = #pipe.storage<channel_out, symbol = @y>} : tensor<4xf32>
    %5 = nn.call @k0 ins(%3 : tensor<4xf32>) outs(%4 : tensor<4xf32>) symbols <[]> {nn.kernel_name = "c"} -> tensor<4xf32>
    pipe.return %5 : tensor<4xf32>
  }
  // expected-error @below {{the arena of @r0 is wrong: value}}
  pipe.program @r0 runs [@s0] attributes {pipe.memory = {arena = 64 : i64}} steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @y : tensor<4xf32>
  }
}

// -----

// A value is held for too short.
module {
  pipe.channel @x from @source to [@s0] depth 2 {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] depth 2 {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
  nn.kernel_def @k0(%a: tensor<4xf32>) -> (tensor<4xf32>) symbols 0 {
    %0 = nn.unary tanh %a : tensor<4xf32>
    nn.yield %0 : tensor<4xf32>
  }
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] attributes {pipe.storage = [#pipe.storage<channel_in, symbol = @x>]} {
    // expected-error @below {{storage is held from step 0 to 0 but used from 0 to 1}}
    %0 = nn.empty {pipe.storage = #pipe.storage<arena, offset = 0, bytes = <[16]>, first = 0, last = 0>} : tensor<4xf32>
    %1 = nn.call @k0 ins(%x : tensor<4xf32>) outs(%0 : tensor<4xf32>) symbols <[]> {nn.kernel_name = "a"} -> tensor<4xf32>
    %2 = nn.empty {pipe.storage = #pipe.storage<arena, offset = 64, bytes = <[16]>, first = 1, last = 2>} : tensor<4xf32>
    %3 = nn.call @k0 ins(%1 : tensor<4xf32>) outs(%2 : tensor<4xf32>) symbols <[]> {nn.kernel_name = "b"} -> tensor<4xf32>
    %4 = nn.empty {pipe.storage = #pipe.storage<channel_out, symbol = @y>} : tensor<4xf32>
    %5 = nn.call @k0 ins(%3 : tensor<4xf32>) outs(%4 : tensor<4xf32>) symbols <[]> {nn.kernel_name = "c"} -> tensor<4xf32>
    pipe.return %5 : tensor<4xf32>
  }
  pipe.program @r0 runs [@s0] attributes {pipe.memory = {arena = 128 : i64}} steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @y : tensor<4xf32>
  }
}

// -----

// A value is too small.
module {
  pipe.channel @x from @source to [@s0] depth 2 {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] depth 2 {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
  nn.kernel_def @k0(%a: tensor<4xf32>) -> (tensor<4xf32>) symbols 0 {
    %0 = nn.unary tanh %a : tensor<4xf32>
    nn.yield %0 : tensor<4xf32>
  }
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] attributes {pipe.storage = [#pipe.storage<channel_in, symbol = @x>]} {
    %0 = nn.empty {pipe.storage = #pipe.storage<arena, offset = 0, bytes = <[16]>, first = 0, last = 1>} : tensor<4xf32>
    %1 = nn.call @k0 ins(%x : tensor<4xf32>) outs(%0 : tensor<4xf32>) symbols <[]> {nn.kernel_name = "a"} -> tensor<4xf32>
    // expected-error @below {{storage at a fixed offset has #nn.extents<[8]> bytes; expected the bound of 16}}
    %2 = nn.empty {pipe.storage = #pipe.storage<arena, offset = 64, bytes = <[8]>, first = 1, last = 2>} : tensor<4xf32>
    %3 = nn.call @k0 ins(%1 : tensor<4xf32>) outs(%2 : tensor<4xf32>) symbols <[]> {nn.kernel_name = "b"} -> tensor<4xf32>
    %4 = nn.empty {pipe.storage = #pipe.storage<channel_out, symbol = @y>} : tensor<4xf32>
    %5 = nn.call @k0 ins(%3 : tensor<4xf32>) outs(%4 : tensor<4xf32>) symbols <[]> {nn.kernel_name = "c"} -> tensor<4xf32>
    pipe.return %5 : tensor<4xf32>
  }
  pipe.program @r0 runs [@s0] attributes {pipe.memory = {arena = 128 : i64}} steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @y : tensor<4xf32>
  }
}

// -----

// A value has no storage.
module {
  pipe.channel @x from @source to [@s0] depth 2 {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] depth 2 {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
  nn.kernel_def @k0(%a: tensor<4xf32>) -> (tensor<4xf32>) symbols 0 {
    %0 = nn.unary tanh %a : tensor<4xf32>
    nn.yield %0 : tensor<4xf32>
  }
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] attributes {pipe.storage = [#pipe.storage<channel_in, symbol = @x>]} {
    %0 = nn.empty {pipe.storage = #pipe.storage<arena, offset = 0, bytes = <[16]>, first = 0, last = 1>} : tensor<4xf32>
    %1 = nn.call @k0 ins(%x : tensor<4xf32>) outs(%0 : tensor<4xf32>) symbols <[]> {nn.kernel_name = "a"} -> tensor<4xf32>
    // expected-error @below {{'nn.empty' has no storage; expected one for every value after place}}
    %2 = nn.empty : tensor<4xf32>
    %3 = nn.call @k0 ins(%1 : tensor<4xf32>) outs(%2 : tensor<4xf32>) symbols <[]> {nn.kernel_name = "b"} -> tensor<4xf32>
    %4 = nn.empty {pipe.storage = #pipe.storage<channel_out, symbol = @y>} : tensor<4xf32>
    %5 = nn.call @k0 ins(%3 : tensor<4xf32>) outs(%4 : tensor<4xf32>) symbols <[]> {nn.kernel_name = "c"} -> tensor<4xf32>
    pipe.return %5 : tensor<4xf32>
  }
  pipe.program @r0 runs [@s0] attributes {pipe.memory = {arena = 128 : i64}} steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @y : tensor<4xf32>
  }
}

// -----

// Only some values are placed.
module {
  pipe.channel @x from @source to [@s0] depth 2 {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] depth 2 {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
  nn.kernel_def @k0(%a: tensor<4xf32>) -> (tensor<4xf32>) symbols 0 {
    %0 = nn.unary tanh %a : tensor<4xf32>
    nn.yield %0 : tensor<4xf32>
  }
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] attributes {pipe.storage = [#pipe.storage<channel_in, symbol = @x>]} {
    %0 = nn.empty {pipe.storage = #pipe.storage<arena, offset = 0, bytes = <[16]>, first = 0, last = 1>} : tensor<4xf32>
    %1 = nn.call @k0 ins(%x : tensor<4xf32>) outs(%0 : tensor<4xf32>) symbols <[]> {nn.kernel_name = "a"} -> tensor<4xf32>
    %2 = nn.empty {pipe.storage = #pipe.storage<arena, offset = -1, bytes = <[16]>, first = 1, last = 2>} : tensor<4xf32>
    %3 = nn.call @k0 ins(%1 : tensor<4xf32>) outs(%2 : tensor<4xf32>) symbols <[]> {nn.kernel_name = "b"} -> tensor<4xf32>
    %4 = nn.empty {pipe.storage = #pipe.storage<channel_out, symbol = @y>} : tensor<4xf32>
    %5 = nn.call @k0 ins(%3 : tensor<4xf32>) outs(%4 : tensor<4xf32>) symbols <[]> {nn.kernel_name = "c"} -> tensor<4xf32>
    pipe.return %5 : tensor<4xf32>
  }
  // expected-error @below {{@r0 has an arena of 128 bytes and 1 of 2 values that are placed at run time; expected all of them or none}}
  pipe.program @r0 runs [@s0] attributes {pipe.memory = {arena = 128 : i64}} steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @y : tensor<4xf32>
  }
}

// -----

// What leaves the stage is not in its slot.
module {
  pipe.channel @x from @source to [@s0] depth 2 {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] depth 2 {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
  nn.kernel_def @k0(%a: tensor<4xf32>) -> (tensor<4xf32>) symbols 0 {
    %0 = nn.unary tanh %a : tensor<4xf32>
    nn.yield %0 : tensor<4xf32>
  }
  // expected-error @below {{result #0 of stage @s0 is not written to channel_out @y}}
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] attributes {pipe.storage = [#pipe.storage<channel_in, symbol = @x>]} {
    %0 = nn.empty {pipe.storage = #pipe.storage<arena, offset = 0, bytes = <[16]>, first = 0, last = 1>} : tensor<4xf32>
    %1 = nn.call @k0 ins(%x : tensor<4xf32>) outs(%0 : tensor<4xf32>) symbols <[]> {nn.kernel_name = "a"} -> tensor<4xf32>
    %2 = nn.empty {pipe.storage = #pipe.storage<arena, offset = 64, bytes = <[16]>, first = 1, last = 2>} : tensor<4xf32>
    %3 = nn.call @k0 ins(%1 : tensor<4xf32>) outs(%2 : tensor<4xf32>) symbols <[]> {nn.kernel_name = "b"} -> tensor<4xf32>
    %4 = nn.empty {pipe.storage = #pipe.storage<channel_out, symbol = @x>} : tensor<4xf32>
    %5 = nn.call @k0 ins(%3 : tensor<4xf32>) outs(%4 : tensor<4xf32>) symbols <[]> {nn.kernel_name = "c"} -> tensor<4xf32>
    pipe.return %5 : tensor<4xf32>
  }
  pipe.program @r0 runs [@s0] attributes {pipe.memory = {arena = 128 : i64}} steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @y : tensor<4xf32>
  }
}

// -----

// An argument is not in its slot.
module {
  pipe.channel @x from @source to [@s0] depth 2 {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] depth 2 {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
  nn.kernel_def @k0(%a: tensor<4xf32>) -> (tensor<4xf32>) symbols 0 {
    %0 = nn.unary tanh %a : tensor<4xf32>
    nn.yield %0 : tensor<4xf32>
  }
  // expected-error @below {{argument #0 of stage @s0 is not in channel_in @x}}
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] attributes {pipe.storage = [#pipe.storage<channel_in, symbol = @y>]} {
    %0 = nn.empty {pipe.storage = #pipe.storage<arena, offset = 0, bytes = <[16]>, first = 0, last = 1>} : tensor<4xf32>
    %1 = nn.call @k0 ins(%x : tensor<4xf32>) outs(%0 : tensor<4xf32>) symbols <[]> {nn.kernel_name = "a"} -> tensor<4xf32>
    %2 = nn.empty {pipe.storage = #pipe.storage<arena, offset = 64, bytes = <[16]>, first = 1, last = 2>} : tensor<4xf32>
    %3 = nn.call @k0 ins(%1 : tensor<4xf32>) outs(%2 : tensor<4xf32>) symbols <[]> {nn.kernel_name = "b"} -> tensor<4xf32>
    %4 = nn.empty {pipe.storage = #pipe.storage<channel_out, symbol = @y>} : tensor<4xf32>
    %5 = nn.call @k0 ins(%3 : tensor<4xf32>) outs(%4 : tensor<4xf32>) symbols <[]> {nn.kernel_name = "c"} -> tensor<4xf32>
    pipe.return %5 : tensor<4xf32>
  }
  pipe.program @r0 runs [@s0] attributes {pipe.memory = {arena = 128 : i64}} steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @y : tensor<4xf32>
  }
}

// -----

// A channel without slots.
module {
  // expected-error @below {{channel @x has no slot_bytes; expected them after place}}
  pipe.channel @x from @source to [@s0] depth 2 : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] depth 2 {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
  nn.kernel_def @k0(%a: tensor<4xf32>) -> (tensor<4xf32>) symbols 0 {
    %0 = nn.unary tanh %a : tensor<4xf32>
    nn.yield %0 : tensor<4xf32>
  }
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] attributes {pipe.storage = [#pipe.storage<channel_in, symbol = @x>]} {
    %0 = nn.empty {pipe.storage = #pipe.storage<arena, offset = 0, bytes = <[16]>, first = 0, last = 1>} : tensor<4xf32>
    %1 = nn.call @k0 ins(%x : tensor<4xf32>) outs(%0 : tensor<4xf32>) symbols <[]> {nn.kernel_name = "a"} -> tensor<4xf32>
    %2 = nn.empty {pipe.storage = #pipe.storage<arena, offset = 64, bytes = <[16]>, first = 1, last = 2>} : tensor<4xf32>
    %3 = nn.call @k0 ins(%1 : tensor<4xf32>) outs(%2 : tensor<4xf32>) symbols <[]> {nn.kernel_name = "b"} -> tensor<4xf32>
    %4 = nn.empty {pipe.storage = #pipe.storage<channel_out, symbol = @y>} : tensor<4xf32>
    %5 = nn.call @k0 ins(%3 : tensor<4xf32>) outs(%4 : tensor<4xf32>) symbols <[]> {nn.kernel_name = "c"} -> tensor<4xf32>
    pipe.return %5 : tensor<4xf32>
  }
  pipe.program @r0 runs [@s0] attributes {pipe.memory = {arena = 128 : i64}} steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @y : tensor<4xf32>
  }
}

// -----

// A role without memory.
module {
  pipe.channel @x from @source to [@s0] depth 2 {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] depth 2 {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
  nn.kernel_def @k0(%a: tensor<4xf32>) -> (tensor<4xf32>) symbols 0 {
    %0 = nn.unary tanh %a : tensor<4xf32>
    nn.yield %0 : tensor<4xf32>
  }
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] attributes {pipe.storage = [#pipe.storage<channel_in, symbol = @x>]} {
    %0 = nn.empty {pipe.storage = #pipe.storage<arena, offset = 0, bytes = <[16]>, first = 0, last = 1>} : tensor<4xf32>
    %1 = nn.call @k0 ins(%x : tensor<4xf32>) outs(%0 : tensor<4xf32>) symbols <[]> {nn.kernel_name = "a"} -> tensor<4xf32>
    %2 = nn.empty {pipe.storage = #pipe.storage<arena, offset = 64, bytes = <[16]>, first = 1, last = 2>} : tensor<4xf32>
    %3 = nn.call @k0 ins(%1 : tensor<4xf32>) outs(%2 : tensor<4xf32>) symbols <[]> {nn.kernel_name = "b"} -> tensor<4xf32>
    %4 = nn.empty {pipe.storage = #pipe.storage<channel_out, symbol = @y>} : tensor<4xf32>
    %5 = nn.call @k0 ins(%3 : tensor<4xf32>) outs(%4 : tensor<4xf32>) symbols <[]> {nn.kernel_name = "c"} -> tensor<4xf32>
    pipe.return %5 : tensor<4xf32>
  }
  // expected-error @below {{@r0 has no pipe.memory with its arena}}
  pipe.program @r0 runs [@s0] steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @y : tensor<4xf32>
  }
}

// -----

// A value takes over an input of a kernel that does not work in place.
module {
  pipe.channel @x from @source to [@s0] depth 2 {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] depth 2 {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
  nn.kernel_def @k0(%a: tensor<4xf32>) -> (tensor<4xf32>) symbols 0 {
    %0 = nn.unary tanh %a : tensor<4xf32>
    nn.yield %0 : tensor<4xf32>
  }
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] attributes {pipe.storage = [#pipe.storage<channel_in, symbol = @x>]} {
    %0 = nn.empty {pipe.storage = #pipe.storage<arena, offset = 0, bytes = <[16]>, first = 0, last = 1>} : tensor<4xf32>
    %1 = nn.call @k0 ins(%x : tensor<4xf32>) outs(%0 : tensor<4xf32>) symbols <[]> -> tensor<4xf32>
    // expected-error @below {{storage takes over input 0, but kernel @k0 does not work in place on it}}
    %2 = nn.empty {pipe.storage = #pipe.storage<arena, offset = 0, bytes = <[16]>, first = 1, last = 2, alias = 0>} : tensor<4xf32>
    %3 = nn.call @k0 ins(%1 : tensor<4xf32>) outs(%2 : tensor<4xf32>) symbols <[]> -> tensor<4xf32>
    %4 = nn.empty {pipe.storage = #pipe.storage<channel_out, symbol = @y>} : tensor<4xf32>
    %5 = nn.call @k0 ins(%3 : tensor<4xf32>) outs(%4 : tensor<4xf32>) symbols <[]> -> tensor<4xf32>
    pipe.return %5 : tensor<4xf32>
  }
  pipe.program @r0 runs [@s0] attributes {pipe.memory = {arena = 128 : i64}} steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @y : tensor<4xf32>
  }
}

// -----

// A value takes over an input that is read again later.
module {
  pipe.channel @x from @source to [@s0] depth 2 {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] depth 2 {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
  nn.kernel_def @k0(%a: tensor<4xf32>) -> (tensor<4xf32>) symbols 0 attributes {kernel.in_place = 0 : i64} {
    %0 = nn.unary tanh %a : tensor<4xf32>
    nn.yield %0 : tensor<4xf32>
  }
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] attributes {pipe.storage = [#pipe.storage<channel_in, symbol = @x>]} {
    %0 = nn.empty {pipe.storage = #pipe.storage<arena, offset = 0, bytes = <[16]>, first = 0, last = 2>} : tensor<4xf32>
    %1 = nn.call @k0 ins(%x : tensor<4xf32>) outs(%0 : tensor<4xf32>) symbols <[]> -> tensor<4xf32>
    %2 = nn.empty {pipe.storage = #pipe.storage<arena, offset = 0, bytes = <[16]>, first = 1, last = 1, alias = 0>} : tensor<4xf32>
    %3 = nn.call @k0 ins(%1 : tensor<4xf32>) outs(%2 : tensor<4xf32>) symbols <[]> -> tensor<4xf32>
    %4 = nn.empty {pipe.storage = #pipe.storage<channel_out, symbol = @y>} : tensor<4xf32>
    %5 = nn.call @k0 ins(%1 : tensor<4xf32>) outs(%4 : tensor<4xf32>) symbols <[]> -> tensor<4xf32>
    pipe.return %5 : tensor<4xf32>
  }
  // expected-error-re @below {{the arena of @r0 is wrong: {{.*}}}}
  pipe.program @r0 runs [@s0] attributes {pipe.memory = {arena = 128 : i64}} steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @y : tensor<4xf32>
  }
}
