// RUN: penstock-opt %s --split-input-file --verify-diagnostics

func.func @unary_c1(%x: tensor<4xi32>) {
  // expected-error @below {{tanh of 'i32'; expected a floating-point type}}
  %0 = nn.unary tanh %x : tensor<4xi32>
  return
}

// -----

func.func @binary_c1(%x: tensor<4xi32>, %y: tensor<4xf32>) {
  // expected-error @below {{operands have element types 'i32' and 'f32'; expected the same}}
  %0 = nn.binary add %x, %y : tensor<4xi32>, tensor<4xf32>
  return
}

// -----

func.func @binary_c2(%x: tensor<4xf32>, %y: tensor<3xf32>) {
  // expected-error @below {{shapes 4 and 3 do not broadcast}}
  %0 = nn.binary add %x, %y : tensor<4xf32>, tensor<3xf32>
  return
}

// -----

func.func @binary_c3(%x: tensor<4xf32>) {
  // expected-error @below {{logical_and of 'f32'; expected i1}}
  %0 = nn.binary logical_and %x, %x : tensor<4xf32>, tensor<4xf32>
  return
}

// -----

func.func @matmul_c3(%x: tensor<4x5xf32>) {
  // expected-error @below {{contracted extents are 5 and 4; expected the same}}
  %0 = nn.matmul %x, %x : tensor<4x5xf32>, tensor<4x5xf32>
  return
}

// -----

func.func @conv_c3(%x: tensor<1x3x8x8xf32>, %w: tensor<4x2x3x3xf32>) {
  // expected-error @below {{input 1x3x8x8, filter 4x2x3x3 and group 1 do not fit together}}
  %0 = nn.conv %x, %w {dilations = array<i64: 1, 1>, group = 1 : i64, pads = array<i64: 0, 0, 0, 0>, strides = array<i64: 1, 1>} : tensor<1x3x8x8xf32>, tensor<4x2x3x3xf32>
  return
}

// -----

func.func @conv_c5(%x: tensor<1x3x2x2xf32>, %w: tensor<4x3x3x3xf32>) {
  // expected-error @below {{kernel does not fit into the padded input on spatial axis 0}}
  %0 = nn.conv %x, %w {dilations = array<i64: 1, 1>, group = 1 : i64, pads = array<i64: 0, 0, 0, 0>, strides = array<i64: 1, 1>} : tensor<1x3x2x2xf32>, tensor<4x3x3x3xf32>
  return
}

// -----

func.func @reshape_c2(%x: tensor<4xf32>) {
  // expected-error @below {{has 4 elements in and 5 out}}
  %0 = nn.reshape %x : tensor<4xf32> to tensor<5xf32>
  return
}

// -----

func.func @slice_c2(%x: tensor<4xf32>) {
  // expected-error @below {{reads elements 2 to 4 of axis 0, which has 4}}
  %0 = nn.slice %x from <[2]> step [1] : tensor<4xf32> to tensor<3xf32>
  return
}

// -----

func.func @concat_c2(%x: tensor<4x2xf32>, %y: tensor<3x2xf32>) {
  // expected-error @below {{which differ on axis 0 besides axis 1}}
  %0 = nn.concat %x, %y axis 1 : tensor<4x2xf32>, tensor<3x2xf32>
  return
}

// -----

func.func @reduce_c1(%x: tensor<4x2xf32>) {
  // expected-error @below {{axes must be distinct axes}}
  %0 = nn.reduce sum %x axes [1, 1] : tensor<4x2xf32>
  return
}

// -----

func.func @kernel_c3(%x: tensor<4xf32>) {
  // expected-error @below {{yields a block argument; expected a value computed inside}}
  %0 = nn.kernel "k" ins(%a = %x : tensor<4xf32>) -> (tensor<4xf32>) {
    nn.yield %a : tensor<4xf32>
  }
  return
}

// -----

// expected-error @below {{must come from a file or from a kernel, not from both or neither}}
nn.weight @weight_c1 : tensor<4xf32>

// -----

// expected-error @below {{has 15 bytes in its file; expected 16 for 'tensor<4xf32>'}}
nn.weight @weight_c2 : tensor<4xf32> from <"m.onnx", 0, 15>

// -----

func.func @load_weight_c1() {
  // expected-error @below {{loads @nothing, which is no nn.weight}}
  %0 = nn.load_weight @nothing : tensor<4xf32>
  return
}

// -----

nn.kernel_def @k(%a: tensor<?xf32, #nn.extents<[s0]>>) -> (tensor<?xf32, #nn.extents<[s0]>>) symbols 1 {
  %0 = nn.unary exp %a : tensor<?xf32, #nn.extents<[s0]>>
  nn.yield %0 : tensor<?xf32, #nn.extents<[s0]>>
}
func.func @call_c2(%x: tensor<4xf32>) {
  %o = nn.empty : tensor<4xf32>
  // expected-error @below {{inputs #0 has type 'tensor<4xf32>'; expected 'tensor<5xf32>'}}
  %0 = nn.call @k ins(%x : tensor<4xf32>) outs(%o : tensor<4xf32>) symbols <[5]> -> tensor<4xf32>
  return
}

// -----

// expected-error @below {{#nn.extents has 2 expressions; expected one for each of the 1 dynamic axes}}
func.func private @extents(tensor<?xf32, #nn.extents<[s0, s1]>>)

// -----

// expected-error @below {{has bounds 4..2 and typical value 4; expected 0 <= lower <= typical <= upper}}
nn.symbol @symbol_c3 = 0 root {lower = 4 : i64, upper = 2 : i64}
