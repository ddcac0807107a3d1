// RUN: penstock-opt %s --convert-rt-to-llvm | FileCheck %s

// A role on a device names what the runtime has for it, which brings the code; a role on the host has a null there.
// Copies between the two are calls like others, with the position of the channel.
// CHECK-LABEL: module @role_0
// CHECK:         llvm.func internal @program(
// CHECK:           llvm.call @rt_wait(
// CHECK:           llvm.cond_br %{{.*}}, ^[[FAILED:bb[0-9]+]](
// CHECK:           %[[X:.*]] = llvm.mlir.constant(0 : i32) : i32
// CHECK-NEXT:      %[[UPLOADED:.*]] = llvm.call @rt_upload(%[[CTX:.*]], %[[X]]) : (!llvm.ptr, i32) -> i32
// CHECK:           %[[BAD:.*]] = llvm.icmp "slt" %[[UPLOADED]]
// CHECK-NEXT:      llvm.cond_br %[[BAD]], ^[[FAILED]](%[[UPLOADED]] : i32)
// CHECK:           llvm.call @rt_bind(%[[CTX]])
// CHECK:           llvm.call @rt_acquire(%[[CTX]]
// CHECK:           %[[Y:.*]] = llvm.mlir.constant(1 : i32) : i32
// CHECK-NEXT:      %[[DOWNLOADED:.*]] = llvm.call @rt_download(%[[CTX]], %[[Y]]) : (!llvm.ptr, i32) -> i32
// CHECK:           llvm.cond_br %{{.*}}, ^[[FAILED]](%[[DOWNLOADED]] : i32)
// CHECK:           llvm.call @rt_publish(%[[CTX]]
// CHECK:         llvm.mlir.global external constant @rt_cuda_device()
// CHECK:         llvm.mlir.global external constant @penstock_role_0()
// CHECK:           llvm.mlir.addressof @rt_cuda_device
// CHECK:           llvm.mlir.constant(3 : i32)
// CHECK-NEXT:      llvm.insertvalue
// CHECK-NEXT:      llvm.return
rt.role @role_0 role 0 of 1 stages [0] of 1 model "m.onnx" arena 0 extents affine_map<() -> ()>
    attributes {fingerprint = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff", device = "cuda",
                device_number = 3 : i64, identity = "model m.onnx 12ab\0Acut 1 stage 34cd\0A"} {
  rt.channel @x id 0 "x" f32 [3] from -1 to [0] depth 2 bytes 12 in 0
  rt.channel @y id 1 "y" f32 [3] from 0 to [-2] depth 2 bytes 12 out
  rt.program {
    rt.begin
    rt.wait @x
    rt.upload @x
    rt.bind
    rt.acquire @y
    rt.download @y
    rt.publish @y
    rt.release @x
    rt.end
  }
}

// CHECK-LABEL: module @role_1
// CHECK-NOT:     rt_cuda_device
// CHECK:         llvm.mlir.global external constant @penstock_role_1()
// CHECK:           llvm.mlir.zero
rt.role @role_1 role 1 of 2 stages [0] of 1 model "m.onnx" arena 0 extents affine_map<() -> ()>
    attributes {fingerprint = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
                identity = "model m.onnx 12ab\0Acut 1 stage 34cd\0A"} {
  rt.channel @x id 0 "x" f32 [3] from -1 to [0] depth 2 bytes 12 in 0
  rt.program {
    rt.begin
    rt.wait @x
    rt.bind
    rt.release @x
    rt.end
  }
}
