// RUN: penstock-opt %s --split-input-file --verify-diagnostics

// input_c1: an input is a ranked tensor
module {
  // expected-error @below {{'pipe.input' op has type 'f32'; expected a ranked tensor}}
  pipe.input "x" : f32
}

// -----

// input_c2: an input goes via a channel
module {
  // expected-error @below {{'pipe.input' op goes via @z, which is no pipe.channel}}
  pipe.input "x" via @z : tensor<4xf32>
}

// -----

// input_c2: the channel of an input comes from the source
module {
  // expected-error @below {{'pipe.input' op goes via @y, which has no end at @source}}
  pipe.input "x" via @y : tensor<4xf32>
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] {
    pipe.return %x : tensor<4xf32>
  }
}

// -----

// input_c2: an input has the type of its channel
module {
  // expected-error @below {{'pipe.input' op has type 'tensor<5xf32>' but channel @x carries 'tensor<4xf32>'}}
  pipe.input "x" via @x : tensor<5xf32>
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] {
    pipe.return %x : tensor<4xf32>
  }
}

// -----

// output_c1: an output is a ranked tensor
module {
  // expected-error @below {{'pipe.output' op has type 'tensor<*xf32>'; expected a ranked tensor}}
  pipe.output "y" via @y : tensor<*xf32>
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] {
    pipe.return %x : tensor<4xf32>
  }
}

// -----

// output_c2: the channel of an output goes to the sink
module {
  // expected-error @below {{'pipe.output' op goes via @x, which has no end at @sink}}
  pipe.output "y" via @x : tensor<4xf32>
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] {
    pipe.return %x : tensor<4xf32>
  }
}

// -----

// channel_c1: a channel carries a ranked tensor
module {
  // expected-error @below {{'pipe.channel' op has type 'i32'; expected a ranked tensor}}
  pipe.channel @x from @source to [@s0] : i32
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] {
    pipe.return %x : tensor<4xf32>
  }
}

// -----

// channel_c2: a channel has a consumer
module {
  // expected-error @below {{'pipe.channel' op has no consumer; expected at least one}}
  pipe.channel @z from @source to [] : tensor<4xf32>
}

// -----

// channel_c2: no consumer is named twice
module {
  // expected-error @below {{'pipe.channel' op names consumer @s0 twice}}
  pipe.channel @x from @source to [@s0, @s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] {
    pipe.return %x : tensor<4xf32>
  }
}

// -----

// channel_c3: the sink sends nothing
module {
  // expected-error @below {{'pipe.channel' op comes from @sink, which sends nothing}}
  pipe.channel @x from @sink to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] {
    pipe.return %x : tensor<4xf32>
  }
}

// -----

// channel_c3: the source receives nothing
module {
  // expected-error @below {{'pipe.channel' op goes to @source, which receives nothing}}
  pipe.channel @y from @s0 to [@source] : tensor<4xf32>
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] {
    pipe.return %x : tensor<4xf32>
  }
}

// -----

// channel_c3: the producer is a stage
module {
  // expected-error @below {{'pipe.channel' op comes from @s7, which is no pipe.stage}}
  pipe.channel @z from @s7 to [@sink] : tensor<4xf32>
}

// -----

// channel_c3: each consumer is a stage
module {
  // expected-error @below {{'pipe.channel' op goes to @s7, which is no pipe.stage}}
  pipe.channel @z from @source to [@s7] : tensor<4xf32>
}

// -----

// channel_c4: the depth is positive
module {
  // expected-error @below {{'pipe.channel' op has depth 0; expected at least 1}}
  pipe.channel @x from @source to [@s0] depth 0 : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] {
    pipe.return %x : tensor<4xf32>
  }
}

// -----

// channel_c4: the delay is not negative
module {
  // expected-error @below {{'pipe.channel' op has delay -1; expected at least 0}}
  pipe.channel @x from @source to [@s0] delay -1 : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] {
    pipe.return %x : tensor<4xf32>
  }
}

// -----

// channel_c5: a channel from a stage to itself has a delay
module {
  // expected-error @below {{'pipe.channel' op goes from @s0 to itself; expected a delay of at least 1}}
  pipe.channel @y from @s0 to [@s0] : tensor<4xf32>
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] {
    pipe.return %x : tensor<4xf32>
  }
}

// -----

// channel_c6: the producer writes the channel
module {
  // expected-error @below {{'pipe.channel' op comes from @s0, which does not write it}}
  pipe.channel @z from @s0 to [@sink] : tensor<4xf32>
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] {
    pipe.return %x : tensor<4xf32>
  }
}

// -----

// channel_c6: each consumer reads the channel
module {
  // expected-error @below {{'pipe.channel' op goes to @s0, which does not read it}}
  pipe.channel @z from @source to [@s0] : tensor<4xf32>
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] {
    pipe.return %x : tensor<4xf32>
  }
}

// -----

// input_c3: the batch is an axis
module {
  // expected-error @below {{'pipe.input' op has batch axis 1 but 1 axes}}
  pipe.input "x" batch 1 : tensor<4xf32>
}

// -----

// output_c3: the batch is an axis
module {
  // expected-error @below {{'pipe.output' op has batch axis -1 but 1 axes}}
  pipe.output "y" via @y batch -1 : tensor<4xf32>
}

// -----

// channel_c7: what carries payloads is known
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  // expected-error @below {{'pipe.channel' op is carried by "mpi"; expected "nccl", or no carrier}}
  pipe.channel @c from @s0 to [@s1] {pipe.carrier = "mpi"} : tensor<4xf32>
  pipe.channel @y from @s1 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@c] attributes {pipe.device = "cuda"} {
    pipe.return %x : tensor<4xf32>
  }
  pipe.stage @s1(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@c] writes [@y] attributes {pipe.device = "cuda"} {
    pipe.return %x : tensor<4xf32>
  }
}

// -----

// channel_c7: and it is a name
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  // expected-error @below {{'pipe.channel' op is carried by 1 : i64; expected "nccl", or no carrier}}
  pipe.channel @c from @s0 to [@s1] {pipe.carrier = 1} : tensor<4xf32>
  pipe.channel @y from @s1 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@c] attributes {pipe.device = "cuda"} {
    pipe.return %x : tensor<4xf32>
  }
  pipe.stage @s1(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@c] writes [@y] attributes {pipe.device = "cuda"} {
    pipe.return %x : tensor<4xf32>
  }
}

// -----

// channel_c7: inputs of the model are the host's
module {
  // expected-error @below {{'pipe.channel' op is carried by "nccl", and @source is not on a device; expected a pipe.stage with pipe.device at each end}}
  pipe.channel @x from @source to [@s0] {pipe.carrier = "nccl"} : tensor<4xf32>
  pipe.channel @c from @s0 to [@s1] : tensor<4xf32>
  pipe.channel @y from @s1 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@c] attributes {pipe.device = "cuda"} {
    pipe.return %x : tensor<4xf32>
  }
  pipe.stage @s1(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@c] writes [@y] attributes {pipe.device = "cuda"} {
    pipe.return %x : tensor<4xf32>
  }
}

// -----

// channel_c7: so are its outputs
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @c from @s0 to [@s1] : tensor<4xf32>
  // expected-error @below {{'pipe.channel' op is carried by "nccl", and @sink is not on a device; expected a pipe.stage with pipe.device at each end}}
  pipe.channel @y from @s1 to [@sink] {pipe.carrier = "nccl"} : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@c] attributes {pipe.device = "cuda"} {
    pipe.return %x : tensor<4xf32>
  }
  pipe.stage @s1(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@c] writes [@y] attributes {pipe.device = "cuda"} {
    pipe.return %x : tensor<4xf32>
  }
}

// -----

// channel_c7: a producer on the host has nothing for a device
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  // expected-error @below {{'pipe.channel' op is carried by "nccl", and @s0 is not on a device; expected a pipe.stage with pipe.device at each end}}
  pipe.channel @c from @s0 to [@s1] {pipe.carrier = "nccl"} : tensor<4xf32>
  pipe.channel @y from @s1 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@c] {
    pipe.return %x : tensor<4xf32>
  }
  pipe.stage @s1(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@c] writes [@y] attributes {pipe.device = "cuda"} {
    pipe.return %x : tensor<4xf32>
  }
}

// -----

// channel_c7: nor does a consumer there get anything from one
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  // expected-error @below {{'pipe.channel' op is carried by "nccl", and @s1 is not on a device; expected a pipe.stage with pipe.device at each end}}
  pipe.channel @c from @s0 to [@s1] {pipe.carrier = "nccl"} : tensor<4xf32>
  pipe.channel @y from @s1 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@c] attributes {pipe.device = "cuda"} {
    pipe.return %x : tensor<4xf32>
  }
  pipe.stage @s1(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@c] writes [@y] {
    pipe.return %x : tensor<4xf32>
  }
}
