// RUN: penstock-opt %s --pipe-assign-stages=cuts=inner --verify-diagnostics | FileCheck %s --check-prefix=INNER
// RUN: penstock-opt %s --pipe-assign-stages=cuts=/node/second | FileCheck %s --check-prefix=NODE
// RUN: penstock-opt %s --pipe-assign-stages=cuts=a,b | FileCheck %s --check-prefix=TWO
// RUN: penstock-opt %s --pipe-assign-stages=plan=%S/Inputs/assign-plan.json | FileCheck %s --check-prefix=PLAN
// RUN: penstock-opt %s --pipe-assign-stages=from-onnx-stages=true | FileCheck %s --check-prefix=ONNX
// RUN: penstock-opt %s --pipe-assign-stages="num-stages=3 balance=uniform" | FileCheck %s --check-prefix=TWO

// A tensor inside of a kernel moves the cut to the kernel's end, and a remark says so.
// INNER:       nn.kernel "a"
// INNER-SAME:    pipe.stage_id = 0 : i32
// INNER:       nn.kernel "b"
// INNER-SAME:    pipe.stage_id = 1 : i32
// INNER:       nn.kernel "c"
// INNER-SAME:    pipe.stage_id = 1 : i32

// A cut may name an ONNX node.
// NODE:        nn.kernel "a"
// NODE-SAME:     pipe.stage_id = 0 : i32
// NODE:        nn.kernel "b"
// NODE-SAME:     pipe.stage_id = 0 : i32
// NODE:        nn.kernel "c"
// NODE-SAME:     pipe.stage_id = 1 : i32

// Two cuts make three stages.
// TWO:         nn.kernel "a"
// TWO-SAME:      pipe.stage_id = 0 : i32
// TWO:         nn.kernel "b"
// TWO-SAME:      pipe.stage_id = 1 : i32
// TWO:         nn.kernel "c"
// TWO-SAME:      pipe.stage_id = 2 : i32

// A plan written before is taken over.
// PLAN:        nn.kernel "a"
// PLAN-SAME:     pipe.stage_id = 0 : i32
// PLAN:        nn.kernel "b"
// PLAN-SAME:     pipe.stage_id = 1 : i32
// PLAN:        nn.kernel "c"
// PLAN-SAME:     pipe.stage_id = 1 : i32

// The stages of the model's own annotations: a kernel is in the last one of its ops.
// ONNX:        nn.kernel "a"
// ONNX-SAME:     pipe.stage_id = 0 : i32
// ONNX:        nn.kernel "b"
// ONNX-SAME:     pipe.stage_id = 1 : i32
// ONNX:        nn.kernel "c"
// ONNX-SAME:     pipe.stage_id = 1 : i32
func.func @main(%x: tensor<4xf32> {nn.name = "x"}) -> (tensor<4xf32> {nn.name = "y"}) {
  // expected-remark @below {{tensor 'inner' is inside of kernel 'a'; the cut is at the end of that kernel}}
  %0 = nn.kernel "a" ins(%i = %x : tensor<4xf32>) -> (tensor<4xf32>) attributes {nn.tensors = ["inner", "a"]} {
    %s = nn.unary exp %i {nn.tensor = "inner"} : tensor<4xf32>
    %t = nn.unary exp %s {nn.tensor = "a", nn.onnx_stage = 0 : i64} : tensor<4xf32>
    nn.yield %t : tensor<4xf32>
  }
  %1 = nn.kernel "b" ins(%i = %0 : tensor<4xf32>) -> (tensor<4xf32>) {
    %s = nn.unary exp %i {nn.onnx_stage = 0 : i64} : tensor<4xf32>
    %t = nn.unary exp %s {nn.tensor = "b", nn.onnx_stage = 1 : i64} : tensor<4xf32> loc("/node/second")
    nn.yield %t : tensor<4xf32>
  }
  %2 = nn.kernel "c" ins(%i = %1 : tensor<4xf32>) -> (tensor<4xf32>) {
    %t = nn.unary exp %i {nn.tensor = "c"} : tensor<4xf32>
    nn.yield %t : tensor<4xf32>
  }
  return %2 : tensor<4xf32>
}
