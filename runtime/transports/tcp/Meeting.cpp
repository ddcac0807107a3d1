//===- Meeting.cpp - How ranks find each other by addresses ------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Every connection begins with a Hello of whoever connects. Rank 0 answers its own with the table of all addresses,
// once all ranks have come. A rank whose address rank 0 sees as a loopback one is on the host of rank 0: for it the
// table has no address, which means "where you have reached rank 0".
//
//===----------------------------------------------------------------------===//
#include "TcpFabric.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <thread>

namespace penstock {
namespace rt {

namespace {

constexpr uint64_t kMagic = 0x6b636f74736e6550; // "Penstock"
constexpr int32_t kVersion = 1;
constexpr int64_t kRetryNs = 50 * 1000000ll;
constexpr int64_t kConnectNs = 2 * 1000000000ll; // for one address; then the next one, or the same again

struct Hello {
  uint64_t magic, run;
  int32_t version, rank, size, port;
};

struct Entry {
  int32_t family, port; ///< family 0: the host of rank 0
  uint8_t address[16];
};

/// An address without a port.
struct Address {
  sockaddr_storage storage = {};
  socklen_t numBytes = 0;
};

int waitMs(int64_t deadlineNs) {
  if (deadlineNs == kNever)
    return 1000;
  return static_cast<int>(std::max<int64_t>(0, std::min<int64_t>((deadlineNs - nowNs()) / 1000000 + 1, 1000)));
}

uint64_t hashOf(const std::string &text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (char c : text)
    hash = (hash ^ uint8_t(c)) * 0x100000001b3;
  return hash;
}

bool isLoopback(const sockaddr_storage &address) {
  if (address.ss_family == AF_INET)
    return ntohl(reinterpret_cast<const sockaddr_in &>(address).sin_addr.s_addr) >> 24 == 127;
  return IN6_IS_ADDR_LOOPBACK(&reinterpret_cast<const sockaddr_in6 &>(address).sin6_addr);
}

/// ::ffff:1.2.3.4 as 1.2.3.4, which hosts without IPv6 know too.
void simplify(Address &address) {
  auto &six = reinterpret_cast<sockaddr_in6 &>(address.storage);
  if (address.storage.ss_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&six.sin6_addr))
    return;
  sockaddr_in four = {};
  four.sin_family = AF_INET;
  std::memcpy(&four.sin_addr, six.sin6_addr.s6_addr + 12, 4);
  address.storage = {};
  std::memcpy(&address.storage, &four, sizeof(four));
  address.numBytes = sizeof(four);
}

void setPort(Address &address, int32_t port) {
  if (address.storage.ss_family == AF_INET)
    reinterpret_cast<sockaddr_in &>(address.storage).sin_port = htons(uint16_t(port));
  else
    reinterpret_cast<sockaddr_in6 &>(address.storage).sin6_port = htons(uint16_t(port));
}

Status resolve(const std::string &host, std::vector<Address> &addresses) {
  addrinfo hints = {}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  if (int error = getaddrinfo(host.c_str(), nullptr, &hints, &found))
    return fail(Code::kInvalid, "cannot find the host '%s' at which the ranks meet: %s", host.c_str(),
                gai_strerror(error));
  for (addrinfo *entry = found; entry; entry = entry->ai_next) {
    Address address;
    std::memcpy(&address.storage, entry->ai_addr, entry->ai_addrlen);
    address.numBytes = entry->ai_addrlen;
    addresses.push_back(address);
  }
  freeaddrinfo(found);
  return Status();
}

/// Names that mean this host on every host: all ranks are here, and nobody else needs to be let in.
bool meansThisHost(const std::string &host) {
  return host == "localhost" || host == "::1" || host.rfind("127.", 0) == 0;
}

Status prepare(const Fd &socket) {
  int yes = 1;
  if (setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes)) != 0 ||
      fcntl(socket.get(), F_SETFL, fcntl(socket.get(), F_GETFL) | O_NONBLOCK) != 0)
    return failErrno("cannot set up a connection between ranks");
  return Status();
}

Status sendAll(const Fd &socket, const void *data, size_t numBytes, int64_t deadlineNs) {
  auto *bytes = static_cast<const char *>(data);
  while (numBytes > 0) {
    ssize_t sent = ::send(socket.get(), bytes, numBytes, MSG_NOSIGNAL);
    if (sent > 0) {
      bytes += sent;
      numBytes -= size_t(sent);
      continue;
    }
    if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
      return failErrno("cannot send to another rank");
    pollfd entry = {socket.get(), POLLOUT, 0};
    poll(&entry, 1, waitMs(deadlineNs));
    if (nowNs() >= deadlineNs)
      return fail(Code::kTimeout, "another rank takes nothing");
  }
  return Status();
}

/// The listening socket of a rank.
class Door {
public:
  Status open(const std::string &host, int32_t port) {
    if (meansThisHost(host))
      return host == "::1" ? listenOn(AF_INET6, port, true) : listenOn(AF_INET, port, true);
    return listenOn(AF_INET6, port, false).ok() ? Status() : listenOn(AF_INET, port, false);
  }
  int32_t port() const {
    Address address;
    address.numBytes = sizeof(address.storage);
    getsockname(listener.get(), reinterpret_cast<sockaddr *>(&address.storage), &address.numBytes);
    return ntohs(address.storage.ss_family == AF_INET ? reinterpret_cast<sockaddr_in &>(address.storage).sin_port
                                                      : reinterpret_cast<sockaddr_in6 &>(address.storage).sin6_port);
  }
  /// Lets ranks above the own one in until all have come.
  Status admit(const Hello &own, int64_t deadlineNs, std::vector<Fd> &sockets) {
    auto missing = [&] { return std::find_if(sockets.begin() + own.rank + 1, sockets.end(), isAbsent); };
    while (missing() != sockets.end()) {
      if (nowNs() >= deadlineNs)
        return fail(Code::kTimeout, "rank %d did not come to the meeting of ranks before the deadline",
                    int(missing() - sockets.begin()));
      std::vector<pollfd> entries{{listener.get(), POLLIN, 0}};
      for (const Guest &guest : guests)
        entries.push_back({guest.socket.get(), POLLIN, 0});
      poll(entries.data(), entries.size(), waitMs(deadlineNs));
      if (entries[0].revents)
        take();
      for (size_t i = entries.size() - 1; i-- > 0;) {
        if (!entries[i + 1].revents)
          continue;
        if (Status status = hear(i, own, sockets); !status.ok())
          return status;
      }
    }
    return Status();
  }

private:
  struct Guest {
    Fd socket;
    Hello hello = {};
    size_t numBytes = 0;
  };
  static bool isAbsent(const Fd &socket) { return !socket.valid(); }

  Status listenOn(int family, int32_t port, bool local) {
    Address address;
    int yes = 1, no = 0;
    address.storage.ss_family = sa_family_t(family);
    address.numBytes = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    setPort(address, port);
    if (local && family == AF_INET)
      reinterpret_cast<sockaddr_in &>(address.storage).sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (local && family == AF_INET6)
      reinterpret_cast<sockaddr_in6 &>(address.storage).sin6_addr = in6addr_loopback;
    listener.reset(socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!listener.valid())
      return failErrno("cannot create a socket for the meeting of ranks");
    if (family == AF_INET6)
      setsockopt(listener.get(), IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof(no));
    setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    if (bind(listener.get(), reinterpret_cast<sockaddr *>(&address.storage), address.numBytes) != 0 ||
        listen(listener.get(), 1024) != 0) {
      Status status = failErrno("cannot listen on port %d for the other ranks", port);
      return Status(Code::kInvalid, status.message() + "; choose another one with MASTER_PORT or PENSTOCK_PORT");
    }
    return Status();
  }

  void take() {
    Guest guest;
    guest.socket.reset(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (guest.socket.valid() && prepare(guest.socket).ok())
      guests.push_back(std::move(guest));
  }

  /// Reads from a guest. Strangers are sent away.
  Status hear(size_t index, const Hello &own, std::vector<Fd> &sockets) {
    Guest &guest = guests[index];
    auto *room = reinterpret_cast<char *>(&guest.hello);
    ssize_t got = recv(guest.socket.get(), room + guest.numBytes, sizeof(Hello) - guest.numBytes, 0);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
      return Status();
    guest.numBytes += size_t(std::max<ssize_t>(got, 0));
    if (got > 0 && guest.numBytes < sizeof(Hello))
      return Status();
    Hello hello = guest.hello;
    Fd connection = std::move(guest.socket);
    guests.erase(guests.begin() + std::ptrdiff_t(index));
    if (got <= 0 || hello.magic != kMagic || hello.run != own.run)
      return Status();
    if (hello.version != kVersion)
      return fail(Code::kMismatch,
                  "another rank meets by version %d, expected %d; compile the model again with this "
                  "version",
                  hello.version, kVersion);
    if (hello.size != own.size)
      return fail(Code::kInvalid, "rank %d was started as one of %d, and rank %d as one of %d; expected one number",
                  hello.rank, hello.size, own.rank, own.size);
    if (hello.rank <= own.rank || hello.rank >= own.size || sockets[size_t(hello.rank)].valid())
      return fail(Code::kInvalid, "a second process says that it is rank %d", hello.rank);
    sockets[size_t(hello.rank)] = std::move(connection);
    ports.resize(size_t(own.size));
    ports[size_t(hello.rank)] = hello.port;
    return Status();
  }

  Fd listener;
  std::deque<Guest> guests;

public:
  std::vector<int32_t> ports; ///< that ranks which have come listen on
};

/// Where nobody listens yet on a port of this host, the system may choose just that port for this end: then the
/// connection is one with itself. It must leave no trace, for the port is that of another rank.
bool isWithItself(const Fd &connection) {
  Address here, there;
  here.numBytes = there.numBytes = sizeof(sockaddr_storage);
  if (getsockname(connection.get(), reinterpret_cast<sockaddr *>(&here.storage), &here.numBytes) != 0 ||
      getpeername(connection.get(), reinterpret_cast<sockaddr *>(&there.storage), &there.numBytes) != 0)
    return false;
  bool isSame = here.numBytes == there.numBytes && std::memcmp(&here.storage, &there.storage, here.numBytes) == 0;
  linger atOnce = {1, 0};
  if (isSame)
    setsockopt(connection.get(), SOL_SOCKET, SO_LINGER, &atOnce, sizeof(atOnce));
  return isSame;
}

/// One try.
Status connectTo(const Address &address, int64_t deadlineNs, Fd &connection) {
  Fd made(socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!made.valid())
    return failErrno("cannot create a socket between ranks");
  auto *raw = reinterpret_cast<const sockaddr *>(&address.storage);
  if (connect(made.get(), raw, address.numBytes) != 0 && errno != EINPROGRESS)
    return failErrno("cannot connect");
  int64_t until = std::min(deadlineNs, nowNs() + kConnectNs);
  pollfd entry = {made.get(), POLLOUT, 0};
  while (poll(&entry, 1, waitMs(until)) <= 0)
    if (nowNs() >= until)
      return fail(Code::kSystem, "no answer");
  int error = 0;
  socklen_t length = sizeof(error);
  getsockopt(made.get(), SOL_SOCKET, SO_ERROR, &error, &length);
  errno = error;
  if (error != 0)
    return failErrno("cannot connect");
  if (isWithItself(made))
    return fail(Code::kSystem, "no answer");
  connection = std::move(made);
  return prepare(connection);
}

/// Until one of the addresses answers.
Status reach(const std::vector<Address> &addresses, int32_t port, const std::string &who, const Hello &own,
             int64_t deadlineNs, Fd &connection) {
  for (;;) {
    Status status;
    for (Address address : addresses) {
      setPort(address, port);
      status = connectTo(address, deadlineNs, connection);
      if (status.ok())
        return sendAll(connection, &own, sizeof(own), deadlineNs);
    }
    if (nowNs() >= deadlineNs)
      return fail(Code::kTimeout, "cannot reach %s, port %d, before the deadline: %s", who.c_str(), port,
                  status.message().c_str());
    std::this_thread::sleep_for(std::chrono::nanoseconds(kRetryNs));
  }
}

Entry entryOf(const Fd &socket, int32_t port) {
  Entry entry = {0, port, {}};
  Address address;
  address.numBytes = sizeof(address.storage);
  getpeername(socket.get(), reinterpret_cast<sockaddr *>(&address.storage), &address.numBytes);
  simplify(address);
  if (isLoopback(address.storage))
    return entry;
  entry.family = address.storage.ss_family;
  if (entry.family == AF_INET)
    std::memcpy(entry.address, &reinterpret_cast<sockaddr_in &>(address.storage).sin_addr, 4);
  else
    std::memcpy(entry.address, &reinterpret_cast<sockaddr_in6 &>(address.storage).sin6_addr, 16);
  return entry;
}

Address addressOf(const Entry &entry, const Fd &toFirst) {
  Address address;
  if (entry.family != AF_INET && entry.family != AF_INET6) {
    address.numBytes = sizeof(address.storage);
    getpeername(toFirst.get(), reinterpret_cast<sockaddr *>(&address.storage), &address.numBytes);
    return address;
  }
  address.storage.ss_family = sa_family_t(entry.family);
  address.numBytes = entry.family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
  if (entry.family == AF_INET)
    std::memcpy(&reinterpret_cast<sockaddr_in &>(address.storage).sin_addr, entry.address, 4);
  else
    std::memcpy(&reinterpret_cast<sockaddr_in6 &>(address.storage).sin6_addr, entry.address, 16);
  return address;
}

Status receiveTable(const Fd &socket, int64_t deadlineNs, std::vector<Entry> &table) {
  auto *bytes = reinterpret_cast<char *>(table.data());
  size_t numBytes = table.size() * sizeof(Entry);
  while (numBytes > 0) {
    ssize_t got = recv(socket.get(), bytes, numBytes, 0);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
      return fail(Code::kPeerLost, "rank 0 has left the meeting of ranks");
    if (got > 0) {
      bytes += got;
      numBytes -= size_t(got);
      continue;
    }
    if (nowNs() >= deadlineNs)
      return fail(Code::kTimeout, "the meeting of ranks was not complete before the deadline");
    pollfd entry = {socket.get(), POLLIN, 0};
    poll(&entry, 1, waitMs(deadlineNs));
  }
  return Status();
}

Status meetAsFirst(const MeetingPoint &point, Door &door, const Hello &own, int64_t deadlineNs,
                   std::vector<Fd> &sockets) {
  if (Status status = door.open(point.host, point.port); !status.ok())
    return status;
  if (Status status = door.admit(own, deadlineNs, sockets); !status.ok())
    return status;
  std::vector<Entry> table(sockets.size());
  for (size_t i = 1; i < sockets.size(); ++i)
    table[i] = entryOf(sockets[i], door.ports[i]);
  for (size_t i = 1; i < sockets.size(); ++i)
    if (Status status = sendAll(sockets[i], table.data(), table.size() * sizeof(Entry), deadlineNs); !status.ok())
      return status;
  return Status();
}

} // namespace

Status meetRanks(const MeetingPoint &point, int32_t rank, int32_t size, int64_t deadlineNs, std::vector<Fd> &sockets) {
  sockets.clear();
  sockets.resize(size_t(size));
  Hello own = {kMagic, hashOf(point.run), kVersion, rank, size, 0};
  Door door;
  if (rank == 0)
    return meetAsFirst(point, door, own, deadlineNs, sockets);
  if (Status status = door.open(point.host, 0); !status.ok())
    return status;
  own.port = door.port();
  std::vector<Address> addresses;
  if (Status status = resolve(point.host, addresses); !status.ok())
    return status;
  std::string who = "rank 0 at '" + point.host + "'";
  if (Status status = reach(addresses, point.port, who, own, deadlineNs, sockets[0]); !status.ok())
    return status;
  std::vector<Entry> table(sockets.size());
  if (Status status = receiveTable(sockets[0], deadlineNs, table); !status.ok())
    return status;
  for (int32_t other = 1; other < rank; ++other) {
    const Entry &entry = table[size_t(other)];
    Status status = reach({addressOf(entry, sockets[0])}, entry.port, format("rank %d", other), own, deadlineNs,
                          sockets[size_t(other)]);
    if (!status.ok())
      return status;
  }
  return door.admit(own, deadlineNs, sockets);
}

} // namespace rt
} // namespace penstock
