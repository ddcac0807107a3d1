// RUN: penstock-opt %s --pipe-split-stages --split-input-file | FileCheck %s

// Kernels that differ only in the extents that they see are one kernel; the call says which extents are meant.
// CHECK:       nn.kernel_def @k0(%{{.*}}: tensor<?x?xf32, #nn.extents<[s0, s1]>>)
// CHECK-SAME:    symbols 2
// CHECK:       nn.kernel_def @k1
// CHECK-NOT:   nn.kernel_def
// CHECK:       pipe.stage @s0
// CHECK:         nn.call @k0
// CHECK-SAME:      symbols <[s0, s1]> {nn.kernel_name = "a"}
// CHECK:         nn.call @k1
// CHECK-SAME:      symbols <[s0, s1]> {nn.kernel_name = "join"}
// CHECK:         nn.call @k0
// CHECK-SAME:      symbols <[s0, s1 * 2]> {nn.kernel_name = "b"}
nn.symbol @batch = 0 root
nn.symbol @width = 1 root
func.func @main(%x: tensor<?x?xf32, #nn.extents<[s0, s1]>>) -> tensor<?x?xf32, #nn.extents<[s0, s1 * 2]>> {
  %0 = nn.kernel "a" ins(%i = %x : tensor<?x?xf32, #nn.extents<[s0, s1]>>) -> (tensor<?x?xf32, #nn.extents<[s0, s1]>>) attributes {pipe.stage_id = 0 : i32} {
    %t = nn.unary tanh %i : tensor<?x?xf32, #nn.extents<[s0, s1]>>
    nn.yield %t : tensor<?x?xf32, #nn.extents<[s0, s1]>>
  }
  %1 = nn.kernel "join" ins(%i = %0 : tensor<?x?xf32, #nn.extents<[s0, s1]>>) -> (tensor<?x?xf32, #nn.extents<[s0, s1 * 2]>>) attributes {pipe.stage_id = 0 : i32} {
    %t = nn.concat %i, %i axis 1 : tensor<?x?xf32, #nn.extents<[s0, s1]>>, tensor<?x?xf32, #nn.extents<[s0, s1]>>
    nn.yield %t : tensor<?x?xf32, #nn.extents<[s0, s1 * 2]>>
  }
  %2 = nn.kernel "b" ins(%i = %1 : tensor<?x?xf32, #nn.extents<[s0, s1 * 2]>>) -> (tensor<?x?xf32, #nn.extents<[s0, s1 * 2]>>) attributes {pipe.stage_id = 0 : i32} {
    %t = nn.unary tanh %i : tensor<?x?xf32, #nn.extents<[s0, s1 * 2]>>
    nn.yield %t : tensor<?x?xf32, #nn.extents<[s0, s1 * 2]>>
  }
  return %2 : tensor<?x?xf32, #nn.extents<[s0, s1 * 2]>>
}

// -----

// An extent that an expression inside takes apart is given by its symbols: here s1 * 2 is halved again.
// CHECK:       nn.kernel_def @k0(%{{.*}}: tensor<?xf32, #nn.extents<[s0 * 2]>>, %{{.*}}: tensor<?xf32, #nn.extents<[s0]>>)
// CHECK-SAME:    symbols 1
// CHECK:       nn.call @k0
// CHECK-SAME:    symbols <[s1]>
nn.symbol @batch = 0 root
nn.symbol @width = 1 root
func.func @main(%x: tensor<?xf32, #nn.extents<[s1 * 2]>>, %y: tensor<?xf32, #nn.extents<[s1]>>) -> tensor<?xf32, #nn.extents<[s1 * 3]>> {
  %1 = nn.kernel "join" ins(%i = %x : tensor<?xf32, #nn.extents<[s1 * 2]>>, %j = %y : tensor<?xf32, #nn.extents<[s1]>>) -> (tensor<?xf32, #nn.extents<[s1 * 3]>>) attributes {pipe.stage_id = 0 : i32} {
    %t = nn.concat %i, %j axis 0 : tensor<?xf32, #nn.extents<[s1 * 2]>>, tensor<?xf32, #nn.extents<[s1]>>
    nn.yield %t : tensor<?xf32, #nn.extents<[s1 * 3]>>
  }
  return %1 : tensor<?xf32, #nn.extents<[s1 * 3]>>
}
