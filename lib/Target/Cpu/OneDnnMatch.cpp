//===- OneDnnMatch.cpp - Kernels as oneDNN sees them ------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "OneDnnMatch.h"

#include "penstock/Dialect/NN/IR/Layouts.h"
#include "penstock/Target/LibraryObject.h"

#include "llvm/ADT/SmallPtrSet.h"

#include <limits>

using namespace mlir;
using namespace penstock;
using namespace penstock::nn;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

RankedTensorType typeOf(Value value) { return cast<RankedTensorType>(value.getType()); }

bool isOne(AffineExpr expr) { return getConstant(expr) == 1; }

/// How oneDNN is told about a tensor.
struct Place {
  int64_t buffer;
  int64_t layout;
  SmallVector<AffineExpr> extents; ///< logical ones
};

class Matcher {
public:
  explicit Matcher(KernelDefOp kernel) : kernel(kernel), context(kernel.getContext()) {}

  std::optional<OneDnnKernel> run() {
    Operation *root = findContraction();
    if (!root || kernel.getYield()->getNumOperands() != 1)
      return std::nullopt;
    desc().version = RT_DNNL_VERSION;
    seen.insert(root);
    seen.insert(kernel.getYield());
    value = root->getResult(0);
    if (!isF32(value) || !takeContraction(root))
      return std::nullopt;
    while (value != kernel.getYield()->getOperand(0)) {
      if (!value.hasOneUse())
        return std::nullopt;
      Operation *user = *value.user_begin();
      if (!takeUser(user))
        return std::nullopt;
      seen.insert(user);
      value = user->getResult(0);
    }
    return finish();
  }

private:
  rt_dnnl_desc &desc() { return result.desc; }
  AffineExpr one() { return getAffineConstantExpr(1, context); }
  static bool isF32(Value v) { return typeOf(v).getElementType().isF32(); }

  /// The only op of its kind.
  Operation *findContraction() {
    Operation *found = nullptr;
    for (Operation &op : kernel.getBody().front())
      if (isa<ConvOp, ConvTransposeOp, MatmulOp>(op)) {
        if (found)
          return nullptr;
        found = &op;
      }
    return found;
  }

  // Operands: inputs of the kernel, perhaps seen in another shape or order of axes, and constants.

  std::optional<Place> resolve(Value v) {
    if (!isF32(v))
      return std::nullopt;
    SmallVector<AffineExpr> extents = getExtents(typeOf(v));
    if (auto argument = dyn_cast<BlockArgument>(v))
      return Place{argument.getArgNumber(), RT_DNNL_ROW_MAJOR, std::move(extents)};
    Operation *op = v.getDefiningOp();
    seen.insert(op);
    if (auto constant = dyn_cast<ConstantOp>(op))
      return resolveConstant(constant, std::move(extents));
    if (auto reshape = dyn_cast<ReshapeOp>(op)) {
      std::optional<Place> inner = resolve(reshape.getInput());
      if (!inner || inner->layout != RT_DNNL_ROW_MAJOR)
        return std::nullopt;
      inner->extents = std::move(extents);
      return inner;
    }
    auto transpose = dyn_cast<TransposeOp>(op);
    std::optional<Place> inner = transpose ? resolve(transpose.getInput()) : std::nullopt;
    if (!inner || inner->layout != RT_DNNL_ROW_MAJOR || !isFromChannelsLast(transpose.getPerm()))
      return std::nullopt;
    inner->layout = RT_DNNL_CHANNELS_LAST;
    inner->extents = std::move(extents);
    return inner;
  }

  std::optional<Place> resolveConstant(ConstantOp constant, SmallVector<AffineExpr> extents) {
    auto elements = dyn_cast<DenseElementsAttr>(constant.getValue());
    if (!elements)
      return std::nullopt;
    std::vector<float> values;
    for (const APFloat &element : elements.getValues<APFloat>())
      values.push_back(element.convertToFloat());
    return Place{addConstant(std::move(values)), RT_DNNL_ROW_MAJOR, std::move(extents)};
  }

  /// The buffer of numbers that the object holds.
  int64_t addConstant(std::vector<float> values) {
    result.constants.push_back(std::move(values));
    return kernel.getBody().getNumArguments() + result.constants.size();
  }

  /// An image as N, C, spatial, whichever way its buffer lies. `channelsLast`: the axes of `v` are N, spatial, C.
  std::optional<Place> resolveImage(Value v, bool channelsLast) {
    if (!channelsLast)
      return resolve(v);
    if (auto transpose = v.getDefiningOp<TransposeOp>(); transpose && isToChannelsLast(transpose.getPerm())) {
      seen.insert(transpose);
      return resolve(transpose.getInput());
    }
    std::optional<Place> place = resolve(v);
    if (!place || place->layout != RT_DNNL_ROW_MAJOR)
      return std::nullopt;
    place->layout = RT_DNNL_CHANNELS_LAST;
    place->extents = getRowMajorExtents(typeOf(v), true);
    return place;
  }

  rt_dnnl_tensor add(int64_t buffer, int64_t layout, ArrayRef<AffineExpr> extents) {
    rt_dnnl_tensor tensor = {buffer, static_cast<int64_t>(result.extents.size()), static_cast<int64_t>(extents.size()),
                             layout};
    result.extents.append(extents.begin(), extents.end());
    return tensor;
  }
  rt_dnnl_tensor add(const Place &place) { return add(place.buffer, place.layout, place.extents); }

  // The contraction.

  bool takeContraction(Operation *root) {
    desc().bias.buffer = -1;
    if (auto conv = dyn_cast<ConvOp>(root)) {
      desc().op = RT_DNNL_CONV;
      return takeConvolution(conv, {});
    }
    if (auto conv = dyn_cast<ConvTransposeOp>(root)) {
      desc().op = RT_DNNL_CONV_TRANSPOSE;
      return takeConvolution(conv, conv.getOutputPads());
    }
    desc().op = RT_DNNL_MATMUL;
    return takeMatmul(cast<MatmulOp>(root));
  }

  template <typename OpT> bool takeConvolution(OpT op, ArrayRef<int64_t> outputPads) {
    channelsLast = op.getChannelsLast();
    std::optional<Place> source = resolveImage(op.getInput(), channelsLast), filter = resolve(op.getFilter());
    int64_t numSpatial = typeOf(op.getInput()).getRank() - 2;
    if (!source || !filter || filter->layout != RT_DNNL_ROW_MAJOR || numSpatial > RT_DNNL_MAX_SPATIAL)
      return false;
    if (!typeOf(op.getFilter()).hasStaticShape() || !getConstant(source->extents[1]))
      return false;
    if (isDepthwise(op.getGroup(), typeOf(op.getFilter())) && !channelsLast && source->layout == RT_DNNL_ROW_MAJOR &&
        getConstant(source->extents.back()).value_or(kLongRow) >= kLongRow)
      return false;
    rank = numSpatial + 2;
    channelAxis = getChannelAxis(channelsLast, rank);
    channels = getExtent(typeOf(value), channelAxis);
    desc().groups = op.getGroup();
    for (int64_t i = 0; i < numSpatial; ++i) {
      desc().strides[i] = op.getStrides()[i];
      desc().dilations[i] = op.getDilations()[i];
      desc().pads[i] = op.getPads()[i];
      desc().pads[RT_DNNL_MAX_SPATIAL + i] = op.getPads()[numSpatial + i] - (outputPads.empty() ? 0 : outputPads[i]);
    }
    desc().source = add(*source);
    desc().weights = add(*filter);
    destination = getRowMajorExtents(typeOf(value), channelsLast);
    if (Value bias = op.getBias()) {
      std::optional<Place> place = resolve(bias);
      if (!place)
        return false;
      desc().bias = add(*place);
    }
    return true;
  }

  /// One channel in, one out: bringing activations into oneDNN's layout and back costs more than the convolution. Only
  /// short rows, which generated code cannot fill registers with, are worth it.
  static bool isDepthwise(int64_t group, RankedTensorType filter) {
    return group > 1 && filter.getDimSize(0) == group && filter.getDimSize(1) == 1;
  }
  static constexpr int64_t kLongRow = 32;

  /// Leading axes become one, or none where all rows of all matrices meet one right side.
  bool takeMatmul(MatmulOp op) {
    std::optional<Place> lhs = resolve(op.getLhs()), rhs = resolve(op.getRhs());
    if (!lhs || !rhs || lhs->layout != RT_DNNL_ROW_MAJOR || rhs->layout != RT_DNNL_ROW_MAJOR)
      return false;
    ArrayRef<AffineExpr> left = lhs->extents, right = rhs->extents;
    ArrayRef<AffineExpr> leftBatch = left.drop_back(2), rightBatch = right.drop_back(2);
    AffineExpr rows = left[left.size() - (op.getTransposeLhs() ? 1 : 2)];
    AffineExpr inner = left[left.size() - (op.getTransposeLhs() ? 2 : 1)];
    AffineExpr columns = right[right.size() - (op.getTransposeRhs() ? 2 : 1)];
    int64_t leftLayout = op.getTransposeLhs() ? RT_DNNL_TRANSPOSED : RT_DNNL_ROW_MAJOR;
    int64_t rightLayout = op.getTransposeRhs() ? RT_DNNL_TRANSPOSED : RT_DNNL_ROW_MAJOR;
    channels = columns;
    channelAxis = typeOf(value).getRank() - 1;
    if (llvm::all_of(rightBatch, isOne) && (!op.getTransposeLhs() || llvm::all_of(leftBatch, isOne))) {
      rank = 2;
      rows = simplifyExtent(multiplyExtents(leftBatch, context) * rows);
      desc().source = add(lhs->buffer, leftLayout, {rows, inner});
      desc().weights = add(rhs->buffer, rightLayout, {inner, columns});
      destination = {rows, columns};
      return true;
    }
    if (leftBatch != rightBatch)
      return false;
    rank = 3;
    AffineExpr batch = multiplyExtents(leftBatch, context);
    desc().source = add(lhs->buffer, leftLayout, {batch, rows, inner});
    desc().weights = add(rhs->buffer, rightLayout, {batch, inner, columns});
    destination = {batch, rows, columns};
    return true;
  }

  // What is done to each element.

  bool append(int64_t kind, double alpha = 0, double beta = 0, rt_dnnl_tensor operand = {-1, 0, 0, 0}) {
    // oneDNN 2.6 gives all functions of one kind in a chain the numbers of the first. A relu can be a bound instead.
    for (int64_t i = 0; i < desc().num_post_ops; ++i) {
      rt_dnnl_post_op &other = desc().post_ops[i];
      if (other.kind != kind || (other.alpha == alpha && other.beta == beta))
        continue;
      if (kind == RT_DNNL_RELU && alpha == 0)
        return append(RT_DNNL_CLIP, 0, kInfinity);
      if (kind != RT_DNNL_RELU || other.alpha != 0 || has(RT_DNNL_CLIP))
        return false;
      other = {RT_DNNL_CLIP, 0, kInfinity, other.operand};
    }
    if (desc().num_post_ops == RT_DNNL_MAX_POST_OPS)
      return false;
    desc().post_ops[desc().num_post_ops++] = {kind, alpha, beta, operand};
    return true;
  }

  bool has(int64_t kind) {
    return llvm::any_of(llvm::ArrayRef(desc().post_ops, desc().num_post_ops),
                        [&](const rt_dnnl_post_op &op) { return op.kind == kind; });
  }

  rt_dnnl_post_op *getLast(int64_t kind) {
    int64_t count = desc().num_post_ops;
    return count && desc().post_ops[count - 1].kind == kind ? &desc().post_ops[count - 1] : nullptr;
  }

  /// alpha * x + beta, joined with one before it.
  bool appendLinear(double alpha, double beta) {
    if (rt_dnnl_post_op *last = getLast(RT_DNNL_LINEAR)) {
      --desc().num_post_ops;
      return appendLinear(alpha * last->alpha, alpha * last->beta + beta);
    }
    if (append(RT_DNNL_LINEAR, alpha, beta))
      return true;
    return (alpha == 1 || appendNumber(RT_DNNL_BINARY_MUL, alpha)) &&
           (beta == 0 || appendNumber(RT_DNNL_BINARY_ADD, beta));
  }

  /// The number as an operand of one element, of which a chain may have several.
  bool appendNumber(int64_t kind, double number) {
    int64_t buffer = addConstant({static_cast<float>(number)});
    return append(kind, 0, 0, add(buffer, RT_DNNL_ROW_MAJOR, SmallVector<AffineExpr>(rank, one())));
  }

  /// max(low, min(high, x)), joined with a bound before it.
  bool appendClip(double low, double high) {
    rt_dnnl_post_op *relu = getLast(RT_DNNL_RELU), *clip = getLast(RT_DNNL_CLIP);
    if (relu && relu->alpha == 0 && low <= 0 && high >= 0) {
      --desc().num_post_ops;
      return append(RT_DNNL_CLIP, 0, high);
    }
    if (clip && std::max(low, clip->alpha) <= std::min(high, clip->beta)) {
      --desc().num_post_ops;
      return append(RT_DNNL_CLIP, std::max(low, clip->alpha), std::min(high, clip->beta));
    }
    return append(RT_DNNL_CLIP, low, high);
  }

  bool takeUser(Operation *user) {
    if (auto unary = dyn_cast<UnaryOp>(user))
      return takeUnary(unary);
    if (auto binary = dyn_cast<BinaryOp>(user))
      return takeBinary(binary);
    if (isa<ReshapeOp>(user)) {
      channelAxis = findChannels(typeOf(user->getResult(0)));
      isReshaped = true;
      return true;
    }
    auto transpose = dyn_cast<TransposeOp>(user);
    if (!transpose || desc().op == RT_DNNL_MATMUL || isReshaped ||
        !(channelsLast ? isFromChannelsLast(transpose.getPerm()) : isToChannelsLast(transpose.getPerm())))
      return false;
    channelsLast = !channelsLast;
    channelAxis = getChannelAxis(channelsLast, rank);
    return true;
  }

  /// The axis of the channels when `value` is reshaped: it has as many elements, and as many lie behind each; -1: none.
  int64_t findChannels(RankedTensorType reshaped) {
    if (channelAxis < 0)
      return -1;
    SmallVector<AffineExpr> from = getExtents(typeOf(value)), to = getExtents(reshaped);
    AffineExpr behind = multiplyExtents(ArrayRef(from).drop_front(channelAxis + 1), context);
    for (size_t axis = 0; axis < to.size(); ++axis)
      if (to[axis] == channels && multiplyExtents(ArrayRef(to).drop_front(axis + 1), context) == behind)
        return axis;
    return -1;
  }

  bool takeUnary(UnaryOp op) {
    std::optional<double> alpha, beta;
    if (op.getAlpha())
      alpha = op.getAlpha()->convertToDouble();
    if (op.getBeta())
      beta = op.getBeta()->convertToDouble();
    switch (op.getKind()) {
    case UnaryKind::identity:
      return true;
    case UnaryKind::relu:
      return append(RT_DNNL_RELU);
    case UnaryKind::leaky_relu:
      return alpha && append(RT_DNNL_RELU, *alpha);
    case UnaryKind::elu:
      return alpha && append(RT_DNNL_ELU, *alpha);
    case UnaryKind::sigmoid:
      return append(RT_DNNL_SIGMOID);
    case UnaryKind::tanh:
      return append(RT_DNNL_TANH);
    case UnaryKind::gelu:
      return append(RT_DNNL_GELU_ERF);
    case UnaryKind::gelu_tanh:
      return append(RT_DNNL_GELU_TANH);
    case UnaryKind::silu:
      return append(RT_DNNL_SWISH, 1);
    case UnaryKind::hard_swish:
      return append(RT_DNNL_HARD_SWISH);
    case UnaryKind::hard_sigmoid:
      return alpha && beta && appendLinear(*alpha, *beta) && append(RT_DNNL_CLIP, 0, 1);
    case UnaryKind::abs:
      return append(RT_DNNL_ABS);
    case UnaryKind::sqrt:
      return append(RT_DNNL_SQRT);
    case UnaryKind::mish:
      return append(RT_DNNL_MISH);
    case UnaryKind::neg:
      return appendLinear(-1, 0);
    default:
      return false;
    }
  }

  bool takeBinary(BinaryOp op) {
    bool isLeft = op.getLhs() == value;
    Value other = isLeft ? op.getRhs() : op.getLhs();
    if (getExtents(typeOf(op.getResult())) != getExtents(typeOf(value)) || !isF32(other))
      return false;
    if (std::optional<double> number = getUniform(other)) {
      seen.insert(other.getDefiningOp());
      return takeNumber(op.getKind(), *number, isLeft);
    }
    return takeOperand(op.getKind(), other, isLeft);
  }

  bool takeNumber(BinaryKind kind, double number, bool isLeft) {
    switch (kind) {
    case BinaryKind::add:
      return appendLinear(1, number);
    case BinaryKind::sub:
      return isLeft ? appendLinear(1, -number) : appendLinear(-1, number);
    case BinaryKind::mul:
      return appendLinear(number, 0);
    case BinaryKind::div:
      return isLeft && number != 0 && appendLinear(1 / number, 0);
    case BinaryKind::maximum:
      return appendClip(number, kInfinity);
    case BinaryKind::minimum:
      return appendClip(-kInfinity, number);
    case BinaryKind::prelu:
      return isLeft && append(RT_DNNL_RELU, number);
    default:
      return false;
    }
  }

  enum class Spread { None, Scalar, Channels, Full };

  /// Which elements of the result an operand of these extents meets.
  Spread classify(ArrayRef<AffineExpr> extents) {
    if (llvm::all_of(extents, isOne))
      return Spread::Scalar;
    SmallVector<AffineExpr> whole = getExtents(typeOf(value));
    if (ArrayRef<AffineExpr>(whole) == extents)
      return Spread::Full;
    int64_t axis = channelAxis - static_cast<int64_t>(whole.size() - extents.size());
    if (channelAxis < 0 || axis < 0 || extents[axis] != channels)
      return Spread::None;
    for (auto [i, extent] : llvm::enumerate(extents))
      if (static_cast<int64_t>(i) != axis && !isOne(extent))
        return Spread::None;
    return Spread::Channels;
  }

  bool takeOperand(BinaryKind kind, Value other, bool isLeft) {
    Spread spread = classify(getExtents(typeOf(other)));
    if (spread == Spread::None)
      return false;
    if (spread == Spread::Full)
      return kind == BinaryKind::add && takeSum(other);
    std::optional<Place> place = resolve(other);
    if (!place || place->layout != RT_DNNL_ROW_MAJOR)
      return false;
    SmallVector<AffineExpr> extents(rank, one());
    if (spread == Spread::Channels)
      extents[desc().op == RT_DNNL_MATMUL ? rank - 1 : 1] = channels;
    bool isBias =
        kind == BinaryKind::add && spread == Spread::Channels && desc().bias.buffer < 0 && desc().num_post_ops == 0;
    if (isBias) {
      if (desc().op != RT_DNNL_MATMUL)
        extents = {channels};
      desc().bias = add(place->buffer, RT_DNNL_ROW_MAJOR, extents);
      return true;
    }
    bool commutes = kind == BinaryKind::add || kind == BinaryKind::mul || kind == BinaryKind::maximum ||
                    kind == BinaryKind::minimum;
    int64_t dnnlKind = toPostOp(kind);
    return dnnlKind && (isLeft || commutes) && append(dnnlKind, 0, 0, add(place->buffer, RT_DNNL_ROW_MAJOR, extents));
  }

  static int64_t toPostOp(BinaryKind kind) {
    switch (kind) {
    case BinaryKind::add:
      return RT_DNNL_BINARY_ADD;
    case BinaryKind::sub:
      return RT_DNNL_BINARY_SUB;
    case BinaryKind::mul:
      return RT_DNNL_BINARY_MUL;
    case BinaryKind::div:
      return RT_DNNL_BINARY_DIV;
    case BinaryKind::maximum:
      return RT_DNNL_BINARY_MAX;
    case BinaryKind::minimum:
      return RT_DNNL_BINARY_MIN;
    default:
      return 0;
    }
  }

  /// The whole other summand lies in the destination before the call. It must lie there as the result will.
  bool takeSum(Value other) {
    bool isImage = desc().op != RT_DNNL_MATMUL && !isReshaped;
    std::optional<Place> place = resolveImage(other, isImage && channelsLast);
    if (hasSum || !place)
      return false;
    hasSum = true;
    // Behind a reshape, buffers lie as the axes do.
    sumLayout = isImage || place->layout != RT_DNNL_ROW_MAJOR ? place->layout : getLayout();
    return append(RT_DNNL_SUM, 0, 0, {place->buffer, 0, 0, RT_DNNL_ROW_MAJOR});
  }

  int64_t getLayout() const { return channelsLast ? RT_DNNL_CHANNELS_LAST : RT_DNNL_ROW_MAJOR; }

  std::optional<OneDnnKernel> finish() {
    if (hasSum && sumLayout != getLayout())
      return std::nullopt;
    desc().destination = add(kernel.getBody().getNumArguments(), getLayout(), destination);
    for (Operation &op : kernel.getBody().front())
      if (!seen.contains(&op) && !isa<ConstantOp>(op))
        return std::nullopt;
    desc().num_extents = result.extents.size();
    if (desc().num_extents > RT_DNNL_MAX_EXTENTS)
      return std::nullopt;
    for (AffineExpr extent : result.extents)
      if (!extent || !isSafeExtent(extent))
        return std::nullopt;
    desc().constant_weights = hasConstantWeights();
    return std::move(result);
  }

  /// Do all calls of the kernel give a weight of the model?
  bool hasConstantWeights() {
    int64_t index = desc().weights.buffer;
    if (index > static_cast<int64_t>(kernel.getBody().getNumArguments()))
      return true;
    auto module = kernel->getParentOfType<ModuleOp>();
    bool called = false, constant = true;
    if (module)
      module.walk([&](CallOp call) {
        if (call.getKernel() != kernel.getSymName())
          return;
        called = true;
        constant &= static_cast<bool>(call.getInputs()[index].getDefiningOp<LoadWeightOp>());
      });
    return called && constant;
  }

  KernelDefOp kernel;
  MLIRContext *context;
  OneDnnKernel result;
  Value value; ///< the end of the chain so far
  AffineExpr channels;
  int64_t channelAxis = -1; ///< of `value`; -1: no longer an axis of its own
  bool isReshaped = false;  ///< and has no other layout from there on
  int64_t rank = 0;         ///< of the tensors that oneDNN sees
  SmallVector<AffineExpr> destination;
  bool channelsLast = false; ///< are the axes of `value` N, spatial, C?
  bool hasSum = false;
  int64_t sumLayout = 0;
  llvm::SmallPtrSet<Operation *, 16> seen;
};

} // namespace

std::optional<OneDnnKernel> penstock::matchOneDnn(KernelDefOp kernel) { return Matcher(kernel).run(); }
