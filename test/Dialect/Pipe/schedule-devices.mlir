// RUN: penstock-opt %s --pipe-schedule --split-input-file --verify-diagnostics | FileCheck %s
// RUN: penstock-opt %s --pipe-schedule --split-input-file | penstock-opt --pipe-verify-schedule --split-input-file | FileCheck %s

// A plan with one stage on a device, between two on the host: what comes to it is uploaded, what it makes is downloaded.
// CHECK-LABEL: pipe.program @r0 runs [@s0]
// CHECK-NOT:     pipe.upload
// CHECK-NOT:     pipe.download
// CHECK-LABEL: pipe.program @r1 runs [@s1]
// CHECK-NEXT:    %[[A:.*]] = pipe.recv @x1 : tensor<4xf32>
// CHECK-NEXT:    %[[B:.*]] = pipe.upload %[[A]] : tensor<4xf32>
// CHECK-NEXT:    %[[C:.*]] = pipe.recv @a : tensor<4xf32>
// CHECK-NEXT:    %[[D:.*]] = pipe.upload %[[C]] : tensor<4xf32>
// CHECK-NEXT:    %[[E:.*]] = pipe.run @s1(%[[D]], %[[B]]) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
// CHECK-NEXT:    %[[F:.*]] = pipe.download %[[E]] : tensor<4xf32>
// CHECK-NEXT:    pipe.send %[[F]] to @b : tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: pipe.program @r2 runs [@s2]
// CHECK-NOT:     pipe.upload
// CHECK-NOT:     pipe.download
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @x1 from @source to [@s1] : tensor<4xf32>
  pipe.channel @a from @s0 to [@s1] : tensor<4xf32>
  pipe.channel @b from @s1 to [@s2] : tensor<4xf32>
  pipe.channel @y from @s2 to [@sink] : tensor<4xf32>
  nn.kernel_def @k0(%a: tensor<4xf32>) -> (tensor<4xf32>) symbols 0 {
    %0 = nn.unary exp %a : tensor<4xf32>
    nn.yield %0 : tensor<4xf32>
  }
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@a] {
    %o = nn.empty : tensor<4xf32>
    %0 = nn.call @k0 ins(%x : tensor<4xf32>) outs(%o : tensor<4xf32>) symbols <[]> -> tensor<4xf32>
    pipe.return %0 : tensor<4xf32>
  }
  pipe.stage @s1(%a: tensor<4xf32>, %x1: tensor<4xf32>) -> (tensor<4xf32>) reads [@a, @x1] writes [@b] attributes {pipe.device = "cuda"} {
    %o = nn.empty : tensor<4xf32>
    %0 = nn.call @k0 ins(%a : tensor<4xf32>) outs(%o : tensor<4xf32>) symbols <[]> -> tensor<4xf32>
    pipe.return %0 : tensor<4xf32>
  }
  pipe.stage @s2(%b: tensor<4xf32>) -> (tensor<4xf32>) reads [@b] writes [@y] {
    %o = nn.empty : tensor<4xf32>
    %0 = nn.call @k0 ins(%b : tensor<4xf32>) outs(%o : tensor<4xf32>) symbols <[]> -> tensor<4xf32>
    pipe.return %0 : tensor<4xf32>
  }
}

// -----

// Over NCCL payloads stay on devices; inputs and outputs of the model are the host's.
// CHECK-LABEL: pipe.program @r0 runs [@s0]
// CHECK-NEXT:    %[[A:.*]] = pipe.recv @x : tensor<4xf32>
// CHECK-NEXT:    %[[B:.*]] = pipe.upload %[[A]] : tensor<4xf32>
// CHECK-NEXT:    %[[C:.*]] = pipe.run @s0(%[[B]]) : (tensor<4xf32>) -> tensor<4xf32>
// CHECK-NEXT:    pipe.send %[[C]] to @a : tensor<4xf32>
// CHECK-NEXT:  }
// CHECK-LABEL: pipe.program @r1 runs [@s1]
// CHECK-NEXT:    %[[D:.*]] = pipe.recv @a : tensor<4xf32>
// CHECK-NEXT:    %[[E:.*]] = pipe.run @s1(%[[D]]) : (tensor<4xf32>) -> tensor<4xf32>
// CHECK-NEXT:    %[[F:.*]] = pipe.download %[[E]] : tensor<4xf32>
// CHECK-NEXT:    pipe.send %[[F]] to @y : tensor<4xf32>
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @a from @s0 to [@s1] {pipe.carrier = "nccl"} : tensor<4xf32>
  pipe.channel @y from @s1 to [@sink] : tensor<4xf32>
  nn.kernel_def @k0(%a: tensor<4xf32>) -> (tensor<4xf32>) symbols 0 {
    %0 = nn.unary exp %a : tensor<4xf32>
    nn.yield %0 : tensor<4xf32>
  }
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@a] attributes {pipe.device = "cuda"} {
    %o = nn.empty : tensor<4xf32>
    %0 = nn.call @k0 ins(%x : tensor<4xf32>) outs(%o : tensor<4xf32>) symbols <[]> -> tensor<4xf32>
    pipe.return %0 : tensor<4xf32>
  }
  pipe.stage @s1(%a: tensor<4xf32>) -> (tensor<4xf32>) reads [@a] writes [@y] attributes {pipe.device = "cuda"} {
    %o = nn.empty : tensor<4xf32>
    %0 = nn.call @k0 ins(%a : tensor<4xf32>) outs(%o : tensor<4xf32>) symbols <[]> -> tensor<4xf32>
    pipe.return %0 : tensor<4xf32>
  }
}
