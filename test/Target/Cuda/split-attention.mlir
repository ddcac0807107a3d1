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

// 16-bit operands that cuDNN does not take: scores are f32, weights bf16 again. Heads that share a head of the key are one matrix; a condition hides
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

// -----

// bf16 with features that are multiples of 8 stays one kernel, which cuDNN does: heads are read where they lie and left
// where they shall be.
// CHECK-LABEL: func.func @main
// CHECK:       %[[Y:.*]] = nn.kernel "y" ins(%{{.*}} = %arg0 : tensor<2x5x96xbf16>) -> (tensor<2x5x32xbf16>)
// CHECK:         nn.slice
// CHECK:         nn.attention
// CHECK:         nn.reshape
// CHECK:       return %[[Y]]
func.func @main(%x: tensor<2x5x96xbf16>) -> tensor<2x5x32xbf16> {
  %0 = nn.kernel "y" ins(%i = %x : tensor<2x5x96xbf16>) -> (tensor<2x5x32xbf16>) {
    %1 = nn.slice %i from <[0, 0, 0]> step [1, 1, 1] : tensor<2x5x96xbf16> to tensor<2x5x32xbf16>
    %2 = nn.slice %i from <[0, 0, 64]> step [1, 1, 1] : tensor<2x5x96xbf16> to tensor<2x5x32xbf16>
    %3 = nn.reshape %1 : tensor<2x5x32xbf16> to tensor<2x5x4x8xbf16>
    %4 = nn.reshape %2 : tensor<2x5x32xbf16> to tensor<2x5x4x8xbf16>
    %5 = nn.transpose %3 [0, 2, 1, 3] : tensor<2x5x4x8xbf16>
    %6 = nn.transpose %4 [0, 2, 1, 3] : tensor<2x5x4x8xbf16>
    %7 = nn.attention %5, %6, %6 {scale = 1.0 : f64} : tensor<2x4x5x8xbf16>, tensor<2x4x5x8xbf16>, tensor<2x4x5x8xbf16>
    %8 = nn.transpose %7 [0, 2, 1, 3] : tensor<2x4x5x8xbf16>
    %9 = nn.reshape %8 : tensor<2x5x4x8xbf16> to tensor<2x5x32xbf16>
    nn.yield %9 : tensor<2x5x32xbf16>
  }
  return %0 : tensor<2x5x32xbf16>
}

// -----

// What cuDNN does not do is cut off: a query that is computed, a condition, which becomes a mask that is added, a transpose
// behind which features are no neighbours, and what is done to the result.
// CHECK-LABEL: func.func @main
// CHECK:       %[[Q:.*]] = nn.kernel "y.query"
// CHECK:         nn.unary tanh
// CHECK:       %[[M:.*]] = nn.kernel "y.mask" ins(%[[C:.*]] = %arg3 : tensor<5x7xi1>) -> (tensor<5x7xbf16>)
// CHECK-DAG:     %[[S:.*]] = nn.constant dense<0.000000e+00> : tensor<bf16>
// CHECK-DAG:     %[[H:.*]] = nn.constant dense<0xFF80> : tensor<bf16>
// CHECK:         nn.select %[[C]], %[[S]], %[[H]]
// CHECK:       %[[A:.*]] = nn.kernel "y.attention" ins(%{{.*}} = %[[Q]] : tensor<1x6x5x8xbf16>, %{{.*}} = %arg1 : tensor<1x2x7x8xbf16>, %{{.*}} = %arg2 : tensor<1x2x7x16xbf16>, %[[I:.*]] = %[[M]] : tensor<5x7xbf16>) -> (tensor<1x5x6x16xbf16>)
// CHECK-NEXT:    nn.attention %{{.*}}, %{{.*}}, %{{.*}} mask %[[I]]
// CHECK-NEXT:    nn.transpose %{{.*}} [0, 2, 1, 3]
// CHECK-NEXT:    nn.yield
// CHECK:       nn.kernel "y" ins(%{{.*}} = %[[A]] : tensor<1x5x6x16xbf16>)
// CHECK-NEXT:    nn.transpose %{{.*}} [0, 1, 3, 2]
// CHECK-NEXT:    nn.unary relu
func.func @main(%q: tensor<1x6x5x8xbf16>, %k: tensor<1x2x7x8xbf16>, %v: tensor<1x2x7x16xbf16>, %m: tensor<5x7xi1>) -> tensor<1x5x16x6xbf16> {
  %0 = nn.kernel "y" ins(%i = %q : tensor<1x6x5x8xbf16>, %j = %k : tensor<1x2x7x8xbf16>, %l = %v : tensor<1x2x7x16xbf16>, %c = %m : tensor<5x7xi1>) -> (tensor<1x5x16x6xbf16>) {
    %1 = nn.unary tanh %i : tensor<1x6x5x8xbf16>
    %2 = nn.attention %1, %j, %l mask %c : tensor<5x7xi1> {scale = 1.0 : f64} : tensor<1x6x5x8xbf16>, tensor<1x2x7x8xbf16>, tensor<1x2x7x16xbf16>
    %3 = nn.transpose %2 [0, 2, 1, 3] : tensor<1x6x5x16xbf16>
    %4 = nn.transpose %3 [0, 1, 3, 2] : tensor<1x5x6x16xbf16>
    %5 = nn.unary relu %4 {nn.tensor = "y"} : tensor<1x5x16x6xbf16>
    nn.yield %5 : tensor<1x5x16x6xbf16>
  }
  return %0 : tensor<1x5x16x6xbf16>
}

// -----

// Rows that see nothing shall be zeros, which cuDNN does not promise: the mask tells which these are.
// CHECK-LABEL: func.func @main
// CHECK:       %[[M:.*]] = nn.kernel "y.mask"
// CHECK:       %[[A:.*]] = nn.kernel "y.attention"
// CHECK-NEXT:    nn.attention {{.*}} {scale = 1.000000e+00 : f64}
// CHECK:       nn.kernel "y"
// CHECK-DAG:     %[[T:.*]] = nn.reduce max %{{.*}} axes [1] {keep_dims} : tensor<5x7xf16>
// CHECK-DAG:     %[[I:.*]] = nn.compare eq %[[T]]
// CHECK:         nn.select %[[I]], %{{.*}}, %{{.*}} {nn.tensor = "y"} : tensor<5x1xi1>, tensor<f16>, tensor<1x2x5x8xf16>
func.func @main(%q: tensor<1x2x5x8xf16>, %k: tensor<1x2x7x8xf16>, %m: tensor<5x7xi1>) -> tensor<1x2x5x8xf16> {
  %0 = nn.kernel "y" ins(%i = %q : tensor<1x2x5x8xf16>, %j = %k : tensor<1x2x7x8xf16>, %c = %m : tensor<5x7xi1>) -> (tensor<1x2x5x8xf16>) {
    %1 = nn.attention %i, %j, %j mask %c : tensor<5x7xi1> {nn.tensor = "y", scale = 1.0 : f64, zero_masked_rows} : tensor<1x2x5x8xf16>, tensor<1x2x7x8xf16>, tensor<1x2x7x8xf16>
    nn.yield %1 : tensor<1x2x5x8xf16>
  }
  return %0 : tensor<1x2x5x8xf16>
}
