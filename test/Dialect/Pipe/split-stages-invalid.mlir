// RUN: penstock-opt %s --pipe-split-stages --split-input-file --verify-diagnostics

// A value may not flow to an earlier stage.
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-note @below {{made here, in stage 1}}
  %0 = nn.kernel "tanh" ins(%i = %x : tensor<4xf32>) -> (tensor<4xf32>) attributes {pipe.stage_id = 1 : i32} {
    %t = nn.unary tanh %i : tensor<4xf32>
    nn.yield %t : tensor<4xf32>
  }
  // expected-error @below {{kernel 'exp' is in stage 0 but operand #0 comes from stage 1; expected stage 1 or later}}
  %1 = nn.kernel "exp" ins(%i = %0 : tensor<4xf32>) -> (tensor<4xf32>) attributes {pipe.stage_id = 0 : i32} {
    %t = nn.unary exp %i : tensor<4xf32>
    nn.yield %t : tensor<4xf32>
  }
  return %1 : tensor<4xf32>
}

// -----

// Every kernel needs a stage.
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @below {{kernel 'tanh' has no stage; expected the attribute pipe.stage_id with a number of at least 0}}
  %0 = nn.kernel "tanh" ins(%i = %x : tensor<4xf32>) -> (tensor<4xf32>) {
    %t = nn.unary tanh %i : tensor<4xf32>
    nn.yield %t : tensor<4xf32>
  }
  return %0 : tensor<4xf32>
}

// -----

// No stage is empty.
// expected-error @below {{stage 1 has no kernel but stage 2 has; expected stages 0, 1, ... without a gap}}
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = nn.kernel "a" ins(%i = %x : tensor<4xf32>) -> (tensor<4xf32>) attributes {pipe.stage_id = 0 : i32} {
    %t = nn.unary tanh %i : tensor<4xf32>
    nn.yield %t : tensor<4xf32>
  }
  %1 = nn.kernel "b" ins(%i = %0 : tensor<4xf32>) -> (tensor<4xf32>) attributes {pipe.stage_id = 2 : i32} {
    %t = nn.unary tanh %i : tensor<4xf32>
    nn.yield %t : tensor<4xf32>
  }
  return %1 : tensor<4xf32>
}

// -----

// Only kernels, weights and constants may be left.
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @below {{'nn.unary' is outside of a kernel; run nn-fuse-kernels first}}
  %0 = nn.unary tanh %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// A model that computes nothing has no stage.
// expected-error @below {{the module has no function @main of one block}}
module {}
