// RUN: penstock-opt %s --split-input-file --verify-diagnostics

// program_c1: A program begins with rt.begin.
rt.role @s0 role 0 of 2 stages [0] of 2 model "m" arena 64 extents affine_map<() -> ()> {
  rt.channel @x id 0 "x" f32 [4] from -1 to [0] depth 2 bytes 16 in 0
  rt.channel @y id 1 "y" f32 [4] from 0 to [-2] depth 2 bytes 16 out
  rt.storage 0 channel_in "x" {channel = 0 : i64}
  rt.storage 1 channel_out "y" {channel = 1 : i64}
  rt.storage 2 arena "t" {offset = 0 : i64, num_bytes = 64 : i64, first = 0 : i64, last = 0 : i64}
  rt.step 0 "a" kernel "k"
  // expected-error @below {{expected to begin with rt.begin and to end with rt.end}}
  rt.program {
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

// program_c1: There is one rt.begin.
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
    // expected-error @below {{expected at the begin of the program only}}
    rt.begin {again}
    rt.acquire @y
    rt.call "k" buffers [0, 1] symbols 0
    rt.done 0
    rt.publish @y
    rt.release @x
    rt.end
  }
}

// -----

// program_c2: What is waited for is released.
rt.role @s0 role 0 of 2 stages [0] of 2 model "m" arena 64 extents affine_map<() -> ()> {
  rt.channel @x id 0 "x" f32 [4] from -1 to [0] depth 2 bytes 16 in 0
  rt.channel @y id 1 "y" f32 [4] from 0 to [-2] depth 2 bytes 16 out
  rt.storage 0 channel_in "x" {channel = 0 : i64}
  rt.storage 1 channel_out "y" {channel = 1 : i64}
  rt.storage 2 arena "t" {offset = 0 : i64, num_bytes = 64 : i64, first = 0 : i64, last = 0 : i64}
  rt.step 0 "a" kernel "k"
  // expected-error @below {{does not wait for and release channel 'x'}}
  rt.program {
    rt.begin
    rt.wait @x
    rt.bind
    rt.acquire @y
    rt.call "k" buffers [0, 1] symbols 0
    rt.done 0
    rt.publish @y
    rt.end
  }
}

// -----

// program_c2: A slot is released after its wait.
rt.role @s0 role 0 of 2 stages [0] of 2 model "m" arena 64 extents affine_map<() -> ()> {
  rt.channel @x id 0 "x" f32 [4] from -1 to [0] depth 2 bytes 16 in 0
  rt.channel @y id 1 "y" f32 [4] from 0 to [-2] depth 2 bytes 16 out
  rt.storage 0 channel_in "x" {channel = 0 : i64}
  rt.storage 1 channel_out "y" {channel = 1 : i64}
  rt.storage 2 arena "t" {offset = 0 : i64, num_bytes = 64 : i64, first = 0 : i64, last = 0 : i64}
  rt.step 0 "a" kernel "k"
  rt.program {
    rt.begin
    // expected-error @below {{on channel 'x' is out of order}}
    rt.release @x
    rt.wait @x
    rt.bind
    rt.acquire @y
    rt.call "k" buffers [0, 1] symbols 0
    rt.done 0
    rt.publish @y
    rt.end
  }
}

// -----

// program_c3: A slot is published once.
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
    // expected-error @below {{on channel 'y' is out of order}}
    rt.publish @y {again}
    rt.release @x
    rt.end
  }
}

// -----

// program_c4: Symbols are bound before slots are acquired.
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
    // expected-error @below {{comes before rt.bind}}
    rt.acquire @y
    rt.bind
    rt.call "k" buffers [0, 1] symbols 0
    rt.done 0
    rt.publish @y
    rt.release @x
    rt.end
  }
}

// -----

// program_c4: Symbols come from a message.
rt.role @s0 role 0 of 2 stages [0] of 2 model "m" arena 64 extents affine_map<() -> ()> {
  rt.channel @x id 0 "x" f32 [4] from -1 to [0] depth 2 bytes 16 in 0
  rt.channel @y id 1 "y" f32 [4] from 0 to [-2] depth 2 bytes 16 out
  rt.storage 0 channel_in "x" {channel = 0 : i64}
  rt.storage 1 channel_out "y" {channel = 1 : i64}
  rt.storage 2 arena "t" {offset = 0 : i64, num_bytes = 64 : i64, first = 0 : i64, last = 0 : i64}
  rt.step 0 "a" kernel "k"
  rt.program {
    rt.begin
    // expected-error @below {{expected once, after the first wait}}
    rt.bind
    rt.wait @x
    rt.acquire @y
    rt.call "k" buffers [0, 1] symbols 0
    rt.done 0
    rt.publish @y
    rt.release @x
    rt.end
  }
}

// -----

// program_c5: A released slot is not used.
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
    rt.release @x
    // expected-error @below {{uses a slot of channel 'x' outside of the time in which it is held}}
    rt.call "k" buffers [0, 1] symbols 0
    rt.done 0
    rt.publish @y
    rt.end
  }
}

// -----

// program_c5: Buffers are storages of the role.
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
    // expected-error @below {{uses storage 3; the role has 3}}
    rt.call "k" buffers [0, 3] symbols 0
    rt.done 0
    rt.publish @y
    rt.release @x
    rt.end
  }
}

// -----

// program_c6: Each call is completed.
rt.role @s0 role 0 of 2 stages [0] of 2 model "m" arena 64 extents affine_map<() -> ()> {
  rt.channel @x id 0 "x" f32 [4] from -1 to [0] depth 2 bytes 16 in 0
  rt.channel @y id 1 "y" f32 [4] from 0 to [-2] depth 2 bytes 16 out
  rt.storage 0 channel_in "x" {channel = 0 : i64}
  rt.storage 1 channel_out "y" {channel = 1 : i64}
  rt.storage 2 arena "t" {offset = 0 : i64, num_bytes = 64 : i64, first = 0 : i64, last = 0 : i64}
  rt.step 0 "a" kernel "k"
  // expected-error @below {{completes 0 steps; expected 1}}
  rt.program {
    rt.begin
    rt.wait @x
    rt.bind
    rt.acquire @y
    rt.call "k" buffers [0, 1] symbols 0
    rt.publish @y
    rt.release @x
    rt.end
  }
}

// -----

// program_c6: Steps are completed in order.
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
    // expected-error @below {{completes step 1; expected 0 after its call}}
    rt.done 1
    rt.publish @y
    rt.release @x
    rt.end
  }
}

// -----

// call: Only channels of the role are called for.
rt.role @s0 role 0 of 2 stages [0] of 2 model "m" arena 64 extents affine_map<() -> ()> {
  rt.channel @x id 0 "x" f32 [4] from -1 to [0] depth 2 bytes 16 in 0
  rt.channel @y id 1 "y" f32 [4] from 0 to [-2] depth 2 bytes 16 out
  rt.storage 0 channel_in "x" {channel = 0 : i64}
  rt.storage 1 channel_out "y" {channel = 1 : i64}
  rt.storage 2 arena "t" {offset = 0 : i64, num_bytes = 64 : i64, first = 0 : i64, last = 0 : i64}
  rt.step 0 "a" kernel "k"
  rt.program {
    rt.begin
    // expected-error @below {{names 'z', which is no channel of the role}}
    rt.wait @z
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

// program_c7: Only a data symbol is set.
rt.role @s0 role 0 of 1 stages [0] of 1 model "m" arena 64 extents affine_map<()[s0] -> (s0)> {
  rt.symbol "batch"
  rt.channel @x id 0 "x" f32 [4] from -1 to [0] depth 2 bytes 16 in 0
  rt.channel @y id 1 "y" f32 [4] from 0 to [-2] depth 2 bytes 16 out
  rt.storage 0 channel_in "x" {channel = 0 : i64}
  rt.storage 1 channel_out "y" {channel = 1 : i64}
  rt.step 0 "a" kernel "k"
  rt.program {
    rt.begin
    rt.wait @x
    rt.bind
    // expected-error @below {{sets 'batch', which is no data symbol of the role}}
    rt.set_symbol "batch" storage 0 lower 0 from "node"
    rt.acquire @y
    rt.call "k" buffers [0, 1] symbols 0
    rt.done 0
    rt.publish @y
    rt.release @x
    rt.end
  }
}
