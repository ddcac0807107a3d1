// Functions of mathematics that the conversion to NVVM has no rule for are libdevice's.
// RUN: penstock-opt %s --cuda-to-nvvm | FileCheck %s

// CHECK-LABEL:   gpu.module @device
// CHECK-LABEL:   llvm.func @f0(
// CHECK-NOT:     math.
// CHECK:         llvm.call @__nv_acosf({{.*}}) : (f32) -> f32
// CHECK:         llvm.call @__nv_acoshf({{.*}}) : (f32) -> f32
// CHECK:         llvm.call @__nv_asinf({{.*}}) : (f32) -> f32
// CHECK:         llvm.call @__nv_asinhf({{.*}}) : (f32) -> f32
// CHECK:         llvm.call @__nv_atanhf({{.*}}) : (f32) -> f32
// CHECK:         llvm.call @__nv_coshf({{.*}}) : (f32) -> f32
// CHECK:         llvm.call @__nv_sinhf({{.*}}) : (f32) -> f32
// CHECK:         llvm.call @__nv_sinh({{.*}}) : (f64) -> f64
// CHECK:         %[[WIDE:.*]] = llvm.fpext %{{.*}} : f16 to f32
// CHECK:         %[[SINH:.*]] = llvm.call @__nv_sinhf(%[[WIDE]]) : (f32) -> f32
// CHECK:         llvm.fptrunc %[[SINH]] : f32 to f16
// CHECK-NOT:     math.
module attributes {gpu.container_module} {
  gpu.module @device {
    gpu.func @f0(%x: f32, %d: f64, %h: f16, %to: !llvm.ptr) kernel {
      %0 = math.acos %x : f32
      %1 = math.acosh %0 : f32
      %2 = math.asin %1 : f32
      %3 = math.asinh %2 : f32
      %4 = math.atanh %3 : f32
      %5 = math.cosh %4 : f32
      %6 = math.sinh %5 : f32
      llvm.store %6, %to : f32, !llvm.ptr
      %7 = math.sinh %d : f64
      llvm.store %7, %to : f64, !llvm.ptr
      %8 = math.sinh %h : f16
      llvm.store %8, %to : f16, !llvm.ptr
      gpu.return
    }
  }
}
