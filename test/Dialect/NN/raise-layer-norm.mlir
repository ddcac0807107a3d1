// RUN: penstock-opt %s --nn-raise-layer-norm --split-input-file | FileCheck %s

// Centering, deviation, scale and bias.
// CHECK-LABEL: func.func @main(%arg0: tensor<4x8xf32>, %arg1: tensor<8xf32>, %arg2: tensor<8xf32>)
// CHECK-NEXT:  nn.layer_norm %arg0 scale %arg1 : tensor<8xf32> bias %arg2 : tensor<8xf32> axis 1
// CHECK-NOT:     rms
// CHECK-NEXT:  return
func.func @main(%x: tensor<4x8xf32>, %s: tensor<8xf32>, %b: tensor<8xf32>) -> tensor<4x8xf32> {
  %e = nn.constant dense<1.0e-5> : tensor<f32>
  %two = nn.constant dense<2.0> : tensor<f32>
  %m = nn.reduce mean %x axes [1] {keep_dims} : tensor<4x8xf32>
  %c = nn.binary sub %x, %m : tensor<4x8xf32>, tensor<4x1xf32>
  %0 = nn.binary pow %c, %two : tensor<4x8xf32>, tensor<f32>
  %1 = nn.reduce mean %0 axes [1] {keep_dims} : tensor<4x8xf32>
  %2 = nn.binary add %1, %e : tensor<4x1xf32>, tensor<f32>
  %3 = nn.unary sqrt %2 : tensor<4x1xf32>
  %4 = nn.binary div %c, %3 : tensor<4x8xf32>, tensor<4x1xf32>
  %5 = nn.binary mul %4, %s : tensor<4x8xf32>, tensor<8xf32>
  %6 = nn.binary add %5, %b : tensor<4x8xf32>, tensor<8xf32>
  return %6 : tensor<4x8xf32>
}

// -----

// Without centering it is the root mean square; the reciprocal may come first.
// CHECK-LABEL: func.func @main(%arg0: tensor<4x8xf32>, %arg1: tensor<8xf32>)
// CHECK-NEXT:  nn.layer_norm %arg0 scale %arg1 : tensor<8xf32> axis 1 {{.*}}rms
// CHECK-NEXT:  return
func.func @main(%x: tensor<4x8xf32>, %s: tensor<8xf32>) -> tensor<4x8xf32> {
  %e = nn.constant dense<1.0e-6> : tensor<f32>
  %0 = nn.binary mul %x, %x : tensor<4x8xf32>, tensor<4x8xf32>
  %1 = nn.reduce mean %0 axes [1] {keep_dims} : tensor<4x8xf32>
  %2 = nn.binary add %1, %e : tensor<4x1xf32>, tensor<f32>
  %3 = nn.unary sqrt %2 : tensor<4x1xf32>
  %4 = nn.unary reciprocal %3 : tensor<4x1xf32>
  %5 = nn.binary mul %x, %4 : tensor<4x8xf32>, tensor<4x1xf32>
  %6 = nn.binary mul %s, %5 : tensor<8xf32>, tensor<4x8xf32>
  return %6 : tensor<4x8xf32>
}

// -----

// A mean over the first axis normalizes no rows.
// CHECK-LABEL: func.func @main
// CHECK-NOT:   nn.layer_norm
func.func @main(%x: tensor<8x8xf32>, %s: tensor<8xf32>) -> tensor<8x8xf32> {
  %e = nn.constant dense<1.0e-6> : tensor<f32>
  %0 = nn.binary mul %x, %x : tensor<8x8xf32>, tensor<8x8xf32>
  %1 = nn.reduce mean %0 axes [0] {keep_dims} : tensor<8x8xf32>
  %2 = nn.binary add %1, %e : tensor<1x8xf32>, tensor<f32>
  %3 = nn.unary sqrt %2 : tensor<1x8xf32>
  %4 = nn.binary div %x, %3 : tensor<8x8xf32>, tensor<1x8xf32>
  %5 = nn.binary mul %4, %s : tensor<8x8xf32>, tensor<8xf32>
  return %5 : tensor<8x8xf32>
}
