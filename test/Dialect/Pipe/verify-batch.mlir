// RUN: penstock-opt %s --pipe-verify-batch --split-input-file | FileCheck %s

// Attention over a symbolic batch: rows stay apart through products, reshapes that put the batch and the sequence on one axis,
// transposes and softmax. A table of positions is the same for all rows; the mask has rows.
// CHECK-LABEL: func.func @main
// CHECK-SAME:    %[[X:[^:]*]]: tensor<?x16x8xf32, #nn.extents<[s0]>> {nn.batch_dim = 0 : i64}
// CHECK-SAME:    tensor<?x16xf32, #nn.extents<[s0]>> {nn.batch_dim = 0 : i64}
// CHECK-SAME:    -> (tensor<?x16x8xf32, #nn.extents<[s0]>> {nn.batch_dim = 0 : i64})
module {
  nn.symbol @batch = 0 root
  nn.weight @w : tensor<8x8xf32> from <"m.onnx", 0, 256>
  nn.weight @positions : tensor<16x8xf32> from <"m.onnx", 256, 512>
  func.func @main(%x: tensor<?x16x8xf32, #nn.extents<[s0]>>, %m: tensor<?x16xf32, #nn.extents<[s0]>>) -> tensor<?x16x8xf32, #nn.extents<[s0]>> {
    %w = nn.load_weight @w : tensor<8x8xf32>
    %p = nn.load_weight @positions : tensor<16x8xf32>
    %0 = nn.binary add %x, %p : tensor<?x16x8xf32, #nn.extents<[s0]>>, tensor<16x8xf32>
    %1 = nn.reshape %0 : tensor<?x16x8xf32, #nn.extents<[s0]>> to tensor<?x8xf32, #nn.extents<[s0 * 16]>>
    %2 = nn.matmul %1, %w : tensor<?x8xf32, #nn.extents<[s0 * 16]>>, tensor<8x8xf32>
    %3 = nn.reshape %2 : tensor<?x8xf32, #nn.extents<[s0 * 16]>> to tensor<?x16x2x4xf32, #nn.extents<[s0]>>
    %4 = nn.transpose %3 [0, 2, 1, 3] : tensor<?x16x2x4xf32, #nn.extents<[s0]>>
    %5 = nn.matmul %4, %4 {transpose_rhs} : tensor<?x2x16x4xf32, #nn.extents<[s0]>>, tensor<?x2x16x4xf32, #nn.extents<[s0]>>
    %6 = nn.reshape %m : tensor<?x16xf32, #nn.extents<[s0]>> to tensor<?x1x1x16xf32, #nn.extents<[s0]>>
    %7 = nn.binary add %5, %6 : tensor<?x2x16x16xf32, #nn.extents<[s0]>>, tensor<?x1x1x16xf32, #nn.extents<[s0]>>
    %8 = nn.softmax %7 axis 3 : tensor<?x2x16x16xf32, #nn.extents<[s0]>>
    %9 = nn.matmul %8, %4 : tensor<?x2x16x16xf32, #nn.extents<[s0]>>, tensor<?x2x16x4xf32, #nn.extents<[s0]>>
    %10 = nn.transpose %9 [0, 2, 1, 3] : tensor<?x2x16x4xf32, #nn.extents<[s0]>>
    %11 = nn.reshape %10 : tensor<?x16x2x4xf32, #nn.extents<[s0]>> to tensor<?x16x8xf32, #nn.extents<[s0]>>
    return %11 : tensor<?x16x8xf32, #nn.extents<[s0]>>
  }
}

// -----

// A token that is stretched over the batch and joined in front has rows too; kernels are looked into.
// CHECK-LABEL: func.func @main
// CHECK-SAME:    {nn.batch_dim = 0 : i64}) -> (tensor<?x5x8xf32, #nn.extents<[s0]>> {nn.batch_dim = 0 : i64})
module {
  nn.symbol @batch = 0 root
  nn.weight @token : tensor<1x1x8xf32> from <"m.onnx", 0, 32>
  func.func @main(%x: tensor<?x4x8xf32, #nn.extents<[s0]>>) -> tensor<?x5x8xf32, #nn.extents<[s0]>> {
    %t = nn.load_weight @token : tensor<1x1x8xf32>
    %0 = nn.kernel "join" ins(%i = %x : tensor<?x4x8xf32, #nn.extents<[s0]>>, %j = %t : tensor<1x1x8xf32>) -> (tensor<?x5x8xf32, #nn.extents<[s0]>>) {
      %1 = nn.broadcast_to %j : tensor<1x1x8xf32> to tensor<?x1x8xf32, #nn.extents<[s0]>>
      %2 = nn.concat %1, %i axis 1 : tensor<?x1x8xf32, #nn.extents<[s0]>>, tensor<?x4x8xf32, #nn.extents<[s0]>>
      nn.yield %2 : tensor<?x5x8xf32, #nn.extents<[s0]>>
    }
    return %0 : tensor<?x5x8xf32, #nn.extents<[s0]>>
  }
}

// -----

// A static model: the leading extent is the batch. An input without it, and an output made of that alone, have no rows.
// CHECK-LABEL: func.func @main
// CHECK-SAME:    tensor<3x3x8x8xf32> {nn.batch_dim = 0 : i64}, %{{[^:]*}}: tensor<4xf32>)
// CHECK-SAME:    -> (tensor<3x4xf32> {nn.batch_dim = 0 : i64}, tensor<4xf32>)
module {
  nn.weight @w : tensor<4x3x8x8xf32> from <"m.onnx", 0, 3072>
  func.func @main(%x: tensor<3x3x8x8xf32>, %s: tensor<4xf32>) -> (tensor<3x4xf32>, tensor<4xf32>) {
    %w = nn.load_weight @w : tensor<4x3x8x8xf32>
    %0 = nn.conv %x, %w {dilations = array<i64: 1, 1>, group = 1 : i64, pads = array<i64: 0, 0, 0, 0>, strides = array<i64: 1, 1>} : tensor<3x3x8x8xf32>, tensor<4x3x8x8xf32>
    %1 = nn.reduce mean %0 axes [2, 3] : tensor<3x4x1x1xf32>
    %2 = nn.binary mul %1, %s : tensor<3x4xf32>, tensor<4xf32>
    %3 = nn.unary exp %s : tensor<4xf32>
    return %2, %3 : tensor<3x4xf32>, tensor<4xf32>
  }
}

// -----

// Rows that meet: nothing is marked, and the module says where.
// CHECK:       module attributes {nn.batch_unproved = "'mixed' (nn.softmax) is not known to keep the rows of the batch apart"}
// CHECK-NOT:   nn.batch_dim
// CHECK-LABEL: func.func @main
module {
  nn.symbol @batch = 0 root
  func.func @main(%x: tensor<?x8xf32, #nn.extents<[s0]>>) -> tensor<?x8xf32, #nn.extents<[s0]>> {
    %0 = nn.softmax %x axis 0 {nn.tensor = "mixed"} : tensor<?x8xf32, #nn.extents<[s0]>>
    return %0 : tensor<?x8xf32, #nn.extents<[s0]>>
  }
}

// -----

// Exporters of masks index each row by its own number; that is the row itself.
// CHECK-LABEL: func.func @main
// CHECK-SAME:    {nn.batch_dim = 0 : i64}) -> (tensor<?x16xi64, #nn.extents<[s0]>> {nn.batch_dim = 0 : i64})
module {
  nn.symbol @batch = 0 root
  func.func @main(%x: tensor<?x16xi64, #nn.extents<[s0]>>) -> tensor<?x16xi64, #nn.extents<[s0]>> {
    %0 = nn.iota axis 0 start 0 : i64 step 1 : i64 : tensor<?xi64, #nn.extents<[s0]>>
    %1 = nn.reshape %0 : tensor<?xi64, #nn.extents<[s0]>> to tensor<?x1x1xi64, #nn.extents<[s0]>>
    %2 = nn.broadcast_to %1 : tensor<?x1x1xi64, #nn.extents<[s0]>> to tensor<?x16x1xi64, #nn.extents<[s0]>>
    %3 = nn.iota axis 1 start 0 : i64 step 1 : i64 : tensor<?x16x1xi64, #nn.extents<[s0]>>
    %4 = nn.concat %2, %3 axis 2 : tensor<?x16x1xi64, #nn.extents<[s0]>>, tensor<?x16x1xi64, #nn.extents<[s0]>>
    %5 = nn.gather_nd %x, %4 batch_dims 0 : tensor<?x16xi64, #nn.extents<[s0]>>, tensor<?x16x2xi64, #nn.extents<[s0]>>
    return %5 : tensor<?x16xi64, #nn.extents<[s0]>>
  }
}

// -----

// A static batch of one row cannot mix rows, whatever is computed.
// CHECK-LABEL: func.func @main
// CHECK-SAME:    {nn.batch_dim = 0 : i64}) -> (tensor<1x8xf32> {nn.batch_dim = 0 : i64})
module {
  func.func @main(%x: tensor<1x8xf32>) -> tensor<1x8xf32> {
    %0 = nn.softmax %x axis 0 : tensor<1x8xf32>
    return %0 : tensor<1x8xf32>
  }
}

// -----

// Unless an input has something else on its leading axis: it might have its rows on another one.
// CHECK:       module attributes {nn.batch_unproved = "'nn.softmax' is not known to keep the rows of the batch apart"}
// CHECK-NOT:   nn.batch_dim
// CHECK-LABEL: func.func @main
module {
  func.func @main(%x: tensor<1x8xf32>, %h: tensor<2x1x8xf32>) -> (tensor<1x8xf32>, tensor<2x1x8xf32>) {
    %0 = nn.softmax %x axis 0 : tensor<1x8xf32>
    return %0, %h : tensor<1x8xf32>, tensor<2x1x8xf32>
  }
}
