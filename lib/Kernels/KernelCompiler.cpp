//===- KernelCompiler.cpp - One kernel to one object ------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A kernel leaves its module as text: the text is hashed, and parsed again in a context of its own. So the object
// depends on nothing but what was hashed, and kernels compile in parallel without sharing anything.
//
//===----------------------------------------------------------------------===//

#include "penstock/Kernels/KernelCompiler.h"
#include "KernelCache.h"
#include "Passes.h"
#include "penstock/Conversion/NNToLinalg/NNToLinalg.h"
#include "penstock/Dialect/NN/IR/Extents.h"

#include "mlir/AsmParser/AsmParser.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/OwningOpRef.h"
#include "mlir/Parser/Parser.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Config/llvm-config.h"
#include "llvm/Support/ThreadPool.h"

#include <xxhash.h>

using namespace mlir;
using namespace penstock;
using namespace penstock::kernels;

LibraryTable::~LibraryTable() = default;
CodeGenerator::~CodeGenerator() = default;

/// Raised whenever the same kernel may become other code.
static constexpr StringLiteral kCompilerVersion = "penstock kernels 2, LLVM " LLVM_VERSION_STRING;

/// The kernel without names, as text.
static std::string printCanonically(nn::KernelDefOp kernel) {
  OwningOpRef<Operation *> copy = kernel->clone();
  copy->setAttr(SymbolTable::getSymbolAttrName(), StringAttr::get(kernel.getContext(), "kernel"));
  copy->removeAttr(SymbolTable::getVisibilityAttrName());
  copy->walk([](Operation *op) {
    SmallVector<StringAttr> discardable;
    for (NamedAttribute attribute : op->getDiscardableAttrs())
      discardable.push_back(attribute.getName());
    for (StringAttr name : discardable)
      op->removeDiscardableAttr(name);
  });
  std::string text;
  llvm::raw_string_ostream stream(text);
  copy->print(stream, OpPrintingFlags().printGenericOpForm().elideLargeElementsAttrs(INT64_MAX));
  return text;
}

/// All that an object depends on, but for the compiler's own code.
static std::string makeKey(StringRef text, const TargetProfile &profile, StringRef library) {
  std::string key;
  llvm::raw_string_ostream(key) << kCompilerVersion << '\n'
                                << profile.triple << '\n'
                                << profile.cpu << '\n'
                                << profile.features << '\n'
                                << profile.optLevel << ' ' << profile.vectorBits
                                << (profile.isParallel() ? " parallel" : "") << '\n'
                                << library << '\n'
                                << text;
  return key;
}

static std::string hashKey(StringRef key) {
  XXH128_hash_t hash = XXH3_128bits(key.data(), key.size());
  return llvm::utohexstr(hash.high64, /*LowerCase=*/true, 16) + llvm::utohexstr(hash.low64, /*LowerCase=*/true, 16);
}

std::string kernels::hashKernel(nn::KernelDefOp kernel, const TargetProfile &profile, const LibraryTable *library) {
  return hashKey(makeKey(printCanonically(kernel), profile, library ? library->describe(kernel, profile) : ""));
}

namespace {

/// What becomes of one text. Plain data, so that it may leave the context it was made in.
struct Outcome {
  std::string text;      ///< the object's bytes, or what printKernel shows
  std::string workspace; ///< an affine map, as text
  std::vector<DeviceFunction> functions;
  std::string error;  ///< empty: none
  std::string detail; ///< of an error of the compiler itself: what the passes said
};

/// A kernel on its way to code, in a context of its own.
class Lowering {
public:
  Lowering(StringRef text, const TargetProfile &profile, const CodeGenerator *generator = nullptr)
      : profile(profile), generator(generator), context(makeRegistry(generator), MLIRContext::Threading::DISABLED),
        handler(&context, [this](Diagnostic &diagnostic) { note(diagnostic); }) {
    context.loadAllAvailableDialects();
    source = parseSourceString<ModuleOp>(text, ParserConfig(&context));
  }

  Outcome compile(StringRef symbolName) {
    if (generator)
      return generate(symbolName);
    if (failed(lower(KernelForm::LLVM)) || failed(takeWorkspace()) ||
        failed(addWrapper(*target, kBodyName, symbolName, profile)))
      return fail();
    return finish(emitObject(*target, profile));
  }

  Outcome print(KernelForm form) {
    if (failed(lower(form)))
      return fail();
    if (form != KernelForm::Optimized) {
      llvm::raw_string_ostream(result.text) << *target;
      return std::move(result);
    }
    if (failed(takeWorkspace()) || failed(addWrapper(*target, kBodyName, "kernel", profile)))
      return fail();
    return finish(emitLLVMText(*target, profile));
  }

private:
  static DialectRegistry makeRegistry(const CodeGenerator *generator) {
    DialectRegistry registry;
    registerKernelDialects(registry);
    if (generator)
      generator->registerDialects(registry);
    return registry;
  }

  Outcome generate(StringRef symbolName) {
    if (failed(lower(KernelForm::Linalg)))
      return fail();
    llvm::Expected<GeneratedCode> made = generator->generate(*target, symbolName);
    if (!made)
      return finish(made.takeError());
    if (failed(takeWorkspace()))
      return fail();
    result.functions = std::move(made->functions);
    return finish(std::move(made->object));
  }

  /// What the lowering to linalg refuses is in words for users; what passes and verifiers say is not.
  void note(Diagnostic &diagnostic) {
    std::string &text = isLowering ? result.error : result.detail;
    if (diagnostic.getSeverity() == DiagnosticSeverity::Error && text.empty())
      text = diagnostic.str();
  }

  Outcome fail() {
    if (!result.error.empty())
      return std::move(result);
    llvm::SetVector<StringRef> names;
    if (source)
      source->walk([&](Operation *op) {
        if (isa<nn::NNDialect>(op->getDialect()) && !isa<nn::KernelDefOp, nn::YieldOp>(op))
          names.insert(op->getName().getStringRef());
      });
    llvm::raw_string_ostream(result.error)
        << "is a mistake of the compiler: no code came of " << llvm::join(names, ", ") << "; --verbose shows why";
    return std::move(result);
  }

  Outcome finish(llvm::Expected<std::string> made) {
    if (made)
      result.text = std::move(*made);
    else
      result.error = llvm::toString(made.takeError());
    return std::move(result);
  }

  LogicalResult lower(KernelForm form) {
    if (!source)
      return failure();
    target = ModuleOp::create(UnknownLoc::get(&context));
    isLowering = true;
    LogicalResult lowered = lowerKernelToLinalg(*source->getOps<nn::KernelDefOp>().begin(), *target, kBodyName,
                                                generator ? LoopStyle::Tensors : LoopStyle::Rows);
    isLowering = false;
    if (failed(lowered))
      return failure();
    return form == KernelForm::Linalg ? success() : lowerModule(*target, profile, form);
  }

  LogicalResult takeWorkspace() {
    Operation *body = target->lookupSymbol(kBodyName);
    auto map = body ? body->getAttrOfType<AffineMapAttr>(kWorkspaceAttr) : AffineMapAttr();
    if (!map)
      return failure();
    llvm::raw_string_ostream(result.workspace) << map;
    body->removeAttr(kWorkspaceAttr);
    return success();
  }

  const TargetProfile &profile;
  const CodeGenerator *generator;
  MLIRContext context;
  Outcome result;
  ScopedDiagnosticHandler handler;
  OwningOpRef<ModuleOp> source, target;
  bool isLowering = false;
};

/// The error of an outcome, at the kernel.
InFlightDiagnostic report(nn::KernelDefOp kernel, const Outcome &outcome) {
  InFlightDiagnostic error = kernel.emitError() << "kernel '" << kernel.getSymName() << "': " << outcome.error;
  if (!outcome.detail.empty())
    error.attachNote() << outcome.detail;
  return error;
}

} // namespace

/// Text as the caller sees it: what was made, or a diagnostic at the kernel.
static FailureOr<CompiledKernel> finish(nn::KernelDefOp kernel, StringRef hash, const Outcome &outcome) {
  if (!outcome.error.empty())
    return report(kernel, outcome);
  CompiledKernel result;
  result.hash = hash.str();
  result.symbolName = ("k_" + hash).str();
  result.object = outcome.text;
  result.functions = outcome.functions;
  auto map = cast<AffineMapAttr>(parseAttribute(outcome.workspace, kernel.getContext()));
  result.workspaceBytes = nn::simplifyExtent(map.getValue().getResult(0));
  return result;
}

FailureOr<CompiledKernel> kernels::compileKernel(nn::KernelDefOp kernel, const TargetProfile &profile,
                                                 const LibraryTable *library, const CodeGenerator *generator) {
  FailureOr<std::vector<CompiledKernel>> results = compileKernels(kernel, profile, 1, library, generator);
  if (failed(results))
    return failure();
  return std::move(results->front());
}

namespace {

/// Equal kernels on their way to one object.
struct Job {
  nn::KernelDefOp kernel; ///< the first of them
  std::string text, key, hash;
  bool isOfLibrary = false;
  Outcome outcome; ///< of generated code
  std::optional<CompiledKernel> result;
};

/// The distinct kernels of a call, each looked for in the cache.
class JobList {
public:
  JobList(ArrayRef<nn::KernelDefOp> kernels, const TargetProfile &profile, const LibraryTable *library,
          BuildCache *cache) {
    for (nn::KernelDefOp kernel : kernels) {
      std::string text = printCanonically(kernel);
      std::string description = library ? library->describe(kernel, profile) : "";
      std::string key = makeKey(text, profile, description), hash = hashKey(key);
      auto [known, isNew] = jobOf.try_emplace(hash, jobs.size());
      jobOfKernel.push_back(known->second);
      if (!isNew)
        continue;
      jobs.push_back({kernel, std::move(text), std::move(key), hash, !description.empty(), {}, std::nullopt});
      if (cache)
        jobs.back().result = findKernel(*cache, jobs.back().key, kernel.getContext());
    }
  }

  std::vector<Job> jobs;
  std::vector<size_t> jobOfKernel;

private:
  llvm::StringMap<size_t> jobOf; ///< by hash
};

} // namespace

FailureOr<std::vector<CompiledKernel>> kernels::compileKernels(ArrayRef<nn::KernelDefOp> kernels,
                                                               const TargetProfile &profile, unsigned numThreads,
                                                               const LibraryTable *library,
                                                               const CodeGenerator *generator, BuildCache *cache) {
  if (generator)
    cache = nullptr;
  JobList list(kernels, profile, library, cache);
  llvm::DefaultThreadPool pool(llvm::hardware_concurrency(numThreads));
  for (Job &job : list.jobs)
    if (!job.result && !job.isOfLibrary)
      pool.async([&job, &profile, generator] {
        job.outcome = Lowering(job.text, profile, generator).compile("k_" + job.hash);
      });
  bool isComplete = true;
  auto take = [&](Job &job, FailureOr<CompiledKernel> made) {
    isComplete &= succeeded(made);
    if (failed(made))
      return;
    if (cache)
      addKernel(*cache, job.key, *made, job.kernel.getContext());
    job.result = std::move(*made);
  };
  for (Job &job : list.jobs)
    if (!job.result && job.isOfLibrary)
      take(job, library->compile(job.kernel, job.hash, profile));
  pool.wait();
  for (Job &job : list.jobs)
    if (!job.result && !job.isOfLibrary)
      take(job, finish(job.kernel, job.hash, job.outcome));
  if (!isComplete)
    return failure();
  std::vector<CompiledKernel> results;
  for (size_t job : list.jobOfKernel)
    results.push_back(*list.jobs[job].result);
  return results;
}

FailureOr<std::string> kernels::printKernel(nn::KernelDefOp kernel, const TargetProfile &profile, KernelForm form) {
  Outcome outcome = Lowering(printCanonically(kernel), profile).print(form);
  if (!outcome.error.empty())
    return report(kernel, outcome);
  return std::move(outcome.text);
}
