// RUN: penstock-opt %s --convert-rt-to-llvm --split-input-file --verify-diagnostics

// What the linker fills in must be there: the fingerprint,
// expected-error @below {{has no fingerprint; expected the linker to have set it}}
rt.role @role_0 role 0 of 1 stages [0] of 1 model "m" arena 0 extents affine_map<() -> ()> {
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

// the hash of the weights file,
// expected-error @below {{loads weights whose file has no hash; expected the weights to have been written}}
rt.role @role_0 role 0 of 1 stages [0] of 1 model "m" arena 0 extents affine_map<() -> ()>
    attributes {weights_file = "stage-0.weights",
                fingerprint = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"} {
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

// and where each weight lies in it.
rt.role @role_0 role 0 of 1 stages [0] of 1 model "m" arena 0 extents affine_map<() -> ()>
    attributes {weights_file = "stage-0.weights", weights_hash = "00112233445566778899aabbccddeeff",
                fingerprint = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"} {
  rt.channel @x id 0 "x" f32 [4] from -1 to [0] depth 2 bytes 16 in 0
  // expected-error @below {{of weight 'w' has no offset; expected the weights to have been written}}
  rt.storage 0 weight "w" {weight = @w, num_bytes = 4 : i64}
  rt.program {
    rt.begin
    rt.wait @x
    rt.bind
    rt.release @x
    rt.end
  }
}

// -----

// A constant that would make the executable huge is refused.
rt.role @role_0 role 0 of 1 stages [0] of 1 model "m" arena 0 extents affine_map<() -> ()>
    attributes {fingerprint = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"} {
  rt.channel @x id 0 "x" f32 [4] from -1 to [0] depth 2 bytes 16 in 0
  // expected-error @below {{is a constant of 100000000 elements; expected at most 16777216 in an executable}}
  rt.storage 0 constant "c" {num_bytes = 400000000 : i64, value = dense<1.0> : tensor<100000000xf32>}
  rt.program {
    rt.begin
    rt.wait @x
    rt.bind
    rt.release @x
    rt.end
  }
}
