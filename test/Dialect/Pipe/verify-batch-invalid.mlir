// RUN: penstock-opt %s --pipe-verify-batch=required=true --split-input-file --verify-diagnostics

// A product that contracts the batch.
module {
  nn.symbol @batch = 0 root
  func.func @main(%x: tensor<?x8xf32, #nn.extents<[s0]>>) -> (tensor<8x8xf32>, tensor<?x8xf32, #nn.extents<[s0]>>) {
    // expected-error @below {{requests cannot be cut into microbatches: 'gram' (nn.matmul) is not known to keep the rows of the batch apart}}
    %0 = nn.matmul %x, %x {transpose_lhs, nn.tensor = "gram"} : tensor<?x8xf32, #nn.extents<[s0]>>, tensor<?x8xf32, #nn.extents<[s0]>>
    return %0, %x : tensor<8x8xf32>, tensor<?x8xf32, #nn.extents<[s0]>>
  }
}

// -----

// A mean over the batch.
module {
  nn.symbol @batch = 0 root
  func.func @main(%x: tensor<?x8xf32, #nn.extents<[s0]>>) -> tensor<?x8xf32, #nn.extents<[s0]>> {
    // expected-error @below {{'nn.reduce' is not known to keep the rows of the batch apart}}
    %0 = nn.reduce mean %x axes [0] {keep_dims} : tensor<?x8xf32, #nn.extents<[s0]>>
    %1 = nn.binary sub %x, %0 : tensor<?x8xf32, #nn.extents<[s0]>>, tensor<1x8xf32>
    return %1 : tensor<?x8xf32, #nn.extents<[s0]>>
  }
}

// -----

// The number of rows used as data.
module {
  nn.symbol @batch = 0 root
  func.func @main(%x: tensor<?xi64, #nn.extents<[s0]>>) -> tensor<?xi64, #nn.extents<[s0]>> {
    // expected-error @below {{'nn.extent_tensor' depends on the number of rows}}
    %0 = nn.extent_tensor <[s0]> : tensor<1xi64>
    %1 = nn.binary add %x, %0 : tensor<?xi64, #nn.extents<[s0]>>, tensor<1xi64>
    return %1 : tensor<?xi64, #nn.extents<[s0]>>
  }
}

// -----

// Rows with their numbers.
module {
  nn.symbol @batch = 0 root
  func.func @main(%x: tensor<?xi64, #nn.extents<[s0]>>) -> tensor<?xi64, #nn.extents<[s0]>> {
    %0 = nn.iota axis 0 start 0 : i64 step 1 : i64 : tensor<?xi64, #nn.extents<[s0]>>
    // expected-error @below {{'nn.binary' is not known to keep the rows of the batch apart}}
    %1 = nn.binary add %x, %0 : tensor<?xi64, #nn.extents<[s0]>>, tensor<?xi64, #nn.extents<[s0]>>
    return %1 : tensor<?xi64, #nn.extents<[s0]>>
  }
}

// -----

// Nothing that could be a batch.
module {
  // expected-error @below {{requests cannot be cut into microbatches: inputs and outputs share no leading extent}}
  func.func @main(%x: tensor<4xf32>) -> tensor<f32> {
    %0 = nn.reduce sum %x axes [0] : tensor<4xf32>
    return %0 : tensor<f32>
  }
}

// -----

// Every pair of rows.
module {
  nn.symbol @batch = 0 root
  func.func @main(%x: tensor<?xf32, #nn.extents<[s0]>>) -> tensor<?x?xf32, #nn.extents<[s0, s0]>> {
    %0 = nn.reshape %x : tensor<?xf32, #nn.extents<[s0]>> to tensor<?x1xf32, #nn.extents<[s0]>>
    // expected-error @below {{'nn.binary' is not known to keep the rows of the batch apart}}
    %1 = nn.binary mul %0, %x : tensor<?x1xf32, #nn.extents<[s0]>>, tensor<?xf32, #nn.extents<[s0]>>
    return %1 : tensor<?x?xf32, #nn.extents<[s0, s0]>>
  }
}
