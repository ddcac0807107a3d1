//===- Wire.h - Messages of the shared-memory handshake ----------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Flat messages over a SOCK_SEQPACKET socket: one message, one packet, with at most one file descriptor. Numbers are
// 64-bit, texts have their length before them. Reading past the end makes the reader bad and gives zeros; nothing is
// trusted.
//
//   role -> host  kHello (identity of the role)                                 host -> role  kWelcome + control memfd
//   role -> host  kAsk   (direction, consumer, description of the channel)      host -> role  kGrant + data memfd
//   role -> host  kReady (code, message)
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_TRANSPORTS_SHM_WIRE_H
#define PENSTOCK_RT_TRANSPORTS_SHM_WIRE_H

#include "Memory.h"
#include "penstock/rt/Identity.h"
#include "penstock/rt/Role.h"

namespace penstock {
namespace rt {

enum WireKind : int64_t { kHello = 1, kWelcome, kAsk, kGrant, kReady };
constexpr int64_t kWireMagic = 0x31456d68732e7450;

class WireWriter {
public:
  explicit WireWriter(int64_t kind) { number(kind); }
  void number(int64_t value) { buffer.append(reinterpret_cast<const char *>(&value), sizeof(value)); }
  void text(const std::string &value) {
    number(static_cast<int64_t>(value.size()));
    buffer += value;
  }
  void channel(const ChannelDesc &desc);
  void options(const RoleOptions &options);
  /// How every first handshake begins, over whatever it goes: magic number, ABI version, and what a role belongs to.
  void identity(const RoleIdentity &identity);
  std::string buffer;
};

class WireReader {
public:
  explicit WireReader(std::string packet) : buffer(std::move(packet)) {}
  int64_t number();
  std::string text();
  ChannelDesc channel();
  RoleOptions options();
  /// False if it is none. Of another version of the ABI, only what all versions have is sure to be there.
  bool identity(RoleIdentity &identity);
  bool bad() const { return failed; }

private:
  std::string buffer;
  size_t at = 0;
  bool failed = false;
};

/// Sends one packet with an optional descriptor.
Status sendPacket(int socket, const std::string &packet, int fd = -1);
/// Receives one packet. kPeerLost when the peer has closed. kTimeout at the deadline.
Status receivePacket(int socket, int64_t deadlineNs, std::string &packet, Fd &fd);
/// The peer runs under our own user; kPeerLost otherwise.
Status checkPeerUser(int socket);

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_TRANSPORTS_SHM_WIRE_H
