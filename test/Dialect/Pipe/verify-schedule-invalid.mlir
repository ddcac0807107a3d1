// RUN: penstock-opt %s --pipe-verify-schedule --split-input-file --verify-diagnostics

// Every channel has a depth.
module {
  // expected-error @below {{channel @x has no depth; expected one after schedule}}
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] depth 2 : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] {
    pipe.return %x : tensor<4xf32>
  }
}

// -----

// Every stage is run.
module {
  pipe.channel @x from @source to [@s0] depth 2 : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] depth 2 : tensor<4xf32>
  // expected-error @below {{stage @s0 is run by no pipe.program}}
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] {
    pipe.return %x : tensor<4xf32>
  }
}

// -----

// A role that runs its later stage first waits for itself.
// expected-error @below {{deadlock}}
module {
  pipe.channel @x from @source to [@s0] depth 2 : tensor<4xf32>
  pipe.channel @c from @s0 to [@s1] depth 2 : tensor<4xf32>
  pipe.channel @y from @s1 to [@sink] depth 2 : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@c] {
    pipe.return %x : tensor<4xf32>
  }
  pipe.stage @s1(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@c] writes [@y] {
    pipe.return %x : tensor<4xf32>
  }
  pipe.program @r0 runs [@s0, @s1] steady {
    %2 = pipe.recv @c : tensor<4xf32>
    %3 = pipe.run @s1(%2) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %3 to @y : tensor<4xf32>
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @c : tensor<4xf32>
  }
}

// -----

// A dropped send.
module {
  pipe.channel @x from @source to [@s0] depth 2 tensor "x" : tensor<4xf32>
  pipe.channel @c from @s0 to [@s1, @s2] depth 3 tensor "relu_3" : tensor<4xf32>
  pipe.channel @d from @s1 to [@s2] depth 2 tensor "fc" : tensor<4xf32>
  pipe.channel @y from @s2 to [@sink] depth 2 tensor "y" : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@c] {
    pipe.return %x : tensor<4xf32>
  }
  pipe.stage @s1(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@c] writes [@d] {
    pipe.return %x : tensor<4xf32>
  }
  pipe.stage @s2(%x: tensor<4xf32>, %h: tensor<4xf32>) -> (tensor<4xf32>) reads [@c, @d] writes [@y] {
    pipe.return %h : tensor<4xf32>
  }
  pipe.program @r0 runs [@s0] steady {
    %0 = pipe.recv @x : tensor<4xf32>
    // expected-error @below {{'pipe.run' op result #0 is not sent once, to @c ('relu_3', from @s0 to @s1 and @s2)}}
    %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
  }
}

// -----

// A channel that is received in another order than it is sent.
// expected-error @below {{stage 1 ('s1') receives channel 'c' ('relu_3') from stage 0 ('s0') for microbatch 1 where 0 is next (of 2)}}
// expected-error @below {{stage 1 ('s1') receives channel 'c' ('relu_3') from stage 0 ('s0') for microbatch 0 a second time (of 2)}}
module {
  pipe.channel @x from @source to [@s0] depth 2 tensor "x" : tensor<4xf32>
  pipe.channel @c from @s0 to [@s1] depth 2 tensor "relu_3" : tensor<4xf32>
  pipe.channel @y from @s1 to [@sink] depth 2 tensor "y" : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@c] {
    pipe.return %x : tensor<4xf32>
  }
  pipe.stage @s1(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@c] writes [@y] {
    pipe.return %x : tensor<4xf32>
  }
  pipe.program @r0 runs [@s0] steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @c : tensor<4xf32>
  }
  pipe.program @r1 runs [@s1] round 2 steady {
    %0 = pipe.recv @c : tensor<4xf32>
    %1 = pipe.recv @c : tensor<4xf32>
    %2 = pipe.run @s1(%1) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %2 to @y : tensor<4xf32>
    %3 = pipe.run @s1(%0) microbatch 1 : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %3 to @y : tensor<4xf32>
  } epilogue {
    %0 = pipe.recv @c : tensor<4xf32>
    %1 = pipe.run @s1(%0) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @y : tensor<4xf32>
  }
}

// -----

// Two microbatches of one stage before the stage that frees their slots: one slot is not enough.
// expected-error @below {{deadlock: stage 0 ('s0') waits for a free slot of channel 'c' ('relu_3'), depth 1, held by stage 1 ('s1')}}
module {
  pipe.channel @x from @source to [@s0] depth 2 tensor "x" : tensor<4xf32>
  pipe.channel @c from @s0 to [@s1] depth 1 tensor "relu_3" : tensor<4xf32>
  pipe.channel @y from @s1 to [@sink] depth 2 tensor "y" : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@c] {
    pipe.return %x : tensor<4xf32>
  }
  pipe.stage @s1(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@c] writes [@y] {
    pipe.return %x : tensor<4xf32>
  }
  pipe.program @r0 runs [@s0, @s1] round 2 steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @c : tensor<4xf32>
    %2 = pipe.recv @x : tensor<4xf32>
    %3 = pipe.run @s0(%2) microbatch 1 : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %3 to @c : tensor<4xf32>
    %4 = pipe.recv @c : tensor<4xf32>
    %5 = pipe.run @s1(%4) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %5 to @y : tensor<4xf32>
    %6 = pipe.recv @c : tensor<4xf32>
    %7 = pipe.run @s1(%6) microbatch 1 : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %7 to @y : tensor<4xf32>
  } epilogue {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @c : tensor<4xf32>
    %2 = pipe.recv @c : tensor<4xf32>
    %3 = pipe.run @s1(%2) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %3 to @y : tensor<4xf32>
  }
}

// -----

// A message of another type than its channel.
module {
  pipe.channel @x from @source to [@s0] depth 2 tensor "x" : tensor<4xf32>
  pipe.channel @c from @s0 to [@s1] depth 2 tensor "relu_3" : tensor<4xf32>
  pipe.channel @y from @s1 to [@sink] depth 2 tensor "y" : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@c] {
    pipe.return %x : tensor<4xf32>
  }
  pipe.stage @s1(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@c] writes [@y] {
    pipe.return %x : tensor<4xf32>
  }
  pipe.program @r1 runs [@s1] steady {
    // expected-error @below {{'pipe.recv' op has type 'tensor<4xf16>'; channel @c ('relu_3', from @s0 to @s1) carries 'tensor<4xf32>'}}
    %0 = pipe.recv @c : tensor<4xf16>
    %1 = pipe.run @s1(%0) : (tensor<4xf16>) -> tensor<4xf32>
    pipe.send %1 to @y : tensor<4xf32>
  }
}

// -----

// A kernel that two stages run, one that none runs, and one that is no clone and none of the model's.
// expected-error @below {{stage 1 ('s1') runs kernel 'mask@1', which is none of the model's 2}}
// expected-error @below {{kernel 'relu' ('relu_3') is run by stage 0 ('s0') and by stage 1 ('s1'); expected one owner, and a mark on each clone; channel 'c' ('relu_3') carries it from stage 0 ('s0') to stage 1 ('s1')}}
// expected-error @below {{no stage owns kernel 'fc'; expected exactly one}}
module attributes {pipe.kernels = ["relu", "fc"]} {
  pipe.channel @x from @source to [@s0] depth 2 tensor "x" : tensor<4xf32>
  pipe.channel @c from @s0 to [@s1] depth 2 tensor "relu_3" : tensor<4xf32>
  pipe.channel @y from @s1 to [@sink] depth 2 tensor "y" : tensor<4xf32>
  nn.kernel_def @k0(%a: tensor<4xf32>) -> (tensor<4xf32>) symbols 0 {
    %0 = nn.unary exp %a : tensor<4xf32>
    nn.yield %0 : tensor<4xf32>
  }
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@c] {
    %o = nn.empty : tensor<4xf32>
    %0 = nn.call @k0 ins(%x : tensor<4xf32>) outs(%o : tensor<4xf32>) symbols <[]> {nn.kernel_name = "relu", nn.tensors = ["bn", "relu_3"]} -> tensor<4xf32>
    pipe.return %0 : tensor<4xf32>
  }
  pipe.stage @s1(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@c] writes [@y] {
    %o = nn.empty : tensor<4xf32>
    %0 = nn.call @k0 ins(%x : tensor<4xf32>) outs(%o : tensor<4xf32>) symbols <[]> {nn.kernel_name = "relu", nn.tensors = ["bn", "relu_3"]} -> tensor<4xf32>
    %p = nn.empty : tensor<4xf32>
    %1 = nn.call @k0 ins(%x : tensor<4xf32>) outs(%p : tensor<4xf32>) symbols <[]> {nn.kernel_name = "mask@1"} -> tensor<4xf32>
    pipe.return %0 : tensor<4xf32>
  }
  pipe.program @r0 runs [@s0] steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @c : tensor<4xf32>
  }
  pipe.program @r1 runs [@s1] steady {
    %0 = pipe.recv @c : tensor<4xf32>
    %1 = pipe.run @s1(%0) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @y : tensor<4xf32>
  }
}

// -----

// A stage without kernels.
// expected-error @below {{stage 1 ('s1') is empty; expected at least one kernel}}
module attributes {pipe.kernels = ["relu"]} {
  pipe.channel @x from @source to [@s0] depth 2 tensor "x" : tensor<4xf32>
  pipe.channel @c from @s0 to [@s1] depth 2 tensor "relu_3" : tensor<4xf32>
  pipe.channel @y from @s1 to [@sink] depth 2 tensor "y" : tensor<4xf32>
  nn.kernel_def @k0(%a: tensor<4xf32>) -> (tensor<4xf32>) symbols 0 {
    %0 = nn.unary exp %a : tensor<4xf32>
    nn.yield %0 : tensor<4xf32>
  }
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@c] {
    %o = nn.empty : tensor<4xf32>
    %0 = nn.call @k0 ins(%x : tensor<4xf32>) outs(%o : tensor<4xf32>) symbols <[]> {nn.kernel_name = "relu"} -> tensor<4xf32>
    pipe.return %0 : tensor<4xf32>
  }
  pipe.stage @s1(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@c] writes [@y] {
    pipe.return %x : tensor<4xf32>
  }
  pipe.program @r0 runs [@s0] steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @c : tensor<4xf32>
  }
  pipe.program @r1 runs [@s1] steady {
    %0 = pipe.recv @c : tensor<4xf32>
    %1 = pipe.run @s1(%0) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @y : tensor<4xf32>
  }
}
