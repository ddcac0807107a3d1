//===- ReplayCommand.cpp - penstock replay -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// One stage alone on the messages of a recording. The stage's own executable does it, as `stage-K --replay FILE`; this
// command finds it, and starts it under a debugger if asked to.
//===----------------------------------------------------------------------===//
#include "Commands.h"

#include "penstock/rt/Plan.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <unistd.h>

namespace penstock::tool {
namespace {

struct ReplayCommand {
  CommonOptions common;
  std::string folder, recording;
  int64_t stage = -1;
  bool underGdb = false;

  void addOptions(CLI::App &app);
  int run();
};

void ReplayCommand::addOptions(CLI::App &app) {
  addCommonOptions(app, common);
  app.add_option("DIR", folder, "a folder that penstock compile wrote")->required();
  app.add_option("--stage", stage, "the stage to run")->required()->type_name("K");
  app.add_option("--recording", recording, "what 'penstock run --record' wrote")->required()->type_name("FILE");
  app.add_flag("--gdb", underGdb, "start the stage under gdb; --verbose prints the command");
}

int complain(const std::string &message, int exitStatus) {
  std::fprintf(stderr, "error: %s\n", message.c_str());
  return exitStatus;
}

int ReplayCommand::run() {
  rt::Plan plan;
  if (rt::Status status = rt::Plan::load(folder, plan); !status.ok())
    return complain(status.message(), status.exitStatus());
  auto numStages = static_cast<int64_t>(plan.stages.size());
  if (stage < 0 || stage >= numStages)
    return complain(rt::format("--stage %lld: '%s' has %lld stages, expected a number from 0 to %lld", (long long)stage,
                               folder.c_str(), (long long)numStages, (long long)numStages - 1),
                    2);
  std::vector<std::string> words;
  if (underGdb)
    words = {"gdb", "-q", "--args"};
  words.insert(words.end(), {folder + "/" + plan.stages[size_t(stage)].executable, "--replay", recording});
  if (common.quiet)
    words.emplace_back("--quiet");
  if (common.json)
    words.emplace_back("--json");
  std::vector<char *> argv;
  for (std::string &word : words) {
    if (common.verbose)
      std::fprintf(stderr, "%s%s", argv.empty() ? "" : " ", word.c_str());
    argv.push_back(word.data());
  }
  if (common.verbose)
    std::fprintf(stderr, "\n");
  argv.push_back(nullptr);
  execvp(argv[0], argv.data());
  std::string message = "cannot start '" + words[0] + "': " + std::strerror(errno);
  if (underGdb)
    return complain(message + "; install gdb, or give the command of --verbose to another debugger", 1);
  return complain(message + "; the folder is damaged", 2);
}

} // namespace

Command addReplayCommand(CLI::App &parent) {
  return addCommand<ReplayCommand>(parent, "replay", "run one stage alone on what 'penstock run --record' recorded");
}

} // namespace penstock::tool
