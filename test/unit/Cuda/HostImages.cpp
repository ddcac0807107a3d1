//===- HostImages.cpp - Images that the stand-in plays ----- -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "HostImages.h"

#include "GpuOnHost.h"
#include "penstock/Support/Error.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Program.h"

using namespace penstock;
using namespace penstock::test;

/// The library's functions are found in the stand-in, by the name that it has in the process.
static llvm::Error linkLibrary(llvm::StringRef object, llvm::StringRef library) {
  std::string error;
  llvm::StringRef arguments[] = {PENSTOCK_TEST_LINKER,       "-shared", "-z",  "defs", object,
                                 PENSTOCK_TEST_STANDIN_CUDA, "-lm",     "-lc", "-o",   library};
  if (llvm::sys::ExecuteAndWait(PENSTOCK_TEST_LINKER, arguments, std::nullopt, {}, 0, 0, &error) != 0)
    return worldError("cannot link '{0}': {1}", object, error);
  return llvm::Error::success();
}

llvm::Expected<cuda::Image> HostImages::make(mlir::ModuleOp module, llvm::StringRef name) const {
  llvm::Expected<std::string> object = emitDeviceFunctions(module);
  if (!object)
    return object.takeError();
  llvm::SmallString<128> objectPath, libraryPath;
  if (llvm::sys::fs::createTemporaryFile(name, "o", objectPath) ||
      llvm::sys::fs::createTemporaryFile(name, "so", libraryPath))
    return worldError("cannot write temporary files");
  llvm::FileRemover removeObject(objectPath), removeLibrary(libraryPath);
  if (llvm::Error error = llvm::writeToOutput(objectPath, [&](llvm::raw_ostream &out) {
        out << *object;
        return llvm::Error::success();
      }))
    return std::move(error);
  if (llvm::Error error = linkLibrary(objectPath, libraryPath))
    return std::move(error);
  auto library = llvm::MemoryBuffer::getFile(libraryPath, /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (!library)
    return worldError("cannot read '{0}'", libraryPath);
  return cuda::Image{(*library)->getBuffer().str(), {}};
}
