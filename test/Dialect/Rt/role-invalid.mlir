// RUN: penstock-opt %s --split-input-file --verify-diagnostics

// role_c1: The role's number is below the number of roles.
// expected-error @below {{is role 2 of 2}}
rt.role @s0 role 2 of 2 stages [0] of 2 model "m" arena 64 extents affine_map<() -> ()> {
  rt.channel @x id 0 "x" f32 [4] from -1 to [0] depth 2 bytes 16 in 0
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

// role_c1: A stage is run once.
// expected-error @below {{runs stage 0; expected distinct stages below 2}}
rt.role @s0 role 0 of 2 stages [0, 0] of 2 model "m" arena 64 extents affine_map<() -> ()> {
  rt.channel @x id 0 "x" f32 [4] from -1 to [0] depth 2 bytes 16 in 0
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

// role_c2: Tables come in order.
rt.role @s0 role 0 of 2 stages [0] of 2 model "m" arena 64 extents affine_map<() -> ()> {
  rt.channel @x id 0 "x" f32 [4] from -1 to [0] depth 2 bytes 16 in 0
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
  // expected-error @below {{stands in the wrong place of a role}}
  rt.symbol "late"
}

// -----

// role_c3: Extents are over the role's symbols.
// expected-error @below {{has extents over 0 dimensions and 1 symbols; expected 0 and 0}}
rt.role @s0 role 0 of 2 stages [0] of 2 model "m" arena 64 extents affine_map<()[s0] -> (s0)> {
  rt.channel @x id 0 "x" f32 [4] from -1 to [0] depth 2 bytes 16 in 0
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

// role_c4: Storages are numbered.
rt.role @s0 role 0 of 2 stages [0] of 2 model "m" arena 64 extents affine_map<() -> ()> {
  rt.channel @x id 0 "x" f32 [4] from -1 to [0] depth 2 bytes 16 in 0
  rt.channel @y id 1 "y" f32 [4] from 0 to [-2] depth 2 bytes 16 out
  rt.storage 0 channel_in "x" {channel = 0 : i64}
  rt.storage 1 channel_out "y" {channel = 1 : i64}
  // expected-error @below {{is number 7; expected 2}}
  rt.storage 7 arena "t" {offset = 0 : i64, num_bytes = 64 : i64, first = 0 : i64, last = 0 : i64}
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

// role_c4: Steps are numbered.
rt.role @s0 role 0 of 2 stages [0] of 2 model "m" arena 64 extents affine_map<() -> ()> {
  rt.channel @x id 0 "x" f32 [4] from -1 to [0] depth 2 bytes 16 in 0
  rt.channel @y id 1 "y" f32 [4] from 0 to [-2] depth 2 bytes 16 out
  rt.storage 0 channel_in "x" {channel = 0 : i64}
  rt.storage 1 channel_out "y" {channel = 1 : i64}
  rt.storage 2 arena "t" {offset = 0 : i64, num_bytes = 64 : i64, first = 0 : i64, last = 0 : i64}
  // expected-error @below {{is number 1; expected 0}}
  rt.step 1 "a" kernel "k"
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

// role_c5: A role receives something, or it would never begin.
// expected-error @below {{receives no channel; expected at least one}}
rt.role @s0 role 0 of 2 stages [0] of 2 model "m" arena 64 extents affine_map<() -> ()> {
  rt.channel @x id 0 "x" f32 [4] from -1 to [0] depth 2 bytes 16 out
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

// role_c6: An arena has a size.
// expected-error @below {{has an arena of -2 bytes}}
rt.role @s0 role 0 of 2 stages [0] of 2 model "m" arena -2 extents affine_map<() -> ()> {
  rt.channel @x id 0 "x" f32 [4] from -1 to [0] depth 2 bytes 16 in 0
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

// role_c6: A kernel has a thread.
// expected-error @below {{has 0 threads; expected at least 1}}
rt.role @s0 role 0 of 2 stages [0] of 2 model "m" arena 64 extents affine_map<() -> ()> attributes {num_threads = 0 : i64} {
  rt.channel @x id 0 "x" f32 [4] from -1 to [0] depth 2 bytes 16 in 0
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

// role_c7: Offsets are given where the arena has a size.
rt.role @s0 role 0 of 2 stages [0] of 2 model "m" arena 64 extents affine_map<() -> ()> {
  rt.channel @x id 0 "x" f32 [4] from -1 to [0] depth 2 bytes 16 in 0
  rt.channel @y id 1 "y" f32 [4] from 0 to [-2] depth 2 bytes 16 out
  rt.storage 0 channel_in "x" {channel = 0 : i64}
  rt.storage 1 channel_out "y" {channel = 1 : i64}
  // expected-error @below {{has the offset -1 in an arena of 64 bytes}}
  rt.storage 2 arena "t" {num_bytes = 64 : i64, first = 0 : i64, last = 0 : i64}
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

// role_c7: Values lie inside the arena.
rt.role @s0 role 0 of 2 stages [0] of 2 model "m" arena 64 extents affine_map<() -> ()> {
  rt.channel @x id 0 "x" f32 [4] from -1 to [0] depth 2 bytes 16 in 0
  rt.channel @y id 1 "y" f32 [4] from 0 to [-2] depth 2 bytes 16 out
  rt.storage 0 channel_in "x" {channel = 0 : i64}
  rt.storage 1 channel_out "y" {channel = 1 : i64}
  // expected-error @below {{lies at 64 with 64 bytes; expected it inside the arena of 64}}
  rt.storage 2 arena "t" {offset = 64 : i64, num_bytes = 64 : i64, first = 0 : i64, last = 0 : i64}
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

// role_c9: There are devices of one kind.
// expected-error @below {{runs on device 'tpu'; expected 'cuda', or none}}
rt.role @s0 role 0 of 2 stages [0] of 2 model "m" arena 64 extents affine_map<() -> ()> attributes {device = "tpu"} {
  rt.channel @x id 0 "x" f32 [4] from -1 to [0] depth 2 bytes 16 in 0
  rt.program {
    rt.begin
    rt.wait @x
    rt.bind
    rt.release @x
    rt.end
  }
}

// -----

// role_c8: Lines of an identity have an end.
// expected-error @below {{has an identity that ends within a line}}
rt.role @s0 role 0 of 2 stages [0] of 2 model "m" arena 64 extents affine_map<() -> ()> attributes {identity = "cut a"} {
  rt.channel @x id 0 "x" f32 [4] from -1 to [0] depth 2 bytes 16 in 0
  rt.program {
    rt.begin
    rt.wait @x
    rt.bind
    rt.release @x
    rt.end
  }
}

// -----

// role_c8: A fingerprint is hexadecimal.
// expected-error @below {{has the fingerprint 'xyz'; expected 64 hexadecimal digits}}
rt.role @s0 role 0 of 2 stages [0] of 2 model "m" arena 64 extents affine_map<() -> ()> attributes {fingerprint = "xyz"} {
  rt.channel @x id 0 "x" f32 [4] from -1 to [0] depth 2 bytes 16 in 0
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

// derived_symbol_c1: A derived symbol comes from earlier ones.
rt.role @s0 role 0 of 2 stages [0] of 2 model "m" arena 64 extents affine_map<()[s0] -> (s0)> {
  // expected-error @below {{expected results over at most 0 earlier symbols}}
  rt.derived_symbol "d" min affine_map<()[s0] -> (s0, 4)>
  rt.channel @x id 0 "x" f32 [4] from -1 to [0] depth 2 bytes 16 in 0
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
