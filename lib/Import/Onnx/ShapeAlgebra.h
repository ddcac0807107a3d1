//===- ShapeAlgebra.h - Arithmetic on extents ------------------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Shape arithmetic of a model, done on expressions over dimension symbols. Every expression that comes out is in normal
// form (a sum of products of symbols and of quotients, in a fixed order), so that equal extents are identical
// expressions. Values are integers; `lower` and `upper` bounds of the symbols decide comparisons where they can. Not
// thread-safe.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_IMPORT_ONNX_SHAPEALGEBRA_H
#define PENSTOCK_LIB_IMPORT_ONNX_SHAPEALGEBRA_H

#include "mlir/IR/AffineExpr.h"
#include "penstock/Dialect/NN/IR/NNOps.h"
#include "penstock/Import/Onnx/OnnxImporter.h"
#include "llvm/ADT/StringSet.h"
#include <map>
#include <string>

namespace penstock::onnximport {
using namespace mlir;

/// Inclusive bounds; none where nothing is known.
struct Interval {
  std::optional<int64_t> lower, upper;
};

class ShapeAlgebra {
public:
  explicit ShapeAlgebra(ModuleOp module);

  //===--- symbols -------------------------------------------------------===//
  /// The extent called `name`: a root symbol, or a constant where an option fixes it.
  AffineExpr getDimension(StringRef name, const DimOption *option);
  /// An extent that a kernel finds, at most `bound` (if not null) and what the option says, called `name`.
  AffineExpr getDataDimension(StringRef name, AffineExpr bound, const DimOption *option);
  bool dependsOnData(AffineExpr expr) const;
  StringRef getSymbolName(AffineExpr symbol) const { return symbolNames[cast<AffineSymbolExpr>(symbol).getPosition()]; }
  /// min or max of the expressions: one of them where that is certain, else a derived symbol.
  AffineExpr minimum(AffineExpr lhs, AffineExpr rhs) { return extremum(nn::SymbolKind::min, lhs, rhs); }
  AffineExpr maximum(AffineExpr lhs, AffineExpr rhs) { return extremum(nn::SymbolKind::max, lhs, rhs); }
  ArrayRef<std::string> getDimensionNames() const { return names; }
  /// An expression with the names of its symbols, for messages.
  std::string describe(AffineExpr expr) const;
  /// `name`, or `name_1` and so on if a symbol of the module has it already.
  std::string claimName(StringRef name);

  //===--- arithmetic ----------------------------------------------------===//
  AffineExpr constant(int64_t value) { return getAffineConstantExpr(value, context); }
  AffineExpr normalize(AffineExpr expr);
  AffineExpr add(AffineExpr lhs, AffineExpr rhs) { return normalize(lhs + rhs); }
  AffineExpr sub(AffineExpr lhs, AffineExpr rhs) { return normalize(lhs - rhs); }
  AffineExpr mul(AffineExpr lhs, AffineExpr rhs) { return normalize(lhs * rhs); }
  /// Rounds down. The divisor must not be constant 0.
  AffineExpr floorDiv(AffineExpr lhs, AffineExpr rhs);
  AffineExpr ceilDiv(AffineExpr lhs, AffineExpr rhs);
  /// Remainder of `floorDiv`; only for a positive divisor.
  AffineExpr mod(AffineExpr lhs, AffineExpr rhs);
  AffineExpr product(ArrayRef<AffineExpr> factors);
  /// product(numerator) / product(denominator), cancelling equal factors first; floor where it does not divide.
  AffineExpr divideProducts(ArrayRef<AffineExpr> numerator, ArrayRef<AffineExpr> denominator);

  /// More parts than the extents of any real model have. Such an expression is refused where it would come into the
  /// module: a few nodes can square a sum of symbols until no memory holds the result.
  static bool isTooLarge(AffineExpr expr);

  //===--- comparisons ---------------------------------------------------===//
  /// `expr` is the extent of an axis; an unknown extent is taken to be at least 1 where that decides a comparison.
  void noteExtent(AffineExpr expr);
  Interval getBounds(AffineExpr expr);
  std::optional<bool> equal(AffineExpr lhs, AffineExpr rhs);
  std::optional<bool> less(AffineExpr lhs, AffineExpr rhs);
  bool isNonNegative(AffineExpr expr);

private:
  /// A product of atoms (symbols, quotients, remainders), sorted.
  using Monomial = std::vector<AffineExpr>;
  struct MonomialLess {
    bool operator()(const Monomial &lhs, const Monomial &rhs) const;
  };
  using Polynomial = std::map<Monomial, int64_t, MonomialLess>;

  std::optional<Polynomial> toPolynomial(AffineExpr expr);
  AffineExpr fromPolynomial(const Polynomial &polynomial);
  /// The exact quotient of two polynomials, if the divisor is one monomial and divides every term.
  static std::optional<Polynomial> divideExactly(const Polynomial &dividend, const Polynomial &divisor);
  /// `expr` as a sum of something and a constant.
  std::pair<AffineExpr, int64_t> splitConstant(AffineExpr expr);
  Interval getStructuralBounds(AffineExpr expr);
  AffineExpr extremum(nn::SymbolKind kind, AffineExpr lhs, AffineExpr rhs);
  AffineExpr addSymbol(StringRef name, nn::SymbolKind kind, ArrayRef<AffineExpr> operands, const DimOption *option,
                       Interval interval);

  ModuleOp module;
  MLIRContext *context;
  std::vector<Interval> symbolBounds;
  llvm::DenseSet<AffineExpr> dataSymbols; ///< those derived from one too
  std::vector<std::string> symbolNames;
  std::map<std::string, AffineExpr> dimensions;
  std::map<std::string, AffineExpr> derived;       ///< by kind and text of the operands
  std::vector<std::string> names;                  ///< of dimensions, fixed ones included
  llvm::DenseMap<AffineExpr, int64_t> leastValues; ///< of sums without their constant, from noted extents
  llvm::StringSet<> claimed;                       ///< symbol names of the module
  Operation *lastSymbol = nullptr;
};

} // namespace penstock::onnximport

#endif
