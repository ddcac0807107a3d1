//===- Bench.cpp - How fast kernels are on a GPU -------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
//   gpu_bench FOLDER [--filter TEXT] [--json FILE] [--least-ms N] [--touch-kib N]
//
// Times the kernels of a folder that gpu_cases has written with --bench on device 0, a kernel a line: microseconds,
// what it must read and write per second and the share of what a copy within the device reaches, and for products and
// convolutions the operations per second and the time of the fastest algorithm that the library lists, tried one after
// the other (ByHand.h). A measurement takes N ms at least (20); launches of a round touch N KiB together (262144). The
// last line is `N measured, N failed, N skipped`, or `skipped: no GPU (why)`. Exit status 1 if one has failed.
//
//===----------------------------------------------------------------------===//

#include "BenchRunner.h"
#include "CaseFlags.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <fstream>

using namespace penstock;
using namespace penstock::test;
using nlohmann::ordered_json;
using rt::Status;

namespace {

struct Options : CaseFlags {
  BenchOptions bench;
};

class Report {
public:
  explicit Report(const Options &options) : options(options) {}

  int run(const CaseFolder &folder) {
    rt::DeviceList devices;
    Status status = rt::listDevices(options.folder + "/" + kPluginFile, devices);
    if (status.code() == rt::Code::kSystem) {
      std::printf("skipped: no GPU (%s)\n", status.message().c_str());
      root["no_gpu"] = status.message();
      return writeJson() ? 0 : 1;
    }
    std::unique_ptr<BenchRunner> runner;
    if (status.ok())
      status = BenchRunner::open(options.folder, folder, options.bench, runner);
    double copied = 0;
    if (status.ok())
      status = runner->measureCopy(copied);
    if (!status.ok()) {
      std::printf("%s\n", status.message().c_str());
      return 1;
    }
    describe(runner->device(), copied);
    for (const Case &test : folder.cases)
      if (test.name.find(options.filter) != std::string::npos)
        runCase(*runner, test);
    std::printf("%zu measured, %zu failed, %zu skipped\n", root["cases"].size(), root["failed"].size(),
                root["skipped"].size());
    bool isGood = root["failed"].empty() && root["cases"].size() + root["skipped"].size() > 0;
    return writeJson() && isGood ? 0 : 1;
  }

private:
  void describe(const rt::Device &device, double copied) {
    root["device"] = rt::deviceWords(device), root["library"] = device.library;
    root["copy_gb_s"] = copyRate = copied * 1e-9;
    root["touched_bytes"] = options.bench.touchedBytes;
    std::printf("%s, %s: a copy within the device reads and writes %.0f GB/s\n", rt::deviceWords(device).c_str(),
                device.library, copyRate);
  }

  void runCase(BenchRunner &runner, const Case &test) {
    Figure figure;
    Status status = runner.measure(test, figure);
    if (status.ok()) {
      addFigure(test, figure);
    } else {
      bool isMissing = status.code() == rt::Code::kSystem && figure.us == 0;
      const char *what = isMissing ? "skipped" : "failed";
      root[what].push_back({{"name", test.name}, {"words", status.message()}});
      std::printf("%s: %s: %s\n", what, test.name.c_str(), status.message().c_str());
    }
    std::fflush(stdout);
  }

  void addFigure(const Case &test, const Figure &figure) {
    double rate = double(figure.numBytes) / figure.us * 1e-3;
    ordered_json row = {{"name", test.name},
                        {"us", figure.us},
                        {"bytes", figure.numBytes},
                        {"touched_bytes", figure.touchedBytes},
                        {"gb_s", rate},
                        {"copy_share", rate / copyRate}};
    std::string words = rt::format("%.2f us, %.0f GB/s, %.0f %% of a copy", figure.us, rate, 100 * rate / copyRate);
    if (figure.flops > 0) {
      row["tflop_s"] = double(figure.flops) / figure.us * 1e-6;
      words += rt::format(", %.2f TFLOP/s", double(figure.flops) / figure.us * 1e-6);
    }
    if (figure.numWays > 0) {
      row["hand_us"] = figure.handUs, row["hand_number"] = figure.handNumber, row["hand_ways"] = figure.numWays;
      words += rt::format("; by hand %.2f us, number %lld of %lld", figure.handUs, (long long)figure.handNumber,
                          (long long)figure.numWays);
    }
    root["cases"].push_back(std::move(row));
    std::printf("%s: %s\n", test.name.c_str(), words.c_str());
  }

  bool writeJson() const {
    if (options.jsonFile.empty())
      return true;
    std::ofstream file(options.jsonFile);
    file << root.dump(1, ' ', false, ordered_json::error_handler_t::replace) << '\n';
    file.close();
    if (!file)
      std::fprintf(stderr, "gpu_bench: cannot write '%s'\n", options.jsonFile.c_str());
    return bool(file);
  }

  const Options &options;
  double copyRate = 0; ///< GB/s
  ordered_json root = {
      {"cases", ordered_json::array()}, {"failed", ordered_json::array()}, {"skipped", ordered_json::array()}};
};

} // namespace

int main(int argc, char **argv) {
  Options options;
  int64_t leastMs = options.bench.leastNs / 1000000, touchedKib = options.bench.touchedBytes >> 10;
  auto addMore = [&](CLI::App &app) {
    app.add_option("--least-ms", leastMs, "how long each measurement takes at least")->check(CLI::NonNegativeNumber);
    app.add_option("--touch-kib", touchedKib, "the buffers that a kernel goes through")->check(CLI::PositiveNumber);
  };
  if (std::optional<int> status = parse(argc, argv, "Times kernels on a GPU.", options, addMore))
    return *status;
  options.bench.leastNs = leastMs * 1000000, options.bench.touchedBytes = touchedKib << 10;
  CaseFolder folder;
  if (Status status = CaseFolder::read(options.folder, /*hasContents=*/false, folder); !status.ok()) {
    std::fprintf(stderr, "gpu_bench: %s\n", status.message().c_str());
    return status.exitStatus();
  }
  return Report(options).run(folder);
}
