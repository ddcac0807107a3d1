//===- NcclWire.cpp - Two ranks in two processes -----------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "NcclWire.h"

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace standin {

namespace {

/// Before the bytes of a note.
struct Header {
  uint32_t kind = 0, reserved = 0;
  uint64_t number = 0, numBytes = 0;
};

/// A name without a file.
socklen_t fillAddress(const std::string &name, sockaddr_un &address) {
  address = {};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  return socklen_t(offsetof(sockaddr_un, sun_path) + 1 + name.size());
}

int makeSocket() { return socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0); }

} // namespace

Wire::Wire(const std::string &name, bool listens) : name(name) {
  if (!listens)
    return;
  sockaddr_un address;
  socklen_t length = fillAddress(name, address);
  listener = makeSocket();
  if (listener < 0 || bind(listener, reinterpret_cast<sockaddr *>(&address), length) != 0 || listen(listener, 1) != 0)
    lost = true;
}

Wire::~Wire() {
  if (!lost && connection >= 0)
    write();
  for (int one : {listener, connection})
    if (one >= 0)
      close(one);
}

void Wire::connect() {
  if (listener >= 0) {
    connection = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    return;
  }
  sockaddr_un address;
  socklen_t length = fillAddress(name, address);
  int made = makeSocket();
  if (made >= 0 && ::connect(made, reinterpret_cast<sockaddr *>(&address), length) == 0)
    connection = made;
  else if (made >= 0)
    close(made); // nobody listens yet
}

void Wire::tell(NoteKind kind, uint64_t number, const std::string &bytes) {
  Header header;
  header.kind = uint32_t(kind), header.number = number, header.numBytes = bytes.size();
  out.append(reinterpret_cast<const char *>(&header), sizeof(header));
  out += bytes;
}

void Wire::write() {
  while (!out.empty()) {
    ssize_t count = send(connection, out.data(), out.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count <= 0)
      return; // full, or lost, which reading shows
    out.erase(0, size_t(count));
  }
}

void Wire::read() {
  char buffer[65536];
  for (;;) {
    ssize_t count = recv(connection, buffer, sizeof(buffer), MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
      return;
    if (count <= 0) {
      lost = true;
      return;
    }
    in.append(buffer, size_t(count));
  }
}

void Wire::pump() {
  if (lost)
    return;
  if (connection < 0)
    connect();
  if (connection < 0)
    return;
  write();
  read();
}

bool Wire::take(Note &note) {
  Header header;
  if (in.size() < sizeof(header))
    return false;
  std::memcpy(&header, in.data(), sizeof(header));
  if (in.size() < sizeof(header) + header.numBytes)
    return false;
  note.kind = NoteKind(header.kind), note.number = header.number;
  note.bytes = in.substr(sizeof(header), header.numBytes);
  in.erase(0, sizeof(header) + header.numBytes);
  return true;
}

} // namespace standin
