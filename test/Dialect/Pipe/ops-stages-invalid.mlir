// RUN: penstock-opt %s --split-input-file --verify-diagnostics

// state_c1: a state is a ranked tensor
module {
  // expected-error @below {{'pipe.state' op has type 'i1'; expected a ranked tensor}}
  pipe.state @h in @s0 : i1
}

// -----

// state_c2: a state belongs to a stage that lists it
module {
  // expected-error @below {{'pipe.state' op belongs to @s0, which is no pipe.stage that lists it}}
  pipe.state @h in @s0 : tensor<4xf32>
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] {
    pipe.return %x : tensor<4xf32>
  }
}

// -----

// state_c3: a state starts as a weight of its type
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  // expected-error @below {{'pipe.state' op starts as @w, which is no nn.weight of type 'tensor<4xf32>'}}
  pipe.state @h in @s0 init @w : tensor<4xf32>
  nn.weight @w : tensor<5xf32> from <"m.onnx", 0, 20>
  pipe.stage @s0(%x: tensor<4xf32>, %h: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) reads [@x] writes [@y] states [@h] {
    pipe.return %x, %h : tensor<4xf32>, tensor<4xf32>
  }
}

// -----

// stage_c1: source and sink are reserved
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  // expected-error @below {{'pipe.stage' op has the reserved name @sink}}
  pipe.stage @sink(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] {
    pipe.return %x : tensor<4xf32>
  }
}

// -----

// stage_c2: one argument per read
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  // expected-error @below {{'pipe.stage' op has 2 arguments; expected 1 for its reads and 0 for its states}}
  pipe.stage @s0(%x: tensor<4xf32>, %z: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] {
    pipe.return %x : tensor<4xf32>
  }
}

// -----

// stage_c2: an argument has the type of its channel
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  // expected-error @below {{'pipe.stage' op reads @x as 'tensor<5xf32>' but the channel carries 'tensor<4xf32>'}}
  pipe.stage @s0(%x: tensor<5xf32>, %h: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) reads [@x] writes [@y] states [@h] {
    pipe.return %h, %h : tensor<4xf32>, tensor<4xf32>
  }
  pipe.state @h in @s0 : tensor<4xf32>
}

// -----

// stage_c2: no channel is read twice
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  // expected-error @below {{'pipe.stage' op reads @x twice}}
  pipe.stage @s0(%x: tensor<4xf32>, %z: tensor<4xf32>) -> (tensor<4xf32>) reads [@x, @x] writes [@y] {
    pipe.return %x : tensor<4xf32>
  }
}

// -----

// stage_c3: one value per write
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  // expected-error @below {{'pipe.stage' op returns 2 values; expected 1 for its writes and 0 for its states}}
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) reads [@x] writes [@y] {
    pipe.return %x, %x : tensor<4xf32>, tensor<4xf32>
  }
}

// -----

// stage_c3: a value has the type of its channel
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<5xf32>
  // expected-error @below {{'pipe.stage' op writes @y as 'tensor<4xf32>' but the channel carries 'tensor<5xf32>'}}
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] {
    pipe.return %x : tensor<4xf32>
  }
}

// -----

// stage_c3: no channel is written twice
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  // expected-error @below {{'pipe.stage' op writes @y twice}}
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) reads [@x] writes [@y, @y] {
    pipe.return %x, %x : tensor<4xf32>, tensor<4xf32>
  }
}

// -----

// stage_c3: the return fits the signature
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  // expected-error @below {{the stage does not end in a pipe.return of the result types}}
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<5xf32>) reads [@x] writes [@y] {
    pipe.return %x : tensor<4xf32>
  }
}

// -----

// stage_c4: a stage is pure
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] {
    // expected-error @below {{'memref.alloc' op is not pure; expected only nn.call, nn.empty and pure ops in a stage}}
    %m = memref.alloc() : memref<4xf32>
    pipe.return %x : tensor<4xf32>
  }
}

// -----

// stage_c5: a stage reads a channel
module {
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  // expected-error @below {{'pipe.stage' op reads no channel; expected at least one}}
  pipe.stage @s0() -> (tensor<4xf32>) reads [] writes [@y] {
    %x = nn.constant dense<0.0> : tensor<4xf32>
    pipe.return %x : tensor<4xf32>
  }
}

// -----

// stage_c6: what a stage reads is a channel
module {
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  // expected-error @below {{'pipe.stage' op reads @z, which is no pipe.channel}}
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@z] writes [@y] {
    pipe.return %x : tensor<4xf32>
  }
}

// -----

// stage_c6: a channel names the stage that reads it
module {
  pipe.channel @x from @source to [@sink] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  // expected-error @below {{'pipe.stage' op reads @x, which does not name it as consumer}}
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] {
    pipe.return %x : tensor<4xf32>
  }
}

// -----

// stage_c6: a channel names the stage that writes it
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @source to [@sink] : tensor<4xf32>
  // expected-error @below {{'pipe.stage' op writes @y, which does not name it as producer}}
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] {
    pipe.return %x : tensor<4xf32>
  }
}

// -----

// stage_c6: a state names the stage that keeps it
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  // expected-error @below {{'pipe.stage' op keeps @h, which is no pipe.state of it}}
  pipe.stage @s0(%x: tensor<4xf32>, %h: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) reads [@x] writes [@y] states [@h] {
    pipe.return %x, %h : tensor<4xf32>, tensor<4xf32>
  }
}

// -----

// stage_c7: a state per session needs messages with session ids
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  pipe.state @h in @s0 per_session : tensor<4xf32>
  // expected-error @below {{'pipe.stage' op keeps @h per session but reads @x, whose messages have no session id}}
  pipe.stage @s0(%x: tensor<4xf32>, %h: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) reads [@x] writes [@y] states [@h] {
    pipe.return %x, %h : tensor<4xf32>, tensor<4xf32>
  }
}
