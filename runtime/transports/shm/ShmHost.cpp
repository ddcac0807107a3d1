//===- ShmHost.cpp - Making and handing out shared channels ------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "Shm.h"

#include "Wire.h"

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace penstock {
namespace rt {

Status ShmHost::listen() {
  uint8_t random[32] = {};
  if (getrandom(random, sizeof(random), 0) != ssize_t(sizeof(random)))
    return failErrno("cannot get random bytes for the name of the handshake socket");
  socketName = "penstock-";
  for (uint8_t byte : random)
    socketName += format("%02x", byte);
  listening.reset(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listening.valid())
    return failErrno("cannot create the handshake socket");
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, socketName.data(), socketName.size());
  auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + socketName.size());
  if (bind(listening.get(), reinterpret_cast<sockaddr *>(&address), length) != 0)
    return failErrno("cannot bind the handshake socket");
  if (::listen(listening.get(), 128) != 0)
    return failErrno("cannot listen on the handshake socket");
  return Status();
}

Status ShmHost::create(const ControlLayout &layout, const std::vector<ChannelDesc> &descs, const Identity &identity,
                       std::unique_ptr<ShmHost> &host) {
  std::unique_ptr<ShmHost> made(new ShmHost);
  made->identity = identity;
  made->joined.assign(size_t(layout.numRoles), false);
  int64_t controlBytes = RunControl::bytesFor(layout);
  if (Status status = createMemfd("penstock-control", controlBytes, made->controlFd); !status.ok())
    return status;
  Status status =
      Mapping::shared(made->controlFd.get(), 0, controlBytes, true, "the control block", made->controlMemory);
  if (!status.ok())
    return status;
  made->control = RunControl::create(made->controlMemory.data(), layout);
  for (const ChannelDesc &desc : descs) {
    Channel channel;
    channel.desc = desc;
    if (!RingLayout::make(desc, freeReservationBytes(), channel.layout))
      return fail(Code::kInvalid, "channel '%s': %d slots of %lld bytes are too much", desc.name.c_str(), desc.depth,
                  (long long)desc.slotBytes);
    if (status = createMemfd("penstock-channel", channel.layout.totalBytes, channel.writable); !status.ok())
      return status;
    if (status = reopenReadOnly(channel.writable.get(), channel.readOnly); !status.ok())
      return status;
    made->channels.push_back(std::move(channel));
  }
  if (status = made->listen(); !status.ok())
    return status;
  host = std::move(made);
  return Status();
}

Status ShmHost::open(const ChannelDesc &desc, const EndInfo &info, int64_t, ChannelId &id) {
  if (desc.id < 0 || size_t(desc.id) >= channels.size())
    return fail(Code::kMismatch, "channel '%s' has number %d, expected one below %zu", desc.name.c_str(), desc.id,
                channels.size());
  Channel &channel = channels[size_t(desc.id)];
  std::string difference = describeDifference(desc, channel.desc);
  if (!difference.empty())
    return fail(Code::kMismatch, "channel '%s': %s", desc.name.c_str(), difference.c_str());
  if (!info.isProducer && (info.consumer < 0 || size_t(info.consumer) >= desc.consumerStages.size()))
    return fail(Code::kMismatch, "channel '%s' has no consumer %d", desc.name.c_str(), info.consumer);
  Mapping mapping;
  int fd = info.isProducer ? channel.writable.get() : channel.readOnly.get();
  Status status = Mapping::shared(fd, 0, channel.layout.totalBytes, info.isProducer, desc.name.c_str(), mapping);
  if (!status.ok())
    return status;
  RingEnd end;
  end.desc = desc;
  end.info = info;
  end.layout = channel.layout;
  end.control = &control.channel(desc.id);
  end.cursors = control.cursors(desc.id);
  end.data = mapping.data();
  channel.mappings.push_back(std::move(mapping));
  id = add(std::move(end));
  return Status();
}

Status ShmHost::accept(Fd &connection) {
  Fd accepted(::accept4(listening.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!accepted.valid())
    return failErrno("cannot accept a role on the handshake socket");
  if (Status status = checkPeerUser(accepted.get()); !status.ok())
    return status;
  connection = std::move(accepted);
  return Status();
}

Status ShmHost::admit(const RoleIdentity &role) const {
  const char *who = role.name.c_str();
  if (Status status = checkIdentity(role, role.name, identity, "plan.json"); !status.ok())
    return status;
  if (role.numRoles != control.numRoles())
    return fail(Code::kMismatch, "%s was built for %d roles, expected %d", who, role.numRoles, control.numRoles());
  if (role.role < 0 || role.role >= control.numRoles())
    return fail(Code::kMismatch, "%s is role %d, expected one of 0..%d", who, role.role, control.numRoles() - 1);
  if (joined[size_t(role.role)])
    return fail(Code::kMismatch, "%s is role %d, which has joined already", who, role.role);
  return Status();
}

ShmHost::Event ShmHost::welcome(int connection, WireReader &reader, const std::vector<RoleOptions> &options) {
  Event event;
  RoleIdentity role;
  event.status = reader.identity(role)
                     ? admit(role)
                     : fail(Code::kMismatch, "a process that is no role spoke on the handshake socket");
  WireWriter writer(kWelcome);
  writer.number(static_cast<int64_t>(event.status.code()));
  writer.text(event.status.message());
  if (!event.status.ok()) {
    (void)sendPacket(connection, writer.buffer);
    return event;
  }
  writer.number(controlMemory.bytes());
  writer.options(size_t(role.role) < options.size() ? options[size_t(role.role)] : RoleOptions());
  event.role = role.role;
  joined[size_t(role.role)] = true;
  control.role(role.role).pid.store(role.pid);
  event.status = sendPacket(connection, writer.buffer, controlFd.get());
  event.kind = event.status.ok() ? Event::kJoined : Event::kFailed;
  return event;
}

ShmHost::Event ShmHost::grant(int connection, int32_t role, WireReader &reader) {
  Event event;
  event.role = role;
  bool isProducer = reader.number() != 0;
  int64_t consumer = reader.number();
  ChannelDesc there = reader.channel();
  const Channel *channel = nullptr;
  if (role < 0 || reader.bad())
    event.status = fail(Code::kMismatch, "role %d sent a request that cannot be read", role);
  else if (there.id < 0 || size_t(there.id) >= channels.size())
    event.status = fail(Code::kMismatch, "role %d asks for channel %d, expected one of 0..%zu", role, there.id,
                        channels.size() - 1);
  else
    channel = &channels[size_t(there.id)];
  std::string difference = channel ? describeDifference(channel->desc, there) : std::string();
  if (!difference.empty())
    event.status =
        fail(Code::kMismatch, "channel '%s' of role %d: %s", channel->desc.name.c_str(), role, difference.c_str());
  if (event.status.ok()) {
    const ChannelControl &shared = control.channel(there.id);
    bool owner = isProducer ? shared.role == role
                            : consumer >= 0 && consumer < shared.numConsumers &&
                                  control.cursors(there.id)[consumer].role == role;
    if (!owner)
      event.status = fail(Code::kMismatch, "channel '%s': role %d asks for an end that belongs to another role",
                          channel->desc.name.c_str(), role);
  }
  WireWriter writer(kGrant);
  writer.number(static_cast<int64_t>(event.status.code()));
  writer.text(event.status.message());
  writer.number(event.status.ok() ? channel->layout.slotBytes : 0);
  int fd = !event.status.ok() ? -1 : isProducer ? channel->writable.get() : channel->readOnly.get();
  Status sent = sendPacket(connection, writer.buffer, fd);
  if (event.status.ok())
    event.status = sent;
  event.kind = event.status.ok() ? Event::kAsked : Event::kFailed;
  return event;
}

void ShmHost::closeDescriptors() {
  for (Channel &channel : channels) {
    channel.writable.reset();
    channel.readOnly.reset();
  }
  controlFd.reset();
}

Status ShmHost::answer(int connection, int32_t role, const std::vector<RoleOptions> &options, Event &event) {
  std::string packet;
  Fd unexpected;
  event = Event();
  event.role = role;
  if (Status status = receivePacket(connection, 0, packet, unexpected); !status.ok())
    return status;
  WireReader reader(std::move(packet));
  int64_t kind = reader.number();
  if (kind == kHello && role < 0) {
    event = welcome(connection, reader, options);
  } else if (kind == kAsk && role >= 0) {
    event = grant(connection, role, reader);
  } else if (kind == kReady && role >= 0) {
    auto code = static_cast<Code>(reader.number());
    event.status = Status(code, reader.text());
    event.kind = Event::kReady;
  } else {
    event.status = fail(Code::kMismatch, "a handshake message of kind %lld came out of order", (long long)kind);
  }
  return Status();
}

} // namespace rt
} // namespace penstock
