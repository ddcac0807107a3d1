// RUN: penstock-opt %s --split-input-file --verify-diagnostics

// symbol_c2: a data symbol has one bound at most.
module {
  // expected-error @below {{of kind data has 2 expressions; expected at most one}}
  nn.symbol @n = 0 data of #nn.extents<[4, 5]>
}

// -----

// symbol_c4: a data symbol has some bound.
module {
  // expected-error @below {{has no bound; expected an expression or 'upper'}}
  nn.symbol @n = 0 data
}

// -----

// define_extent_c1: only a data symbol gets its value from the data.
module {
  nn.symbol @n = 0 root
  func.func @main(%x: tensor<i64>) {
    // expected-error @below {{defines @n, which is no data symbol}}
    %0 = nn.define_extent %x as @n : tensor<i64>
    return
  }
}

// -----

// kernel_c4: what a kernel defines is a data symbol.
module {
  nn.symbol @n = 0 root
  func.func @main(%x: tensor<i64>) {
    // expected-error @below {{defines @n, which is no data symbol}}
    %0 = nn.kernel "k" ins(%a = %x : tensor<i64>) -> (tensor<i64>) attributes {defines = @n} {
      %1 = nn.define_extent %a : tensor<i64>
      nn.yield %1 : tensor<i64>
    }
    return
  }
}

// -----

// kernel_c4: its value is one number.
module {
  nn.symbol @n = 0 data of #nn.extents<[4]>
  func.func @main(%x: tensor<4xf32>) {
    // expected-error @below {{defines @n by a first result of type 'tensor<4xf32>'; expected tensor<i64>}}
    %0 = nn.kernel "k" ins(%a = %x : tensor<4xf32>) -> (tensor<4xf32>) attributes {defines = @n} {
      %1 = nn.unary relu %a : tensor<4xf32>
      nn.yield %1 : tensor<4xf32>
    }
    return
  }
}

// -----

// call_c4: what a call defines is a data symbol.
module {
  nn.kernel_def @k(%a: tensor<i64>) -> (tensor<i64>) symbols 0 {
    %0 = nn.define_extent %a : tensor<i64>
    nn.yield %0 : tensor<i64>
  }
  func.func @main(%x: tensor<i64>) {
    %o = nn.empty : tensor<i64>
    // expected-error @below {{defines @k, which is no data symbol}}
    %0 = nn.call @k ins(%x : tensor<i64>) outs(%o : tensor<i64>) symbols <[]> defines @k -> tensor<i64>
    return
  }
}

// -----

func.func @positions_c1(%x: tensor<4xf32>) {
  // expected-error @below {{expected one axis of i64 of one of i1}}
  %0 = nn.positions %x : tensor<4xf32> to tensor<?xi64, #nn.extents<[s0]>>
  return
}

// -----

func.func @non_max_suppression_c1(%b: tensor<1x6x4xf32>, %s: tensor<1x2x5xf32>, %k: tensor<i64>, %t: tensor<f32>) {
  // expected-error @below {{expected batch x boxes x 4 and batch x classes x boxes of f32}}
  %0, %1 = nn.non_max_suppression %b, %s limit %k iou %t score %t : (tensor<1x6x4xf32>, tensor<1x2x5xf32>, tensor<i64>, tensor<f32>, tensor<f32>) -> (tensor<10x3xi64>, tensor<i64>)
  return
}

// -----

func.func @non_max_suppression_c2(%b: tensor<1x6x4xf32>, %s: tensor<1x2x6xf32>, %k: tensor<1xi64>, %t: tensor<f32>) {
  // expected-error @below {{operand #2 must be 0D tensor of 64-bit signless integer values}}
  %0, %1 = nn.non_max_suppression %b, %s limit %k iou %t score %t : (tensor<1x6x4xf32>, tensor<1x2x6xf32>, tensor<1xi64>, tensor<f32>, tensor<f32>) -> (tensor<10x3xi64>, tensor<i64>)
  return
}

// -----

func.func @non_max_suppression_c3(%b: tensor<1x6x4xf32>, %s: tensor<1x2x6xf32>, %k: tensor<i64>, %t: tensor<f32>) {
  // expected-error @below {{expected three columns of i64}}
  %0, %1 = nn.non_max_suppression %b, %s limit %k iou %t score %t : (tensor<1x6x4xf32>, tensor<1x2x6xf32>, tensor<i64>, tensor<f32>, tensor<f32>) -> (tensor<12x2xi64>, tensor<i64>)
  return
}
