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

func.func @bitcast_c1(%x: tensor<4xf32>) {
  // expected-error @below {{element types 'f32' and 'i16' differ in their number of bits; expected the same}}
  %0 = nn.bitcast %x to i16 : tensor<4xf32>
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

// expected-error @below {{must come from a file, a kernel or another weight, from exactly one of them}}
nn.weight @weight_c1 : tensor<4xf32>

// -----

// expected-error @below {{has 15 bytes in its file; expected 16 for 'tensor<4xf32>'}}
nn.weight @weight_c2 : tensor<4xf32> from <"m.onnx", 0, 15>

// -----

// expected-error @below {{packs @v, which is no unpacked nn.weight}}
nn.weight @weight_c3 : tensor<4xf32> packed @v as <"lib 1", "a", 16>

// -----

nn.weight @w : tensor<8xf32> from <"m.onnx", 0, 32>
// expected-error @below {{has type 'tensor<4xf32>' but packs a weight of type 'tensor<8xf32>'}}
nn.weight @weight_c3 : tensor<4xf32> packed @w as <"lib 1", "a", 16>

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

// -----

func.func @compare_c1(%x: tensor<4xi32>, %y: tensor<4xf32>) {
  // expected-error @below {{operands have element types 'i32' and 'f32'; expected the same}}
  %0 = nn.compare lt %x, %y : tensor<4xi32>, tensor<4xf32>
  return
}

// -----

func.func @compare_c2(%x: tensor<4xf32>, %y: tensor<3xf32>) {
  // expected-error @below {{shapes 4 and 3 do not broadcast}}
  %0 = nn.compare lt %x, %y : tensor<4xf32>, tensor<3xf32>
  return
}

// -----

func.func @select_c1(%c: tensor<4xi32>, %x: tensor<4xf32>) {
  // expected-error @below {{condition has element type 'i32'; expected i1}}
  %0 = nn.select %c, %x, %x : tensor<4xi32>, tensor<4xf32>, tensor<4xf32>
  return
}

// -----

func.func @select_c2(%c: tensor<4xi1>, %x: tensor<4xf32>, %y: tensor<4xf64>) {
  // expected-error @below {{values have element types 'f32' and 'f64'; expected the same}}
  %0 = nn.select %c, %x, %y : tensor<4xi1>, tensor<4xf32>, tensor<4xf64>
  return
}

// -----

func.func @select_c3(%c: tensor<4xi1>, %x: tensor<3xf32>) {
  // expected-error @below {{shapes 4 and 3 do not broadcast}}
  %0 = nn.select %c, %x, %x : tensor<4xi1>, tensor<3xf32>, tensor<3xf32>
  return
}

// -----

// expected-error @below {{of kind root has 1 expressions; expected none}}
nn.symbol @symbol_c2 = 0 root of <[s0]>

// -----

// expected-error @below {{of kind max has 1 expressions; expected at least two}}
nn.symbol @symbol_c2_derived = 1 max of <[s0]>

// -----

// expected-error @below {{has 1 expressions; expected two}}
nn.constraint <[s0]> "constraint_c1"

// -----

func.func @extent_tensor_c1() {
  // expected-error @below {{has 1 expressions for 2 elements}}
  %0 = nn.extent_tensor <[s0]> : tensor<2xi64>
  return
}

// -----

func.func @extent_tensor_c1_type() {
  // expected-error @below {{has element type 'f32'; expected i64 or i32}}
  %0 = nn.extent_tensor <[s0]> : tensor<1xf32>
  return
}

// -----

func.func @kernel_c1(%x: tensor<4xf32>) {
  // expected-error @below {{block arguments do not have the types of the operands}}
  %0 = "nn.kernel"(%x) ({
  ^bb0(%a: tensor<5xf32>):
    %1 = nn.unary exp %a : tensor<5xf32>
    nn.yield %1 : tensor<5xf32>
  }) {name = "k"} : (tensor<4xf32>) -> tensor<5xf32>
  return
}

// -----

func.func @kernel_c2(%x: tensor<4xf32>) {
  // expected-error @below {{does not end in an nn.yield of the result types}}
  %0 = nn.kernel "k" ins(%a = %x : tensor<4xf32>) -> (tensor<5xf32>) {
    %1 = nn.unary exp %a : tensor<4xf32>
    nn.yield %1 : tensor<4xf32>
  }
  return
}

// -----

// expected-error @below {{the kernel does not end in an nn.yield of the result types}}
nn.kernel_def @kernel_def_c1(%a: tensor<4xf32>) -> (tensor<5xf32>) symbols 0 {
  %0 = nn.unary exp %a : tensor<4xf32>
  nn.yield %0 : tensor<4xf32>
}

// -----

// expected-error @below {{has type 'tensor<?xf32, #nn.extents<[s1]>>' in a kernel of 1 symbols}}
nn.kernel_def @kernel_def_c2(%a: tensor<?xf32, #nn.extents<[s1]>>) -> (tensor<?xf32, #nn.extents<[s1]>>) symbols 1 {
  %0 = nn.unary exp %a : tensor<?xf32, #nn.extents<[s1]>>
  nn.yield %0 : tensor<?xf32, #nn.extents<[s1]>>
}

// -----

func.func @call_c1(%x: tensor<4xf32>) {
  %o = nn.empty : tensor<4xf32>
  // expected-error @below {{calls @nothing, which is no nn.kernel_def}}
  %0 = nn.call @nothing ins(%x : tensor<4xf32>) outs(%o : tensor<4xf32>) symbols <[]> -> tensor<4xf32>
  return
}

// -----

nn.kernel_def @k(%a: tensor<4xf32>) -> (tensor<4xf32>) symbols 0 {
  %0 = nn.unary exp %a : tensor<4xf32>
  nn.yield %0 : tensor<4xf32>
}
func.func @call_c3(%x: tensor<4xf32>) {
  %o = nn.empty : tensor<4xf32>
  // expected-error @below {{results and outs differ in type}}
  %0 = nn.call @k ins(%x : tensor<4xf32>) outs(%o : tensor<4xf32>) symbols <[]> -> tensor<5xf32>
  return
}

// -----

func.func @if_c1(%c: tensor<2xi1>, %x: tensor<4xf32>) {
  // expected-error @below {{condition has type 'tensor<2xi1>'; expected one i1}}
  %0 = nn.if %c : tensor<2xi1> -> (tensor<4xf32>) {
    nn.yield %x : tensor<4xf32>
  } else {
    nn.yield %x : tensor<4xf32>
  }
  return
}

// -----

func.func @if_c2(%c: tensor<i1>, %x: tensor<4xf32>, %y: tensor<5xf32>) {
  // expected-error @below {{a region does not yield values of the result types}}
  %0 = nn.if %c : tensor<i1> -> (tensor<4xf32>) {
    nn.yield %x : tensor<4xf32>
  } else {
    nn.yield %y : tensor<5xf32>
  }
  return
}

// -----

func.func @if_c3(%c: tensor<i1>, %x: tensor<4xf32>) {
  // expected-error @below {{assumes 2 expressions for 0 reasons; expected two for each}}
  %0 = nn.if %c : tensor<i1> -> (tensor<4xf32>) {
    nn.yield %x : tensor<4xf32>
  } else {
    nn.yield %x : tensor<4xf32>
  } {else_assumes = #nn.extents<[4, 4]>}
  return
}

// -----

func.func @recurrent_c1(%x: tensor<7x1x3xf32>, %w: tensor<1x3x8xf32>, %r: tensor<1x2x8xf32>) {
  // expected-error @below {{an LSTM and only an LSTM has last_c}}
  %0:2 = nn.recurrent lstm forward %x, %w, %r {activation_alpha = array<f64>, activation_beta = array<f64>, activations = ["sigmoid", "tanh", "tanh"], hidden_size = 2 : i64} : (tensor<7x1x3xf32>, tensor<1x3x8xf32>, tensor<1x2x8xf32>) -> (tensor<7x1x1x2xf32>, tensor<1x1x2xf32>)
  return
}

// -----

func.func @recurrent_c2(%x: tensor<7x1x3xf32>, %w: tensor<1x4x2xf32>, %r: tensor<1x3x2xf32>) {
  // expected-error @below {{of kind rnn has rounds_state; expected an LSTM}}
  %0:2 = nn.recurrent rnn forward %x, %w, %r {activation_alpha = array<f64>, activation_beta = array<f64>, activations = ["Tanh"], hidden_size = 2 : i64, rounds_state} : (tensor<7x1x3xf32>, tensor<1x4x2xf32>, tensor<1x3x2xf32>) -> (tensor<7x1x1x2xf32>, tensor<1x1x2xf32>)
  return
}

// -----

// Behind quantized weights lies what their products are multiplied by.
func.func @recurrent_c1_scales(%x: tensor<7x1x3xf32>, %w: tensor<1x4x8xf32>, %r: tensor<1x2x8xf32>) {
  // expected-error @below {{recurrence has type 'tensor<1x2x8xf32>'; expected 1x3x8}}
  %0:3 = nn.recurrent lstm forward %x, %w, %r {activation_alpha = array<f64>, activation_beta = array<f64>, activations = ["sigmoid", "tanh", "tanh"], hidden_size = 2 : i64, rounds_state} : (tensor<7x1x3xf32>, tensor<1x4x8xf32>, tensor<1x2x8xf32>) -> (tensor<7x1x1x2xf32>, tensor<1x1x2xf32>, tensor<1x1x2xf32>)
  return
}

// -----

func.func @recurrent_c1_weights(%x: tensor<7x1x3xf32>, %w: tensor<1x3x4xf32>, %r: tensor<1x2x8xf32>) {
  // expected-error @below {{weights has type 'tensor<1x3x4xf32>'; expected 1x3x8}}
  %0:3 = nn.recurrent lstm forward %x, %w, %r {activation_alpha = array<f64>, activation_beta = array<f64>, activations = ["sigmoid", "tanh", "tanh"], hidden_size = 2 : i64} : (tensor<7x1x3xf32>, tensor<1x3x4xf32>, tensor<1x2x8xf32>) -> (tensor<7x1x1x2xf32>, tensor<1x1x2xf32>, tensor<1x1x2xf32>)
  return
}

// -----

func.func @recurrent_c1_recurrence(%x: tensor<7x1x3xf32>, %w: tensor<1x3x8xf32>, %r: tensor<1x3x8xf32>) {
  // expected-error @below {{recurrence has type 'tensor<1x3x8xf32>'; expected 1x2x8}}
  %0:3 = nn.recurrent lstm forward %x, %w, %r {activation_alpha = array<f64>, activation_beta = array<f64>, activations = ["sigmoid", "tanh", "tanh"], hidden_size = 2 : i64} : (tensor<7x1x3xf32>, tensor<1x3x8xf32>, tensor<1x3x8xf32>) -> (tensor<7x1x1x2xf32>, tensor<1x1x2xf32>, tensor<1x1x2xf32>)
  return
}
