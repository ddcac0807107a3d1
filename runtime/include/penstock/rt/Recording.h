//===- Recording.h - What went over the channels of a run --------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// One file with every message of a run, and on wish with what every kernel made; docs/recording.md has the format. The
// host makes the file and ends it; every process of the run appends to it through the same descriptor, one write per
// record, so that records never mix. Whoever produces a message records it: each is there once.
//
// A recording is not trusted when it is read: all lengths are held against the file's, heads and payloads against their
// checksums. Errors name the file and the byte.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_RECORDING_H
#define PENSTOCK_RT_RECORDING_H

#include "penstock/rt/Transport.h"

namespace penstock {
namespace rt {

constexpr uint32_t kRecordingVersion = 1;
constexpr char kRecordingMagic[8] = {'P', 'N', 'S', 'T', 'K', 'R', 'E', 'C'};

/// The first bytes of the file.
struct RecordingHead {
  char magic[8] = {};
  uint32_t version = kRecordingVersion;
  int32_t numChannels = 0; ///< of the plan
  char fingerprint[64] = {};
  uint64_t checksum = 0; ///< XXH3, 64 bits, of what stands before it
};

/// What stands before the payload of each record; extents and symbol values lie between the two.
struct RecordHead {
  enum Kind : uint32_t { kMessage = 1, kResult, kEnd };
  uint32_t kind = kMessage;
  int32_t place = 0; ///< message: channel of the plan; result: role; end: 1 if the run ended well
  int32_t step = 0;  ///< result: kernel call of the role
  int32_t index = 0; ///< result: which result of the call
  int32_t numDims = 0, numSymbols = 0;
  int64_t request = 0, microbatch = 0; ///< end: 0
  int64_t numBytes = 0;                ///< of the payload, which is filled up to a multiple of 8
  uint64_t payloadChecksum = 0;
  uint64_t checksum = 0; ///< of this head up to here, extents and symbol values
};

/// Appends records through a descriptor that others append to as well; does not own it.
class RecordingWriter {
public:
  explicit RecordingWriter(int fd) : fd(fd) {}
  /// Fills in lengths and checksums. kSystem: the disk is full, or the payload is longer than one write can be.
  Status write(RecordHead head, Span<const int64_t> dims, Span<const int64_t> symbols, const void *payload) const;

private:
  int fd;
};

/// The file while a run writes it: under another name until it is ended.
class RecordingFile {
public:
  RecordingFile() = default;
  RecordingFile(const RecordingFile &) = delete;
  RecordingFile &operator=(const RecordingFile &) = delete;
  /// A file that was not finished is removed.
  ~RecordingFile();
  Status create(const std::string &path, const std::string &fingerprint, int32_t numChannels);
  /// -1 before create().
  int descriptor() const { return fd; }
  /// Ends the file and gives it its name. Only when nobody writes any more. `isComplete`: the run ended well.
  Status finish(bool isComplete);

private:
  std::string path, partial;
  int fd = -1;
};

/// A file that is read.
class Recording {
public:
  struct Message {
    int64_t request = 0, microbatch = 0;
    std::vector<int64_t> dims, symbols;
    int64_t numBytes = 0;
    int64_t offset = 0; ///< of the payload
    uint64_t checksum = 0;
  };

  Recording() = default;
  Recording(const Recording &) = delete;
  Recording &operator=(const Recording &) = delete;
  ~Recording();
  /// Reads all heads. kInvalid: no recording, another version, truncated or damaged.
  Status open(const std::string &path);

  const std::string &path() const { return name; }
  const std::string &fingerprint() const { return theFingerprint; }
  /// False: the run failed; what went over the channels until then is there.
  bool isComplete() const { return complete; }
  int32_t numChannels() const { return static_cast<int32_t>(channels.size()); }
  /// In the order in which they were sent.
  const std::vector<Message> &messages(int32_t channel) const { return channels[size_t(channel)]; }
  /// The payload, checked; `to` has room for it.
  Status read(const Message &message, void *to) const;

private:
  Status readHead();
  Status readRecord(int64_t &at, bool &isEnd);
  Status readAt(int64_t at, void *to, int64_t numBytes) const;
  Status damaged(int64_t at, const char *what) const;

  std::string name, theFingerprint;
  int fd = -1;
  int64_t fileBytes = 0;
  bool complete = false;
  std::vector<std::vector<Message>> channels;
};

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_RECORDING_H
