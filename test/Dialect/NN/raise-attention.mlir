// RUN: penstock-opt %s --nn-raise-attention --split-input-file | FileCheck %s
// RUN: penstock-opt %s --nn-raise-attention --nn-raise-attention --split-input-file | FileCheck %s

// Products are scaled, a mask is added; the key is transposed by the product.
// CHECK-LABEL: func.func @main(%arg0
// CHECK-NEXT:  %[[R:.*]] = nn.attention %arg0, %arg1, %arg2 mask %arg3 : tensor<1x1x5x7xf32> {nn.tensor = "y", scale = 1.250000e-01 : f64} : tensor<1x2x5x64xf32>, tensor<1x2x7x64xf32>, tensor<1x2x7x64xf32>
// CHECK-NEXT:  return %[[R]]
func.func @main(%q: tensor<1x2x5x64xf32>, %k: tensor<1x2x7x64xf32>, %v: tensor<1x2x7x64xf32>, %m: tensor<1x1x5x7xf32>) -> tensor<1x2x5x64xf32> {
  %s = nn.constant dense<0.125> : tensor<f32>
  %0 = nn.matmul %q, %k {transpose_rhs} : tensor<1x2x5x64xf32>, tensor<1x2x7x64xf32>
  %1 = nn.binary mul %0, %s : tensor<1x2x5x7xf32>, tensor<f32>
  %2 = nn.binary add %m, %1 : tensor<1x1x5x7xf32>, tensor<1x2x5x7xf32>
  %3 = nn.softmax %2 axis 3 : tensor<1x2x5x7xf32>
  %4 = nn.matmul %3, %v {nn.tensor = "y"} : tensor<1x2x5x7xf32>, tensor<1x2x7x64xf32>
  return %4 : tensor<1x2x5x64xf32>
}

// -----

// The scale is divided among query and key, below movements; a key that comes transposed is turned back.
// CHECK-LABEL: func.func @main(%arg0
// CHECK:       nn.attention %arg0, %arg1, %arg2 {scale = 2.500000e-01 : f64}
func.func @main(%q: tensor<2x5x4xf32>, %k: tensor<2x7x4xf32>, %v: tensor<2x7x3xf32>) -> tensor<2x5x3xf32> {
  %half = nn.constant dense<0.5> : tensor<1xf32>
  %two = nn.constant dense<2.0> : tensor<f32>
  %0 = nn.binary mul %q, %half : tensor<2x5x4xf32>, tensor<1xf32>
  %1 = nn.binary div %k, %two : tensor<2x7x4xf32>, tensor<f32>
  %2 = nn.transpose %1 [0, 2, 1] : tensor<2x7x4xf32>
  %3 = nn.matmul %0, %2 : tensor<2x5x4xf32>, tensor<2x4x7xf32>
  %4 = nn.softmax %3 axis 2 : tensor<2x5x7xf32>
  %5 = nn.matmul %4, %v : tensor<2x5x7xf32>, tensor<2x7x3xf32>
  return %5 : tensor<2x5x3xf32>
}

// -----

// Heads of key and value that are repeated are read once; the extents may be symbols.
// CHECK-LABEL: func.func @main(%arg0
// CHECK-NEXT:  nn.attention %arg0, %arg1, %arg2 {scale = 1.000000e+00 : f64} : tensor<1x4x?x8xf32, #nn.extents<[s0]>>, tensor<1x2x?x8xf32, #nn.extents<[s0]>>, tensor<1x2x?x8xf32, #nn.extents<[s0]>>
nn.symbol @n = 0 root
func.func @main(%q: tensor<1x4x?x8xf32, #nn.extents<[s0]>>, %k: tensor<1x2x?x8xf32, #nn.extents<[s0]>>, %v: tensor<1x2x?x8xf32, #nn.extents<[s0]>>) -> tensor<1x4x?x8xf32, #nn.extents<[s0]>> {
  %0 = nn.reshape %k : tensor<1x2x?x8xf32, #nn.extents<[s0]>> to tensor<1x2x1x?x8xf32, #nn.extents<[s0]>>
  %1 = nn.broadcast_to %0 : tensor<1x2x1x?x8xf32, #nn.extents<[s0]>> to tensor<1x2x2x?x8xf32, #nn.extents<[s0]>>
  %2 = nn.reshape %1 : tensor<1x2x2x?x8xf32, #nn.extents<[s0]>> to tensor<1x4x?x8xf32, #nn.extents<[s0]>>
  %3 = nn.reshape %v : tensor<1x2x?x8xf32, #nn.extents<[s0]>> to tensor<1x2x1x?x8xf32, #nn.extents<[s0]>>
  %4 = nn.broadcast_to %3 : tensor<1x2x1x?x8xf32, #nn.extents<[s0]>> to tensor<1x2x2x?x8xf32, #nn.extents<[s0]>>
  %5 = nn.reshape %4 : tensor<1x2x2x?x8xf32, #nn.extents<[s0]>> to tensor<1x4x?x8xf32, #nn.extents<[s0]>>
  %6 = nn.matmul %q, %2 {transpose_rhs} : tensor<1x4x?x8xf32, #nn.extents<[s0]>>, tensor<1x4x?x8xf32, #nn.extents<[s0]>>
  %7 = nn.softmax %6 axis 3 : tensor<1x4x?x?xf32, #nn.extents<[s0, s0]>>
  %8 = nn.matmul %7, %5 : tensor<1x4x?x?xf32, #nn.extents<[s0, s0]>>, tensor<1x4x?x8xf32, #nn.extents<[s0]>>
  return %8 : tensor<1x4x?x8xf32, #nn.extents<[s0]>>
}

// -----

// Two choices of minus infinity are one condition; the guard against rows that see nothing is kept.
// CHECK-LABEL: func.func @main(%arg0
// CHECK:       %[[N:.*]] = nn.unary logical_not %arg4
// CHECK:       %[[M:.*]] = nn.binary logical_and %[[N]], %arg3
// CHECK:       nn.attention %arg0, %arg1, %arg2 mask %[[M]] : tensor<5x7xi1> {scale = 1.000000e+00 : f64, zero_masked_rows}
func.func @main(%q: tensor<2x5x4xf32>, %k: tensor<2x7x4xf32>, %v: tensor<2x7x3xf32>, %m: tensor<5x7xi1>, %h: tensor<7xi1>) -> tensor<2x5x3xf32> {
  %inf = nn.constant dense<0xFF800000> : tensor<f32>
  %zero = nn.constant dense<0.0> : tensor<f32>
  %0 = nn.matmul %q, %k {transpose_rhs} : tensor<2x5x4xf32>, tensor<2x7x4xf32>
  %1 = nn.select %h, %inf, %0 : tensor<7xi1>, tensor<f32>, tensor<2x5x7xf32>
  %2 = nn.select %m, %1, %inf : tensor<5x7xi1>, tensor<2x5x7xf32>, tensor<f32>
  %3 = nn.softmax %2 axis 2 : tensor<2x5x7xf32>
  %4 = nn.unary is_nan %3 : tensor<2x5x7xf32>
  %5 = nn.select %4, %zero, %3 : tensor<2x5x7xi1>, tensor<f32>, tensor<2x5x7xf32>
  %6 = nn.matmul %5, %v : tensor<2x5x7xf32>, tensor<2x7x3xf32>
  return %6 : tensor<2x5x3xf32>
}

// -----

// A row that is hidden by a finite number throughout looks everywhere: the number is added.
// CHECK-LABEL: func.func @main(%arg0
// CHECK:       %[[M:.*]] = nn.select %arg3,
// CHECK:       %[[B:.*]] = nn.binary add %arg4, %[[M]]
// CHECK:       nn.attention %arg0, %arg1, %arg2 mask %[[B]]
func.func @main(%q: tensor<2x5x4xf32>, %k: tensor<2x7x4xf32>, %v: tensor<2x7x3xf32>, %m: tensor<5x7xi1>, %b: tensor<5x7xf32>) -> tensor<2x5x3xf32> {
  %low = nn.constant dense<-3.40282347E+38> : tensor<f32>
  %0 = nn.matmul %q, %k {transpose_rhs} : tensor<2x5x4xf32>, tensor<2x7x4xf32>
  %1 = nn.binary add %0, %b : tensor<2x5x7xf32>, tensor<5x7xf32>
  %2 = nn.select %m, %1, %low : tensor<5x7xi1>, tensor<2x5x7xf32>, tensor<f32>
  %3 = nn.softmax %2 axis 2 : tensor<2x5x7xf32>
  %4 = nn.matmul %3, %v : tensor<2x5x7xf32>, tensor<2x7x3xf32>
  return %4 : tensor<2x5x3xf32>
}

// -----

// A softmax in single precision between products in half precision.
// CHECK-LABEL: func.func @main(%arg0
// CHECK-NEXT:  nn.attention %arg0, %arg1, %arg2 {scale = 1.000000e+00 : f64} : tensor<2x5x4xf16>
func.func @main(%q: tensor<2x5x4xf16>, %k: tensor<2x7x4xf16>, %v: tensor<2x7x3xf16>) -> tensor<2x5x3xf16> {
  %0 = nn.matmul %q, %k {transpose_rhs} : tensor<2x5x4xf16>, tensor<2x7x4xf16>
  %1 = nn.cast %0 to f32 : tensor<2x5x7xf16>
  %2 = nn.softmax %1 axis 2 : tensor<2x5x7xf32>
  %3 = nn.cast %2 to f16 : tensor<2x5x7xf32>
  %4 = nn.matmul %3, %v : tensor<2x5x7xf16>, tensor<2x7x3xf16>
  return %4 : tensor<2x5x3xf16>
}

// -----

// ONNX's own function body: rows that a mask hides are zeros; where there is no mask, zeros are added.
// CHECK-LABEL: func.func @main(%arg0
// CHECK:       %[[A:.*]] = nn.attention %arg0, %arg1, %arg2 mask %arg3 : tensor<5x7xf32> {scale = 1.000000e+00 : f64, zero_masked_rows}
// CHECK:       %[[B:.*]] = nn.attention %arg0, %arg1, %arg2 {scale = 1.000000e+00 : f64}
// CHECK:       return %[[A]], %[[B]]
func.func @main(%q: tensor<2x5x4xf32>, %k: tensor<2x7x4xf32>, %v: tensor<2x7x3xf32>, %m: tensor<5x7xf32>) -> (tensor<2x5x3xf32>, tensor<2x5x3xf32>) {
  %inf = nn.constant dense<0xFF800000> : tensor<1xf32>
  %zero = nn.constant dense<0.0> : tensor<1xf32>
  %none = nn.constant dense<0.0> : tensor<5x7xf32>
  %0 = nn.matmul %q, %k {transpose_rhs} : tensor<2x5x4xf32>, tensor<2x7x4xf32>
  %1 = nn.binary add %0, %m : tensor<2x5x7xf32>, tensor<5x7xf32>
  %2 = nn.softmax %1 axis 2 : tensor<2x5x7xf32>
  %3 = nn.reduce max %m axes [1] {keep_dims} : tensor<5x7xf32>
  %4 = nn.compare eq %3, %inf : tensor<5x1xf32>, tensor<1xf32>
  %5 = nn.select %4, %zero, %2 : tensor<5x1xi1>, tensor<1xf32>, tensor<2x5x7xf32>
  %6 = nn.matmul %5, %v : tensor<2x5x7xf32>, tensor<2x7x3xf32>
  %7 = nn.matmul %q, %k {transpose_rhs} : tensor<2x5x4xf32>, tensor<2x7x4xf32>
  %8 = nn.binary add %7, %none : tensor<2x5x7xf32>, tensor<5x7xf32>
  %9 = nn.softmax %8 axis 2 : tensor<2x5x7xf32>
  %10 = nn.matmul %9, %v : tensor<2x5x7xf32>, tensor<2x7x3xf32>
  return %6, %10 : tensor<2x5x3xf32>, tensor<2x5x3xf32>
}

// -----

// A guard over another mask says nothing about these rows.
// CHECK-LABEL: func.func @main
// CHECK-NOT:   nn.attention
func.func @main(%q: tensor<2x5x4xf32>, %k: tensor<2x7x4xf32>, %v: tensor<2x7x3xf32>, %m: tensor<5x7xf32>, %n: tensor<5x7xf32>) -> tensor<2x5x3xf32> {
  %inf = nn.constant dense<0xFF800000> : tensor<1xf32>
  %zero = nn.constant dense<0.0> : tensor<1xf32>
  %0 = nn.matmul %q, %k {transpose_rhs} : tensor<2x5x4xf32>, tensor<2x7x4xf32>
  %1 = nn.binary add %0, %m : tensor<2x5x7xf32>, tensor<5x7xf32>
  %2 = nn.softmax %1 axis 2 : tensor<2x5x7xf32>
  %3 = nn.reduce max %n axes [1] {keep_dims} : tensor<5x7xf32>
  %4 = nn.compare eq %3, %inf : tensor<5x1xf32>, tensor<1xf32>
  %5 = nn.select %4, %zero, %2 : tensor<5x1xi1>, tensor<1xf32>, tensor<2x5x7xf32>
  %6 = nn.matmul %5, %v : tensor<2x5x7xf32>, tensor<2x7x3xf32>
  return %6 : tensor<2x5x3xf32>
}

// -----

// What others read is not made by an attention.
// CHECK-LABEL: func.func @main
// CHECK-NOT:   nn.attention
func.func @main(%q: tensor<2x5x4xf32>, %k: tensor<2x7x4xf32>, %v: tensor<2x7x3xf32>) -> (tensor<2x5x3xf32>, tensor<2x5x7xf32>) {
  %0 = nn.matmul %q, %k {transpose_rhs} : tensor<2x5x4xf32>, tensor<2x7x4xf32>
  %1 = nn.softmax %0 axis 2 : tensor<2x5x7xf32>
  %2 = nn.matmul %1, %v : tensor<2x5x7xf32>, tensor<2x7x3xf32>
  return %2, %1 : tensor<2x5x3xf32>, tensor<2x5x7xf32>
}

// -----

// A softmax over rows instead of positions, and a scale around the mask, are something else.
// CHECK-LABEL: func.func @main
// CHECK-NOT:   nn.attention
func.func @main(%q: tensor<2x5x4xf32>, %k: tensor<2x7x4xf32>, %v: tensor<2x7x3xf32>, %m: tensor<5x7xf32>) -> (tensor<2x5x3xf32>, tensor<2x5x3xf32>) {
  %two = nn.constant dense<2.0> : tensor<f32>
  %0 = nn.matmul %q, %k {transpose_rhs} : tensor<2x5x4xf32>, tensor<2x7x4xf32>
  %1 = nn.softmax %0 axis 1 : tensor<2x5x7xf32>
  %2 = nn.matmul %1, %v : tensor<2x5x7xf32>, tensor<2x7x3xf32>
  %3 = nn.matmul %q, %k {transpose_rhs} : tensor<2x5x4xf32>, tensor<2x7x4xf32>
  %4 = nn.binary add %3, %m : tensor<2x5x7xf32>, tensor<5x7xf32>
  %5 = nn.binary mul %4, %two : tensor<2x5x7xf32>, tensor<f32>
  %6 = nn.softmax %5 axis 2 : tensor<2x5x7xf32>
  %7 = nn.matmul %6, %v : tensor<2x5x7xf32>, tensor<2x7x3xf32>
  return %2, %7 : tensor<2x5x3xf32>, tensor<2x5x3xf32>
}

// -----

// A mask that makes the scores more, and products whose leading axes broadcast.
// CHECK-LABEL: func.func @main
// CHECK-NOT:   nn.attention
func.func @main(%q: tensor<1x5x4xf32>, %k: tensor<1x7x4xf32>, %v: tensor<2x7x3xf32>, %m: tensor<2x5x7xf32>) -> (tensor<2x5x3xf32>, tensor<2x5x3xf32>) {
  %0 = nn.matmul %q, %k {transpose_rhs} : tensor<1x5x4xf32>, tensor<1x7x4xf32>
  %1 = nn.binary add %0, %m : tensor<1x5x7xf32>, tensor<2x5x7xf32>
  %2 = nn.softmax %1 axis 2 : tensor<2x5x7xf32>
  %3 = nn.matmul %2, %v : tensor<2x5x7xf32>, tensor<2x7x3xf32>
  %4 = nn.matmul %q, %k {transpose_rhs} : tensor<1x5x4xf32>, tensor<1x7x4xf32>
  %5 = nn.softmax %4 axis 2 : tensor<1x5x7xf32>
  %6 = nn.matmul %5, %v : tensor<1x5x7xf32>, tensor<2x7x3xf32>
  return %3, %6 : tensor<2x5x3xf32>, tensor<2x5x3xf32>
}
