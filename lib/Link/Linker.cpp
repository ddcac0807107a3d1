//===- Linker.cpp - Objects in, one executable out ----------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "penstock/Link/Linker.h"

#include "lld/Common/Driver.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/CrashRecoveryContext.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

#include <cerrno>
#include <csignal>
#include <mutex>
#include <unistd.h>

LLD_HAS_DRIVER(elf)

using namespace penstock;
using namespace penstock::link;

namespace {
/// lld's state is the process's, so what guards it is too.
struct LinkerState {
  std::mutex mutex;
  bool usable = true;
};

LinkerState &getState() {
  static LinkerState state;
  return state;
}

/// The command line, built from files that were found to exist.
class Arguments {
public:
  explicit Arguments(const Installation &installation) : installation(installation) {}

  void add(llvm::Twine argument) { text.push_back(argument.str()); }
  /// Adds files of the installation; false once one is missing, with the reason in `error`.
  bool addInstalled(llvm::ArrayRef<std::string> names, const char *subfolder, llvm::Error &error) {
    for (const std::string &name : names) {
      llvm::Expected<std::string> file = installation.find(subfolder + name);
      if (!file) {
        error = file.takeError();
        return false;
      }
      add(*file);
    }
    return true;
  }
  std::vector<const char *> get() const {
    std::vector<const char *> pointers;
    for (const std::string &argument : text)
      pointers.push_back(argument.c_str());
    return pointers;
  }

private:
  const Installation &installation;
  std::vector<std::string> text;
};
} // namespace

static void addFlags(Arguments &arguments) {
  for (const char *flag :
       {"ld.lld", "--threads=1", "-pie", "--hash-style=gnu", "--eh-frame-hdr", "-m", "elf_x86_64", "--build-id=none",
        "--gc-sections", "--strip-debug", "-z", "relro", "-z", "now", "-z", "noexecstack", "--color-diagnostics=never",
        // What a library loaded beside the executable defines must not be replaced by our static copy of it.
        "--exclude-libs=ALL", "--enable-new-dtags", "-rpath", "$ORIGIN/lib", "--dynamic-linker",
        "/lib64/ld-linux-x86-64.so.2"})
    arguments.add(flag);
}

static llvm::Error addInputs(Arguments &arguments, const LinkRequest &request) {
  llvm::Error error = llvm::Error::success();
  (void)static_cast<bool>(error);
  if (!arguments.addInstalled({"Scrt1.o", "crti.o", "crtbeginS.o"}, "", error))
    return error;
  for (const std::string &object : request.objects) {
    if (!llvm::sys::fs::exists(object))
      return systemError("link object", object, ENOENT);
    arguments.add(object);
  }
  arguments.add("--start-group");
  if (!arguments.addInstalled(request.archives, "", error) ||
      !arguments.addInstalled({"libstdc++.a", "libgcc.a", "libgcc_eh.a"}, "", error))
    return error;
  arguments.add("--end-group");
  arguments.add("--as-needed");
  if (!arguments.addInstalled(request.libraries, "shared/", error) ||
      !arguments.addInstalled({"libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2", "libc_nonshared.a"}, "", error) ||
      !arguments.addInstalled({"crtendS.o", "crtn.o"}, "", error))
    return error;
  // The libraries may need libraries of their own; those are resolved when the executable starts.
  arguments.add("--allow-shlib-undefined");
  return error;
}

/// lld's messages as one line: "undefined symbol: f (referenced by a.o)".
static std::string summarize(llvm::StringRef output) {
  constexpr unsigned kMaxMessages = 4;
  std::vector<std::string> messages;
  llvm::SmallVector<llvm::StringRef> lines;
  output.split(lines, '\n', -1, /*KeepEmpty=*/false);
  for (llvm::StringRef line : lines) {
    line = line.trim();
    if (line.starts_with(">>>")) {
      if (!messages.empty())
        messages.back() += " (" + line.drop_front(3).trim().str() + ")";
      continue;
    }
    size_t position = line.find("error: ");
    messages.push_back((position == llvm::StringRef::npos ? line : line.drop_front(position + 7)).str());
  }
  size_t more = messages.size() > kMaxMessages ? messages.size() - kMaxMessages : 0;
  messages.resize(messages.size() - more);
  return llvm::join(messages, "; ") + (more ? "; and " + std::to_string(more) + " more" : "");
}

/// Refuses an output that cannot be written, with the system's own reason and before any work is done.
static llvm::Error checkOutput(llvm::StringRef output) {
  llvm::SmallString<256> folder(llvm::sys::path::parent_path(output));
  if (folder.empty())
    folder = ".";
  llvm::sys::fs::file_status status;
  if (std::error_code code = llvm::sys::fs::status(folder, status))
    return systemError("write executable", output, code.value());
  if (!llvm::sys::fs::is_directory(status))
    return systemError("write executable", output, ENOTDIR);
  if (::access(folder.c_str(), W_OK | X_OK))
    return systemError("write executable", output, errno);
  return llvm::Error::success();
}

/// Runs lld under crash recovery, which turns its fatal errors into a return. The signal handlers that this installs
/// are removed again.
static lld::Result runLld(llvm::ArrayRef<const char *> arguments, std::string &output) {
  llvm::raw_string_ostream stream(output);
  llvm::CrashRecoveryContext::Enable();
  lld::Result result = lld::lldMain(arguments, stream, stream, {{lld::Gnu, &lld::elf::link}});
  llvm::CrashRecoveryContext::Disable();
  return result;
}

llvm::Error penstock::link::linkExecutable(const Installation &installation, const LinkRequest &request) {
  if (llvm::Error error = checkOutput(request.output))
    return error;
  Arguments arguments(installation);
  addFlags(arguments);
  arguments.add("-o");
  arguments.add(request.output);
  if (llvm::Error error = addInputs(arguments, request))
    return error;

  LinkerState &state = getState();
  std::lock_guard<std::mutex> lock(state.mutex);
  llvm::StringRef name = llvm::sys::path::filename(request.output);
  if (!state.usable)
    return worldError("cannot link '{0}': the linker failed badly earlier in this process; start again", name);
  std::string output;
  lld::Result result = runLld(arguments.get(), output);
  state.usable = result.canRunAgain;
  if (result.retCode == 0 && result.canRunAgain)
    return llvm::Error::success();
  llvm::sys::fs::remove(request.output);
  std::string reason = summarize(output);
  return worldError("cannot link '{0}': {1}", name, reason.empty() ? "the linker failed without a message" : reason);
}
