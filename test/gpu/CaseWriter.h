//===- CaseWriter.h - From runs on the CPU target to cases ---*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_TEST_GPU_CASEWRITER_H
#define PENSTOCK_TEST_GPU_CASEWRITER_H

#include "CaseFolder.h"
#include "KernelHarness.h"
#include "penstock/Target/TargetBackend.h"

#include "llvm/ADT/StringMap.h"

namespace penstock::test {

/// Collects runs of kernels, compiles the kernels for a target, and writes the folder of CaseFolder.h.
class CaseWriter {
public:
  CaseWriter();

  /// A run of a kernel on the CPU target. `test`: which test it is of.
  void add(Kernel &kernel, const std::string &test, const std::vector<Array> &inputs,
           const std::vector<int64_t> &symbols, const std::vector<Array> &results);
  /// A kernel without symbols that is to be timed: its tensors have no contents.
  llvm::Error addTimed(const std::string &name, const std::string &text);
  size_t numRuns() const { return runs.size(); }

  /// Each kernel as generated code, and again as the library's where it takes it; of kernels that are to be timed only
  /// the latter there. `says` hears what is left out.
  llvm::Error write(llvm::StringRef folder, const TargetBackend &target, llvm::raw_ostream &says);

private:
  struct Tensor {
    int32_t dtype = 0;
    std::vector<int64_t> dims;
    int64_t offset = kNoContents; ///< in the data
  };
  struct Run {
    std::string name;
    size_t source = 0; ///< of `sources`
    std::vector<int64_t> symbols;
    std::vector<Tensor> inputs, results;
    /// Sums over nothing are not the library's.
    bool isEmptySum = false;
  };
  struct Source {
    std::string text;
    nn::KernelDefOp op;
    bool isTimed = false;
  };
  struct Code {
    size_t source = 0;
    kernels::CompiledKernel compiled;
  };

  /// The number of the source with this text.
  size_t addSource(const std::string &text, const std::string &name);
  Tensor store(mlir::RankedTensorType type, const Array &array);
  llvm::Expected<std::vector<Code>> compile(const TargetBackend &target);
  void writeCases(llvm::raw_ostream &out, llvm::ArrayRef<Code> codes, const TargetBackend &target,
                  llvm::raw_ostream &says);

  mlir::MLIRContext context;
  std::vector<mlir::OwningOpRef<mlir::ModuleOp>> modules;
  std::vector<Source> sources;
  llvm::StringMap<size_t> sourceOfText;
  std::vector<Run> runs;
  llvm::StringMap<size_t> numRunsOfTest;
  std::string data;
  llvm::StringMap<size_t> offsetOfBytes;
};

} // namespace penstock::test

#endif // PENSTOCK_TEST_GPU_CASEWRITER_H
