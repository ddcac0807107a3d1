// RUN: penstock-opt %s --split-input-file --verify-diagnostics

// upload_c1: a copy is in a program
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] attributes {pipe.device = "cuda"} {
    pipe.return %x : tensor<4xf32>
  }
  %0 = nn.empty : tensor<4xf32>
  // expected-error @below {{'pipe.upload' op expects parent op 'pipe.program'}}
  %1 = pipe.upload %0 : tensor<4xf32>
}

// -----

// upload_c2: nothing is waited for between a message and its copy
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @z from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>, %z: tensor<4xf32>) -> (tensor<4xf32>) reads [@x, @z] writes [@y] attributes {pipe.device = "cuda"} {
    pipe.return %x : tensor<4xf32>
  }
  pipe.program @r0 runs [@s0] steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %4 = pipe.recv @z : tensor<4xf32>
    %5 = pipe.upload %4 : tensor<4xf32>
    // expected-error @below {{'pipe.upload' op does not copy the message of a pipe.recv directly before it}}
    %1 = pipe.upload %0 : tensor<4xf32>
    %2 = pipe.run @s0(%1, %5) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
    %3 = pipe.download %2 : tensor<4xf32>
    pipe.send %3 to @y : tensor<4xf32>
  }
}

// -----

// upload_c3: what is uploaded is for a run
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] attributes {pipe.device = "cuda"} {
    pipe.return %x : tensor<4xf32>
  }
  pipe.program @r0 runs [@s0] steady {
    %0 = pipe.recv @x : tensor<4xf32>
    // expected-error @below {{'pipe.upload' op copies message @x for what is not exactly one pipe.run}}
    %1 = pipe.upload %0 : tensor<4xf32>
    pipe.send %1 to @y : tensor<4xf32>
    %4 = pipe.recv @x : tensor<4xf32>
    %5 = pipe.upload %4 : tensor<4xf32>
    %2 = pipe.run @s0(%5) : (tensor<4xf32>) -> tensor<4xf32>
    %3 = pipe.download %2 : tensor<4xf32>
    pipe.send %3 to @y : tensor<4xf32>
  }
}

// -----

// upload_c3: and nothing is uploaded for nothing
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] attributes {pipe.device = "cuda"} {
    pipe.return %x : tensor<4xf32>
  }
  pipe.program @r0 runs [@s0] steady {
    %4 = pipe.recv @x : tensor<4xf32>
    // expected-error @below {{'pipe.upload' op copies message @x for what is not exactly one pipe.run}}
    %5 = pipe.upload %4 : tensor<4xf32>
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.upload %0 : tensor<4xf32>
    %2 = pipe.run @s0(%1) : (tensor<4xf32>) -> tensor<4xf32>
    %3 = pipe.download %2 : tensor<4xf32>
    pipe.send %3 to @y : tensor<4xf32>
  }
}

// -----

// download_c1: a copy is in a program
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] attributes {pipe.device = "cuda"} {
    pipe.return %x : tensor<4xf32>
  }
  %0 = nn.empty : tensor<4xf32>
  // expected-error @below {{'pipe.download' op expects parent op 'pipe.program'}}
  %1 = pipe.download %0 : tensor<4xf32>
}

// -----

// download_c2: what is downloaded is a result
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] attributes {pipe.device = "cuda"} {
    pipe.return %x : tensor<4xf32>
  }
  pipe.program @r0 runs [@s0] steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.upload %0 : tensor<4xf32>
    %2 = pipe.run @s0(%1) : (tensor<4xf32>) -> tensor<4xf32>
    %3 = pipe.download %2 : tensor<4xf32>
    pipe.send %3 to @y : tensor<4xf32>
    %4 = pipe.recv @x : tensor<4xf32>
    // expected-error @below {{'pipe.download' op copies a value that is no result of pipe.run}}
    %5 = pipe.download %4 : tensor<4xf32>
    pipe.send %5 to @y : tensor<4xf32>
  }
}

// -----

// download_c3: a copy is sent at once
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  pipe.channel @z from @s0 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) reads [@x] writes [@y, @z] attributes {pipe.device = "cuda"} {
    pipe.return %x, %x : tensor<4xf32>, tensor<4xf32>
  }
  pipe.program @r0 runs [@s0] steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.upload %0 : tensor<4xf32>
    %2:2 = pipe.run @s0(%1) : (tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>)
    // expected-error @below {{'pipe.download' op has a copy that is not used exactly once, by a pipe.send directly behind it}}
    %3 = pipe.download %2#0 : tensor<4xf32>
    %4 = pipe.download %2#1 : tensor<4xf32>
    pipe.send %4 to @z : tensor<4xf32>
    pipe.send %3 to @y : tensor<4xf32>
  }
}

// -----

// download_c3: a copy is sent once
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] attributes {pipe.device = "cuda"} {
    pipe.return %x : tensor<4xf32>
  }
  pipe.program @r0 runs [@s0] steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.upload %0 : tensor<4xf32>
    %2 = pipe.run @s0(%1) : (tensor<4xf32>) -> tensor<4xf32>
    // expected-error @below {{'pipe.download' op has a copy that is not used exactly once, by a pipe.send directly behind it}}
    %3 = pipe.download %2 : tensor<4xf32>
    pipe.send %3 to @y : tensor<4xf32>
    pipe.send %3 to @y : tensor<4xf32>
  }
}

// -----

// run_c5: a stage on a device has its messages there
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] attributes {pipe.device = "cuda"} {
    pipe.return %x : tensor<4xf32>
  }
  pipe.program @r0 runs [@s0] steady {
    %0 = pipe.recv @x : tensor<4xf32>
    // expected-error @below {{'pipe.run' op operand #0 is not uploaded; @s0 runs on cuda, and the host carries @x (from @source to @s0)}}
    %2 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
    %3 = pipe.download %2 : tensor<4xf32>
    pipe.send %3 to @y : tensor<4xf32>
  }
}

// -----

// run_c5: what a stage on a device makes is brought to the host
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] attributes {pipe.device = "cuda"} {
    pipe.return %x : tensor<4xf32>
  }
  pipe.program @r0 runs [@s0] steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.upload %0 : tensor<4xf32>
    // expected-error @below {{'pipe.run' op result #0 is not downloaded; @s0 runs on cuda, and the host carries @y (from @s0 to @sink)}}
    %2 = pipe.run @s0(%1) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %2 to @y : tensor<4xf32>
  }
}

// -----

// run_c5: a stage on the host has its messages there
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] {
    pipe.return %x : tensor<4xf32>
  }
  pipe.program @r0 runs [@s0] steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.upload %0 : tensor<4xf32>
    // expected-error @below {{'pipe.run' op operand #0 is uploaded; @s0 runs on the host, and the host carries @x (from @source to @s0)}}
    %2 = pipe.run @s0(%1) : (tensor<4xf32>) -> tensor<4xf32>
    %3 = pipe.download %2 : tensor<4xf32>
    pipe.send %3 to @y : tensor<4xf32>
  }
}

// -----

// run_c5: a stage on the host makes its results there
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] {
    pipe.return %x : tensor<4xf32>
  }
  pipe.program @r0 runs [@s0] steady {
    %0 = pipe.recv @x : tensor<4xf32>
    // expected-error @below {{'pipe.run' op result #0 is downloaded; @s0 runs on the host, and the host carries @y (from @s0 to @sink)}}
    %2 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
    %3 = pipe.download %2 : tensor<4xf32>
    pipe.send %3 to @y : tensor<4xf32>
  }
}

// -----

// run_c5: what comes from a device is on the device
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @c from @s0 to [@s1] {pipe.carrier = "nccl"} : tensor<4xf32>
  pipe.channel @y from @s1 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@c] attributes {pipe.device = "cuda"} {
    pipe.return %x : tensor<4xf32>
  }
  pipe.stage @s1(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@c] writes [@y] attributes {pipe.device = "cuda"} {
    pipe.return %x : tensor<4xf32>
  }
  pipe.program @r1 runs [@s1] steady {
    %0 = pipe.recv @c : tensor<4xf32>
    %1 = pipe.upload %0 : tensor<4xf32>
    // expected-error @below {{'pipe.run' op operand #0 is uploaded; @s1 runs on cuda, and nccl carries @c (from @s0 to @s1)}}
    %2 = pipe.run @s1(%1) : (tensor<4xf32>) -> tensor<4xf32>
    %3 = pipe.download %2 : tensor<4xf32>
    pipe.send %3 to @y : tensor<4xf32>
  }
}

// -----

// run_c5: what goes to a device stays on the device
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @c from @s0 to [@s1] {pipe.carrier = "nccl"} : tensor<4xf32>
  pipe.channel @y from @s1 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@c] attributes {pipe.device = "cuda"} {
    pipe.return %x : tensor<4xf32>
  }
  pipe.stage @s1(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@c] writes [@y] attributes {pipe.device = "cuda"} {
    pipe.return %x : tensor<4xf32>
  }
  pipe.program @r0 runs [@s0] steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.upload %0 : tensor<4xf32>
    // expected-error @below {{'pipe.run' op result #0 is downloaded; @s0 runs on cuda, and nccl carries @c (from @s0 to @s1)}}
    %2 = pipe.run @s0(%1) : (tensor<4xf32>) -> tensor<4xf32>
    %3 = pipe.download %2 : tensor<4xf32>
    pipe.send %3 to @c : tensor<4xf32>
  }
}
