//===- VerifyCommand.cpp - penstock verify -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// The comparison is made in Python (python/penstock/verify.py), where ONNX Runtime and NumPy are; this command reads
// the flags and starts the interpreter: that of PENSTOCK_PYTHON, else of the build's own environment, else `python3`.
//===----------------------------------------------------------------------===//
#include "Commands.h"

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <unistd.h>

namespace penstock::tool {
namespace {

struct VerifyCommand {
  CommonOptions common;
  std::string model, folder, against = "onnxruntime";
  std::vector<std::string> inputs, dims, shapes, externalDataDirs;
  uint64_t seed = 1;
  double timeoutSeconds = 30;

  void addOptions(CLI::App &app);
  std::vector<std::string> words() const;
  int run();
};

void VerifyCommand::addOptions(CLI::App &app) {
  addCommonOptions(app, common);
  app.add_option("MODEL", model, "the ONNX model")->required();
  app.add_option("DIR", folder, "the folder that penstock compile made of it")->required();
  app.add_option(
         "--against", against,
         "onnxruntime: its numbers, within the tolerance of docs/Testing.md; single: the bits of the uncut model")
      ->check(CLI::IsMember({"onnxruntime", "single"}))
      ->capture_default_str();
  app.add_option("--inputs", inputs, "the inputs of one request; may be given several times (default: random ones)")
      ->type_name("FILE.npz");
  app.add_option("--dim", dims, "value of a free dimension, for random inputs")->type_name("NAME=N");
  app.add_option("--shape", shapes, "shape of a random input, as x=1x3x224x224")->type_name("INPUT=SHAPE");
  app.add_option("--seed", seed, "of the random inputs")->type_name("N")->capture_default_str();
  app.add_option("--external-data-dir", externalDataDirs,
                 "folder besides the model's own in which external data may lie")
      ->type_name("DIR");
  app.add_option("--timeout", timeoutSeconds, "seconds to wait without progress; 0: for ever")
      ->type_name("S")
      ->check(CLI::Range(0.0, 1e9).description(""))
      ->capture_default_str();
}

/// As verify.py wants them; one word each, so that no value is taken for a flag.
std::vector<std::string> VerifyCommand::words() const {
  std::vector<std::string> words = {"-m", "penstock.verify", "--against=" + against, "--seed=" + std::to_string(seed),
                                    "--timeout=" + std::to_string(timeoutSeconds)};
  auto addAll = [&](const char *flag, const std::vector<std::string> &values) {
    for (const std::string &value : values)
      words.push_back(std::string(flag) + "=" + value);
  };
  addAll("--inputs", inputs);
  addAll("--dim", dims);
  addAll("--shape", shapes);
  addAll("--external-data-dir", externalDataDirs);
  if (common.json)
    words.emplace_back("--json");
  if (common.quiet)
    words.emplace_back("--quiet");
  words.insert(words.end(), {"--", model, folder});
  return words;
}

/// The folder of this program and its path.
bool findOurselves(std::string &program, std::string &folder) {
  char path[PATH_MAX];
  ssize_t length = readlink("/proc/self/exe", path, sizeof(path));
  if (length <= 0 || length == ssize_t(sizeof(path)))
    return false;
  program.assign(path, size_t(length));
  folder = program.substr(0, program.rfind('/'));
  return true;
}

int VerifyCommand::run() {
  std::string program, folder;
  if (!findOurselves(program, folder)) {
    std::fprintf(stderr, "error: cannot tell where this program lies; expected /proc/self/exe to say it\n");
    return 1;
  }
  const char *given = std::getenv("PENSTOCK_PYTHON"), *old = std::getenv("PYTHONPATH");
  std::string python = given ? given : folder + "/../venv/bin/python";
  if (!given && access(python.c_str(), X_OK) != 0)
    python = "python3";
  setenv("PYTHONPATH", (folder + "/../python" + (old && *old ? std::string(":") + old : "")).c_str(), 1);
  setenv("PENSTOCK_TOOL", program.c_str(), 1);
  std::vector<std::string> arguments = words();
  std::vector<char *> argv{python.data()};
  for (std::string &argument : arguments)
    argv.push_back(argument.data());
  argv.push_back(nullptr);
  execvp(argv[0], argv.data());
  std::fprintf(stderr, "error: cannot start '%s': %s; verify needs Python 3, which PENSTOCK_PYTHON may name\n",
               python.c_str(), std::strerror(errno));
  return 1;
}

} // namespace

Command addVerifyCommand(CLI::App &parent) {
  return addCommand<VerifyCommand>(
      parent, "verify",
      "compare a compiled folder with ONNX Runtime or the uncut model; name the first kernel that differs");
}

} // namespace penstock::tool
