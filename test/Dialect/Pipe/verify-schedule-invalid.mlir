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
