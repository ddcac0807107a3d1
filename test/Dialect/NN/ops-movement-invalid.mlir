// RUN: penstock-opt %s --split-input-file --verify-diagnostics

func.func @transpose_c1(%x: tensor<4x2xf32>) {
  // expected-error @below {{perm is not a permutation of the 2 axes}}
  %0 = nn.transpose %x [0, 0] : tensor<4x2xf32>
  return
}

// -----

func.func @reshape_c1(%x: tensor<4xf32>) {
  // expected-error @below {{changes the element type from 'f32' to 'i32'}}
  %0 = nn.reshape %x : tensor<4xf32> to tensor<2x2xi32>
  return
}

// -----

func.func @reshape_c2(%x: tensor<4xf32>) {
  // expected-error @below {{has 4 elements in and 5 out}}
  %0 = nn.reshape %x : tensor<4xf32> to tensor<5xf32>
  return
}

// -----

func.func @broadcast_to_c1(%x: tensor<4xf32>) {
  // expected-error @below {{input 'tensor<4xf32>' does not broadcast to 'tensor<2x3xf32>'}}
  %0 = nn.broadcast_to %x : tensor<4xf32> to tensor<2x3xf32>
  return
}

// -----

func.func @slice_c1(%x: tensor<4xf32>) {
  // expected-error @below {{expected one start and one non-zero step for each of the 1 axes}}
  %0 = nn.slice %x from <[2]> step [0] : tensor<4xf32> to tensor<1xf32>
  return
}

// -----

func.func @slice_c2(%x: tensor<4xf32>) {
  // expected-error @below {{reads elements 2 to 4 of axis 0, which has 4}}
  %0 = nn.slice %x from <[2]> step [1] : tensor<4xf32> to tensor<3xf32>
  return
}

// -----

func.func @concat_c1(%x: tensor<4x2xf32>, %y: tensor<4xf32>) {
  // expected-error @below {{inputs have types 'tensor<4x2xf32>' and 'tensor<4xf32>'; expected one element type and number of axes}}
  %0 = nn.concat %x, %y axis 0 : tensor<4x2xf32>, tensor<4xf32>
  return
}

// -----

func.func @concat_c2(%x: tensor<4x2xf32>, %y: tensor<3x2xf32>) {
  // expected-error @below {{which differ on axis 0 besides axis 1}}
  %0 = nn.concat %x, %y axis 1 : tensor<4x2xf32>, tensor<3x2xf32>
  return
}

// -----

func.func @pad_c1(%x: tensor<4x2xf32>) {
  // expected-error @below {{has 1 low and 2 high pads for 2 axes}}
  %0 = nn.pad constant %x : tensor<4x2xf32> low <[1]> high <[0, 0]>
  return
}

// -----

func.func @pad_c2(%x: tensor<4x2xf32>, %v: tensor<1xf32>) {
  // expected-error @below {{value has type 'tensor<1xf32>'; expected a scalar of 'f32'}}
  %0 = nn.pad constant %x : tensor<4x2xf32> low <[1, 0]> high <[0, 0]> value %v : tensor<1xf32>
  return
}

// -----

func.func @gather_c1(%x: tensor<4x2xf32>, %i: tensor<3xi16>) {
  // expected-error @below {{indices have element type 'i16'; expected i32 or i64}}
  %0 = nn.gather %x, %i axis 0 : tensor<4x2xf32>, tensor<3xi16>
  return
}

// -----

func.func @gather_c2(%x: tensor<4x2xf32>, %i: tensor<3xi64>) {
  // expected-error @below {{axis is 2; expected one of the 2 axes of 'tensor<4x2xf32>'}}
  %0 = nn.gather %x, %i axis 2 : tensor<4x2xf32>, tensor<3xi64>
  return
}

// -----

func.func @gather_nd_c1(%x: tensor<4x2xf32>, %i: tensor<3x3xi64>) {
  // expected-error @below {{indices 3x3 do not address input 4x2 with 0 batch axes}}
  %0 = nn.gather_nd %x, %i batch_dims 0 : tensor<4x2xf32>, tensor<3x3xi64>
  return
}

// -----

func.func @resize_c1(%x: tensor<4x2xf32>) {
  // expected-error @below {{and 1 scales do not fit together}}
  %0 = nn.resize linear half_pixel floor %x scales [2.0] {cubic_coeff = -0.75 : f64, extrapolation = 0.0 : f64} : tensor<4x2xf32> to tensor<8x2xf32>
  return
}

// -----

func.func @iota_c1() {
  // expected-error @below {{axis is 1; expected one of the 1 axes}}
  %0 = nn.iota axis 1 start 0 : i64 step 1 : i64 : tensor<4xi64>
  return
}

// -----

func.func @iota_c2() {
  // expected-error @below {{start and step must have the element type 'i64'}}
  %0 = nn.iota axis 0 start 0 : i32 step 1 : i64 : tensor<4xi64>
  return
}
