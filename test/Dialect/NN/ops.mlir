// RUN: penstock-opt %s --verify-roundtrip | FileCheck %s

// Symbols, weights and kernels print as they were written.
// CHECK: nn.symbol @batch = 0 root {lower = 1 : i64}
// CHECK: nn.symbol @kept = 1 min of <[s0, 8]>
// CHECK: nn.weight @w : tensor<8x3x3x3xf32> from <"model.onnx", 12, 864>
// CHECK: nn.kernel "k" ins(
module attributes {nn.model = "cls.onnx"} {
  nn.symbol @batch = 0 root {lower = 1 : i64}
  nn.symbol @kept = 1 min of #nn.extents<[s0, 8]>
  nn.weight @w : tensor<8x3x3x3xf32> from <"model.onnx", 12, 864>
  func.func @main(%x: tensor<?x3x?x8xf32, #nn.extents<[s0, s1 floordiv 2]>>) -> (tensor<?x8x?x4xf32, #nn.extents<[s0, (s1 floordiv 2 - 1) floordiv 2 + 1]>>) {
    %w = nn.load_weight @w : tensor<8x3x3x3xf32>
    %c = nn.constant dense<1.0> : tensor<8xf32>
    %0 = nn.kernel "k" ins(%a = %x : tensor<?x3x?x8xf32, #nn.extents<[s0, s1 floordiv 2]>>, %b = %w : tensor<8x3x3x3xf32>) -> (tensor<?x8x?x4xf32, #nn.extents<[s0, (s1 floordiv 2 - 1) floordiv 2 + 1]>>) {
      %1 = nn.conv %a, %b {strides = array<i64: 2, 2>, dilations = array<i64: 1, 1>, pads = array<i64: 1, 1, 1, 1>, group = 1 : i64} : tensor<?x3x?x8xf32, #nn.extents<[s0, s1 floordiv 2]>>, tensor<8x3x3x3xf32>
      %2 = nn.unary relu %1 : tensor<?x8x?x4xf32, #nn.extents<[s0, (s1 floordiv 2 - 1) floordiv 2 + 1]>>
      nn.yield %2 : tensor<?x8x?x4xf32, #nn.extents<[s0, (s1 floordiv 2 - 1) floordiv 2 + 1]>>
    }
    return %0 : tensor<?x8x?x4xf32, #nn.extents<[s0, (s1 floordiv 2 - 1) floordiv 2 + 1]>>
  }
}
