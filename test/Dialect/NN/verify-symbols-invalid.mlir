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
