//===- Commands.h - The commands of the command line -----------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// One file per command. A command adds itself to the parser and returns what runs it; the result is the exit status: 0
// done, 1 the world failed, 2 what the user gave is wrong.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_TOOLS_PENSTOCK_COMMANDS_H
#define PENSTOCK_TOOLS_PENSTOCK_COMMANDS_H

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>

namespace penstock::tool {

/// Flags that every command has.
struct CommonOptions {
  bool verbose = false, quiet = false, json = false;
};

struct Command {
  CLI::App *app;
  std::function<int()> run;
};

void addCommonOptions(CLI::App &app, CommonOptions &common);

/// A command that is an object with addOptions(app) and run().
template <typename CommandT> Command addCommand(CLI::App &parent, const char *name, const char *description) {
  CLI::App *app = parent.add_subcommand(name, description);
  auto command = std::make_shared<CommandT>();
  command->addOptions(*app);
  return {app, [command] { return command->run(); }};
}

/// Shows these options of `app` under a title of their own in its help.
void setGroup(CLI::App &app, const char *title, std::initializer_list<const char *> options);

/// For options that count something.
CLI::Validator atLeastOne();

Command addCompileCommand(CLI::App &parent);
Command addRunCommand(CLI::App &parent);
Command addReplayCommand(CLI::App &parent);
Command addVerifyCommand(CLI::App &parent);
Command addPlanCommand(CLI::App &parent);
Command addBenchCommand(CLI::App &parent);
Command addInspectCommand(CLI::App &parent);
Command addDoctorCommand(CLI::App &parent);

} // namespace penstock::tool

#endif // PENSTOCK_TOOLS_PENSTOCK_COMMANDS_H
