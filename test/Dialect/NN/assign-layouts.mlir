// RUN: penstock-opt %s --nn-assign-layouts --split-input-file | FileCheck %s
// RUN: penstock-opt %s --nn-assign-layouts=channels-last=false --split-input-file | FileCheck %s --check-prefix=OFF

// Two convolutions and what stands between them are one region: one transpose in, one out. Without the option nothing
// changes.
// OFF-NOT: channels_last
// CHECK-LABEL: func.func @main
// CHECK-SAME:    %[[X:.*]]: tensor<1x8x16x16xf32>, %[[V:.*]]: tensor<8x8x3x3xf32>
// CHECK:       %[[T:.*]] = nn.transpose %[[X]] [0, 2, 3, 1]
// CHECK-NEXT:  %[[A:.*]] = nn.conv %[[T]], %[[V]] {channels_last, {{.*}}} : tensor<1x16x16x8xf32>
// CHECK-NEXT:  %[[B:.*]] = nn.unary relu %[[A]] : tensor<1x16x16x8xf32>
// CHECK-NEXT:  %[[C:.*]] = nn.conv %[[B]], %{{.*}} {channels_last
// CHECK-NEXT:  %[[R:.*]] = nn.transpose %[[C]] [0, 3, 1, 2]
// CHECK-NEXT:  return %[[R]] : tensor<1x8x16x16xf32>
func.func @main(%x: tensor<1x8x16x16xf32>, %v: tensor<8x8x3x3xf32>, %w: tensor<8x8x1x1xf32>) -> tensor<1x8x16x16xf32> {
  %0 = nn.conv %x, %v {dilations = array<i64: 1, 1>, group = 1 : i64, pads = array<i64: 1, 1, 1, 1>, strides = array<i64: 1, 1>} : tensor<1x8x16x16xf32>, tensor<8x8x3x3xf32>
  %1 = nn.unary relu %0 : tensor<1x8x16x16xf32>
  %2 = nn.conv %1, %w {dilations = array<i64: 1, 1>, group = 1 : i64, pads = array<i64: 0, 0, 0, 0>, strides = array<i64: 1, 1>} : tensor<1x8x16x16xf32>, tensor<8x8x1x1xf32>
  return %2 : tensor<1x8x16x16xf32>
}

// -----

// One convolution alone would gain what its transposes cost: it stays.
// CHECK-LABEL: func.func @main
// CHECK-NOT:   nn.transpose
// CHECK-NOT:   channels_last
// CHECK:       return
func.func @main(%x: tensor<1x8x16x16xf32>, %v: tensor<8x8x3x3xf32>) -> tensor<1x8x16x16xf32> {
  %0 = nn.conv %x, %v {dilations = array<i64: 1, 1>, group = 1 : i64, pads = array<i64: 1, 1, 1, 1>, strides = array<i64: 1, 1>} : tensor<1x8x16x16xf32>, tensor<8x8x3x3xf32>
  %1 = nn.unary relu %0 : tensor<1x8x16x16xf32>
  return %1 : tensor<1x8x16x16xf32>
}

// -----

// Without a convolution nothing changes.
// CHECK-LABEL: func.func @main
// CHECK:       nn.pool max %{{.*}} {ceil_mode, dilations
// CHECK-NOT:   nn.transpose
func.func @main(%x: tensor<1x8x16x16xf32>) -> tensor<1x8x8x8xf32> {
  %0 = nn.pool max %x {ceil_mode, dilations = array<i64: 1, 1>, kernel = array<i64: 2, 2>, pads = array<i64: 0, 0, 0, 0>, strides = array<i64: 2, 2>} : tensor<1x8x16x16xf32>
  return %0 : tensor<1x8x8x8xf32>
}

// -----

// Everything that can follow does, along its own axes; extents may be unknown. Numbers per channel lose their other axes,
// the mean over space comes out as it was.
// CHECK-LABEL: func.func @main
// CHECK:       nn.conv {{.*}}channels_last
// CHECK:       nn.reshape %{{.*}} : tensor<8x1x1xf32> to tensor<8xf32>
// CHECK:       nn.binary mul %{{.*}}, %{{.*}} : tensor<?x?x?x8xf32, #nn.extents<[s0, s1, s2]>>, tensor<8xf32>
// CHECK:       nn.pad constant %{{.*}} low <[0, 1, 1, 0]> high <[0, 2, 0, 0]>
// CHECK:       nn.slice %{{.*}} from <[0, 1, 1, 4]> step [1, 1, 1, 1]
// CHECK:       nn.concat %{{.*}} axis 3
// CHECK:       nn.softmax %{{.*}} axis 3
// CHECK:       nn.resize nearest {{.*}} scales [1.000000e+00, 2.000000e+00, 2.000000e+00, 1.000000e+00]
// CHECK:       nn.pool max %{{.*}} {ceil_mode, channels_last
// CHECK:       nn.conv_transpose {{.*}}channels_last
// CHECK:       %[[L:.*]] = nn.conv {{.*}}channels_last
// CHECK:       %[[M:.*]] = nn.reduce mean %[[L]] axes [1, 2]
// CHECK-NOT:   nn.transpose
// CHECK:       return %[[M]]
nn.symbol @n = 0 root
nn.symbol @h = 1 root
nn.symbol @w = 2 root
func.func @main(%x: tensor<?x8x?x?xf32, #nn.extents<[s0, s1, s2]>>, %v: tensor<8x8x3x3xf32>, %s: tensor<8x1x1xf32>, %f: tensor<8x8x2x2xf32>) -> tensor<?x8xf32, #nn.extents<[s0]>> {
  %0 = nn.conv %x, %v {dilations = array<i64: 1, 1>, group = 1 : i64, pads = array<i64: 1, 1, 1, 1>, strides = array<i64: 1, 1>} : tensor<?x8x?x?xf32, #nn.extents<[s0, s1, s2]>>, tensor<8x8x3x3xf32>
  %1 = nn.binary mul %0, %s : tensor<?x8x?x?xf32, #nn.extents<[s0, s1, s2]>>, tensor<8x1x1xf32>
  %2 = nn.pad constant %1 : tensor<?x8x?x?xf32, #nn.extents<[s0, s1, s2]>> low <[0, 0, 1, 1]> high <[0, 0, 2, 0]>
  %3 = nn.slice %2 from <[0, 4, 1, 1]> step [1, 1, 1, 1] : tensor<?x8x?x?xf32, #nn.extents<[s0, s1 + 3, s2 + 1]>> to tensor<?x4x?x?xf32, #nn.extents<[s0, s1, s2]>>
  %4 = nn.concat %3, %3 axis 1 : tensor<?x4x?x?xf32, #nn.extents<[s0, s1, s2]>>, tensor<?x4x?x?xf32, #nn.extents<[s0, s1, s2]>>
  %5 = nn.softmax %4 axis 1 : tensor<?x8x?x?xf32, #nn.extents<[s0, s1, s2]>>
  %6 = nn.resize nearest asymmetric floor %5 scales [1.0, 1.0, 2.0, 2.0] {cubic_coeff = -7.5e-01 : f64, extrapolation = 0.0 : f64} : tensor<?x8x?x?xf32, #nn.extents<[s0, s1, s2]>> to tensor<?x8x?x?xf32, #nn.extents<[s0, s1 * 2, s2 * 2]>>
  %7 = nn.pool max %6 {ceil_mode, dilations = array<i64: 1, 1>, kernel = array<i64: 2, 2>, pads = array<i64: 0, 0, 0, 0>, strides = array<i64: 1, 1>} : tensor<?x8x?x?xf32, #nn.extents<[s0, s1 * 2, s2 * 2]>>
  %8 = nn.conv_transpose %7, %f {dilations = array<i64: 1, 1>, group = 1 : i64, output_pads = array<i64: 0, 0>, pads = array<i64: 0, 0, 0, 0>, strides = array<i64: 2, 2>} : tensor<?x8x?x?xf32, #nn.extents<[s0, s1 * 2 - 1, s2 * 2 - 1]>>, tensor<8x8x2x2xf32>
  %9 = nn.conv %8, %v {dilations = array<i64: 1, 1>, group = 1 : i64, pads = array<i64: 1, 1, 1, 1>, strides = array<i64: 1, 1>} : tensor<?x8x?x?xf32, #nn.extents<[s0, s1 * 4 - 2, s2 * 4 - 2]>>, tensor<8x8x3x3xf32>
  %10 = nn.reduce mean %9 axes [2, 3] : tensor<?x8x?x?xf32, #nn.extents<[s0, s1 * 4 - 2, s2 * 4 - 2]>>
  return %10 : tensor<?x8xf32, #nn.extents<[s0]>>
}

// -----

// A transpose of the model's own to channels-last meets the transpose back, and both are gone; so is a reshape that joins
// space between them.
// CHECK-LABEL: func.func @main
// CHECK:       %[[C:.*]] = nn.conv {{.*}}channels_last
// CHECK:       %[[J:.*]] = nn.reshape %{{.*}} : tensor<1x16x16x8xf32> to tensor<1x256x8xf32>
// CHECK:       %[[B:.*]] = nn.transpose %[[J]] [0, 2, 1]
// CHECK:       %[[R:.*]] = nn.transpose %[[B]] [0, 2, 1]
// CHECK:       return %[[R]]
func.func @main(%x: tensor<1x8x16x16xf32>, %v: tensor<8x8x3x3xf32>) -> tensor<1x256x8xf32> {
  %0 = nn.conv %x, %v {dilations = array<i64: 1, 1>, group = 1 : i64, pads = array<i64: 1, 1, 1, 1>, strides = array<i64: 1, 1>} : tensor<1x8x16x16xf32>, tensor<8x8x3x3xf32>
  %1 = nn.reshape %0 : tensor<1x8x16x16xf32> to tensor<1x8x256xf32>
  %2 = nn.transpose %1 [0, 2, 1] : tensor<1x8x256xf32>
  return %2 : tensor<1x256x8xf32>
}

// -----

// What has other users keeps its row-major form for them; constants turn at once.
// CHECK-LABEL: func.func @main
// CHECK:       %[[K:.*]] = nn.constant dense<{{\[}}{{\[}}{{\[}}{{\[}}1.000000e+00, 3.000000e+00], [2.000000e+00, 4.000000e+00]]]]> : tensor<1x1x2x2xf32>
// CHECK:       %[[A:.*]] = nn.conv {{.*}}channels_last
// CHECK:       %[[B:.*]] = nn.binary add %[[A]], %[[K]] : tensor<1x64x2x2xf32>, tensor<1x1x2x2xf32>
// CHECK-NEXT:  %[[R:.*]] = nn.transpose %[[B]] [0, 3, 1, 2]
// CHECK-NEXT:  %[[C:.*]] = nn.conv %[[B]], {{.*}}channels_last
// CHECK:       return %{{.*}}, %[[R]]
func.func @main(%x: tensor<1x2x64x2xf32>, %v: tensor<2x2x1x1xf32>) -> (tensor<1x2x64x2xf32>, tensor<1x2x64x2xf32>) {
  %k = nn.constant dense<[[[[1.0, 2.0]], [[3.0, 4.0]]]]> : tensor<1x2x1x2xf32>
  %0 = nn.conv %x, %v {dilations = array<i64: 1, 1>, group = 1 : i64, pads = array<i64: 0, 0, 0, 0>, strides = array<i64: 1, 1>} : tensor<1x2x64x2xf32>, tensor<2x2x1x1xf32>
  %1 = nn.binary add %0, %k : tensor<1x2x64x2xf32>, tensor<1x2x1x2xf32>
  %2 = nn.conv %1, %v {dilations = array<i64: 1, 1>, group = 1 : i64, pads = array<i64: 0, 0, 0, 0>, strides = array<i64: 1, 1>} : tensor<1x2x64x2xf32>, tensor<2x2x1x1xf32>
  %3 = nn.conv %2, %v {dilations = array<i64: 1, 1>, group = 1 : i64, pads = array<i64: 0, 0, 0, 0>, strides = array<i64: 1, 1>} : tensor<1x2x64x2xf32>, tensor<2x2x1x1xf32>
  return %3, %1 : tensor<1x2x64x2xf32>, tensor<1x2x64x2xf32>
}
