// RUN: penstock-opt %s --nn-pack-weights --split-input-file | FileCheck %s

// Two calls of one kernel share one packed weight; an input that is no weight stays as it is.
// CHECK:      nn.weight @w : tensor<4x8xf32> from <"m.onnx", 0, 128>
// CHECK-NEXT: nn.weight @w.packed : tensor<4x8xf32> packed @w as <"lib 1", "4x8 ab to ba", 256>
// CHECK-NOT:  nn.weight
// CHECK-LABEL: func.func @main
// CHECK-NOT:    nn.load_weight @w :
// CHECK:        %[[W:.*]] = nn.load_weight @w.packed : tensor<4x8xf32>
// CHECK-NOT:    nn.load_weight
// CHECK:        nn.call @k ins(%{{.*}}, %[[W]]
// CHECK:        nn.call @k ins(%{{.*}}, %[[W]]
nn.weight @w : tensor<4x8xf32> from <"m.onnx", 0, 128>
nn.kernel_def @k(%a: tensor<2x4xf32>, %b: tensor<4x8xf32>) -> (tensor<2x8xf32>) symbols 0 attributes {kernel.packing = [unit, #nn.packing<"lib 1", "4x8 ab to ba", 256>]} {
  %0 = nn.matmul %a, %b : tensor<2x4xf32>, tensor<4x8xf32>
  nn.yield %0 : tensor<2x8xf32>
}
func.func @main(%x: tensor<2x4xf32>, %o: tensor<2x8xf32>) -> (tensor<2x8xf32>, tensor<2x8xf32>) {
  %w = nn.load_weight @w : tensor<4x8xf32>
  %0 = nn.call @k ins(%x, %w : tensor<2x4xf32>, tensor<4x8xf32>) outs(%o : tensor<2x8xf32>) symbols <[]> -> tensor<2x8xf32>
  %1 = nn.call @k ins(%x, %w : tensor<2x4xf32>, tensor<4x8xf32>) outs(%o : tensor<2x8xf32>) symbols <[]> -> tensor<2x8xf32>
  return %0, %1 : tensor<2x8xf32>, tensor<2x8xf32>
}

// -----

// Kernels that want different layouts get a weight each, and a kernel of generated code the one as it is.
// CHECK-DAG: nn.weight @w.packed : tensor<4x8xf32> packed @w as <"lib 1", "x", 128>
// CHECK-DAG: nn.weight @w.packed_{{[0-9]+}} : tensor<4x8xf32> packed @w as <"lib 1", "y", 192>
// CHECK-LABEL: func.func @main
// CHECK-DAG:     nn.load_weight @w :
// CHECK-DAG:     nn.load_weight @w.packed :
// CHECK-DAG:     nn.load_weight @w.packed_{{[0-9]+}} :
nn.weight @w : tensor<4x8xf32> from <"m.onnx", 0, 128>
nn.kernel_def @x(%a: tensor<4x8xf32>) -> (tensor<4x8xf32>) symbols 0 attributes {kernel.packing = [#nn.packing<"lib 1", "x", 128>]} {
  %0 = nn.unary relu %a : tensor<4x8xf32>
  nn.yield %0 : tensor<4x8xf32>
}
nn.kernel_def @y(%a: tensor<4x8xf32>) -> (tensor<4x8xf32>) symbols 0 attributes {kernel.packing = [#nn.packing<"lib 1", "y", 192>]} {
  %0 = nn.unary abs %a : tensor<4x8xf32>
  nn.yield %0 : tensor<4x8xf32>
}
nn.kernel_def @z(%a: tensor<4x8xf32>) -> (tensor<4x8xf32>) symbols 0 {
  %0 = nn.unary neg %a : tensor<4x8xf32>
  nn.yield %0 : tensor<4x8xf32>
}
func.func @main(%o: tensor<4x8xf32>) {
  %w = nn.load_weight @w : tensor<4x8xf32>
  %0 = nn.call @x ins(%w : tensor<4x8xf32>) outs(%o : tensor<4x8xf32>) symbols <[]> -> tensor<4x8xf32>
  %1 = nn.call @y ins(%w : tensor<4x8xf32>) outs(%o : tensor<4x8xf32>) symbols <[]> -> tensor<4x8xf32>
  %2 = nn.call @z ins(%w : tensor<4x8xf32>) outs(%o : tensor<4x8xf32>) symbols <[]> -> tensor<4x8xf32>
  return
}

// -----

// A dump that was packed before stays as it is; a kernel that no longer asks gets the original back.
// CHECK:       nn.weight @p : tensor<4x8xf32> packed @w as <"lib 1", "x", 128>
// CHECK-NOT:   nn.weight
// CHECK-LABEL: func.func @main
// CHECK:         nn.load_weight @w :
// CHECK:         nn.load_weight @p :
nn.weight @w : tensor<4x8xf32> from <"m.onnx", 0, 128>
nn.weight @p : tensor<4x8xf32> packed @w as <"lib 1", "x", 128>
nn.kernel_def @x(%a: tensor<4x8xf32>) -> (tensor<4x8xf32>) symbols 0 attributes {kernel.packing = [#nn.packing<"lib 1", "x", 128>]} {
  %0 = nn.unary relu %a : tensor<4x8xf32>
  nn.yield %0 : tensor<4x8xf32>
}
nn.kernel_def @z(%a: tensor<4x8xf32>) -> (tensor<4x8xf32>) symbols 0 {
  %0 = nn.unary neg %a : tensor<4x8xf32>
  nn.yield %0 : tensor<4x8xf32>
}
func.func @main(%o: tensor<4x8xf32>) {
  %w = nn.load_weight @p : tensor<4x8xf32>
  %0 = nn.call @x ins(%w : tensor<4x8xf32>) outs(%o : tensor<4x8xf32>) symbols <[]> -> tensor<4x8xf32>
  %1 = nn.call @z ins(%w : tensor<4x8xf32>) outs(%o : tensor<4x8xf32>) symbols <[]> -> tensor<4x8xf32>
  return
}
