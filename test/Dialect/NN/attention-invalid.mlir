// RUN: penstock-opt %s --split-input-file --verify-diagnostics

func.func @attention_c1(%q: tensor<2x5x4xf32>, %k: tensor<7x4xf32>) {
  // expected-error @below {{query, key and value have 3, 2 and 2 axes; expected equally many, at least two}}
  %0 = nn.attention %q, %k, %k {scale = 1.0 : f64} : tensor<2x5x4xf32>, tensor<7x4xf32>, tensor<7x4xf32>
  return
}

// -----

func.func @attention_c1_element_types(%q: tensor<5x4xf32>, %k: tensor<7x4xf16>) {
  // expected-error @below {{query, key and value have element types 'f32', 'f16' and 'f16'; expected one floating-point type}}
  %0 = nn.attention %q, %k, %k {scale = 1.0 : f64} : tensor<5x4xf32>, tensor<7x4xf16>, tensor<7x4xf16>
  return
}

// -----

func.func @attention_c2(%q: tensor<5x4xf32>, %k: tensor<7x4xf32>, %v: tensor<6x4xf32>) {
  // expected-error @below {{query 5x4, key 7x4 and value 6x4 do not fit together}}
  %0 = nn.attention %q, %k, %v {scale = 1.0 : f64} : tensor<5x4xf32>, tensor<7x4xf32>, tensor<6x4xf32>
  return
}

// -----

func.func @attention_c3(%q: tensor<2x3x5x4xf32>, %k: tensor<3x3x7x4xf32>) {
  // expected-error @below {{axis 0 has extents 2, 3 and 3; expected the same}}
  %0 = nn.attention %q, %k, %k {scale = 1.0 : f64} : tensor<2x3x5x4xf32>, tensor<3x3x7x4xf32>, tensor<3x3x7x4xf32>
  return
}

// -----

func.func @attention_c3_heads(%q: tensor<3x5x4xf32>, %k: tensor<2x7x4xf32>) {
  // expected-error @below {{axis 0 has extents 3, 2 and 2; expected a multiple of the heads of key and value}}
  %0 = nn.attention %q, %k, %k {scale = 1.0 : f64} : tensor<3x5x4xf32>, tensor<2x7x4xf32>, tensor<2x7x4xf32>
  return
}

// -----

func.func @attention_c4(%q: tensor<5x4xf32>, %k: tensor<7x4xf32>, %m: tensor<2x5x7xf32>) {
  // expected-error @below {{mask 'tensor<2x5x7xf32>' does not broadcast to 5x7 of 'f32' or i1}}
  %0 = nn.attention %q, %k, %k mask %m : tensor<2x5x7xf32> {scale = 1.0 : f64} : tensor<5x4xf32>, tensor<7x4xf32>, tensor<7x4xf32>
  return
}
