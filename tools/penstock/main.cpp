//===- main.cpp - The penstock command line -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "Commands.h"

#include "llvm/Support/raw_ostream.h"

#include <cctype>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <exception>
#include <iostream>
#include <vector>

using namespace penstock::tool;

void penstock::tool::addCommonOptions(CLI::App &app, CommonOptions &common) {
  app.add_flag("-v,--verbose", common.verbose, "say more: notes of errors, times of phases");
  app.add_flag("-q,--quiet", common.quiet, "print errors only");
  app.add_flag("--json", common.json, "print results as JSON");
}

void penstock::tool::setGroup(CLI::App &app, const char *title, std::initializer_list<const char *> options) {
  for (const char *name : options)
    app.get_option(name)->group(title);
}

CLI::Validator penstock::tool::atLeastOne() {
  auto check = [](std::string &text) {
    int64_t value;
    if (!CLI::detail::lexical_cast(text, value))
      return "is '" + text + "'; expected a number";
    return value < 1 ? "is " + text + "; expected at least 1" : std::string();
  };
  return CLI::Validator(check, "");
}

/// A parser's complaint as one line in the project's voice.
static int reportParseError(const CLI::App &app, const CLI::ParseError &error) {
  if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success))
    return app.exit(error);
  std::string message = error.what();
  if (!message.empty() && std::isupper(static_cast<unsigned char>(message[0])) &&
      !(message.size() > 1 && std::isupper(static_cast<unsigned char>(message[1]))))
    message[0] = static_cast<char>(std::tolower(message[0]));
  while (!message.empty() && (message.back() == '.' || message.back() == '\n'))
    message.pop_back();
  std::fprintf(stderr, "error: %s; see 'penstock --help'\n", message.c_str());
  return 2;
}

/// What was printed must have arrived. That nobody reads on is no failure; a full disk is.
static int finish(int status) {
  llvm::outs().flush();
  std::error_code code = llvm::outs().error();
  llvm::outs().clear_error();
  errno = 0;
  if (std::fflush(stdout) != 0 || !std::cout.flush())
    code = std::error_code(errno, std::generic_category());
  if (!code || code == std::errc::broken_pipe)
    return status;
  std::string message = code.message();
  message[0] = static_cast<char>(std::tolower(message[0]));
  std::fprintf(stderr, "error: cannot write to the standard output: %s\n", message.c_str());
  return status ? status : 1;
}

int main(int argc, char **argv) {
  std::signal(SIGPIPE, SIG_IGN);
  CLI::App app{"Penstock compiles an ONNX model into one native executable per pipeline stage, and runs them."};
  app.name("penstock");
  app.set_version_flag("--version", "penstock " PENSTOCK_VERSION);
  app.require_subcommand(1);
  app.fallthrough(false);
  std::vector<Command> commands = {addCompileCommand(app), addRunCommand(app),   addReplayCommand(app),
                                   addVerifyCommand(app),  addPlanCommand(app),  addBenchCommand(app),
                                   addInspectCommand(app), addDoctorCommand(app)};
  // After the commands, which would inherit it.
  app.footer(
      "penstock COMMAND --help lists what a command takes. The usual two:\n"
      "  penstock compile model.onnx --stages 4                                         # writes model.penstock/\n"
      "  penstock run model.penstock --input image=cat.npy --output-dir results/");
  try {
    app.parse(argc, argv);
    for (Command &command : commands)
      if (command.app->parsed())
        return finish(command.run());
  } catch (const CLI::ParseError &error) {
    return finish(reportParseError(app, error));
  } catch (const std::exception &error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
  return 2;
}
