// RUN: penstock-opt %s --convert-rt-to-llvm | FileCheck %s

// A role on a device names what the runtime has for it, which brings the code; a role on the host has a null there.
// CHECK-LABEL: module @role_0
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
  rt.program {
    rt.begin
    rt.wait @x
    rt.bind
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
