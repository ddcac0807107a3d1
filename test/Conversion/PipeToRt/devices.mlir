// RUN: penstock-opt %s --convert-pipe-to-rt | FileCheck %s

// A stage on a device becomes a role there, and each such role knows how many come before it. What its program copies is
// copied between wait and use, and between the kernel and the publishing: all that the host carries.
// CHECK-LABEL: rt.role @role_0 role 0 of 4
// CHECK-SAME:    attributes {device = "cuda"}
// CHECK:           rt.begin
// CHECK-NEXT:      rt.wait @x
// CHECK-NEXT:      rt.upload @x
// CHECK-NEXT:      rt.bind
// CHECK-NEXT:      rt.acquire @a
// CHECK-NEXT:      rt.call
// CHECK-NEXT:      rt.done 0
// CHECK-NEXT:      rt.download @a
// CHECK-NEXT:      rt.publish @a
// CHECK-NEXT:      rt.release @x
// CHECK-NEXT:      rt.end
// CHECK-LABEL: rt.role @role_1 role 1 of 4
// CHECK-NOT:     device
// CHECK-NOT:     rt.upload
// CHECK-NOT:     rt.download
// CHECK-LABEL: rt.role @role_2 role 2 of 4
// CHECK-SAME:    attributes {device = "cuda", device_number = 1 : i64}
// CHECK:           rt.wait @b
// CHECK-NEXT:      rt.upload @b
// CHECK-NOT:       rt.download
// CHECK:           rt.publish @c
// CHECK-LABEL: rt.role @role_3 role 3 of 4
// CHECK-SAME:    attributes {device = "cuda", device_number = 2 : i64}
// CHECK:           rt.channel @c {{.*}} in 0 {carrier = "nccl"}
// CHECK:           rt.wait @c
// CHECK-NEXT:      rt.bind
// CHECK:           rt.download @y
// CHECK-NEXT:      rt.publish @y
module attributes {nn.model = "m.onnx"} {
  pipe.channel @x from @source to [@s0] depth 2 {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
  pipe.channel @a from @s0 to [@s1] depth 2 {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
  pipe.channel @b from @s1 to [@s2] depth 2 {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
  pipe.channel @c from @s2 to [@s3] depth 2 {pipe.carrier = "nccl", slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
  pipe.channel @y from @s3 to [@sink] depth 2 {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
  nn.kernel_def @k0(%a: tensor<4xf32>) -> (tensor<4xf32>) symbols 0 attributes {kernel.object = "1a"} {
    %0 = nn.unary tanh %a : tensor<4xf32>
    nn.yield %0 : tensor<4xf32>
  }
  pipe.stage @s0(%in: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@a]
      attributes {pipe.storage = [#pipe.storage<channel_in, symbol = @x>], pipe.device = "cuda"} {
    %0 = nn.empty {pipe.storage = #pipe.storage<channel_out, symbol = @a>} : tensor<4xf32>
    %1 = nn.call @k0 ins(%in : tensor<4xf32>) outs(%0 : tensor<4xf32>) symbols <[]> {nn.kernel_name = "tanh_0"} -> tensor<4xf32>
    pipe.return %1 : tensor<4xf32>
  }
  pipe.stage @s1(%in: tensor<4xf32>) -> (tensor<4xf32>) reads [@a] writes [@b]
      attributes {pipe.storage = [#pipe.storage<channel_in, symbol = @a>]} {
    %0 = nn.empty {pipe.storage = #pipe.storage<channel_out, symbol = @b>} : tensor<4xf32>
    %1 = nn.call @k0 ins(%in : tensor<4xf32>) outs(%0 : tensor<4xf32>) symbols <[]> {nn.kernel_name = "tanh_1"} -> tensor<4xf32>
    pipe.return %1 : tensor<4xf32>
  }
  pipe.stage @s2(%in: tensor<4xf32>) -> (tensor<4xf32>) reads [@b] writes [@c]
      attributes {pipe.storage = [#pipe.storage<channel_in, symbol = @b>], pipe.device = "cuda"} {
    %0 = nn.empty {pipe.storage = #pipe.storage<channel_out, symbol = @c>} : tensor<4xf32>
    %1 = nn.call @k0 ins(%in : tensor<4xf32>) outs(%0 : tensor<4xf32>) symbols <[]> {nn.kernel_name = "tanh_2"} -> tensor<4xf32>
    pipe.return %1 : tensor<4xf32>
  }
  pipe.stage @s3(%in: tensor<4xf32>) -> (tensor<4xf32>) reads [@c] writes [@y]
      attributes {pipe.storage = [#pipe.storage<channel_in, symbol = @c>], pipe.device = "cuda"} {
    %0 = nn.empty {pipe.storage = #pipe.storage<channel_out, symbol = @y>} : tensor<4xf32>
    %1 = nn.call @k0 ins(%in : tensor<4xf32>) outs(%0 : tensor<4xf32>) symbols <[]> {nn.kernel_name = "tanh_3"} -> tensor<4xf32>
    pipe.return %1 : tensor<4xf32>
  }
  pipe.program @r0 runs [@s0] attributes {pipe.memory = {arena = 0 : i64}} prologue {
  } steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.upload %0 : tensor<4xf32>
    %2 = pipe.run @s0(%1) : (tensor<4xf32>) -> tensor<4xf32>
    %3 = pipe.download %2 : tensor<4xf32>
    pipe.send %3 to @a : tensor<4xf32>
  } epilogue {
  }
  pipe.program @r1 runs [@s1] attributes {pipe.memory = {arena = 0 : i64}} prologue {
  } steady {
    %0 = pipe.recv @a : tensor<4xf32>
    %2 = pipe.run @s1(%0) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %2 to @b : tensor<4xf32>
  } epilogue {
  }
  pipe.program @r2 runs [@s2] attributes {pipe.memory = {arena = 0 : i64}} prologue {
  } steady {
    %0 = pipe.recv @b : tensor<4xf32>
    %1 = pipe.upload %0 : tensor<4xf32>
    %2 = pipe.run @s2(%1) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %2 to @c : tensor<4xf32>
  } epilogue {
  }
  pipe.program @r3 runs [@s3] attributes {pipe.memory = {arena = 0 : i64}} prologue {
  } steady {
    %0 = pipe.recv @c : tensor<4xf32>
    %2 = pipe.run @s3(%0) : (tensor<4xf32>) -> tensor<4xf32>
    %3 = pipe.download %2 : tensor<4xf32>
    pipe.send %3 to @y : tensor<4xf32>
  } epilogue {
  }
}
