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
  kNoteHello = 1001, ///< identity of the role
  kNoteOpen,         ///< an end is open: see Opening
  kNoteState,        ///< what the role does
  kNoteAbort,        ///< code, message
  kNoteWord,         ///< this rank tells of the stall
};

constexpr int32_t kHelloTag = 0;
constexpr int64_t kNoteBytes = 16 * 1024; ///< room for one
constexpr size_t kNumNoteRooms = 8;       ///< receives posted ahead

/// The consumer reads the slots of the producer: no tag is needed.
constexpr int32_t kSharedTag = -1;

/// What a rank says to another one when it opens an end of a channel between them.
struct Opening {
  bool isProducer = true;
  int32_t consumer = 0; ///< index in consumerStages
  int32_t tag = 0;      ///< on which this rank receives: messages (the consumer), or credits (the producer)
  std::string hostName; ///< the producer's, as hostIdentity(); empty: it shares memory with nobody
  std::string address;  ///< of the host that hands out the producer's slots
  ChannelDesc desc;
};

/// Receives posted ahead for the credits of a channel. More can be under way only of a ring that is deeper; libraries
/// look at all receives of a rank for each message, so that more of them would cost each of them time.
constexpr int32_t kNumCreditRooms = 4;

std::string openNote(int32_t from, const Opening &opening);

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_TRANSPORTS_MPINOTES_H
