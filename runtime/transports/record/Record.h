//===- Record.h - A transport that writes down what is sent ------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Wraps any transport and appends every message that this side publishes to a recording. The end of the stream is no
// message.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_TRANSPORTS_RECORD_H
#define PENSTOCK_RT_TRANSPORTS_RECORD_H

#include "penstock/rt/Recording.h"

#include <memory>

namespace penstock {
namespace rt {

/// The inner transport and the descriptor must outlive the wrapper.
std::unique_ptr<Transport> makeRecordingTransport(Transport &inner, int fd);

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_TRANSPORTS_RECORD_H
