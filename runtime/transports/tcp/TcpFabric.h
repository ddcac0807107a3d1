//===- TcpFabric.h - Ranks joined by addresses -------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The table of transports/mpi/Fabric.h over sockets, for launchers that tell where ranks meet and wire nothing up
// (torchrun). One connection for each two ranks. A message is a header and its bytes; it is read right into the memory
// of the receive that was posted for it. Only a message whose receive is not posted yet is kept, and only a short one:
// none of a channel's is ever such.
//
//   meeting    every rank connects to rank 0, says its number and the port on which it listens, and is told those of
//              all others; then each connects to those of a lower number. Strangers are dropped.
//   farewell   a rank that leaves in order says so; a connection that ends without a farewell is a lost peer, which is
//              reported after a while only: its end may have a reason that others are telling right now
//   silence    is not noticed here; ranks hear of each other four times a second (MpiTransport.h)
//
// Whoever can reach the port can take part: there is no secret. Use it in networks that are trusted, as MPI's own.
//
// Threads and units: as Fabric.h.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_TRANSPORTS_TCPFABRIC_H
#define PENSTOCK_RT_TRANSPORTS_TCPFABRIC_H

#include "Memory.h"
#include "penstock/rt/Rank.h"
#include "transports/mpi/Fabric.h"

#include <deque>
#include <map>
#include <poll.h>
#include <vector>

namespace penstock {
namespace rt {

/// Connects each rank with all others; `sockets` by rank, non-blocking, the own one left invalid. kInvalid: the port is
/// taken, a name is unknown, or the ranks were started with different numbers. kTimeout: names ranks that never came.
Status meetRanks(const MeetingPoint &point, int32_t rank, int32_t size, int64_t deadlineNs, std::vector<Fd> &sockets);

class TcpFabric {
public:
  static Status meet(const MeetingPoint &point, int32_t rank, int32_t size, int64_t deadlineNs,
                     std::unique_ptr<TcpFabric> &fabric);
  /// Valid as long as this object.
  Fabric table();

private:
  TcpFabric(int32_t rank, std::vector<Fd> sockets);

  struct Header {
    uint32_t magic;
    int32_t tag;
    int64_t numBytes;
  };
  struct Transfer {
    bool isSend = false, done = false;
    int32_t rank = 0, tag = 0, code = 0;
    char *data = nullptr;
    int64_t numBytes = 0; ///< to send, or of the message that came; before: the room for it
    int64_t numMoved = 0; ///< sent, the header included
  };
  struct Message {
    int32_t rank, tag;
    std::string bytes;
  };
  struct Peer {
    Fd socket;
    std::deque<Transfer *> sends; ///< not wholly written
    Header header = {};           ///< of the message that is being read
    int64_t numHeaderBytes = 0, numBytes = 0;
    Transfer *into = nullptr; ///< the receive that the message meets
    std::string kept;         ///< or its bytes
    bool left = false;        ///< has said farewell
    int64_t lostNs = 0;       ///< when its connection ended without; 0: it has not
    int32_t error = 0;        ///< likewise: an errno, or 0 for a connection that was closed
  };

  int32_t send(int32_t rank, int32_t tag, const void *data, int64_t numBytes, void **request);
  int32_t receive(int32_t rank, int32_t tag, void *data, int64_t numBytes, void **request);
  int32_t test(void **request, int32_t *done, int64_t *numBytes);
  int32_t cancel(void **request);
  int32_t finish();
  static int32_t lossOf(const Peer &peer);
  static void explain(int32_t code, char *text, int64_t numBytes);

  Transfer *make();
  void free(void **request);
  void progress(int waitMs);
  void write(Peer &peer);
  void read(int32_t rank);
  int64_t readSome(Peer &peer, void *to, int64_t numBytes);
  bool begin(int32_t rank);
  void end(int32_t rank);
  void lose(Peer &peer, int32_t error);
  Transfer *takePosted(int32_t rank, int32_t tag);

  int32_t rank;
  std::deque<Peer> peers;
  std::deque<Transfer> transfers;
  std::vector<Transfer *> unused;
  std::map<std::pair<int32_t, int32_t>, std::deque<Transfer *>> posted; ///< by tag and rank, in order
  std::deque<Message> unexpected;
  std::vector<pollfd> polled; ///< scratch of progress()
};

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_TRANSPORTS_TCPFABRIC_H
