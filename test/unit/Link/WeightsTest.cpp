//===- WeightsTest.cpp - The weights file of a role ---------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "penstock/Link/Weights.h"

#include "Testing.h"

#include "gmock/gmock.h"
#include <xxhash.h>

using namespace penstock;
using namespace penstock::link;
using testing::HasSubstr;

namespace {
class WeightsTest : public testing::Test {
protected:
  WeightsTest() {
    for (int i = 0; i < 5000000; ++i) // more than a chunk of the reader
      model.push_back(char(i * 2654435761u >> 13));
    writeFile(folder.file("model"), model);
    output = folder.file("stage-0.weights");
  }
  WeightSource range(const std::string &name, int64_t offset, int64_t numBytes) {
    return {name, folder.file("model"), offset, numBytes, {}};
  }
  /// Bytes made by the driver, in two parts.
  WeightSource made(const std::string &name, const std::string &bytes) {
    auto make = [=](ByteConsumer consume) {
      llvm::ArrayRef<char> all(bytes.data(), bytes.size());
      if (llvm::Error error = consume(all.take_front(all.size() / 2)))
        return error;
      return consume(all.drop_front(all.size() / 2));
    };
    return {name, "", 0, int64_t(bytes.size()), make};
  }
  std::string write(int status) {
    llvm::Expected<WeightsFile> written = writeWeights(output, sources);
    if (written)
      result = *written;
    return messageOf(written.takeError(), status);
  }

  TemporaryFolder folder;
  std::string model, output;
  std::vector<WeightSource> sources;
  WeightsFile result;
};
} // namespace

static std::string checksumOf(const std::string &bytes) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes.data(), bytes.size()));
  Checksum checksum;
  std::copy(std::begin(canonical.digest), std::end(canonical.digest), checksum.begin());
  return formatChecksum(checksum);
}

// Each weight lies aligned in the file with the bytes of its source; checksums are those of the whole and of the parts.
TEST_F(WeightsTest, BytesOffsetsAndChecksums) {
  std::string bytesMade(777, 'm');
  sources = {range("a", 3, 100), range("b", 1000, 3500000), made("c", bytesMade), range("d", 4999999, 1),
             range("empty", 5000000, 0)};
  ASSERT_EQ(write(0), "");
  std::string bytes = readFile(output);
  ASSERT_EQ(int64_t(bytes.size()), result.numBytes);
  EXPECT_EQ(formatChecksum(result.checksum), checksumOf(bytes));
  for (size_t i = 0; i < sources.size(); ++i) {
    std::string expected = i == 2 ? bytesMade : model.substr(sources[i].offset, sources[i].numBytes);
    EXPECT_EQ(result.places[i].offset % 64, 0);
    EXPECT_TRUE(bytes.substr(result.places[i].offset, result.places[i].numBytes) == expected) << sources[i].name;
    EXPECT_EQ(formatChecksum(result.places[i].checksum), checksumOf(expected));
  }
  EXPECT_EQ(result.numBytesShared, 0);
}

// Equal bytes are kept once, whether they are one range, two ranges, or made by the driver.
TEST_F(WeightsTest, EqualWeightsShareOnePlace) {
  std::string copy = model.substr(64, 1600000);
  writeFile(folder.file("other"), "xx" + copy);
  sources = {range("a", 64, 1600000), range("tied", 64, 1600000),    {"file", folder.file("other"), 2, 1600000, {}},
             made("made", copy),      range("shorter", 64, 1599999), range("last", 64, 1600000)};
  ASSERT_EQ(write(0), "");
  for (int i = 1; i < 4; ++i)
    EXPECT_EQ(result.places[i].offset, result.places[0].offset);
  EXPECT_NE(result.places[4].offset, result.places[0].offset);
  EXPECT_EQ(result.places[5].offset, result.places[0].offset);
  EXPECT_EQ(result.numBytesShared, 4 * 1600000);
  // What was taken back is neither in the file nor in its checksum.
  std::string bytes = readFile(output);
  EXPECT_EQ(int64_t(bytes.size()), result.numBytes);
  EXPECT_EQ(result.numBytes, result.places[4].offset + 1599999);
  EXPECT_EQ(formatChecksum(result.checksum), checksumOf(bytes));
}

// A source that is made is asked for its bytes once.
TEST_F(WeightsTest, MadeOnce) {
  int numCalls = 0;
  WeightSource source = made("a", std::string(100, 'a'));
  auto make = source.make;
  source.make = [&](ByteConsumer consume) {
    ++numCalls;
    return make(consume);
  };
  sources = {range("before", 0, 10), source, source};
  ASSERT_EQ(write(0), "");
  EXPECT_EQ(numCalls, 2);
  EXPECT_EQ(result.places[1].offset, result.places[2].offset);
}

TEST_F(WeightsTest, NoWeightsNoFile) {
  ASSERT_EQ(write(0), "");
  EXPECT_FALSE(llvm::sys::fs::exists(output));
  EXPECT_EQ(result.numBytes, 0);
}

TEST_F(WeightsTest, ShortFile) {
  sources = {range("a", 0, 10), range("conv1.w", 4999990, 11)};
  EXPECT_EQ(write(2),
            "weight 'conv1.w' needs bytes 4999990 to 5000001 of '" + folder.file("model") + "', which has 5000000");
  EXPECT_FALSE(llvm::sys::fs::exists(output));
}

TEST_F(WeightsTest, RangesThatOverflow) {
  for (auto [offset, numBytes] : {std::pair<int64_t, int64_t>{-1, 4}, {INT64_MAX, 4}, {4, INT64_MAX}, {4, -4}}) {
    sources = {range("w", offset, numBytes)};
    EXPECT_THAT(write(2), HasSubstr("weight 'w' needs bytes"));
  }
}

TEST_F(WeightsTest, MissingFile) {
  sources = {{"w", folder.file("absent.bin"), 0, 4, {}}};
  EXPECT_EQ(write(2), "cannot read weight 'w' from '" + folder.file("absent.bin") + "': no such file or directory");
  sources = {{"w", folder.path(), 0, 4, {}}};
  EXPECT_THAT(write(2), HasSubstr("expected a regular file"));
  EXPECT_FALSE(llvm::sys::fs::exists(output));
}

TEST_F(WeightsTest, DiskFull) {
  sources = {range("a", 0, 3000000)};
  FileSizeLimit limit(100000);
  EXPECT_EQ(write(1), "cannot write weights file '" + output + "': file too large");
  EXPECT_FALSE(llvm::sys::fs::exists(output));
}

TEST_F(WeightsTest, MissingFolderAndExistingFile) {
  sources = {range("a", 0, 30)};
  writeFile(output, "kept");
  EXPECT_THAT(write(2), HasSubstr("file exists"));
  EXPECT_EQ(readFile(output), "kept");
  output = folder.file("absent/stage-0.weights");
  EXPECT_THAT(write(2), HasSubstr("no such file or directory"));
}
