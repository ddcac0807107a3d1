// RUN: penstock-opt %s --nn-raise-attention --split-input-file | FileCheck %s

// Heads are rotated before they are brought together.
// CHECK-LABEL: func.func @main(%arg0
// CHECK-NOT:   nn.transpose
// CHECK-DAG:   %[[C:.*]] = nn.reshape %arg1 : tensor<1x1x5x4xf32> to tensor<1x5x1x4xf32>
// CHECK-DAG:   %[[A:.*]] = nn.binary mul %arg0, %[[C]]
// CHECK-DAG:   %[[L:.*]] = nn.slice %arg0 from <[0, 0, 0, 0]> step [1, 1, 1, 1] : tensor<1x5x2x4xf32> to tensor<1x5x2x2xf32>
// CHECK-DAG:   %[[H:.*]] = nn.slice %arg0 from <[0, 0, 0, 2]> step [1, 1, 1, 1] : tensor<1x5x2x4xf32> to tensor<1x5x2x2xf32>
// CHECK-DAG:   %[[N:.*]] = nn.unary neg %[[H]]
// CHECK:       %[[T:.*]] = nn.concat %[[N]], %[[L]] axis 3 : tensor<1x5x2x2xf32>, tensor<1x5x2x2xf32>
// CHECK:       %[[S:.*]] = nn.binary add %[[A]], %[[T]]
// CHECK-NEXT:  %[[Q:.*]] = nn.transpose %[[S]] [0, 2, 1, 3] {nn.tensor = "rotated"}
// CHECK-NEXT:  nn.attention %[[Q]], %arg2, %arg2
func.func @main(%x: tensor<1x5x2x4xf32>, %cos: tensor<1x1x5x4xf32>, %k: tensor<1x2x7x4xf32>) -> tensor<1x2x5x4xf32> {
  %t = nn.transpose %x [0, 2, 1, 3] : tensor<1x5x2x4xf32>
  %0 = nn.binary mul %t, %cos : tensor<1x2x5x4xf32>, tensor<1x1x5x4xf32>
  %1 = nn.slice %t from <[0, 0, 0, 0]> step [1, 1, 1, 1] : tensor<1x2x5x4xf32> to tensor<1x2x5x2xf32>
  %2 = nn.slice %t from <[0, 0, 0, 2]> step [1, 1, 1, 1] : tensor<1x2x5x4xf32> to tensor<1x2x5x2xf32>
  %3 = nn.unary neg %2 : tensor<1x2x5x2xf32>
  %4 = nn.concat %3, %1 axis 3 : tensor<1x2x5x2xf32>, tensor<1x2x5x2xf32>
  %5 = nn.binary add %0, %4 {nn.tensor = "rotated"} : tensor<1x2x5x4xf32>, tensor<1x2x5x4xf32>
  %6 = nn.attention %5, %k, %k {scale = 5.0e-01 : f64} : tensor<1x2x5x4xf32>, tensor<1x2x7x4xf32>, tensor<1x2x7x4xf32>
  return %6 : tensor<1x2x5x4xf32>
}

// -----

// A factor that moves along with its axes, and a value that others read, stay behind the transpose.
// CHECK-LABEL: func.func @main
// CHECK:       %[[T:.*]] = nn.transpose %arg0
// CHECK:       nn.binary mul %[[T]], %arg1
// CHECK:       %[[U:.*]] = nn.transpose %arg0
// CHECK:       nn.unary tanh %[[U]]
func.func @main(%x: tensor<1x5x2x4xf32>, %f: tensor<1x2x5x1xf32>, %k: tensor<1x2x7x4xf32>) -> (tensor<1x2x5x4xf32>, tensor<1x2x5x4xf32>, tensor<1x2x5x4xf32>) {
  %t = nn.transpose %x [0, 2, 1, 3] : tensor<1x5x2x4xf32>
  %0 = nn.binary mul %t, %f : tensor<1x2x5x4xf32>, tensor<1x2x5x1xf32>
  %1 = nn.attention %0, %k, %k {scale = 5.0e-01 : f64} : tensor<1x2x5x4xf32>, tensor<1x2x7x4xf32>, tensor<1x2x7x4xf32>
  %u = nn.transpose %x [0, 2, 1, 3] : tensor<1x5x2x4xf32>
  %2 = nn.unary tanh %u : tensor<1x2x5x4xf32>
  %3 = nn.attention %2, %k, %k {scale = 5.0e-01 : f64} : tensor<1x2x5x4xf32>, tensor<1x2x7x4xf32>, tensor<1x2x7x4xf32>
  return %1, %2, %3 : tensor<1x2x5x4xf32>, tensor<1x2x5x4xf32>, tensor<1x2x5x4xf32>
}
