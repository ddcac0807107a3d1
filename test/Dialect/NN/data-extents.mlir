// RUN: penstock-opt %s --nn-fuse-kernels --split-input-file --verify-roundtrip | FileCheck %s

// The count is one kernel, which defines the symbol. Who needs the symbol and reads no value of such an extent reads the
// number; who reads such a value comes after it anyway.
// CHECK:       nn.symbol @y.0 = 0 data of <[9]>
// CHECK:         %[[COUNT:.*]] = nn.kernel "y.0" ins(%[[A:.*]] = %{{.*}} : tensor<9xi1>) -> (tensor<i64>)
// CHECK-SAME:      defines = @y.0
// CHECK:           nn.reduce sum
// CHECK:           %[[N:.*]] = nn.define_extent %{{.*}} : tensor<i64>
// CHECK:           nn.yield %[[N]]
// CHECK:         %[[AT:.*]] = nn.kernel "at" ins(%{{.*}} = %{{.*}} : tensor<9xi1>, %{{.*}} = %[[COUNT]] : tensor<i64>)
// CHECK:         nn.kernel "y" ins(%{{.*}} = %{{[^,]*}} : tensor<9xf32>, %{{.*}} = %[[AT]] : tensor<?xi64, #nn.extents<[s0]>>)
// CHECK:         nn.kernel "ones" ins(%{{.*}} = %[[COUNT]] : tensor<i64>) -> (tensor<?xf32, #nn.extents<[s0]>>)
module {
  nn.symbol @y.0 = 0 data of #nn.extents<[9]>
  func.func @main(%x: tensor<9xf32>, %m: tensor<9xi1>) -> (tensor<?xf32, #nn.extents<[s0]>>, tensor<?xf32, #nn.extents<[s0]>>) {
    %one = nn.constant dense<1.0> : tensor<1xf32>
    %0 = nn.cast %m to i64 : tensor<9xi1>
    %1 = nn.reduce sum %0 axes [0] : tensor<9xi64>
    %2 = nn.define_extent %1 as @y.0 {nn.tensor = "y.0"} : tensor<i64>
    %3 = nn.positions %m {nn.tensor = "at"} : tensor<9xi1> to tensor<?xi64, #nn.extents<[s0]>>
    %4 = nn.gather %x, %3 axis 0 {nn.tensor = "y"} : tensor<9xf32>, tensor<?xi64, #nn.extents<[s0]>>
    %5 = nn.broadcast_to %one {nn.tensor = "ones"} : tensor<1xf32> to tensor<?xf32, #nn.extents<[s0]>>
    return %4, %5 : tensor<?xf32, #nn.extents<[s0]>>, tensor<?xf32, #nn.extents<[s0]>>
  }
}

// -----

// A number that nothing needs is not counted.
// CHECK-NOT:   nn.kernel "unused"
// CHECK:       nn.kernel "y"
module {
  nn.symbol @unused = 0 data of #nn.extents<[9]>
  func.func @main(%x: tensor<9xf32>, %n: tensor<i64>) -> tensor<9xf32> {
    %0 = nn.define_extent %n as @unused {nn.tensor = "unused"} : tensor<i64>
    %1 = nn.unary relu %x {nn.tensor = "y"} : tensor<9xf32>
    return %1 : tensor<9xf32>
  }
}

// -----

// An extent that is a result of the model is made by a kernel, after the number is known.
// CHECK:         %[[COUNT:.*]] = nn.kernel "n"
// CHECK:         %[[SHAPE:.*]] = nn.kernel "shape" ins(%{{.*}} = %[[COUNT]] : tensor<i64>) -> (tensor<2xi64>)
// CHECK:           nn.extent_tensor <[2, s0]>
// CHECK:         return %[[SHAPE]]
module {
  nn.symbol @n = 0 data of #nn.extents<[9]>
  func.func @main(%n: tensor<i64>) -> tensor<2xi64> {
    %0 = nn.extent_tensor <[2, s0]> {nn.tensor = "shape"} : tensor<2xi64>
    %1 = nn.define_extent %n as @n {nn.tensor = "n"} : tensor<i64>
    return %0 : tensor<2xi64>
  }
}
