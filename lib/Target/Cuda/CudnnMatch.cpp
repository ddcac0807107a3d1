//===- CudnnMatch.cpp - Kernels as cuDNN sees them ------------ -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CudnnMatch.h"
#include "penstock/Dialect/NN/IR/Extents.h"
#include "penstock/Target/LibraryObject.h"

#include "llvm/ADT/SmallPtrSet.h"

namespace penstock::cuda {
using namespace mlir;
using namespace nn;

namespace {

RankedTensorType typeOf(Value value) { return cast<RankedTensorType>(value.getType()); }

bool isOne(AffineExpr expr) { return getConstant(expr) == 1; }

class Matcher {
public:
  /// `constants`: those that the library would read are taken, and noted. Null: none is.
  Matcher(Block &body, bool allowsTf32, llvm::SetVector<ConstantOp> *constants)
      : body(body), context(body.getParentOp()->getContext()), constants(constants) {
    rt_cuda_convolution_desc &d = desc();
    d.version = RT_CUDA_CONVOLUTION_VERSION;
    d.allows_tf32 = allowsTf32;
    d.bias = d.residual = -1;
    d.result = body.getNumArguments();
    d.workspace = d.result + 1;
  }

  std::optional<CudnnKernel> run() {
    Operation *yield = body.getTerminator();
    if (yield->getNumOperands() != 1 || takeAll() != yield->getOperand(0))
      return std::nullopt;
    seen.insert(yield);
    for (Operation &op : body)
      if (!seen.contains(&op) && !isa<ConstantOp>(op))
        return std::nullopt;
    return std::move(result);
  }

  /// The last value that the library can make; null if there is none.
  Value takeAll() {
    auto convolutions = body.getOps<ConvOp>();
    if (!llvm::hasSingleElement(convolutions))
      return Value();
    ConvOp convolution = *convolutions.begin();
    value = convolution.getResult();
    seen.insert(convolution);
    if (!takeType() || !takeConvolution(convolution))
      return Value();
    while (value.hasOneUse()) {
      Operation *user = *value.user_begin();
      if (!takeUser(user))
        break;
      seen.insert(user);
      value = user->getResult(0);
    }
    return value;
  }

private:
  rt_cuda_convolution_desc &desc() { return result.desc; }

  bool takeType() {
    Type element = typeOf(value).getElementType();
    desc().type = element.isF32()    ? RT_CUDA_CONVOLUTION_F32
                  : element.isF16()  ? RT_CUDA_CONVOLUTION_F16
                  : element.isBF16() ? RT_CUDA_CONVOLUTION_BF16
                                     : 0;
    desc().allows_tf32 &= desc().type == RT_CUDA_CONVOLUTION_F32;
    return desc().type != 0;
  }

  /// Operands are inputs of the kernel, perhaps seen in another shape. Sets the index of the buffer.
  bool resolve(Value v, int64_t &buffer) {
    if (typeOf(v).getElementType() != typeOf(value).getElementType())
      return false;
    if (auto argument = dyn_cast<BlockArgument>(v)) {
      buffer = argument.getArgNumber();
      return true;
    }
    Operation *op = v.getDefiningOp();
    if (auto constant = dyn_cast<ConstantOp>(op); constant && constants) {
      constants->insert(constant);
      buffer = 0;
      return true;
    }
    auto reshape = dyn_cast<ReshapeOp>(op);
    seen.insert(op);
    return reshape && resolve(reshape.getInput(), buffer);
  }

  // The convolution.

  /// Of one spatial axis: images have a height of 1.
  SmallVector<AffineExpr> getImage(RankedTensorType type) {
    SmallVector<AffineExpr> extents = getExtents(type);
    if (extents.size() == 3)
      extents.insert(extents.begin() + 2, getAffineConstantExpr(1, context));
    return extents;
  }

  /// Numbers along the spatial axes; `other` along a height that is not there.
  static void put(int64_t (&field)[2], ArrayRef<int64_t> values, int64_t other) {
    field[0] = values.size() == 1 ? other : values.front();
    field[1] = values.back();
  }

  bool takeConvolution(ConvOp op) {
    int64_t numSpatial = typeOf(op.getInput()).getRank() - 2;
    if (op.getChannelsLast() || numSpatial > 2 || !resolve(op.getInput(), desc().input) ||
        !resolve(op.getFilter(), desc().filter) || (op.getBias() && !resolve(op.getBias(), desc().bias)))
      return false;
    put(desc().strides, op.getStrides(), 1);
    put(desc().dilations, op.getDilations(), 1);
    put(desc().pads_before, op.getPads().take_front(numSpatial), 0);
    put(desc().pads_after, op.getPads().take_back(numSpatial), 0);
    SmallVector<AffineExpr> input = getImage(typeOf(op.getInput())), filter = getImage(typeOf(op.getFilter()));
    SmallVector<AffineExpr> image = getImage(typeOf(op.getResult()));
    result.extents = input;
    result.extents.append(filter);
    result.extents.append({image[2], image[3]});
    result.extents.push_back(getWorkspace({input, filter, image}));
    return llvm::all_of(result.extents, [](AffineExpr extent) { return extent && isSafeExtent(extent); });
  }

  /// Room for two copies of all images and the filter, and something more.
  AffineExpr getWorkspace(ArrayRef<SmallVector<AffineExpr>> shapes) {
    AffineExpr elements = getAffineConstantExpr(0, context);
    for (const SmallVector<AffineExpr> &shape : shapes) {
      if (llvm::is_contained(shape, AffineExpr()))
        return AffineExpr();
      elements = elements + multiplyExtents(shape, context);
    }
    int64_t elementBytes = desc().type == RT_CUDA_CONVOLUTION_F32 ? 4 : 2;
    AffineExpr copies = (elements * (2 * elementBytes)).ceilDiv(RT_ALIGNMENT) * RT_ALIGNMENT;
    return simplifyExtent(copies + RT_CUDA_CONVOLUTION_WORKSPACE_BYTES);
  }

  // What is done to each element.

  bool takeUser(Operation *user) {
    if (auto unary = dyn_cast<UnaryOp>(user))
      return takeUnary(unary);
    if (auto binary = dyn_cast<BinaryOp>(user))
      return takeBinary(binary);
    isReshaped |= isa<ReshapeOp>(user);
    return isa<ReshapeOp>(user);
  }

  bool takeUnary(UnaryOp op) {
    if (op.getKind() == UnaryKind::identity)
      return true;
    if (op.getKind() != UnaryKind::relu || isReshaped || isActive || desc().bias < 0)
      return false;
    desc().activation = RT_CUDA_CONVOLUTION_RELU;
    return isActive = true;
  }

  bool takeBinary(BinaryOp op) {
    Value other = op.getLhs() == value ? op.getRhs() : op.getLhs();
    if (op.getKind() != BinaryKind::add || isReshaped || isActive ||
        getExtents(typeOf(op.getResult())) != getExtents(typeOf(value)))
      return false;
    if (desc().bias < 0)
      return isBias(other) && resolve(other, desc().bias);
    return desc().residual < 0 && getExtents(typeOf(other)) == getExtents(typeOf(value)) &&
           resolve(other, desc().residual);
  }

  /// One number per filter.
  bool isBias(Value other) {
    SmallVector<AffineExpr> extents = getExtents(typeOf(other)), whole = getExtents(typeOf(value));
    size_t numSpatial = whole.size() - 2;
    return extents.size() > numSpatial && extents[extents.size() - numSpatial - 1] == whole[1] &&
           llvm::all_of(ArrayRef(extents).take_back(numSpatial), isOne) &&
           llvm::all_of(ArrayRef(extents).drop_back(numSpatial + 1), isOne);
  }

  Block &body;
  MLIRContext *context;
  llvm::SetVector<ConstantOp> *constants;
  CudnnKernel result;
  Value value; ///< the end of the chain so far
  bool isReshaped = false, isActive = false;
  llvm::SmallPtrSet<Operation *, 16> seen;
};

} // namespace

std::optional<CudnnKernel> matchCudnn(Block &body, bool allowsTf32) {
  return Matcher(body, allowsTf32, /*constants=*/nullptr).run();
}

LibraryEnd findCudnnEnd(Block &body) {
  LibraryEnd end;
  end.value = Matcher(body, /*allowsTf32=*/false, &end.constants).takeAll();
  return end;
}

} // namespace penstock::cuda
