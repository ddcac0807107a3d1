//===- BenchCases.cpp - Kernels that are timed on a GPU ------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "BenchCases.h"

#include "KernelText.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"

using namespace penstock::test;

namespace {

using Dims = std::vector<int64_t>;

/// Extents of the models.
struct Sizes {
  Dims batches = {1, 32};
  int64_t tokens = 128, patches = 197, hidden = 768, heads = 12, vocabulary = 50257;
  int64_t image = 224, channels = 64, patch = 16, classes = 1000;
};
const Sizes kSmall = {{1}, 4, 5, 32, 2, 40, 64, 4, 16, 10};

/// The kernels of one batch and one type.
class Maker {
public:
  Maker(const Sizes &sizes, int64_t batch, const std::string &element, std::vector<BenchCase> &cases)
      : sizes(sizes), batch(batch), element(element), cases(cases) {}

  void makeAll() {
    makeProducts();
    makeAttention();
    makeConvolutions();
    makeElementwise();
    makeRows();
    makeMovement();
  }

private:
  std::string type(const Dims &dims) const { return type(dims, element); }
  static std::string type(const Dims &dims, const std::string &element) {
    return tensorType(llvm::join(llvm::map_range(dims, [](int64_t dim) { return std::to_string(dim); }), "x"), element);
  }

  void add(const std::string &kind, const std::string &name, const KernelText &text) {
    std::string full = kind + ": " + name + ", batch " + std::to_string(batch) + ", " + element;
    cases.push_back({full, text.str()});
  }

  /// `%1` is a weight. What follows: a bias `%2`, a residual `%3`, an activation.
  void addProduct(const std::string &name, int64_t rows, int64_t inner, int64_t columns, bool hasBias,
                  bool hasResidual = false, const std::string &activation = "identity", bool isTransposed = false) {
    std::string lhs = type({rows, inner}), rhs = type(isTransposed ? Dims{columns, inner} : Dims{inner, columns});
    std::string bias = type({columns}), result = type({rows, columns});
    KernelText text = {{lhs, rhs}, "", {result}};
    text.body =
        "%a = nn.matmul %0, %1" + std::string(isTransposed ? " {transpose_rhs}" : "") + " : " + lhs + ", " + rhs;
    std::string last = "%a";
    auto addTo = [&](const std::string &operand) {
      std::string summand = "%" + std::to_string(text.inputs.size()), made = "%s" + std::to_string(text.inputs.size());
      text.inputs.push_back(operand);
      text.body += "\n  " + made + " = nn.binary add " + last + ", " + summand + " : " + result + ", " + operand;
      last = made;
    };
    if (hasBias)
      addTo(bias);
    if (hasResidual)
      addTo(result);
    text.body += "\n  %r = nn.unary " + activation + " " + last + " : " + result;
    add("product", name, text);
  }

  void makeProducts() {
    int64_t rows = batch * sizes.tokens, hidden = sizes.hidden, patches = batch * sizes.patches;
    addProduct("bert_base projection", rows, hidden, hidden, true, true);
    addProduct("bert_base up", rows, hidden, 4 * hidden, true);
    addProduct("bert_base down", rows, 4 * hidden, hidden, true, true);
    addProduct("gpt2 query, key and value", rows, hidden, 3 * hidden, true);
    addProduct("gpt2 up and gelu", rows, hidden, 4 * hidden, true, false, "gelu_tanh");
    if (batch == 1) // else results of 800 MB
      addProduct("gpt2 logits", rows, hidden, sizes.vocabulary, false, false, "identity", /*isTransposed=*/true);
    addProduct("vit_b_16 projection", patches, hidden, hidden, true, true);
    addProduct("vit_b_16 up", patches, hidden, 4 * hidden, true);
    addProduct("resnet50 classes", batch, 32 * sizes.channels, sizes.classes, true);
  }

  /// The library's own attention of 16 bits; of f32 it is two products.
  void makeAttention() {
    if (element == "f32")
      return makeAttentionProducts();
    for (auto [model, rows, hasMask] :
         {std::tuple("gpt2", sizes.tokens, true), std::tuple("vit_b_16", sizes.patches, false)}) {
      int64_t heads = sizes.heads, width = sizes.hidden / heads;
      std::string packed = type({batch, rows, 3 * sizes.hidden}), part = type({batch, rows, sizes.hidden});
      std::string inRows = type({batch, rows, heads, width}), byHead = type({batch, heads, rows, width});
      std::string mask = type({batch, 1, rows, rows});
      KernelText text = {{packed}, "", {part}};
      for (auto [name, number] : {std::pair("q", 0), std::pair("k", 1), std::pair("v", 2)}) {
        std::string start = std::to_string(number * sizes.hidden), own = name;
        text.body += "%s" + own + " = nn.slice %0 from <[0, 0, " + start + "]> step [1, 1, 1] : " + packed + " to " +
                     part + "\n  %h" + own + " = nn.reshape %s" + own + " : " + part + " to " + inRows + "\n  %" + own +
                     " = nn.transpose %h" + own + " [0, 2, 1, 3] : " + inRows + "\n  ";
      }
      if (hasMask)
        text.inputs.push_back(mask);
      text.body += "%a = nn.attention %q, %k, %v " + (hasMask ? "mask %1 : " + mask + " " : "") +
                   "{scale = 1.25e-01 : f64} : " + byHead + ", " + byHead + ", " + byHead +
                   "\n  %t = nn.transpose %a [0, 2, 1, 3] : " + byHead + "\n  %r = nn.reshape %t : " + inRows + " to " +
                   part;
      add("attention", model, text);
    }
  }

  void makeAttentionProducts() {
    int64_t heads = sizes.heads, width = sizes.hidden / heads;
    for (auto [model, rows] : {std::pair("bert_base", sizes.tokens), std::pair("vit_b_16", sizes.patches)}) {
      std::string factor = type({batch, heads, rows, width}), scores = type({batch, heads, rows, rows});
      add("product", std::string(model) + " scores",
          {{factor, factor},
           "%a = nn.matmul %0, %1 {transpose_rhs} : " + factor + ", " + factor +
               "\n  %f = nn.constant dense<0.125> : tensor<f32>\n  %r = nn.binary mul %a, %f : " + scores +
               ", tensor<f32>",
           {scores}});
      add("product", std::string(model) + " weights times values",
          {{scores, factor}, "%r = nn.matmul %0, %1 : " + scores + ", " + factor, {factor}});
    }
  }

  /// Images of 16-bit numbers have their channels last, and so have filters, as the layouts pass leaves them.
  void addConvolution(const std::string &name, int64_t channels, int64_t filters, int64_t size, int64_t window,
                      int64_t stride, int64_t pad, bool hasResidual = false, bool hasRelu = true) {
    bool isLast = element != "f32";
    int64_t made = (size + 2 * pad - window) / stride + 1;
    auto image = [&](int64_t count, int64_t extent) {
      return type(isLast ? Dims{batch, extent, extent, count} : Dims{batch, count, extent, extent});
    };
    std::string input = image(channels, size), result = image(filters, made), bias = type({filters});
    std::string filter = type({filters, channels, window, window});
    bool isTurned = isLast && window > 1; // else it lies the same in both orders
    std::string stored = isTurned ? type({filters, window, window, channels}) : filter;
    auto twice = [](int64_t value) { return std::to_string(value) + ", " + std::to_string(value); };
    KernelText text = {{input, stored, bias}, "", {result}};
    if (isTurned)
      text.body = "%f = nn.transpose %1 [0, 3, 1, 2] : " + stored + "\n  ";
    text.body += "%a = nn.conv %0, " + std::string(isTurned ? "%f" : "%1") +
                 " {dilations = array<i64: 1, 1>, group = 1 : " + "i64, pads = array<i64: " + twice(pad) + ", " +
                 twice(pad) + ">, strides = array<i64: " + twice(stride) + ">" + (isLast ? ", channels_last" : "") +
                 "} : " + input + ", " + filter + "\n  ";
    std::string perFilter = isLast ? bias : type({filters, 1, 1});
    if (!isLast)
      text.body += "%c = nn.reshape %2 : " + bias + " to " + perFilter + "\n  ";
    text.body += "%b = nn.binary add %a, " + std::string(isLast ? "%2" : "%c") + " : " + result + ", " + perFilter;
    std::string last = "%b";
    if (hasResidual) {
      text.inputs.push_back(result);
      text.body += "\n  %s = nn.binary add %b, %3 : " + result + ", " + result;
      last = "%s";
    }
    text.body += "\n  %r = nn.unary " + std::string(hasRelu ? "relu" : "identity") + " " + last + " : " + result;
    add("convolution", name, text);
  }

  void makeConvolutions() {
    addConvolution("resnet50 stem", 3, sizes.channels, sizes.image, 7, 2, 3);
    for (int64_t stage = 0; stage < 4; ++stage) {
      std::string name = "resnet50 stage " + std::to_string(stage + 1);
      int64_t channels = sizes.channels << stage, size = sizes.image / (4 << stage);
      addConvolution(name + " 1x1 in", 4 * channels, channels, size, 1, 1, 0);
      addConvolution(name + " 3x3", channels, channels, size, 3, 1, 1);
      addConvolution(name + " 1x1 out", channels, 4 * channels, size, 1, 1, 0, /*hasResidual=*/true);
    }
    addConvolution("resnet50 3x3, stride 2", 2 * sizes.channels, 2 * sizes.channels, sizes.image / 4, 3, 2, 1);
    addConvolution("resnet50 1x1, stride 2", 4 * sizes.channels, 8 * sizes.channels, sizes.image / 4, 1, 2, 0, false,
                   /*hasRelu=*/false);
    addConvolution("vit_b_16 patches", 3, sizes.hidden, sizes.image, sizes.patch, sizes.patch, 0, false,
                   /*hasRelu=*/false);
  }

  void makeElementwise() {
    std::string up = type({batch * sizes.tokens, 4 * sizes.hidden}), row = type({4 * sizes.hidden});
    add("elementwise", "bert_base bias and gelu",
        {{up, row}, "%a = nn.binary add %0, %1 : " + up + ", " + row + "\n  %r = nn.unary gelu %a : " + up, {up}});
    add("elementwise", "bert_base gelu", {{up}, "%r = nn.unary gelu %0 : " + up, {up}});
    std::string down = type({batch * sizes.patches, sizes.hidden});
    add("elementwise", "vit_b_16 add", {{down, down}, "%r = nn.binary add %0, %1 : " + down + ", " + down, {down}});
    std::string image = type({batch, 4 * sizes.channels, sizes.image / 4, sizes.image / 4});
    add("elementwise", "resnet50 relu", {{image}, "%r = nn.unary relu %0 : " + image, {image}});
    add("elementwise", "resnet50 add and relu",
        {{image, image},
         "%a = nn.binary add %0, %1 : " + image + ", " + image + "\n  %r = nn.unary relu %a : " + image,
         {image}});
  }

  /// Reductions along the last axis, with their neighbours.
  void makeRows() {
    std::string scale = type({sizes.hidden});
    auto norm = [&](const char *operand, const std::string &rows) {
      return "%r = nn.layer_norm " + std::string(operand) + " scale %1 : " + scale + " bias %2 : " + scale +
             " axis 1 {epsilon = 1.0e-5} : " + rows;
    };
    std::string patches = type({batch * sizes.patches, sizes.hidden});
    std::string tokens = type({batch * sizes.tokens, sizes.hidden});
    add("norm", "vit_b_16 layer norm", {{patches, scale, scale}, norm("%0", patches), {patches}});
    add("norm", "bert_base add and layer norm",
        {{tokens, scale, scale, tokens},
         "%a = nn.binary add %0, %3 : " + tokens + ", " + tokens + "\n  " + norm("%a", tokens),
         {tokens}});
    std::string mask = type({batch, 1, 1, sizes.tokens}, "f32");
    for (auto [model, rows] :
         {std::pair("bert_base mask and softmax", sizes.tokens), std::pair("vit_b_16 softmax", sizes.patches)}) {
      bool hasMask = rows == sizes.tokens;
      std::string scores = type({batch, sizes.heads, rows, rows}, "f32");
      KernelText text = {{scores}, "", {type({batch, sizes.heads, rows, rows})}};
      if (hasMask) {
        text.inputs.push_back(mask);
        text.body = "%a = nn.binary add %0, %1 : " + scores + ", " + mask + "\n  ";
      }
      text.body += "%s = nn.softmax " + std::string(hasMask ? "%a" : "%0") + " axis 3 : " + scores + "\n  ";
      text.body +=
          (element == "f32" ? "%r = nn.unary identity %s : " : "%r = nn.cast %s to " + element + " : ") + scores;
      add("softmax", model, text);
    }
  }

  void makeMovement() {
    int64_t width = sizes.hidden / sizes.heads;
    std::string tokens = type({batch, sizes.tokens, sizes.heads, width});
    std::string heads = type({batch, sizes.heads, sizes.tokens, width});
    add("transpose", "bert_base heads", {{tokens}, "%r = nn.transpose %0 [0, 2, 1, 3] : " + tokens, {heads}});
    int64_t size = sizes.image / 4, channels = 4 * sizes.channels;
    std::string first = type({batch, channels, size, size}), last = type({batch, size, size, channels});
    add("transpose", "resnet50 channels last", {{first}, "%r = nn.transpose %0 [0, 2, 3, 1] : " + first, {last}});
  }

  const Sizes &sizes;
  int64_t batch;
  std::string element;
  std::vector<BenchCase> &cases;
};

} // namespace

std::vector<BenchCase> penstock::test::listBenchCases(bool isSmall) {
  std::vector<BenchCase> cases;
  Sizes sizes = isSmall ? kSmall : Sizes();
  for (int64_t batch : sizes.batches)
    for (const char *element : {"f32", "bf16"})
      Maker(sizes, batch, element, cases).makeAll();
  return cases;
}
