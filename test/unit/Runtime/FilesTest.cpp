//===- FilesTest.cpp - Tensors in files --------------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "penstock/rt/Files.h"

#include "Folder.h"

#include <cstring>
#include <random>
#include <zlib.h>

using namespace penstock::rt;
using testrole::TemporaryFolder;
using testrole::writeFile;

namespace {

std::string little(uint64_t value, int width) {
  std::string text;
  for (int i = 0; i < width; ++i)
    text += char(value >> (8 * i));
  return text;
}

template <typename T> std::string bytesOf(std::vector<T> values) {
  return std::string(reinterpret_cast<const char *>(values.data()), values.size() * sizeof(T));
}

std::string npy(const std::string &header, const std::string &data, int version = 1) {
  return std::string("\x93NUMPY") + char(version) + '\0' + little(header.size(), version == 1 ? 2 : 4) + header + data;
}

std::string header(const std::string &descr, const std::string &shape, bool fortran = false) {
  return "{'descr': '" + descr + "', 'fortran_order': " + (fortran ? "True" : "False") + ", 'shape': " + shape +
         ", }\n";
}

Status parse(const std::string &bytes, Tensor &tensor) {
  return parseNpy(bytes.data(), int64_t(bytes.size()), "'a.npy'", tensor);
}

std::string dataOf(const Tensor &tensor) { return std::string(tensor.data.get(), size_t(tensor.numBytes)); }

// Every element type, version and way to write the header is understood.
TEST(Npy, readsWhatNumpyWrites) {
  struct Case {
    const char *descr;
    int32_t dtype;
    size_t width;
  };
  for (Case c : {Case{"<f4", RT_F32, 4},
                 {"<f8", RT_F64, 8},
                 {"<f2", RT_F16, 2},
                 {"|b1", RT_BOOL, 1},
                 {"|u1", RT_U8, 1},
                 {"|i1", RT_I8, 1},
                 {"<i2", RT_I16, 2},
                 {"<u2", RT_U16, 2},
                 {"<i4", RT_I32, 4},
                 {"<u4", RT_U32, 4},
                 {"<i8", RT_I64, 8},
                 {"<u8", RT_U64, 8},
                 {"|V2", RT_BF16, 2}})
    for (int version : {1, 2, 3}) {
      Tensor tensor;
      std::string data(c.width * 6, '\1');
      Status status = parse(npy(header(c.descr, "(2, 3)"), data, version), tensor);
      ASSERT_TRUE(status.ok()) << status.message();
      EXPECT_EQ(tensor.dtype, c.dtype);
      EXPECT_EQ(tensor.dims, (std::vector<int64_t>{2, 3}));
      EXPECT_EQ(dataOf(tensor), data);
    }
  Tensor tensor;
  ASSERT_TRUE(parse(npy(header("<i4", "()"), bytesOf<int32_t>({7})), tensor).ok());
  EXPECT_TRUE(tensor.dims.empty());
  ASSERT_TRUE(parse(npy(header("<i4", "(1,)"), bytesOf<int32_t>({7})), tensor).ok());
  EXPECT_EQ(tensor.dims, std::vector<int64_t>{1});
  ASSERT_TRUE(parse(npy(header("<i4", "(0, 5)"), ""), tensor).ok());
  EXPECT_EQ(tensor.numBytes, 0);
  ASSERT_TRUE(
      parse(npy("{\"shape\":(2L,),\"fortran_order\":False,\"descr\":\"<i4\"}", bytesOf<int32_t>({1, 2})), tensor).ok());
}

// Fortran order becomes row-major.
TEST(Npy, fortranOrder) {
  Tensor tensor;
  // a[i][j][k] = 100 i + 10 j + k with extents 2, 3, 2, first index fastest.
  std::vector<int32_t> columns, rows;
  for (int k = 0; k < 2; ++k)
    for (int j = 0; j < 3; ++j)
      for (int i = 0; i < 2; ++i)
        columns.push_back(100 * i + 10 * j + k);
  for (int i = 0; i < 2; ++i)
    for (int j = 0; j < 3; ++j)
      for (int k = 0; k < 2; ++k)
        rows.push_back(100 * i + 10 * j + k);
  ASSERT_TRUE(parse(npy(header("<i4", "(2, 3, 2)", true), bytesOf(columns)), tensor).ok());
  EXPECT_EQ(dataOf(tensor), bytesOf(rows));
}

// Whatever is wrong is the user's fault and named; nothing crashes.
TEST(Npy, refusesOddFiles) {
  Tensor tensor;
  auto refuse = [&](const std::string &bytes, const char *words) {
    Status status = parse(bytes, tensor);
    EXPECT_EQ(status.code(), Code::kInvalid) << words;
    EXPECT_NE(status.message().find("'a.npy'"), std::string::npos) << status.message();
    EXPECT_NE(status.message().find(words), std::string::npos) << status.message();
  };
  refuse("", "expected a .npy array");
  refuse(npy(header("<f4", "(2,)"), "1234567", 9), "version 9");
  refuse(npy(header(">f4", "(1,)"), "1234"), "type '>f4'");
  refuse(npy(header("<c8", "(1,)"), "12345678"), "type '<c8'");
  refuse(npy(header("|O", "(1,)"), "12345678"), "type '|O'");
  refuse(npy(header("<f4", "(2,)"), "1234567"), "7 bytes of data, expected 8");
  refuse(npy(header("<f4", "(2,)"), "123456789"), "9 bytes of data, expected 8");
  refuse(npy(header("<f4", "(99999999999, 99999999999)"), ""), "too large");
  refuse(npy(header("<f4", "(99999999999999999999)"), ""), "cannot be read");
  refuse(npy(header("<f4", "(-1,)"), ""), "cannot be read");
  refuse(npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", "1234"), "cannot be read");
  refuse(npy("{'descr': '<f4', 'shape': (1,)}", "1234"), "cannot be read");
  std::string whole = npy(header("<f4", "(2, 2)"), std::string(16, 'x'));
  for (size_t length = 0; length < whole.size(); ++length)
    EXPECT_EQ(parse(whole.substr(0, length), tensor).code(), Code::kInvalid) << length;
}

// What is written is read again, and NumPy's own rules hold: data at a multiple of 64.
TEST(Npy, roundTrip) {
  TemporaryFolder folder;
  for (std::vector<int64_t> dims : {std::vector<int64_t>{}, {3}, {2, 3}, {0, 4}, std::vector<int64_t>(12, 1)}) {
    Tensor tensor, again;
    ASSERT_TRUE(Tensor::make(RT_F32, dims, tensor).ok());
    for (int64_t i = 0; i < tensor.numBytes; ++i)
      tensor.data.get()[i] = char(i);
    std::string path = folder.path + "/t.npy";
    ASSERT_TRUE(writeNpyFile(path, tensor).ok());
    Status status = readTensorFile(path, again);
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_EQ(again.dims, dims);
    EXPECT_EQ(dataOf(again), dataOf(tensor));
    EXPECT_EQ((std::filesystem::file_size(path) - size_t(tensor.numBytes)) % 64, 0u);
  }
  Status status = writeNpyFile(folder.path + "/none/t.npy", Tensor());
  EXPECT_EQ(status.code(), Code::kSystem);
  EXPECT_NE(status.message().find("no such file"), std::string::npos) << status.message();
}

std::string deflated(const std::string &bytes) {
  z_stream stream = {};
  EXPECT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(bytes.size() + 1000, '\0');
  stream.next_in = reinterpret_cast<Bytef *>(const_cast<char *>(bytes.data()));
  stream.avail_in = uInt(bytes.size());
  stream.next_out = reinterpret_cast<Bytef *>(&out[0]);
  stream.avail_out = uInt(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

struct Member {
  std::string name, bytes;
  bool packed = false, wide = false; ///< wide: sizes in 64-bit fields
};

std::string zip(const std::vector<Member> &members) {
  std::string file, directory;
  for (const Member &member : members) {
    std::string data = member.packed ? deflated(member.bytes) : member.bytes;
    uint32_t crc = uint32_t(crc32(0, reinterpret_cast<const Bytef *>(member.bytes.data()), uInt(member.bytes.size())));
    std::string extra =
        member.wide ? little(1, 2) + little(16, 2) + little(member.bytes.size(), 8) + little(data.size(), 8) : "";
    std::string sizes = member.wide ? little(0xffffffff, 4) + little(0xffffffff, 4)
                                    : little(data.size(), 4) + little(member.bytes.size(), 4);
    std::string common = little(20, 2) + little(0, 2) + little(member.packed ? 8 : 0, 2) + little(0, 4) +
                         little(crc, 4) + sizes + little(member.name.size(), 2) + little(extra.size(), 2);
    directory += little(0x02014b50, 4) + little(20, 2) + common + little(0, 2) + little(0, 2) + little(0, 2) +
                 little(0, 4) + little(file.size(), 4) + member.name + extra;
    file += little(0x04034b50, 4) + common + member.name + extra + data;
  }
  return file + directory + little(0x06054b50, 4) + little(0, 4) + little(members.size(), 2) +
         little(members.size(), 2) + little(directory.size(), 4) + little(file.size(), 4) + little(0, 2);
}

// Stored and deflated members, with and without 64-bit sizes.
TEST(Npz, readsArchives) {
  std::string a = npy(header("<i4", "(2,)"), bytesOf<int32_t>({1, 2}));
  std::string b = npy(header("<f4", "(1000,)"), std::string(4000, '\0'));
  for (bool wide : {false, true}) {
    TensorMap tensors;
    std::string bytes = zip({{"a.npy", a, false, wide}, {"b/c.npy", b, true, wide}});
    Status status = parseNpz(bytes.data(), int64_t(bytes.size()), "'in.npz'", tensors);
    ASSERT_TRUE(status.ok()) << status.message();
    ASSERT_EQ(tensors.size(), 2u);
    EXPECT_EQ(dataOf(tensors["a"]), bytesOf<int32_t>({1, 2}));
    EXPECT_EQ(tensors["b/c"].dims, std::vector<int64_t>{1000});
  }
}

// Truncated anywhere, or with any byte changed: an error or, where the byte does not matter, the same tensors; never a
// crash.
TEST(Npz, refusesDamage) {
  std::string a = npy(header("<i4", "(2,)"), bytesOf<int32_t>({1, 2}));
  std::string whole = zip({{"a.npy", a, true, true}});
  TensorMap tensors;
  for (size_t length = 0; length < whole.size(); ++length)
    EXPECT_EQ(parseNpz(whole.data(), int64_t(length), "'in.npz'", tensors).code(), Code::kInvalid) << length;
  for (size_t at = 0; at < whole.size(); ++at)
    for (char flip : {char(1), char(0x80), char(0xff)}) {
      std::string damaged = whole;
      damaged[at] = char(damaged[at] ^ flip);
      Status status = parseNpz(damaged.data(), int64_t(damaged.size()), "'in.npz'", tensors);
      if (status.ok()) {
        for (auto &entry : tensors)
          EXPECT_EQ(dataOf(entry.second), bytesOf<int32_t>({1, 2})) << at;
      } else {
        EXPECT_EQ(status.code(), Code::kInvalid);
      }
    }
  std::string twice = zip({{"a.npy", a, false, false}, {"a.npy", a, false, false}});
  Status status = parseNpz(twice.data(), int64_t(twice.size()), "'in.npz'", tensors);
  EXPECT_NE(status.message().find("twice"), std::string::npos) << status.message();
}

std::string varint(uint64_t value) {
  std::string text;
  for (; value > 127; value >>= 7)
    text += char(128 | (value & 127));
  return text + char(value);
}
std::string block(uint32_t field, const std::string &bytes) {
  return varint(field << 3 | 2) + varint(bytes.size()) + bytes;
}
std::string number(uint32_t field, uint64_t value) { return varint(field << 3) + varint(value); }

Status parseProto(const std::string &bytes, Tensor &tensor) {
  return parseTensorProto(bytes.data(), int64_t(bytes.size()), "'t.pb'", tensor);
}

// Raw and typed data, packed or not, negative numbers included.
TEST(TensorProto, readsAllForms) {
  Tensor tensor;
  std::string dims = number(1, 1) + number(1, 2), packedDims = block(1, varint(1) + varint(2));
  ASSERT_TRUE(parseProto(dims + number(2, RT_F32) + block(9, bytesOf<float>({1, 2})), tensor).ok());
  EXPECT_EQ(tensor.dims, (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(dataOf(tensor), bytesOf<float>({1, 2}));
  ASSERT_TRUE(
      parseProto(packedDims + number(2, RT_F32) + block(4, bytesOf<float>({3, 4})) + block(8, "name"), tensor).ok());
  EXPECT_EQ(dataOf(tensor), bytesOf<float>({3, 4}));
  ASSERT_TRUE(parseProto(dims + number(2, RT_I64) + number(7, 5) + number(7, uint64_t(-6)), tensor).ok());
  EXPECT_EQ(dataOf(tensor), bytesOf<int64_t>({5, -6}));
  ASSERT_TRUE(parseProto(dims + number(2, RT_I8) + block(5, varint(5) + varint(uint64_t(-6))), tensor).ok());
  EXPECT_EQ(dataOf(tensor), std::string("\x05\xfa"));
  ASSERT_TRUE(parseProto(dims + number(2, RT_F64) + block(10, bytesOf<double>({1, 2})), tensor).ok());
  ASSERT_TRUE(parseProto(number(2, RT_BOOL) + number(5, 1), tensor).ok());
  EXPECT_TRUE(tensor.dims.empty());
}

TEST(TensorProto, refusesOddOnes) {
  Tensor tensor;
  std::string dims = number(1, 1) + number(1, 2);
  for (const std::string &bytes :
       {dims + number(2, 8) + block(6, "a") + block(6, "b"), dims + number(2, RT_F32) + block(9, "1234567"),
        dims + number(2, RT_F32) + block(13, "location"), number(1, uint64_t(-1)) + number(2, RT_F32),
        number(1, 1ull << 62) + number(1, 1ull << 62) + number(2, RT_F32), dims + number(2, 999),
        std::string("\xff\xff"), dims + number(2, RT_F32) + block(10, bytesOf<double>({1})) + std::string("\x4a\x50")})
    EXPECT_EQ(parseProto(bytes, tensor).code(), Code::kInvalid);
  std::string whole = dims + number(2, RT_F32) + block(9, bytesOf<float>({1, 2}));
  for (size_t length = 0; length < whole.size(); ++length)
    EXPECT_EQ(parseProto(whole.substr(0, length), tensor).code(), Code::kInvalid) << length;
}

// Random bytes never crash a reader.
TEST(Files, randomBytes) {
  std::mt19937 random(7);
  Tensor tensor;
  TensorMap tensors;
  for (int i = 0; i < 20000; ++i) {
    std::string bytes(random() % 80, '\0');
    for (char &c : bytes)
      c = char(random() % 4 ? random() % 16 : random());
    (void)parseTensorProto(bytes.data(), int64_t(bytes.size()), "x", tensor);
    EXPECT_FALSE(parseNpz(bytes.data(), int64_t(bytes.size()), "x", tensors).ok());
    std::string array = npy("{'descr': '<f4'," + bytes, bytes);
    EXPECT_FALSE(parseNpy(array.data(), int64_t(array.size()), "x", tensor).ok());
  }
}

TEST(Files, namesOfOutputs) {
  auto names = outputFileNames({"a/b:0", "a_b:0", "ok-1.x", "a b 0"}, ".npy");
  EXPECT_EQ(names["a/b:0"], "a_b_0.npy");
  EXPECT_EQ(names["a_b:0"], "a_b_0_2.npy");
  EXPECT_EQ(names["a b 0"], "a_b_0_3.npy");
  EXPECT_EQ(names["ok-1.x"], "ok-1.x.npy");
}

TEST(Files, missingAndEmpty) {
  TemporaryFolder folder;
  Tensor tensor;
  EXPECT_NE(readTensorFile(folder.path + "/no.npy", tensor).message().find("no such file"), std::string::npos);
  writeFile(folder.path + "/empty.npy", "");
  EXPECT_NE(readTensorFile(folder.path + "/empty.npy", tensor).message().find("is empty"), std::string::npos);
  EXPECT_NE(readTensorFile(folder.path, tensor).message().find("not a regular file"), std::string::npos);
}

// Large memory is used again, by a tensor of the same size only; it outlives the pool.
TEST(TensorPool, usesMemoryAgain) {
  Tensor kept;
  {
    TensorPool pool;
    auto makeOne = [&](std::vector<int64_t> dims) {
      Tensor tensor;
      EXPECT_TRUE(pool.make(RT_F32, std::move(dims), tensor).ok());
      std::memset(tensor.data.get(), 1, size_t(tensor.numBytes));
      return tensor;
    };
    Tensor one = makeOne({1 << 16}), two = makeOne({1 << 16});
    char *first = one.data.get(), *second = two.data.get();
    EXPECT_NE(first, second);
    Tensor copy = one;
    one = Tensor();
    EXPECT_NE(makeOne({1 << 16}).data.get(), first) << "somebody holds it";
    copy = Tensor();
    one = makeOne({2, 1 << 15});
    EXPECT_EQ(one.data.get(), first);
    EXPECT_EQ(one.dims, (std::vector<int64_t>{2, 1 << 15}));
    two = Tensor();
    EXPECT_NE(makeOne({1 << 17}).data.get(), second);
    kept = makeOne({1 << 16});
    Tensor refused;
    EXPECT_FALSE(pool.make(RT_F32, {int64_t(1) << 40, int64_t(1) << 40}, refused).ok());
  }
  EXPECT_EQ(kept.data.get()[kept.numBytes - 1], 1);
}

// What is kept is bounded: the oldest goes first.
TEST(TensorPool, isBounded) {
  TensorPool pool;
  constexpr int64_t kHalf = TensorPool::kMaxBytes / 2;
  Tensor tensor;
  std::vector<char *> addresses;
  for (int64_t extra : {0, 64, 128}) {
    ASSERT_TRUE(pool.make(RT_I8, {kHalf + extra}, tensor).ok());
    addresses.push_back(tensor.data.get());
    tensor = Tensor();
  }
  ASSERT_TRUE(pool.make(RT_I8, {kHalf + 128}, tensor).ok());
  EXPECT_EQ(tensor.data.get(), addresses[2]);
}

} // namespace
