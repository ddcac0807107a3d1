//===- FileTest.cpp - Model files, external data and malformed input -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "TestModels.h"
#include "gtest/gtest.h"
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <unistd.h>

using namespace penstock::onnximport;
namespace fs = std::filesystem;

namespace {

/// A folder that goes with the test.
class Folder {
public:
  Folder() {
    std::string name = (fs::temp_directory_path() / "penstock-import-XXXXXX").string();
    path = mkdtemp(name.data());
  }
  ~Folder() { fs::remove_all(path); }
  std::string operator/(const std::string &name) const { return (path / name).string(); }
  fs::path path;
};

void writeFile(const std::string &path, const std::string &bytes) { std::ofstream(path, std::ios::binary) << bytes; }

/// z = x + w, where w has 512 floats (2 KiB) that count up.
onnx::ModelProto makeAddModel() {
  onnx::ModelProto model = parseGraph("g (float[512] x) => (float[512] z) { z = Add(x, w) }");
  onnx::TensorProto *w = model.mutable_graph()->add_initializer();
  w->set_name("w");
  w->set_data_type(onnx::TensorProto::FLOAT);
  w->add_dims(512);
  std::vector<float> values(512);
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>(i);
  w->set_raw_data(values.data(), values.size() * sizeof(float));
  return model;
}

void setExternal(onnx::TensorProto &tensor, const std::string &location, const std::string &offset = "0",
                 const std::string &length = "2048") {
  tensor.clear_raw_data();
  tensor.set_data_location(onnx::TensorProto::EXTERNAL);
  for (auto &[key, value] : {std::pair{"location", location}, {"offset", offset}, {"length", length}}) {
    onnx::StringStringEntryProto *entry = tensor.add_external_data();
    entry->set_key(key);
    entry->set_value(value);
  }
}

Imported importExternal(const Folder &folder, const std::string &location, const std::string &offset = "0",
                        const std::string &length = "2048", const ImportOptions &options = {}) {
  onnx::ModelProto model = makeAddModel();
  setExternal(*model.mutable_graph()->mutable_initializer(0), location, offset, length);
  writeFile(folder / "m.onnx", model.SerializeAsString());
  return importFile(folder / "m.onnx", options);
}

// A large tensor stays in the file: the module names its bytes.
TEST(File, LargeTensorsAreRanges) {
  Folder folder;
  onnx::ModelProto model = makeAddModel();
  std::string bytes = model.SerializeAsString(), data = model.graph().initializer(0).raw_data();
  writeFile(folder / "m.onnx", bytes);
  Imported m = importFile(folder / "m.onnx");
  ASSERT_TRUE(m.ok) << m.errors;
  std::string range = "<\"" + (folder / "m.onnx") + "\", " + std::to_string(bytes.find(data)) + ", 2048>";
  EXPECT_TRUE(m.has("nn.weight @w : tensor<512xf32> from " + range)) << m.module;
}

// Floats in the typed field lie in the file as they are, too.
TEST(File, PackedFloatsAreRanges) {
  onnx::ModelProto model = makeAddModel();
  onnx::TensorProto *w = model.mutable_graph()->mutable_initializer(0);
  w->clear_raw_data();
  for (int i = 0; i < 512; ++i)
    w->add_float_data(static_cast<float>(i));
  Imported m = importModel(model);
  ASSERT_TRUE(m.ok) << m.errors;
  EXPECT_TRUE(m.has("nn.weight @w : tensor<512xf32> from")) << m.module;
}

// Equal elements are one constant, whatever their number; so are small tensors.
TEST(File, UniformAndSmallTensorsAreConstants) {
  onnx::ModelProto model = makeAddModel();
  model.mutable_graph()->mutable_initializer(0)->set_raw_data(std::string(2048, '\0'));
  Imported m = importModel(model);
  ASSERT_TRUE(m.ok) << m.errors;
  EXPECT_TRUE(m.has("nn.constant dense<0.000000e+00> : tensor<512xf32>")) << m.module;
}

// A weight that two nodes read, or two names with the same bytes, is one weight.
TEST(File, TiedWeightsAreShared) {
  onnx::ModelProto model = parseGraph("g (float[512] x) => (float[512] z) { y = Add(x, w)\n z = Mul(y, w) }");
  *model.mutable_graph()->add_initializer() = makeAddModel().graph().initializer(0);
  Imported m = importModel(model);
  ASSERT_TRUE(m.ok) << m.errors;
  EXPECT_EQ(m.module.find("nn.load_weight"), m.module.rfind("nn.load_weight")) << m.module;
}

// External data beside the model, and in a folder that the user names.
TEST(File, ExternalData) {
  Folder folder, other;
  writeFile(folder / "w.bin", std::string(4096, 'a') + "b");
  Imported beside = importExternal(folder, "w.bin", "1024");
  EXPECT_TRUE(beside.ok) << beside.errors;
  // All bytes are equal where the tensor lies, so it is a constant; one byte further it is not.
  EXPECT_TRUE(importExternal(folder, "w.bin", "2049").has("\", 2049, 2048>"));

  writeFile(other / "v.bin", std::string(2047, 'a') + "b");
  EXPECT_TRUE(importExternal(folder, "v.bin").failedWith("external data 'v.bin' does not exist"));
  ImportOptions options;
  options.externalDataDirs.push_back(other.path.string());
  Imported named = importExternal(folder, "v.bin", "0", "2048", options);
  EXPECT_TRUE(named.ok) << named.errors;
}

// A file larger than what 32 bits count; it has holes, so that it takes no room.
TEST(File, ExternalDataBehindManyGigabytes) {
  Folder folder;
  constexpr int64_t kOffset = int64_t(5) << 30;
  writeFile(folder / "w.bin", "");
  fs::resize_file(folder / "w.bin", kOffset);
  std::ofstream(folder / "w.bin", std::ios::binary | std::ios::app) << std::string(2047, 'a') + "b";
  Imported m = importExternal(folder, "w.bin", std::to_string(kOffset));
  EXPECT_TRUE(m.has("\", 5368709120, 2048>")) << m.module << m.errors;
}

// Data must not lie outside the folders, however the path says so.
TEST(File, ExternalDataStayInside) {
  Folder folder, other;
  writeFile(other / "w.bin", std::string(2047, 'a') + "b");
  EXPECT_TRUE(importExternal(folder, other / "w.bin").failedWith("has an absolute path"));
  EXPECT_TRUE(importExternal(folder, "../" + other.path.filename().string() + "/w.bin").failedWith(".."));
  fs::create_symlink(other.path / "w.bin", folder.path / "link.bin");
  Imported link = importExternal(folder, "link.bin");
  EXPECT_TRUE(link.failedWith("--external-data-dir")) << link.errors;
  ImportOptions options;
  options.externalDataDirs.push_back(other.path.string());
  EXPECT_TRUE(importExternal(folder, "link.bin", "0", "2048", options).ok);
  EXPECT_TRUE(importExternal(folder, "").failedWith("is not a file name"));
  fs::create_directory(folder.path / "dir");
  EXPECT_TRUE(importExternal(folder, "dir").failedWith("is not a regular file"));
}

// Files that are too short, and numbers that make no sense.
TEST(File, ExternalDataOfWrongSize) {
  Folder folder;
  writeFile(folder / "w.bin", std::string(2047, 'a'));
  EXPECT_TRUE(importExternal(folder, "w.bin").failedWith("has 2047 bytes; expected 2048 from byte 0"));
  EXPECT_TRUE(importExternal(folder, "w.bin", "0", "100").failedWith("has 100 bytes of data; expected 2048"));
  EXPECT_TRUE(importExternal(folder, "w.bin", "-1").failedWith("offset '-1'"));
  EXPECT_TRUE(importExternal(folder, "w.bin", "99999999999999999999").failedWith("offset"));
  EXPECT_TRUE(importExternal(folder, "w.bin", "9223372036854775807").failedWith("from byte 9223372036854775807"));
}

// Every prefix of a model is an error or a model, never a crash.
TEST(File, Truncated) {
  std::string bytes = makeAddModel().SerializeAsString();
  for (size_t length = 0; length < bytes.size(); length += 1 + length / 64) {
    Imported m = importBytes(bytes.substr(0, length));
    EXPECT_FALSE(m.ok) << length;
  }
  EXPECT_TRUE(importBytes("").failedWith("the file is empty"));
}

// Random bytes, and models with bytes changed.
TEST(File, Garbage) {
  std::mt19937 random(1);
  std::string model = parseGraph("g (float[a, 4] x) => (float[b] z) <int64[1] s = {-1}> { y = Relu(x)\n"
                                 "z = Reshape(y, s) }")
                          .SerializeAsString();
  for (int round = 0; round < 2000; ++round) {
    std::string bytes = round % 2 ? model : std::string(random() % 64, '\0');
    for (size_t i = 0, e = round % 2 ? 1 + random() % 4 : bytes.size(); i < e; ++i)
      bytes[random() % bytes.size()] = static_cast<char>(random());
    importBytes(bytes); // checks that failure and errors go together
  }
}

// What is no file, or no model.
TEST(File, WrongFiles) {
  Folder folder;
  EXPECT_TRUE(importFile(folder / "none.onnx").failedWith("cannot open"));
  EXPECT_TRUE(importFile(folder.path.string()).failedWith("is not a regular file"));
  writeFile(folder / "text.onnx", "this is no model\n");
  EXPECT_TRUE(importFile(folder / "text.onnx").failedWith("not an ONNX model"))
      << importFile(folder / "text.onnx").errors;
}

// Extents whose product no memory holds, and tensors whose data do not fit them.
TEST(File, AbsurdShapes) {
  std::string huge = "9223372036854775807";
  EXPECT_TRUE(importGraph("g (float[" + huge + ", 4] x) => (float[n] z) { z = Relu(x) }")
                  .failedWith("input 'x' has dimensions that no memory can hold"));
  onnx::ModelProto model = makeAddModel();
  model.mutable_graph()->mutable_initializer(0)->set_dims(0, int64_t(1) << 62);
  EXPECT_TRUE(importModel(model).failedWith("tensor 'w': has dimensions that no memory can hold"));
  model.mutable_graph()->mutable_initializer(0)->set_dims(0, -1);
  EXPECT_FALSE(importModel(model).ok);
  model.mutable_graph()->mutable_initializer(0)->set_dims(0, 100);
  EXPECT_TRUE(importModel(model).failedWith("tensor 'w': has 2048 bytes of data; expected 400"));
}

} // namespace
