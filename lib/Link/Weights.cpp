//===- Weights.cpp - The weights file of a role -------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Two passes over each source: the first takes its checksum, which finds equal weights; the second copies those that
// are new. Equal checksums are believed only after the bytes were compared.
//
//===----------------------------------------------------------------------===//

#include "penstock/Link/Weights.h"

#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/MathExtras.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <map>
#include <memory>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

using namespace penstock;
using namespace penstock::link;

static constexpr int64_t kAlignment = 64;
static constexpr int64_t kChunkBytes = 1 << 20;

namespace {
class Descriptor {
public:
  explicit Descriptor(int number = -1) : number(number) {}
  Descriptor(const Descriptor &) = delete;
  Descriptor &operator=(const Descriptor &) = delete;
  ~Descriptor() { reset(-1); }
  void reset(int newNumber) {
    if (number >= 0)
      ::close(number);
    number = newNumber;
  }
  int number;
};

class Hasher {
public:
  Hasher() : state(XXH3_createState(), &XXH3_freeState) { XXH3_128bits_reset(state.get()); }
  void add(llvm::ArrayRef<char> bytes) { XXH3_128bits_update(state.get(), bytes.data(), bytes.size()); }
  Checksum get() const {
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state.get()));
    Checksum checksum;
    std::memcpy(checksum.data(), canonical.digest, checksum.size());
    return checksum;
  }

private:
  std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t *)> state;
};

/// Reads sources chunk by chunk; keeps the last file open, since neighbours mostly share it.
class Reader {
public:
  using Consumer = llvm::function_ref<llvm::Error(llvm::ArrayRef<char>)>;

  llvm::Error read(const WeightSource &source, Consumer consume);

private:
  llvm::Error open(const WeightSource &source);
  llvm::Error fill(const WeightSource &source, int64_t position, int64_t length);

  std::string openName;
  Descriptor file;
  int64_t fileBytes = 0;
  std::vector<char> buffer;
};

class Writer {
public:
  explicit Writer(llvm::StringRef path) : path(path.str()) {}
  ~Writer() {
    if (!finished && file.number >= 0)
      ::unlink(path.c_str());
  }
  llvm::Error open();
  llvm::Error write(llvm::ArrayRef<char> bytes);
  llvm::Error align();
  /// Closes the file, at which some file systems first report a full disk.
  llvm::Error finish();

  int64_t position = 0;
  Hasher hasher;

private:
  std::string path;
  Descriptor file;
  bool finished = false;
};
} // namespace

llvm::Error Reader::open(const WeightSource &source) {
  if (source.file == openName)
    return llvm::Error::success();
  std::string what = "read weight '" + source.name + "' from";
  openName.clear();
  file.reset(::open(source.file.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status;
  if (file.number < 0 || ::fstat(file.number, &status))
    return systemError(what.c_str(), source.file, errno);
  if (!S_ISREG(status.st_mode))
    return userError("cannot {0} '{1}': expected a regular file", what, source.file);
  openName = source.file;
  fileBytes = status.st_size;
  return llvm::Error::success();
}

llvm::Error Reader::fill(const WeightSource &source, int64_t position, int64_t length) {
  for (int64_t done = 0; done < length;) {
    ssize_t count = ::pread(file.number, buffer.data() + done, length - done, position + done);
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      return systemError(("read weight '" + source.name + "' from").c_str(), source.file, errno);
    if (count == 0)
      return userError("file '{0}' became shorter while weight '{1}' was read", source.file, source.name);
    done += count;
  }
  return llvm::Error::success();
}

llvm::Error Reader::read(const WeightSource &source, Consumer consume) {
  if (source.file.empty()) {
    if (int64_t(source.bytes.size()) != source.numBytes)
      return worldError("weight '{0}' was given {1} bytes; expected {2}", source.name, source.bytes.size(),
                        source.numBytes);
    return consume(source.bytes);
  }
  if (llvm::Error error = open(source))
    return error;
  if (source.offset < 0 || source.numBytes < 0 || source.offset > fileBytes ||
      source.numBytes > fileBytes - source.offset)
    return userError("weight '{0}' needs bytes {1} to {2} of '{3}', which has {4}", source.name, source.offset,
                     source.offset + uint64_t(source.numBytes), source.file, fileBytes);
  buffer.resize(kChunkBytes);
  for (int64_t done = 0; done < source.numBytes;) {
    int64_t length = std::min(kChunkBytes, source.numBytes - done);
    if (llvm::Error error = fill(source, source.offset + done, length))
      return error;
    if (llvm::Error error = consume(llvm::ArrayRef<char>(buffer.data(), length)))
      return error;
    done += length;
  }
  return llvm::Error::success();
}

llvm::Error Writer::open() {
  file.number = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  return file.number < 0 ? systemError("write weights file", path, errno) : llvm::Error::success();
}

llvm::Error Writer::write(llvm::ArrayRef<char> bytes) {
  hasher.add(bytes);
  position += bytes.size();
  while (!bytes.empty()) {
    ssize_t count = ::write(file.number, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      return systemError("write weights file", path, errno);
    bytes = bytes.drop_front(count);
  }
  return llvm::Error::success();
}

llvm::Error Writer::align() {
  static const char zeros[kAlignment] = {};
  return write(llvm::ArrayRef<char>(zeros, llvm::alignTo(position, kAlignment) - position));
}

llvm::Error Writer::finish() {
  int number = file.number;
  file.number = -1;
  if (::close(number)) {
    int reason = errno;
    ::unlink(path.c_str());
    return systemError("write weights file", path, reason);
  }
  finished = true;
  return llvm::Error::success();
}

/// True if two sources of one length have the same bytes.
static llvm::Expected<bool> areEqual(const WeightSource &lhs, const WeightSource &rhs) {
  if (lhs.file == rhs.file && !lhs.file.empty() && lhs.offset == rhs.offset)
    return true;
  Reader left, right;
  bool equal = true;
  int64_t position = 0;
  // The right side is read in the left one's chunks.
  llvm::Error error = left.read(lhs, [&](llvm::ArrayRef<char> chunk) -> llvm::Error {
    WeightSource part = rhs;
    part.numBytes = chunk.size();
    part.offset = rhs.offset + position;
    if (rhs.file.empty())
      part.bytes = rhs.bytes.slice(position, chunk.size());
    position += chunk.size();
    llvm::ArrayRef<char> rest = chunk;
    return right.read(part, [&](llvm::ArrayRef<char> other) -> llvm::Error {
      equal &= rest.take_front(other.size()) == other;
      rest = rest.drop_front(other.size());
      return llvm::Error::success();
    });
  });
  if (error)
    return std::move(error);
  return equal;
}

namespace {
/// Weights already in the file, by length and checksum.
using Index = std::map<std::pair<int64_t, Checksum>, std::vector<size_t>>;
} // namespace

/// The earlier source with the same bytes, or `i` itself.
static llvm::Expected<size_t> findEqual(llvm::ArrayRef<WeightSource> sources, llvm::ArrayRef<size_t> candidates,
                                        size_t i) {
  for (size_t candidate : candidates) {
    llvm::Expected<bool> equal = areEqual(sources[candidate], sources[i]);
    if (!equal)
      return equal.takeError();
    if (*equal)
      return candidate;
  }
  return i;
}

static llvm::Error appendWeight(llvm::ArrayRef<WeightSource> sources, size_t i, Reader &reader, Writer &writer,
                                Index &index, WeightsFile &result) {
  const WeightSource &source = sources[i];
  Hasher hasher;
  if (llvm::Error error = reader.read(source, [&](llvm::ArrayRef<char> chunk) {
        hasher.add(chunk);
        return llvm::Error::success();
      }))
    return error;
  WeightPlace &place = result.places[i];
  place.numBytes = source.numBytes;
  place.checksum = hasher.get();
  std::vector<size_t> &candidates = index[{place.numBytes, place.checksum}];
  llvm::Expected<size_t> equal = findEqual(sources, candidates, i);
  if (!equal)
    return equal.takeError();
  if (*equal != i) {
    place.offset = result.places[*equal].offset;
    result.numBytesShared += place.numBytes;
    return llvm::Error::success();
  }
  candidates.push_back(i);
  if (llvm::Error error = writer.align())
    return error;
  place.offset = writer.position;
  return reader.read(source, [&](llvm::ArrayRef<char> chunk) { return writer.write(chunk); });
}

llvm::Expected<WeightsFile> penstock::link::writeWeights(llvm::StringRef output, llvm::ArrayRef<WeightSource> sources) {
  WeightsFile result;
  if (sources.empty())
    return result;
  result.places.resize(sources.size());
  Reader reader;
  Writer writer(output);
  if (llvm::Error error = writer.open())
    return std::move(error);
  Index index;
  for (size_t i = 0; i < sources.size(); ++i)
    if (llvm::Error error = appendWeight(sources, i, reader, writer, index, result))
      return std::move(error);
  result.numBytes = writer.position;
  result.checksum = writer.hasher.get();
  if (llvm::Error error = writer.finish())
    return std::move(error);
  return result;
}

std::string penstock::link::formatChecksum(const Checksum &checksum) {
  return llvm::toHex(llvm::ArrayRef<uint8_t>(checksum), /*LowerCase=*/true);
}
