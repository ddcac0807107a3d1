// RUN: penstock-opt %s --pipe-assign-stages=num-stages=2 | sed '/"c" ins/s/pipe.stage_id = 1/pipe.stage_id = 0/' | penstock-opt --pipe-split-stages | FileCheck %s --check-prefix=MOVED
// RUN: penstock-opt %s --pipe-assign-stages=num-stages=2 | penstock-opt --pipe-split-stages | FileCheck %s --check-prefix=KEPT
// RUN: penstock-opt %s --pipe-assign-stages=num-stages=1 --pipe-split-stages | FileCheck %s --check-prefix=ONE

// A kernel that was moved by hand: the plan's figures follow, the bound that was proved stays, the plan is no longer optimal.
// MOVED:       module attributes {pipe.kernels = ["a", "b", "c", "d"], pipe.plan = {balance = "time"
// MOVED-SAME:    proved_optimal = false
// MOVED-SAME:    kernels = 3 : i64
// MOVED-SAME:    kernels = 1 : i64

// Nothing was moved: the certificate is kept.
// KEPT:        method = "exact", proved_optimal = true
// KEPT-SAME:     kernels = 2 : i64
// KEPT-SAME:     kernels = 2 : i64

// ONE:         kernels = 4 : i64
func.func @main(%x: tensor<4096xf32>) -> tensor<4096xf32> {
  %0 = nn.kernel "a" ins(%i = %x : tensor<4096xf32>) -> (tensor<4096xf32>) {
    %t = nn.unary exp %i : tensor<4096xf32>
    nn.yield %t : tensor<4096xf32>
  }
  %1 = nn.kernel "b" ins(%i = %0 : tensor<4096xf32>) -> (tensor<4096xf32>) {
    %t = nn.unary exp %i : tensor<4096xf32>
    nn.yield %t : tensor<4096xf32>
  }
  %2 = nn.kernel "c" ins(%i = %1 : tensor<4096xf32>) -> (tensor<4096xf32>) {
    %t = nn.unary exp %i : tensor<4096xf32>
    nn.yield %t : tensor<4096xf32>
  }
  %3 = nn.kernel "d" ins(%i = %2 : tensor<4096xf32>) -> (tensor<4096xf32>) {
    %t = nn.unary exp %i : tensor<4096xf32>
    nn.yield %t : tensor<4096xf32>
  }
  return %3 : tensor<4096xf32>
}
