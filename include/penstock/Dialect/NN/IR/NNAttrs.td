//===- NNAttrs.td - Attributes and enums of the nn dialect -*- tablegen -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_DIALECT_NN_IR_NNATTRS
#define PENSTOCK_DIALECT_NN_IR_NNATTRS

include "penstock/Dialect/NN/IR/NNDialect.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/TensorEncoding.td"

def NN_ExtentsAttr : NN_Attr<"Extents", "extents", [
    DeclareAttrInterfaceMethods<VerifiableTensorEncoding>]> {
  let summary = "expressions over the symbols of the module";
  let description = [{
    A list of affine or semi-affine expressions over `s0`, `s1`, ..., the symbols that `nn.symbol` ops of the module
    name. As the encoding of a tensor type it has one expression per dynamic axis, in axis order:

    ```mlir
    tensor<?x3x?xf32, #nn.extents<[s0, s1 floordiv 2]>>
    ```

    As an attribute of an op it gives starts, pads and the like; then constants are expressions too.
  }];
  let parameters = (ins ArrayRefParameter<"::mlir::AffineExpr">:$exprs);
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
}

def NN_FileRangeAttr : NN_Attr<"FileRange", "file"> {
  let summary = "a range of bytes of a file that holds a tensor, row-major and little-endian";
  let parameters = (ins "::mlir::StringAttr":$path, "int64_t":$offset, "int64_t":$numBytes);
  let assemblyFormat = "`<` $path `,` $offset `,` $numBytes `>`";
}

def NN_PackingAttr : NN_Attr<"Packing", "packing"> {
  let summary = "how a library wants the bytes of a weight";
  let description = [{
    `library` with its version is the only one that can make and read the layout, which is text of its own; packed, the
    weight has `numBytes` bytes.

    ```mlir
    #nn.packing<"oneDNN 2.6.3", "768x3072 ab to BA16a64b", 9437184>
    ```
  }];
  let parameters = (ins "::mlir::StringAttr":$library, "::mlir::StringAttr":$layout, "int64_t":$numBytes);
  let assemblyFormat = "`<` $library `,` $layout `,` $numBytes `>`";
}

class NN_Enum<string name, string summary, list<string> mnemonics>
    : I32EnumAttr<name, summary, !foldl([]<I32EnumAttrCase>, !range(0, !size(mnemonics)), acc, i,
        !listconcat(acc, [I32EnumAttrCase<mnemonics[i], i>]))> {
  let cppNamespace = "::penstock::nn";
  let genSpecializedAttr = 0;
}
class NN_EnumAttr<I32EnumAttr enum, string mnemonic> : EnumAttr<NN_Dialect, enum, mnemonic> {
  let assemblyFormat = "$value";
}

// The mnemonics are C++ enumerators too: those that are keywords of C++ end in an underscore.
def NN_UnaryKind : NN_Enum<"UnaryKind", "function of one element", [
    "identity", "abs", "neg", "sign", "ceil", "floor", "round_even", "sqrt", "reciprocal", "exp", "log", "sin", "cos",
    "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "erf", "logical_not",
    "bitwise_not", "is_nan", "is_inf", "relu", "leaky_relu", "thresholded_relu", "elu", "selu", "celu", "sigmoid",
    "hard_sigmoid", "hard_swish", "softplus", "softsign", "mish", "gelu", "gelu_tanh", "silu", "shrink"]>;
def NN_UnaryKindAttr : NN_EnumAttr<NN_UnaryKind, "unary_kind">;

def NN_BinaryKind : NN_Enum<"BinaryKind", "function of two elements", [
    "add", "sub", "mul", "div", "pow", "minimum", "maximum", "mod", "fmod", "logical_and", "logical_or", "logical_xor",
    "bitwise_and", "bitwise_or", "bitwise_xor", "shift_left", "shift_right", "prelu"]>;
def NN_BinaryKindAttr : NN_EnumAttr<NN_BinaryKind, "binary_kind">;

def NN_CompareKind : NN_Enum<"CompareKind", "comparison of two elements", ["eq", "ne", "lt", "le", "gt", "ge"]>;
def NN_CompareKindAttr : NN_EnumAttr<NN_CompareKind, "compare_kind">;

def NN_ReduceKind : NN_Enum<"ReduceKind", "reduction over axes", ["sum", "mean", "max", "min", "prod"]>;
def NN_ReduceKindAttr : NN_EnumAttr<NN_ReduceKind, "reduce_kind">;

def NN_PadMode : NN_Enum<"PadMode", "what lies outside", ["constant", "reflect", "edge", "wrap"]>;
def NN_PadModeAttr : NN_EnumAttr<NN_PadMode, "pad_mode">;

def NN_PoolKind : NN_Enum<"PoolKind", "pooling", ["max", "average", "average_include_pad"]>;
def NN_PoolKindAttr : NN_EnumAttr<NN_PoolKind, "pool_kind">;

def NN_ResizeMode : NN_Enum<"ResizeMode", "interpolation", ["nearest", "linear", "cubic"]>;
def NN_ResizeModeAttr : NN_EnumAttr<NN_ResizeMode, "resize_mode">;
def NN_ResizeCoordinates : NN_Enum<"ResizeCoordinates", "map from an output to an input coordinate", [
    "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_half_pixel_for_nn",
    "tf_crop_and_resize"]>;
def NN_ResizeCoordinatesAttr : NN_EnumAttr<NN_ResizeCoordinates, "resize_coordinates">;
def NN_ResizeNearest : NN_Enum<"ResizeNearest", "rounding of a nearest coordinate", [
    "round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]>;
def NN_ResizeNearestAttr : NN_EnumAttr<NN_ResizeNearest, "resize_nearest">;

def NN_ScatterKind : NN_Enum<"ScatterKind", "what a scatter does to the old element", [
    "replace", "add", "mul", "min", "max"]>;
def NN_ScatterKindAttr : NN_EnumAttr<NN_ScatterKind, "scatter_kind">;

def NN_RecurrentKind : NN_Enum<"RecurrentKind", "cell of a recurrent layer", ["rnn", "gru", "lstm"]>;
def NN_RecurrentKindAttr : NN_EnumAttr<NN_RecurrentKind, "recurrent_kind">;
def NN_RecurrentDirection : NN_Enum<"RecurrentDirection", "direction of time", ["forward", "reverse", "bidirectional"]>;
def NN_RecurrentDirectionAttr : NN_EnumAttr<NN_RecurrentDirection, "recurrent_direction">;

def NN_SymbolKind : NN_Enum<"SymbolKind", "what a symbol stands for", ["root", "min", "max", "data"]>;
def NN_SymbolKindAttr : NN_EnumAttr<NN_SymbolKind, "symbol_kind">;

#endif
