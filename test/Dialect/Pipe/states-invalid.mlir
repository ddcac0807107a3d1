// RUN: penstock-opt %s --pipe-split-stages --split-input-file --verify-diagnostics

// Readers and writer of a state belong to one stage.
module attributes {nn.states = [["h", "hn"]]} {
  func.func @main(%x: tensor<4xf32> {nn.name = "x"}, %h: tensor<4xf32> {nn.name = "h"}) -> (tensor<4xf32> {nn.name = "hn"}) {
    // expected-error @below {{state 'h' is read in stage 0 but made in stage 1; expected one stage}}
    %0 = nn.kernel "a" ins(%i = %h : tensor<4xf32>) -> (tensor<4xf32>) attributes {pipe.stage_id = 0 : i32} {
      %t = nn.unary exp %i : tensor<4xf32>
      nn.yield %t : tensor<4xf32>
    }
    %1 = nn.kernel "b" ins(%i = %0 : tensor<4xf32>, %j = %x : tensor<4xf32>) -> (tensor<4xf32>) attributes {pipe.stage_id = 1 : i32} {
      %t = nn.binary add %i, %j : tensor<4xf32>, tensor<4xf32>
      nn.yield %t : tensor<4xf32>
    }
    return %1 : tensor<4xf32>
  }
}

// -----

// A state names an input and an output.
module attributes {nn.states = [["h", "gone"]]} {
  // expected-error @below {{state 'h=gone': the model has no output of that name}}
  func.func @main(%h: tensor<4xf32> {nn.name = "h"}) -> (tensor<4xf32> {nn.name = "hn"}) {
    %0 = nn.kernel "a" ins(%i = %h : tensor<4xf32>) -> (tensor<4xf32>) attributes {pipe.stage_id = 0 : i32} {
      %t = nn.unary exp %i : tensor<4xf32>
      nn.yield %t : tensor<4xf32>
    }
    return %0 : tensor<4xf32>
  }
}

// -----

// An output feeds one input.
module attributes {nn.states = [["h", "hn"], ["g", "hn"]]} {
  // expected-error @below {{state 'g=hn': one of the two is part of another state}}
  func.func @main(%h: tensor<4xf32> {nn.name = "h"}, %g: tensor<4xf32> {nn.name = "g"}) -> (tensor<4xf32> {nn.name = "hn"}) {
    %0 = nn.kernel "a" ins(%i = %h : tensor<4xf32>, %j = %g : tensor<4xf32>) -> (tensor<4xf32>) attributes {pipe.stage_id = 0 : i32} {
      %t = nn.binary add %i, %j : tensor<4xf32>, tensor<4xf32>
      nn.yield %t : tensor<4xf32>
    }
    return %0 : tensor<4xf32>
  }
}
