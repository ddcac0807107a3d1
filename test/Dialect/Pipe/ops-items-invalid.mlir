// RUN: penstock-opt %s --split-input-file --verify-diagnostics

// recv_c1: a receive is in a program
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] {
    pipe.return %x : tensor<4xf32>
  }
  // expected-error @below {{'pipe.recv' op expects parent op 'pipe.program'}}
  %0 = pipe.recv @x : tensor<4xf32>
}

// -----

// recv_c2: a program receives what its stages read
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] {
    pipe.return %x : tensor<4xf32>
  }
  pipe.program @r0 runs [@s0] steady {
    // expected-error @below {{'pipe.recv' op names @y, which no stage of @r0 reads}}
    %0 = pipe.recv @y : tensor<4xf32>
    %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @y : tensor<4xf32>
  }
}

// -----

// recv_c3: a message has the type of its channel
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] {
    pipe.return %x : tensor<4xf32>
  }
  pipe.program @r0 runs [@s0] steady {
    // expected-error @below {{'pipe.recv' op has type 'tensor<5xf32>'; channel @x (from @source to @s0) carries 'tensor<4xf32>'}}
    %0 = pipe.recv @x : tensor<5xf32>
    %1 = pipe.run @s0(%0) : (tensor<5xf32>) -> tensor<4xf32>
    pipe.send %1 to @y : tensor<4xf32>
  }
}

// -----

// recv_c4: a message is used by one run
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] {
    pipe.return %x : tensor<4xf32>
  }
  pipe.program @r0 runs [@s0] steady {
    // expected-error @below {{'pipe.recv' op has a message that is not used exactly once}}
    %2 = pipe.recv @x : tensor<4xf32>
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @y : tensor<4xf32>
  }
}

// -----

// send_c1: a send is in a program
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] {
    pipe.return %x : tensor<4xf32>
  }
  %0 = nn.empty : tensor<4xf32>
  // expected-error @below {{'pipe.send' op expects parent op 'pipe.program'}}
  pipe.send %0 to @y : tensor<4xf32>
}

// -----

// send_c2: a program sends what its stages write
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] {
    pipe.return %x : tensor<4xf32>
  }
  pipe.program @r0 runs [@s0] steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
    // expected-error @below {{'pipe.send' op names @x, which no stage of @r0 writes}}
    pipe.send %1 to @x : tensor<4xf32>
  }
}

// -----

// send_c3: what is sent has the type of its channel
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  pipe.channel @x1 from @source to [@s1] : tensor<5xf32>
  pipe.channel @y1 from @s1 to [@sink] : tensor<5xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] {
    pipe.return %x : tensor<4xf32>
  }
  pipe.stage @s1(%x: tensor<5xf32>) -> (tensor<5xf32>) reads [@x1] writes [@y1] {
    pipe.return %x : tensor<5xf32>
  }
  pipe.program @r0 runs [@s0, @s1] steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
    // expected-error @below {{'pipe.send' op has type 'tensor<4xf32>'; channel @y1 (from @s1 to @sink) carries 'tensor<5xf32>'}}
    pipe.send %1 to @y1 : tensor<4xf32>
    %2 = pipe.recv @x1 : tensor<5xf32>
    %3 = pipe.run @s1(%2) : (tensor<5xf32>) -> tensor<5xf32>
    pipe.send %3 to @y1 : tensor<5xf32>
  }
}

// -----

// send_c4: what is sent is made by a run
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] {
    pipe.return %x : tensor<4xf32>
  }
  pipe.program @r0 runs [@s0] steady {
    %2 = pipe.recv @x : tensor<4xf32>
    // expected-error @below {{'pipe.send' op sends a value that is no result of pipe.run}}
    pipe.send %2 to @y : tensor<4xf32>
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @y : tensor<4xf32>
  }
}

// -----

// send_c4: a result goes where its stage writes it
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  pipe.channel @z from @s0 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) reads [@x] writes [@y, @z] {
    pipe.return %x, %x : tensor<4xf32>, tensor<4xf32>
  }
  pipe.program @r0 runs [@s0] steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %1:2 = pipe.run @s0(%0) : (tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>)
    // expected-error @below {{'pipe.send' op sends result #0 of @s0 to @z, which is not what the stage writes it to}}
    pipe.send %1#0 to @z : tensor<4xf32>
    pipe.send %1#1 to @y : tensor<4xf32>
  }
}

// -----

// run_c1: a program runs its own stages
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] {
    pipe.return %x : tensor<4xf32>
  }
  pipe.channel @x1 from @source to [@s1] : tensor<4xf32>
  pipe.channel @y1 from @s1 to [@sink] : tensor<4xf32>
  pipe.stage @s1(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x1] writes [@y1] {
    pipe.return %x : tensor<4xf32>
  }
  pipe.program @r0 runs [@s0] steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @y : tensor<4xf32>
    %2 = pipe.recv @x : tensor<4xf32>
    // expected-error @below {{'pipe.run' op runs @s1, which is no stage of @r0}}
    %3 = pipe.run @s1(%2) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %3 to @y : tensor<4xf32>
  }
}

// -----

// run_c2: a run has the types of its stage
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] {
    pipe.return %x : tensor<4xf32>
  }
  pipe.program @r0 runs [@s0] steady {
    %0 = pipe.recv @x : tensor<4xf32>
    // expected-error @below {{'pipe.run' op does not have the types of @s0}}
    %1:2 = pipe.run @s0(%0) : (tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>)
    pipe.send %1#0 to @y : tensor<4xf32>
  }
}

// -----

// run_c3: operands are received from the reads of the stage
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] {
    pipe.return %x : tensor<4xf32>
  }
  pipe.channel @x1 from @source to [@s1] : tensor<4xf32>
  pipe.channel @y1 from @s1 to [@sink] : tensor<4xf32>
  pipe.stage @s1(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x1] writes [@y1] {
    pipe.return %x : tensor<4xf32>
  }
  pipe.program @r0 runs [@s0, @s1] steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %2 = pipe.recv @x1 : tensor<4xf32>
    // expected-error @below {{'pipe.run' op operand #0 is not received from @x (from @source to @s0)}}
    %1 = pipe.run @s0(%2) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @y : tensor<4xf32>
    %3 = pipe.run @s1(%0) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %3 to @y1 : tensor<4xf32>
  }
}

// -----

// run_c4: results are sent to the writes of the stage
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] {
    pipe.return %x : tensor<4xf32>
  }
  pipe.program @r0 runs [@s0] steady {
    %0 = pipe.recv @x : tensor<4xf32>
    // expected-error @below {{'pipe.run' op result #0 is not sent once, to @y (from @s0 to @sink)}}
    %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @y : tensor<4xf32>
    pipe.send %1 to @y : tensor<4xf32>
  }
}
