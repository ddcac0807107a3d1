// RUN: penstock-opt %s --nn-fuse-kernels --split-input-file | FileCheck %s

// An elementwise op joins the contraction that it alone uses; the kernel bears the name of the last tensor.
// CHECK-LABEL: func.func @main
// CHECK:       nn.kernel "y" ins(%{{.*}} = %{{.*}} : tensor<4x8xf32>, %{{.*}} = %{{.*}} : tensor<8x8xf32>)
// CHECK-SAME:    nn.tensors = ["h", "y"]
// CHECK-NEXT:    nn.matmul
// CHECK-NEXT:    nn.unary relu
// CHECK-NEXT:    nn.yield
func.func @main(%x: tensor<4x8xf32>, %w: tensor<8x8xf32>) -> tensor<4x8xf32> {
  %0 = nn.matmul %x, %w {nn.tensor = "h"} : tensor<4x8xf32>, tensor<8x8xf32>
  %1 = nn.unary relu %0 {nn.tensor = "y"} : tensor<4x8xf32>
  return %1 : tensor<4x8xf32>
}

// -----

// Of two contractions that are added, the later one takes the sum; the other stays a kernel of its own.
// CHECK-LABEL: func.func @main
// CHECK:       %[[A:.*]] = nn.kernel "kernel_0"
// CHECK-NOT:     nn.binary
// CHECK:       nn.kernel "kernel_1"
// CHECK-SAME:    = %[[A]]
// CHECK:         nn.matmul
// CHECK:         nn.binary add
// CHECK:         nn.yield
func.func @main(%x: tensor<4x8xf32>, %w: tensor<8x8xf32>) -> tensor<4x8xf32> {
  %0 = nn.matmul %x, %w : tensor<4x8xf32>, tensor<8x8xf32>
  %1 = nn.matmul %x, %w {transpose_rhs} : tensor<4x8xf32>, tensor<8x8xf32>
  %2 = nn.binary add %0, %1 : tensor<4x8xf32>, tensor<4x8xf32>
  return %2 : tensor<4x8xf32>
}

// -----

// A value with two uses ends its kernel, and a product that broadcasts a small value does not recompute it.
// CHECK-LABEL: func.func @main
// CHECK:       %[[MEAN:.*]] = nn.kernel "kernel_0"
// CHECK:         nn.reduce mean
// CHECK:         nn.unary sigmoid
// CHECK:       nn.kernel "kernel_1"
// CHECK-SAME:    = %[[MEAN]]
// CHECK:         nn.binary mul
func.func @main(%x: tensor<1x4x8xf32>) -> tensor<1x4x8xf32> {
  %0 = nn.reduce mean %x axes [2] {keep_dims} : tensor<1x4x8xf32>
  %1 = nn.unary sigmoid %0 : tensor<1x4x1xf32>
  %2 = nn.binary mul %x, %1 : tensor<1x4x8xf32>, tensor<1x4x1xf32>
  return %2 : tensor<1x4x8xf32>
}

// -----

// A softmax takes over the elementwise chain that makes its input, and constants are copied inside.
// CHECK-LABEL: func.func @main
// CHECK:       nn.kernel
// CHECK-NEXT:    nn.constant
// CHECK-NEXT:    nn.binary mul
// CHECK-NEXT:    nn.softmax
// CHECK-NOT:   nn.kernel
func.func @main(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %c = nn.constant dense<0.5> : tensor<f32>
  %0 = nn.binary mul %x, %c : tensor<4x8xf32>, tensor<f32>
  %1 = nn.softmax %0 axis 1 : tensor<4x8xf32>
  return %1 : tensor<4x8xf32>
}

// -----

// A reshape of an argument goes to each of its users, and a returned one is a kernel of its own.
// CHECK-LABEL: func.func @main
// CHECK-COUNT-3: nn.reshape
// CHECK-NOT:     nn.reshape
func.func @main(%x: tensor<4x8xf32>) -> (tensor<32xf32>, tensor<32xf32>, tensor<32xf32>) {
  %0 = nn.reshape %x : tensor<4x8xf32> to tensor<32xf32>
  %1 = nn.unary exp %0 : tensor<32xf32>
  %2 = nn.unary tanh %0 : tensor<32xf32>
  return %0, %1, %2 : tensor<32xf32>, tensor<32xf32>, tensor<32xf32>
}

// -----

// A weight stays outside: it is an operand of the kernel, so that equal layers share one.
// CHECK-LABEL: func.func @main
// CHECK:       %[[W:.*]] = nn.load_weight @w
// CHECK:       nn.kernel
// CHECK-SAME:    = %[[W]]
nn.weight @w : tensor<8xf32> from <"m.onnx", 0, 32>
func.func @main(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %w = nn.load_weight @w : tensor<8xf32>
  %0 = nn.binary add %x, %w : tensor<4x8xf32>, tensor<8xf32>
  return %0 : tensor<4x8xf32>
}
