// RUN: penstock-opt %s --convert-pipe-to-rt --split-input-file --verify-diagnostics

// Storage must have been placed.
module {
  pipe.channel @x from @source to [@s0] depth 2 {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] depth 2 {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
  nn.kernel_def @k0(%a: tensor<4xf32>) -> (tensor<4xf32>) symbols 0 attributes {kernel.object = "1a"} {
    %0 = nn.constant dense<0.0> : tensor<4xf32>
    %1 = nn.unary relu %0 : tensor<4xf32>
    nn.yield %1 : tensor<4xf32>
  }
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y]
      attributes {pipe.storage = [#pipe.storage<channel_in, symbol = @x>]} {
    %0 = nn.empty {pipe.storage = #pipe.storage<channel_out, symbol = @y>} : tensor<4xf32>
    %1 = nn.call @k0 ins(%x : tensor<4xf32>) outs(%0 : tensor<4xf32>) symbols <[]> -> tensor<4xf32>
    pipe.return %1 : tensor<4xf32>
  }
  // expected-error @below {{has no memory plan; expected pipe-place-buffers to have run}}
  pipe.program @r0 runs [@s0]  prologue {
  } steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @y : tensor<4xf32>
  } epilogue {
  }
}

// -----

// So must each value.
module {
  pipe.channel @x from @source to [@s0] depth 2 {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] depth 2 {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
  nn.kernel_def @k0(%a: tensor<4xf32>) -> (tensor<4xf32>) symbols 0 attributes {kernel.object = "1a"} {
    %0 = nn.constant dense<0.0> : tensor<4xf32>
    %1 = nn.unary relu %0 : tensor<4xf32>
    nn.yield %1 : tensor<4xf32>
  }
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y]
      attributes {pipe.storage = [#pipe.storage<channel_in, symbol = @x>]} {
    // expected-error @below {{has no storage; expected pipe-place-buffers to have run}}
    %0 = nn.empty  : tensor<4xf32>
    %1 = nn.call @k0 ins(%x : tensor<4xf32>) outs(%0 : tensor<4xf32>) symbols <[]> -> tensor<4xf32>
    pipe.return %1 : tensor<4xf32>
  }
  pipe.program @r0 runs [@s0] attributes {pipe.memory = {arena = 0 : i64}} prologue {
  } steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @y : tensor<4xf32>
  } epilogue {
  }
}

// -----

// Channels have slots.
module {
  // expected-error @below {{has no depth or no slot bytes}}
  pipe.channel @x from @source to [@s0] depth 2  : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] depth 2 {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
  nn.kernel_def @k0(%a: tensor<4xf32>) -> (tensor<4xf32>) symbols 0 attributes {kernel.object = "1a"} {
    %0 = nn.constant dense<0.0> : tensor<4xf32>
    %1 = nn.unary relu %0 : tensor<4xf32>
    nn.yield %1 : tensor<4xf32>
  }
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y]
      attributes {pipe.storage = [#pipe.storage<channel_in, symbol = @x>]} {
    %0 = nn.empty {pipe.storage = #pipe.storage<channel_out, symbol = @y>} : tensor<4xf32>
    %1 = nn.call @k0 ins(%x : tensor<4xf32>) outs(%0 : tensor<4xf32>) symbols <[]> -> tensor<4xf32>
    pipe.return %1 : tensor<4xf32>
  }
  pipe.program @r0 runs [@s0] attributes {pipe.memory = {arena = 0 : i64}} prologue {
  } steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @y : tensor<4xf32>
  } epilogue {
  }
}

// -----

// A kernel must have been compiled.
module {
  pipe.channel @x from @source to [@s0] depth 2 {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] depth 2 {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
  nn.kernel_def @k0(%a: tensor<4xf32>) -> (tensor<4xf32>) symbols 0 {
    %0 = nn.constant dense<0.0> : tensor<4xf32>
    %1 = nn.unary relu %0 : tensor<4xf32>
    nn.yield %1 : tensor<4xf32>
  }
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y]
      attributes {pipe.storage = [#pipe.storage<channel_in, symbol = @x>]} {
    %0 = nn.empty {pipe.storage = #pipe.storage<channel_out, symbol = @y>} : tensor<4xf32>
    // expected-error @below {{calls kernel 'k0', which has no object}}
    %1 = nn.call @k0 ins(%x : tensor<4xf32>) outs(%0 : tensor<4xf32>) symbols <[]> -> tensor<4xf32>
    pipe.return %1 : tensor<4xf32>
  }
  pipe.program @r0 runs [@s0] attributes {pipe.memory = {arena = 0 : i64}} prologue {
  } steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @y : tensor<4xf32>
  } epilogue {
  }
}

// -----

// Replicas need a runtime that knows them.
module {
  pipe.channel @x from @source to [@s0] depth 2 {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] depth 2 {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
  nn.kernel_def @k0(%a: tensor<4xf32>) -> (tensor<4xf32>) symbols 0 attributes {kernel.object = "1a"} {
    %0 = nn.constant dense<0.0> : tensor<4xf32>
    %1 = nn.unary relu %0 : tensor<4xf32>
    nn.yield %1 : tensor<4xf32>
  }
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y]
      attributes {pipe.storage = [#pipe.storage<channel_in, symbol = @x>]} {
    %0 = nn.empty {pipe.storage = #pipe.storage<channel_out, symbol = @y>} : tensor<4xf32>
    %1 = nn.call @k0 ins(%x : tensor<4xf32>) outs(%0 : tensor<4xf32>) symbols <[]> -> tensor<4xf32>
    pipe.return %1 : tensor<4xf32>
  }
  // expected-error @below {{has 2 replicas; only 1 can be emitted yet}}
  pipe.program @r0 runs [@s0] replicas 2 attributes {pipe.memory = {arena = 0 : i64}} prologue {
  } steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @y : tensor<4xf32>
  } epilogue {
  }
}

// -----

// So do groups.
module {
  pipe.channel @x from @source to [@s0] depth 2 {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] depth 2 {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
  nn.kernel_def @k0(%a: tensor<4xf32>) -> (tensor<4xf32>) symbols 0 attributes {kernel.object = "1a"} {
    %0 = nn.constant dense<0.0> : tensor<4xf32>
    %1 = nn.unary relu %0 : tensor<4xf32>
    nn.yield %1 : tensor<4xf32>
  }
  // expected-error @below {{belongs to group 'tp', which cannot be emitted yet}}
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y]
      attributes {group = "tp", pipe.storage = [#pipe.storage<channel_in, symbol = @x>]} {
    %0 = nn.empty {pipe.storage = #pipe.storage<channel_out, symbol = @y>} : tensor<4xf32>
    %1 = nn.call @k0 ins(%x : tensor<4xf32>) outs(%0 : tensor<4xf32>) symbols <[]> -> tensor<4xf32>
    pipe.return %1 : tensor<4xf32>
  }
  pipe.program @r0 runs [@s0] attributes {pipe.memory = {arena = 0 : i64}} prologue {
  } steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @y : tensor<4xf32>
  } epilogue {
  }
}

// -----

// So do sessions.
module {
  // expected-error @below {{has a delay or belongs to a session}}
  pipe.channel @x from @source to [@s0] depth 2 per_session {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] depth 2 {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
  nn.kernel_def @k0(%a: tensor<4xf32>) -> (tensor<4xf32>) symbols 0 attributes {kernel.object = "1a"} {
    %0 = nn.constant dense<0.0> : tensor<4xf32>
    %1 = nn.unary relu %0 : tensor<4xf32>
    nn.yield %1 : tensor<4xf32>
  }
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y]
      attributes {pipe.storage = [#pipe.storage<channel_in, symbol = @x>]} {
    %0 = nn.empty {pipe.storage = #pipe.storage<channel_out, symbol = @y>} : tensor<4xf32>
    %1 = nn.call @k0 ins(%x : tensor<4xf32>) outs(%0 : tensor<4xf32>) symbols <[]> -> tensor<4xf32>
    pipe.return %1 : tensor<4xf32>
  }
  pipe.program @r0 runs [@s0] attributes {pipe.memory = {arena = 0 : i64}} prologue {
  } steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @y : tensor<4xf32>
  } epilogue {
  }
}

// -----

// The runtime has numbers for the element types of ONNX tensors.
module {
  // expected-error @below {{carries elements of type 'i3', which the runtime does not know}}
  pipe.channel @x from @source to [@s0] depth 2 {slot_bytes = #nn.extents<[16]>} : tensor<4xi3>
  pipe.channel @y from @s0 to [@sink] depth 2 {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
  nn.kernel_def @k0(%a: tensor<4xi3>) -> (tensor<4xf32>) symbols 0 attributes {kernel.object = "1a"} {
    %0 = nn.constant dense<0.0> : tensor<4xf32>
    %1 = nn.unary relu %0 : tensor<4xf32>
    nn.yield %1 : tensor<4xf32>
  }
  pipe.stage @s0(%x: tensor<4xi3>) -> (tensor<4xf32>) reads [@x] writes [@y]
      attributes {pipe.storage = [#pipe.storage<channel_in, symbol = @x>]} {
    %0 = nn.empty {pipe.storage = #pipe.storage<channel_out, symbol = @y>} : tensor<4xf32>
    %1 = nn.call @k0 ins(%x : tensor<4xi3>) outs(%0 : tensor<4xf32>) symbols <[]> -> tensor<4xf32>
    pipe.return %1 : tensor<4xf32>
  }
  pipe.program @r0 runs [@s0] attributes {pipe.memory = {arena = 0 : i64}} prologue {
  } steady {
    %0 = pipe.recv @x : tensor<4xi3>
    %1 = pipe.run @s0(%0) : (tensor<4xi3>) -> tensor<4xf32>
    pipe.send %1 to @y : tensor<4xf32>
  } epilogue {
  }
}

// -----

// An output is written into its slot, not elsewhere.
module {
  pipe.channel @x from @source to [@s0] depth 2 {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] depth 2 {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
  nn.kernel_def @k0(%a: tensor<4xf32>) -> (tensor<4xf32>) symbols 0 attributes {kernel.object = "1a"} {
    %0 = nn.constant dense<0.0> : tensor<4xf32>
    %1 = nn.unary relu %0 : tensor<4xf32>
    nn.yield %1 : tensor<4xf32>
  }
  // expected-error @below {{writes to channel @y what no kernel makes there}}
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y]
      attributes {pipe.storage = [#pipe.storage<channel_in, symbol = @x>]} {
    %0 = nn.empty {pipe.storage = #pipe.storage<arena, offset = 0, bytes = <[16]>, first = 0, last = 0>} : tensor<4xf32>
    %1 = nn.call @k0 ins(%x : tensor<4xf32>) outs(%0 : tensor<4xf32>) symbols <[]> -> tensor<4xf32>
    pipe.return %1 : tensor<4xf32>
  }
  pipe.program @r0 runs [@s0] attributes {pipe.memory = {arena = 16 : i64}} prologue {
  } steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @y : tensor<4xf32>
  } epilogue {
  }
}

// -----

// A kernel cannot need what is found only later.
module {
  nn.symbol @n = 0 data of #nn.extents<[9]>
  pipe.channel @x from @source to [@s0] depth 2 {slot_bytes = #nn.extents<[8]>} : tensor<i64>
  pipe.channel @y from @s0 to [@sink] depth 2 {slot_bytes = #nn.extents<[36]>} : tensor<?xf32, #nn.extents<[s0]>>
  nn.kernel_def @k1(%a: tensor<i64>) -> (tensor<?xf32, #nn.extents<[s0]>>) symbols 1 attributes {kernel.object = "1"} {
    %0 = nn.iota axis 0 start 0.0 : f32 step 1.0 : f32 : tensor<?xf32, #nn.extents<[s0]>>
    nn.yield %0 : tensor<?xf32, #nn.extents<[s0]>>
  }
  pipe.stage @s0(%x: tensor<i64>) -> (tensor<?xf32, #nn.extents<[s0]>>) reads [@x] writes [@y]
      attributes {pipe.storage = [#pipe.storage<channel_in, symbol = @x>]} {
    %0 = nn.empty {pipe.storage = #pipe.storage<channel_out, symbol = @y>} : tensor<?xf32, #nn.extents<[s0]>>
    // expected-error @below {{needs an extent that a kernel finds, and comes before it is known in stage @s0}}
    %1 = nn.call @k1 ins(%x : tensor<i64>) outs(%0 : tensor<?xf32, #nn.extents<[s0]>>) symbols <[s0]> -> tensor<?xf32, #nn.extents<[s0]>>
    pipe.return %1 : tensor<?xf32, #nn.extents<[s0]>>
  }
  pipe.program @r0 runs [@s0] attributes {pipe.memory = {arena = 0 : i64}} prologue {
  } steady {
    %0 = pipe.recv @x : tensor<i64>
    %1 = pipe.run @s0(%0) : (tensor<i64>) -> tensor<?xf32, #nn.extents<[s0]>>
    pipe.send %1 to @y : tensor<?xf32, #nn.extents<[s0]>>
  } epilogue {
  }
}
