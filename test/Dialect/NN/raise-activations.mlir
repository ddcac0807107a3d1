// RUN: penstock-opt %s --nn-raise-activations --split-input-file | FileCheck %s

// The erf form of GELU, with the half multiplied last.
// CHECK-LABEL: func.func @main(%arg0
// CHECK-NEXT:  %[[Y:.*]] = nn.unary gelu %arg0 {nn.tensor = "y"}
// CHECK-NEXT:  return %[[Y]]
func.func @main(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %root = nn.constant dense<1.41421354> : tensor<f32>
  %one = nn.constant dense<1.0> : tensor<f32>
  %half = nn.constant dense<0.5> : tensor<f32>
  %0 = nn.binary div %x, %root : tensor<4x8xf32>, tensor<f32>
  %1 = nn.unary erf %0 : tensor<4x8xf32>
  %2 = nn.binary add %1, %one : tensor<4x8xf32>, tensor<f32>
  %3 = nn.binary mul %x, %2 : tensor<4x8xf32>, tensor<4x8xf32>
  %4 = nn.binary mul %3, %half {nn.tensor = "y"} : tensor<4x8xf32>, tensor<f32>
  return %4 : tensor<4x8xf32>
}

// -----

// The tanh form, with the cube as a power.
// CHECK-LABEL: func.func @main(%arg0
// CHECK-NEXT:  nn.unary gelu_tanh %arg0
// CHECK-NEXT:  return
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  %three = nn.constant dense<3.0> : tensor<f32>
  %k = nn.constant dense<0.044715> : tensor<f32>
  %r = nn.constant dense<0.797884583> : tensor<f32>
  %one = nn.constant dense<1.0> : tensor<f32>
  %half = nn.constant dense<0.5> : tensor<f32>
  %h = nn.binary mul %half, %x : tensor<f32>, tensor<4xf32>
  %0 = nn.binary pow %x, %three : tensor<4xf32>, tensor<f32>
  %1 = nn.binary mul %0, %k : tensor<4xf32>, tensor<f32>
  %2 = nn.binary add %x, %1 : tensor<4xf32>, tensor<4xf32>
  %3 = nn.binary mul %2, %r : tensor<4xf32>, tensor<f32>
  %4 = nn.unary tanh %3 : tensor<4xf32>
  %5 = nn.binary add %4, %one : tensor<4xf32>, tensor<f32>
  %6 = nn.binary mul %h, %5 : tensor<4xf32>, tensor<4xf32>
  return %6 : tensor<4xf32>
}

// -----

// x * sigmoid(x), and x * clamp(x + 3, 0, 6) / 6.
// CHECK-LABEL: func.func @main(%arg0
// CHECK-DAG:   nn.unary silu %arg0
// CHECK-DAG:   nn.unary hard_swish %arg0
// CHECK-NOT:   nn.binary
func.func @main(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %0 = nn.unary sigmoid %x : tensor<4xf32>
  %1 = nn.binary mul %0, %x : tensor<4xf32>, tensor<4xf32>
  %three = nn.constant dense<3.0> : tensor<f32>
  %zero = nn.constant dense<0.0> : tensor<f32>
  %six = nn.constant dense<6.0> : tensor<f32>
  %2 = nn.binary add %x, %three : tensor<4xf32>, tensor<f32>
  %3 = nn.binary maximum %2, %zero : tensor<4xf32>, tensor<f32>
  %4 = nn.binary minimum %3, %six : tensor<4xf32>, tensor<f32>
  %5 = nn.binary mul %x, %4 : tensor<4xf32>, tensor<4xf32>
  %6 = nn.binary div %5, %six : tensor<4xf32>, tensor<f32>
  return %1, %6 : tensor<4xf32>, tensor<4xf32>
}

// -----

// The gate of another value is no activation, and a different number is none either.
// CHECK-LABEL: func.func @main
// CHECK:       nn.unary sigmoid
// CHECK:       nn.binary mul
// CHECK:       nn.unary erf
func.func @main(%x: tensor<4xf32>, %y: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %0 = nn.unary sigmoid %y : tensor<4xf32>
  %1 = nn.binary mul %0, %x : tensor<4xf32>, tensor<4xf32>
  %root = nn.constant dense<1.5> : tensor<f32>
  %one = nn.constant dense<1.0> : tensor<f32>
  %half = nn.constant dense<0.5> : tensor<f32>
  %2 = nn.binary div %x, %root : tensor<4xf32>, tensor<f32>
  %3 = nn.unary erf %2 : tensor<4xf32>
  %4 = nn.binary add %3, %one : tensor<4xf32>, tensor<f32>
  %5 = nn.binary mul %x, %4 : tensor<4xf32>, tensor<4xf32>
  %6 = nn.binary mul %5, %half : tensor<4xf32>, tensor<f32>
  return %1, %6 : tensor<4xf32>, tensor<4xf32>
}

// -----

// Constants as rounding to bf16 leaves them; one that is another number after all is not taken.
// CHECK-LABEL: func.func @main(%arg0
// CHECK-NEXT:  %[[Y:.*]] = nn.unary gelu_tanh %arg0
// CHECK-NEXT:  return %[[Y]]
func.func @main(%x: tensor<4x8xbf16>) -> tensor<4x8xbf16> {
  %three = nn.constant dense<3.0> : tensor<bf16>
  %small = nn.constant dense<4.467770e-02> : tensor<bf16>
  %root = nn.constant dense<7.968750e-01> : tensor<bf16>
  %one = nn.constant dense<1.0> : tensor<bf16>
  %half = nn.constant dense<0.5> : tensor<bf16>
  %0 = nn.binary pow %x, %three : tensor<4x8xbf16>, tensor<bf16>
  %1 = nn.binary mul %0, %small : tensor<4x8xbf16>, tensor<bf16>
  %2 = nn.binary add %x, %1 : tensor<4x8xbf16>, tensor<4x8xbf16>
  %3 = nn.binary mul %2, %root : tensor<4x8xbf16>, tensor<bf16>
  %4 = nn.unary tanh %3 : tensor<4x8xbf16>
  %5 = nn.binary add %4, %one : tensor<4x8xbf16>, tensor<bf16>
  %6 = nn.binary mul %x, %half : tensor<4x8xbf16>, tensor<bf16>
  %7 = nn.binary mul %6, %5 : tensor<4x8xbf16>, tensor<4x8xbf16>
  return %7 : tensor<4x8xbf16>
}

// -----

// CHECK-LABEL: func.func @main(%arg0
// CHECK-NOT:   gelu
// CHECK:       nn.unary erf
func.func @main(%x: tensor<4x8xbf16>) -> tensor<4x8xbf16> {
  %root = nn.constant dense<1.429690e+00> : tensor<bf16>
  %one = nn.constant dense<1.0> : tensor<bf16>
  %half = nn.constant dense<0.5> : tensor<bf16>
  %0 = nn.binary div %x, %root : tensor<4x8xbf16>, tensor<bf16>
  %1 = nn.unary erf %0 : tensor<4x8xbf16>
  %2 = nn.binary add %1, %one : tensor<4x8xbf16>, tensor<bf16>
  %3 = nn.binary mul %x, %2 : tensor<4x8xbf16>, tensor<4x8xbf16>
  %4 = nn.binary mul %3, %half : tensor<4x8xbf16>, tensor<bf16>
  return %4 : tensor<4x8xbf16>
}
