//===- Recording.cpp - What went over the channels of a run ------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "penstock/rt/Recording.h"

#include "Memory.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

namespace penstock {
namespace rt {

static_assert(sizeof(RecordingHead) == 88 && offsetof(RecordingHead, checksum) == 80, "the format has no gaps");
static_assert(sizeof(RecordHead) == 64 && offsetof(RecordHead, checksum) == 56, "the format has no gaps");

static constexpr int32_t kMaxDims = 64, kMaxSymbols = 1 << 16, kMaxChannels = 1 << 20;

static int64_t padded(int64_t numBytes) { return (numBytes + 7) / 8 * 8; }

static uint64_t checksumOf(const RecordingHead &head) { return XXH3_64bits(&head, offsetof(RecordingHead, checksum)); }

static uint64_t checksumOf(const RecordHead &head, Span<const int64_t> dims, Span<const int64_t> symbols) {
  XXH3_state_t state;
  XXH3_64bits_reset(&state);
  XXH3_64bits_update(&state, &head, offsetof(RecordHead, checksum));
  XXH3_64bits_update(&state, dims.data, dims.count * sizeof(int64_t));
  XXH3_64bits_update(&state, symbols.data, symbols.count * sizeof(int64_t));
  return XXH3_64bits_digest(&state);
}

static iovec partOf(const void *data, size_t numBytes) { return {const_cast<void *>(data), numBytes}; }

/// Allocates nothing: a run that is recorded keeps what is promised of any run.
Status RecordingWriter::write(RecordHead head, Span<const int64_t> dims, Span<const int64_t> symbols,
                              const void *payload) const {
  static constexpr char kZeros[8] = {};
  head.numDims = static_cast<int32_t>(dims.count);
  head.numSymbols = static_cast<int32_t>(symbols.count);
  head.payloadChecksum = XXH3_64bits(payload ? payload : kZeros, size_t(head.numBytes));
  head.checksum = checksumOf(head, dims, symbols);
  const iovec parts[] = {partOf(&head, sizeof(head)), partOf(dims.data, dims.count * sizeof(int64_t)),
                         partOf(symbols.data, symbols.count * sizeof(int64_t)), partOf(payload, size_t(head.numBytes)),
                         partOf(kZeros, size_t(padded(head.numBytes) - head.numBytes))};
  size_t total = 0;
  for (const iovec &part : parts)
    total += part.iov_len;
  // Appending is one step for the file system as long as it is one call: no lock is needed, and none can stay behind.
  ssize_t written;
  do
    written = writev(fd, parts, 5);
  while (written < 0 && errno == EINTR);
  if (written < 0)
    return failErrno("cannot write the recording");
  if (size_t(written) != total)
    return fail(Code::kSystem, "cannot write the recording: %zd of %zu bytes were written", written, total);
  return Status();
}

RecordingFile::~RecordingFile() {
  if (fd < 0)
    return;
  close(fd);
  unlink(partial.c_str());
}

Status RecordingFile::create(const std::string &where, const std::string &fingerprint, int32_t numChannels) {
  fd = createBeside(where, O_APPEND, partial).take();
  if (fd < 0)
    return Status(Code::kInvalid, failErrno("cannot write the recording '%s'", where.c_str()).message());
  path = where;
  RecordingHead head;
  std::memcpy(head.magic, kRecordingMagic, sizeof(head.magic));
  head.numChannels = numChannels;
  std::memcpy(head.fingerprint, fingerprint.data(), std::min(fingerprint.size(), sizeof(head.fingerprint)));
  head.checksum = checksumOf(head);
  if (::write(fd, &head, sizeof(head)) != ssize_t(sizeof(head)))
    return failErrno("cannot write the recording '%s'", where.c_str());
  return Status();
}

Status RecordingFile::finish(bool isComplete) {
  RecordHead head;
  head.kind = RecordHead::kEnd;
  head.place = isComplete;
  Status status = RecordingWriter(fd).write(head, {}, {}, nullptr);
  if (close(fd) != 0 && status.ok())
    status = failErrno("cannot write the recording '%s'", path.c_str());
  fd = -1;
  if (status.ok() && std::rename(partial.c_str(), path.c_str()) != 0)
    status = failErrno("cannot write the recording '%s'", path.c_str());
  if (!status.ok())
    unlink(partial.c_str());
  return status;
}

Recording::~Recording() {
  if (fd >= 0)
    close(fd);
}

Status Recording::damaged(int64_t at, const char *what) const {
  return fail(Code::kInvalid, "recording '%s' is damaged: %s at byte %lld of %lld", name.c_str(), what, (long long)at,
              (long long)fileBytes);
}

/// The caller has held the range against the file's length.
Status Recording::readAt(int64_t at, void *to, int64_t numBytes) const {
  auto *bytes = static_cast<char *>(to);
  while (numBytes > 0) {
    ssize_t count = pread(fd, bytes, size_t(numBytes), at);
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      return failErrno("cannot read the recording '%s'", name.c_str());
    if (count == 0)
      return fail(Code::kInvalid, "recording '%s' has become shorter while it was read", name.c_str());
    bytes += count, at += count, numBytes -= count;
  }
  return Status();
}

Status Recording::readHead() {
  RecordingHead head;
  if (fileBytes < int64_t(sizeof(head)))
    return fail(Code::kInvalid, "'%s' is no recording: it has %lld bytes", name.c_str(), (long long)fileBytes);
  if (Status status = readAt(0, &head, sizeof(head)); !status.ok())
    return status;
  if (std::memcmp(head.magic, kRecordingMagic, sizeof(head.magic)) != 0)
    return fail(Code::kInvalid, "'%s' is no recording that penstock run --record wrote", name.c_str());
  if (head.version != kRecordingVersion)
    return fail(Code::kInvalid, "recording '%s' has version %u, expected %u", name.c_str(), head.version,
                kRecordingVersion);
  if (head.checksum != checksumOf(head) || head.numChannels < 0 || head.numChannels > kMaxChannels)
    return damaged(0, "the head does not fit its checksum");
  theFingerprint.assign(head.fingerprint, sizeof(head.fingerprint));
  channels.resize(size_t(head.numChannels));
  return Status();
}

Status Recording::readRecord(int64_t &at, bool &isEnd) {
  RecordHead head;
  const int64_t begin = at;
  if (fileBytes - at < int64_t(sizeof(head)))
    return fail(Code::kInvalid, "recording '%s' is truncated: it has %lld bytes and no end", name.c_str(),
                (long long)fileBytes);
  if (Status status = readAt(at, &head, sizeof(head)); !status.ok())
    return status;
  at += int64_t(sizeof(head));
  if (head.numDims < 0 || head.numDims > kMaxDims || head.numSymbols < 0 || head.numSymbols > kMaxSymbols)
    return damaged(begin, "a record of impossible lengths");
  std::vector<int64_t> numbers(size_t(head.numDims) + size_t(head.numSymbols));
  auto numberBytes = static_cast<int64_t>(numbers.size() * sizeof(int64_t));
  if (numberBytes > fileBytes - at)
    return fail(Code::kInvalid, "recording '%s' is truncated within the record at byte %lld", name.c_str(),
                (long long)begin);
  if (Status status = readAt(at, numbers.data(), numberBytes); !status.ok())
    return status;
  at += numberBytes;
  auto numDims = static_cast<size_t>(head.numDims), numSymbols = static_cast<size_t>(head.numSymbols);
  if (head.checksum != checksumOf(head, {numbers.data(), numDims}, {numbers.data() + numDims, numSymbols}))
    return damaged(begin, "a record does not fit its checksum");
  if (head.numBytes < 0 || head.numBytes > fileBytes - at || padded(head.numBytes) > fileBytes - at)
    return fail(Code::kInvalid, "recording '%s' is truncated within the record at byte %lld", name.c_str(),
                (long long)begin);
  isEnd = head.kind == RecordHead::kEnd;
  complete = isEnd && head.place == 1;
  if (head.kind == RecordHead::kMessage) {
    if (head.place < 0 || head.place >= numChannels())
      return damaged(begin, "a message of a channel that does not exist");
    Message message = {head.request, head.microbatch, {}, {}, head.numBytes, at, head.payloadChecksum};
    message.dims.assign(numbers.begin(), numbers.begin() + head.numDims);
    message.symbols.assign(numbers.begin() + head.numDims, numbers.end());
    channels[size_t(head.place)].push_back(std::move(message));
  } else if (!isEnd && head.kind != RecordHead::kResult) {
    return damaged(begin, "a record of an unknown kind");
  }
  at += padded(head.numBytes);
  return Status();
}

Status Recording::open(const std::string &path) {
  name = path;
  fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  struct stat info;
  if (fd < 0 || fstat(fd, &info) != 0)
    return Status(Code::kInvalid, failErrno("cannot open the recording '%s'", path.c_str()).message());
  if (!S_ISREG(info.st_mode))
    return fail(Code::kInvalid, "recording '%s' is no regular file", path.c_str());
  fileBytes = info.st_size;
  if (Status status = readHead(); !status.ok())
    return status;
  bool isEnd = false;
  int64_t at = sizeof(RecordingHead);
  while (!isEnd)
    if (Status status = readRecord(at, isEnd); !status.ok())
      return status;
  return at == fileBytes ? Status() : damaged(at, "bytes after the end");
}

Status Recording::read(const Message &message, void *to) const {
  if (Status status = readAt(message.offset, to, message.numBytes); !status.ok())
    return status;
  if (XXH3_64bits(to, size_t(message.numBytes)) != message.checksum)
    return damaged(message.offset, "a payload does not fit its checksum");
  return Status();
}

} // namespace rt
} // namespace penstock
