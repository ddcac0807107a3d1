// RUN: penstock-opt %s --pipe-place-buffers=memory-limit=740000 --split-input-file --verify-diagnostics

// A role that needs more than it may have is an error, with the parts and the excess.
module {
  pipe.channel @x from @source to [@s0] depth 2 : tensor<1024xf32>
  pipe.channel @y from @s0 to [@sink] depth 2 : tensor<4xf32>
  nn.kernel_def @k0(%a: tensor<1024xf32>) -> (tensor<1024xf32>) symbols 0 {
    %0 = nn.unary exp %a : tensor<1024xf32>
    nn.yield %0 : tensor<1024xf32>
  }
  nn.kernel_def @k1(%a: tensor<1024xf32>) -> (tensor<4xf32>) symbols 0 {
    %0 = nn.slice %a from #nn.extents<[0]> step [1] : tensor<1024xf32> to tensor<4xf32>
    nn.yield %0 : tensor<4xf32>
  }
  pipe.stage @s0(%x: tensor<1024xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] {
    %o0 = nn.empty : tensor<1024xf32>
    %0 = nn.call @k0 ins(%x : tensor<1024xf32>) outs(%o0 : tensor<1024xf32>) symbols <[]> -> tensor<1024xf32>
    %o1 = nn.empty : tensor<4xf32>
    %1 = nn.call @k1 ins(%0 : tensor<1024xf32>) outs(%o1 : tensor<4xf32>) symbols <[]> -> tensor<4xf32>
    pipe.return %1 : tensor<4xf32>
  }
  // expected-error @below {{@r0 needs 749696 bytes (weights 0, arena 4096, slots 128 written and 8192 read, states 0, runtime 737280, further shapes 0), 9696 more than the limit of 740000}}
  pipe.program @r0 runs [@s0] steady {
    %0 = pipe.recv @x : tensor<1024xf32>
    %1 = pipe.run @s0(%0) : (tensor<1024xf32>) -> tensor<4xf32>
    pipe.send %1 to @y : tensor<4xf32>
  }
}

// -----

// A stage that no program runs cannot be placed.
module {
  pipe.channel @x from @source to [@s0] depth 2 : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] depth 2 : tensor<4xf32>
  nn.kernel_def @k0(%a: tensor<4xf32>) -> (tensor<4xf32>) symbols 0 {
    %0 = nn.unary exp %a : tensor<4xf32>
    nn.yield %0 : tensor<4xf32>
  }
  // expected-error @below {{stage @s0 is run by no pipe.program; run pipe-schedule first}}
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] {
    %o0 = nn.empty : tensor<4xf32>
    %0 = nn.call @k0 ins(%x : tensor<4xf32>) outs(%o0 : tensor<4xf32>) symbols <[]> -> tensor<4xf32>
    pipe.return %0 : tensor<4xf32>
  }
}

// -----

// Two calls may not share one storage: the second would overwrite what the first has made.
module {
  pipe.channel @x from @source to [@s0] depth 2 : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] depth 2 : tensor<4xf32>
  nn.kernel_def @k0(%a: tensor<4xf32>) -> (tensor<4xf32>) symbols 0 {
    %0 = nn.unary exp %a : tensor<4xf32>
    nn.yield %0 : tensor<4xf32>
  }
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] {
    %o0 = nn.empty : tensor<4xf32>
    // expected-error @below {{result #0 of the call of @k0 has no storage of its own}}
    %0 = nn.call @k0 ins(%x : tensor<4xf32>) outs(%o0 : tensor<4xf32>) symbols <[]> -> tensor<4xf32>
    %1 = nn.call @k0 ins(%0 : tensor<4xf32>) outs(%o0 : tensor<4xf32>) symbols <[]> -> tensor<4xf32>
    pipe.return %1 : tensor<4xf32>
  }
  pipe.program @r0 runs [@s0] steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @y : tensor<4xf32>
  }
}

// -----

// The next value of a state may not be written while the present one is still read.
module {
  pipe.channel @x from @source to [@s0] depth 2 : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] depth 2 : tensor<4xf32>
  pipe.state @h in @s0 : tensor<4xf32>
  nn.kernel_def @k0(%a: tensor<4xf32>) -> (tensor<4xf32>) symbols 0 {
    %0 = nn.unary exp %a : tensor<4xf32>
    nn.yield %0 : tensor<4xf32>
  }
  pipe.stage @s0(%x: tensor<4xf32>, %h: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) reads [@x] writes [@y] states [@h] {
    %o0 = nn.empty : tensor<4xf32>
    %0 = nn.call @k0 ins(%x : tensor<4xf32>) outs(%o0 : tensor<4xf32>) symbols <[]> -> tensor<4xf32>
    %o1 = nn.empty : tensor<4xf32>
    // expected-error @below {{state @h is read when its next value is already there}}
    %1 = nn.call @k0 ins(%h : tensor<4xf32>) outs(%o1 : tensor<4xf32>) symbols <[]> -> tensor<4xf32>
    pipe.return %1, %0 : tensor<4xf32>, tensor<4xf32>
  }
  pipe.program @r0 runs [@s0] steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @y : tensor<4xf32>
  }
}

// -----

// A state has static extents.
module {
  nn.symbol @n = 0 root
  pipe.channel @x from @source to [@s0] depth 2 : tensor<?xf32, #nn.extents<[s0]>>
  pipe.channel @y from @s0 to [@sink] depth 2 : tensor<?xf32, #nn.extents<[s0]>>
  pipe.state @h in @s0 : tensor<?xf32, #nn.extents<[s0]>>
  // expected-error @below {{state @h has type 'tensor<?xf32, #nn.extents<[s0]>>'; expected static extents, so bind its dimensions}}
  pipe.stage @s0(%x: tensor<?xf32, #nn.extents<[s0]>>, %h: tensor<?xf32, #nn.extents<[s0]>>) -> (tensor<?xf32, #nn.extents<[s0]>>, tensor<?xf32, #nn.extents<[s0]>>) reads [@x] writes [@y] states [@h] {
    pipe.return %x, %h : tensor<?xf32, #nn.extents<[s0]>>, tensor<?xf32, #nn.extents<[s0]>>
  }
  pipe.program @r0 runs [@s0] steady {
    %0 = pipe.recv @x : tensor<?xf32, #nn.extents<[s0]>>
    %1 = pipe.run @s0(%0) : (tensor<?xf32, #nn.extents<[s0]>>) -> tensor<?xf32, #nn.extents<[s0]>>
    pipe.send %1 to @y : tensor<?xf32, #nn.extents<[s0]>>
  }
}

// -----

// Bytes that grow with what is found in a way that nothing bounds, here as a quotient by it.
module {
  nn.symbol @n = 0 data of #nn.extents<[9]>
  pipe.channel @x from @source to [@s0] depth 2 : tensor<i64>
  pipe.channel @y from @s0 to [@sink] depth 2 : tensor<i64>
  nn.kernel_def @k0(%a: tensor<i64>) -> (tensor<i64>) symbols 0 {
    %0 = nn.define_extent %a : tensor<i64>
    nn.yield %0 : tensor<i64>
  }
  nn.kernel_def @k1(%a: tensor<i64>) -> (tensor<?xi64, #nn.extents<[s0]>>) symbols 1 {
    %0 = nn.iota axis 0 start 0 : i64 step 1 : i64 : tensor<?xi64, #nn.extents<[s0]>>
    nn.yield %0 : tensor<?xi64, #nn.extents<[s0]>>
  }
  nn.kernel_def @k2(%a: tensor<?xi64, #nn.extents<[s0]>>) -> (tensor<i64>) symbols 1 {
    %0 = nn.reduce sum %a axes [0] : tensor<?xi64, #nn.extents<[s0]>>
    nn.yield %0 : tensor<i64>
  }
  pipe.stage @s0(%x: tensor<i64>) -> (tensor<i64>) reads [@x] writes [@y] {
    %o0 = nn.empty : tensor<i64>
    %0 = nn.call @k0 ins(%x : tensor<i64>) outs(%o0 : tensor<i64>) symbols <[]> defines @n -> tensor<i64>
    // expected-error @below {{depend on data in a way that has no bound}}
    %o1 = nn.empty : tensor<?xi64, #nn.extents<[100 floordiv s0]>>
    %1 = nn.call @k1 ins(%0 : tensor<i64>) outs(%o1 : tensor<?xi64, #nn.extents<[100 floordiv s0]>>) symbols <[100 floordiv s0]> -> tensor<?xi64, #nn.extents<[100 floordiv s0]>>
    %o2 = nn.empty : tensor<i64>
    %2 = nn.call @k2 ins(%1 : tensor<?xi64, #nn.extents<[100 floordiv s0]>>) outs(%o2 : tensor<i64>) symbols <[100 floordiv s0]> -> tensor<i64>
    pipe.return %2 : tensor<i64>
  }
  pipe.program @r0 runs [@s0] steady {
    %0 = pipe.recv @x : tensor<i64>
    %1 = pipe.run @s0(%0) : (tensor<i64>) -> tensor<i64>
    pipe.send %1 to @y : tensor<i64>
  }
}
