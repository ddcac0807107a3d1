//===- RunCommand.cpp - penstock run -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// The output folder can run itself; `penstock run DIR ...` starts its `launch` with the other arguments.
//===----------------------------------------------------------------------===//
#include "Commands.h"

#include "penstock/Link/Installation.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <unistd.h>
#include <vector>

namespace penstock::tool {

/// The options are those of `launch`, which compiled folders have a copy of; the usage alone where it is not installed.
static int printHelp() {
  std::printf("usage: penstock run DIR [options]\n\n"
              "DIR is a folder that penstock compile wrote. The options are those of the program 'launch' in it:\n\n");
  std::fflush(stdout);
  llvm::Expected<link::Installation> installation = link::Installation::locate();
  llvm::Expected<std::string> program = installation ? installation->find("launch") : installation.takeError();
  if (program)
    execl(program->c_str(), "launch", "--help", nullptr);
  llvm::consumeError(program.takeError());
  std::printf("'penstock run DIR --help' lists the options\n");
  return 0;
}

static int launch(const std::string &folder, const std::vector<std::string> &arguments) {
  std::string program = folder + "/launch";
  std::vector<char *> argv{program.data()};
  for (const std::string &argument : arguments)
    argv.push_back(const_cast<char *>(argument.c_str()));
  argv.push_back(nullptr);
  execv(program.c_str(), argv.data());
  if (errno == ENOENT || errno == ENOTDIR)
    std::fprintf(stderr, "error: '%s' is no folder that penstock compile wrote: it has no 'launch'\n", folder.c_str());
  else
    std::fprintf(stderr, "error: cannot start '%s': %s\n", program.c_str(), std::strerror(errno));
  return 2;
}

Command addRunCommand(CLI::App &parent) {
  CLI::App *app =
      parent.add_subcommand("run", "run a compiled folder: feed inputs to its stages and collect their outputs");
  app->prefix_command();
  app->set_help_flag(); // all that follows is for `launch`, its help too
  return {app, [app] {
            std::vector<std::string> arguments = app->remaining();
            if (arguments.empty()) {
              std::fprintf(stderr, "error: no folder is given; expected penstock run DIR [options]\n");
              return 2;
            }
            if (arguments[0] == "--help" || arguments[0] == "-h")
              return printHelp();
            std::string folder = arguments[0];
            arguments.erase(arguments.begin());
            return launch(folder, arguments);
          }};
}

} // namespace penstock::tool
