//===- Toolkit.cpp - The CUDA toolkit's programs ------------ -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Toolkit.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/Regex.h"

#include <cstdlib>

namespace penstock::cuda {

namespace {

/// A folder of this process's own, removed at the end unless it is kept.
class Scratch {
public:
  llvm::Error create() {
    if (std::error_code code = llvm::sys::fs::createUniqueDirectory("penstock-cuda", folder))
      return systemError("create folder", folder, code.value());
    return llvm::Error::success();
  }
  ~Scratch() {
    if (!folder.empty() && !isKept)
      llvm::sys::fs::remove_directories(folder);
  }
  std::string path(const llvm::Twine &name) const {
    llvm::SmallString<128> result(folder);
    llvm::sys::path::append(result, name);
    return result.str().str();
  }
  void keep() { isKept = true; }

private:
  llvm::SmallString<128> folder;
  bool isKept = false;
};

struct Outcome {
  int status;
  std::string text; ///< both streams
};

llvm::Error writeFile(llvm::StringRef path, llvm::StringRef text) {
  std::error_code code;
  llvm::raw_fd_ostream stream(path, code);
  if (!code) {
    stream << text;
    stream.close();
    code = stream.error();
    stream.clear_error();
  }
  return code ? systemError("write", path, code.value()) : llvm::Error::success();
}

llvm::Expected<std::string> readFile(llvm::StringRef path) {
  auto buffer = llvm::MemoryBuffer::getFile(path, /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (!buffer)
    return systemError("read", path, buffer.getError().value());
  return (*buffer)->getBuffer().str();
}

/// `log` must not be there yet: it would not be cut short.
llvm::Expected<Outcome> run(llvm::ArrayRef<std::string> command, const std::string &log) {
  llvm::SmallVector<llvm::StringRef> arguments(command.begin(), command.end());
  std::optional<llvm::StringRef> redirects[] = {llvm::StringRef(), llvm::StringRef(log), llvm::StringRef(log)};
  std::string message;
  int status = llvm::sys::ExecuteAndWait(command.front(), arguments, std::nullopt, redirects, /*SecondsToWait=*/0,
                                         /*MemoryLimit=*/0, &message);
  if (status == -1)
    return worldError("'{0}' cannot be run: {1}", command.front(), message);
  llvm::Expected<std::string> text = readFile(log);
  if (!text)
    return text.takeError();
  return Outcome{status, std::move(*text)};
}

int64_t numberOf(llvm::StringRef text, const char *pattern) {
  llvm::SmallVector<llvm::StringRef> matches;
  int64_t number = 0;
  if (llvm::Regex(pattern).match(text, &matches))
    (void)matches[1].getAsInteger(10, number);
  return number;
}

/// The first lines that say what is wrong.
std::string summarize(llvm::StringRef text) {
  llvm::SmallVector<llvm::StringRef> lines;
  text.split(lines, '\n', -1, /*KeepEmpty=*/false);
  llvm::erase_if(lines, [](llvm::StringRef line) { return line.starts_with("ptxas info"); });
  lines.truncate(std::min<size_t>(lines.size(), 3));
  return lines.empty()
             ? "no message"
             : llvm::join(llvm::map_range(lines, [](llvm::StringRef line) { return line.trim().str(); }), "; ");
}

} // namespace

std::vector<kernels::DeviceFunction> parseAssemblerReport(llvm::StringRef text) {
  std::vector<kernels::DeviceFunction> functions;
  llvm::SmallVector<llvm::StringRef> lines, matches;
  text.split(lines, '\n', -1, /*KeepEmpty=*/false);
  llvm::Regex entry("Compiling entry function '([^']*)' for '([^']*)'");
  for (llvm::StringRef line : lines) {
    if (entry.match(line, &matches)) {
      functions.emplace_back().name = matches[1].str();
      functions.back().arch = matches[2].str();
    } else if (functions.empty()) {
      continue;
    } else if (line.contains("bytes stack frame")) {
      functions.back().stackBytes = numberOf(line, "([0-9]+) bytes stack frame");
      functions.back().spillStoreBytes = numberOf(line, "([0-9]+) bytes spill stores");
      functions.back().spillLoadBytes = numberOf(line, "([0-9]+) bytes spill loads");
    } else if (line.contains("registers")) {
      functions.back().numRegisters = numberOf(line, "Used ([0-9]+) registers");
      functions.back().sharedBytes = numberOf(line, "([0-9]+) bytes smem");
    }
  }
  return functions;
}

llvm::Expected<Toolkit> Toolkit::locate() {
  const char *named = std::getenv("PENSTOCK_CUDA");
  std::string folder = named && *named ? named : PENSTOCK_CUDA_FOLDER;
  auto inside = [&](llvm::StringRef path) {
    llvm::SmallString<128> result(folder);
    llvm::sys::path::append(result, path);
    return result.str().str();
  };
  Toolkit toolkit;
  toolkit.ptxas = inside("bin/ptxas");
  toolkit.fatbinary = inside("bin/fatbinary");
  for (const std::string &program : {toolkit.ptxas, toolkit.fatbinary})
    if (!llvm::sys::fs::can_execute(program))
      return userError("--target is 'cuda', and there is no program '{0}'; expected a CUDA toolkit, which "
                       "'./dev build --cuda' installs and the environment's PENSTOCK_CUDA may name",
                       program);
  toolkit.libdevice = inside("nvvm/libdevice/libdevice.10.bc");
  if (!llvm::sys::fs::exists(toolkit.libdevice))
    toolkit.libdevice.clear();
  return toolkit;
}

llvm::Expected<Image> Toolkit::assemble(llvm::StringRef name, llvm::ArrayRef<PtxFile> files) const {
  Scratch scratch;
  if (llvm::Error error = scratch.create())
    return std::move(error);
  Image image;
  std::vector<std::string> pack{fatbinary, "--64", "--create=" + scratch.path("image")};
  for (const PtxFile &file : files) {
    std::string ptx = scratch.path(name + "." + file.chip + ".ptx"), cubin = scratch.path(file.chip + ".cubin");
    if (llvm::Error error = writeFile(ptx, file.text))
      return std::move(error);
    // Multiply-add is decided in the IR.
    llvm::Expected<Outcome> done = run({ptxas, "-arch=" + file.chip, "-O3", "-fmad=false", "-v", ptx, "-o", cubin},
                                       scratch.path(file.chip + ".log"));
    if (!done)
      return done.takeError();
    if (done->status != 0) {
      scratch.keep();
      return userError("the assembler refuses its code for {0}: {1}; to see it again: {2} -arch={0} -O3 -fmad=false -v "
                       "{3} -o /dev/null",
                       file.chip, summarize(done->text), ptxas, ptx);
    }
    llvm::append_range(image.functions, parseAssemblerReport(done->text));
    pack.push_back("--image3=kind=elf,sm=" + file.chip.substr(3) + ",file=" + cubin);
    if (&file == &files.back())
      pack.push_back("--image3=kind=ptx,sm=" + file.chip.substr(3) + ",file=" + ptx);
  }
  llvm::Expected<Outcome> packed = run(pack, scratch.path("image.log"));
  if (!packed)
    return packed.takeError();
  if (packed->status != 0)
    return worldError("'{0}' fails: {1}", fatbinary, summarize(packed->text));
  llvm::Expected<std::string> bytes = readFile(scratch.path("image"));
  if (!bytes)
    return bytes.takeError();
  image.bytes = std::move(*bytes);
  return image;
}

} // namespace penstock::cuda
