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

// A product of floats gives floats: no library makes integers of them, which the next kernel does with what follows.
// CHECK-LABEL: func.func @main
// CHECK:       nn.matmul
// CHECK-NEXT:  nn.yield
// CHECK:       nn.kernel "y"
// CHECK:         nn.cast
// CHECK-NEXT:    nn.binary add
// CHECK-NEXT:    nn.yield
func.func @main(%x: tensor<4x8xf32>, %w: tensor<8x8xf32>, %b: tensor<8xi32>) -> tensor<4x8xi32> {
  %0 = nn.matmul %x, %w : tensor<4x8xf32>, tensor<8x8xf32>
  %1 = nn.cast %0 to i32 : tensor<4x8xf32>
  %2 = nn.binary add %1, %b {nn.tensor = "y"} : tensor<4x8xi32>, tensor<8xi32>
  return %2 : tensor<4x8xi32>
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

// -----

// A change of layout goes into the kernel of a channels-last convolution that alone reads it, or whose epilogue it ends; the
// kernel bears the name of the tensor before it. One that two convolutions read is a kernel of its own.
// CHECK-LABEL: func.func @main
// CHECK:       nn.kernel "y"
// CHECK-NEXT:    nn.transpose
// CHECK-NEXT:    nn.conv
// CHECK-NEXT:    nn.unary relu
// CHECK-NEXT:    nn.transpose
// CHECK-NEXT:    nn.yield
// CHECK:       nn.kernel "kernel_0"
// CHECK-NEXT:    nn.transpose
// CHECK-NEXT:    nn.yield
// CHECK:       nn.kernel "kernel_1"
// CHECK-NEXT:    nn.conv
// CHECK:       nn.kernel "kernel_2"
// CHECK-NEXT:    nn.conv
func.func @main(%x: tensor<1x8x4x4xf32>, %z: tensor<1x8x4x4xf32>, %w: tensor<8x8x1x1xf32>) -> (tensor<1x8x4x4xf32>, tensor<1x4x4x8xf32>, tensor<1x4x4x8xf32>) {
  %0 = nn.transpose %x [0, 2, 3, 1] : tensor<1x8x4x4xf32>
  %1 = nn.conv %0, %w {channels_last, dilations = array<i64: 1, 1>, group = 1 : i64, pads = array<i64: 0, 0, 0, 0>, strides = array<i64: 1, 1>} : tensor<1x4x4x8xf32>, tensor<8x8x1x1xf32>
  %2 = nn.unary relu %1 {nn.tensor = "y"} : tensor<1x4x4x8xf32>
  %3 = nn.transpose %2 [0, 3, 1, 2] : tensor<1x4x4x8xf32>
  %4 = nn.transpose %z [0, 2, 3, 1] : tensor<1x8x4x4xf32>
  %5 = nn.conv %4, %w {channels_last, dilations = array<i64: 1, 1>, group = 1 : i64, pads = array<i64: 0, 0, 0, 0>, strides = array<i64: 1, 1>} : tensor<1x4x4x8xf32>, tensor<8x8x1x1xf32>
  %6 = nn.conv %4, %w {channels_last, dilations = array<i64: 1, 1>, group = 1 : i64, pads = array<i64: 0, 0, 0, 0>, strides = array<i64: 2, 2>} : tensor<1x4x4x8xf32>, tensor<8x8x1x1xf32>
  %7 = nn.resize nearest asymmetric floor %6 scales [1.0, 2.0, 2.0, 1.0] {cubic_coeff = -7.5e-01 : f64, extrapolation = 0.0 : f64} : tensor<1x2x2x8xf32> to tensor<1x4x4x8xf32>
  return %3, %5, %7 : tensor<1x8x4x4xf32>, tensor<1x4x4x8xf32>, tensor<1x4x4x8xf32>
}

// -----

// What follows a transposed convolution is a kernel of its own, its bias with it.
// CHECK-LABEL: func.func @main
// CHECK:       nn.kernel "kernel_0"
// CHECK-NEXT:    nn.conv_transpose %{{.*}}, %{{.*}} {dilations
// CHECK-NEXT:    nn.yield
// CHECK:       nn.kernel "kernel_1"
// CHECK-SAME:    nn.tensors = ["y"]
// CHECK-NEXT:    nn.reshape %{{.*}} : tensor<8xf32> to tensor<8x1x1xf32>
// CHECK-NEXT:    nn.binary add
// CHECK-NEXT:    nn.unary relu
// CHECK-NEXT:    nn.unary tanh
func.func @main(%x: tensor<1x8x4x4xf32>, %w: tensor<8x8x2x2xf32>, %b: tensor<8xf32>) -> tensor<1x8x8x8xf32> {
  %0 = nn.conv_transpose %x, %w bias %b : tensor<8xf32> {nn.tensor = "y", dilations = array<i64: 1, 1>, group = 1 : i64, output_pads = array<i64: 0, 0>, pads = array<i64: 0, 0, 0, 0>, strides = array<i64: 2, 2>} : tensor<1x8x4x4xf32>, tensor<8x8x2x2xf32>
  %1 = nn.unary relu %0 : tensor<1x8x8x8xf32>
  %2 = nn.unary tanh %1 : tensor<1x8x8x8xf32>
  return %2 : tensor<1x8x8x8xf32>
}

// -----

// An attention looks through movements of what products made, shared ones too, and its result is moved in place.
// CHECK-LABEL: func.func @main
// CHECK:       %[[P:.*]] = nn.kernel "kernel_0"
// CHECK-NEXT:    nn.matmul
// CHECK-NEXT:    nn.yield
// CHECK:       nn.kernel "kernel_1" ins(%{{.*}} = %[[P]] : tensor<5x24xf32>)
// CHECK-COUNT-3: nn.slice
// CHECK:         nn.attention
// CHECK-NEXT:    nn.transpose
// CHECK-NEXT:    nn.reshape
// CHECK-NEXT:    nn.yield
// CHECK-NOT:   nn.kernel
func.func @main(%x: tensor<5x8xf32>, %w: tensor<8x24xf32>) -> tensor<5x8xf32> {
  %0 = nn.matmul %x, %w : tensor<5x8xf32>, tensor<8x24xf32>
  %1 = nn.reshape %0 : tensor<5x24xf32> to tensor<5x3x2x4xf32>
  %2 = nn.transpose %1 [1, 2, 0, 3] : tensor<5x3x2x4xf32>
  %3 = nn.slice %2 from <[0, 0, 0, 0]> step [1, 1, 1, 1] : tensor<3x2x5x4xf32> to tensor<1x2x5x4xf32>
  %4 = nn.slice %2 from <[1, 0, 0, 0]> step [1, 1, 1, 1] : tensor<3x2x5x4xf32> to tensor<1x2x5x4xf32>
  %5 = nn.slice %2 from <[2, 0, 0, 0]> step [1, 1, 1, 1] : tensor<3x2x5x4xf32> to tensor<1x2x5x4xf32>
  %6 = nn.attention %3, %4, %5 {scale = 5.0e-01 : f64} : tensor<1x2x5x4xf32>, tensor<1x2x5x4xf32>, tensor<1x2x5x4xf32>
  %7 = nn.transpose %6 [0, 2, 1, 3] : tensor<1x2x5x4xf32>
  %8 = nn.reshape %7 : tensor<1x5x2x4xf32> to tensor<5x8xf32>
  return %8 : tensor<5x8xf32>
}

// -----

// A product takes a summand of its extents, no factor of them.
// CHECK-LABEL: func.func @main
// CHECK:       nn.kernel "kernel_0"
// CHECK-NEXT:    nn.matmul
// CHECK-NEXT:    nn.binary add
// CHECK:       nn.kernel "kernel_1"
// CHECK-NEXT:    nn.binary mul
// CHECK-NEXT:    nn.unary tanh
func.func @main(%x: tensor<4x8xf32>, %w: tensor<8x8xf32>, %y: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %0 = nn.matmul %x, %w : tensor<4x8xf32>, tensor<8x8xf32>
  %1 = nn.binary add %0, %y : tensor<4x8xf32>, tensor<4x8xf32>
  %2 = nn.binary mul %1, %y : tensor<4x8xf32>, tensor<4x8xf32>
  %3 = nn.unary tanh %2 : tensor<4x8xf32>
  return %3 : tensor<4x8xf32>
}

// -----

// A rotation of heads is one kernel: halves, their concatenation, products and sum.
// CHECK-LABEL: func.func @main
// CHECK:       nn.kernel "kernel_0"
// CHECK-DAG:     nn.slice
// CHECK-DAG:     nn.unary neg
// CHECK-DAG:     nn.concat
// CHECK-DAG:     nn.binary mul
// CHECK:         nn.binary add
// CHECK-NEXT:    nn.yield
// CHECK-NOT:   nn.kernel
func.func @main(%x: tensor<5x4xf32>, %c: tensor<5x4xf32>, %s: tensor<5x4xf32>) -> tensor<5x4xf32> {
  %0 = nn.binary mul %x, %c : tensor<5x4xf32>, tensor<5x4xf32>
  %1 = nn.slice %x from <[0, 0]> step [1, 1] : tensor<5x4xf32> to tensor<5x2xf32>
  %2 = nn.slice %x from <[0, 2]> step [1, 1] : tensor<5x4xf32> to tensor<5x2xf32>
  %3 = nn.unary neg %2 : tensor<5x2xf32>
  %4 = nn.concat %3, %1 axis 1 : tensor<5x2xf32>, tensor<5x2xf32>
  %5 = nn.binary mul %4, %s : tensor<5x4xf32>, tensor<5x4xf32>
  %6 = nn.binary add %0, %5 : tensor<5x4xf32>, tensor<5x4xf32>
  return %6 : tensor<5x4xf32>
}
