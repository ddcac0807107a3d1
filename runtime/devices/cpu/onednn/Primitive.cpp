//===- Primitive.cpp - One kernel at one tuple of extents --------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "Primitive.h"
#include "Layout.h"

#include <cstdlib>
#include <cstring>

#if DNNL_VERSION_MAJOR != 2
#error "this glue is written for oneDNN 2"
#endif

namespace penstock {
namespace rt {
namespace onednn {

using dnnl::algorithm;
using dnnl::memory;

static constexpr auto kF32 = memory::data_type::f32;

static size_t alignUp(size_t value) { return (value + RT_ALIGNMENT - 1) / RT_ALIGNMENT * RT_ALIGNMENT; }

Bytes::~Bytes() { std::free(pointer); }

bool Bytes::grow(size_t numBytes) {
  if (numBytes <= count)
    return true;
  auto *fresh = static_cast<char *>(std::aligned_alloc(RT_ALIGNMENT, alignUp(numBytes)));
  if (!fresh)
    return false;
  std::free(pointer);
  pointer = fresh;
  count = alignUp(numBytes);
  return true;
}

const Packed *PackedWeights::find(const void *source, const memory::desc &from, const memory::desc &to,
                                  const dnnl::engine &engine, dnnl::stream &stream) {
  for (const std::unique_ptr<Packed> &entry : entries)
    if (entry->source == source && entry->layout == to)
      return entry.get();
  auto entry = std::make_unique<Packed>();
  entry->source = source;
  entry->layout = to;
  if (!entry->bytes.grow(to.get_size()))
    return nullptr;
  memory before(from, engine, const_cast<void *>(source)), after(to, engine, entry->bytes.data());
  dnnl::reorder(before, after).execute(stream, before, after);
  stream.wait();
  total += entry->bytes.size();
  entries.push_back(std::move(entry));
  return entries.back().get();
}

// Descriptions of tensors.

static memory::dims dimsOf(const rt_dnnl_tensor &tensor, const int64_t *extents) {
  return memory::dims(extents + tensor.extents, extents + tensor.extents + tensor.num_dims);
}

/// Strides of axes that lie in the order `axes`, outermost first.
static memory::dims stridesFor(const memory::dims &dims, const std::vector<int> &axes) {
  memory::dims strides(dims.size());
  int64_t stride = 1;
  for (size_t i = axes.size(); i-- > 0;) {
    strides[axes[i]] = stride;
    stride *= dims[axes[i]];
  }
  return strides;
}

static memory::desc describe(const memory::dims &dims, int64_t layout) {
  int rank = static_cast<int>(dims.size());
  std::vector<int> axes;
  for (int i = 0; i < rank; ++i)
    axes.push_back(i);
  if (layout == RT_DNNL_TRANSPOSED)
    std::swap(axes[rank - 1], axes[rank - 2]);
  if (layout == RT_DNNL_CHANNELS_LAST) {
    axes.erase(axes.begin() + 1);
    axes.push_back(1);
  }
  return memory::desc(dims, kF32, stridesFor(dims, axes));
}

static memory::desc describe(const rt_dnnl_tensor &tensor, const int64_t *extents) {
  return describe(dimsOf(tensor, extents), tensor.layout);
}

static memory::desc anyLayout(const memory::desc &desc) {
  return memory::desc(desc.dims(), kF32, memory::format_tag::any);
}

/// Filters get an axis for the groups, and the result's channels first.
static memory::desc describeFilter(const rt_dnnl_desc &desc, const int64_t *extents) {
  memory::dims dims = dimsOf(desc.weights, extents), grouped;
  int64_t groups = desc.groups;
  bool turned = desc.op == RT_DNNL_CONV_TRANSPOSE;
  if (groups == 1 && !turned)
    return describe(dims, RT_DNNL_ROW_MAJOR);
  std::vector<int> axes; // as they lie
  if (groups != 1) {
    grouped =
        turned ? memory::dims{groups, dims[1], dims[0] / groups} : memory::dims{groups, dims[0] / groups, dims[1]};
    axes = turned ? std::vector<int>{0, 2, 1} : std::vector<int>{0, 1, 2};
  } else {
    grouped = {dims[1], dims[0]};
    axes = {1, 0};
  }
  for (size_t i = 2; i < dims.size(); ++i) {
    axes.push_back(static_cast<int>(grouped.size()));
    grouped.push_back(dims[i]);
  }
  return memory::desc(grouped, kF32, stridesFor(grouped, axes));
}

// Post-ops.

static bool appendElementwise(dnnl::post_ops &ops, const rt_dnnl_post_op &op) {
  auto add = [&](algorithm kind, bool hasAlpha = false, bool hasBeta = false) {
    ops.append_eltwise(1.0f, kind, hasAlpha ? static_cast<float>(op.alpha) : 0.0f,
                       hasBeta ? static_cast<float>(op.beta) : 0.0f);
    return true;
  };
  switch (op.kind) {
  case RT_DNNL_RELU:
    return add(algorithm::eltwise_relu, true);
  case RT_DNNL_LINEAR:
    return add(algorithm::eltwise_linear, true, true);
  case RT_DNNL_CLIP:
    return add(algorithm::eltwise_clip, true, true);
  case RT_DNNL_SIGMOID:
    return add(algorithm::eltwise_logistic);
  case RT_DNNL_TANH:
    return add(algorithm::eltwise_tanh);
  case RT_DNNL_ELU:
    return add(algorithm::eltwise_elu, true);
  case RT_DNNL_GELU_ERF:
    return add(algorithm::eltwise_gelu_erf);
  case RT_DNNL_GELU_TANH:
    return add(algorithm::eltwise_gelu_tanh);
  case RT_DNNL_SWISH:
    return add(algorithm::eltwise_swish, true);
  case RT_DNNL_HARD_SWISH:
    return add(algorithm::eltwise_hardswish);
  case RT_DNNL_ABS:
    return add(algorithm::eltwise_abs);
  case RT_DNNL_SQRT:
    return add(algorithm::eltwise_sqrt);
  case RT_DNNL_MISH:
    return add(algorithm::eltwise_mish);
  }
  return false;
}

static algorithm toBinary(int64_t kind) {
  switch (kind) {
  case RT_DNNL_BINARY_ADD:
    return algorithm::binary_add;
  case RT_DNNL_BINARY_SUB:
    return algorithm::binary_sub;
  case RT_DNNL_BINARY_MUL:
    return algorithm::binary_mul;
  case RT_DNNL_BINARY_DIV:
    return algorithm::binary_div;
  case RT_DNNL_BINARY_MAX:
    return algorithm::binary_max;
  case RT_DNNL_BINARY_MIN:
    return algorithm::binary_min;
  }
  return algorithm::undef;
}

template <typename PrimitiveT>
void Primitive::take(const typename PrimitiveT::primitive_desc &pd, const dnnl::engine &engine) {
  name = pd.impl_info_str();
  auto at = [&](const memory::desc &desc) { return memory(desc, engine, nullptr); };
  source = at(pd.src_desc());
  weights = at(pd.weights_desc());
  destination = at(pd.dst_desc());
  scratchpad = at(pd.scratchpad_desc());
  // Nobody runs a reference implementation.
  if (!onlyDescribed && !isReference())
    primitive = PrimitiveT(pd);
}

void Primitive::addReorders(const rt_dnnl_desc &desc, const dnnl::engine &engine) {
  totalScratch = alignUp(scratchpad.get_desc().get_size());
  auto reserve = [&](const memory &inner, size_t &offset) {
    offset = totalScratch;
    totalScratch += alignUp(inner.get_desc().get_size());
  };
  reordersSource = source.get_desc() != sourceEdge.get_desc();
  reordersWeights = weights.get_desc() != weightsEdge.get_desc();
  reordersDestination = destination.get_desc() != destinationEdge.get_desc();
  if (reordersSource)
    reserve(source, sourceOffset);
  if (reordersWeights && !desc.constant_weights)
    reserve(weights, weightsOffset);
  if (reordersDestination)
    reserve(destination, destinationOffset);
  if (onlyDescribed)
    return;
  if (reordersSource)
    sourceReorder = dnnl::reorder(sourceEdge, source);
  if (reordersWeights && !desc.constant_weights)
    weightsReorder = dnnl::reorder(weightsEdge, weights);
  if (reordersDestination)
    destinationReorder = dnnl::reorder(destination, destinationEdge);
  if (reordersDestination && sumBuffer >= 0)
    sumReorder = dnnl::reorder(destinationEdge, destination);
}

/// What oneDNN is asked for. Weights are filled in last.
struct Primitive::Request {
  memory::desc source, weights, bias, destination;
  dnnl::primitive_attr attributes;
  memory::dims strides, dilations, low, high;
};

Primitive::Request Primitive::makeRequest(const rt_dnnl_desc &desc, const int64_t *extents,
                                          const dnnl::engine &engine) {
  Request request;
  request.source = describe(desc.source, extents);
  request.destination = describe(desc.destination, extents);
  if (desc.bias.buffer >= 0)
    request.bias = describe(desc.bias, extents);
  dnnl::post_ops ops;
  for (int64_t i = 0; i < desc.num_post_ops; ++i) {
    const rt_dnnl_post_op &op = desc.post_ops[i];
    if (op.kind == RT_DNNL_SUM) {
      ops.append_sum(1.0f);
      sumBuffer = op.operand.buffer;
    } else if (!appendElementwise(ops, op)) {
      memory::desc operand = describe(op.operand, extents);
      ops.append_binary(toBinary(op.kind), operand);
      operands.push_back({op.operand.buffer, DNNL_ARG_ATTR_MULTIPLE_POST_OP(static_cast<int>(i)) | DNNL_ARG_SRC_1,
                          memory(operand, engine, nullptr)});
    }
  }
  request.attributes.set_post_ops(ops);
  request.attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  for (int64_t i = 0; i < desc.source.num_dims - 2; ++i) {
    request.strides.push_back(desc.strides[i]);
    request.dilations.push_back(desc.dilations[i] - 1);
    request.low.push_back(desc.pads[i]);
    request.high.push_back(desc.pads[RT_DNNL_MAX_SPATIAL + i]);
  }
  return request;
}

/// Asks for a primitive with the request's layout of weights.
void Primitive::choose(const rt_dnnl_desc &desc, const Request &request, const dnnl::engine &engine) {
  auto inference = dnnl::prop_kind::forward_inference;
  if (desc.op == RT_DNNL_MATMUL) {
    dnnl::matmul::primitive_desc pd({request.source, request.weights, request.bias, request.destination},
                                    request.attributes, engine);
    take<dnnl::matmul>(pd, engine);
    return;
  }
  auto make = [&](const memory::desc &source, const memory::desc &destination) {
    if (desc.op == RT_DNNL_CONV)
      take<dnnl::convolution_forward>({{inference, algorithm::convolution_direct, source, request.weights, request.bias,
                                        destination, request.strides, request.dilations, request.low, request.high},
                                       request.attributes,
                                       engine},
                                      engine);
    else
      take<dnnl::deconvolution_forward>(
          {{inference, algorithm::deconvolution_direct, source, request.weights, request.bias, destination,
            request.strides, request.dilations, request.low, request.high},
           request.attributes,
           engine},
          engine);
  };
  // Where one side is channels-last, so is the work; oneDNN's own wish may differ from it, for no gain.
  bool isLast = desc.source.layout == RT_DNNL_CHANNELS_LAST || desc.destination.layout == RT_DNNL_CHANNELS_LAST;
  if (isLast)
    make(describe(request.source.dims(), RT_DNNL_CHANNELS_LAST),
         describe(request.destination.dims(), RT_DNNL_CHANNELS_LAST));
  if (!isLast || isReference())
    make(anyLayout(request.source), anyLayout(request.destination));
}

/// Weights that were packed ahead of time stay as they are wherever oneDNN has fast code for that layout; where it has
/// not, they are brought into the one that it likes best. At extents that never change, both must be the same.
std::string Primitive::chooseWeights(const rt_dnnl_desc &desc, Request &request, const dnnl::engine &engine) {
  bool isMatmul = desc.op == RT_DNNL_MATMUL;
  memory::desc plain = weightsEdge.get_desc();
  if (desc.packed[0]) {
    memory::desc packed;
    if (desc.packed[RT_DNNL_LAYOUT_BYTES - 1] || !parseLayout(plain.dims(), desc.packed, packed))
      return "the descriptor has packed weights of an unknown layout";
    weightsEdge = memory(packed, engine, nullptr);
  }
  if (desc.packed[0] && !desc.is_static) {
    request.weights = weightsEdge.get_desc();
    try {
      choose(desc, request, engine);
      if (!isReference())
        return "";
    } catch (const dnnl::error &refused) {
      if (refused.status != dnnl_unimplemented)
        throw;
    }
  }
  request.weights = desc.constant_weights || !isMatmul ? anyLayout(plain) : plain;
  choose(desc, request, engine);
  if (!desc.packed[0] || !desc.is_static || weights.get_desc() == weightsEdge.get_desc())
    return "";
  std::string wanted = formatLayout(weights.get_desc());
  return "oneDNN wants weights in layout '" + (wanted.empty() ? "unknown" : wanted) +
         "', and they were packed in layout '" + desc.packed + "'; expected the same, so compile the model again";
}

std::string Primitive::build(const rt_dnnl_desc &desc, const int64_t *extents, const dnnl::engine &engine) {
  auto at = [&](const memory::desc &which) { return memory(which, engine, nullptr); };
  Request request = makeRequest(desc, extents, engine);
  sourceEdge = at(request.source);
  weightsEdge = at(desc.op == RT_DNNL_MATMUL ? describe(desc.weights, extents) : describeFilter(desc, extents));
  destinationEdge = at(request.destination);
  if (desc.bias.buffer >= 0)
    bias = at(request.bias);
  if (std::string error = chooseWeights(desc, request, engine); !error.empty())
    return error;
  addReorders(desc, engine);
  return "";
}

std::unique_ptr<Primitive> Primitive::create(const rt_dnnl_desc &desc, const int64_t *extents,
                                             const dnnl::engine &engine, std::string &error, bool onlyDescribed) {
  std::unique_ptr<Primitive> made(new Primitive());
  made->onlyDescribed = onlyDescribed;
  try {
    error = made->build(desc, extents, engine);
  } catch (const dnnl::error &failure) {
    error = std::string("oneDNN: ") + failure.what();
  }
  return error.empty() ? std::move(made) : nullptr;
}

size_t Primitive::packedBytes() const { return reordersWeights ? weights.get_desc().get_size() : 0; }

bool Primitive::placeWeights(const rt_dnnl_desc &desc, void *const *buffers, char *scratch, PackedWeights &packed,
                             const dnnl::engine &engine, dnnl::stream &stream) {
  void *given = buffers[desc.weights.buffer];
  if (!reordersWeights) {
    weights.set_data_handle(given);
    return true;
  }
  if (!desc.constant_weights) {
    weightsEdge.set_data_handle(given);
    weights.set_data_handle(scratch + weightsOffset);
    weightsReorder.execute(stream, weightsEdge, weights);
    return true;
  }
  const Packed *found = nullptr;
  for (auto [pointer, entry] : packedFor)
    if (pointer == given)
      found = entry;
  if (!found) {
    found = packed.find(given, weightsEdge.get_desc(), weights.get_desc(), engine, stream);
    if (!found)
      return false;
    packedFor.push_back({given, found});
  }
  weights.set_data_handle(found->bytes.data());
  return true;
}

bool Primitive::run(const rt_dnnl_desc &desc, void *const *buffers, char *scratch, PackedWeights &packed,
                    const dnnl::engine &engine, dnnl::stream &stream) {
  if (!placeWeights(desc, buffers, scratch, packed, engine, stream))
    return false;
  void *from = buffers[desc.source.buffer], *to = buffers[desc.destination.buffer];
  source.set_data_handle(reordersSource ? scratch + sourceOffset : from);
  destination.set_data_handle(reordersDestination ? scratch + destinationOffset : to);
  scratchpad.set_data_handle(scratch);
  if (reordersSource) {
    sourceEdge.set_data_handle(from);
    sourceReorder.execute(stream, sourceEdge, source);
  }
  if (sumBuffer >= 0 && reordersDestination) {
    destinationEdge.set_data_handle(buffers[sumBuffer]);
    sumReorder.execute(stream, destinationEdge, destination);
  } else if (sumBuffer >= 0 && buffers[sumBuffer] != to) {
    std::memcpy(to, buffers[sumBuffer], destination.get_desc().get_size());
  }

  dnnl_exec_arg_t arguments[6 + RT_DNNL_MAX_POST_OPS];
  int count = 0;
  auto add = [&](int argument, const memory &which) { arguments[count++] = {argument, which.get()}; };
  add(DNNL_ARG_SRC, source);
  add(DNNL_ARG_WEIGHTS, weights);
  add(DNNL_ARG_DST, destination);
  add(DNNL_ARG_SCRATCHPAD, scratchpad);
  if (desc.bias.buffer >= 0) {
    bias.set_data_handle(buffers[desc.bias.buffer]);
    add(DNNL_ARG_BIAS, bias);
  }
  for (Operand &operand : operands) {
    operand.memory.set_data_handle(buffers[operand.buffer]);
    add(operand.argument, operand.memory);
  }
  bool done = dnnl_primitive_execute(primitive.get(), stream.get(), count, arguments) == dnnl_success;
  if (done && reordersDestination) {
    destinationEdge.set_data_handle(to);
    destinationReorder.execute(stream, destination, destinationEdge);
  }
  return done;
}

} // namespace onednn
} // namespace rt
} // namespace penstock
