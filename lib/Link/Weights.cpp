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

#include "llvm/ADT/STLExtras.h"
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
static constexpr size_t kPieceBytes = 1 << 17;

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
  Hasher(const Hasher &other) : Hasher() { *this = other; }
  Hasher &operator=(const Hasher &other) {
    XXH3_copyState(state.get(), other.state.get());
    return *this;
  }
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
  llvm::Error read(const WeightSource &source, ByteConsumer consume);

private:
  llvm::Error make(const WeightSource &source, ByteConsumer consume);
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
  /// Takes back all that was written after `oldPosition`, where the hasher was `oldHasher`.
  llvm::Error rewind(int64_t oldPosition, const Hasher &oldHasher);
  /// True if the last `numBytes` of the file are those at `offset`.
  llvm::Expected<bool> endsWithCopyOf(int64_t offset, int64_t numBytes);
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

llvm::Error Reader::make(const WeightSource &source, ByteConsumer consume) {
  int64_t numBytes = 0;
  if (llvm::Error error = source.make([&](llvm::ArrayRef<char> chunk) {
        numBytes += chunk.size();
        return consume(chunk);
      }))
    return error;
  if (numBytes != source.numBytes)
    return worldError("weight '{0}' was given {1} bytes; expected {2}", source.name, numBytes, source.numBytes);
  return llvm::Error::success();
}

llvm::Error Reader::read(const WeightSource &source, ByteConsumer consume) {
  if (source.make)
    return make(source, consume);
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
  file.number = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
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

llvm::Error Writer::rewind(int64_t oldPosition, const Hasher &oldHasher) {
  if (::ftruncate(file.number, oldPosition) || ::lseek(file.number, oldPosition, SEEK_SET) < 0)
    return systemError("write weights file", path, errno);
  position = oldPosition;
  hasher = oldHasher;
  return llvm::Error::success();
}

llvm::Expected<bool> Writer::endsWithCopyOf(int64_t offset, int64_t numBytes) {
  std::vector<char> left(std::min(numBytes, kChunkBytes)), right(left.size());
  auto fill = [&](std::vector<char> &buffer, int64_t from, int64_t length) {
    for (int64_t done = 0; done < length;) {
      ssize_t count = ::pread(file.number, buffer.data() + done, length - done, from + done);
      if (count <= 0 && errno != EINTR)
        return false;
      done += std::max<ssize_t>(count, 0);
    }
    return true;
  };
  for (int64_t done = 0; done < numBytes; done += kChunkBytes) {
    int64_t length = std::min(kChunkBytes, numBytes - done);
    if (!fill(left, offset + done, length) || !fill(right, position - numBytes + done, length))
      return systemError("read back weights file", path, errno);
    if (std::memcmp(left.data(), right.data(), length) != 0)
      return false;
  }
  return true;
}

namespace {
/// Places of weights already in the file, by length and checksum.
using Index = std::map<std::pair<int64_t, Checksum>, std::vector<int64_t>>;
} // namespace

/// Writes the weight to the end of the file, and takes it back if it proves to be there already.
static llvm::Error appendWeight(const WeightSource &source, Reader &reader, Writer &writer, Index &index,
                                WeightsFile &result, WeightPlace &place) {
  int64_t before = writer.position;
  Hasher whole = writer.hasher, hasher;
  if (llvm::Error error = writer.align())
    return error;
  place.offset = writer.position;
  place.numBytes = source.numBytes;
  if (llvm::Error error = reader.read(source, [&](llvm::ArrayRef<char> chunk) -> llvm::Error {
        // Two checksums and a copy of each piece, while a core has it in its cache.
        for (; !chunk.empty(); chunk = chunk.drop_front(std::min(chunk.size(), kPieceBytes))) {
          hasher.add(chunk.take_front(kPieceBytes));
          if (llvm::Error error = writer.write(chunk.take_front(kPieceBytes)))
            return error;
        }
        return llvm::Error::success();
      }))
    return error;
  place.checksum = hasher.get();
  std::vector<int64_t> &candidates = index[{place.numBytes, place.checksum}];
  for (int64_t offset : candidates) {
    llvm::Expected<bool> isEqual = writer.endsWithCopyOf(offset, place.numBytes);
    if (!isEqual)
      return isEqual.takeError();
    if (!*isEqual)
      continue;
    place.offset = offset;
    result.numBytesShared += place.numBytes;
    return writer.rewind(before, whole);
  }
  candidates.push_back(place.offset);
  return llvm::Error::success();
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
  for (auto [source, place] : llvm::zip(sources, result.places))
    if (llvm::Error error = appendWeight(source, reader, writer, index, result, place))
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
