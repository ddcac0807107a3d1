// RUN: penstock-opt %s --pipe-schedule --split-input-file --verify-diagnostics

// There must be something to schedule.
// expected-error @below {{the module has no pipe.stage; run pipe-split-stages first}}
module {}

// -----

// A cycle of channels needs a delay somewhere.
// expected-error @below {{data flows in a cycle without delay: stage 0 ('s0') -> channel 'c0' -> stage 1 ('s1') -> channel 'back' -> stage 0 ('s0')}}
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @c0 from @s0 to [@s1] : tensor<4xf32>
  pipe.channel @back from @s1 to [@s0] : tensor<4xf32>
  pipe.channel @y from @s1 to [@sink] : tensor<4xf32>
  nn.kernel_def @k0(%a: tensor<4xf32>) -> (tensor<4xf32>) symbols 0 {
    %0 = nn.unary exp %a : tensor<4xf32>
    nn.yield %0 : tensor<4xf32>
  }
  pipe.stage @s0(%x: tensor<4xf32>, %b: tensor<4xf32>) -> (tensor<4xf32>) reads [@x, @back] writes [@c0] {
    %o = nn.empty : tensor<4xf32>
    %0 = nn.call @k0 ins(%b : tensor<4xf32>) outs(%o : tensor<4xf32>) symbols <[]> -> tensor<4xf32>
    pipe.return %0 : tensor<4xf32>
  }
  pipe.stage @s1(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) reads [@c0] writes [@back, @y] {
    %o = nn.empty : tensor<4xf32>
    %0 = nn.call @k0 ins(%x : tensor<4xf32>) outs(%o : tensor<4xf32>) symbols <[]> -> tensor<4xf32>
    %p = nn.empty : tensor<4xf32>
    %1 = nn.call @k0 ins(%x : tensor<4xf32>) outs(%p : tensor<4xf32>) symbols <[]> -> tensor<4xf32>
    pipe.return %0, %1 : tensor<4xf32>, tensor<4xf32>
  }
}

// -----

// Programs written by hand are proved too: here each role waits for the other.
// expected-error @below {{deadlock: stage 1 ('s1') waits for channel 'c0' from stage 0 ('s0'); stage 2 ('s2') waits for channel 'c1' from stage 1 ('s1')}}
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @c0 from @s0 to [@s1] : tensor<4xf32>
  pipe.channel @c1 from @s1 to [@s2] : tensor<4xf32>
  pipe.channel @y from @s2 to [@sink] : tensor<4xf32>
  nn.kernel_def @k0(%a: tensor<4xf32>) -> (tensor<4xf32>) symbols 0 {
    %0 = nn.unary exp %a : tensor<4xf32>
    nn.yield %0 : tensor<4xf32>
  }
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@c0] {
    %o = nn.empty : tensor<4xf32>
    %0 = nn.call @k0 ins(%x : tensor<4xf32>) outs(%o : tensor<4xf32>) symbols <[]> -> tensor<4xf32>
    pipe.return %0 : tensor<4xf32>
  }
  pipe.stage @s1(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@c0] writes [@c1] {
    %o = nn.empty : tensor<4xf32>
    %0 = nn.call @k0 ins(%x : tensor<4xf32>) outs(%o : tensor<4xf32>) symbols <[]> -> tensor<4xf32>
    pipe.return %0 : tensor<4xf32>
  }
  pipe.stage @s2(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@c1] writes [@y] {
    %o = nn.empty : tensor<4xf32>
    %0 = nn.call @k0 ins(%x : tensor<4xf32>) outs(%o : tensor<4xf32>) symbols <[]> -> tensor<4xf32>
    pipe.return %0 : tensor<4xf32>
  }
  pipe.program @r0 runs [@s0, @s2] steady {
    %2 = pipe.recv @c1 : tensor<4xf32>
    %3 = pipe.run @s2(%2) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %3 to @y : tensor<4xf32>
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @c0 : tensor<4xf32>
  }
  pipe.program @r1 runs [@s1] steady {
    %0 = pipe.recv @c0 : tensor<4xf32>
    %1 = pipe.run @s1(%0) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @c1 : tensor<4xf32>
  }
}
