// RUN: penstock-opt %s --pipe-schedule --split-input-file --verify-diagnostics | FileCheck %s
// RUN: penstock-opt %s --pipe-schedule=roles=0,1,0,1 --split-input-file --verify-diagnostics 2>/dev/null | FileCheck %s --check-prefix=LOOPED

// One role per stage; a slot is held while a microbatch moves from the sending stage to the last that reads it. The period is
// the time of the slowest stage.
// CHECK:       pipe.channel @x from @source to [@s0] depth 2
// CHECK:       pipe.channel @c0 from @s0 to [@s1, @s3] depth 4
// CHECK:       pipe.channel @c1 from @s1 to [@s2] depth 2
// CHECK:       pipe.program @r0 runs [@s0] period 3.000000e-03 steady {
// CHECK-NEXT:    %[[X:.*]] = pipe.recv @x : tensor<4xf32>
// CHECK-NEXT:    %[[Y:.*]] = pipe.run @s0(%[[X]]) : (tensor<4xf32>) -> tensor<4xf32>
// CHECK-NEXT:    pipe.send %[[Y]] to @c0 : tensor<4xf32>
// CHECK-NEXT:  }
// CHECK:       pipe.program @r3 runs [@s3]
// CHECK:         %[[A:.*]] = pipe.recv @c0
// CHECK:         %[[B:.*]] = pipe.recv @c2
// CHECK:         pipe.run @s3(%[[A]], %[[B]])
// CHECK:         pipe.send %{{.*}} to @y

// Two roles of two stages each: stage 2 runs beside stage 0 on an earlier microbatch.
// LOOPED:      pipe.program @r0 runs [@s0, @s2] base
// LOOPED-SAME:   prologue {
// LOOPED:        pipe.run @s0
// LOOPED:      } steady {
// LOOPED-DAG:    pipe.run @s0
// LOOPED-DAG:    pipe.run @s2
// LOOPED:      } epilogue {
// LOOPED:        pipe.run @s2
// LOOPED:      pipe.program @r1 runs [@s1, @s3]
module attributes {pipe.plan = {stages = [{compute_seconds = 0.001}, {compute_seconds = 0.003}, {compute_seconds = 0.002}, {compute_seconds = 0.001}]}} {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @c0 from @s0 to [@s1, @s3] : tensor<4xf32>
  pipe.channel @c1 from @s1 to [@s2] : tensor<4xf32>
  pipe.channel @c2 from @s2 to [@s3] : tensor<4xf32>
  pipe.channel @y from @s3 to [@sink] : tensor<4xf32>
  nn.kernel_def @k0(%a: tensor<4xf32>) -> (tensor<4xf32>) symbols 0 {
    %0 = nn.unary exp %a : tensor<4xf32>
    nn.yield %0 : tensor<4xf32>
  }
  nn.kernel_def @k1(%a: tensor<4xf32>, %b: tensor<4xf32>) -> (tensor<4xf32>) symbols 0 {
    %0 = nn.binary add %a, %b : tensor<4xf32>, tensor<4xf32>
    nn.yield %0 : tensor<4xf32>
  }
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@c0] {
    %o = nn.empty : tensor<4xf32>
    %0 = nn.call @k0 ins(%x : tensor<4xf32>) outs(%o : tensor<4xf32>) symbols <[]> -> tensor<4xf32>
    pipe.return %0 : tensor<4xf32>
  }
  pipe.stage @s1(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@c0] writes [@c1] {
    %o = nn.empty : tensor<4xf32>
    %0 = nn.call @k0 ins(%x : tensor<4xf32>) outs(%o : tensor<4xf32>) symbols <[]> -> tensor<4xf32>
    pipe.return %0 : tensor<4xf32>
  }
  pipe.stage @s2(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@c1] writes [@c2] {
    %o = nn.empty : tensor<4xf32>
    %0 = nn.call @k0 ins(%x : tensor<4xf32>) outs(%o : tensor<4xf32>) symbols <[]> -> tensor<4xf32>
    pipe.return %0 : tensor<4xf32>
  }
  pipe.stage @s3(%x: tensor<4xf32>, %z: tensor<4xf32>) -> (tensor<4xf32>) reads [@c0, @c2] writes [@y] {
    %o = nn.empty : tensor<4xf32>
    %0 = nn.call @k1 ins(%x, %z : tensor<4xf32>, tensor<4xf32>) outs(%o : tensor<4xf32>) symbols <[]> -> tensor<4xf32>
    pipe.return %0 : tensor<4xf32>
  }
}
