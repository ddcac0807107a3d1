// RUN: penstock-opt %s --nn-verify-symbols | FileCheck %s

// Two different extents that an addition takes for equal are listed once.
// CHECK:      nn.constraint <[s0, s1]> "operands of 'sum'"
// CHECK-NOT:  nn.constraint
nn.symbol @a = 0 root
nn.symbol @b = 1 root
func.func @main(%x: tensor<?xf32, #nn.extents<[s0]>>, %y: tensor<?xf32, #nn.extents<[s1]>>, %z: tensor<1xf32>) -> tensor<?xf32, #nn.extents<[s0]>> {
  %0 = nn.binary add %x, %y {nn.tensor = "sum"} : tensor<?xf32, #nn.extents<[s0]>>, tensor<?xf32, #nn.extents<[s1]>>
  %1 = nn.binary mul %0, %y : tensor<?xf32, #nn.extents<[s0]>>, tensor<?xf32, #nn.extents<[s1]>>
  %2 = nn.binary add %1, %z : tensor<?xf32, #nn.extents<[s0]>>, tensor<1xf32>
  return %2 : tensor<?xf32, #nn.extents<[s0]>>
}
