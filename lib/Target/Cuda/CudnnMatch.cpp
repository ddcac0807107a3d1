//===- CudnnMatch.cpp - Kernels as cuDNN sees them ------------ -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CudnnMatch.h"
#include "LibraryMatcher.h"
#include "penstock/Dialect/NN/IR/Layouts.h"
#include "penstock/Target/LibraryObject.h"

namespace penstock::cuda {
using namespace mlir;
using namespace nn;

namespace {

class Matcher : public LibraryMatcher<Matcher, CudnnKernel, ConvOp> {
public:
  Matcher(Block &body, bool allowsTf32, llvm::SetVector<ConstantOp> *constants)
      : LibraryMatcher(body, allowsTf32, constants) {
    desc().version = RT_CUDA_CONVOLUTION_VERSION;
  }

  bool takeRoot(ConvOp op) {
    return takeType(RT_CUDA_CONVOLUTION_F32, RT_CUDA_CONVOLUTION_F16, RT_CUDA_CONVOLUTION_BF16) && takeConvolution(op);
  }

  /// What is done to each element.
  bool takeUser(Operation *user) {
    if (auto unary = dyn_cast<UnaryOp>(user))
      return takeUnary(unary);
    if (auto binary = dyn_cast<BinaryOp>(user))
      return takeBinary(binary);
    isReshaped |= isa<ReshapeOp>(user);
    return isa<ReshapeOp>(user);
  }

private:
  /// Operands are inputs of the kernel, perhaps seen in another shape. Sets the index of the buffer.
  bool resolve(Value v, int64_t &buffer) {
    if (!hasType(v))
      return false;
    if (std::optional<int64_t> found = bufferOf(v)) {
      buffer = *found;
      return true;
    }
    Operation *op = v.getDefiningOp();
    auto reshape = dyn_cast<ReshapeOp>(op);
    seen.insert(op);
    return reshape && resolve(reshape.getInput(), buffer);
  }

  // The convolution.

  /// Batch, channels, height, width. Of one spatial axis: images have a height of 1.
  SmallVector<AffineExpr> getImage(RankedTensorType type, bool isChannelsLast = false) {
    SmallVector<AffineExpr> extents = getRowMajorExtents(type, isChannelsLast);
    if (extents.size() == 3)
      extents.insert(extents.begin() + 2, getAffineConstantExpr(1, context));
    return extents;
  }

  /// Numbers along the spatial axes; `other` along a height that is not there.
  static void put(int64_t (&field)[2], ArrayRef<int64_t> values, int64_t other) {
    field[0] = values.size() == 1 ? other : values.front();
    field[1] = values.back();
  }

  /// Filters have their channels last in memory where images have.
  bool takeFilter(ConvOp op) {
    Value filter = op.getFilter();
    if (!op.getChannelsLast() || isSameChannelsLast(typeOf(filter)))
      return resolve(filter, desc().filter);
    auto turned = filter.getDefiningOp<TransposeOp>();
    if (!turned || !isFromChannelsLast(turned.getPerm()))
      return false;
    seen.insert(turned);
    return resolve(turned.getInput(), desc().filter);
  }

  bool takeConvolution(ConvOp op) {
    int64_t numSpatial = typeOf(op.getInput()).getRank() - 2;
    desc().channels_last = op.getChannelsLast();
    if (numSpatial > 2 || !resolve(op.getInput(), desc().input) || !takeFilter(op) ||
        (op.getBias() && !resolve(op.getBias(), desc().bias)))
      return false;
    put(desc().strides, op.getStrides(), 1);
    put(desc().dilations, op.getDilations(), 1);
    put(desc().pads_before, op.getPads().take_front(numSpatial), 0);
    put(desc().pads_after, op.getPads().take_back(numSpatial), 0);
    SmallVector<AffineExpr> input = getImage(typeOf(op.getInput()), op.getChannelsLast());
    SmallVector<AffineExpr> filter = getImage(typeOf(op.getFilter()));
    SmallVector<AffineExpr> image = getImage(typeOf(op.getResult()), op.getChannelsLast());
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
    size_t numBehind = desc().channels_last ? 0 : whole.size() - 2; // axes behind the channels
    return extents.size() > numBehind &&
           extents[extents.size() - numBehind - 1] == whole[whole.size() - numBehind - 1] &&
           llvm::all_of(ArrayRef(extents).take_back(numBehind), isOne) &&
           llvm::all_of(ArrayRef(extents).drop_back(numBehind + 1), isOne);
  }

  bool isReshaped = false, isActive = false;
};

} // namespace

bool isSameChannelsLast(RankedTensorType filter) {
  SmallVector<AffineExpr> extents = getExtents(filter);
  return isOne(extents[1]) || llvm::all_of(ArrayRef(extents).drop_front(2), isOne);
}

std::optional<CudnnKernel> matchCudnn(Block &body, bool allowsTf32) {
  return Matcher(body, allowsTf32, /*constants=*/nullptr).run();
}

LibraryEnd findCudnnEnd(Block &body) {
  LibraryEnd end;
  end.value = Matcher(body, /*allowsTf32=*/false, &end.constants).takeAll();
  return end;
}

} // namespace penstock::cuda
