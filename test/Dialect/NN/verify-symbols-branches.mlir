// RUN: penstock-opt %s --nn-verify-symbols | FileCheck %s

// What the ops of a branch need is an assumption of that branch, behind those that are there, and no constraint of the module.
// CHECK-NOT:  nn.constraint
// CHECK:      nn.if
// CHECK:      else_assumes = #nn.extents<[s0, s1, s0 * s1, s0]>
// CHECK-SAME: else_reasons = ["given", "'(rows * columns)' and 'rows' (operands of 'flat')"]
// CHECK-NOT:  then_assumes
nn.symbol @rows = 0 root
nn.symbol @columns = 1 root
func.func @main(%c: tensor<i1>, %x: tensor<?x?xf32, #nn.extents<[s0, s1]>>) -> tensor<?xf32, #nn.extents<[s0]>> {
  %0 = nn.if %c : tensor<i1> -> (tensor<?xf32, #nn.extents<[s0]>>) {
    %1 = nn.reduce sum %x axes [1] : tensor<?x?xf32, #nn.extents<[s0, s1]>>
    nn.yield %1 : tensor<?xf32, #nn.extents<[s0]>>
  } else {
    %1 = nn.reshape %x {nn.tensor = "flat"} : tensor<?x?xf32, #nn.extents<[s0, s1]>> to tensor<?xf32, #nn.extents<[s0]>>
    nn.yield %1 : tensor<?xf32, #nn.extents<[s0]>>
  } {else_assumes = #nn.extents<[s0, s1]>, else_reasons = ["given"]}
  return %0 : tensor<?xf32, #nn.extents<[s0]>>
}
