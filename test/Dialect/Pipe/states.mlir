// RUN: penstock-opt %s --pipe-verify-batch --pipe-assign-stages=num-stages=2 --pipe-split-stages --pipe-schedule --pipe-place-buffers | FileCheck %s

// An output that is fed back stays in its stage: the kernels that read and make it are kept together, its next value is copied
// over the present one by the last call, and neither is part of the signature any more. With states no request is cut.
// CHECK:       nn.batch_unproved = "the model keeps states from one call to the next"
// CHECK-NOT:   nn.states
// CHECK-NOT:   pipe.input "h"
// CHECK:       pipe.output "y" via @y
// CHECK-NOT:   pipe.output "hn"
// CHECK:       pipe.channel @c0 from @s0 to [@s1] depth 2 tensor "first"
// CHECK:       pipe.state @h in @s1 : tensor<64x64xf32>
// CHECK:       pipe.stage @s1(%[[C:.*]]: tensor<64x64xf32>, %[[H:.*]]: tensor<64x64xf32>) -> (tensor<64x64xf32>, tensor<64x64xf32>)
// CHECK-SAME:    reads [@c0] writes [@y] states [@h]
// CHECK-SAME:    #pipe.storage<state, symbol = @h>
// CHECK:         %[[N:.*]] = nn.call @{{.*}} ins(%[[C]], %[[H]] :
// CHECK-SAME:      nn.kernel_name = "next"
// CHECK:         nn.kernel_name = "last"
// CHECK:         %[[E:.*]] = nn.empty {pipe.storage = #pipe.storage<state, symbol = @h>}
// CHECK:         %[[S:.*]] = nn.call @{{.*}} ins(%[[N]] : tensor<64x64xf32>) outs(%[[E]] : tensor<64x64xf32>)
// CHECK-SAME:      nn.kernel_name = "state_h"
// CHECK:         pipe.return %{{.*}}, %[[S]]
// CHECK:       pipe.program @r1 runs [@s1]
// CHECK-SAME:    states = 16384 : i64
// CHECK:         pipe.run @s1(%{{.*}}) : (tensor<64x64xf32>) -> tensor<64x64xf32>
module attributes {nn.states = [["h", "hn"]]} {
  func.func @main(%x: tensor<64x64xf32> {nn.name = "x"}, %h: tensor<64x64xf32> {nn.name = "h"})
      -> (tensor<64x64xf32> {nn.name = "y"}, tensor<64x64xf32> {nn.name = "hn"}) {
    %0 = nn.kernel "first" ins(%i = %x : tensor<64x64xf32>) -> (tensor<64x64xf32>) {
      %t = nn.matmul %i, %i : tensor<64x64xf32>, tensor<64x64xf32>
      nn.yield %t : tensor<64x64xf32>
    }
    %1 = nn.kernel "next" ins(%i = %0 : tensor<64x64xf32>, %j = %h : tensor<64x64xf32>) -> (tensor<64x64xf32>) {
      %t = nn.binary add %i, %j : tensor<64x64xf32>, tensor<64x64xf32>
      nn.yield %t : tensor<64x64xf32>
    }
    %2 = nn.kernel "last" ins(%i = %1 : tensor<64x64xf32>, %j = %h : tensor<64x64xf32>) -> (tensor<64x64xf32>) {
      %t = nn.binary mul %i, %j : tensor<64x64xf32>, tensor<64x64xf32>
      nn.yield %t : tensor<64x64xf32>
    }
    return %2, %1 : tensor<64x64xf32>, tensor<64x64xf32>
  }
}
