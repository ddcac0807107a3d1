//===- KernelCompilerTest.cpp - Objects of kernels --------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "KernelText.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Object/ELFObjectFile.h"
#include "llvm/Support/MemoryBuffer.h"

#include <set>

using namespace penstock;
using namespace penstock::test;
using namespace mlir;

namespace {

std::string unary(const std::string &kind, const std::string &name, const std::string &attribute = "") {
  std::string type = tensorType("2xs0");
  return "nn.kernel_def @" + name + "(%a: " + type + ") -> (" + type + ") symbols 1 {\n  %0 = nn.unary " + kind +
         " %a " + attribute + " : " + type + "\n  nn.yield %0 : " + type + "\n}\n";
}

class KernelCompiler : public ::testing::Test {
protected:
  KernelCompiler() {
    context.loadDialect<nn::NNDialect, func::FuncDialect>();
    handler.emplace(&context, [this](Diagnostic &diagnostic) { messages += diagnostic.str() + "\n"; });
  }

  std::vector<nn::KernelDefOp> parse(const std::string &text) {
    modules.push_back(parseSourceString<ModuleOp>(text, ParserConfig(&context)));
    std::vector<nn::KernelDefOp> kernels;
    if (modules.back())
      for (auto kernel : modules.back()->getOps<nn::KernelDefOp>())
        kernels.push_back(kernel);
    EXPECT_FALSE(kernels.empty()) << messages;
    return kernels;
  }

  MLIRContext context;
  std::string messages;
  std::optional<ScopedDiagnosticHandler> handler;
  std::vector<OwningOpRef<ModuleOp>> modules;
};

/// Kernels whose numbers could depend on the order of additions.
const char *const kSums[] = {
    "%r = nn.matmul %0, %1 : T, T",
    "%r = nn.matmul %0, %1 {transpose_rhs} : T, T",
    "%r = nn.softmax %0 axis 1 : T",
    "%a = nn.unary gelu %0 : T\n  %r = nn.binary mul %a, %1 : T, T",
};

} // namespace

TEST_F(KernelCompiler, RunsOneKernel) {
  Kernel kernel(unary("relu", "relu"));
  ASSERT_TRUE(kernel.ok()) << kernel.error;
  EXPECT_EQ(kernel.compiled.kind, "generated");
  EXPECT_EQ(kernel.compiled.workspaceBytes, getAffineConstantExpr(0, kernel.op.getContext()));
  for (int64_t extent : {0, 1, 7, 64, 129}) {
    std::vector<Array> inputs = kernel.randomInputs({extent});
    std::vector<Array> results = kernel.run(inputs, {extent});
    ASSERT_EQ(results[0].dims, (std::vector<int64_t>{2, extent}));
    for (int64_t i = 0; i < results[0].size(); ++i)
      EXPECT_EQ(results[0].values[i], std::max(inputs[0].values[i], 0.0));
  }
}

TEST_F(KernelCompiler, HashesStructureNotNames) {
  auto kernels = parse(unary("relu", "a") + unary("relu", "b", "{nn.tensor = \"x\"}") + unary("abs", "c"));
  TargetProfile other = hostProfile();
  other.optLevel = 1;
  std::string hash = kernels::hashKernel(kernels[0], hostProfile());
  EXPECT_EQ(hash.size(), 32u);
  EXPECT_EQ(hash, kernels::hashKernel(kernels[1], hostProfile()));
  EXPECT_NE(hash, kernels::hashKernel(kernels[2], hostProfile()));
  EXPECT_NE(hash, kernels::hashKernel(kernels[0], other));
}

TEST_F(KernelCompiler, SameBytesFromAnyNumberOfThreads) {
  std::string text;
  for (std::string kind : {"relu", "abs", "tanh", "gelu", "exp", "relu"})
    text += unary(kind, "k" + std::to_string(text.size()));
  auto kernels = parse(text);
  auto one = kernels::compileKernels(kernels, hostProfile(), 1),
       many = kernels::compileKernels(kernels, hostProfile(), 4);
  ASSERT_TRUE(succeeded(one) && succeeded(many)) << messages;
  std::set<std::string> distinct;
  for (size_t i = 0; i < kernels.size(); ++i) {
    EXPECT_EQ((*one)[i].object, (*many)[i].object);
    distinct.insert((*one)[i].symbolName);
  }
  EXPECT_EQ(distinct.size(), 5u);
}

TEST_F(KernelCompiler, ObjectsDefineOneFunctionAndNoData) {
  auto kernels = parse(unary("gelu", "a") + unary("sin", "b"));
  for (nn::KernelDefOp kernel : kernels) {
    auto compiled = kernels::compileKernel(kernel, hostProfile());
    ASSERT_TRUE(succeeded(compiled)) << messages;
    auto file = llvm::object::ObjectFile::createObjectFile(llvm::MemoryBufferRef(compiled->object, "kernel"));
    ASSERT_TRUE(bool(file));
    std::set<std::string> defined, needed, allowed = {"sinf", "memset", "memcpy", "memmove"};
    for (const llvm::object::SymbolRef &symbol : (*file)->symbols()) {
      uint32_t flags = llvm::cantFail(symbol.getFlags());
      std::string name = llvm::cantFail(symbol.getName()).str();
      if (flags & llvm::object::SymbolRef::SF_Undefined)
        needed.insert(name);
      else if (flags & llvm::object::SymbolRef::SF_Global)
        defined.insert(name);
    }
    EXPECT_EQ(defined, std::set<std::string>{compiled->symbolName});
    for (const std::string &name : needed)
      EXPECT_TRUE(name.empty() || allowed.count(name)) << name;
    for (const llvm::object::SectionRef &section : (*file)->sections())
      EXPECT_FALSE(section.isBSS() && section.getSize() > 0);
  }
}

TEST_F(KernelCompiler, SameBitsForAnyVectorWidth) {
  for (std::string body : kSums) {
    std::string type = tensorType("67x67");
    for (size_t at = body.find('T'); at != std::string::npos; at = body.find('T', at + type.size()))
      body.replace(at, 1, type);
    std::string text = KernelText{{type, type}, body, {type}}.str();
    Kernel wide(text), narrow(text, baselineProfile());
    ASSERT_TRUE(wide.ok() && narrow.ok()) << wide.error << narrow.error;
    std::vector<Array> inputs = wide.randomInputs({0, 0, 0, 0});
    EXPECT_EQ(wide.run(inputs, {0, 0, 0, 0})[0].values, narrow.run(inputs, {0, 0, 0, 0})[0].values) << body;
  }
}

TEST_F(KernelCompiler, SameBitsForAnyNumberOfRows) {
  std::string lhs = tensorType("s0x130"), rhs = tensorType("130x70"), type = tensorType("s0x70");
  Kernel kernel(KernelText{{lhs, rhs}, "%r = nn.matmul %0, %1 : " + lhs + ", " + rhs, {type}}.str());
  ASSERT_TRUE(kernel.ok()) << kernel.error;
  std::vector<Array> all = kernel.randomInputs({19, 0, 0, 0});
  std::vector<double> whole = kernel.run(all, {19, 0, 0, 0})[0].values, joined;
  for (int64_t row = 0; row < 19; ++row) {
    Array one{{1, 130}, {all[0].values.begin() + row * 130, all[0].values.begin() + (row + 1) * 130}};
    std::vector<double> part = kernel.run({one, all[1]}, {1, 0, 0, 0})[0].values;
    joined.insert(joined.end(), part.begin(), part.end());
  }
  EXPECT_EQ(whole, joined);
}

TEST_F(KernelCompiler, TemporariesAreInTheWorkspace) {
  // Both results need the sum of a row; what is large lies in the workspace, whose size follows the symbols.
  std::string type = tensorType("s0xs1"), padded = tensorType("(s0 + 2)x(s1 + 2)"),
              wide = tensorType("(s0 + 2)x(s1 + 2)");
  Kernel kernel(KernelText{{type},
                           "%a = nn.pad constant %0 : " + type +
                               " low #nn.extents<[1, 1]> high #nn.extents<[1, 1]>\n"
                               "  %b = nn.transpose %a [1, 0] : " +
                               padded + "\n  %r = nn.matmul %a, %b : " + padded + ", " +
                               tensorType("(s1 + 2)x(s0 + 2)"),
                           {tensorType("(s0 + 2)x(s0 + 2)")}}
                    .str());
  ASSERT_TRUE(kernel.ok()) << kernel.error;
  EXPECT_FALSE(isa<AffineConstantExpr>(kernel.compiled.workspaceBytes));
  std::vector<Array> in = kernel.randomInputs({3, 40, 0, 0}), out = kernel.run(in, {3, 40, 0, 0});
  double sum = 0;
  for (int64_t i = 0; i < 40; ++i)
    sum += in[0].values[i] * in[0].values[40 + i];
  EXPECT_NEAR(at(out[0], {1, 2}), sum, 1e-5);
  EXPECT_EQ(at(out[0], {0, 2}), 0);
}

TEST_F(KernelCompiler, ReportsWhatItCannotCompile) {
  std::string type = tensorType("4x8"), channel = tensorType("8");
  auto kernels = parse("nn.kernel_def @k(%0: " + type + ", %1: " + channel + ") -> (" + type + ") symbols 0 {\n" +
                       "  %r = nn.batch_norm %0, %1, %1, %1, %1 {epsilon = 1.0e-5} : " + type + ", " + channel + ", " +
                       channel + ", " + channel + ", " + channel + "\n  nn.yield %r : " + type + "\n}\n");
  EXPECT_TRUE(failed(kernels::compileKernel(kernels[0], hostProfile())));
  EXPECT_NE(messages.find("kernel 'k': 'nn.batch_norm' op has no lowering"), std::string::npos) << messages;
}

// An op that no check refuses and no pass can turn into code: the message is ours, what the passes say is a note.
TEST_F(KernelCompiler, ReportsItsOwnMistakes) {
  std::string type = "tensor<4xf8E5M2>";
  auto kernels =
      parse("nn.kernel_def @k(%0: " + type + ") -> (" + type + ") symbols 0 {\n  %r = nn.binary add %0, %0 : " + type +
            ", " + type + "\n  nn.yield %r : " + type + "\n}\n");
  EXPECT_TRUE(failed(kernels::compileKernel(kernels[0], hostProfile())));
  EXPECT_NE(messages.find("kernel 'k': is a mistake of the compiler: no code came of nn.binary"), std::string::npos)
      << messages;
  EXPECT_EQ(messages.find("llvm."), std::string::npos) << messages;
}
