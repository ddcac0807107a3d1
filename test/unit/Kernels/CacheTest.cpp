//===- CacheTest.cpp - Kernels that were compiled before --------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "KernelText.h"

#include "penstock/Support/BuildCache.h"
#include "penstock/Target/TargetBackend.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Parser/Parser.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"

#include <fstream>

using namespace penstock;
using namespace penstock::test;
using namespace mlir;

namespace {

std::string makeKernel(const std::string &name, const std::string &shape, const std::string &body) {
  std::string type = tensorType(shape), text = body;
  for (size_t at = text.find('T'); at != std::string::npos; at = text.find('T', at + type.size()))
    text.replace(at, 1, type);
  return "nn.kernel_def @" + name + "(%0: " + type + ") -> (" + type + ") symbols 2 {\n  " + text +
         "\n  nn.yield %r : " + type + "\n}\n";
}

/// Generated code, a workspace that follows the symbols, the same kernel twice, and one of the library.
std::string makeKernels() {
  std::string x = tensorType("8x64"), w = tensorType("64x32"), y = tensorType("8x32");
  std::string square = tensorType("s0xs0");
  return makeKernel("exp", "s0xs1", "%r = nn.unary exp %0 : T") +
         makeKernel("exp_again", "s0xs1", "%r = nn.unary exp %0 : T") +
         makeKernel("twice", "s0xs0", "%a = nn.transpose %0 [1, 0] : T\n  %r = nn.matmul %a, %0 : T, T") +
         "nn.kernel_def @product(%0: " + x + ", %1: " + w + ") -> (" + y +
         ") symbols 2 {\n  %r = nn.matmul %0, %1 : " + x + ", " + w + "\n  nn.yield %r : " + y + "\n}\n" +
         "nn.weight @w : " + w + " from <\"w.bin\", 0, 8192>\n" + "func.func @main(%0: " + x + ") -> " + y +
         " {\n  %w = nn.load_weight @w : " + w + "\n  %e = nn.empty : " + y +
         "\n  %1 = nn.call @product ins(%0, %w : " + x + ", " + w + ") outs(%e : " + y + ") symbols <[s0, s1]> -> " +
         y + "\n  return %1 : " + y + "\n}\n";
}

class KernelCacheTest : public ::testing::Test {
protected:
  KernelCacheTest() {
    context.loadDialect<nn::NNDialect, func::FuncDialect>();
    EXPECT_FALSE(llvm::sys::fs::createUniqueDirectory("penstock-cache", folder));
    module = parseSourceString<ModuleOp>(makeKernels(), ParserConfig(&context));
    target = llvm::cantFail(createCpuTarget("native"));
  }
  ~KernelCacheTest() override { llvm::sys::fs::remove_directories(folder); }

  std::unique_ptr<BuildCache> open() { return llvm::cantFail(BuildCache::open((folder + "/kernels").str())); }
  std::vector<kernels::CompiledKernel> compile(BuildCache *cache, const TargetProfile &profile) {
    SmallVector<nn::KernelDefOp> kernels(module->getOps<nn::KernelDefOp>());
    auto compiled = kernels::compileKernels(kernels, profile, 0, target->getLibrary(), nullptr, cache);
    EXPECT_TRUE(succeeded(compiled));
    return succeeded(compiled) ? std::move(*compiled) : std::vector<kernels::CompiledKernel>();
  }

  SmallString<128> folder;
  MLIRContext context;
  OwningOpRef<ModuleOp> module;
  std::unique_ptr<TargetBackend> target;
};

int64_t countReused(const std::vector<kernels::CompiledKernel> &compiled) {
  return llvm::count_if(compiled, [](const kernels::CompiledKernel &kernel) { return kernel.isReused; });
}

void expectEqual(const std::vector<kernels::CompiledKernel> &left, const std::vector<kernels::CompiledKernel> &right) {
  ASSERT_EQ(left.size(), right.size());
  for (auto [one, other] : llvm::zip(left, right)) {
    EXPECT_EQ(one.symbolName, other.symbolName);
    EXPECT_EQ(one.hash, other.hash);
    EXPECT_EQ(one.object, other.object);
    EXPECT_EQ(one.workspaceBytes, other.workspaceBytes);
    EXPECT_EQ(one.kind + one.library + one.isa, other.kind + other.library + other.isa);
    EXPECT_EQ(one.inPlaceInput, other.inPlaceInput);
    EXPECT_EQ(one.hasGrowingScratch, other.hasGrowingScratch);
    EXPECT_EQ(one.packing, other.packing);
  }
}

} // namespace

// What comes from the cache is what would be compiled, in all that is known of it.
TEST_F(KernelCacheTest, GivesWhatWasCompiled) {
  ASSERT_TRUE(module);
  const TargetProfile &profile = target->getProfile();
  std::vector<kernels::CompiledKernel> without = compile(nullptr, profile);
  ASSERT_EQ(without.size(), 4u);
  EXPECT_FALSE(isa<AffineConstantExpr>(without[2].workspaceBytes));
  EXPECT_EQ(without[3].kind, "library");
  EXPECT_FALSE(without[3].packing.empty());
  auto cache = open();
  std::vector<kernels::CompiledKernel> cold = compile(cache.get(), profile);
  EXPECT_EQ(countReused(cold), 0);
  expectEqual(without, cold);
  std::vector<kernels::CompiledKernel> warm = compile(open().get(), profile);
  EXPECT_EQ(countReused(warm), 4);
  expectEqual(without, warm);
}

// Whatever the object depends on is another kernel: processor, level of optimization, threads or not.
TEST_F(KernelCacheTest, ProfilesDiffer) {
  auto cache = open();
  EXPECT_EQ(countReused(compile(cache.get(), target->getProfile())), 0);
  for (auto alter : std::initializer_list<void (*)(TargetProfile &)>{
           [](TargetProfile &profile) { profile.cpu = "x86-64-v3", profile.features = ""; },
           [](TargetProfile &profile) { profile.optLevel = 1; },
           [](TargetProfile &profile) { profile.vectorBits = profile.vectorBits == 512 ? 256 : 512; },
           [](TargetProfile &profile) { profile.numThreads = 2; }}) {
    TargetProfile other = target->getProfile();
    alter(other);
    EXPECT_EQ(countReused(compile(cache.get(), other)), 0);
  }
}

// A damaged entry is compiled again, and is sound afterwards.
TEST_F(KernelCacheTest, DamagedEntries) {
  std::vector<kernels::CompiledKernel> cold = compile(open().get(), target->getProfile());
  int numFiles = 0;
  std::error_code code;
  for (llvm::sys::fs::directory_iterator entry(folder + "/kernels", code), end; entry != end; entry.increment(code)) {
    std::fstream file(entry->path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(200);
    file.put('\x7f');
    numFiles += StringRef(entry->path()).contains("llvmcache-");
  }
  EXPECT_EQ(numFiles, 3);
  auto cache = open();
  std::vector<kernels::CompiledKernel> again = compile(cache.get(), target->getProfile());
  EXPECT_EQ(cache->getNumDamaged(), 3);
  EXPECT_EQ(countReused(again), 0);
  expectEqual(cold, again);
  EXPECT_EQ(countReused(compile(open().get(), target->getProfile())), 4);
}
