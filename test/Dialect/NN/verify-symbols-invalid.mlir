// RUN: penstock-opt %s --nn-verify-symbols --split-input-file --verify-diagnostics

// symbol_c1: indices count up from 0.
module {
  // expected-error @below {{has index 1; expected 0}}
  nn.symbol @a = 1 root
}

// -----

// A derived symbol uses lower ones.
module {
  // expected-error @below {{is derived from s3; expected symbols below s0}}
  nn.symbol @a = 0 min of <[s3, 8]>
}

// -----

// A dynamic axis needs a known symbol.
module {
  // expected-error @below {{expected extents over the 0 symbols of the module}}
  func.func @main(%x: tensor<?xf32, #nn.extents<[s0]>>) {
    return
  }
}

// -----

// A data symbol is defined before it is needed.
module {
  nn.symbol @n = 0 data of #nn.extents<[9]>
  func.func @main(%m: tensor<9xi1>) -> tensor<?xi64, #nn.extents<[s0]>> {
    // expected-error @below {{needs the extent @n; expected an nn.define_extent of it before}}
    %0 = nn.positions %m : tensor<9xi1> to tensor<?xi64, #nn.extents<[s0]>>
    return %0 : tensor<?xi64, #nn.extents<[s0]>>
  }
}

// -----

// It is defined once.
module {
  nn.symbol @n = 0 data of #nn.extents<[9]>
  func.func @main(%a: tensor<i64>) {
    %0 = nn.define_extent %a as @n : tensor<i64>
    // expected-error @below {{defines @n a second time}}
    %1 = nn.define_extent %a as @n : tensor<i64>
    return
  }
}
