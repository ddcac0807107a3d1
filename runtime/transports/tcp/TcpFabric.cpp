//===- TcpFabric.cpp - Ranks joined by addresses -----------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "TcpFabric.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

namespace penstock {
namespace rt {

static constexpr uint32_t kMagic = 0x73745001;
static constexpr int32_t kFarewellTag = -2;
static constexpr int64_t kMostKept = 64 * 1024;          ///< of a message that nobody has asked for yet
static constexpr int64_t kGraceNs = 700 * 1000000ll;     ///< between the end of a connection and its report
static constexpr int64_t kFarewellNs = 2 * 1000000000ll; ///< for the others to leave too
static constexpr int32_t kClosed = 1, kStrange = 2, kTooLong = 3, kErrno = 1000; ///< codes; from kErrno on: an errno

TcpFabric::TcpFabric(int32_t rank, std::vector<Fd> sockets) : rank(rank), peers(sockets.size()) {
  for (size_t i = 0; i < sockets.size(); ++i)
    peers[i].socket = std::move(sockets[i]);
}

Status TcpFabric::meet(const MeetingPoint &point, int32_t rank, int32_t size, int64_t deadlineNs,
                       std::unique_ptr<TcpFabric> &fabric) {
  std::vector<Fd> sockets;
  if (Status status = meetRanks(point, rank, size, deadlineNs, sockets); !status.ok())
    return status;
  fabric.reset(new TcpFabric(rank, std::move(sockets)));
  return Status();
}

Fabric TcpFabric::table() {
  Fabric fabric;
  fabric.self = this;
  fabric.rank = rank, fabric.size = static_cast<int32_t>(peers.size());
  fabric.carrier = Carrier::kTcp;
  std::snprintf(fabric.library, sizeof(fabric.library), "TCP");
  fabric.send = [](void *self, int32_t to, int32_t tag, const void *data, int64_t numBytes, void **request) {
    return static_cast<TcpFabric *>(self)->send(to, tag, data, numBytes, request);
  };
  fabric.receive = [](void *self, int32_t from, int32_t tag, void *data, int64_t numBytes, void **request) {
    return static_cast<TcpFabric *>(self)->receive(from, tag, data, numBytes, request);
  };
  fabric.test = [](void *self, void **request, int32_t *done, int64_t *numBytes) {
    return static_cast<TcpFabric *>(self)->test(request, done, numBytes);
  };
  fabric.cancel = [](void *self, void **request) { return static_cast<TcpFabric *>(self)->cancel(request); };
  fabric.finish = [](void *self) { return static_cast<TcpFabric *>(self)->finish(); };
  fabric.explain = [](void *, int32_t code, char *text, int64_t numBytes) { explain(code, text, numBytes); };
  return fabric;
}

void TcpFabric::explain(int32_t code, char *text, int64_t numBytes) {
  char room[128] = "";
  const char *words = code == kClosed    ? "the connection was closed"
                      : code == kStrange ? "what came is no message"
                      : code == kTooLong ? "a message is longer than its room"
                                         : strerror_r(code - kErrno, room, sizeof(room));
  std::snprintf(text, size_t(numBytes), "%s", words);
}

TcpFabric::Transfer *TcpFabric::make() {
  if (unused.empty()) {
    transfers.emplace_back();
    unused.push_back(&transfers.back());
  }
  Transfer *transfer = unused.back();
  unused.pop_back();
  *transfer = Transfer();
  return transfer;
}

void TcpFabric::free(void **request) {
  unused.push_back(static_cast<Transfer *>(*request));
  *request = nullptr;
}

int32_t TcpFabric::send(int32_t to, int32_t tag, const void *data, int64_t numBytes, void **request) {
  Peer &peer = peers[size_t(to)];
  if (int32_t code = lossOf(peer))
    return code;
  Transfer *transfer = make();
  transfer->isSend = true;
  transfer->rank = to, transfer->tag = tag;
  transfer->data = static_cast<char *>(const_cast<void *>(data)); // only read
  transfer->numBytes = numBytes;
  *request = transfer;
  peer.sends.push_back(transfer);
  if (peer.sends.size() == 1)
    write(peer);
  return 0;
}

int32_t TcpFabric::receive(int32_t from, int32_t tag, void *data, int64_t numBytes, void **request) {
  Transfer *transfer = make();
  transfer->rank = from, transfer->tag = tag;
  transfer->data = static_cast<char *>(data);
  transfer->numBytes = numBytes;
  *request = transfer;
  for (auto message = unexpected.begin(); message != unexpected.end(); ++message) {
    if (message->tag != tag || (from != kAnyRank && message->rank != from))
      continue;
    transfer->done = true;
    if (int64_t(message->bytes.size()) > numBytes)
      transfer->code = kTooLong;
    else
      std::memcpy(data, message->bytes.data(), message->bytes.size());
    transfer->numBytes = int64_t(message->bytes.size());
    unexpected.erase(message);
    return 0;
  }
  posted[{tag, from}].push_back(transfer);
  return 0;
}

int32_t TcpFabric::test(void **request, int32_t *done, int64_t *numBytes) {
  auto *transfer = static_cast<Transfer *>(*request);
  if (!transfer->done)
    progress(0);
  *done = transfer->done;
  *numBytes = transfer->numBytes;
  int32_t code = transfer->code;
  if (transfer->done) {
    free(request);
    return code;
  }
  if (transfer->rank == kAnyRank)
    return 0;
  return lossOf(peers[size_t(transfer->rank)]);
}

/// The code of a lost peer, once nobody has given a better reason for a while.
int32_t TcpFabric::lossOf(const Peer &peer) {
  if (peer.lostNs == 0 || nowNs() - peer.lostNs < kGraceNs)
    return 0;
  return peer.error == 0 ? kClosed : peer.error;
}

int32_t TcpFabric::cancel(void **request) {
  auto *transfer = static_cast<Transfer *>(*request);
  if (transfer->isSend && !transfer->done) { // it goes on
    *request = nullptr;
    return 0;
  }
  if (!transfer->isSend) {
    std::deque<Transfer *> &queue = posted[{transfer->tag, transfer->rank}];
    queue.erase(std::remove(queue.begin(), queue.end(), transfer), queue.end());
    for (Peer &peer : peers)
      if (peer.into == transfer) { // what is left of its message is thrown away
        peer.into = nullptr;
        peer.kept.assign(size_t(std::min(peer.header.numBytes, kMostKept)), '\0');
        peer.header.tag = kFarewellTag - 1;
      }
  }
  free(request);
  return 0;
}

/// A peer is gone. What was to be sent to it is as good as sent: nobody will read it.
void TcpFabric::lose(Peer &peer, int32_t error) {
  peer.socket.reset();
  if (!peer.left && peer.lostNs == 0) {
    peer.lostNs = nowNs();
    peer.error = error;
  }
  for (Transfer *transfer : peer.sends)
    transfer->done = true;
  peer.sends.clear();
}

/// As much as the socket takes.
void TcpFabric::write(Peer &peer) {
  while (!peer.sends.empty()) {
    Transfer &transfer = *peer.sends.front();
    if (!peer.socket.valid())
      return lose(peer, 0);
    constexpr int64_t kHeaderBytes = sizeof(Header);
    Header header = {kMagic, transfer.tag, transfer.numBytes};
    int64_t inHeader = std::min(transfer.numMoved, kHeaderBytes), inData = transfer.numMoved - inHeader;
    iovec parts[2] = {{reinterpret_cast<char *>(&header) + inHeader, size_t(kHeaderBytes - inHeader)},
                      {transfer.data + inData, size_t(transfer.numBytes - inData)}};
    msghdr message = {};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    ssize_t written = sendmsg(peer.socket.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (written < 0 && errno == EINTR)
      continue;
    if (written < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
      return;
    if (written < 0)
      return lose(peer, errno == EPIPE || errno == ECONNRESET ? 0 : kErrno + errno);
    transfer.numMoved += written;
    if (transfer.numMoved < kHeaderBytes + transfer.numBytes)
      continue;
    transfer.done = true;
    peer.sends.pop_front();
  }
}

/// Bytes read; 0: none are there, or the peer is gone.
int64_t TcpFabric::readSome(Peer &peer, void *to, int64_t numBytes) {
  for (;;) {
    ssize_t got = recv(peer.socket.get(), to, size_t(numBytes), MSG_DONTWAIT);
    if (got > 0)
      return got;
    if (got < 0 && errno == EINTR)
      continue;
    if (got == 0)
      lose(peer, 0);
    else if (errno != EAGAIN && errno != EWOULDBLOCK)
      lose(peer, errno == ECONNRESET ? 0 : kErrno + errno);
    return 0;
  }
}

TcpFabric::Transfer *TcpFabric::takePosted(int32_t from, int32_t tag) {
  for (int32_t who : {from, kAnyRank}) {
    auto found = posted.find({tag, who});
    if (found == posted.end() || found->second.empty())
      continue;
    Transfer *transfer = found->second.front();
    found->second.pop_front();
    return transfer;
  }
  return nullptr;
}

/// A header is complete: where do its bytes go? False: the peer is lost.
bool TcpFabric::begin(int32_t from) {
  Peer &peer = peers[size_t(from)];
  const Header &header = peer.header;
  if (header.magic != kMagic || header.numBytes < 0) {
    lose(peer, kStrange);
    return false;
  }
  peer.numBytes = 0;
  if (header.tag == kFarewellTag) {
    peer.left = true;
    return true;
  }
  peer.into = takePosted(from, header.tag);
  if (peer.into ? header.numBytes > peer.into->numBytes : header.numBytes > kMostKept) {
    if (peer.into) {
      peer.into->done = true;
      peer.into->code = kTooLong;
      peer.into = nullptr;
    }
    lose(peer, kTooLong);
    return false;
  }
  if (!peer.into)
    peer.kept.assign(size_t(header.numBytes), '\0');
  return true;
}

/// The bytes of a message are complete.
void TcpFabric::end(int32_t from) {
  Peer &peer = peers[size_t(from)];
  if (peer.into) {
    peer.into->numBytes = peer.header.numBytes;
    peer.into->done = true;
  } else if (peer.header.tag > kFarewellTag) {
    unexpected.push_back({from, peer.header.tag, std::move(peer.kept)});
  }
  peer.into = nullptr;
  peer.kept.clear();
  peer.numHeaderBytes = 0;
}

/// As much as the socket has.
void TcpFabric::read(int32_t from) {
  Peer &peer = peers[size_t(from)];
  while (peer.socket.valid()) {
    constexpr int64_t kHeaderBytes = sizeof(Header);
    if (peer.numHeaderBytes < kHeaderBytes) {
      int64_t got = readSome(peer, reinterpret_cast<char *>(&peer.header) + peer.numHeaderBytes,
                             kHeaderBytes - peer.numHeaderBytes);
      peer.numHeaderBytes += got;
      if (got == 0)
        return;
      if (peer.numHeaderBytes < kHeaderBytes)
        continue;
      if (!begin(from))
        return;
    }
    int64_t missing = peer.header.numBytes - peer.numBytes;
    if (missing > 0) {
      int64_t room = int64_t(peer.kept.size());
      char *to = peer.into ? peer.into->data + peer.numBytes : &peer.kept[size_t(std::min(peer.numBytes, room))];
      if (!peer.into && peer.numBytes >= room) // thrown away: see cancel()
        to = &peer.kept[0];
      int64_t most = peer.into ? missing : std::min(missing, peer.numBytes < room ? room - peer.numBytes : room);
      int64_t got = readSome(peer, to, most);
      if (got == 0)
        return;
      peer.numBytes += got;
    }
    if (peer.numBytes == peer.header.numBytes)
      end(from);
  }
}

void TcpFabric::progress(int waitMs) {
  std::vector<pollfd> &entries = polled;
  entries.clear();
  for (Peer &peer : peers) {
    short events = POLLIN;
    if (!peer.sends.empty())
      events |= POLLOUT;
    entries.push_back({peer.socket.valid() ? peer.socket.get() : -1, events, 0});
  }
  if (poll(entries.data(), entries.size(), waitMs) <= 0)
    return;
  for (size_t i = 0; i < entries.size(); ++i) {
    if (entries[i].revents & POLLOUT)
      write(peers[i]);
    if (entries[i].revents & (POLLIN | POLLHUP | POLLERR))
      read(static_cast<int32_t>(i));
  }
}

/// Says farewell to all, and waits a while for theirs: a socket that is closed with bytes unread takes back what it has
/// sent.
int32_t TcpFabric::finish() {
  for (size_t i = 0; i < peers.size(); ++i) {
    if (!peers[i].socket.valid())
      continue;
    Transfer *transfer = make();
    transfer->isSend = true;
    transfer->tag = kFarewellTag;
    peers[i].sends.push_back(transfer);
    write(peers[i]);
  }
  int64_t until = nowNs() + kFarewellNs;
  auto isOver = [](const Peer &peer) { return !peer.socket.valid() || (peer.left && peer.sends.empty()); };
  while (!std::all_of(peers.begin(), peers.end(), isOver) && nowNs() < until)
    progress(10);
  return 0;
}

} // namespace rt
} // namespace penstock
