//===- Files.h - Tensors in files --------------------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Reads .npy (versions 1 to 3, little-endian, C and Fortran order), .npz (stored or deflated) and ONNX TensorProto
// (.pb); writes .npy. Files are not trusted: a truncated or damaged one is kInvalid and the message names it. bf16,
// which NumPy does not know, is the type V2 in .npy, as ml_dtypes writes it.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_FILES_H
#define PENSTOCK_RT_FILES_H

#include "penstock/rt/Tensor.h"

namespace penstock {
namespace rt {

/// One tensor of a .npy or .pb file, told apart by their first bytes.
Status readTensorFile(const std::string &path, Tensor &tensor);
/// All tensors of a .npz file, by their names without ".npy".
Status readNpzFile(const std::string &path, TensorMap &tensors);
/// Written beside the final place and moved there, so that no half file stays.
Status writeNpyFile(const std::string &path, const Tensor &tensor);

/// The same from bytes; `what` names them in messages.
Status parseNpy(const char *bytes, int64_t numBytes, const std::string &what, Tensor &tensor);
Status parseTensorProto(const char *bytes, int64_t numBytes, const std::string &what, Tensor &tensor);
Status parseNpz(const char *bytes, int64_t numBytes, const std::string &what, TensorMap &tensors);

/// File names for outputs: every character outside [A-Za-z0-9._-] becomes `_`; a second one of the same name gets `_2`.
std::map<std::string, std::string> outputFileNames(const std::vector<std::string> &names, const std::string &extension);

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_FILES_H
