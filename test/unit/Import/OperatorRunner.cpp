//===- OperatorRunner.cpp - Small models as one kernel, run -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// usage: OperatorRunner FOLDER...
//
// For each folder: imports and normalizes model.onnx with the dimensions of `dims` (one --dim per line), makes one
// kernel of its whole graph, compiles and calls it on input_K.bin (elements, row-major; input_K.shape has the extents)
// and writes output_K.bin. An extent that depends on data is found first, by a kernel of all that it depends on. Prints
// one line, `ok FOLDER TYPE...` with the extents put in, or `fail FOLDER import|compile|run MESSAGE`. Exit status: 0,
// whatever the lines say.
//===----------------------------------------------------------------------===//
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Pass/PassManager.h"
#include "penstock/Dialect/NN/Transforms/Passes.h"
#include "penstock/Import/Onnx/OnnxImporter.h"
#include "penstock/Kernels/KernelCompiler.h"
#include "penstock/Kernels/KernelRunner.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"
#include <cstdlib>
#include <cstring>

using namespace penstock;
using namespace mlir;

namespace {

/// 64-byte aligned storage of the buffers of one call.
class Storage {
public:
  ~Storage() {
    for (void *buffer : buffers)
      std::free(buffer);
  }
  void *add(size_t numBytes, const void *bytes = nullptr) {
    void *buffer = std::aligned_alloc(64, (numBytes + 127) / 64 * 64);
    if (bytes)
      std::memcpy(buffer, bytes, numBytes);
    buffers.push_back(buffer);
    return buffer;
  }
  std::vector<void *> buffers;
};

/// A model's graph as a kernel; weights are inputs behind the model's own.
struct GraphKernel {
  nn::KernelDefOp op;
  SmallVector<nn::WeightOp> weights;
  SmallVector<RankedTensorType> inputs, outputs;
};

/// A kernel that makes `values`, of ops of the graph before `end`.
GraphKernel makeKernel(ModuleOp module, ValueRange values, Operation *end) {
  GraphKernel kernel;
  auto function = *module.getOps<func::FuncOp>().begin();
  MLIRContext *context = module.getContext();
  OpBuilder builder(function);
  OperationState state(function.getLoc(), nn::KernelDefOp::getOperationName());
  auto symbols = module.getOps<nn::SymbolOp>();
  state.addAttribute("sym_name", builder.getStringAttr("graph"));
  state.addAttribute("num_symbols", builder.getI64IntegerAttr(std::distance(symbols.begin(), symbols.end())));
  state.addRegion();
  kernel.op = cast<nn::KernelDefOp>(builder.create(state));
  Block &body = kernel.op.getBody().emplaceBlock();
  builder.setInsertionPointToEnd(&body);
  IRMapping map;
  for (BlockArgument argument : function.getArguments()) {
    map.map(argument, body.addArgument(argument.getType(), argument.getLoc()));
    kernel.inputs.push_back(cast<RankedTensorType>(argument.getType()));
  }
  for (Operation &op : function.getBody().front()) {
    if (&op == end)
      break;
    auto load = dyn_cast<nn::LoadWeightOp>(op);
    if (!load) {
      if (auto define = dyn_cast<nn::DefineExtentOp>(builder.clone(op, map)))
        define.removeSymbolAttr(); // which is of the module, not of the kernel
      continue;
    }
    map.map(load.getResult(), body.addArgument(load.getType(), load.getLoc()));
    kernel.weights.push_back(module.lookupSymbol<nn::WeightOp>(load.getWeight()));
  }
  SmallVector<Value> results;
  for (Value value : values) {
    // A result must be computed inside, and be storage of its own.
    Value result = map.lookup(value);
    auto kind = builder.getNamedAttr("kind", nn::UnaryKindAttr::get(context, nn::UnaryKind::identity));
    if (isa<BlockArgument>(result) || result.getDefiningOp<nn::ConstantOp>() || llvm::is_contained(results, result))
      result = nn::createInferred<nn::UnaryOp>(builder, function.getLoc(), result, kind)->getResult();
    results.push_back(result);
    kernel.outputs.push_back(cast<RankedTensorType>(result.getType()));
  }
  builder.create<nn::YieldOp>(function.getLoc(), results);
  return kernel;
}

/// Ops that the phase normalize replaces, and that have no code.
LogicalResult normalize(ModuleOp module) {
  PassManager passes(module.getContext());
  passes.addPass(nn::createExpandBatchNormPass());
  return passes.run(module);
}

using Bytes = std::unique_ptr<llvm::MemoryBuffer>;
Bytes readFile(const std::string &path) {
  auto file = llvm::MemoryBuffer::getFile(path);
  return file ? std::move(*file) : nullptr;
}

/// Symbols that stand alone as an extent of an input get its value.
void bindSymbols(RankedTensorType type, StringRef shape, std::vector<int64_t> &symbols) {
  SmallVector<StringRef> parts;
  shape.split(parts, ' ', -1, /*KeepEmpty=*/false);
  for (auto [extent, part] : llvm::zip(nn::getExtents(type), parts))
    if (auto symbol = dyn_cast_or_null<AffineSymbolExpr>(extent))
      part.getAsInteger(10, symbols[symbol.getPosition()]);
}

void deriveSymbols(ModuleOp module, std::vector<int64_t> &symbols) {
  for (nn::SymbolOp symbol : module.getOps<nn::SymbolOp>()) {
    if (!symbol.getExprs() || symbol.getKind() == nn::SymbolKind::data)
      continue;
    std::vector<int64_t> values;
    for (AffineExpr expr : symbol.getExprs()->getExprs())
      values.push_back(nn::evaluate(expr, symbols).value_or(0));
    symbols[symbol.getIndex()] = symbol.getKind() == nn::SymbolKind::min
                                     ? *std::min_element(values.begin(), values.end())
                                     : *std::max_element(values.begin(), values.end());
  }
}

/// A kernel of the graph, compiled, and called on the folder's inputs.
class Runner {
public:
  Runner(ModuleOp module, std::string folder) : module(module), folder(std::move(folder)) {}

  /// Runs the whole graph; `types` are those of the outputs. Gives the stage that failed and why, or nothing.
  std::string run(std::string &types);

private:
  std::string compute(GraphKernel kernel, std::vector<StringRef> &results);
  std::string findExtents();

  ModuleOp module;
  std::string folder;
  Storage storage;
  std::vector<int64_t> symbols;
};

std::string Runner::compute(GraphKernel kernel, std::vector<StringRef> &results) {
  auto compiled = kernels::compileKernel(kernel.op, TargetProfile());
  symbols.resize(kernel.op.getNumSymbols(), 1);
  kernel.op.erase();
  if (failed(compiled))
    return "compile ";
  std::vector<void *> buffers;
  for (auto [i, type] : llvm::enumerate(kernel.inputs)) {
    std::string name = folder + "/input_" + std::to_string(i);
    Bytes bytes = readFile(name + ".bin"), shape = readFile(name + ".shape");
    if (!bytes || !shape)
      return "run no " + name;
    buffers.push_back(storage.add(bytes->getBufferSize(), bytes->getBufferStart()));
    bindSymbols(type, shape->getBuffer(), symbols);
  }
  deriveSymbols(module, symbols);
  for (nn::WeightOp weight : kernel.weights) {
    nn::FileRangeAttr range = *weight.getFile();
    auto bytes = llvm::MemoryBuffer::getFileSlice(range.getPath().getValue(), range.getNumBytes(), range.getOffset());
    if (!bytes)
      return "run no weight " + weight.getSymName().str();
    buffers.push_back(storage.add(range.getNumBytes(), (*bytes)->getBufferStart()));
  }
  for (RankedTensorType type : kernel.outputs) {
    int64_t numBytes = nn::evaluate(nn::getNumBytes(type), symbols).value_or(0);
    buffers.push_back(storage.add(numBytes));
    results.emplace_back(static_cast<char *>(buffers.back()), numBytes);
  }
  auto runner = kernels::KernelRunner::create();
  llvm::Error error = runner ? (*runner)->add(*compiled) : runner.takeError();
  if (!error)
    error = (*runner)->run(*compiled, buffers, symbols);
  return error ? "run " + llvm::toString(std::move(error)) : "";
}

/// The data symbols, in the order in which they are defined.
std::string Runner::findExtents() {
  auto function = *module.getOps<func::FuncOp>().begin();
  for (auto define : llvm::to_vector(function.getOps<nn::DefineExtentOp>())) {
    std::vector<StringRef> results;
    std::string problem = compute(makeKernel(module, define.getValue(), define), results);
    if (!problem.empty())
      return problem;
    unsigned index = module.lookupSymbol<nn::SymbolOp>(*define.getSymbol()).getIndex();
    std::memcpy(&symbols[index], results[0].data(), sizeof(int64_t));
  }
  return "";
}

std::string Runner::run(std::string &types) {
  std::string problem = findExtents();
  if (!problem.empty())
    return problem;
  Operation *end = (*module.getOps<func::FuncOp>().begin()).getBody().front().getTerminator();
  GraphKernel kernel = makeKernel(module, end->getOperands(), end);
  std::vector<StringRef> results;
  problem = compute(kernel, results);
  if (!problem.empty())
    return problem;
  for (RankedTensorType type : kernel.outputs) {
    types += " ";
    for (AffineExpr extent : nn::getExtents(type))
      types += std::to_string(nn::evaluate(extent, symbols).value_or(-1)) + "x";
    llvm::raw_string_ostream(types) << type.getElementType();
  }
  for (auto [i, bytes] : llvm::enumerate(results)) {
    std::error_code code;
    llvm::raw_fd_ostream(folder + "/output_" + std::to_string(i) + ".bin", code) << bytes;
  }
  return "";
}

/// The text of the line for one folder.
std::string runFolder(const std::string &folder) {
  MLIRContext context;
  std::string errors;
  ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
    errors += diagnostic.str() + "; ";
    return success();
  });
  onnximport::ImportOptions options;
  if (Bytes dims = readFile(folder + "/dims")) {
    SmallVector<StringRef> lines;
    dims->getBuffer().split(lines, '\n', -1, /*KeepEmpty=*/false);
    for (StringRef line : lines)
      if (failed(onnximport::parseDimOption(line, options, errors)))
        return "fail " + folder + " import " + errors;
  }
  auto module = onnximport::importOnnxModel(context, folder + "/model.onnx", options);
  if (failed(module))
    return "fail " + folder + " import " + errors;
  if (failed(normalize(**module)))
    return "fail " + folder + " normalize " + errors;
  std::string types, problem = Runner(**module, folder).run(types);
  return problem.empty() ? "ok " + folder + types : "fail " + folder + " " + problem + errors;
}

} // namespace

int main(int argc, char **argv) {
  for (int i = 1; i < argc; ++i) {
    llvm::outs() << runFolder(argv[i]) << "\n";
    llvm::outs().flush();
  }
  return 0;
}
