//===- Conformance.cpp - Every kernel on a GPU ---------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
//   gpu_conformance FOLDER [--filter TEXT] [--json FILE]
//
// Runs the cases of a folder that gpu_cases has written on device 0, and says what is wrong, a case a line. Where a
// device is lost with a case (an illegal address, a kernel that never ends), the others go on in another process. The
// last line is `N passed, N failed, N skipped`, or `skipped: no GPU (why)`. Exit status 1 if one has failed.
//
//===----------------------------------------------------------------------===//

#include "CaseFlags.h"
#include "CaseRunner.h"

#include "penstock/rt/Types.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <poll.h>
#include <set>
#include <sys/wait.h>
#include <unistd.h>

using namespace penstock;
using namespace penstock::test;
using nlohmann::json;

namespace {

/// A worker that says nothing for so long is ended.
constexpr int kSilenceMs = 120000;
/// A device that is lost with so many cases will be lost with all.
constexpr int kMaxLost = 100;

struct Options : CaseFlags {
  int64_t firstCase = -1; ///< of a worker
};

/// The cases whose name has the filter in it.
std::vector<size_t> select(const CaseFolder &folder, const std::string &filter) {
  std::vector<size_t> chosen;
  for (size_t i = 0; i < folder.cases.size(); ++i)
    if (folder.cases[i].name.find(filter) != std::string::npos)
      chosen.push_back(i);
  return chosen;
}

// The worker, which has the device. It writes one message a line to its standard output.

void tell(const json &message) {
  std::string line = message.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
  for (size_t done = 0; done < line.size();) {
    ssize_t count = write(STDOUT_FILENO, line.data() + done, line.size() - done);
    if (count < 0)
      _exit(1);
    done += size_t(count);
  }
}

int work(const Options &options, const CaseFolder &folder, const std::vector<size_t> &chosen) {
  int64_t mostBytes = 0;
  for (size_t index : chosen)
    mostBytes = std::max(mostBytes, CaseLayout(folder.cases[index]).numBytes());
  rt::DeviceList devices;
  if (rt::Status status = rt::listDevices(options.folder + "/" + kPluginFile, devices); !status.ok()) {
    tell({{"what", status.code() == rt::Code::kSystem ? "none" : "broken"}, {"words", status.message()}});
    return 0;
  }
  std::unique_ptr<CaseRunner> runner;
  if (rt::Status status = CaseRunner::open(options.folder, folder, mostBytes, runner); !status.ok()) {
    tell({{"what", "broken"}, {"words", status.message()}});
    return 0;
  }
  tell({{"what", "device"}, {"words", rt::deviceWords(runner->device())}, {"library", runner->device().library}});
  for (size_t i = size_t(options.firstCase); i < chosen.size(); ++i) {
    tell({{"what", "begin"}, {"case", i}});
    Verdict verdict = runner->run(folder.cases[chosen[i]]);
    tell({{"what", "end"}, {"case", i}, {"kind", int(verdict.kind)}, {"words", verdict.words}});
    if (verdict.kind == Verdict::Lost)
      _exit(0); // nothing can be given back
  }
  return 0;
}

// The supervisor, which has none.

class Supervisor {
public:
  Supervisor(const Options &options, const CaseFolder &folder, const std::vector<size_t> &chosen)
      : options(options), folder(folder), chosen(chosen) {}

  int run() {
    while (next < chosen.size() && numLost < kMaxLost && whyNone.empty() && whyBroken.empty())
      runWorker();
    if (!whyNone.empty()) {
      std::printf("skipped: no GPU (%s)\n", whyNone.c_str());
      return writeJson() ? 0 : 1;
    }
    if (whyBroken.empty() && next < chosen.size())
      whyBroken = "the device was lost " + std::to_string(numLost) + " times; the other cases have not run";
    if (!whyBroken.empty())
      std::printf("%s\n", whyBroken.c_str());
    std::printf("%lld passed, %lld failed, %lld skipped\n", (long long)counts[Verdict::Right],
                (long long)(numFailed() + int64_t(chosen.size() - next)), (long long)counts[Verdict::Skipped]);
    bool isGood = whyBroken.empty() && numFailed() == 0 && !chosen.empty();
    return writeJson() && isGood ? 0 : 1;
  }

private:
  int64_t numFailed() const { return counts[Verdict::Wrong] + counts[Verdict::Lost]; }

  void runWorker() {
    int ends[2];
    if (pipe(ends) != 0) {
      whyBroken = rt::failErrno("cannot make a pipe").message();
      return;
    }
    std::fflush(stdout);
    pid_t child = fork();
    if (child == 0)
      become(ends);
    close(ends[1]);
    begun = false;
    lostHere = false;
    std::string why = listen(ends[0]);
    close(ends[0]);
    if (!why.empty())
      kill(child, SIGKILL);
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
      continue;
    if (why.empty() && WIFSIGNALED(status))
      why = std::string("the process ended by signal ") + strsignal(WTERMSIG(status));
    if (why.empty())
      why = "the process ended with status " + std::to_string(WEXITSTATUS(status));
    if (begun)
      take(Verdict::Lost, why);
    else if (next < chosen.size() && !lostHere && whyNone.empty() && whyBroken.empty())
      whyBroken = "before any case: " + why;
  }

  [[noreturn]] void become(const int (&ends)[2]) const {
    dup2(ends[1], STDOUT_FILENO);
    close(ends[0]), close(ends[1]);
    std::string first = std::to_string(next);
    execl("/proc/self/exe", "gpu_conformance", options.folder.c_str(), "--filter", options.filter.c_str(), "--worker",
          first.c_str(), nullptr);
    _exit(127);
  }

  /// Reads what the worker says. Not empty: why it must be ended.
  std::string listen(int from) {
    std::string text;
    for (;;) {
      pollfd wait = {from, POLLIN, 0};
      int ready = poll(&wait, 1, kSilenceMs);
      if (ready < 0 && errno == EINTR)
        continue;
      if (ready <= 0)
        return "nothing was heard for " + std::to_string(kSilenceMs / 1000) + " s";
      char buffer[4096];
      ssize_t count = read(from, buffer, sizeof(buffer));
      if (count <= 0)
        return "";
      text.append(buffer, size_t(count));
      for (size_t end; (end = text.find('\n')) != std::string::npos; text.erase(0, end + 1))
        hear(json::parse(text.substr(0, end), nullptr, /*allow_exceptions=*/false));
    }
  }

  void hear(const json &message) {
    if (!message.is_object())
      return;
    std::string what = message.value("what", ""), words = message.value("words", "");
    if (what == "none")
      whyNone = words;
    else if (what == "broken")
      whyBroken = words;
    else if (what == "device" && deviceWords.empty())
      std::printf("%zu cases on %s, %s\n", chosen.size(), (deviceWords = words).c_str(),
                  message.value("library", "").c_str());
    else if (what == "begin")
      begun = true;
    else if (what == "end")
      take(Verdict::Kind(message.value("kind", int(Verdict::Wrong))), words);
  }

  /// The verdict of the case that has begun.
  void take(Verdict::Kind kind, const std::string &words) {
    begun = false;
    ++counts[kind];
    numLost += kind == Verdict::Lost;
    lostHere |= kind == Verdict::Lost;
    const Case &test = folder.cases[chosen[next++]];
    const CaseKernel &kernel = folder.kernels[test.kernel];
    if (kind == Verdict::Wrong || kind == Verdict::Lost) {
      std::printf("failed: %s: %s%s (%s)\n", test.name.c_str(), words.c_str(),
                  kind == Verdict::Lost ? "; the device is lost" : "", kernel.symbol.c_str());
      if (shown.insert(test.kernel).second)
        std::printf("%s\n", kernel.text.c_str());
      failures.push_back({{"case", test.name}, {"kernel", kernel.symbol}, {"words", words}, {"text", kernel.text}});
    }
    if (kind == Verdict::Skipped && skippedFor.insert(words).second)
      std::printf("skipped: %s: %s\n", test.name.c_str(), words.c_str());
    if (next % 500 == 0)
      std::printf("%zu of %zu\n", next, chosen.size());
    std::fflush(stdout);
  }

  bool writeJson() const {
    if (options.jsonFile.empty())
      return true;
    std::ofstream file(options.jsonFile);
    file << json{{"device", deviceWords},
                 {"no_gpu", whyNone},
                 {"broken", whyBroken},
                 {"passed", counts[Verdict::Right]},
                 {"failed", numFailed()},
                 {"skipped", counts[Verdict::Skipped]},
                 {"not_run", chosen.size() - next},
                 {"failures", failures}}
                .dump(1, ' ', false, json::error_handler_t::replace)
         << '\n';
    file.close();
    if (!file)
      std::fprintf(stderr, "gpu_conformance: cannot write '%s'\n", options.jsonFile.c_str());
    return bool(file);
  }

  const Options &options;
  const CaseFolder &folder;
  const std::vector<size_t> &chosen;
  size_t next = 0; ///< among the chosen
  bool begun = false, lostHere = false;
  int numLost = 0;
  int64_t counts[4] = {};
  std::string whyNone, whyBroken, deviceWords;
  std::set<size_t> shown;
  std::set<std::string> skippedFor;
  json failures = json::array();
};

} // namespace

int main(int argc, char **argv) {
  Options options;
  auto addMore = [&](CLI::App &app) { app.add_option("--worker", options.firstCase)->group(""); };
  if (std::optional<int> status = parse(argc, argv, "Runs kernels on a GPU and compares.", options, addMore))
    return *status;
  CaseFolder folder;
  if (rt::Status status = CaseFolder::read(options.folder, /*hasContents=*/true, folder); !status.ok()) {
    std::fprintf(stderr, "gpu_conformance: %s\n", status.message().c_str());
    return status.exitStatus();
  }
  std::vector<size_t> chosen = select(folder, options.filter);
  if (options.firstCase >= 0)
    return work(options, folder, chosen);
  return Supervisor(options, folder, chosen).run();
}
