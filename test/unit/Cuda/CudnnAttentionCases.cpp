//===- CudnnAttentionCases.cpp - Attentions that cuDNN does -----*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Which kernels are the library's, and runs of those. The observer of the program counts what it takes for such a run.
//
//===----------------------------------------------------------------------===//

#include "GpuHarness.h"
#include "KernelText.h"

#include "penstock/Target/Cuda/CudnnTable.h"

using namespace penstock;
using namespace penstock::test;

namespace {

/// The body of a kernel, line by line.
class Body {
public:
  explicit Body(std::string element) : element(std::move(element)) {}

  std::string type(const std::string &dims) const { return tensorType(dims, element); }
  Body &reshape(const std::string &to, const std::string &from, const std::string &dims, const std::string &made) {
    return add(to + " = nn.reshape " + from + " : " + type(dims) + " to " + type(made));
  }
  Body &transpose(const std::string &to, const std::string &from, const std::string &perm, const std::string &dims) {
    return add(to + " = nn.transpose " + from + " [" + perm + "] : " + type(dims));
  }
  Body &slice(const std::string &to, const std::string &from, const std::string &starts, const std::string &dims,
              const std::string &made) {
    std::string steps = "1";
    for (char c : starts)
      steps += c == ',' ? ", 1" : "";
    return add(to + " = nn.slice " + from + " from <[" + starts + "]> step [" + steps + "] : " + type(dims) + " to " +
               type(made));
  }
  /// `%d`, of `%q`, `%k` and `%v`.
  Body &attend(const std::string &query, const std::string &key, const std::string &value, const std::string &mask = "",
               const std::string &flags = "") {
    return add("%d = nn.attention %q, %k, %v" + (mask.empty() ? "" : " mask %m : " + mask) + " {scale = 3.0e-01 : f64" +
               flags + "} : " + type(query) + ", " + type(key) + ", " + type(value));
  }
  Body &add(const std::string &line) {
    text += line + "\n  ";
    return *this;
  }
  std::string str(const std::vector<std::string> &inputs, const std::string &result) const {
    std::vector<std::string> types;
    for (const std::string &dims : inputs)
      types.push_back(dims.find('<') == std::string::npos ? type(dims) : dims);
    return KernelText{types, text, {type(result)}}.str();
  }

private:
  std::string element, text;
};

void expectTaken(const std::string &text, const std::vector<std::vector<int64_t>> &symbols) {
  Kernel kernel(text);
  ASSERT_TRUE(kernel.ok()) << kernel.error << text;
  for (const std::vector<int64_t> &values : symbols) {
    int64_t before = getNumLibraryRuns();
    kernel.run(kernel.randomInputs(values, -1, 1), values);
    EXPECT_EQ(getNumLibraryRuns(), before + 1) << getText(kernel);
  }
}

std::string describe(const std::string &text) {
  return describeKernel(*cuda::createCudnnTable(/*allowsTf32=*/false), text);
}

/// `%q`, `%k`, `%v` and perhaps `%m` are the inputs, seen in their own shapes.
Body asTheyAre(const std::string &element, const std::string &query, const std::string &key, const std::string &value) {
  return Body(element)
      .reshape("%q", "%0", query, query)
      .reshape("%k", "%1", key, key)
      .reshape("%v", "%2", value, value);
}

/// Query, key and value are thirds of the rows that one product has made.
Body thirds(const std::string &element, int64_t first = 0) {
  Body body(element);
  int64_t start = first;
  for (std::string name : {"q", "k", "v"}) {
    body.slice("%a" + name, "%0", "0, 0, " + std::to_string(start), "s0xs1x104", "s0xs1x32")
        .reshape("%b" + name, "%a" + name, "s0xs1x32", "s0xs1x4x8")
        .transpose("%" + name, "%b" + name, "0, 2, 1, 3", "s0xs1x4x8");
    start += 32;
  }
  return body.attend("s0x4xs1x8", "s0x4xs1x8", "s0x4xs1x8");
}

} // namespace

// Batches and heads or none of them, heads that share one of the key, features of the value of their own.
TEST(CudnnAttentionKernel, Shapes) {
  struct Case {
    const char *query, *key, *value, *result;
  };
  const Case cases[] = {{"s0x3xs1x16", "s0x3x7x16", "s0x3x7x16", "s0x3xs1x16"},
                        {"2x6xs0x8", "2x2xs1x8", "2x2xs1x24", "2x6xs0x24"},
                        {"1x1x1x8", "1x1xs0x8", "1x1xs0x8", "1x1x1x8"},
                        {"4xs0x8", "2xs1x8", "2xs1x8", "4xs0x8"},
                        {"s0x8", "s1x8", "s1x16", "s0x16"}};
  for (std::string element : {"f16", "bf16"})
    for (const Case &test : cases)
      expectTaken(asTheyAre(element, test.query, test.key, test.value)
                      .attend(test.query, test.key, test.value)
                      .reshape("%r", "%d", test.result, test.result)
                      .str({test.query, test.key, test.value}, test.result),
                  {{1, 1}, {3, 5}, {0, 2}});
}

// Heads beside each other in rows, as products leave them and read them.
TEST(CudnnAttentionKernel, HeadsInRows) {
  Body body("bf16");
  body.transpose("%q", "%0", "0, 2, 1, 3", "s0xs1x4x8");
  body.reshape("%kk", "%1", "(s0 * s1)x16", "s0xs1x2x8").transpose("%k", "%kk", "0, 2, 1, 3", "s0xs1x2x8");
  body.reshape("%vv", "%2", "s0xs1x16", "s0xs1x2x8").transpose("%v", "%vv", "0, 2, 1, 3", "s0xs1x2x8");
  body.attend("s0x4xs1x8", "s0x2xs1x8", "s0x2xs1x8").transpose("%e", "%d", "0, 2, 1, 3", "s0x4xs1x8");
  expectTaken(body.reshape("%r", "%e", "s0xs1x4x8", "(s0 * s1)x32")
                  .str({"s0xs1x4x8", "(s0 * s1)x16", "s0xs1x16"}, "(s0 * s1)x32"),
              {{1, 1}, {2, 5}});
}

// Query, key and value in the rows of one product, and the result in rows.
TEST(CudnnAttentionKernel, PartsOfOneProduct) {
  for (int64_t first : {0, 8})
    expectTaken(thirds("bf16", first)
                    .transpose("%e", "%d", "0, 2, 1, 3", "s0x4xs1x8")
                    .reshape("%r", "%e", "s0xs1x4x8", "s0xs1x32")
                    .str({"s0xs1x104"}, "s0xs1x32"),
                {{1, 1}, {2, 5}});
}

// Rows before images, and axes that stand for images and heads together on the way.
TEST(CudnnAttentionKernel, RowsBeforeImages) {
  Body body("bf16");
  body.reshape("%a", "%0", "(s0 * 7)x96", "1x7xs0x3x32").transpose("%b", "%a", "3, 1, 2, 0, 4", "1x7xs0x3x32");
  body.reshape("%c", "%b", "3x7xs0x1x32", "3x7xs0x32");
  for (std::string name : {"q", "k", "v"}) {
    std::string number = name == "q" ? "0" : name == "k" ? "1" : "2";
    body.slice("%e" + name, "%c", number + ", 0, 0, 0", "3x7xs0x32", "1x7xs0x32")
        .reshape("%f" + name, "%e" + name, "1x7xs0x32", "7x(s0 * 4)x8");
    if (name == "k") // with its features in front of the positions, and back
      body.transpose("%gk", "%fk", "1, 2, 0", "7x(s0 * 4)x8")
          .reshape("%hk", "%gk", "(s0 * 4)x8x7", "s0x4x8x7")
          .transpose("%k", "%hk", "0, 1, 3, 2", "s0x4x8x7");
    else
      body.transpose("%g" + name, "%f" + name, "1, 0, 2", "7x(s0 * 4)x8")
          .reshape("%" + name, "%g" + name, "(s0 * 4)x7x8", "s0x4x7x8");
  }
  body.attend("s0x4x7x8", "s0x4x7x8", "s0x4x7x8").transpose("%i", "%d", "2, 0, 1, 3", "s0x4x7x8");
  expectTaken(body.reshape("%r", "%i", "7xs0x4x8", "(s0 * 7)x32").str({"(s0 * 7)x96"}, "(s0 * 7)x32"), {{1}, {3}});
}

// Masks of all kinds that are the same for some axes.
TEST(CudnnAttentionKernel, Masks) {
  for (std::string mask : {"s1", "s0x1x1xs1", "s0x3x5xs1", "1x1x5xs1", "3x1xs1", "5xs1"}) {
    std::string query = "s0x3x5x8", key = "s0x3xs1x8";
    expectTaken(asTheyAre("bf16", query, key, key)
                    .reshape("%m", "%3", mask, mask)
                    .attend(query, key, key, tensorType(mask, "bf16"))
                    .reshape("%r", "%d", query, query)
                    .str({query, key, key, mask}, query),
                {{1, 1}, {2, 7}});
  }
}

// What the library cannot do, or not read or leave where it lies, is left to others.
TEST(CudnnAttentionKernel, LeftToOthers) {
  auto describeShapes = [](const std::string &element, const std::string &query, const std::string &key,
                           const std::string &flags = "") {
    return describe(asTheyAre(element, query, key, key)
                        .attend(query, key, key, "", flags)
                        .reshape("%r", "%d", query, query)
                        .str({query, key, key}, query));
  };
  EXPECT_NE(describeShapes("bf16", "2x3x5x8", "2x3x7x8"), "");
  EXPECT_EQ(describeShapes("f32", "2x3x5x8", "2x3x7x8"), "");
  EXPECT_EQ(describeShapes("bf16", "2x3x5x12", "2x3x7x12"), "");   // features
  EXPECT_EQ(describeShapes("bf16", "2x2x3x5x8", "2x2x3x7x8"), ""); // axes
  EXPECT_EQ(describeShapes("bf16", "2x3x5x8", "2x3x7x8", ", zero_masked_rows"), "");
  // A place that is not a multiple of 16 bytes.
  auto rows = [](Body body) {
    return body.transpose("%e", "%d", "0, 2, 1, 3", "s0x4xs1x8")
        .reshape("%r", "%e", "s0xs1x4x8", "s0xs1x32")
        .str({"s0xs1x104"}, "s0xs1x32");
  };
  EXPECT_NE(describe(rows(thirds("bf16"))), "");
  EXPECT_EQ(describe(rows(thirds("bf16", 4))), "");
  // Features that are not neighbours, of an operand and of the result.
  Body turned("bf16");
  turned.transpose("%q", "%0", "0, 1, 3, 2", "2x3x8x5").reshape("%k", "%1", "2x3x7x8", "2x3x7x8");
  turned.reshape("%v", "%1", "2x3x7x8", "2x3x7x8").attend("2x3x5x8", "2x3x7x8", "2x3x7x8");
  EXPECT_EQ(describe(turned.reshape("%r", "%d", "2x3x5x8", "2x3x5x8").str({"2x3x8x5", "2x3x7x8"}, "2x3x5x8")), "");
  EXPECT_EQ(describe(asTheyAre("bf16", "2x3x5x8", "2x3x7x8", "2x3x7x8")
                         .attend("2x3x5x8", "2x3x7x8", "2x3x7x8")
                         .transpose("%r", "%d", "0, 1, 3, 2", "2x3x5x8")
                         .str({"2x3x5x8", "2x3x7x8", "2x3x7x8"}, "2x3x8x5")),
            "");
  // Conditions, and masks that are the same for all positions.
  for (std::string mask : {"tensor<7xi1>", "tensor<1xbf16>"})
    EXPECT_EQ(describe(asTheyAre("bf16", "2x3x5x8", "2x3x7x8", "2x3x7x8")
                           .add("%m = nn.reshape %3 : " + mask + " to " + mask)
                           .attend("2x3x5x8", "2x3x7x8", "2x3x7x8", mask)
                           .reshape("%r", "%d", "2x3x5x8", "2x3x5x8")
                           .str({"2x3x5x8", "2x3x7x8", "2x3x7x8", mask}, "2x3x5x8")),
              "")
        << mask;
  // Something that is done to the result.
  EXPECT_EQ(describe(asTheyAre("bf16", "2x3x5x8", "2x3x7x8", "2x3x7x8")
                         .attend("2x3x5x8", "2x3x7x8", "2x3x7x8")
                         .add("%r = nn.unary relu %d : " + tensorType("2x3x5x8", "bf16"))
                         .str({"2x3x5x8", "2x3x7x8", "2x3x7x8"}, "2x3x5x8")),
            "");
}
