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

// Images with their channels last: results follow.
// CHECK-LABEL: func.func @channels_last
// CHECK: nn.conv {{.*}} {channels_last, {{.*}} : tensor<?x9x8x3xf32, #nn.extents<[s0]>>, tensor<4x3x3x3xf32>
// CHECK: nn.pool max {{.*}} : tensor<?x7x6x4xf32, #nn.extents<[s0]>>
// CHECK: nn.conv_transpose {{.*}} : tensor<?x3x3x4xf32, #nn.extents<[s0]>>, tensor<4x5x2x2xf32>
// CHECK: return %{{.*}} : tensor<?x6x6x5xf32, #nn.extents<[s0]>>
func.func @channels_last(%x: tensor<?x9x8x3xf32, #nn.extents<[s0]>>, %w: tensor<4x3x3x3xf32>, %v: tensor<4x5x2x2xf32>) -> tensor<?x6x6x5xf32, #nn.extents<[s0]>> {
  %0 = nn.conv %x, %w {channels_last, dilations = array<i64: 1, 1>, group = 1 : i64, pads = array<i64: 0, 0, 0, 0>, strides = array<i64: 1, 1>} : tensor<?x9x8x3xf32, #nn.extents<[s0]>>, tensor<4x3x3x3xf32>
  %1 = nn.pool max %0 {channels_last, dilations = array<i64: 1, 1>, kernel = array<i64: 2, 2>, pads = array<i64: 0, 0, 0, 0>, strides = array<i64: 2, 2>} : tensor<?x7x6x4xf32, #nn.extents<[s0]>>
  %2 = nn.conv_transpose %1, %v {channels_last, dilations = array<i64: 1, 1>, group = 1 : i64, output_pads = array<i64: 0, 0>, pads = array<i64: 0, 0, 0, 0>, strides = array<i64: 2, 2>} : tensor<?x3x3x4xf32, #nn.extents<[s0]>>, tensor<4x5x2x2xf32>
  return %2 : tensor<?x6x6x5xf32, #nn.extents<[s0]>>
}

// Bits become another type of the same width, extents stay.
// CHECK-LABEL: func.func @bitcast
// CHECK: nn.bitcast %{{.*}} to i32 : tensor<?x3xf32, #nn.extents<[s0]>>
// CHECK: return %{{.*}} : tensor<?x3xi32, #nn.extents<[s0]>>
func.func @bitcast(%x: tensor<?x3xf32, #nn.extents<[s0]>>) -> tensor<?x3xi32, #nn.extents<[s0]>> {
  %0 = nn.bitcast %x to i32 : tensor<?x3xf32, #nn.extents<[s0]>>
  return %0 : tensor<?x3xi32, #nn.extents<[s0]>>
}
