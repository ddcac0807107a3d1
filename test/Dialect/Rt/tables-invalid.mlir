// RUN: penstock-opt %s --split-input-file --verify-diagnostics

// channel_c1: A channel has a slot.
rt.role @s0 role 0 of 2 stages [0] of 2 model "m" arena 64 extents affine_map<() -> ()> {
  // expected-error @below {{has a depth of 0; expected at least 1}}
  rt.channel @x id 0 "x" f32 [4] from -1 to [0] depth 0 bytes 16 in 0
  rt.channel @y id 1 "y" f32 [4] from 0 to [-2] depth 2 bytes 16 out
  rt.storage 0 channel_in "x" {channel = 0 : i64}
  rt.storage 1 channel_out "y" {channel = 1 : i64}
  rt.storage 2 arena "t" {offset = 0 : i64, num_bytes = 64 : i64, first = 0 : i64, last = 0 : i64}
  rt.step 0 "a" kernel "k"
  rt.program {
    rt.begin
    rt.wait @x
    rt.bind
    rt.acquire @y
    rt.call "k" buffers [0, 1] symbols 0
    rt.done 0
    rt.publish @y
    rt.release @x
    rt.end
  }
}

// -----

// channel_c5: Payloads go over NCCL or with the headers.
rt.role @s0 role 0 of 1 stages [0] of 1 model "m" arena 0 extents affine_map<() -> ()> attributes {device = "cuda"} {
  // expected-error @below {{is carried by 'pigeons'; expected 'nccl', or none}}
  rt.channel @x id 0 "x" f32 [4] from -1 to [0] depth 2 bytes 16 in 0 {carrier = "pigeons"}
  rt.program {
    rt.begin
    rt.wait @x
    rt.bind
    rt.release @x
    rt.end
  }
}

// -----

// channel_c1: A channel has a consumer.
rt.role @s0 role 0 of 2 stages [0] of 2 model "m" arena 64 extents affine_map<() -> ()> {
  rt.channel @x id 0 "x" f32 [4] from -1 to [0] depth 2 bytes 16 in 0
  // expected-error @below {{has no consumer}}
  rt.channel @y id 1 "y" f32 [4] from 0 to [] depth 2 bytes 16 out
  rt.storage 0 channel_in "x" {channel = 0 : i64}
  rt.storage 1 channel_out "y" {channel = 1 : i64}
  rt.storage 2 arena "t" {offset = 0 : i64, num_bytes = 64 : i64, first = 0 : i64, last = 0 : i64}
  rt.step 0 "a" kernel "k"
  rt.program {
    rt.begin
    rt.wait @x
    rt.bind
    rt.acquire @y
    rt.call "k" buffers [0, 1] symbols 0
    rt.done 0
    rt.publish @y
    rt.release @x
    rt.end
  }
}

// -----

// channel_c2: Extents are in range.
rt.role @s0 role 0 of 2 stages [0] of 2 model "m" arena 64 extents affine_map<() -> ()> {
  // expected-error @below {{refers to extent 2; the role has 0}}
  rt.channel @x id 0 "x" f32 [-3] from -1 to [0] depth 2 bytes 16 in 0
  rt.channel @y id 1 "y" f32 [4] from 0 to [-2] depth 2 bytes 16 out
  rt.storage 0 channel_in "x" {channel = 0 : i64}
  rt.storage 1 channel_out "y" {channel = 1 : i64}
  rt.storage 2 arena "t" {offset = 0 : i64, num_bytes = 64 : i64, first = 0 : i64, last = 0 : i64}
  rt.step 0 "a" kernel "k"
  rt.program {
    rt.begin
    rt.wait @x
    rt.bind
    rt.acquire @y
    rt.call "k" buffers [0, 1] symbols 0
    rt.done 0
    rt.publish @y
    rt.release @x
    rt.end
  }
}

// -----

// channel_c3: A channel belongs to the role.
rt.role @s0 role 0 of 2 stages [0] of 2 model "m" arena 64 extents affine_map<() -> ()> {
  rt.channel @x id 0 "x" f32 [4] from -1 to [0] depth 2 bytes 16 in 0
  // expected-error @below {{is neither received nor sent by the role}}
  rt.channel @y id 1 "y" f32 [4] from 0 to [-2] depth 2 bytes 16
  rt.storage 0 channel_in "x" {channel = 0 : i64}
  rt.storage 1 channel_out "y" {channel = 1 : i64}
  rt.storage 2 arena "t" {offset = 0 : i64, num_bytes = 64 : i64, first = 0 : i64, last = 0 : i64}
  rt.step 0 "a" kernel "k"
  rt.program {
    rt.begin
    rt.wait @x
    rt.bind
    rt.acquire @y
    rt.call "k" buffers [0, 1] symbols 0
    rt.done 0
    rt.publish @y
    rt.release @x
    rt.end
  }
}

// -----

// channel_c3: A consumer is one of the channel's.
rt.role @s0 role 0 of 2 stages [0] of 2 model "m" arena 64 extents affine_map<() -> ()> {
  // expected-error @below {{is received by consumer 1 of 1}}
  rt.channel @x id 0 "x" f32 [4] from -1 to [0] depth 2 bytes 16 in 1
  rt.channel @y id 1 "y" f32 [4] from 0 to [-2] depth 2 bytes 16 out
  rt.storage 0 channel_in "x" {channel = 0 : i64}
  rt.storage 1 channel_out "y" {channel = 1 : i64}
  rt.storage 2 arena "t" {offset = 0 : i64, num_bytes = 64 : i64, first = 0 : i64, last = 0 : i64}
  rt.step 0 "a" kernel "k"
  rt.program {
    rt.begin
    rt.wait @x
    rt.bind
    rt.acquire @y
    rt.call "k" buffers [0, 1] symbols 0
    rt.done 0
    rt.publish @y
    rt.release @x
    rt.end
  }
}

// -----

// channel_c4: The runtime knows the element type.
rt.role @s0 role 0 of 2 stages [0] of 2 model "m" arena 64 extents affine_map<() -> ()> {
  // expected-error @below {{carries elements of type 'index'}}
  rt.channel @x id 0 "x" index [4] from -1 to [0] depth 2 bytes 16 in 0
  rt.channel @y id 1 "y" f32 [4] from 0 to [-2] depth 2 bytes 16 out
  rt.storage 0 channel_in "x" {channel = 0 : i64}
  rt.storage 1 channel_out "y" {channel = 1 : i64}
  rt.storage 2 arena "t" {offset = 0 : i64, num_bytes = 64 : i64, first = 0 : i64, last = 0 : i64}
  rt.step 0 "a" kernel "k"
  rt.program {
    rt.begin
    rt.wait @x
    rt.bind
    rt.acquire @y
    rt.call "k" buffers [0, 1] symbols 0
    rt.done 0
    rt.publish @y
    rt.release @x
    rt.end
  }
}

// -----

// storage_c1: Storage in a channel names one of its direction.
rt.role @s0 role 0 of 2 stages [0] of 2 model "m" arena 64 extents affine_map<() -> ()> {
  rt.channel @x id 0 "x" f32 [4] from -1 to [0] depth 2 bytes 16 in 0
  rt.channel @y id 1 "y" f32 [4] from 0 to [-2] depth 2 bytes 16 out
  rt.storage 0 channel_in "x" {channel = 0 : i64}
  // expected-error @below {{lies in channel 0, which the role does not send}}
  rt.storage 1 channel_out "y" {channel = 0 : i64}
  rt.storage 2 arena "t" {offset = 0 : i64, num_bytes = 64 : i64, first = 0 : i64, last = 0 : i64}
  rt.step 0 "a" kernel "k"
  rt.program {
    rt.begin
    rt.wait @x
    rt.bind
    rt.acquire @y
    rt.call "k" buffers [0, 1] symbols 0
    rt.done 0
    rt.publish @y
    rt.release @x
    rt.end
  }
}

// -----

// storage_c1: Storage in the arena names no channel.
rt.role @s0 role 0 of 2 stages [0] of 2 model "m" arena 64 extents affine_map<() -> ()> {
  rt.channel @x id 0 "x" f32 [4] from -1 to [0] depth 2 bytes 16 in 0
  rt.channel @y id 1 "y" f32 [4] from 0 to [-2] depth 2 bytes 16 out
  rt.storage 0 channel_in "x" {channel = 0 : i64}
  // expected-error @below {{gives channel 1; expected one exactly for storage in a channel}}
  rt.storage 1 constant "y" {channel = 1 : i64, value = dense<0> : tensor<1xi8>}
  rt.storage 2 arena "t" {offset = 0 : i64, num_bytes = 64 : i64, first = 0 : i64, last = 0 : i64}
  rt.step 0 "a" kernel "k"
  rt.program {
    rt.begin
    rt.wait @x
    rt.bind
    rt.acquire @y
    rt.call "k" buffers [0, 1] symbols 0
    rt.done 0
    rt.publish @y
    rt.release @x
    rt.end
  }
}

// -----

// storage_c2: A weight has a symbol.
rt.role @s0 role 0 of 2 stages [0] of 2 model "m" arena 64 extents affine_map<() -> ()> {
  rt.channel @x id 0 "x" f32 [4] from -1 to [0] depth 2 bytes 16 in 0
  rt.channel @y id 1 "y" f32 [4] from 0 to [-2] depth 2 bytes 16 out
  rt.storage 0 channel_in "x" {channel = 0 : i64}
  rt.storage 1 channel_out "y" {channel = 1 : i64}
  // expected-error @below {{expected a weight exactly for the kind 'weight'}}
  rt.storage 2 weight "w"
  rt.step 0 "a" kernel "k"
  rt.program {
    rt.begin
    rt.wait @x
    rt.bind
    rt.acquire @y
    rt.call "k" buffers [0, 1] symbols 0
    rt.done 0
    rt.publish @y
    rt.release @x
    rt.end
  }
}

// -----

// storage_c3: A constant has a value.
rt.role @s0 role 0 of 2 stages [0] of 2 model "m" arena 64 extents affine_map<() -> ()> {
  rt.channel @x id 0 "x" f32 [4] from -1 to [0] depth 2 bytes 16 in 0
  rt.channel @y id 1 "y" f32 [4] from 0 to [-2] depth 2 bytes 16 out
  rt.storage 0 channel_in "x" {channel = 0 : i64}
  rt.storage 1 channel_out "y" {channel = 1 : i64}
  // expected-error @below {{expected a value exactly for the kind 'constant'}}
  rt.storage 2 constant "c"
  rt.step 0 "a" kernel "k"
  rt.program {
    rt.begin
    rt.wait @x
    rt.bind
    rt.acquire @y
    rt.call "k" buffers [0, 1] symbols 0
    rt.done 0
    rt.publish @y
    rt.release @x
    rt.end
  }
}

// -----

// storage_c4: A state has a size.
rt.role @s0 role 0 of 2 stages [0] of 2 model "m" arena 64 extents affine_map<() -> (4)> {
  rt.channel @x id 0 "x" f32 [4] from -1 to [0] depth 2 bytes 16 in 0
  rt.channel @y id 1 "y" f32 [4] from 0 to [-2] depth 2 bytes 16 out
  rt.storage 0 channel_in "x" {channel = 0 : i64}
  rt.storage 1 channel_out "y" {channel = 1 : i64}
  // expected-error @below {{is a state of unknown size}}
  rt.storage 2 state "h" {num_bytes = -1 : i64}
  rt.step 0 "a" kernel "k"
  rt.program {
    rt.begin
    rt.wait @x
    rt.bind
    rt.acquire @y
    rt.call "k" buffers [0, 1] symbols 0
    rt.done 0
    rt.publish @y
    rt.release @x
    rt.end
  }
}

// -----

// storage_c5: A value in the arena has a lifetime.
rt.role @s0 role 0 of 2 stages [0] of 2 model "m" arena 64 extents affine_map<() -> ()> {
  rt.channel @x id 0 "x" f32 [4] from -1 to [0] depth 2 bytes 16 in 0
  rt.channel @y id 1 "y" f32 [4] from 0 to [-2] depth 2 bytes 16 out
  rt.storage 0 channel_in "x" {channel = 0 : i64}
  rt.storage 1 channel_out "y" {channel = 1 : i64}
  // expected-error @below {{is used from step 3 to 0; expected 0 <= first <= last}}
  rt.storage 2 arena "t" {offset = 0 : i64, num_bytes = 64 : i64, first = 3 : i64, last = 0 : i64}
  rt.step 0 "a" kernel "k"
  rt.program {
    rt.begin
    rt.wait @x
    rt.bind
    rt.acquire @y
    rt.call "k" buffers [0, 1] symbols 0
    rt.done 0
    rt.publish @y
    rt.release @x
    rt.end
  }
}

// -----

// step_c1: A step makes storages that exist.
rt.role @s0 role 0 of 2 stages [0] of 2 model "m" arena 64 extents affine_map<() -> ()> {
  rt.channel @x id 0 "x" f32 [4] from -1 to [0] depth 2 bytes 16 in 0
  rt.channel @y id 1 "y" f32 [4] from 0 to [-2] depth 2 bytes 16 out
  rt.storage 0 channel_in "x" {channel = 0 : i64}
  rt.storage 1 channel_out "y" {channel = 1 : i64}
  // expected-error @below {{makes storage 2; the role has 2}}
  rt.step 0 "a" kernel "k" makes [2]
  rt.program {
    rt.begin
    rt.wait @x
    rt.bind
    rt.acquire @y
    rt.call "k" buffers [0, 1] symbols 0
    rt.done 0
    rt.publish @y
    rt.release @x
    rt.end
  }
}

// -----

// step_c1: A step does not make what the role receives.
rt.role @s0 role 0 of 2 stages [0] of 2 model "m" arena 64 extents affine_map<() -> ()> {
  rt.channel @x id 0 "x" f32 [4] from -1 to [0] depth 2 bytes 16 in 0
  rt.channel @y id 1 "y" f32 [4] from 0 to [-2] depth 2 bytes 16 out
  rt.storage 0 channel_in "x" {channel = 0 : i64}
  rt.storage 1 channel_out "y" {channel = 1 : i64}
  // expected-error @below {{makes storage 0, which is a channel_in; expected one in the arena, in a channel that is sent, or a state}}
  rt.step 0 "a" kernel "k" makes [0]
  rt.program {
    rt.begin
    rt.wait @x
    rt.bind
    rt.acquire @y
    rt.call "k" buffers [0, 1] symbols 0
    rt.done 0
    rt.publish @y
    rt.release @x
    rt.end
  }
}
