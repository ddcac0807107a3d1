//===- BundleTest.cpp - The output folder -------------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Folders are linked with a stand-in for the runtime (Inputs/harness.cpp), compiled by the C compiler from Abi.h. What
// it prints of the tables therefore checks the layout of the emitted structs, and what it prints of the calls their
// order.
//
//===----------------------------------------------------------------------===//

#include "penstock/Link/BundleWriter.h"

#include "Testing.h"
#include "penstock/Conversion/PipeToRt/PipeToRt.h"
#include "penstock/Link/FolderIdentity.h"
#include "penstock/rt/Abi.h"
#include "penstock/rt/Plan.h"

#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "gmock/gmock.h"
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

using namespace penstock;
using namespace penstock::link;
using testing::HasSubstr;

/// Two stages; the second has a free arena, a constant, a derived symbol and a constraint. The first loads two weights
/// of equal bytes.
static const char *const kModule = R"mlir(
module attributes {nn.model = "m.onnx"} {
  nn.symbol @batch = 0 root {lower = 1 : i64, upper = 100 : i64}
  nn.symbol @kept = 1 min of #nn.extents<[s2, 8]>
  nn.symbol @seq = 2 root
  nn.constraint #nn.extents<[s1, s2]> "operands of node 'add'"
  nn.weight @w : tensor<4xf32> from <"data.bin", 8, 16>
  nn.weight @v : tensor<4xf32> from <"data.bin", 32, 16>
  pipe.input "x" via @x batch 0 : tensor<?x?xf32, #nn.extents<[s0, s2]>>
  pipe.output "y" via @y batch 0 : tensor<?x?xf32, #nn.extents<[s0, s1]>>
  pipe.channel @x from @source to [@s0] depth 2 {slot_bytes = #nn.extents<[s0 * s2 * 4]>} : tensor<?x?xf32, #nn.extents<[s0, s2]>>
  pipe.channel @h from @s0 to [@s1] depth 3 tensor "relu" {slot_bytes = #nn.extents<[s0 * s2 * 4]>} : tensor<?x?xf32, #nn.extents<[s0, s2]>>
  pipe.channel @y from @s1 to [@sink] depth 2 {slot_bytes = #nn.extents<[s0 * s1 * 4]>} : tensor<?x?xf32, #nn.extents<[s0, s1]>>
  nn.kernel_def @k0(%a: tensor<?x?xf32, #nn.extents<[s0, s1]>>, %b: tensor<4xf32>) -> (tensor<?x?xf32, #nn.extents<[s0, s1]>>) symbols 2 attributes {kernel.object = "shift", kernel.kind = "generated"} {
    %0 = nn.unary relu %a : tensor<?x?xf32, #nn.extents<[s0, s1]>>
    nn.yield %0 : tensor<?x?xf32, #nn.extents<[s0, s1]>>
  }
  nn.kernel_def @k1(%a: tensor<?x?xf32, #nn.extents<[s0, s2]>>, %b: tensor<4xf32>) -> (tensor<?x?xf32, #nn.extents<[s0, s1]>>) symbols 3 attributes {kernel.object = "scale", kernel.kind = "generated"} {
    %0 = nn.slice %a from <[0, 0]> step [1, 1] : tensor<?x?xf32, #nn.extents<[s0, s2]>> to tensor<?x?xf32, #nn.extents<[s0, s1]>>
    nn.yield %0 : tensor<?x?xf32, #nn.extents<[s0, s1]>>
  }
  pipe.stage @s0(%x: tensor<?x?xf32, #nn.extents<[s0, s2]>>) -> (tensor<?x?xf32, #nn.extents<[s0, s2]>>) reads [@x] writes [@h]
      attributes {pipe.storage = [#pipe.storage<channel_in, symbol = @x>]} {
    %w = nn.load_weight @w {pipe.storage = #pipe.storage<weight, symbol = @w, offset = 0, bytes = <[16]>>} : tensor<4xf32>
    %v = nn.load_weight @v {pipe.storage = #pipe.storage<weight, symbol = @v, offset = 64, bytes = <[16]>>} : tensor<4xf32>
    %0 = nn.empty {pipe.storage = #pipe.storage<arena, offset = 0, bytes = <[400]>, first = 0, last = 1>} : tensor<?x?xf32, #nn.extents<[s0, s2]>>
    %1 = nn.call @k0 ins(%x, %w : tensor<?x?xf32, #nn.extents<[s0, s2]>>, tensor<4xf32>) outs(%0 : tensor<?x?xf32, #nn.extents<[s0, s2]>>) symbols <[s0, s2]> {nn.kernel_name = "first"} -> tensor<?x?xf32, #nn.extents<[s0, s2]>>
    %2 = nn.empty {pipe.storage = #pipe.storage<channel_out, symbol = @h>} : tensor<?x?xf32, #nn.extents<[s0, s2]>>
    %3 = nn.call @k0 ins(%1, %v : tensor<?x?xf32, #nn.extents<[s0, s2]>>, tensor<4xf32>) outs(%2 : tensor<?x?xf32, #nn.extents<[s0, s2]>>) symbols <[s0, s2]> {nn.kernel_name = "relu"} -> tensor<?x?xf32, #nn.extents<[s0, s2]>>
    pipe.return %3 : tensor<?x?xf32, #nn.extents<[s0, s2]>>
  }
  pipe.stage @s1(%h: tensor<?x?xf32, #nn.extents<[s0, s2]>>) -> (tensor<?x?xf32, #nn.extents<[s0, s1]>>) reads [@h] writes [@y]
      attributes {pipe.storage = [#pipe.storage<channel_in, symbol = @h>]} {
    %c = nn.constant {pipe.storage = #pipe.storage<constant>} dense<[1.0, 10.0, 3.0, 4.0]> : tensor<4xf32>
    %0 = nn.empty {pipe.storage = #pipe.storage<channel_out, symbol = @y>} : tensor<?x?xf32, #nn.extents<[s0, s1]>>
    %t = nn.empty {pipe.storage = #pipe.storage<arena, bytes = <[s0 * 64]>, first = 0, last = 0>} : tensor<?xi8, #nn.extents<[s0 * 64]>>
    %1 = nn.call @k1 ins(%h, %c : tensor<?x?xf32, #nn.extents<[s0, s2]>>, tensor<4xf32>) outs(%0 : tensor<?x?xf32, #nn.extents<[s0, s1]>>) workspace(%t : tensor<?xi8, #nn.extents<[s0 * 64]>>) symbols <[s0, s1, s2]> {nn.kernel_name = "out"} -> tensor<?x?xf32, #nn.extents<[s0, s1]>>
    pipe.return %1 : tensor<?x?xf32, #nn.extents<[s0, s1]>>
  }
  pipe.program @r0 runs [@s0] attributes {pipe.memory = {arena = 400 : i64, weights = 128 : i64}} prologue {
  } steady {
    %0 = pipe.recv @x : tensor<?x?xf32, #nn.extents<[s0, s2]>>
    %1 = pipe.run @s0(%0) : (tensor<?x?xf32, #nn.extents<[s0, s2]>>) -> tensor<?x?xf32, #nn.extents<[s0, s2]>>
    pipe.send %1 to @h : tensor<?x?xf32, #nn.extents<[s0, s2]>>
  } epilogue {
  }
  pipe.program @r1 runs [@s1] attributes {pipe.memory = {arena = -1 : i64, weights = 0 : i64}} prologue {
  } steady {
    %0 = pipe.recv @h : tensor<?x?xf32, #nn.extents<[s0, s2]>>
    %1 = pipe.run @s1(%0) : (tensor<?x?xf32, #nn.extents<[s0, s2]>>) -> tensor<?x?xf32, #nn.extents<[s0, s1]>>
    pipe.send %1 to @y : tensor<?x?xf32, #nn.extents<[s0, s1]>>
  } epilogue {
  }
}
)mlir";

namespace {
class BundleTest : public testing::Test {
protected:
  BundleTest() : installation(makeInstallation()) {
    context.loadDialect<nn::NNDialect, pipe::PipeDialect, rtir::RtDialect>();
    writeFile(folder.file("data.bin"), "01234567abcdefghijklmnop--------abcdefghijklmnop");
    objects["scale"] = objects["shift"] = readFile(PENSTOCK_TEST_HELPER);
    options.output = folder.file("m.penstock");
    options.sourceFolder = folder.path();
    options.version = "0.1.0";
    emit(kModule);
  }

  /// The real start-up code with the stand-in for the runtime.
  Installation makeInstallation() {
    std::string path = folder.file("installation"), real = llvm::cantFail(Installation::locate()).getFolder();
    EXPECT_FALSE(llvm::sys::fs::create_directory(path));
    for (const char *name :
         {"Scrt1.o", "crti.o", "crtbeginS.o", "crtendS.o", "crtn.o", "libstdc++.a", "libgcc.a", "libgcc_eh.a",
          "libc.so.6", "libm.so.6", "libc_nonshared.a", "ld-linux-x86-64.so.2", "shared"})
      EXPECT_FALSE(llvm::sys::fs::create_link(real + "/" + name, path + "/" + name));
    EXPECT_FALSE(llvm::sys::fs::create_directory(path + "/notices"));
    for (const char *name : {"libdnnl.so.2", "libgomp.so.1", "libgcc_s.so.1", "libstdc++.so.6", "libOpenCL.so.1"})
      writeFile(path + "/notices/" + name + ".txt", "licence");
    writeFile(path + "/notices/NOTICES.md", "notices");
    writeFile(path + "/launch", "#!/bin/sh\n");
    writeFile(path + "/libPenstockRuntime.a", readFile(PENSTOCK_TEST_HARNESS));
    writeFile(path + "/libpenstock-mpi.so", "a plug-in");
    writeFile(path + "/libPenstockPlace.a", "!<arch>\n");
    return llvm::cantFail(Installation::at(path));
  }

  void emit(const std::string &text) {
    module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
    ASSERT_TRUE(module);
    mlir::PassManager passes(&context);
    ConvertPipeToRtPassOptions passOptions;
    passOptions.numThreads = numThreads;
    passOptions.requiredFeatures = "avx2";
    passes.addPass(createConvertPipeToRtPass(passOptions));
    ASSERT_TRUE(mlir::succeeded(passes.run(*module)));
  }
  std::string write(int status) {
    llvm::Expected<BundleSummary> written = writeBundle(*module, objects, installation, options);
    if (written)
      summary = *written;
    return messageOf(written.takeError(), status);
  }
  std::string file(const std::string &name) { return options.output + "/" + name; }
  /// Everything in the folder, names and bytes.
  std::map<std::string, std::string> contents(const std::string &path) {
    std::map<std::string, std::string> result;
    std::error_code code;
    for (llvm::sys::fs::recursive_directory_iterator entry(path, code), end; entry != end; entry.increment(code))
      result[entry->path().substr(path.size())] =
          entry->type() == llvm::sys::fs::file_type::directory_file ? std::string() : readFile(entry->path());
    return result;
  }

  TemporaryFolder folder;
  Installation installation;
  /// What an executable says of itself, made of what plan.json says.
  std::string noteOf(const nlohmann::json &plan, int role, int numRoles) {
    std::string text = "abi " + std::to_string(RT_ABI_VERSION) + "\nfingerprint " + summary.fingerprint +
                       "\nname stage-" + std::to_string(role) + "\nrole " + std::to_string(role) + "\nroles " +
                       std::to_string(numRoles) + "\n";
    for (const char *key : {"model", "weights", "cut", "schedule", "build"})
      text += std::string(key) + " " + plan["identity"][key].get<std::string>() + "\n";
    return text;
  }

  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  llvm::StringMap<std::string> objects;
  BundleOptions options;
  int64_t numThreads = 1;
  BundleSummary summary;
};
} // namespace

// The C compiler reads from the emitted tables what the module says, and the calls come in the order of Abi.h.
TEST_F(BundleTest, TablesAndCalls) {
  ASSERT_EQ(write(0), "");
  std::string weights = readFile(file("stage-0.weights"));
  EXPECT_EQ(weights, "abcdefghijklmnop");
  nlohmann::json plan = nlohmann::json::parse(readFile(file("plan.json")));
  EXPECT_EQ(runCommand(file("stage-0")),
            "abi " + std::to_string(RT_ABI_VERSION) + " note Penstock type 1:\n" + noteOf(plan, 0, 2) +
                "model m.onnx name stage-0 role 0 of 2 stages 2 own 1: 0 threads 1 features avx2\n"
                "symbol batch\n"
                "symbol seq\n"
                "channel x x id 0 dtype 1 dims -1 -2 from -1 to 0 depth 2 bytes -1 direction 1 consumer 0\n"
                "channel h relu id 1 dtype 1 dims -1 -2 from 0 to 1 depth 3 bytes -1 direction 2 consumer 0\n"
                "storage x kind 1 index 0 offset -1 bytes -1 extent 2 use -1 -1 data 0\n"
                "storage w kind 3 index -1 offset 0 bytes 16 extent -1 use -1 -1 data 0\n"
                "storage v kind 3 index -1 offset 0 bytes 16 extent -1 use -1 -1 data 0\n"
                "storage first kind 0 index -1 offset 0 bytes 400 extent -1 use 0 1 data 0\n"
                "storage relu kind 2 index 1 offset -1 bytes -1 extent 2 use -1 -1 data 0\n"
                "step first k_shift\n"
                "step relu k_shift\n"
                "extents 4 arena 400 weights stage-0.weights 16 hash " +
                plan["stages"][0]["weights_checksum"].get<std::string>() +
                "\n"
                "begin 0\n"
                "wait 0\n"
                "bind 0\n"
                "check 3 3 operands of node 'add'\n"
                "acquire 1\n"
                "shift in 3 weight 4\n"
                "done 0\n"
                "release 0\n"
                "shift in 7 weight 5\n"
                "done 1\n"
                "publish 1\n"
                "end 0\n"
                "program 0\n");
  EXPECT_THAT(
      runCommand(file("stage-1")),
      testing::AllOf(HasSubstr("name stage-1 role 1 of 2 stages 2 own 1: 1 "),
                     HasSubstr("weights none 0 hash 00000000000000000000000000000000\n"),
                     HasSubstr("storage constant kind 4 index -1 offset -1 bytes 16 extent -1 use -1 -1 data 1\n"),
                     HasSubstr("scale in 3 constant 10 symbols 2 3\n")));
}

// A failing call ends the program with its code; no call follows.
TEST_F(BundleTest, FailuresEndTheProgram) {
  ASSERT_EQ(write(0), "");
  for (const char *call : {"begin", "wait", "bind", "acquire", "done", "release", "publish", "end"}) {
    std::string output = runCommand(file("stage-1") + " fail " + call);
    EXPECT_THAT(output, testing::MatchesRegex(std::string("(.*\n)?") + call + " [0-9]+\nprogram -7\n")) << call;
  }
}

// Extents are exact where they have a value, and the least integer where they have none.
TEST_F(BundleTest, Extents) {
  ASSERT_EQ(write(0), "");
  std::string none = std::to_string(INT64_MIN);
  // batch, seq, batch * seq * 4, kept (the least of seq and 8): in stage-0 s0, s1, s0 * s1 * 4, s2.
  EXPECT_EQ(runCommand(file("stage-0") + " 2 3"), "2 3 24 3\n");
  EXPECT_EQ(runCommand(file("stage-0") + " 2 300"), "2 300 2400 8\n");
  EXPECT_EQ(runCommand(file("stage-0") + " 1 0"), "1 0 0 0\n");
  EXPECT_EQ(runCommand(file("stage-0") + " 101 3"), none + " 3 " + none + " 3\n");
  EXPECT_EQ(runCommand(file("stage-0") + " 0 3"), none + " 3 " + none + " 3\n");
  EXPECT_EQ(runCommand(file("stage-0") + " 2 -1"), "2 " + none + " " + none + " " + none + "\n");
  EXPECT_EQ(runCommand(file("stage-0") + " 100 9223372036854775807"), "100 9223372036854775807 " + none + " 8\n");
}

TEST_F(BundleTest, PlanDescribesTheFolder) {
  options.microbatchRows = 2;
  ASSERT_EQ(write(0), "");
  nlohmann::json plan = nlohmann::json::parse(readFile(file("plan.json")));
  EXPECT_EQ(plan["schema"], 1);
  EXPECT_EQ(plan["model"], "m.onnx");
  EXPECT_EQ(plan["fingerprint"], summary.fingerprint);
  EXPECT_EQ(plan["symbols"], nlohmann::json::parse(R"([{"name":"batch","lower":1,"upper":100},{"name":"seq"}])"));
  EXPECT_EQ(
      plan["inputs"],
      nlohmann::json::parse(R"([{"name":"x","dtype":"f32","dims":["batch","seq"],"batch_axis":0,"channels":["x"]}])"));
  EXPECT_EQ(plan["outputs"][0]["dims"], nlohmann::json::parse(R"(["batch",["min","seq",8]])"));
  EXPECT_EQ(plan["channels"][1],
            nlohmann::json::parse(R"({"name":"h","tensor":"relu","dtype":"f32","dims":["batch","seq"],
      "from":0,"to":[1],"depth":3,"slot_bytes":-1})"));
  EXPECT_EQ(plan["channels"][2]["to"], nlohmann::json::parse(R"(["sink"])"));
  EXPECT_EQ(plan["constraints"],
            nlohmann::json::parse(
                R"([{"relation":"eq","left":["min","seq",8],"right":"seq","what":"operands of node 'add'"}])"));
  EXPECT_EQ(plan["microbatch"], nlohmann::json::parse(R"({"rows":2,"symbol":"batch"})"));
  EXPECT_EQ(plan["stages"][0]["executable"], "stage-0");
  EXPECT_EQ(plan["stages"][0]["weights"], "stage-0.weights");
  EXPECT_EQ(plan["stages"][0]["weights_bytes"], 16);
  EXPECT_EQ(plan["stages"][0]["weight_tensors"][1]["name"], "v");
  EXPECT_EQ(plan["stages"][0]["kernels"][0],
            nlohmann::json::parse(R"({"name":"first","kernel":"k_shift","kind":"generated",
                                      "results":[{"dtype":"f32","dims":["batch","seq"]}]})"));
  EXPECT_EQ(plan["kernels"], nlohmann::json::parse(R"(["first","relu","out"])"));
  EXPECT_EQ(plan["stages"][0]["program"], nlohmann::json::parse(R"({"base":0,"round":1,"prologue":[],"steady":[
      {"receive":"x","tensor":"x","dtype":"f32","dims":["batch","seq"]}, {"run":0},
      {"send":"h","tensor":"relu","dtype":"f32","dims":["batch","seq"]}],"epilogue":[]})"));
  EXPECT_TRUE(plan["stages"][1]["weights"].is_null());
  EXPECT_EQ(plan["stages"][1]["memory"]["arena"], -1);
}

// The host reads back what was written.
TEST_F(BundleTest, HostReadsThePlan) {
  options.microbatchRows = 2;
  ASSERT_EQ(write(0), "");
  rt::Plan plan;
  rt::Status status = rt::Plan::load(options.output, plan);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(plan.identity.fingerprint, summary.fingerprint);
  EXPECT_EQ(plan.identity.model, "m.onnx");
  EXPECT_EQ(plan.symbolNames(), (std::vector<std::string>{"batch", "seq"}));
  EXPECT_EQ(plan.outputs[0].dims[1].toString(plan.symbolNames()), "(seq min 8)");
  EXPECT_EQ(plan.channels[1].depth, 3);
  EXPECT_EQ(plan.microbatchRows, 2);
  EXPECT_EQ(plan.batchSymbol, 0);
  EXPECT_EQ(plan.stages[0].weights, "stage-0.weights");
}

// Files are those of the contract and nothing else; executables can be run by all who could.
TEST_F(BundleTest, Files) {
  ASSERT_EQ(write(0), "");
  std::vector<std::string> names;
  for (auto &[name, bytes] : contents(options.output))
    names.push_back(name);
  EXPECT_THAT(names,
              testing::ElementsAre("/launch", "/lib", "/lib/NOTICES.md", "/lib/libpenstock-mpi.so", "/plan.json",
                                   "/stage-0", "/stage-0.weights", "/stage-1", "/starters", "/starters/kubernetes.yaml",
                                   "/starters/mpirun.sh", "/starters/slurm.sbatch"));
  mode_t mask = ::umask(0);
  ::umask(mask);
  struct stat status;
  for (const char *name : {"", "/launch", "/stage-0", "/stage-1"}) {
    ASSERT_EQ(::stat((options.output + name).c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0777 & ~mask) << name;
  }
}

// Needed libraries lie in lib/ with what they need and their licences.
TEST_F(BundleTest, Libraries) {
  ASSERT_EQ(write(0), "");
  EXPECT_FALSE(llvm::sys::fs::exists(file("lib/libgomp.so.1"))); // One thread per kernel.
  numThreads = 2;
  emit(kModule);
  ASSERT_EQ(write(0), "");
  EXPECT_THAT(runCommand(std::string(PENSTOCK_TEST_READELF) + " -d " + file("stage-0")),
              testing::AllOf(HasSubstr("[libgomp.so.1]"), HasSubstr("[$ORIGIN/lib]")));
  EXPECT_TRUE(llvm::sys::fs::exists(file("lib/libgomp.so.1")));
  EXPECT_TRUE(llvm::sys::fs::exists(file("lib/libgomp.so.1.txt")));
}

// A role links a library only if one of its own kernels is run by it.
TEST_F(BundleTest, LibraryKernels) {
  std::string text = kModule, kind = "kernel.object = \"scale\", kernel.kind = \"generated\"";
  text.replace(text.find(kind), kind.size(), "kernel.object = \"scale\", kernel.library = \"oneDNN 2.6.3\"");
  emit(text);
  writeFile(installation.getFolder() + "/libPenstockOneDnn.a", "!<arch>\n");
  ASSERT_EQ(write(0), "");
  std::string readelf = std::string(PENSTOCK_TEST_READELF) + " -d ";
  EXPECT_THAT(runCommand(readelf + file("stage-0")), testing::Not(HasSubstr("libdnnl")));
  EXPECT_THAT(runCommand(readelf + file("stage-1")), HasSubstr("[libdnnl.so.2]"));
  for (const char *library : {"libdnnl.so.2", "libgomp.so.1", "libstdc++.so.6"})
    EXPECT_TRUE(llvm::sys::fs::exists(file(std::string("lib/") + library))) << library;
  // All of them are found beside the executable, also by one another.
  std::string loaded = runCommand("env -i /lib64/ld-linux-x86-64.so.2 --list " + file("stage-1"));
  for (const char *library : {"libdnnl.so.2", "libstdc++.so.6", "libgcc_s.so.1"})
    EXPECT_THAT(loaded, HasSubstr("m.penstock/lib/" + std::string(library)));
  text.replace(text.find("oneDNN 2.6.3"), 12, "otherlib 1.0");
  emit(text);
  EXPECT_EQ(write(2), "kernel 'k_scale' of 'out' is run by library 'otherlib 1.0', which cannot be linked here");
}

// The same inputs give the same bytes, in another place and from another copy of the model's files too.
TEST_F(BundleTest, Reproducible) {
  ASSERT_EQ(write(0), "");
  auto first = contents(options.output);
  TemporaryFolder elsewhere;
  writeFile(elsewhere.file("data.bin"), readFile(folder.file("data.bin")));
  options.output = elsewhere.file("other.penstock");
  options.sourceFolder = elsewhere.path();
  ASSERT_EQ(write(0), "");
  EXPECT_TRUE(first == contents(options.output));
}

// What decides the results enters the fingerprint, and the part that it belongs to differs alone: here one weight's
// bytes, a channel's depth, the kernels of a stage, the target, a flag, the code of a kernel.
TEST_F(BundleTest, FingerprintsDifferAndSayHow) {
  std::set<std::string> seen;
  nlohmann::json before;
  auto add = [&] {
    EXPECT_EQ(write(0), "");
    EXPECT_TRUE(seen.insert(summary.fingerprint).second);
    nlohmann::json now = nlohmann::json::parse(readFile(file("plan.json")))["identity"];
    std::string differing;
    for (const auto &[key, value] : now.items())
      differing += before.is_null() || before[key] == value ? "" : key + " ";
    before = now;
    return differing;
  };
  EXPECT_EQ(add(), "");
  EXPECT_EQ(before["model"], "m.onnx");
  EXPECT_TRUE(llvm::StringRef(before["cut"].get<std::string>()).starts_with("2 stages "));
  EXPECT_TRUE(llvm::StringRef(before["build"].get<std::string>()).starts_with("0.1.0 "));
  writeFile(folder.file("data.bin"), "01234567abcdefghijklmnop--------abcdefghijklmnoX");
  EXPECT_EQ(add(), "weights ");
  std::string text = kModule;
  text.replace(text.find("depth 3"), 7, "depth 4");
  emit(text);
  EXPECT_EQ(add(), "schedule ");
  text.replace(text.find("\"first\""), 7, "\"other\"");
  emit(text);
  EXPECT_EQ(add(), "cut ");
  (*module)->setAttr(kModelHashAttr, mlir::StringAttr::get(&context, "0123456789abcdef"));
  EXPECT_EQ(add(), "model ");
  options.profile.cpu = "x86-64-v2";
  EXPECT_EQ(add(), "build ");
  options.flags.push_back("--threads=2");
  EXPECT_EQ(add(), "build ");
  objects["shift"] += '\0'; // which no linker looks at
  EXPECT_EQ(add(), "build ");
}

// A name with letters that would end a line of the note, or too many of them, is cut and replaced.
TEST_F(BundleTest, NotesAreLines) {
  (*module)->setAttr("nn.model", mlir::StringAttr::get(&context, "a\nbuild b" + std::string(1000, 'x')));
  ASSERT_EQ(write(0), "");
  nlohmann::json plan = nlohmann::json::parse(readFile(file("plan.json")));
  std::string model = plan["identity"]["model"];
  EXPECT_THAT(model, testing::StartsWith("a?build bxxx"));
  EXPECT_LE(model.size(), 256u);
  EXPECT_THAT(runCommand(file("stage-1")), HasSubstr(noteOf(plan, 1, 2)));
}

// A folder of ours is replaced as a whole; nothing else is touched, and no temporary folder stays.
TEST_F(BundleTest, ReplacesOnlyItsOwn) {
  ASSERT_EQ(write(0), "");
  int before = countEntries(folder.path());
  writeFile(file("old"), "left from before");
  ASSERT_EQ(write(0), "");
  EXPECT_FALSE(llvm::sys::fs::exists(file("old")));
  EXPECT_EQ(countEntries(folder.path()), before);
  options.output = folder.file("mine");
  EXPECT_FALSE(llvm::sys::fs::create_directory(options.output));
  ASSERT_EQ(write(0), ""); // An empty folder is taken.
  options.output = folder.file("photos");
  EXPECT_FALSE(llvm::sys::fs::create_directory(options.output));
  writeFile(file("plan.json"), "{\"trip\": 1}");
  EXPECT_THAT(write(2), HasSubstr("is not empty and Penstock did not write it"));
  EXPECT_EQ(readFile(file("plan.json")), "{\"trip\": 1}");
  options.output = folder.file("data.bin");
  EXPECT_THAT(write(2), HasSubstr("exists and is not a folder"));
}

// A link to a folder stays a link; the folder behind it is replaced.
TEST_F(BundleTest, FollowsLinks) {
  ASSERT_EQ(write(0), "");
  std::string real = options.output;
  options.output = folder.file("link");
  EXPECT_FALSE(llvm::sys::fs::create_link(real, options.output));
  writeFile(real + "/old", "x");
  ASSERT_EQ(write(0), "");
  EXPECT_FALSE(llvm::sys::fs::exists(real + "/old"));
  EXPECT_TRUE(llvm::sys::fs::is_symlink_file(options.output));
}

// Whatever fails, there is no partial folder.
TEST_F(BundleTest, FailuresLeaveNothing) {
  int before = countEntries(folder.path());
  {
    FileSizeLimit limit(5000);
    EXPECT_THAT(write(1), HasSubstr("file too large"));
  }
  EXPECT_EQ(countEntries(folder.path()), before);
  objects.erase("shift");
  EXPECT_THAT(write(1), HasSubstr("kernel 'k_shift' of 'first' has no object"));
  writeFile(folder.file("data.bin"), "short");
  EXPECT_THAT(write(2), HasSubstr("weight 'w' needs bytes 8 to 24"));
  options.output = folder.file("absent/m.penstock");
  EXPECT_THAT(write(2), HasSubstr("absent/m.penstock': no such file or directory"));
  EXPECT_EQ(countEntries(folder.path()), before);
}

// What a killed writer left goes with the next one; what a living one is writing stays.
TEST_F(BundleTest, StaleFoldersAreRemoved) {
  std::string stale = folder.file(".m.penstock.tmp-killed"), other = folder.file(".m.penstock.tmp-alive");
  for (const std::string &path : {stale, other}) {
    ASSERT_FALSE(llvm::sys::fs::create_directory(path));
    writeFile(path + "/stage-0", "part");
    struct timeval old[2] = {{1000, 0}, {1000, 0}};
    ASSERT_EQ(::utimes(path.c_str(), old), 0);
  }
  int held = ::open(other.c_str(), O_RDONLY | O_DIRECTORY);
  ASSERT_EQ(::flock(held, LOCK_EX | LOCK_NB), 0);
  ASSERT_EQ(write(0), "");
  ::close(held);
  EXPECT_FALSE(llvm::sys::fs::exists(stale));
  EXPECT_TRUE(llvm::sys::fs::exists(other));
}

// On a disk that is really full the message says so, and the disk is empty again.
TEST_F(BundleTest, FullDisk) {
  if (::geteuid() != 0)
    GTEST_SKIP() << "only root may mount a small disk";
  std::string disk = folder.file("disk");
  ASSERT_FALSE(llvm::sys::fs::create_directory(disk));
  options.output = disk + "/m.penstock";
  int numFull = 0;
  for (int numKiB = 4; numKiB < 4096; numKiB += 4) {
    if (::mount("none", disk.c_str(), "tmpfs", 0, ("size=" + std::to_string(numKiB) + "k").c_str()))
      GTEST_SKIP() << "mounting is not permitted here";
    llvm::Expected<BundleSummary> written = writeBundle(*module, objects, installation, options);
    std::string message = written ? "" : messageOf(written.takeError(), 1);
    int numEntries = countEntries(disk);
    ::umount(disk.c_str());
    if (message.empty())
      break;
    EXPECT_THAT(message, HasSubstr("no space left on device")) << numKiB;
    EXPECT_EQ(numEntries, 0) << numKiB;
    ++numFull;
  }
  EXPECT_GE(numFull, 4); // It was full while weights, objects, executables and the rest were written.
}

// The weights files of all stages are written at once: each has its own bytes, and of several failures that of the
// first stage is told.
TEST_F(BundleTest, WeightsOfSeveralStages) {
  std::string text = kModule,
              constant = "nn.constant {pipe.storage = #pipe.storage<constant>} dense<[1.0, 10.0, 3.0, 4.0]>";
  size_t at = text.find(constant);
  ASSERT_NE(at, std::string::npos);
  text.replace(at, constant.size(),
               "nn.load_weight @u {pipe.storage = #pipe.storage<weight, symbol = @u, offset = 0, bytes = <[16]>>}");
  std::string other = "  nn.weight @v ";
  text.insert(text.find(other), "  nn.weight @u : tensor<4xf32> from <\"data.bin\", 24, 16>\n");
  emit(text);
  ASSERT_EQ(write(0), "");
  EXPECT_EQ(readFile(file("stage-0.weights")), "abcdefghijklmnop");
  EXPECT_EQ(readFile(file("stage-1.weights")), "--------abcdefgh");
  writeFile(folder.file("data.bin"), "short");
  EXPECT_THAT(write(2), HasSubstr("weight 'w' needs bytes 8 to 24"));
}

// A weight that is computed takes its bytes from the driver.
TEST_F(BundleTest, ComputedWeights) {
  std::string text = kModule;
  std::string file = "from <\"data.bin\", 32, 16>";
  text.replace(text.find(file), file.size(), "init @k0([@w])");
  emit(text);
  EXPECT_THAT(write(1), HasSubstr("weight 'v' is to be made when linking"));
  std::string bytes = "too short";
  options.makeWeight = [&](llvm::StringRef name, ByteConsumer consume) {
    EXPECT_EQ(name, "v");
    return consume({bytes.data(), bytes.size()});
  };
  EXPECT_THAT(write(1), HasSubstr("weight 'v' was given 9 bytes; expected 16"));
  bytes = "ABCDEFGHIJKLMNOP";
  ASSERT_EQ(write(0), "");
  EXPECT_EQ(readFile(this->file("stage-0.weights")).substr(64), "ABCDEFGHIJKLMNOP");
}

// A packed weight is stored with the bytes of its packing; what it is made of is not in the file.
TEST_F(BundleTest, PackedWeights) {
  std::string text = kModule;
  std::string file = "from <\"data.bin\", 32, 16>";
  text.replace(text.find(file), file.size(), "packed @w as <\"lib 1\", \"wide\", 80>");
  auto replace = [&](const std::string &from, const std::string &to) {
    for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
      text.replace(at, from.size(), to);
  };
  replace("symbol = @v, offset = 64, bytes = <[16]>", "symbol = @v, offset = 0, bytes = <[80]>");
  replace("%w = nn.load_weight @w {pipe.storage = #pipe.storage<weight, symbol = @w, offset = 0, bytes = <[16]>>}",
          "%w = nn.load_weight @v {pipe.storage = #pipe.storage<weight, symbol = @v, offset = 0, bytes = <[80]>>}");
  emit(text);
  std::string bytes(80, 'p');
  options.makeWeight = [&](llvm::StringRef, ByteConsumer consume) { return consume({bytes.data(), bytes.size()}); };
  ASSERT_EQ(write(0), "");
  EXPECT_EQ(readFile(this->file("stage-0.weights")), bytes);
}
