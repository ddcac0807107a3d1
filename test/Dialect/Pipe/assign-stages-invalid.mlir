// RUN: not penstock-opt %s --pipe-assign-stages=num-stages=4 2>&1 | FileCheck %s --check-prefix=MANY
// RUN: not penstock-opt %s --pipe-assign-stages=num-stages=-1 2>&1 | FileCheck %s --check-prefix=NEGATIVE
// RUN: not penstock-opt %s --pipe-assign-stages=balance=luck 2>&1 | FileCheck %s --check-prefix=BALANCE
// RUN: not penstock-opt %s --pipe-assign-stages=cuts=tensor_bb 2>&1 | FileCheck %s --check-prefix=UNKNOWN
// RUN: not penstock-opt %s --pipe-assign-stages=cuts=x 2>&1 | FileCheck %s --check-prefix=INPUT
// RUN: not penstock-opt %s --pipe-assign-stages=cuts=left,right 2>&1 | FileCheck %s --check-prefix=NESTED
// RUN: not penstock-opt %s --pipe-assign-stages=from-onnx-stages=true 2>&1 | FileCheck %s --check-prefix=ONNX
// RUN: not penstock-opt %s --pipe-assign-stages=plan=%S/Inputs/assign-plan-other.json 2>&1 | FileCheck %s --check-prefix=PLAN
// RUN: not penstock-opt %s --pipe-assign-stages=plan=%S/Inputs/absent.json 2>&1 | FileCheck %s --check-prefix=ABSENT
// RUN: not penstock-opt %s --pipe-assign-stages=plan=%s 2>&1 | FileCheck %s --check-prefix=JSON
// RUN: not penstock-opt %s --pipe-assign-stages="num-stages=2 memory-limit=10" 2>&1 | FileCheck %s --check-prefix=MEMORY

// MANY: error: 4 stages were asked for, but the model has 3 kernels; expected at most that many stages
// NEGATIVE: error: the number of stages is -1 and the memory limit 0; expected neither to be negative
// BALANCE: error: balance is 'luck'; expected time, params, memory or uniform
// UNKNOWN: error: cut 'tensor_bb' names no tensor or node of the model that is left after folding; did you mean 'tensor_b'?
// INPUT: error: cut 'x' is an input of the model; expected a tensor that a node makes
// NESTED: error: cuts 'left' and 'right' are not nested
// ONNX: error: the model has no pipeline stages; expected `pipeline_stage` annotations on its nodes
// PLAN: error: plan file '{{.*}}' does not fit the model: stage 0 has kernel 'a', which the model does not have
// ABSENT: error: plan file '{{.*}}absent.json' cannot be read
// JSON: error: plan file '{{.*}}' is no JSON
// MEMORY: error: stage 1 needs 704.14 KiB, 704.13 KiB more than its limit of 10 B{{.*}}runtime 704.00 KiB{{.*}}kernel 'left' alone needs 704.02 KiB
func.func @main(%x: tensor<4xf32> {nn.name = "x"}) -> (tensor<4xf32> {nn.name = "y"}) {
  %0 = nn.kernel "left" ins(%i = %x : tensor<4xf32>) -> (tensor<4xf32>) {
    %t = nn.unary exp %i {nn.tensor = "tensor_a"} : tensor<4xf32>
    nn.yield %t : tensor<4xf32>
  }
  %1 = nn.kernel "right" ins(%i = %x : tensor<4xf32>) -> (tensor<4xf32>) {
    %t = nn.unary exp %i {nn.tensor = "tensor_b"} : tensor<4xf32>
    nn.yield %t : tensor<4xf32>
  }
  %2 = nn.kernel "join" ins(%i = %0 : tensor<4xf32>, %j = %1 : tensor<4xf32>) -> (tensor<4xf32>) {
    %t = nn.binary add %i, %j : tensor<4xf32>, tensor<4xf32>
    nn.yield %t : tensor<4xf32>
  }
  return %2 : tensor<4xf32>
}
