//===- NcclWire.h - Two ranks in two processes -------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A socket of the same machine between the two ranks of a communicator, which never blocks: notes are kept until they
// can go, and taken when they have come. Threads: one at a time.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_TEST_STANDIN_NCCLWIRE_H
#define PENSTOCK_TEST_STANDIN_NCCLWIRE_H

#include <cstdint>
#include <deque>
#include <string>

namespace standin {

enum class NoteKind : uint32_t {
  kHello,     ///< host and device of the rank
  kSend,      ///< given to a stream; number: bytes
  kReceive,   ///< likewise
  kReady,     ///< number: of the receive that is next on its stream
  kData,      ///< number: of the send; its bytes
  kFinalized, ///< the rank gives nothing more
  kGone,      ///< number: 1 if in the middle
};

struct Note {
  NoteKind kind = NoteKind::kHello;
  uint64_t number = 0;
  std::string bytes;
};

class Wire {
public:
  /// The one who listens is connected when the other has come; the other tries until it has reached it.
  Wire(const std::string &name, bool listens);
  ~Wire();
  Wire(const Wire &) = delete;
  Wire &operator=(const Wire &) = delete;

  void tell(NoteKind kind, uint64_t number = 0, const std::string &bytes = std::string());
  /// Does what can be done now.
  void pump();
  bool isConnected() const { return connection >= 0; }
  /// The process at the other end has closed it or is gone. Notes that came before may still be there.
  bool isLost() const { return lost; }
  bool take(Note &note);
  /// To wait on for news, or -1.
  int descriptor() const { return connection; }

private:
  void connect();
  void write();
  void read();
  std::string name, out, in;
  int listener = -1, connection = -1;
  bool lost = false;
};

} // namespace standin

#endif // PENSTOCK_TEST_STANDIN_NCCLWIRE_H
