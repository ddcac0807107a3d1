// RUN: penstock-opt %s --split-input-file --verify-diagnostics

// program_c1: a program runs a stage
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] {
    pipe.return %x : tensor<4xf32>
  }
  // expected-error @below {{'pipe.program' op runs no stage; expected at least one}}
  pipe.program @r0 runs [] steady {
    %0 = pipe.recv @x : tensor<4xf32>
  }
}

// -----

// program_c1: no stage is run twice
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] {
    pipe.return %x : tensor<4xf32>
  }
  // expected-error @below {{'pipe.program' op runs @s0 twice}}
  pipe.program @r0 runs [@s0, @s0] steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @y : tensor<4xf32>
  }
}

// -----

// program_c1: what a program runs is a stage
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] {
    pipe.return %x : tensor<4xf32>
  }
  // expected-error @below {{'pipe.program' op runs @s9, which is no pipe.stage}}
  pipe.program @r0 runs [@s9] steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.run @s9(%0) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @y : tensor<4xf32>
  }
}

// -----

// program_c2: two programs do not run one stage
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] {
    pipe.return %x : tensor<4xf32>
  }
  // expected-error @below {{'pipe.program' op runs @s0, which @r1 runs too}}
  pipe.program @r0 runs [@s0] steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @y : tensor<4xf32>
  }
  pipe.program @r1 runs [@s0] steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @y : tensor<4xf32>
  }
}

// -----

// program_c3: a program holds receives, uploads, runs, downloads and sends
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] {
    pipe.return %x : tensor<4xf32>
  }
  pipe.program @r0 runs [@s0] steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @y : tensor<4xf32>
    // expected-error @below {{'nn.empty' op stands in a program; expected only pipe.recv, pipe.upload, pipe.run, pipe.download and pipe.send}}
    %2 = nn.empty : tensor<4xf32>
  }
}

// -----

// program_c4: a microbatch is not left out
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] {
    pipe.return %x : tensor<4xf32>
  }
  // expected-error @below {{'pipe.program' op with 1 microbatches, @s0 does not run microbatch 0 once and in order}}
  pipe.program @r0 runs [@s0] steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.run @s0(%0) microbatch 1 : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @y : tensor<4xf32>
  }
}

// -----

// program_c4: a microbatch is not run twice
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] {
    pipe.return %x : tensor<4xf32>
  }
  // expected-error @below {{'pipe.program' op with 1 microbatches, @s0 runs 2 times}}
  pipe.program @r0 runs [@s0] prologue {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @y : tensor<4xf32>
  } steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @y : tensor<4xf32>
  }
}

// -----

// program_c5: there is a replica
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] {
    pipe.return %x : tensor<4xf32>
  }
  // expected-error @below {{'pipe.program' op has 0 replicas; expected at least 1}}
  pipe.program @r0 runs [@s0] replicas 0 steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @y : tensor<4xf32>
  }
}

// -----

// program_c5: a round has a microbatch
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] {
    pipe.return %x : tensor<4xf32>
  }
  // expected-error @below {{'pipe.program' op has base 0 and round 0; expected 0..256 and 1..256}}
  pipe.program @r0 runs [@s0] round 0 steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @y : tensor<4xf32>
  }
}

// -----

// program_c5: a period is positive
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] {
    pipe.return %x : tensor<4xf32>
  }
  // expected-error @below {{'pipe.program' op has a period that is not positive}}
  pipe.program @r0 runs [@s0] period 0.0 steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @y : tensor<4xf32>
  }
}
