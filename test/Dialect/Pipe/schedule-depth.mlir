// RUN: penstock-opt %s --pipe-schedule --verify-diagnostics | FileCheck %s
// RUN: penstock-opt %s --pipe-schedule=max-depth=1 2>/dev/null | FileCheck %s --check-prefix=ONE
// RUN: penstock-opt %s --pipe-schedule=max-depth=3 2>/dev/null | FileCheck %s
// RUN: not penstock-opt %s --pipe-schedule=max-depth=-1 2>&1 | FileCheck %s --check-prefix=LESS

// A depth written by hand is kept, and what it costs is said: with one slot the two stages take turns.
// CHECK:       pipe.channel @x from @source to [@s0] depth 2
// CHECK:       pipe.channel @c0 from @s0 to [@s1] depth 1
// CHECK:       pipe.program @r0 runs [@s0] period 2.000000e-03

// With a limit no channel has more; a larger one changes nothing.
// ONE:         pipe.channel @x from @source to [@s0] depth 1
// ONE:         pipe.channel @c0 from @s0 to [@s1] depth 1
// ONE:         pipe.channel @y from @s1 to [@sink] depth 1
// LESS:        error: the most slots of a channel are -1; expected at least 1, or 0
// expected-remark @below {{channel 'c0' has depth 1 instead of 2: a period of 2000000 ns instead of 1000000 ns}}
module attributes {pipe.plan = {stages = [{compute_seconds = 0.001}, {compute_seconds = 0.001}]}} {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @c0 from @s0 to [@s1] depth 1 : tensor<4xf32>
  pipe.channel @y from @s1 to [@sink] : tensor<4xf32>
  nn.kernel_def @k0(%a: tensor<4xf32>) -> (tensor<4xf32>) symbols 0 {
    %0 = nn.unary exp %a : tensor<4xf32>
    nn.yield %0 : tensor<4xf32>
  }
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@c0] {
    %o = nn.empty : tensor<4xf32>
    %0 = nn.call @k0 ins(%x : tensor<4xf32>) outs(%o : tensor<4xf32>) symbols <[]> -> tensor<4xf32>
    pipe.return %0 : tensor<4xf32>
  }
  pipe.stage @s1(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@c0] writes [@y] {
    %o = nn.empty : tensor<4xf32>
    %0 = nn.call @k0 ins(%x : tensor<4xf32>) outs(%o : tensor<4xf32>) symbols <[]> -> tensor<4xf32>
    pipe.return %0 : tensor<4xf32>
  }
}
