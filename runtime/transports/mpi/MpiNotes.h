//===- MpiNotes.h - What ranks tell each other beside tensors ----*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Flat messages as in the handshake over shared memory (transports/shm/Wire.h), each with its kind and the role that
// sends it. The tag tells the role that receives it.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_TRANSPORTS_MPINOTES_H
#define PENSTOCK_RT_TRANSPORTS_MPINOTES_H

#include "penstock/rt/Transport.h"

namespace penstock {
namespace rt {

enum NoteKind : int64_t {
  kNoteHello = 1001, ///< magic, abi, role, roles, fingerprint, name
  kNoteOpen,         ///< an end is open: consumer (-1: the producer's end), tag, description of the channel
  kNoteCredit,       ///< channel, consumer, messages released
  kNoteState,        ///< what the role does
  kNoteAbort,        ///< code, message
};

constexpr int32_t kHelloTag = 0;
constexpr int64_t kNoteBytes = 16 * 1024; ///< room for one
constexpr size_t kNumNoteRooms = 8;       ///< receives posted ahead

std::string openNote(int32_t from, const ChannelDesc &desc, int32_t consumer, int32_t tag);

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_TRANSPORTS_MPINOTES_H
