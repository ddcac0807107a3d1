//===- Wire.cpp - Messages of the shared-memory handshake --------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "Wire.h"

#include <cerrno>
#include <cstring>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace penstock {
namespace rt {

static constexpr size_t kMaxPacket = 64 * 1024;
static constexpr int64_t kMaxList = 4096;

void WireWriter::channel(const ChannelDesc &desc) {
  text(desc.name);
  text(desc.tensor);
  number(desc.id);
  number(desc.dtype);
  number(static_cast<int64_t>(desc.dims.size()));
  for (int64_t dim : desc.dims)
    number(dim);
  number(desc.producerStage);
  number(static_cast<int64_t>(desc.consumerStages.size()));
  for (int32_t stage : desc.consumerStages)
    number(stage);
  number(desc.depth);
  number(desc.slotBytes);
  number(desc.numSymbols);
}

void WireWriter::options(const RoleOptions &options) {
  number(options.timeoutNs);
  number(options.spinNs);
  number(options.cpu);
  number(options.verifyBytes);
  text(options.folder);
  text(options.fault);
  number(options.recordFd);
  number(options.recordResults);
  text(options.fabric);
  text(options.hangFile);
  number(options.sharesMemory);
}

/// Up to the name as it was in ABI version 1, so that versions can tell each other who they are.
void WireWriter::identity(const RoleIdentity &identity) {
  number(kWireMagic);
  number(identity.abiVersion);
  number(identity.role);
  number(identity.numRoles);
  number(identity.pid);
  text(identity.fingerprint);
  text(identity.name);
  text(identity.model);
  text(identity.weights);
  text(identity.cut);
  text(identity.schedule);
  text(identity.build);
}

int64_t WireReader::number() {
  int64_t value = 0;
  if (failed || buffer.size() - at < sizeof(value)) {
    failed = true;
    return 0;
  }
  std::memcpy(&value, buffer.data() + at, sizeof(value));
  at += sizeof(value);
  return value;
}

std::string WireReader::text() {
  int64_t length = number();
  if (failed || length < 0 || uint64_t(length) > buffer.size() - at) {
    failed = true;
    return std::string();
  }
  std::string value = buffer.substr(at, size_t(length));
  at += size_t(length);
  return value;
}

ChannelDesc WireReader::channel() {
  ChannelDesc desc;
  desc.name = text();
  desc.tensor = text();
  desc.id = static_cast<int32_t>(number());
  desc.dtype = static_cast<int32_t>(number());
  int64_t count = number();
  failed |= count < 0 || count > kMaxList;
  for (int64_t i = 0; i < count && !failed; ++i)
    desc.dims.push_back(number());
  desc.producerStage = static_cast<int32_t>(number());
  count = number();
  failed |= count < 0 || count > kMaxList;
  for (int64_t i = 0; i < count && !failed; ++i)
    desc.consumerStages.push_back(static_cast<int32_t>(number()));
  desc.depth = static_cast<int32_t>(number());
  desc.slotBytes = number();
  desc.numSymbols = static_cast<int32_t>(number());
  return desc;
}

RoleOptions WireReader::options() {
  RoleOptions options;
  options.timeoutNs = number();
  options.spinNs = number();
  options.cpu = static_cast<int32_t>(number());
  options.verifyBytes = number();
  options.folder = text();
  options.fault = text();
  options.recordFd = static_cast<int32_t>(number());
  options.recordResults = number() != 0;
  options.fabric = text();
  options.hangFile = text();
  options.sharesMemory = number() != 0;
  return options;
}

bool WireReader::identity(RoleIdentity &identity) {
  bool isOurs = number() == kWireMagic;
  identity.abiVersion = static_cast<uint32_t>(number());
  identity.role = static_cast<int32_t>(number());
  identity.numRoles = static_cast<int32_t>(number());
  identity.pid = static_cast<int32_t>(number());
  identity.fingerprint = text();
  identity.name = text();
  identity.model = text();
  identity.weights = text();
  identity.cut = text();
  identity.schedule = text();
  identity.build = text();
  return isOurs && (!failed || identity.abiVersion != RT_ABI_VERSION);
}

Status sendPacket(int socket, const std::string &packet, int fd) {
  iovec part{const_cast<char *>(packet.data()), packet.size()};
  alignas(cmsghdr) char room[CMSG_SPACE(sizeof(int))] = {};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (fd >= 0) {
    message.msg_control = room;
    message.msg_controllen = sizeof(room);
    cmsghdr *extra = CMSG_FIRSTHDR(&message);
    extra->cmsg_level = SOL_SOCKET;
    extra->cmsg_type = SCM_RIGHTS;
    extra->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(extra), &fd, sizeof(fd));
  }
  ssize_t sent;
  do
    sent = sendmsg(socket, &message, MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  if (sent < 0 && (errno == EPIPE || errno == ECONNRESET))
    return fail(Code::kPeerLost, "the peer has closed the handshake socket");
  if (sent < 0)
    return failErrno("cannot send on the handshake socket");
  return Status();
}

/// Waits until the socket can be read.
static Status awaitReadable(int socket, int64_t deadlineNs) {
  for (;;) {
    int64_t now = nowNs();
    int waitMs = -1;
    if (deadlineNs != kNever)
      waitMs = static_cast<int>(std::max<int64_t>(0, std::min<int64_t>((deadlineNs - now) / 1000000 + 1, 1 << 30)));
    if (deadlineNs <= now)
      waitMs = 0;
    pollfd entry{socket, POLLIN, 0};
    int ready = poll(&entry, 1, waitMs);
    if (ready > 0)
      return Status();
    if (ready < 0 && errno != EINTR)
      return failErrno("cannot wait on the handshake socket");
    if (ready == 0 && nowNs() >= deadlineNs)
      return fail(Code::kTimeout, "no answer on the handshake socket");
  }
}

static void takeDescriptor(msghdr &message, Fd &fd) {
  for (cmsghdr *extra = CMSG_FIRSTHDR(&message); extra; extra = CMSG_NXTHDR(&message, extra)) {
    if (extra->cmsg_level != SOL_SOCKET || extra->cmsg_type != SCM_RIGHTS)
      continue;
    size_t count = (extra->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int received;
      std::memcpy(&received, CMSG_DATA(extra) + i * sizeof(int), sizeof(int));
      fd.reset(received);
    }
  }
}

Status receivePacket(int socket, int64_t deadlineNs, std::string &packet, Fd &fd) {
  if (Status status = awaitReadable(socket, deadlineNs); !status.ok())
    return status;
  packet.resize(kMaxPacket);
  iovec part{&packet[0], packet.size()};
  alignas(cmsghdr) char room[CMSG_SPACE(4 * sizeof(int))] = {};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = room;
  message.msg_controllen = sizeof(room);
  ssize_t received;
  do
    received = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  while (received < 0 && errno == EINTR);
  if (received == 0 || (received < 0 && errno == ECONNRESET))
    return fail(Code::kPeerLost, "the peer has closed the handshake socket");
  if (received < 0)
    return failErrno("cannot receive on the handshake socket");
  takeDescriptor(message, fd);
  if (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
    return fail(Code::kMismatch, "a handshake message is too long");
  packet.resize(static_cast<size_t>(received));
  return Status();
}

Status checkPeerUser(int socket) {
  ucred peer;
  socklen_t length = sizeof(peer);
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0)
    return failErrno("cannot tell the user at the other end of the handshake socket");
  if (peer.uid != geteuid())
    return fail(Code::kPeerLost, "the other end of the handshake socket belongs to user %u, expected %u",
                unsigned(peer.uid), unsigned(geteuid()));
  return Status();
}

} // namespace rt
} // namespace penstock
