// RUN: penstock-opt %s --nn-simplify-movement --split-input-file | FileCheck %s

// A product reads a transposed operand in place, also when it was transposed twice.
// CHECK-LABEL: func.func @main(%arg0: tensor<4x8xf32>, %arg1: tensor<5x8xf32>)
// CHECK-NEXT:  nn.matmul %arg0, %arg1 {transpose_rhs}
// CHECK-NEXT:  nn.matmul %arg0, %arg0 {transpose_rhs}
// CHECK-NEXT:  return
func.func @main(%x: tensor<4x8xf32>, %y: tensor<5x8xf32>) -> (tensor<4x5xf32>, tensor<4x4xf32>) {
  %0 = nn.transpose %y [1, 0] : tensor<5x8xf32>
  %1 = nn.matmul %x, %0 : tensor<4x8xf32>, tensor<8x5xf32>
  %2 = nn.transpose %x [1, 0] : tensor<4x8xf32>
  %3 = nn.transpose %2 [1, 0] : tensor<8x4xf32>
  %4 = nn.matmul %3, %x {transpose_rhs} : tensor<4x8xf32>, tensor<4x8xf32>
  return %1, %4 : tensor<4x5xf32>, tensor<4x4xf32>
}

// -----

// Reshapes of reshapes are one, and a transpose of axes of extent 1 is a reshape.
// CHECK-LABEL: func.func @main(%arg0: tensor<4x1x8xf32>)
// CHECK-NEXT:  nn.reshape %arg0 : tensor<4x1x8xf32> to tensor<32xf32>
// CHECK-NEXT:  return
func.func @main(%x: tensor<4x1x8xf32>) -> tensor<32xf32> {
  %0 = nn.transpose %x [1, 0, 2] : tensor<4x1x8xf32>
  %1 = nn.reshape %0 : tensor<1x4x8xf32> to tensor<2x16xf32>
  %2 = nn.reshape %1 : tensor<2x16xf32> to tensor<32xf32>
  return %2 : tensor<32xf32>
}

// -----

// What gives its input back is gone.
// CHECK-LABEL: func.func @main(%arg0: tensor<4x8xf32>)
// CHECK-NEXT:  return %arg0
func.func @main(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %0 = nn.unary identity %x : tensor<4x8xf32>
  %1 = nn.cast %0 to f32 : tensor<4x8xf32>
  %2 = nn.slice %1 from <[0, 0]> step [1, 1] : tensor<4x8xf32> to tensor<4x8xf32>
  %3 = nn.concat %2 axis 0 : tensor<4x8xf32>
  return %3 : tensor<4x8xf32>
}
