// RUN: penstock-opt %s --split-input-file | FileCheck %s
// RUN: penstock-opt %s --split-input-file --mlir-print-op-generic | penstock-opt --split-input-file | FileCheck %s

// The forms that are used now: inputs, outputs, channels with depth and slots, stages with storage, programs with memory.
// CHECK:       pipe.input "x" via @x : tensor<4xf32>
// CHECK:       pipe.input "unused" : tensor<1xi64>
// CHECK:       pipe.output "y" via @y : tensor<4xf32>
// CHECK:       pipe.channel @x from @source to [@s0, @sink] depth 2 tensor "x" {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
// CHECK:       pipe.channel @go from @source to [@s0] control : tensor<0xi8>
// CHECK:       pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
// CHECK:       pipe.stage @s0(%[[X:.*]]: tensor<4xf32>, %{{.*}}: tensor<0xi8>) -> (tensor<4xf32>) reads [@x, @go] writes [@y]
// CHECK-SAME:    attributes {pipe.storage = [#pipe.storage<channel_in, symbol = @x>, #pipe.storage<channel_in, symbol = @go>]}
// CHECK:         nn.empty {pipe.storage = #pipe.storage<arena, offset = 64, bytes = <[16]>, first = 0, last = 2>} : tensor<4xf32>
// CHECK:         nn.empty {pipe.storage = #pipe.storage<arena, offset = -1, bytes = <[s0 * 4]>, first = 1, last = 1, alias = 0>}
// CHECK:         pipe.return
// CHECK:       pipe.program @r0 runs [@s0] period 1.250000e-03 attributes {pipe.memory = {arena = 64 : i64}} steady {
// CHECK:         %[[A:.*]] = pipe.recv @x : tensor<4xf32>
// CHECK:         %[[B:.*]] = pipe.recv @go : tensor<0xi8>
// CHECK:         %[[C:.*]] = pipe.run @s0(%[[A]], %[[B]]) : (tensor<4xf32>, tensor<0xi8>) -> tensor<4xf32>
// CHECK:         pipe.send %[[C]] to @y : tensor<4xf32>
module {
  pipe.input "x" via @x : tensor<4xf32>
  pipe.input "unused" : tensor<1xi64>
  pipe.output "y" via @y : tensor<4xf32>
  pipe.channel @x from @source to [@s0, @sink] depth 2 tensor "x" {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
  pipe.channel @go from @source to [@s0] control : tensor<0xi8>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  nn.kernel_def @k0(%a: tensor<4xf32>) -> (tensor<4xf32>) symbols 0 {
    %0 = nn.unary exp %a : tensor<4xf32>
    nn.yield %0 : tensor<4xf32>
  }
  pipe.stage @s0(%x: tensor<4xf32>, %go: tensor<0xi8>) -> (tensor<4xf32>) reads [@x, @go] writes [@y] attributes {pipe.storage = [#pipe.storage<channel_in, symbol = @x>, #pipe.storage<channel_in, symbol = @go>]} {
    %o = nn.empty {pipe.storage = #pipe.storage<arena, offset = 64, bytes = <[16]>, first = 0, last = 2>} : tensor<4xf32>
    %e = nn.empty {pipe.storage = #pipe.storage<arena, offset = -1, bytes = <[s0 * 4]>, first = 1, last = 1, alias = 0>} : tensor<4xf32>
    %0 = nn.call @k0 ins(%x : tensor<4xf32>) outs(%o : tensor<4xf32>) symbols <[]> -> tensor<4xf32>
    pipe.return %0 : tensor<4xf32>
  }
  pipe.program @r0 runs [@s0] period 1.25e-3 attributes {pipe.memory = {arena = 64 : i64}} steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.recv @go : tensor<0xi8>
    %2 = pipe.run @s0(%0, %1) : (tensor<4xf32>, tensor<0xi8>) -> tensor<4xf32>
    pipe.send %2 to @y : tensor<4xf32>
  }
}

// -----

// Room left on purpose: a loopback channel with a delay, channels and states per session, a mutable weight, a group, replicas,
// a role of two stages with prologue and epilogue, message flags, and tasks beside the forward one.
// CHECK:       pipe.channel @x from @source to [@s0] depth 2 per_session : tensor<4xf32>
// CHECK:       pipe.channel @back from @s1 to [@s0] depth 3 delay 1 per_session : tensor<4xf32>
// CHECK:       pipe.channel @c0 from @s0 to [@s1] per_session : tensor<4xf32>
// CHECK:       pipe.state @h in @s1 per_session : tensor<4xf32>
// CHECK:       pipe.state @m in @s1 init @w : tensor<4xf32>
// CHECK:       pipe.stage @s0
// CHECK-SAME:    reads [@x, @back] writes [@c0] group "tp0"
// CHECK:       pipe.stage @s1
// CHECK-SAME:    reads [@c0] writes [@back] states [@h, @m]
// CHECK:       pipe.program @r0 runs [@s0, @s1] replicas 2 base 1 prologue {
// CHECK:         pipe.run @s0
// CHECK:       } steady {
// CHECK:         pipe.run @s1(%{{.*}}) microbatch -1 : (tensor<4xf32>)
// CHECK:         pipe.run @s0(%{{.*}}, %{{.*}}) : (tensor<4xf32>, tensor<4xf32>)
// CHECK:       } epilogue {
// CHECK:         pipe.run @s1(%{{.*}}) microbatch -1
// CHECK:         pipe.send %{{.*}} to @back flags end_of_request
module {
  nn.weight @w : tensor<4xf32> from <"m.onnx", 0, 16>
  pipe.channel @x from @source to [@s0] depth 2 per_session : tensor<4xf32>
  pipe.channel @back from @s1 to [@s0] depth 3 delay 1 per_session : tensor<4xf32>
  pipe.channel @c0 from @s0 to [@s1] per_session : tensor<4xf32>
  pipe.state @h in @s1 per_session : tensor<4xf32>
  pipe.state @m in @s1 init @w : tensor<4xf32>
  nn.kernel_def @k0(%a: tensor<4xf32>, %b: tensor<4xf32>) -> (tensor<4xf32>) symbols 0 {
    %0 = nn.binary add %a, %b : tensor<4xf32>, tensor<4xf32>
    nn.yield %0 : tensor<4xf32>
  }
  pipe.stage @s0(%x: tensor<4xf32>, %b: tensor<4xf32>) -> (tensor<4xf32>) reads [@x, @back] writes [@c0] group "tp0" {
    %o = nn.empty : tensor<4xf32>
    %0 = nn.call @k0 ins(%x, %b : tensor<4xf32>, tensor<4xf32>) outs(%o : tensor<4xf32>) symbols <[]> -> tensor<4xf32>
    pipe.return %0 : tensor<4xf32>
  }
  pipe.stage @s1(%c: tensor<4xf32>, %h: tensor<4xf32>, %m: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) reads [@c0] writes [@back] states [@h, @m] {
    %o = nn.empty : tensor<4xf32>
    %0 = nn.call @k0 ins(%c, %h : tensor<4xf32>, tensor<4xf32>) outs(%o : tensor<4xf32>) symbols <[]> -> tensor<4xf32>
    pipe.return %0, %c, %m : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
  }
  pipe.program @r0 runs [@s0, @s1] replicas 2 base 1 prologue {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.recv @back : tensor<4xf32>
    %2 = pipe.run @s0(%0, %1) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
    pipe.send %2 to @c0 : tensor<4xf32>
  } steady {
    %0 = pipe.recv @c0 : tensor<4xf32>
    %1 = pipe.run @s1(%0) microbatch -1 : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @back : tensor<4xf32>
    %2 = pipe.recv @x : tensor<4xf32>
    %3 = pipe.recv @back : tensor<4xf32>
    %4 = pipe.run @s0(%2, %3) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
    pipe.send %4 to @c0 : tensor<4xf32>
  } epilogue {
    %0 = pipe.recv @c0 : tensor<4xf32>
    %1 = pipe.run @s1(%0) microbatch -1 : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @back flags end_of_request : tensor<4xf32>
  }
}

// -----

// A stage may be run for other tasks than the forward one; each counts its own microbatches.
// CHECK:       pipe.run @s0(%{{.*}}) : (tensor<4xf32>) -> tensor<4xf32>
// CHECK:       pipe.run @s0(%{{.*}}) task backward : (tensor<4xf32>) -> tensor<4xf32>
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] {
    pipe.return %x : tensor<4xf32>
  }
  pipe.program @r0 runs [@s0] steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @y : tensor<4xf32>
    %2 = pipe.recv @x : tensor<4xf32>
    %3 = pipe.run @s0(%2) task backward : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %3 to @y : tensor<4xf32>
  }
}

// -----

// A stage on a device: what the host carries is copied there and back, what NCCL carries is not.
// CHECK:       pipe.program @r0 runs [@s0] steady {
// CHECK-NEXT:    %[[X:.*]] = pipe.recv @x : tensor<4xf32>
// CHECK-NEXT:    %[[A:.*]] = pipe.upload %[[X]] : tensor<4xf32>
// CHECK-NEXT:    %[[C:.*]] = pipe.recv @c : tensor<4xf32>
// CHECK-NEXT:    %[[R:.*]]:2 = pipe.run @s0(%[[A]], %[[C]]) : (tensor<4xf32>, tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>)
// CHECK-NEXT:    pipe.send %[[R]]#0 to @d : tensor<4xf32>
// CHECK-NEXT:    %[[Y:.*]] = pipe.download %[[R]]#1 : tensor<4xf32>
// CHECK-NEXT:    pipe.send %[[Y]] to @y : tensor<4xf32>
module {
  pipe.channel @x from @source to [@s0] : tensor<4xf32>
  pipe.channel @c from @s1 to [@s0] delay 1 {pipe.carrier = "nccl"} : tensor<4xf32>
  pipe.channel @d from @s0 to [@s1] {pipe.carrier = "nccl"} : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] : tensor<4xf32>
  pipe.stage @s0(%x: tensor<4xf32>, %c: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) reads [@x, @c] writes [@d, @y] attributes {pipe.device = "cuda"} {
    pipe.return %x, %c : tensor<4xf32>, tensor<4xf32>
  }
  pipe.stage @s1(%d: tensor<4xf32>) -> (tensor<4xf32>) reads [@d] writes [@c] attributes {pipe.device = "cuda"} {
    pipe.return %d : tensor<4xf32>
  }
  pipe.program @r0 runs [@s0] steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.upload %0 : tensor<4xf32>
    %2 = pipe.recv @c : tensor<4xf32>
    %3:2 = pipe.run @s0(%1, %2) : (tensor<4xf32>, tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>)
    pipe.send %3#0 to @d : tensor<4xf32>
    %4 = pipe.download %3#1 : tensor<4xf32>
    pipe.send %4 to @y : tensor<4xf32>
  }
}
