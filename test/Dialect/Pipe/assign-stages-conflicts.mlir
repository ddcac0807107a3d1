// RUN: penstock-opt %s --pipe-assign-stages=num-stages=2 --split-input-file --verify-diagnostics

// A stage that does not exist.
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @below {{kernel 'a' is in stage 5 by annotation, but there are 2 stages; expected 0 to 1}}
  %0 = nn.kernel "a" ins(%i = %x : tensor<4xf32>) -> (tensor<4xf32>) attributes {pipe.stage_id = 5 : i32} {
    %t = nn.unary exp %i : tensor<4xf32>
    nn.yield %t : tensor<4xf32>
  }
  %1 = nn.kernel "b" ins(%i = %0 : tensor<4xf32>) -> (tensor<4xf32>) {
    %t = nn.unary exp %i : tensor<4xf32>
    nn.yield %t : tensor<4xf32>
  }
  return %1 : tensor<4xf32>
}

// -----

// A stage that is no number.
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @below {{kernel 'a' has pipe.stage_id = "first"; expected a number}}
  %0 = nn.kernel "a" ins(%i = %x : tensor<4xf32>) -> (tensor<4xf32>) attributes {pipe.stage_id = "first"} {
    %t = nn.unary exp %i : tensor<4xf32>
    nn.yield %t : tensor<4xf32>
  }
  %1 = nn.kernel "b" ins(%i = %0 : tensor<4xf32>) -> (tensor<4xf32>) {
    %t = nn.unary exp %i : tensor<4xf32>
    nn.yield %t : tensor<4xf32>
  }
  return %1 : tensor<4xf32>
}

// -----

// Annotations that would make a value flow back.
// expected-error @below {{kernel 'a' cannot be placed: it must be in stage 1 or later because kernel 'a' is pinned to stage 1, and in stage 0 or earlier because kernel 'b' is pinned to stage 0}}
// expected-error @below {{kernel 'b' cannot be placed}}
module {
  func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
    %0 = nn.kernel "a" ins(%i = %x : tensor<4xf32>) -> (tensor<4xf32>) attributes {pipe.stage_id = 1 : i32} {
      %t = nn.unary exp %i : tensor<4xf32>
      nn.yield %t : tensor<4xf32>
    }
    %1 = nn.kernel "b" ins(%i = %0 : tensor<4xf32>) -> (tensor<4xf32>) attributes {pipe.stage_id = 0 : i32} {
      %t = nn.unary exp %i : tensor<4xf32>
      nn.yield %t : tensor<4xf32>
    }
    return %1 : tensor<4xf32>
  }
}

// -----

// A model that computes nothing has no stages.
// expected-error @below {{the model has no kernel; expected at least one}}
func.func @main() {
  return
}

// -----

// A condition, what only decides it, and its branches are one unit.
// expected-error @below {{2 stages were asked for, but the model has 1 kernel that can be separated; 'branches' holds a condition whose branches stay in one stage (--bind the input that decides it to cut them); expected at most that many stages}}
module {
  func.func @main(%x: tensor<4xf32>, %r: tensor<i64>) -> tensor<4xf32> {
    %0 = nn.kernel "decide" ins(%i = %r : tensor<i64>) -> (tensor<i1>) {
      %z = nn.constant dense<0> : tensor<i64>
      %t = nn.compare eq %i, %z : tensor<i64>, tensor<i64>
      nn.yield %t : tensor<i1>
    }
    %1 = nn.kernel "branches" ins(%i = %x : tensor<4xf32>, %c = %0 : tensor<i1>) -> (tensor<4xf32>) {
      %t = nn.if %c : tensor<i1> -> (tensor<4xf32>) {
        %a = nn.unary exp %i : tensor<4xf32>
        nn.yield %a : tensor<4xf32>
      } else {
        %b = nn.unary tanh %i : tensor<4xf32>
        nn.yield %b : tensor<4xf32>
      }
      nn.yield %t : tensor<4xf32>
    }
    return %1 : tensor<4xf32>
  }
}
