//===- CaseWriter.cpp - From runs on the CPU target to cases -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CaseWriter.h"

#include "penstock/Dialect/NN/IR/Extents.h"
#include "penstock/Dialect/Rt/IR/RtOps.h"
#include "penstock/Support/Error.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Program.h"

using namespace penstock;
using namespace penstock::test;
namespace json = llvm::json;

/// Longer ones have constants that nobody reads.
static constexpr size_t kMaxText = 4000;

CaseWriter::CaseWriter() { context.loadDialect<nn::NNDialect, mlir::func::FuncDialect>(); }

CaseWriter::Tensor CaseWriter::store(mlir::RankedTensorType type, const Array &array) {
  mlir::Type element = type.getElementType();
  int64_t numBytes = nn::getElementBytes(element);
  std::string bytes(array.size() * numBytes, '\0');
  for (int64_t i = 0; i < array.size(); ++i)
    storeElement(element, array.values[i], reinterpret_cast<unsigned char *>(bytes.data()) + i * numBytes);
  auto [known, isNew] = offsetOfBytes.try_emplace(bytes, data.size());
  if (isNew)
    data += bytes;
  return {rtir::getRuntimeType(element).value_or(0), array.dims, static_cast<int64_t>(known->second)};
}

size_t CaseWriter::addSource(const std::string &text, const std::string &name) {
  auto [known, isNew] = sourceOfText.try_emplace(text, sources.size());
  if (!isNew)
    return known->second;
  // A kernel without code is named by its place.
  modules.push_back(mlir::parseSourceString<mlir::ModuleOp>(text, mlir::ParserConfig(&context), name));
  sources.push_back({text, modules.back() ? *modules.back()->getOps<nn::KernelDefOp>().begin() : nn::KernelDefOp()});
  return known->second;
}

void CaseWriter::add(Kernel &kernel, const std::string &test, const std::vector<Array> &inputs,
                     const std::vector<int64_t> &symbols, const std::vector<Array> &results) {
  std::string text;
  llvm::raw_string_ostream(text) << *kernel.op;
  Run run;
  run.name = test + "#" + std::to_string(++numRunsOfTest[test]);
  run.source = addSource(text, test);
  run.symbols = symbols;
  for (size_t i = 0; i < inputs.size(); ++i)
    run.inputs.push_back(store(kernel.typeOf(i), inputs[i]));
  for (size_t i = 0; i < results.size(); ++i)
    run.results.push_back(store(kernel.typeOf(inputs.size() + i), results[i]));
  auto isEmpty = [](const Array &array) { return array.size() == 0; };
  run.isEmptySum = llvm::any_of(inputs, isEmpty) && !llvm::all_of(results, isEmpty);
  runs.push_back(std::move(run));
}

llvm::Error CaseWriter::addTimed(const std::string &name, const std::string &text) {
  Run run;
  run.name = name;
  run.source = addSource(text, name);
  Source &source = sources[run.source];
  if (!source.op)
    return userError("'{0}' is no kernel:\n{1}", name, text);
  source.isTimed = true;
  auto add = [](std::vector<Tensor> &tensors, mlir::TypeRange types) {
    for (mlir::Type type : types) {
      auto tensor = llvm::cast<mlir::RankedTensorType>(type);
      tensors.push_back({rtir::getRuntimeType(tensor.getElementType()).value_or(0), tensor.getShape().vec()});
    }
  };
  add(run.inputs, source.op.getBody().getArgumentTypes());
  add(run.results, source.op.getResultTypes());
  runs.push_back(std::move(run));
  return llvm::Error::success();
}

llvm::Expected<std::vector<CaseWriter::Code>> CaseWriter::compile(const TargetBackend &target) {
  std::vector<nn::KernelDefOp> all, taken;
  std::vector<Code> codes, ofTaken;
  for (size_t i = 0; i < sources.size(); ++i) {
    bool isTaken = !target.getLibrary()->describe(sources[i].op, target.getProfile()).empty();
    if (isTaken) {
      taken.push_back(sources[i].op);
      ofTaken.push_back({i, {}});
    }
    if (!isTaken || !sources[i].isTimed) {
      all.push_back(sources[i].op);
      codes.push_back({i, {}});
    }
  }
  codes.insert(codes.end(), ofTaken.begin(), ofTaken.end());
  std::string error;
  mlir::ScopedDiagnosticHandler handler(&context, [&](mlir::Diagnostic &diagnostic) {
    llvm::raw_string_ostream stream(error);
    stream << '\n' << diagnostic.getLocation() << ": " << diagnostic;
    for (mlir::Diagnostic &note : diagnostic.getNotes())
      stream << ": " << note;
  });
  auto made =
      kernels::compileKernels(all, target.getProfile(), /*numThreads=*/0, /*library=*/nullptr, target.getGenerator());
  auto ofLibrary = kernels::compileKernels(taken, target.getProfile(), /*numThreads=*/0, target.getLibrary());
  if (failed(made) || failed(ofLibrary))
    return worldError("kernels have no code: {0}", error);
  made->insert(made->end(), ofLibrary->begin(), ofLibrary->end());
  for (auto [code, compiled] : llvm::zip_equal(codes, *made))
    code.compiled = std::move(compiled);
  return codes;
}

template <typename Tensors> static json::Array toJson(const Tensors &tensors) {
  json::Array list;
  for (const auto &tensor : tensors)
    list.push_back(json::Object{{"type", rtir::getRuntimeTypeName(tensor.dtype)},
                                {"dims", json::Array(tensor.dims)},
                                {"offset", tensor.offset}});
  return list;
}

void CaseWriter::writeCases(llvm::raw_ostream &out, llvm::ArrayRef<Code> codes, const TargetBackend &target,
                            llvm::raw_ostream &says) {
  json::Array kernels, cases;
  std::vector<std::vector<size_t>> codesOf(sources.size());
  for (auto [i, code] : llvm::enumerate(codes)) {
    codesOf[code.source].push_back(i);
    llvm::StringRef text = sources[code.source].text;
    kernels.push_back(json::Object{
        {"symbol", code.compiled.symbolName}, {"library", code.compiled.library}, {"text", text.take_front(kMaxText)}});
  }
  for (const Run &run : runs)
    for (size_t number : codesOf[run.source]) {
      const Code &code = codes[number];
      bool isLibrary = !code.compiled.library.empty();
      if (isLibrary && run.isEmptySum) {
        says << run.name << ": a sum over nothing, which is not " << code.compiled.library << "'s\n";
        continue;
      }
      cases.push_back(json::Object{
          {"name", isLibrary && !sources[run.source].isTimed ? run.name + " by " + code.compiled.library : run.name},
          {"kernel", static_cast<int64_t>(number)},
          {"symbols", json::Array(run.symbols)},
          {"inputs", toJson(run.inputs)},
          {"results", toJson(run.results)},
          {"workspace", nn::evaluate(code.compiled.workspaceBytes, run.symbols).value_or(0)}});
    }
  says << kernels.size() << " kernels, " << cases.size() << " cases, " << data.size() << " bytes of tensors\n";
  out << json::Value(json::Object{{"version", kCasesVersion},
                                  {"archs", target.getProfile().cpu},
                                  {"kernels", std::move(kernels)},
                                  {"cases", std::move(cases)}});
}

/// One library of all objects, in which the bounds of sections can be found by name.
static llvm::Error link(const std::vector<std::string> &objects, llvm::StringRef list, llvm::StringRef library,
                        llvm::ArrayRef<llvm::StringRef> sections) {
  if (llvm::Error error = llvm::writeToOutput(list, [&](llvm::raw_ostream &out) {
        for (const std::string &object : objects)
          out << '"' << object << "\"\n";
        return llvm::Error::success();
      }))
    return error;
  std::vector<std::string> arguments = {PENSTOCK_TEST_LINKER, "-shared"};
  // The linker's own names for the bounds of a section are not for other files.
  for (llvm::StringRef section : sections) {
    arguments.push_back(("--defsym=first_of_" + section + "=__start_" + section).str());
    arguments.push_back(("--defsym=end_of_" + section + "=__stop_" + section).str());
  }
  arguments.insert(arguments.end(), {("@" + list).str(), "-o", library.str()});
  std::string error;
  llvm::SmallVector<llvm::StringRef> words(arguments.begin(), arguments.end());
  if (llvm::sys::ExecuteAndWait(PENSTOCK_TEST_LINKER, words, std::nullopt, {}, 0, 0, &error) != 0)
    return worldError("cannot link '{0}': {1}", library, error);
  return llvm::Error::success();
}

static llvm::Error writeFile(llvm::StringRef path, llvm::function_ref<void(llvm::raw_ostream &)> write) {
  return llvm::writeToOutput(path, [&](llvm::raw_ostream &out) {
    write(out);
    return llvm::Error::success();
  });
}

static llvm::Error copyProgram(llvm::StringRef from, llvm::StringRef folder, const char *name) {
  std::string to = (folder + "/" + name).str();
  if (std::error_code code = llvm::sys::fs::copy_file(from, to))
    return worldError("cannot copy '{0}' to '{1}': {2}", from, to, code.message());
  return llvm::Error::success();
}

llvm::Error CaseWriter::write(llvm::StringRef folder, const TargetBackend &target, llvm::raw_ostream &says) {
  std::string objects = (folder + "/objects").str();
  if (std::error_code code = llvm::sys::fs::create_directories(objects))
    return worldError("cannot make folder '{0}': {1}", objects, code.message());
  llvm::Expected<std::vector<Code>> codes = compile(target);
  if (!codes)
    return codes.takeError();
  std::vector<std::string> paths;
  for (const Code &code : *codes) {
    std::string path = objects + "/" + code.compiled.symbolName + ".o";
    if (llvm::is_contained(paths, path))
      continue;
    paths.push_back(path);
    if (llvm::Error error = writeFile(path, [&](llvm::raw_ostream &out) { out << code.compiled.object; }))
      return error;
  }
  llvm::SmallVector<llvm::StringRef> sections;
  for (llvm::StringRef section : {"rt_cuda_kernels", "rt_cuda_products", "rt_cuda_convolutions", "rt_cuda_attentions"})
    if (llvm::any_of(*codes, [&](const Code &code) { // an object names its sections
          return llvm::StringRef(code.compiled.object).contains(section);
        }))
      sections.push_back(section);
  if (llvm::Error error = link(paths, objects + "/list", (folder + "/" + kKernelsFile).str(), sections))
    return error;
  llvm::sys::fs::remove_directories(objects);
  if (llvm::Error error = writeFile((folder + "/" + kCasesFile).str(),
                                    [&](llvm::raw_ostream &out) { writeCases(out, *codes, target, says); }))
    return error;
  if (llvm::Error error = writeFile((folder + "/" + kDataFile).str(), [&](llvm::raw_ostream &out) { out << data; }))
    return error;
  if (llvm::Error error = copyProgram(PENSTOCK_TEST_CUDA, folder, kPluginFile))
    return error;
  bool isTimed = llvm::any_of(sources, [](const Source &source) { return source.isTimed; });
  const char *program = isTimed ? kBenchFile : kRunnerFile;
  if (llvm::Error error = copyProgram(isTimed ? PENSTOCK_TEST_BENCH : PENSTOCK_TEST_CONFORMANCE, folder, program))
    return error;
  std::string made = (folder + "/" + program).str();
  if (std::error_code code = llvm::sys::fs::setPermissions(made, llvm::sys::fs::all_read | llvm::sys::fs::all_exe |
                                                                     llvm::sys::fs::owner_write))
    return worldError("cannot make '{0}' a program: {1}", made, code.message());
  return llvm::Error::success();
}
