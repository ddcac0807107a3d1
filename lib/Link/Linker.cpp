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
#include <fcntl.h>
#include <mutex>
#include <thread>
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
        "--exclude-libs=ALL",
        // DT_RPATH, unlike DT_RUNPATH, also holds for what the libraries themselves need.
        "--disable-new-dtags", "-rpath", "$ORIGIN/lib", "--dynamic-linker", "/lib64/ld-linux-x86-64.so.2"})
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
  // The runtime refers to libgomp weakly, which alone would not count as needing it.
  arguments.add("--no-as-needed");
  if (!arguments.addInstalled(request.libraries, "shared/", error))
    return error;
  arguments.add("--as-needed");
  if (!arguments.addInstalled({"libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2", "libc_nonshared.a"}, "", error) ||
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
  if (::faccessat(AT_FDCWD, folder.c_str(), W_OK | X_OK, AT_EACCESS))
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

namespace {
/// A pipe into which lld writes, and a thread that keeps what comes out. To a file lld writes through a mapping, and a
/// disk that gets full meanwhile would kill the process; whatever is no plain file it makes in memory and writes in one
/// go.
class OutputPipe {
public:
  OutputPipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC))
      return;
    readEnd = ends[0];
    writeEnd = ends[1];
    reader = std::thread([this] { drain(); });
  }
  ~OutputPipe() { finish(); }
  OutputPipe(const OutputPipe &) = delete;
  OutputPipe &operator=(const OutputPipe &) = delete;

  bool isOpen() const { return readEnd >= 0; }
  std::string path() const { return "/proc/self/fd/" + std::to_string(writeEnd); }
  /// What was written; nothing can be written any more.
  const std::vector<char> &finish() {
    if (writeEnd >= 0)
      ::close(writeEnd);
    writeEnd = -1;
    if (reader.joinable())
      reader.join();
    if (readEnd >= 0)
      ::close(readEnd);
    readEnd = -1;
    return bytes;
  }

private:
  void drain() {
    std::vector<char> chunk(1 << 16);
    for (;;) {
      ssize_t count = ::read(readEnd, chunk.data(), chunk.size());
      if (count < 0 && errno == EINTR)
        continue;
      if (count <= 0)
        return;
      bytes.insert(bytes.end(), chunk.begin(), chunk.begin() + count);
    }
  }

  int readEnd = -1, writeEnd = -1;
  std::vector<char> bytes;
  std::thread reader;
};
} // namespace

static llvm::Error writeAll(int file, const std::string &path, llvm::ArrayRef<char> bytes) {
  while (!bytes.empty()) {
    ssize_t count = ::write(file, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      return systemError("write executable", path, errno);
    bytes = bytes.drop_front(count);
  }
  return llvm::Error::success();
}

/// Writes an executable file in the place of what is there.
static llvm::Error writeExecutable(const std::string &path, llvm::ArrayRef<char> bytes) {
  ::unlink(path.c_str());
  int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0777);
  if (file < 0)
    return systemError("write executable", path, errno);
  llvm::Error error = writeAll(file, path, bytes);
  if (::close(file) && !error)
    error = systemError("write executable", path, errno);
  if (error)
    ::unlink(path.c_str());
  return error;
}

llvm::Error penstock::link::linkExecutable(const Installation &installation, const LinkRequest &request) {
  if (llvm::Error error = checkOutput(request.output))
    return error;
  OutputPipe linked;
  if (!linked.isOpen())
    return systemError("open a pipe for", request.output, errno);
  Arguments arguments(installation);
  addFlags(arguments);
  for (const auto &[name, symbol] : request.aliases)
    arguments.add("--defsym=" + name + "=" + symbol);
  arguments.add("-o");
  arguments.add(linked.path());
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
    return writeExecutable(request.output, linked.finish());
  std::string reason = summarize(output);
  return worldError("cannot link '{0}': {1}", name, reason.empty() ? "the linker failed without a message" : reason);
}
