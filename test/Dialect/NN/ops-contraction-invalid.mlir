// RUN: penstock-opt %s --split-input-file --verify-diagnostics

func.func @matmul_c1(%x: tensor<4xf32>, %y: tensor<4x5xf32>) {
  // expected-error @below {{operands have 1 and 2 axes; expected at least two}}
  %0 = nn.matmul %x, %y : tensor<4xf32>, tensor<4x5xf32>
  return
}

// -----

func.func @matmul_c2(%x: tensor<4x4xf32>, %y: tensor<4x5xf16>) {
  // expected-error @below {{operands have element types 'f32' and 'f16'; expected the same}}
  %0 = nn.matmul %x, %y : tensor<4x4xf32>, tensor<4x5xf16>
  return
}

// -----

func.func @matmul_c3(%x: tensor<4x5xf32>) {
  // expected-error @below {{contracted extents are 5 and 4; expected the same}}
  %0 = nn.matmul %x, %x : tensor<4x5xf32>, tensor<4x5xf32>
  return
}

// -----

// What is contracted is looked at after the transposes.
func.func @matmul_c3_transposed(%x: tensor<4x5xf32>, %y: tensor<5x4xf32>) {
  // expected-error @below {{contracted extents are 4 and 5; expected the same}}
  %0 = nn.matmul %x, %y {transpose_lhs} : tensor<4x5xf32>, tensor<5x4xf32>
  return
}

// -----

func.func @matmul_c4(%x: tensor<2x4x4xf32>, %y: tensor<3x4x4xf32>) {
  // expected-error @below {{leading axes of shapes 2x4x4 and 3x4x4 do not broadcast}}
  %0 = nn.matmul %x, %y : tensor<2x4x4xf32>, tensor<3x4x4xf32>
  return
}

// -----

func.func @conv_c1(%x: tensor<1x3x8x8xf32>, %w: tensor<4x3x3xf32>) {
  // expected-error @below {{input has 4 axes and filter 3; expected the same number, at least three}}
  %0 = nn.conv %x, %w {dilations = array<i64: 1, 1>, group = 1 : i64, pads = array<i64: 0, 0, 0, 0>, strides = array<i64: 1, 1>} : tensor<1x3x8x8xf32>, tensor<4x3x3xf32>
  return
}

// -----

func.func @conv_c2_number(%x: tensor<1x3x8x8xf32>, %w: tensor<4x3x3x3xf32>) {
  // expected-error @below {{has 1 strides, 2 dilations and 4 pads for 2 spatial axes}}
  %0 = nn.conv %x, %w {dilations = array<i64: 1, 1>, group = 1 : i64, pads = array<i64: 0, 0, 0, 0>, strides = array<i64: 1>} : tensor<1x3x8x8xf32>, tensor<4x3x3x3xf32>
  return
}

// -----

func.func @conv_c2(%x: tensor<1x3x8x8xf32>, %w: tensor<4x3x3x3xf32>) {
  // expected-error @below {{strides and dilations must be positive}}
  %0 = nn.conv %x, %w {dilations = array<i64: 1, 1>, group = 1 : i64, pads = array<i64: 0, 0, 0, 0>, strides = array<i64: 1, 0>} : tensor<1x3x8x8xf32>, tensor<4x3x3x3xf32>
  return
}

// -----

func.func @conv_c3(%x: tensor<1x3x8x8xf32>, %w: tensor<4x2x3x3xf32>) {
  // expected-error @below {{input 1x3x8x8, filter 4x2x3x3 and group 1 do not fit together}}
  %0 = nn.conv %x, %w {dilations = array<i64: 1, 1>, group = 1 : i64, pads = array<i64: 0, 0, 0, 0>, strides = array<i64: 1, 1>} : tensor<1x3x8x8xf32>, tensor<4x2x3x3xf32>
  return
}

// -----

func.func @conv_c4(%x: tensor<1x3x8x8xf32>, %w: tensor<4x3x3x3xf32>, %b: tensor<3xf32>) {
  // expected-error @below {{bias has shape 3; expected 4 elements}}
  %0 = nn.conv %x, %w bias %b : tensor<3xf32> {dilations = array<i64: 1, 1>, group = 1 : i64, pads = array<i64: 0, 0, 0, 0>, strides = array<i64: 1, 1>} : tensor<1x3x8x8xf32>, tensor<4x3x3x3xf32>
  return
}

// -----

// The channels are the last axis.
func.func @conv_c3_channels_last(%x: tensor<1x3x8x8xf32>, %w: tensor<4x3x3x3xf32>) {
  // expected-error @below {{input 1x3x8x8, filter 4x3x3x3 and group 1 do not fit together}}
  %0 = nn.conv %x, %w {channels_last, dilations = array<i64: 1, 1>, group = 1 : i64, pads = array<i64: 0, 0, 0, 0>, strides = array<i64: 1, 1>} : tensor<1x3x8x8xf32>, tensor<4x3x3x3xf32>
  return
}

// -----

func.func @conv_c5(%x: tensor<1x3x2x2xf32>, %w: tensor<4x3x3x3xf32>) {
  // expected-error @below {{kernel does not fit into the padded input on spatial axis 0}}
  %0 = nn.conv %x, %w {dilations = array<i64: 1, 1>, group = 1 : i64, pads = array<i64: 0, 0, 0, 0>, strides = array<i64: 1, 1>} : tensor<1x3x2x2xf32>, tensor<4x3x3x3xf32>
  return
}

// -----

func.func @pool_c1(%x: tensor<1x3x8x8xf32>) {
  // expected-error @below {{kernel must have one positive extent per spatial axis}}
  %0 = nn.pool max %x {dilations = array<i64: 1, 1>, kernel = array<i64: 2, 0>, pads = array<i64: 0, 0, 0, 0>, strides = array<i64: 1, 1>} : tensor<1x3x8x8xf32>
  return
}
