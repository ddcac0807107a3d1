// RUN: penstock-opt %s --cuda-split-epilogues --split-input-file | FileCheck %s

// GELU by erf is not the library's: it is a kernel of its own. The product keeps its bias and the name of its tensor.
// CHECK-LABEL: func.func @main
// CHECK:       %[[H:.*]] = nn.kernel "h"
// CHECK-SAME:    nn.tensors = ["m", "h"]
// CHECK-NEXT:    nn.matmul
// CHECK-NEXT:    nn.binary add
// CHECK-NEXT:    nn.yield
// CHECK:       %[[Y:.*]] = nn.kernel "y" ins(%{{.*}} = %[[H]] : tensor<4x8xf32>)
// CHECK-SAME:    nn.tensors = ["y"]
// CHECK-NEXT:    nn.unary gelu
// CHECK-NEXT:    nn.yield
// CHECK:       return %[[Y]]
func.func @main(%x: tensor<4x8xf32>, %w: tensor<8x8xf32>, %b: tensor<8xf32>) -> tensor<4x8xf32> {
  %0 = nn.kernel "y" ins(%i = %x : tensor<4x8xf32>, %j = %w : tensor<8x8xf32>, %k = %b : tensor<8xf32>) -> (tensor<4x8xf32>) {
    %1 = nn.matmul %i, %j {nn.tensor = "m"} : tensor<4x8xf32>, tensor<8x8xf32>
    %2 = nn.binary add %1, %k {nn.tensor = "h"} : tensor<4x8xf32>, tensor<8xf32>
    %3 = nn.unary gelu %2 {nn.tensor = "y"} : tensor<4x8xf32>
    nn.yield %3 : tensor<4x8xf32>
  }
  return %0 : tensor<4x8xf32>
}

// -----

// What the epilogue does all of stays one kernel: a factor, a bias, a residual, GELU by tanh.
// CHECK-LABEL: func.func @main
// CHECK:       %[[Y:.*]] = nn.kernel "y"
// CHECK:         nn.unary gelu_tanh
// CHECK-NOT:   nn.kernel
// CHECK:       return %[[Y]]
func.func @main(%x: tensor<4x8xf32>, %w: tensor<8x8xf32>, %b: tensor<8xf32>, %r: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %0 = nn.kernel "y" ins(%i = %x : tensor<4x8xf32>, %j = %w : tensor<8x8xf32>, %k = %b : tensor<8xf32>, %l = %r : tensor<4x8xf32>) -> (tensor<4x8xf32>) {
    %f = nn.constant dense<0.5> : tensor<f32>
    %1 = nn.matmul %i, %j : tensor<4x8xf32>, tensor<8x8xf32>
    %2 = nn.binary mul %1, %f : tensor<4x8xf32>, tensor<f32>
    %3 = nn.binary add %2, %k : tensor<4x8xf32>, tensor<8xf32>
    %4 = nn.binary add %l, %3 : tensor<4x8xf32>, tensor<4x8xf32>
    %5 = nn.unary gelu_tanh %4 : tensor<4x8xf32>
    nn.yield %5 : tensor<4x8xf32>
  }
  return %0 : tensor<4x8xf32>
}

// -----

// The rest may use the product more than once, and inputs of its own; a product without a name gets one.
// CHECK-LABEL: func.func @main
// CHECK-SAME:    %[[R:[a-z0-9]+]]: tensor<8xf32>)
// CHECK:       %[[M:.*]] = nn.kernel "y.product"
// CHECK-NEXT:    nn.matmul
// CHECK-NEXT:    nn.yield
// CHECK:       nn.kernel "y" ins(%[[A:.*]] = %[[M]] : tensor<4x8xf32>, %[[B:.*]] = %[[R]] : tensor<8xf32>)
// CHECK:         %[[S:.*]] = nn.unary sigmoid %[[A]]
// CHECK:         %[[P:.*]] = nn.binary mul %[[A]], %[[S]]
// CHECK:         nn.binary sub %[[P]], %[[B]]
func.func @main(%x: tensor<4x8xf32>, %w: tensor<8x8xf32>, %r: tensor<8xf32>) -> tensor<4x8xf32> {
  %0 = nn.kernel "y" ins(%i = %x : tensor<4x8xf32>, %j = %w : tensor<8x8xf32>, %k = %r : tensor<8xf32>) -> (tensor<4x8xf32>) {
    %1 = nn.matmul %i, %j : tensor<4x8xf32>, tensor<8x8xf32>
    %2 = nn.unary sigmoid %1 : tensor<4x8xf32>
    %3 = nn.binary mul %1, %2 : tensor<4x8xf32>, tensor<4x8xf32>
    %4 = nn.binary sub %3, %k : tensor<4x8xf32>, tensor<8xf32>
    nn.yield %4 : tensor<4x8xf32>
  }
  return %0 : tensor<4x8xf32>
}

// -----

// Products that are not the library's stay as they are.
// CHECK-LABEL: func.func @main
// CHECK:       nn.kernel "y"
// CHECK-NEXT:    nn.matmul
// CHECK-NEXT:    nn.unary sigmoid
// CHECK-NOT:   nn.kernel
func.func @main(%x: tensor<4x8xf64>, %w: tensor<8x8xf64>) -> tensor<4x8xf64> {
  %0 = nn.kernel "y" ins(%i = %x : tensor<4x8xf64>, %j = %w : tensor<8x8xf64>) -> (tensor<4x8xf64>) {
    %1 = nn.matmul %i, %j : tensor<4x8xf64>, tensor<8x8xf64>
    %2 = nn.unary sigmoid %1 : tensor<4x8xf64>
    nn.yield %2 : tensor<4x8xf64>
  }
  return %0 : tensor<4x8xf64>
}

// -----

// A convolution ends where cuDNN does: with its bias, another summand and relu. What follows is a kernel of its own.
// CHECK-LABEL: func.func @main
// CHECK:       %[[R:.*]] = nn.kernel "r"
// CHECK-NEXT:    nn.conv
// CHECK-NEXT:    nn.binary add
// CHECK-NEXT:    nn.unary relu
// CHECK-NEXT:    nn.yield
// CHECK:       nn.kernel "y" ins(%{{.*}} = %[[R]] : tensor<1x6x4x4xf32>)
// CHECK-NEXT:    nn.unary sigmoid
func.func @main(%x: tensor<1x3x6x6xf32>, %w: tensor<6x3x3x3xf32>, %b: tensor<6xf32>, %r: tensor<1x6x4x4xf32>) -> tensor<1x6x4x4xf32> {
  %0 = nn.kernel "y" ins(%i = %x : tensor<1x3x6x6xf32>, %j = %w : tensor<6x3x3x3xf32>, %k = %b : tensor<6xf32>, %l = %r : tensor<1x6x4x4xf32>) -> (tensor<1x6x4x4xf32>) {
    %1 = nn.conv %i, %j bias %k : tensor<6xf32> {dilations = array<i64: 1, 1>, group = 1 : i64, pads = array<i64: 0, 0, 0, 0>, strides = array<i64: 1, 1>} : tensor<1x3x6x6xf32>, tensor<6x3x3x3xf32>
    %2 = nn.binary add %l, %1 : tensor<1x6x4x4xf32>, tensor<1x6x4x4xf32>
    %3 = nn.unary relu %2 {nn.tensor = "r"} : tensor<1x6x4x4xf32>
    %4 = nn.unary sigmoid %3 {nn.tensor = "y"} : tensor<1x6x4x4xf32>
    nn.yield %4 : tensor<1x6x4x4xf32>
  }
  return %0 : tensor<1x6x4x4xf32>
}

// -----

// Without a bias cuDNN does the convolution alone.
// CHECK-LABEL: func.func @main
// CHECK:       %[[C:.*]] = nn.kernel "c"
// CHECK-NEXT:    nn.conv
// CHECK-NEXT:    nn.yield
// CHECK:       nn.kernel "y" ins(%{{.*}} = %[[C]] : tensor<1x6x4x4xf32>)
// CHECK-NEXT:    nn.unary relu
func.func @main(%x: tensor<1x3x6x6xf32>, %w: tensor<6x3x3x3xf32>) -> tensor<1x6x4x4xf32> {
  %0 = nn.kernel "y" ins(%i = %x : tensor<1x3x6x6xf32>, %j = %w : tensor<6x3x3x3xf32>) -> (tensor<1x6x4x4xf32>) {
    %1 = nn.conv %i, %j {dilations = array<i64: 1, 1>, group = 1 : i64, nn.tensor = "c", pads = array<i64: 0, 0, 0, 0>, strides = array<i64: 1, 1>} : tensor<1x3x6x6xf32>, tensor<6x3x3x3xf32>
    %2 = nn.unary relu %1 {nn.tensor = "y"} : tensor<1x6x4x4xf32>
    nn.yield %2 : tensor<1x6x4x4xf32>
  }
  return %0 : tensor<1x6x4x4xf32>
}

// -----

// Constants that a library reads are weights, which are computed when the executables are linked. Others stay.
// CHECK:       nn.kernel_def @[[INIT:.*]]() -> (tensor<2xf32>) symbols 0 {
// CHECK-NEXT:    %[[V:.*]] = nn.constant dense<[1.000000e+00, 2.000000e+00]>
// CHECK-NEXT:    %[[I:.*]] = nn.unary identity %[[V]]
// CHECK-NEXT:    nn.yield %[[I]]
// CHECK:       nn.weight @[[W:.*]] : tensor<2xf32> init @[[INIT]]([])
// CHECK:       %[[B:.*]] = nn.load_weight @[[W]]
// CHECK:       nn.kernel "c" ins({{.*}}, %[[A:.*]] = %[[B]] : tensor<2xf32>)
// CHECK-NEXT:    nn.conv %{{.*}}, %{{.*}} bias %[[A]]
// CHECK:       nn.kernel "y"
// CHECK:         nn.constant dense<6.000000e+00>
func.func @main(%x: tensor<1x3x6x6xf32>, %w: tensor<2x3x3x3xf32>) -> tensor<1x2x4x4xf32> {
  %0 = nn.kernel "y" ins(%i = %x : tensor<1x3x6x6xf32>, %j = %w : tensor<2x3x3x3xf32>) -> (tensor<1x2x4x4xf32>) {
    %b = nn.constant dense<[1.0, 2.0]> : tensor<2xf32>
    %f = nn.constant dense<6.0> : tensor<f32>
    %1 = nn.conv %i, %j bias %b : tensor<2xf32> {dilations = array<i64: 1, 1>, group = 1 : i64, nn.tensor = "c", pads = array<i64: 0, 0, 0, 0>, strides = array<i64: 1, 1>} : tensor<1x3x6x6xf32>, tensor<2x3x3x3xf32>
    %2 = nn.binary minimum %1, %f {nn.tensor = "y"} : tensor<1x2x4x4xf32>, tensor<f32>
    nn.yield %2 : tensor<1x2x4x4xf32>
  }
  return %0 : tensor<1x2x4x4xf32>
}

// -----

// Filters of convolutions whose images have their channels last are kept alike, once for all who read them. Those of one
// number per channel lie the same in both orders.
// CHECK:       nn.kernel_def @[[INIT:.*]](%[[G:.*]]: tensor<6x4x3x3xbf16>) -> (tensor<6x3x3x4xbf16>) symbols 0 {
// CHECK-NEXT:    %[[T:.*]] = nn.transpose %[[G]] [0, 2, 3, 1]
// CHECK-NEXT:    nn.yield %[[T]]
// CHECK:       nn.weight @[[F:.*]] : tensor<6x3x3x4xbf16> init @[[INIT]]([@w])
// CHECK-NOT:   nn.weight
// CHECK:       func.func @main
// CHECK:       %[[L:.*]] = nn.load_weight @[[F]]
// CHECK:       nn.kernel "a" ins(%{{.*}} = %{{.*}}, %[[A:.*]] = %[[L]] : tensor<6x3x3x4xbf16>)
// CHECK-NEXT:    %[[P:.*]] = nn.transpose %[[A]] [0, 3, 1, 2]
// CHECK-NEXT:    nn.conv %{{.*}}, %[[P]]
// CHECK:       %[[M:.*]] = nn.load_weight @[[F]]
// CHECK:       nn.kernel "b" ins(%{{.*}} = %{{.*}}, %{{.*}} = %[[M]] : tensor<6x3x3x4xbf16>)
// CHECK:       nn.kernel "c"
// CHECK-NEXT:    nn.conv
nn.weight @w : tensor<6x4x3x3xbf16> from <"model.onnx", 0, 432>
nn.weight @v : tensor<6x4x1x1xbf16> from <"model.onnx", 432, 48>
func.func @main(%x: tensor<1x5x5x4xbf16>) -> (tensor<1x3x3x6xbf16>, tensor<1x3x3x6xbf16>, tensor<1x5x5x6xbf16>) {
  %w = nn.load_weight @w : tensor<6x4x3x3xbf16>
  %v = nn.load_weight @v : tensor<6x4x1x1xbf16>
  %0 = nn.kernel "a" ins(%i = %x : tensor<1x5x5x4xbf16>, %j = %w : tensor<6x4x3x3xbf16>) -> (tensor<1x3x3x6xbf16>) {
    %3 = nn.conv %i, %j {channels_last, dilations = array<i64: 1, 1>, group = 1 : i64, pads = array<i64: 0, 0, 0, 0>, strides = array<i64: 1, 1>} : tensor<1x5x5x4xbf16>, tensor<6x4x3x3xbf16>
    nn.yield %3 : tensor<1x3x3x6xbf16>
  }
  %1 = nn.kernel "b" ins(%i = %x : tensor<1x5x5x4xbf16>, %j = %w : tensor<6x4x3x3xbf16>) -> (tensor<1x3x3x6xbf16>) {
    %3 = nn.conv %i, %j {channels_last, dilations = array<i64: 1, 1>, group = 1 : i64, pads = array<i64: 0, 0, 0, 0>, strides = array<i64: 1, 1>} : tensor<1x5x5x4xbf16>, tensor<6x4x3x3xbf16>
    nn.yield %3 : tensor<1x3x3x6xbf16>
  }
  %2 = nn.kernel "c" ins(%i = %x : tensor<1x5x5x4xbf16>, %j = %v : tensor<6x4x1x1xbf16>) -> (tensor<1x5x5x6xbf16>) {
    %3 = nn.conv %i, %j {channels_last, dilations = array<i64: 1, 1>, group = 1 : i64, pads = array<i64: 0, 0, 0, 0>, strides = array<i64: 1, 1>} : tensor<1x5x5x4xbf16>, tensor<6x4x1x1xbf16>
    nn.yield %3 : tensor<1x5x5x6xbf16>
  }
  return %0, %1, %2 : tensor<1x3x3x6xbf16>, tensor<1x3x3x6xbf16>, tensor<1x5x5x6xbf16>
}

// -----

// A rest that only casts is part of the kernel that reads it: nothing of f32 is in memory.
// CHECK-LABEL: func.func @casts
// CHECK:       %[[H:.*]] = nn.kernel "h" {{.*}} -> (tensor<4x8xbf16>)
// CHECK:       nn.kernel "y" ins(%{{.*}} = %arg2 : tensor<8xf32>, %[[X:.*]] = %[[H]] : tensor<4x8xbf16>)
// CHECK-NEXT:    %[[W:.*]] = nn.cast %[[X]] to f32
// CHECK-NEXT:    nn.layer_norm %[[W]]
// CHECK-NOT:   nn.kernel
func.func @casts(%x: tensor<4x8xbf16>, %w: tensor<8x8xbf16>, %s: tensor<8xf32>) -> tensor<4x8xf32> {
  %0 = nn.kernel "k" ins(%i = %x : tensor<4x8xbf16>, %j = %w : tensor<8x8xbf16>) -> (tensor<4x8xf32>) {
    %1 = nn.matmul %i, %j {nn.tensor = "h"} : tensor<4x8xbf16>, tensor<8x8xbf16>
    %2 = nn.cast %1 to f32 : tensor<4x8xbf16>
    nn.yield %2 : tensor<4x8xf32>
  }
  %3 = nn.kernel "y" ins(%i = %0 : tensor<4x8xf32>, %j = %s : tensor<8xf32>) -> (tensor<4x8xf32>) {
    %4 = nn.layer_norm %i scale %j : tensor<8xf32> axis 1 {epsilon = 1.0e-5 : f64, nn.tensor = "y"} : tensor<4x8xf32>
    nn.yield %4 : tensor<4x8xf32>
  }
  return %3 : tensor<4x8xf32>
}

// -----

// It stays where a library reads it.
// CHECK-LABEL: func.func @of_library
// CHECK-COUNT-3: nn.kernel
// CHECK:         nn.matmul
func.func @of_library(%x: tensor<4x8xbf16>, %w: tensor<8x8xbf16>, %v: tensor<8x8xf32>) -> tensor<4x8xf32> {
  %0 = nn.kernel "k" ins(%i = %x : tensor<4x8xbf16>, %j = %w : tensor<8x8xbf16>) -> (tensor<4x8xf32>) {
    %1 = nn.matmul %i, %j {nn.tensor = "h"} : tensor<4x8xbf16>, tensor<8x8xbf16>
    %2 = nn.cast %1 to f32 : tensor<4x8xbf16>
    nn.yield %2 : tensor<4x8xf32>
  }
  %3 = nn.kernel "y" ins(%i = %0 : tensor<4x8xf32>, %j = %v : tensor<8x8xf32>) -> (tensor<4x8xf32>) {
    %4 = nn.matmul %i, %j {nn.tensor = "y"} : tensor<4x8xf32>, tensor<8x8xf32>
    nn.yield %4 : tensor<4x8xf32>
  }
  return %3 : tensor<4x8xf32>
}
