//===- Options.cpp - The command line of launch ------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "Options.h"

#include <CLI/CLI.hpp>
#include <climits>
#include <cstdio>
#include <sys/auxv.h>
#include <unistd.h>

namespace penstock {
namespace rt {

/// The folder that the program lies in.
static std::string ownFolder() {
  char path[PATH_MAX];
  ssize_t length = readlink("/proc/self/exe", path, sizeof(path));
  std::string text = length > 0 ? std::string(path, size_t(length)) : std::string();
  const char *given = reinterpret_cast<const char *>(getauxval(AT_EXECFN)); // where there is no /proc
  if (text.empty() && given)
    text = given;
  size_t slash = text.rfind('/');
  return slash == std::string::npos ? "." : text.substr(0, slash);
}

static void addOptions(CLI::App &app, LaunchOptions &options) {
  app.add_option("--input", options.inputs, "an input tensor from a .npy or ONNX .pb file")->type_name("NAME=FILE");
  app.add_option("--inputs", options.archives, "the inputs of one request, by name; may be given several times")
      ->type_name("FILE.npz");
  app.add_flag("--random", options.random, "random values for inputs that are not given");
  app.add_option("--dim", options.dims, "value of a free dimension, for --random")->type_name("NAME=N");
  app.add_option("--shape", options.shapes, "shape of an input, for --random")->type_name("INPUT=1x3x224x224");
  app.add_option("--seed", options.seed, "of the random values")->type_name("N")->capture_default_str();
  app.add_option("--output-dir", options.outputFolder,
                 "write each output to NAME.npy there; of several requests, to <k>/NAME.npy")
      ->type_name("DIR");
  app.add_option("--repeat", options.repeat, "run the requests N times and print the throughput")
      ->type_name("N")
      ->check(CLI::Range(int64_t(1), int64_t(1) << 40).description(""));
  app.add_option("--inflight", options.inFlight, "with --repeat: requests that are under way at once")->type_name("K");
  app.add_option("--trace", options.traceFile, "write the measured timeline as Chrome/Perfetto trace events")
      ->type_name("FILE");
  CLI::Option *record = app.add_option("--record", options.recordFile,
                                       "write all that goes between the stages to one file, for penstock replay")
                            ->type_name("FILE");
  app.add_flag("--record-kernels", options.recordResults, "with --record: what every kernel makes too")->needs(record);
  app.add_option("--timeout", options.timeoutSeconds, "seconds to wait without progress; 0: for ever")
      ->type_name("S")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1e9).description(""));
  app.add_option("--on-hang", options.onHang,
                 "when --timeout has passed, write the state of all queues to a file that the message names")
      ->type_name("dump")
      ->check(CLI::IsMember({"dump"}).description(""));
  app.add_option(
         "--launcher", options.launcher,
         "how stages are started: local, each a process of this host; mpirun or srun, each a rank; auto: local, "
         "unless a launcher has started this process as one of its ranks")
      ->type_name("auto|local|mpirun|srun")
      ->check(CLI::IsMember({"auto", "local", "mpirun", "srun"}).description(""));
  app.add_flag("--no-shared-memory", options.noSharedMemory,
               "between ranks of one host too, send what ranks of different hosts send");
  app.add_flag("--all-in-one", options.allInOne,
               "run the stages as threads of one process, if the model was compiled with --all-in-one");
  app.add_flag("--verify-weights", options.verifyWeights, "checksum weights files above 1 GiB too");
  app.add_flag("--json", options.json, "print results as JSON");
  app.add_flag("--quiet", options.quiet, "print nothing but errors");
  app.add_flag("--verbose", options.verbose, "print what each stage and channel did");
  app.add_option("--fault", options.faults,
                 "for tests: plant a failure, as 1:wait:3:fail (see docs/runtime/Runtime.md)")
      ->type_name("STAGE:CALL:N:ACTION")
      ->group("");
}

bool parseLaunchOptions(int argc, char **argv, LaunchOptions &options, int &exitStatus, bool tells) {
  options.folder = ownFolder();
  CLI::App app("Runs the pipeline of this folder: starts its stages, feeds inputs, collects outputs.", "launch");
  app.set_version_flag("--version", format("launch, ABI version %d", RT_ABI_VERSION));
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::Throw);
  addOptions(app, options);
  try {
    app.parse(argc, argv);
    return true;
  } catch (const CLI::ParseError &error) {
    exitStatus = 0;
    if (error.get_exit_code() == 0) {
      if (tells)
        app.exit(error);
      return false;
    }
    std::string text = error.what();
    for (size_t at = text.find('\n'); at != std::string::npos; at = text.find('\n'))
      text.replace(at, 1, "; ");
    if (!text.empty() && text[0] >= 'A' && text[0] <= 'Z')
      text[0] = char(text[0] - 'A' + 'a');
    if (tells)
      std::fprintf(stderr, "error: %s; see --help\n", text.c_str());
    exitStatus = 2;
    return false;
  }
}

} // namespace rt
} // namespace penstock
