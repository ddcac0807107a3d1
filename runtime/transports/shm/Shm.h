//===- Shm.h - Channels between processes of one host ------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The host makes one sealed memfd for the control block and one per channel, and listens on an abstract socket with a
// random name that admits only the same user. A role connects, says what it belongs to (Identity.h), which must be what
// the plan says, and is handed the descriptors of its own channels: writable for the producer, read-only for
// consumers. The memory belongs to the processes alone, so that nothing is left behind however they end.
//
// Threads: the host's open() before roles are served; serving on one thread; the rest as in Transport.h.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_TRANSPORTS_SHM_H
#define PENSTOCK_RT_TRANSPORTS_SHM_H

#include "Memory.h"
#include "Ring.h"
#include "penstock/rt/Identity.h"
#include "penstock/rt/Role.h"

#include <memory>

namespace penstock {
namespace rt {

/// The side that feeds and collects.
class ShmHost final : public RingTransport {
public:
  static Status create(const ControlLayout &layout, const std::vector<ChannelDesc> &channels, const Identity &identity,
                       std::unique_ptr<ShmHost> &host);
  const char *name() const override { return "shm"; }
  bool canConnect(const EndInfo &, const EndInfo &) const override { return true; }
  Status open(const ChannelDesc &desc, const EndInfo &end, int64_t deadlineNs, ChannelId &channel) override;

  RunControl runControl() const { return control; }
  /// Name of the abstract socket, without its leading zero byte.
  const std::string &address() const { return socketName; }
  int listener() const { return listening.get(); }
  /// Takes one waiting connection; refuses other users'.
  Status accept(Fd &connection);

  /// All roles have joined: their descriptors are not needed any more. Mappings stay.
  void closeDescriptors();

  /// What a message of a role led to.
  struct Event {
    enum Kind { kJoined, kAsked, kReady, kFailed } kind = kFailed;
    int32_t role = -1;
    Status status; ///< kReady, kFailed: how it went
  };
  /// Reads one message of a connection and answers it. `role` is the connection's role, -1 before it has said hello.
  /// Returns kPeerLost when the connection is closed.
  Status answer(int connection, int32_t role, const std::vector<RoleOptions> &options, Event &event);

private:
  struct Channel {
    ChannelDesc desc;
    RingLayout layout;
    Fd writable, readOnly;
    std::vector<Mapping> mappings;
  };
  Status listen();
  Status admit(const RoleIdentity &role) const;
  Event welcome(int connection, class WireReader &reader, const std::vector<RoleOptions> &options);
  Event grant(int connection, int32_t role, class WireReader &reader);
  Fd listening, controlFd;
  Mapping controlMemory;
  std::string socketName;
  Identity identity; ///< of the plan
  std::vector<Channel> channels;
  std::vector<bool> joined;
};

/// The side of one role.
class ShmRole final : public RingTransport {
public:
  /// Connects to a host and introduces itself. `options` are what the host tells the role.
  static Status connect(const std::string &address, const RoleIdentity &identity, int64_t deadlineNs,
                        RoleOptions &options, std::unique_ptr<ShmRole> &role);
  const char *name() const override { return "shm"; }
  bool canConnect(const EndInfo &, const EndInfo &) const override { return true; }
  Status open(const ChannelDesc &desc, const EndInfo &end, int64_t deadlineNs, ChannelId &channel) override;
  RunControl runControl() const { return control; }
  /// Tells the host that the role can begin, or why it cannot.
  Status ready(const Status &status);

private:
  Fd socket;
  Mapping controlMemory;
  std::vector<Mapping> mappings;
};

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_TRANSPORTS_SHM_H
