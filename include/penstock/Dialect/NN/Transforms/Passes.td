//===- Passes.td - Passes of the phases normalize and fuse -*- tablegen -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_DIALECT_NN_TRANSFORMS_PASSES
#define PENSTOCK_DIALECT_NN_TRANSFORMS_PASSES

include "mlir/Pass/PassBase.td"

def ExpandBatchNormPass : Pass<"nn-expand-batch-norm", "::mlir::ModuleOp"> {
  let summary = "fold batch normalization into convolutions, or make it a product and a sum";
  let description = [{
    Requires: scale, bias, mean and variance of every `nn.batch_norm` are constants or weights for it to fold.
    Ensures:  no `nn.batch_norm` is left. After a convolution (or transposed convolution, or product with a weight) that
              nothing else uses, its factors become arithmetic on the filter and bias, which `nn-outline-constants` then
              turns into derived weights; elsewhere they scale and shift the channels.

    Before:
    ```mlir
    func.func @main(%x: tensor<1x3x8x8xf32>, %w: tensor<4x3x1x1xf32>, %s: tensor<4xf32>, %b: tensor<4xf32>, %m: tensor<4xf32>, %v: tensor<4xf32>) -> tensor<1x4x8x8xf32> {
      %0 = nn.conv %x, %w {dilations = array<i64: 1, 1>, group = 1 : i64, pads = array<i64: 0, 0, 0, 0>, strides = array<i64: 1, 1>} : tensor<1x3x8x8xf32>, tensor<4x3x1x1xf32>
      %1 = nn.batch_norm %0, %s, %b, %m, %v {epsilon = 1.0e-05 : f64} : tensor<1x4x8x8xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
      return %1 : tensor<1x4x8x8xf32>
    }
    ```
    After:
    ```mlir
    %scale = nn.binary div %s, sqrt(%v + epsilon)
    %filter = nn.binary mul %w, reshape(%scale)
    %shift = nn.binary sub %b, %m * %scale
    %0 = nn.conv %x, %filter bias %shift
    ```
  }];
  let dependentDialects = ["::penstock::nn::NNDialect"];
  let statistics = [Statistic<"numFolded", "num-folded", "batch norms folded into a contraction">,
                    Statistic<"numExpanded", "num-expanded", "batch norms left as a product and a sum">];
}

def OutlineConstantsPass : Pass<"nn-outline-constants", "::mlir::ModuleOp"> {
  let summary = "turn arithmetic on constants into derived weights";
  let description = [{
    Requires: pure ops.
    Ensures:  no op of the entry function has only constant operands, but for constants, weights, views of nothing and
              shape values. The largest subgraph of constants behind each value that other ops use becomes one
              `nn.kernel_def`, and its value an `nn.weight` with `init`; the kernel runs once, when the executables are
              linked, with the code that would have run at run time, so that the bits are the same.

    Before:
    ```mlir
    nn.weight @w : tensor<4xf32> from <"m.onnx", 0, 16>
    func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
      %w = nn.load_weight @w : tensor<4xf32>
      %e = nn.unary exp %w : tensor<4xf32>
      %0 = nn.binary add %x, %e : tensor<4xf32>, tensor<4xf32>
      return %0 : tensor<4xf32>
    }
    ```
    After:
    ```mlir
    nn.weight @w : tensor<4xf32> from <"m.onnx", 0, 16>
    nn.weight @derived_0 : tensor<4xf32> init @init_0([@w])
    nn.kernel_def @init_0(%a: tensor<4xf32>) -> (tensor<4xf32>) symbols 0 {
      %e = nn.unary exp %a : tensor<4xf32>
      nn.yield %e : tensor<4xf32>
    }
    func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
      %e = nn.load_weight @derived_0 : tensor<4xf32>
      %0 = nn.binary add %x, %e : tensor<4xf32>, tensor<4xf32>
      return %0 : tensor<4xf32>
    }
    ```
  }];
  let dependentDialects = ["::penstock::nn::NNDialect"];
  let statistics = [Statistic<"numDerived", "num-derived", "derived weights made">];
}

def AssignLayoutsPass : Pass<"nn-assign-layouts", "::mlir::ModuleOp"> {
  let summary = "keep the images of convolutions channels-last where that moves fewest bytes";
  let description = [{
    Requires: pure ops.
    Ensures:  convolutions, pooling and the ops between them (elementwise, concat, pad, slice, reductions, resize, softmax,
              reshapes that keep the channels) work on N x spatial x channels where that pays; transposes stand only
              where images come in or go out. Inputs and results of the function keep their types; a function without
              convolutions stays as it is. The choice depends on the graph and on typical extents, never on a cut.
    Does not: remove transposes that the model brought along (see `nn-simplify-movement`, which runs next).

    A minimum cut chooses: a convolution that stays row-major costs the bytes to bring its images into the layout that its
    code works in and back, a value that is made in one layout and wanted in the other the bytes to move it once.

    Before:
    ```mlir
    func.func @main(%x: tensor<1x8x16x16xf32>, %v: tensor<8x8x3x3xf32>, %w: tensor<8x8x1x1xf32>) -> tensor<1x8x16x16xf32> {
      %0 = nn.conv %x, %v {dilations = array<i64: 1, 1>, group = 1 : i64, pads = array<i64: 1, 1, 1, 1>, strides = array<i64: 1, 1>} : tensor<1x8x16x16xf32>, tensor<8x8x3x3xf32>
      %1 = nn.unary relu %0 : tensor<1x8x16x16xf32>
      %2 = nn.conv %1, %w {dilations = array<i64: 1, 1>, group = 1 : i64, pads = array<i64: 0, 0, 0, 0>, strides = array<i64: 1, 1>} : tensor<1x8x16x16xf32>, tensor<8x8x1x1xf32>
      return %2 : tensor<1x8x16x16xf32>
    }
    ```
    After:
    ```mlir
    %t = nn.transpose %x [0, 2, 3, 1] : tensor<1x8x16x16xf32>
    %0 = nn.conv %t, %v {channels_last, ...} : tensor<1x16x16x8xf32>, tensor<8x8x3x3xf32>
    %1 = nn.unary relu %0 : tensor<1x16x16x8xf32>
    %2 = nn.conv %1, %w {channels_last, ...} : tensor<1x16x16x8xf32>, tensor<8x8x1x1xf32>
    %3 = nn.transpose %2 [0, 3, 1, 2] : tensor<1x16x16x8xf32>
    ```
  }];
  let options = [Option<"channelsLast", "channels-last", "bool", "true",
                        "the target's convolutions work on channels-last images; otherwise nothing is done">];
  let dependentDialects = ["::penstock::nn::NNDialect"];
  let statistics = [Statistic<"numTurned", "num-turned", "ops that became channels-last">];
}

def FuseKernelsPass : Pass<"nn-fuse-kernels", "::mlir::ModuleOp"> {
  let summary = "group the ops of the entry function into kernels";
  let description = [{
    Requires: the entry function `@main` holds pure ops only.
    Ensures:  every op of it but `nn.load_weight` and the terminator is in an `nn.kernel` with results that are used or
              returned; the grouping depends on the graph alone, never on a cut.

    A contraction, reduction or movement starts a kernel. An elementwise op joins the kernel of an operand that it alone
    uses and whose extents it keeps, so an epilogue never recomputes and a kernel has one result; not that of a transposed
    convolution, for which no library has a fast epilogue. A change of layout joins the channels-last convolution that it
    alone feeds, or whose epilogue it ends: there it is a matter of strides. A reduction along axes
    joins a purely elementwise kernel in the same way. A product takes one summand of its extents, and no factor. An
    attention takes over the transposes, slices and reshapes that make its operands and nothing else, and those of its
    result: it reads and writes where the values lie. Elementwise ops and concatenations take over such kernels of
    elementwise ops and movements as nothing else uses. Reshapes go with their only user's kernel or before each consumer;
    constants and shape values are copied into every kernel that reads them. Weights stay outside, as operands. A kernel
    that needs a data symbol and reads no value of such an extent gets the symbol's number as one more operand.

    Before:
    ```mlir
    func.func @main(%x: tensor<4x8xf32>, %w: tensor<8x8xf32>) -> tensor<4x8xf32> {
      %0 = nn.matmul %x, %w : tensor<4x8xf32>, tensor<8x8xf32>
      %1 = nn.unary relu %0 : tensor<4x8xf32>
      return %1 : tensor<4x8xf32>
    }
    ```
    After:
    ```mlir
    func.func @main(%x: tensor<4x8xf32>, %w: tensor<8x8xf32>) -> tensor<4x8xf32> {
      %0 = nn.kernel "kernel_0" ins(%a = %x : tensor<4x8xf32>, %b = %w : tensor<8x8xf32>) -> (tensor<4x8xf32>) {
        %1 = nn.matmul %a, %b : tensor<4x8xf32>, tensor<8x8xf32>
        %2 = nn.unary relu %1 : tensor<4x8xf32>
        nn.yield %2 : tensor<4x8xf32>
      }
      return %0 : tensor<4x8xf32>
    }
    ```
  }];
  let dependentDialects = ["::penstock::nn::NNDialect"];
  let statistics = [Statistic<"numKernels", "num-kernels", "kernels made">];
}

def VerifySymbolsPass : Pass<"nn-verify-symbols", "::mlir::ModuleOp"> {
  let summary = "check the symbols of the module and list extents that must agree";
  let description = [{
    Requires: nothing.
    Ensures:  the indices of the `nn.symbol` ops are 0, 1, 2, ...; derived symbols use lower ones only; every dynamic axis
              has an expression over known symbols; a data symbol is defined once, before an op needs it. Where a broadcast, a concatenation or a contraction took two
              different expressions for equal, an `nn.constraint` says so; inside of a branch it is an assumption of the
              `nn.if`, checked where the branch is taken.

    Before:
    ```mlir
    nn.symbol @a = 0 root
    nn.symbol @b = 1 root
    func.func @main(%x: tensor<?xf32, #nn.extents<[s0]>>, %y: tensor<?xf32, #nn.extents<[s1]>>) -> tensor<?xf32, #nn.extents<[s0]>> {
      %0 = nn.binary add %x, %y : tensor<?xf32, #nn.extents<[s0]>>, tensor<?xf32, #nn.extents<[s1]>>
      return %0 : tensor<?xf32, #nn.extents<[s0]>>
    }
    ```
    After: the same, and
    ```mlir
    nn.constraint <[s0, s1]> "operands of 'add'"
    ```
  }];
  let dependentDialects = ["::penstock::nn::NNDialect"];
  let statistics = [Statistic<"numConstraints", "num-constraints", "constraints listed">];
}

def RaiseActivationsPass : Pass<"nn-raise-activations", "::mlir::ModuleOp"> {
  let summary = "recognize GELU, SiLU and hard swish in exporters' decompositions";
  let description = [{
    Requires: pure ops.
    Ensures:  x * (1 + erf(x / sqrt 2)) / 2 and its tanh form, x * sigmoid(x), and x * clamp(x + 3, 0, 6) / 6 are one
              `nn.unary`, in whatever order the exporter multiplies; numbers are compared up to single precision.

    Before:
    ```mlir
    func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
      %0 = nn.unary sigmoid %x : tensor<4xf32>
      %1 = nn.binary mul %x, %0 : tensor<4xf32>, tensor<4xf32>
      return %1 : tensor<4xf32>
    }
    ```
    After:
    ```mlir
    func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
      %0 = nn.unary silu %x : tensor<4xf32>
      return %0 : tensor<4xf32>
    }
    ```
  }];
  let dependentDialects = ["::penstock::nn::NNDialect"];
  let statistics = [Statistic<"numRaised", "num-raised", "activations recognized">];
}

def RaiseAttentionPass : Pass<"nn-raise-attention", "::mlir::ModuleOp"> {
  let summary = "recognize attention in exporters' decompositions";
  let description = [{
    Requires: pure ops. `nn-simplify-movement` beforehand finds keys that are transposed in front of the product, and
              afterwards joins the transposes that are left.
    Ensures:  softmax(query * transpose(key) * scale + mask) * value is one `nn.attention`. The scale may multiply or divide
              the product, the query, the key, or some of them; masks may be added or choose between a score and a number
              like minus infinity, and several become one; rows made zero where the softmax is NaN are `zero_masked_rows`;
              casts around the softmax go. Heads of key and value that are repeated for several heads of the query are read
              once. Elementwise ops, slices and concatenations between a transpose and an attention (the rotation of heads)
              come before the transpose, which the attention looks through.
    Does not: match where the softmax or a score has other users, or where leading axes broadcast.

    Before:
    ```mlir
    func.func @main(%q: tensor<2x5x4xf32>, %k: tensor<2x7x4xf32>, %v: tensor<2x7x3xf32>, %m: tensor<5x7xf32>) -> tensor<2x5x3xf32> {
      %s = nn.constant dense<0.5> : tensor<f32>
      %0 = nn.matmul %q, %k {transpose_rhs} : tensor<2x5x4xf32>, tensor<2x7x4xf32>
      %1 = nn.binary mul %0, %s : tensor<2x5x7xf32>, tensor<f32>
      %2 = nn.binary add %1, %m : tensor<2x5x7xf32>, tensor<5x7xf32>
      %3 = nn.softmax %2 axis 2 : tensor<2x5x7xf32>
      %4 = nn.matmul %3, %v : tensor<2x5x7xf32>, tensor<2x7x3xf32>
      return %4 : tensor<2x5x3xf32>
    }
    ```
    After:
    ```mlir
    func.func @main(%q: tensor<2x5x4xf32>, %k: tensor<2x7x4xf32>, %v: tensor<2x7x3xf32>, %m: tensor<5x7xf32>) -> tensor<2x5x3xf32> {
      %0 = nn.attention %q, %k, %v mask %m : tensor<5x7xf32> {scale = 5.0e-1 : f64} : tensor<2x5x4xf32>, tensor<2x7x4xf32>, tensor<2x7x3xf32>
      return %0 : tensor<2x5x3xf32>
    }
    ```
  }];
  let dependentDialects = ["::penstock::nn::NNDialect"];
  let statistics = [Statistic<"numRaised", "num-raised", "attentions recognized">];
}

def RaiseLayerNormPass : Pass<"nn-raise-layer-norm", "::mlir::ModuleOp"> {
  let summary = "recognize layer and RMS normalization in exporters' decompositions";
  let description = [{
    Requires: pure ops.
    Ensures:  (x - mean(x)) / sqrt(mean((x - mean(x))^2) + epsilon) * scale [+ bias], means over the trailing axes, is one
              `nn.layer_norm`; without the centering it is one with `rms`. Scale and bias must be the same for every row.

    Before:
    ```mlir
    func.func @main(%x: tensor<4x8xf32>, %s: tensor<8xf32>) -> tensor<4x8xf32> {
      %e = nn.constant dense<1.0e-6> : tensor<f32>
      %0 = nn.binary mul %x, %x : tensor<4x8xf32>, tensor<4x8xf32>
      %1 = nn.reduce mean %0 axes [1] {keep_dims} : tensor<4x8xf32>
      %2 = nn.binary add %1, %e : tensor<4x1xf32>, tensor<f32>
      %3 = nn.unary sqrt %2 : tensor<4x1xf32>
      %4 = nn.binary div %x, %3 : tensor<4x8xf32>, tensor<4x1xf32>
      %5 = nn.binary mul %4, %s : tensor<4x8xf32>, tensor<8xf32>
      return %5 : tensor<4x8xf32>
    }
    ```
    After:
    ```mlir
    func.func @main(%x: tensor<4x8xf32>, %s: tensor<8xf32>) -> tensor<4x8xf32> {
      %0 = nn.layer_norm %x scale %s : tensor<8xf32> axis 1 {epsilon = 1.0e-6 : f64, rms} : tensor<4x8xf32>
      return %0 : tensor<4x8xf32>
    }
    ```
  }];
  let dependentDialects = ["::penstock::nn::NNDialect"];
  let statistics = [Statistic<"numRaised", "num-raised", "normalizations recognized">];
}

def PackWeightsPass : Pass<"nn-pack-weights", "::mlir::ModuleOp"> {
  let summary = "give kernels their weights in the layout that their library wants";
  let description = [{
    Requires: kernels are symbols; those of a library that packs weights carry `kernel.packing`, one entry per input.
    Ensures:  each such input that is a weight loads one that is made from it by packing (a weight is packed once for each
              layout, whatever number of calls read it); weights that were packed for a kernel that no longer asks for it
              are loaded as they are. The bytes are packed when the executables are linked.
    Does not: remove weights that nothing loads any more; they take no room in an output folder.

    Before:
    ```mlir
    nn.weight @w : tensor<64x96xf32> from <"m.onnx", 0, 24576>
    nn.kernel_def @k(%a: tensor<4x64xf32>, %b: tensor<64x96xf32>) -> (tensor<4x96xf32>) symbols 0 attributes {kernel.packing = [unit, #nn.packing<"lib 1", "ab to BA16a64b", 32768>]} {
      %0 = nn.matmul %a, %b : tensor<4x64xf32>, tensor<64x96xf32>
      nn.yield %0 : tensor<4x96xf32>
    }
    func.func @main(%x: tensor<4x64xf32>) -> tensor<4x96xf32> {
      %w = nn.load_weight @w : tensor<64x96xf32>
      %o = nn.empty : tensor<4x96xf32>
      %0 = nn.call @k ins(%x, %w : tensor<4x64xf32>, tensor<64x96xf32>) outs(%o : tensor<4x96xf32>) symbols <[]> -> tensor<4x96xf32>
      return %0 : tensor<4x96xf32>
    }
    ```
    After:
    ```mlir
    nn.weight @w : tensor<64x96xf32> from <"m.onnx", 0, 24576>
    nn.weight @w.packed : tensor<64x96xf32> packed @w as <"lib 1", "ab to BA16a64b", 32768>
    ...
    func.func @main(%x: tensor<4x64xf32>) -> tensor<4x96xf32> {
      %w = nn.load_weight @w.packed : tensor<64x96xf32>
    ...
    }
    ```
  }];
  let dependentDialects = ["::penstock::nn::NNDialect"];
  let statistics = [Statistic<"numPacked", "num-packed", "weights packed">];
}

def SimplifyMovementPass : Pass<"nn-simplify-movement", "::mlir::ModuleOp"> {
  let summary = "fold transposes into products, join and remove movements";
  let description = [{
    Requires: pure ops.
    Ensures:  a product reads a transposed operand in place; chains of transposes and of reshapes are one; ops that give
              their input back are gone; a transpose that moves axes of extent 1 only is a reshape.

    Before:
    ```mlir
    func.func @main(%x: tensor<4x8xf32>, %y: tensor<5x8xf32>) -> tensor<4x5xf32> {
      %0 = nn.transpose %y [1, 0] : tensor<5x8xf32>
      %1 = nn.matmul %x, %0 : tensor<4x8xf32>, tensor<8x5xf32>
      return %1 : tensor<4x5xf32>
    }
    ```
    After:
    ```mlir
    func.func @main(%x: tensor<4x8xf32>, %y: tensor<5x8xf32>) -> tensor<4x5xf32> {
      %0 = nn.matmul %x, %y {transpose_rhs} : tensor<4x8xf32>, tensor<5x8xf32>
      return %0 : tensor<4x5xf32>
    }
    ```
  }];
  let dependentDialects = ["::penstock::nn::NNDialect"];
}

#endif
