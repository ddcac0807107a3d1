// RUN: penstock-opt %s --split-input-file --verify-diagnostics

func.func @reduce_c1(%x: tensor<4x2xf32>) {
  // expected-error @below {{axes must be distinct axes}}
  %0 = nn.reduce sum %x axes [1, 1] : tensor<4x2xf32>
  return
}

// -----

func.func @arg_reduce_c1(%x: tensor<4x2xf32>) {
  // expected-error @below {{kind must be max or min}}
  %0 = nn.arg_reduce sum %x axis 1 : tensor<4x2xf32>
  return
}

// -----

func.func @softmax_c1(%x: tensor<4x2xf32>) {
  // expected-error @below {{axis is 2; expected one of the 2 axes of 'tensor<4x2xf32>'}}
  %0 = nn.softmax %x axis 2 : tensor<4x2xf32>
  return
}

// -----

func.func @log_softmax_c1(%x: tensor<4x2xf32>) {
  // expected-error @below {{axis is -1; expected one of the 2 axes of 'tensor<4x2xf32>'}}
  %0 = nn.log_softmax %x axis -1 : tensor<4x2xf32>
  return
}

// -----

func.func @cumsum_c1(%x: tensor<4x2xf32>) {
  // expected-error @below {{axis is 2; expected one of the 2 axes of 'tensor<4x2xf32>'}}
  %0 = nn.cumsum %x axis 2 : tensor<4x2xf32>
  return
}

// -----

func.func @topk_c1(%x: tensor<4x5xf32>) {
  // expected-error @below {{makes 'tensor<3x2xf32>' and 'tensor<3x2xi64>' of 'tensor<4x5xf32>'}}
  %0, %1 = nn.topk %x axis 1 {largest = true} : tensor<4x5xf32> to tensor<3x2xf32>, tensor<3x2xi64>
  return
}

// -----

func.func @layer_norm_c1(%x: tensor<4x5xf32>, %s: tensor<4xf32>) {
  // expected-error @below {{scale or bias 'tensor<4xf32>' does not broadcast to 'tensor<4x5xf32>'}}
  %0 = nn.layer_norm %x scale %s : tensor<4xf32> axis 1 {epsilon = 1.0e-05 : f64} : tensor<4x5xf32>
  return
}

// -----

func.func @batch_norm_c1(%x: tensor<4xf32>, %s: tensor<4xf32>) {
  // expected-error @below {{input has 1 axes; expected at least two}}
  %0 = nn.batch_norm %x, %s, %s, %s, %s {epsilon = 1.0e-05 : f64} : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
  return
}

// -----

func.func @batch_norm_c2(%x: tensor<2x3xf32>, %s: tensor<3xf32>, %m: tensor<2xf32>) {
  // expected-error @below {{scale, bias, mean or variance has type 'tensor<2xf32>'; expected 3 elements}}
  %0 = nn.batch_norm %x, %s, %s, %m, %s {epsilon = 1.0e-05 : f64} : tensor<2x3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<2xf32>, tensor<3xf32>
  return
}
