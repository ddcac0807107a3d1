// RUN: penstock-opt %s --split-input-file --verify-diagnostics

// A storage says what its kind needs.
func.func private @f() attributes {
  // expected-error @below {{storage of kind 'weight' needs a symbol}}
  a = #pipe.storage<weight>
}

// -----

// A storage in the arena has bytes and steps.
func.func private @f() attributes {
  // expected-error @below {{storage in the arena needs its bytes and steps}}
  a = #pipe.storage<arena, offset = 0>
}

// -----

// The kinds of storage are listed.
func.func private @f() attributes {
  // expected-error @below {{unknown storage 'attic'}}
  a = #pipe.storage<attic>
}

// -----

// So are the fields.
func.func private @f() attributes {
  // expected-error @below {{unknown field 'colour' of a storage}}
  a = #pipe.storage<arena, colour = 1>
}

// -----

// Steps ascend.
func.func private @f() attributes {
  // expected-error @below {{storage has offset 0 and steps 3 to 1; expected an offset of at least 0 (or -1) and ascending steps}}
  a = #pipe.storage<arena, offset = 0, bytes = <[4]>, first = 3, last = 1>
}
