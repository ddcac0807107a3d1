// RUN: penstock-opt %s --cuda-to-buffers | FileCheck %s --check-prefix=BUFFERS
// RUN: penstock-opt %s --cuda-to-buffers --cuda-to-device | FileCheck %s --check-prefix=DEVICE
// RUN: penstock-opt %s --cuda-to-buffers --cuda-to-device --cuda-to-nvvm | FileCheck %s --check-prefix=NVVM

// A softmax along rows on its way: linalg on tensors, then on buffers, with what lies between in the workspace.
// BUFFERS-LABEL: func.func private @body(
// BUFFERS-SAME:    %[[P:.*]]: !llvm.ptr, %[[Q:.*]]: !llvm.ptr, %[[W:.*]]: !llvm.ptr)
// BUFFERS-SAME:    kernel.workspace = #map
// BUFFERS-NOT:     tensor<
// BUFFERS:         %[[TOP:.*]] = memref.view {{.*}} to memref<6xf32>
// BUFFERS:         linalg.fill {{.*}} outs(%[[TOP]] : memref<6xf32>)
// BUFFERS:         linalg.generic {{.*}} iterator_types = ["parallel", "reduction"]} {{.*}} outs(%[[TOP]] : memref<6xf32>)
// BUFFERS:           arith.maximumf
// BUFFERS:         linalg.generic
// BUFFERS:           math.exp
// BUFFERS-NOT:     tensor<

// One function of the device does it all; the host launches.
// DEVICE-LABEL: func.func private @body(
// DEVICE-SAME:    %[[P:.*]]: !llvm.ptr, %[[Q:.*]]: !llvm.ptr, %{{.*}}: !llvm.ptr)
// DEVICE-NOT:     linalg.
// DEVICE:         gpu.launch_func @device::@f0 blocks in (%c2, %c1, %c1) threads in (%c32, %c4, %c1) args(%[[P]] : !llvm.ptr, %[[Q]] : !llvm.ptr)
// DEVICE-NEXT:    return
// DEVICE:       gpu.func @f0(
// DEVICE-NOT:     linalg.
// DEVICE:         gpu.shuffle xor
// DEVICE:         math.exp
// DEVICE:         memref.store
// DEVICE-NOT:   gpu.func

// Then the dialects of LLVM and of the chip: pointers, shuffles as instructions, and mathematics as polynomials.
// NVVM:         gpu.module @device
// NVVM-LABEL:   llvm.func @f0(
// NVVM-SAME:      attributes {{.*}}gpu.kernel{{.*}}nvvm.kernel
// NVVM-NOT:       math.
// NVVM:           nvvm.read.ptx.sreg.ctaid.x
// NVVM:           nvvm.shfl.sync bfly
// NVVM:           llvm.fcmp
// NVVM-NOT:       math.
// NVVM:           llvm.store
// NVVM-NOT:       math.
func.func private @body(%p: !llvm.ptr, %q: !llvm.ptr, %w: !llvm.ptr) {
  %x0 = builtin.unrealized_conversion_cast %p : !llvm.ptr to memref<6x100xf32>
  %y0 = builtin.unrealized_conversion_cast %q : !llvm.ptr to memref<6x100xf32>
  %x = bufferization.to_tensor %x0 restrict : memref<6x100xf32>
  %low = arith.constant 0xFF800000 : f32
  %rows = tensor.empty() : tensor<6xf32>
  %all = tensor.empty() : tensor<6x100xf32>
  %none = linalg.fill ins(%low : f32) outs(%rows : tensor<6xf32>) -> tensor<6xf32>
  %top = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0)>],
                         iterator_types = ["parallel", "reduction"]} ins(%x : tensor<6x100xf32>) outs(%none : tensor<6xf32>) {
  ^bb0(%in: f32, %out: f32):
    %r = arith.maximumf %out, %in : f32
    linalg.yield %r : f32
  } -> tensor<6xf32>
  %y = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0)>, affine_map<(d0, d1) -> (d0, d1)>],
                       iterator_types = ["parallel", "parallel"]} ins(%x, %top : tensor<6x100xf32>, tensor<6xf32>) outs(%all : tensor<6x100xf32>) {
  ^bb0(%in: f32, %most: f32, %out: f32):
    %d = arith.subf %in, %most : f32
    %r = math.exp %d : f32
    linalg.yield %r : f32
  } -> tensor<6x100xf32>
  bufferization.materialize_in_destination %y in restrict writable %y0 : (tensor<6x100xf32>, memref<6x100xf32>) -> ()
  return
}
