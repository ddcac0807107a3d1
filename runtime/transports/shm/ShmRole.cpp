//===- ShmRole.cpp - Joining the channels of a host --------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "Shm.h"

#include "Wire.h"

#include <cstddef>
#include <cstring>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

namespace penstock {
namespace rt {

static Status connectTo(const std::string &name, Fd &connection) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (name.empty() || name.size() + 1 > sizeof(address.sun_path))
    return fail(Code::kInvalid, "the handshake address '%s' is not one", name.c_str());
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  Fd made(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!made.valid())
    return failErrno("cannot create the handshake socket");
  if (::connect(made.get(), reinterpret_cast<sockaddr *>(&address), length) != 0)
    return failErrno("cannot reach the host of the run at '%s'", name.c_str());
  if (Status status = checkPeerUser(made.get()); !status.ok())
    return status;
  connection = std::move(made);
  return Status();
}

/// One round trip; the reply's status becomes ours.
static Status askHost(int socket, const std::string &packet, WireKind expected, int64_t deadlineNs, WireReader &reply,
                      Fd &fd) {
  if (Status status = sendPacket(socket, packet); !status.ok())
    return status;
  std::string answer;
  if (Status status = receivePacket(socket, deadlineNs, answer, fd); !status.ok())
    return status;
  reply = WireReader(std::move(answer));
  int64_t kind = reply.number();
  auto code = static_cast<Code>(reply.number());
  std::string message = reply.text();
  if (kind != expected || reply.bad())
    return fail(Code::kMismatch, "the host of the run sent a message of kind %lld, expected %lld", (long long)kind,
                (long long)expected);
  return code == Code::kOk ? Status() : Status(code, std::move(message));
}

/// The descriptor's file has exactly this length and can neither shrink nor grow.
static Status checkSealed(const Fd &fd, int64_t numBytes, const char *what) {
  struct stat info;
  if (!fd.valid() || fstat(fd.get(), &info) != 0)
    return fail(Code::kMismatch, "the host of the run sent no memory for %s", what);
  int seals = fcntl(fd.get(), F_GET_SEALS);
  if (seals < 0 || (seals & (F_SEAL_SHRINK | F_SEAL_GROW)) != (F_SEAL_SHRINK | F_SEAL_GROW))
    return fail(Code::kMismatch, "the memory for %s is not sealed", what);
  if (info.st_size != numBytes)
    return fail(Code::kMismatch, "the memory for %s has %lld bytes, expected %lld", what, (long long)info.st_size,
                (long long)numBytes);
  return Status();
}

Status ShmRole::connect(const std::string &address, const RoleIdentity &identity, int64_t deadlineNs,
                        RoleOptions &options, std::unique_ptr<ShmRole> &role) {
  std::unique_ptr<ShmRole> made(new ShmRole);
  if (Status status = connectTo(address, made->socket); !status.ok())
    return status;
  WireWriter hello(kHello);
  hello.identity(identity);
  WireReader reply{std::string()};
  Fd fd;
  Status status = askHost(made->socket.get(), hello.buffer, kWelcome, deadlineNs, reply, fd);
  if (!status.ok())
    return status;
  int64_t numBytes = reply.number();
  options = reply.options();
  if (reply.bad())
    return fail(Code::kMismatch, "the host of the run sent a welcome that cannot be read");
  if (status = checkSealed(fd, numBytes, "the control block"); !status.ok())
    return status;
  status = Mapping::shared(fd.get(), 0, numBytes, true, "the control block", made->controlMemory);
  if (!status.ok())
    return status;
  if (status = RunControl::attach(made->controlMemory.data(), numBytes, made->control); !status.ok())
    return status;
  made->setSpin(options.spinNs);
  role = std::move(made);
  return Status();
}

Status ShmRole::open(const ChannelDesc &desc, const EndInfo &info, int64_t deadlineNs, ChannelId &id) {
  WireWriter ask(kAsk);
  ask.number(info.isProducer);
  ask.number(info.consumer);
  ask.channel(desc);
  WireReader reply{std::string()};
  Fd fd;
  Status status = askHost(socket.get(), ask.buffer, kGrant, deadlineNs, reply, fd);
  if (!status.ok())
    return status;
  int64_t slotBytes = reply.number();
  RingEnd end;
  if (reply.bad() || !RingLayout::make(desc, slotBytes, end.layout) || end.layout.slotBytes != slotBytes ||
      desc.id >= control.numChannels())
    return fail(Code::kMismatch, "channel '%s': slots of %lld bytes do not fit its description", desc.name.c_str(),
                (long long)slotBytes);
  if (status = checkSealed(fd, end.layout.totalBytes, desc.name.c_str()); !status.ok())
    return status;
  Mapping mapping;
  status = Mapping::shared(fd.get(), 0, end.layout.totalBytes, info.isProducer, desc.name.c_str(), mapping);
  if (!status.ok())
    return status;
  end.desc = desc;
  end.info = info;
  end.control = &control.channel(desc.id);
  end.cursors = control.cursors(desc.id);
  end.data = mapping.data();
  mappings.push_back(std::move(mapping));
  id = add(std::move(end));
  return Status();
}

Status ShmRole::ready(const Status &status) {
  WireWriter writer(kReady);
  writer.number(static_cast<int64_t>(status.code()));
  writer.text(status.message());
  return sendPacket(socket.get(), writer.buffer);
}

} // namespace rt
} // namespace penstock
