// RUN: penstock-opt %s --cuda-split-attention --split-input-file | FileCheck %s

// Scores with their scale, weights, and the product with the value, which keeps the name of the tensor.
// CHECK-LABEL: func.func @main
// CHECK:       %[[S:.*]] = nn.kernel "y.scores" ins(%[[Q:.*]] = %arg0 : tensor<2x4x8xf32>, %[[K:.*]] = %arg1 : tensor<2x5x8xf32>) -> (tensor<2x4x5xf32>)
// CHECK-DAG:     %[[F:.*]] = nn.constant dense<5.000000e-01> : tensor<f32>
// CHECK-DAG:     %[[M:.*]] = nn.matmul %[[Q]], %[[K]] {transpose_rhs}
// CHECK:         %[[R:.*]] = nn.binary mul %[[M]], %[[F]]
// CHECK:         nn.yield %[[R]]
// CHECK:       %[[W:.*]] = nn.kernel "y.weights" ins(%[[X:.*]] = %[[S]] : tensor<2x4x5xf32>)
// CHECK-NEXT:    nn.softmax %[[X]] axis 2
// CHECK-NEXT:    nn.yield
// CHECK:       nn.kernel "y" ins(%[[P:.*]] = %[[W]] : tensor<2x4x5xf32>, %[[V:.*]] = %arg2 : tensor<2x5x8xf32>)
// CHECK-SAME:    nn.tensors = ["y"]
// CHECK-NEXT:    nn.matmul %[[P]], %[[V]] {nn.tensor = "y"}
// CHECK-NEXT:    nn.yield
func.func @main(%q: tensor<2x4x8xf32>, %k: tensor<2x5x8xf32>, %v: tensor<2x5x8xf32>) -> tensor<2x4x8xf32> {
  %0 = nn.kernel "y" ins(%i = %q : tensor<2x4x8xf32>, %j = %k : tensor<2x5x8xf32>, %l = %v : tensor<2x5x8xf32>) -> (tensor<2x4x8xf32>) {
    %1 = nn.attention %i, %j, %l {nn.tensor = "y", scale = 5.0e-01 : f64} : tensor<2x4x8xf32>, tensor<2x5x8xf32>, tensor<2x5x8xf32>
    nn.yield %1 : tensor<2x4x8xf32>
  }
  return %0 : tensor<2x4x8xf32>
}

// -----

// 16-bit operands: scores are f32, weights bf16 again. Heads that share a head of the key are one matrix; a condition hides
// positions, and rows that see none are zeros.
// CHECK-LABEL: func.func @main
// CHECK:       %[[S:.*]] = nn.kernel "y.scores" {{.*}} -> (tensor<1x2x15x7xf32>)
// CHECK-DAG:     nn.reshape %{{.*}} : tensor<1x6x5x8xbf16> to tensor<1x2x15x8xbf16>
// CHECK-DAG:     nn.cast %{{.*}} to f32 : tensor<1x2x15x8xbf16>
// CHECK-DAG:     nn.cast %{{.*}} to f32 : tensor<1x2x7x8xbf16>
// CHECK:         nn.matmul %{{.*}}, %{{.*}} {transpose_rhs} : tensor<1x2x15x8xf32>, tensor<1x2x7x8xf32>
// CHECK:       nn.kernel "y.weights" {{.*}} -> (tensor<1x2x15x7xbf16>)
// CHECK:         nn.reshape %{{.*}} : tensor<1x2x15x7xf32> to tensor<1x6x5x7xf32>
// CHECK:         %[[H:.*]] = nn.select
// CHECK:         nn.softmax %[[H]] axis 3
// CHECK:         nn.reduce max %[[H]]
// CHECK:         nn.compare eq
// CHECK:         nn.select
// CHECK:         nn.cast %{{.*}} to bf16
// CHECK:         nn.reshape
// CHECK:       nn.kernel "y"
// CHECK:         nn.matmul %{{.*}}, %{{.*}} : tensor<1x2x15x7xbf16>, tensor<1x2x7x9xbf16>
// CHECK:         nn.reshape %{{.*}} {nn.tensor = "y"} : tensor<1x2x15x9xbf16> to tensor<1x6x5x9xbf16>
func.func @main(%q: tensor<1x6x5x8xbf16>, %k: tensor<1x2x7x8xbf16>, %v: tensor<1x2x7x9xbf16>, %m: tensor<5x7xi1>) -> tensor<1x6x5x9xbf16> {
  %0 = nn.kernel "y" ins(%i = %q : tensor<1x6x5x8xbf16>, %j = %k : tensor<1x2x7x8xbf16>, %l = %v : tensor<1x2x7x9xbf16>, %c = %m : tensor<5x7xi1>) -> (tensor<1x6x5x9xbf16>) {
    %1 = nn.attention %i, %j, %l mask %c : tensor<5x7xi1> {nn.tensor = "y", scale = 1.0 : f64, zero_masked_rows} : tensor<1x6x5x8xbf16>, tensor<1x2x7x8xbf16>, tensor<1x2x7x9xbf16>
    nn.yield %1 : tensor<1x6x5x9xbf16>
  }
  return %0 : tensor<1x6x5x9xbf16>
}

// -----

// Rows of one product as query, key and value: each is brought together by a kernel. A key whose last axes are swapped is
// the library's to read.
// CHECK-LABEL: func.func @main
// CHECK:       nn.kernel "y.query"
// CHECK:         nn.slice
// CHECK:         nn.transpose
// CHECK:       nn.kernel "y.value"
// CHECK:       nn.kernel "y.scores"
// CHECK:         nn.transpose %{{.*}} [0, 2, 1]
// CHECK:       nn.kernel "y.weights"
// CHECK:       nn.kernel "y"
// CHECK:         nn.matmul
// CHECK:         nn.transpose
func.func @main(%x: tensor<5x3x16xf32>, %k: tensor<3x8x5xf32>) -> tensor<5x3x8xf32> {
  %0 = nn.kernel "y" ins(%i = %x : tensor<5x3x16xf32>, %j = %k : tensor<3x8x5xf32>) -> (tensor<5x3x8xf32>) {
    %1 = nn.slice %i from <[0, 0, 0]> step [1, 1, 1] : tensor<5x3x16xf32> to tensor<5x3x8xf32>
    %2 = nn.slice %i from <[0, 0, 8]> step [1, 1, 1] : tensor<5x3x16xf32> to tensor<5x3x8xf32>
    %3 = nn.transpose %1 [1, 0, 2] : tensor<5x3x8xf32>
    %4 = nn.transpose %2 [1, 0, 2] : tensor<5x3x8xf32>
    %5 = nn.transpose %j [0, 2, 1] : tensor<3x8x5xf32>
    %6 = nn.attention %3, %5, %4 {scale = 1.0 : f64} : tensor<3x5x8xf32>, tensor<3x5x8xf32>, tensor<3x5x8xf32>
    %7 = nn.transpose %6 [1, 0, 2] {nn.tensor = "y"} : tensor<3x5x8xf32>
    nn.yield %7 : tensor<5x3x8xf32>
  }
  return %0 : tensor<5x3x8xf32>
}

// -----

// A query that the kernel gives too is what its own kernel makes.
// CHECK-LABEL: func.func @main
// CHECK:       %[[Q:.*]] = nn.kernel "y.query"
// CHECK:       %[[Y:.*]] = nn.kernel "y" {{.*}} -> (tensor<3x5x8xf32>)
// CHECK:       return %[[Y]], %[[Q]]
func.func @main(%x: tensor<5x3x8xf32>, %k: tensor<3x5x8xf32>) -> (tensor<3x5x8xf32>, tensor<3x5x8xf32>) {
  %0:2 = nn.kernel "y" ins(%i = %x : tensor<5x3x8xf32>, %j = %k : tensor<3x5x8xf32>) -> (tensor<3x5x8xf32>, tensor<3x5x8xf32>) {
    %1 = nn.transpose %i [1, 0, 2] : tensor<5x3x8xf32>
    %2 = nn.attention %1, %j, %j {scale = 1.0 : f64} : tensor<3x5x8xf32>, tensor<3x5x8xf32>, tensor<3x5x8xf32>
    nn.yield %2, %1 : tensor<3x5x8xf32>, tensor<3x5x8xf32>
  }
  return %0#0, %0#1 : tensor<3x5x8xf32>, tensor<3x5x8xf32>
}

// -----

// f64 has no product of the library's.
// CHECK-LABEL: func.func @main
// CHECK:       nn.kernel "y"
// CHECK-NEXT:    nn.attention
// CHECK-NOT:   nn.kernel
func.func @main(%q: tensor<4x8xf64>, %k: tensor<5x8xf64>) -> tensor<4x8xf64> {
  %0 = nn.kernel "y" ins(%i = %q : tensor<4x8xf64>, %j = %k : tensor<5x8xf64>) -> (tensor<4x8xf64>) {
    %1 = nn.attention %i, %j, %j {scale = 1.0 : f64} : tensor<4x8xf64>, tensor<5x8xf64>, tensor<5x8xf64>
    nn.yield %1 : tensor<4x8xf64>
  }
  return %0 : tensor<4x8xf64>
}
