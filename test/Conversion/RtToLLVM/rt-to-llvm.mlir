// RUN: penstock-opt %s --convert-rt-to-llvm | FileCheck %s

// A role becomes a module of tables and two functions. The tables hold what the role says; the program is one loop in which
// each op is one call, a failure leaves it, and the end of the stream is a success.
// CHECK-LABEL: module @role_0
// CHECK-DAG:     llvm.mlir.global internal constant @[[RELEASED:bytes_[0-9]+]]("x\00") {addr_space = 0 : i32, alignment = 1 : i64}
// CHECK-DAG:     llvm.mlir.global internal constant @[[DATA:bytes_[0-9]+]]("\00\00\80?\00\00\80?") {addr_space = 0 : i32, alignment = 64 : i64}
// CHECK-DAG:     llvm.mlir.global internal constant @{{.*}}(dense<[-1, 3]> : tensor<2xi64>)
// CHECK-DAG:     llvm.mlir.global internal constant @[[MADE:numbers_[0-9]+]](dense<1> : tensor<1xi32>)
// CHECK-DAG:     llvm.mlir.global internal constant @steps
// CHECK-DAG:     llvm.mlir.addressof @[[MADE]]
// CHECK-DAG:     llvm.mlir.global internal constant @storages
// CHECK-DAG:     llvm.mlir.global internal constant @channels

// Extents: a symbol out of its bounds has no value, division is guarded, overflow is seen.
// CHECK-LABEL:   llvm.func internal @extents(
// CHECK-SAME:      %[[SYMBOLS:.*]]: !llvm.ptr, %[[EXTENTS:.*]]: !llvm.ptr)
// CHECK:           llvm.load
// CHECK:           llvm.icmp "slt"
// CHECK:           llvm.icmp "sgt"
// CHECK:           "llvm.intr.smul.with.overflow"
// CHECK:           llvm.icmp "sle"
// CHECK:           llvm.srem
// CHECK:           llvm.sdiv
// CHECK:           llvm.mlir.constant(-9223372036854775808 : i64)
// CHECK:           llvm.store
// CHECK:           llvm.return

// CHECK-LABEL:   llvm.func internal @program(
// CHECK-SAME:      %[[CTX:.*]]: !llvm.ptr) -> i32
// CHECK:           %[[BUFFERS:.*]] = llvm.call @rt_buffers(%[[CTX]])
// CHECK:           llvm.call @rt_extents(%[[CTX]])
// CHECK:           llvm.alloca
// CHECK-NEXT:      llvm.br ^[[LOOP:bb[0-9]+]]
// CHECK:         ^[[LOOP]]:
// CHECK-NEXT:      %[[BEGIN:.*]] = llvm.call @rt_begin(%[[CTX]])
// CHECK:           llvm.icmp "eq" %[[BEGIN]]
// CHECK:           %[[RESULT:.*]] = llvm.select
// CHECK:           llvm.cond_br %{{.*}}, ^{{.*}}, ^[[FAILED:bb[0-9]+]](%[[RESULT]] : i32)
// CHECK:           %[[WAIT:.*]] = llvm.call @rt_wait(%[[CTX]], %{{.*}})
// CHECK:           %[[BAD:.*]] = llvm.icmp "slt" %[[WAIT]]
// CHECK:           llvm.cond_br %[[BAD]], ^[[FAILED]](%[[WAIT]] : i32), ^
// CHECK:           llvm.call @rt_bind(%[[CTX]])
// CHECK:           llvm.call @rt_check(%[[CTX]]
// CHECK:           llvm.call @rt_acquire(%[[CTX]]
// CHECK:           llvm.getelementptr %[[BUFFERS]][2]
// CHECK:           llvm.call @k_1a2b(%[[CTX]], %{{.*}}, %{{.*}}) : (!llvm.ptr, !llvm.ptr, !llvm.ptr) -> ()
// CHECK:           llvm.call @rt_done(%[[CTX]]
// CHECK:           llvm.call @rt_publish(%[[CTX]]
// CHECK:           llvm.call @rt_release(%[[CTX]]
// CHECK:           llvm.call @rt_end(%[[CTX]]
// CHECK:           llvm.br ^[[LOOP]]
// CHECK:         ^[[FAILED]](%[[CODE:.*]]: i32):
// CHECK-NEXT:      llvm.return %[[CODE]] : i32

// What the role says of itself is an ELF note.
// CHECK:         llvm.mlir.global internal constant @[[NOTE:bytes_[0-9]+]]("\09\00\00\00\{{..}}\00\00\00\01\00\00\00Penstock\00\00\00\00abi {{[0-9]+}}\0Afingerprint 0011{{[0-9a-f]+}}\0Aname stage-0\0Arole 0\0Aroles 1\0Amodel m.onnx 12ab\0Acut 1 stage 34cd\0A{{(\\00)*}}") {addr_space = 0 : i32, alignment = 4 : i64, section = ".note.penstock"}
// CHECK:         llvm.mlir.global external constant @penstock_role_0()
// CHECK:           llvm.mlir.addressof @[[NOTE]]
// CHECK:           llvm.mlir.addressof @program
rt.role @role_0 role 0 of 1 stages [0] of 1 model "m.onnx" arena 0
    extents affine_map<()[s0] -> (s0, s0 * 3, s0 floordiv 2)>
    attributes {fingerprint = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
                identity = "model m.onnx 12ab\0Acut 1 stage 34cd\0A"} {
  rt.symbol "batch" {lower = 1 : i64, upper = 16 : i64}
  rt.channel @x id 0 "x" f32 [-1, 3] from -1 to [0] depth 2 bytes 192 in 0
  rt.channel @y id 1 "y" f32 [-1, 3] from 0 to [-2] depth 2 bytes 192 out
  rt.storage 0 channel_in "x" {channel = 0 : i64, num_bytes = 192 : i64}
  rt.storage 1 channel_out "y" {channel = 1 : i64, num_bytes = 192 : i64}
  rt.storage 2 constant "c" {num_bytes = 8 : i64, value = dense<1.0> : tensor<2xf32>}
  rt.step 0 "y" kernel "k_1a2b" makes [1]
  rt.program {
    rt.begin
    rt.wait @x
    rt.bind
    rt.check 0 equals 1 "operands of node 'add'"
    rt.acquire @y
    rt.call "k_1a2b" buffers [0, 2, 1] symbols 0
    rt.done 0
    rt.publish @y
    rt.release @x
    rt.end
  }
}
