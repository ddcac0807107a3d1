// RUN: penstock-opt %s --split-input-file --verify-diagnostics

// program_c8: A message is not released before it is uploaded.
rt.role @s0 role 0 of 2 stages [0] of 2 model "m" arena 64 extents affine_map<() -> ()> attributes {device = "cuda"} {
  rt.channel @x id 0 "x" f32 [4] from -1 to [0] depth 2 bytes 16 in 0
  rt.channel @y id 1 "y" f32 [4] from 0 to [-2] depth 2 bytes 16 out
  rt.storage 0 channel_in "x" {channel = 0 : i64}
  rt.storage 1 channel_out "y" {channel = 1 : i64}
  rt.program {
    rt.begin
    rt.wait @x
    rt.bind
    rt.acquire @y
    rt.download @y
    rt.publish @y
    // expected-error @below {{on channel 'x' is out of order; expected once each: wait, upload, release of a received channel, acquire, download, publish of a sent one}}
    rt.release @x
    rt.end
  }
}

// -----

// program_c8: A call does not use what is still on the host.
rt.role @s0 role 0 of 2 stages [0] of 2 model "m" arena 64 extents affine_map<() -> ()> attributes {device = "cuda"} {
  rt.channel @x id 0 "x" f32 [4] from -1 to [0] depth 2 bytes 16 in 0
  rt.channel @y id 1 "y" f32 [4] from 0 to [-2] depth 2 bytes 16 out
  rt.storage 0 channel_in "x" {channel = 0 : i64}
  rt.storage 1 channel_out "y" {channel = 1 : i64}
  rt.step 0 "a" kernel "k"
  rt.program {
    rt.begin
    rt.wait @x
    rt.bind
    rt.acquire @y
    // expected-error @below {{uses a message of channel 'x' that is not uploaded}}
    rt.call "k" buffers [0, 1] symbols 0
    rt.done 0
    rt.upload @x
    rt.download @y
    rt.publish @y
    rt.release @x
    rt.end
  }
}

// -----

// program_c8: A message is uploaded after its wait.
rt.role @s0 role 0 of 2 stages [0] of 2 model "m" arena 64 extents affine_map<() -> ()> attributes {device = "cuda"} {
  rt.channel @x id 0 "x" f32 [4] from -1 to [0] depth 2 bytes 16 in 0
  rt.channel @y id 1 "y" f32 [4] from 0 to [-2] depth 2 bytes 16 out
  rt.storage 0 channel_in "x" {channel = 0 : i64}
  rt.storage 1 channel_out "y" {channel = 1 : i64}
  rt.step 0 "a" kernel "k"
  rt.program {
    rt.begin
    // expected-error @below {{on channel 'x' is out of order; expected once each: wait, upload, release of a received channel, acquire, download, publish of a sent one}}
    rt.upload @x
    rt.wait @x
    rt.bind
    rt.acquire @y
    rt.call "k" buffers [0, 1] symbols 0
    rt.done 0
    rt.download @y
    rt.publish @y
    rt.release @x
    rt.end
  }
}

// -----

// program_c8: A message is uploaded once.
rt.role @s0 role 0 of 2 stages [0] of 2 model "m" arena 64 extents affine_map<() -> ()> attributes {device = "cuda"} {
  rt.channel @x id 0 "x" f32 [4] from -1 to [0] depth 2 bytes 16 in 0
  rt.channel @y id 1 "y" f32 [4] from 0 to [-2] depth 2 bytes 16 out
  rt.storage 0 channel_in "x" {channel = 0 : i64}
  rt.storage 1 channel_out "y" {channel = 1 : i64}
  rt.step 0 "a" kernel "k"
  rt.program {
    rt.begin
    rt.wait @x
    rt.upload @x
    // expected-error @below {{on channel 'x' is out of order; expected once each: wait, upload, release of a received channel, acquire, download, publish of a sent one}}
    rt.upload @x {again}
    rt.bind
    rt.acquire @y
    rt.call "k" buffers [0, 1] symbols 0
    rt.done 0
    rt.download @y
    rt.publish @y
    rt.release @x
    rt.end
  }
}

// -----

// program_c8: A result is not published before it is downloaded.
rt.role @s0 role 0 of 2 stages [0] of 2 model "m" arena 64 extents affine_map<() -> ()> attributes {device = "cuda"} {
  rt.channel @x id 0 "x" f32 [4] from -1 to [0] depth 2 bytes 16 in 0
  rt.channel @y id 1 "y" f32 [4] from 0 to [-2] depth 2 bytes 16 out
  rt.storage 0 channel_in "x" {channel = 0 : i64}
  rt.storage 1 channel_out "y" {channel = 1 : i64}
  rt.step 0 "a" kernel "k"
  rt.program {
    rt.begin
    rt.wait @x
    rt.upload @x
    rt.bind
    rt.acquire @y
    rt.call "k" buffers [0, 1] symbols 0
    rt.done 0
    // expected-error @below {{on channel 'y' is out of order; expected once each: wait, upload, release of a received channel, acquire, download, publish of a sent one}}
    rt.publish @y
    rt.release @x
    rt.end
  }
}

// -----

// program_c8: A slot is downloaded after its acquire.
rt.role @s0 role 0 of 2 stages [0] of 2 model "m" arena 64 extents affine_map<() -> ()> attributes {device = "cuda"} {
  rt.channel @x id 0 "x" f32 [4] from -1 to [0] depth 2 bytes 16 in 0
  rt.channel @y id 1 "y" f32 [4] from 0 to [-2] depth 2 bytes 16 out
  rt.storage 0 channel_in "x" {channel = 0 : i64}
  rt.storage 1 channel_out "y" {channel = 1 : i64}
  rt.step 0 "a" kernel "k"
  rt.program {
    rt.begin
    rt.wait @x
    rt.upload @x
    rt.bind
    // expected-error @below {{on channel 'y' is out of order; expected once each: wait, upload, release of a received channel, acquire, download, publish of a sent one}}
    rt.download @y
    rt.acquire @y
    rt.call "k" buffers [0, 1] symbols 0
    rt.done 0
    rt.publish @y
    rt.release @x
    rt.end
  }
}

// -----

// program_c8: On the host nothing is copied.
rt.role @s0 role 0 of 2 stages [0] of 2 model "m" arena 64 extents affine_map<() -> ()> {
  rt.channel @x id 0 "x" f32 [4] from -1 to [0] depth 2 bytes 16 in 0
  rt.channel @y id 1 "y" f32 [4] from 0 to [-2] depth 2 bytes 16 out
  rt.storage 0 channel_in "x" {channel = 0 : i64}
  rt.storage 1 channel_out "y" {channel = 1 : i64}
  rt.step 0 "a" kernel "k"
  rt.program {
    rt.begin
    rt.wait @x
    // expected-error @below {{on channel 'x' has nothing to copy; expected a channel of the host, in a role on a device}}
    rt.upload @x
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

// program_c8: What comes from a device is there.
rt.role @s0 role 0 of 2 stages [0] of 2 model "m" arena 64 extents affine_map<() -> ()> attributes {device = "cuda"} {
  rt.channel @x id 0 "x" f32 [4] from -1 to [0] depth 2 bytes 16 in 0 {carrier = "nccl"}
  rt.channel @y id 1 "y" f32 [4] from 0 to [-2] depth 2 bytes 16 out
  rt.storage 0 channel_in "x" {channel = 0 : i64}
  rt.storage 1 channel_out "y" {channel = 1 : i64}
  rt.step 0 "a" kernel "k"
  rt.program {
    rt.begin
    rt.wait @x
    // expected-error @below {{on channel 'x' has nothing to copy; expected a channel of the host, in a role on a device}}
    rt.upload @x
    rt.bind
    rt.acquire @y
    rt.call "k" buffers [0, 1] symbols 0
    rt.done 0
    rt.download @y
    rt.publish @y
    rt.release @x
    rt.end
  }
}

// -----

// program_c8: What goes to a device stays there.
rt.role @s0 role 0 of 2 stages [0] of 2 model "m" arena 64 extents affine_map<() -> ()> attributes {device = "cuda"} {
  rt.channel @x id 0 "x" f32 [4] from -1 to [0] depth 2 bytes 16 in 0
  rt.channel @y id 1 "y" f32 [4] from 0 to [-2] depth 2 bytes 16 out {carrier = "nccl"}
  rt.storage 0 channel_in "x" {channel = 0 : i64}
  rt.storage 1 channel_out "y" {channel = 1 : i64}
  rt.step 0 "a" kernel "k"
  rt.program {
    rt.begin
    rt.wait @x
    rt.upload @x
    rt.bind
    rt.acquire @y
    rt.call "k" buffers [0, 1] symbols 0
    rt.done 0
    // expected-error @below {{on channel 'y' has nothing to copy; expected a channel of the host, in a role on a device}}
    rt.download @y
    rt.publish @y
    rt.release @x
    rt.end
  }
}

// -----

// call: Only channels of the role are copied.
rt.role @s0 role 0 of 2 stages [0] of 2 model "m" arena 64 extents affine_map<() -> ()> attributes {device = "cuda"} {
  rt.channel @x id 0 "x" f32 [4] from -1 to [0] depth 2 bytes 16 in 0
  rt.channel @y id 1 "y" f32 [4] from 0 to [-2] depth 2 bytes 16 out
  rt.storage 0 channel_in "x" {channel = 0 : i64}
  rt.storage 1 channel_out "y" {channel = 1 : i64}
  rt.step 0 "a" kernel "k"
  rt.program {
    rt.begin
    rt.wait @x
    // expected-error @below {{names 'z', which is no channel of the role}}
    rt.upload @z
    rt.bind
    rt.acquire @y
    rt.call "k" buffers [0, 1] symbols 0
    rt.done 0
    rt.download @y
    rt.publish @y
    rt.release @x
    rt.end
  }
}

// -----

// call: Nor are others downloaded.
rt.role @s0 role 0 of 2 stages [0] of 2 model "m" arena 64 extents affine_map<() -> ()> attributes {device = "cuda"} {
  rt.channel @x id 0 "x" f32 [4] from -1 to [0] depth 2 bytes 16 in 0
  rt.channel @y id 1 "y" f32 [4] from 0 to [-2] depth 2 bytes 16 out
  rt.storage 0 channel_in "x" {channel = 0 : i64}
  rt.storage 1 channel_out "y" {channel = 1 : i64}
  rt.step 0 "a" kernel "k"
  rt.program {
    rt.begin
    rt.wait @x
    rt.upload @x
    rt.bind
    rt.acquire @y
    rt.call "k" buffers [0, 1] symbols 0
    rt.done 0
    // expected-error @below {{names 'z', which is no channel of the role}}
    rt.download @z
    rt.publish @y
    rt.release @x
    rt.end
  }
}
