//===- Launch.cpp - Running a folder from the command line -------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "Options.h"
#include "Results.h"
#include "lib/Host/FiguresJson.h"
#include "penstock/rt/Files.h"

#include <climits>
#include <cstdio>
#include <cstdlib>
#include <sys/random.h>
#include <unistd.h>

namespace penstock {
namespace rt {

using nlohmann::ordered_json;

namespace {

class Launcher {
public:
  Launcher(const LaunchOptions &options, int32_t role, const LaunchedRank &rank)
      : options(options), rank(rank), role(role) {}
  Status run(int32_t &turn);

private:
  Status readRequests(const Plan &plan);
  Status readNamed(TensorMap &common);
  SessionOptions sessionOptions(Status &status) const;
  Status runAll(Session &session);
  Status keep(TensorMap outputs);
  Status finish(Session &session);
  std::vector<std::string> outputNames(const Plan &plan) const;
  void print(const Session &session) const;
  void printFigures(const Session &session) const;
  ordered_json toJson(const Session &session) const;

  const LaunchOptions &options;
  const LaunchedRank &rank;
  int32_t role;
  bool feeds = true; ///< reads inputs; of several ranks, those whose stages use some
  std::vector<TensorMap> requests, results;
  std::unique_ptr<ResultWriter> writer; ///< null: results are not written
  double seconds = 0;
};

} // namespace

/// True when a stage that runs here takes something from the source.
static bool usesInputs(const Plan &plan, int32_t role) {
  for (const ChannelDesc &channel : plan.channels)
    for (int32_t stage : channel.consumerStages)
      if (channel.producerStage == RT_STAGE_SOURCE && (role < 0 || stage == role))
        return true;
  return false;
}

Status Launcher::readNamed(TensorMap &common) {
  for (const std::string &text : options.inputs) {
    size_t equals = text.rfind('=');
    if (equals == std::string::npos || equals == 0)
      return fail(Code::kInvalid, "--input '%s': expected NAME=FILE", text.c_str());
    std::string name = text.substr(0, equals);
    if (common.count(name))
      return fail(Code::kInvalid, "--input '%s' is given twice", name.c_str());
    if (!feeds)
      common[name] = Tensor();
    else if (Status status = readTensorFile(text.substr(equals + 1), common[name]); !status.ok())
      return status;
  }
  return Status();
}

Status Launcher::readRequests(const Plan &plan) {
  TensorMap common;
  if (Status status = readNamed(common); !status.ok())
    return status;
  for (const std::string &path : options.archives) {
    TensorMap request;
    if (!feeds) {
      requests.emplace_back();
      continue;
    }
    if (Status status = readNpzFile(path, request); !status.ok())
      return status;
    request.insert(common.begin(), common.end());
    requests.push_back(std::move(request));
  }
  if (requests.empty())
    requests.push_back(std::move(common));
  RandomInputs how;
  how.seed = options.seed;
  for (const std::string &text : options.dims)
    if (Status status = parseDimOption(text, how); !status.ok())
      return status;
  for (const std::string &text : options.shapes)
    if (Status status = parseShapeOption(text, how); !status.ok())
      return status;
  if (!feeds)
    return Status();
  if (!options.random)
    return how.dims.empty() && how.shapes.empty() ? Status()
                                                  : fail(Code::kInvalid, "--dim and --shape need --random here");
  for (TensorMap &request : requests)
    if (Status status = addRandomInputs(plan, how, request); !status.ok())
      return status;
  return Status();
}

/// A name in the current folder that nobody else has, or where that cannot be written, in the one for temporary files.
/// Every rank has its own view, and file.
static std::string hangFileName(int32_t role) {
  uint64_t random = 0;
  if (getrandom(&random, sizeof(random), 0) != ssize_t(sizeof(random)))
    random = uint64_t(nowNs());
  char here[PATH_MAX];
  const char *temporary = std::getenv("TMPDIR");
  std::string folder = temporary ? temporary : "/tmp";
  if (access(".", W_OK | X_OK) == 0 && getcwd(here, sizeof(here)))
    folder = here;
  std::string view = role < 0 ? "" : "." + std::to_string(role);
  return folder + format("/penstock-hang-%016llx%s.json", (unsigned long long)random, view.c_str());
}

SessionOptions Launcher::sessionOptions(Status &status) const {
  SessionOptions result;
  result.timeoutNs = int64_t(options.timeoutSeconds * 1e9);
  result.traceEvents = options.traceFile.empty() ? 0 : 1 << 18;
  result.recordFile = options.recordFile;
  result.recordResults = options.recordResults;
  if (!options.onHang.empty())
    result.hangFile = hangFileName(role);
  result.roles = options.roles;
  result.ownsProcess = true;
  if (options.verifyWeights)
    result.verifyBytes = INT64_MAX;
  result.ownRole = role;
  result.localRanks = rank.localSize;
  result.hasMpi = rank.hasMpi;
  result.sharesMemory = !options.noSharedMemory;
  for (const std::string &text : options.faults) {
    size_t colon = text.find(':');
    bool number = colon != std::string::npos && colon > 0 && colon < 5 && text.find_first_not_of("0123456789") >= colon;
    if (!number)
      status = fail(Code::kInvalid, "--fault '%s': expected STAGE:CALL:N:ACTION", text.c_str());
    else
      result.faults[std::stoi(text.substr(0, colon))] = text.substr(colon + 1);
  }
  return result;
}

/// Results of the first round are kept, and written at once.
Status Launcher::keep(TensorMap outputs) {
  if (results.size() == requests.size())
    return Status();
  results.push_back(std::move(outputs));
  return writer ? writer->write(results.back()) : Status();
}

/// Keeps a bounded number of requests in flight.
Status Launcher::runAll(Session &session) {
  int64_t total = int64_t(requests.size()) * options.repeat, submitted = 0;
  int64_t inFlight = options.inFlight > 0 ? options.inFlight : 2 * int64_t(session.plan().stages.size()) + 1;
  std::vector<TensorViewMap> views;
  for (const TensorMap &request : requests)
    views.push_back(viewsOf(request));
  int64_t begin = nowNs();
  Status refused; // by a run that has failed: what was done before is collected all the same
  for (int64_t done = 0; done < total; ++done) {
    for (; refused.ok() && submitted < total && submitted - done < inFlight; submitted += refused.ok()) {
      int64_t id;
      refused = feeds ? session.submit(views[size_t(submitted) % views.size()], id) : session.submitElsewhere(id);
    }
    if (done == submitted)
      return refused;
    TensorMap outputs;
    if (Status status = session.collect(done, outputs); !status.ok())
      return status;
    if (Status status = keep(std::move(outputs)); !status.ok())
      return status;
  }
  seconds = double(nowNs() - begin) * 1e-9;
  return Status();
}

std::vector<std::string> Launcher::outputNames(const Plan &plan) const {
  std::vector<std::string> names;
  for (const PlanTensor &output : plan.outputs)
    names.push_back(output.name);
  return names;
}

void Launcher::printFigures(const Session &session) const {
  for (const StageFigures &stage : session.stageFigures()) {
    double count = double(std::max<int64_t>(1, stage.microbatches));
    std::printf("%-12s busy %.3f ms, wait %.3f ms, send %.3f ms per microbatch; %lld microbatches\n",
                stage.name.c_str(), double(stage.busyNs) * 1e-6 / count, double(stage.waitNs) * 1e-6 / count,
                double(stage.sendNs) * 1e-6 / count, (long long)stage.microbatches);
  }
  for (const ChannelFigures &channel : session.channelFigures())
    std::printf("%-12s '%s' %lld messages, %lld bytes, %lld copied; %s\n", channel.name.c_str(), channel.tensor.c_str(),
                (long long)channel.messages, (long long)channel.bytes, (long long)channel.bytesCopied,
                transportWords(channel).c_str());
}

void Launcher::print(const Session &session) const {
  bool several = results.size() > 1;
  for (size_t k = 0; k < results.size() && options.outputFolder.empty(); ++k)
    for (const std::string &name : outputNames(session.plan()))
      if (results[k].count(name))
        std::printf("%s%s %s\n", several ? (std::to_string(k) + ": ").c_str() : "", name.c_str(),
                    summarize(results[k].at(name)).c_str());
  if (options.repeat > 1 && session.collects())
    std::printf("%.4g requests per second (%lld in %.3f s)\n",
                double(options.repeat) * double(requests.size()) / seconds,
                (long long)(options.repeat * int64_t(requests.size())), seconds);
  if (options.verbose)
    printFigures(session);
}

ordered_json Launcher::toJson(const Session &session) const {
  ordered_json root = {{"outputs", ordered_json::array()}};
  std::vector<std::string> names = outputNames(session.plan());
  std::map<std::string, std::string> files = outputFileNames(names, ".npy");
  for (size_t k = 0; k < results.size(); ++k)
    for (const std::string &name : names) {
      if (!results[k].count(name))
        continue;
      const Tensor &tensor = results[k].at(name);
      ordered_json entry = {{"request", k},
                            {"name", name},
                            {"dtype", dtypeName(tensor.dtype)},
                            {"dims", tensor.dims},
                            {"summary", summarize(tensor)}};
      if (!options.outputFolder.empty())
        entry["file"] = options.outputFolder + (results.size() > 1 ? "/" + std::to_string(k) : "") + "/" + files[name];
      root["outputs"].push_back(entry);
    }
  root["requests"] = options.repeat * int64_t(requests.size());
  root["seconds"] = seconds;
  root["throughput_per_second"] = double(options.repeat) * double(requests.size()) / seconds;
  for (const StageFigures &stage : session.stageFigures())
    root["stages"].push_back({{"name", stage.name},
                              {"busy_ms", double(stage.busyNs) * 1e-6},
                              {"wait_ms", double(stage.waitNs) * 1e-6},
                              {"send_ms", double(stage.sendNs) * 1e-6},
                              {"microbatches", stage.microbatches}});
  for (const ChannelFigures &channel : session.channelFigures())
    root["channels"].push_back(channelToJson(channel));
  return root;
}

Status Launcher::finish(Session &session) {
  if (Status status = session.close(); !status.ok())
    return status;
  if (writer)
    if (Status status = writer->complete(); !status.ok())
      return status;
  if (!options.traceFile.empty())
    if (Status status = session.writeTrace(options.traceFile + (role < 0 ? "" : "." + std::to_string(role)));
        !status.ok())
      return status;
  if (options.json && session.collects())
    std::printf("%s\n", toJson(session).dump(2, ' ', false, ordered_json::error_handler_t::replace).c_str());
  else if (!options.json && !options.quiet)
    print(session);
  // A reader that has gone away is no reason to fail; a full disk is.
  if (std::fflush(stdout) != 0 || std::ferror(stdout))
    return failErrno("cannot write the results");
  return Status();
}

Status Launcher::run(int32_t &turn) {
  // What can be wrong in what the user gave is found before anything is started or written.
  Plan plan;
  if (Status status = Plan::load(options.folder, plan); !status.ok())
    return status;
  feeds = usesInputs(plan, role);
  if (Status status = readRequests(plan); !status.ok())
    return status;
  Status status;
  SessionOptions sessionOptions = this->sessionOptions(status);
  if (!status.ok())
    return status;
  for (size_t i = 0; i < requests.size() && feeds; ++i) {
    status = checkInputs(plan, viewsOf(requests[i]));
    if (!status.ok() && !options.archives.empty())
      return fail(Code::kInvalid, "'%s': %s", options.archives[i].c_str(), status.message().c_str());
    if (!status.ok())
      return status;
  }
  if (!options.outputFolder.empty())
    status = checkFolder(options.outputFolder);
  std::unique_ptr<Session> session;
  if (status.ok())
    status = Session::open(options.folder, sessionOptions, session, &turn);
  if (status.ok() && !options.outputFolder.empty() && session->collects())
    writer = std::make_unique<ResultWriter>(options.outputFolder, outputNames(plan), requests.size(),
                                            role < 0 ? "INCOMPLETE" : "INCOMPLETE." + std::to_string(role));
  if (status.ok())
    status = runAll(*session);
  if (status.ok())
    status = finish(*session);
  if (!status.ok() && session) {
    (void)session->close(); // then what other ranks have to say is known
    turn = session->turnToTell();
    // A thread that is deep in a kernel does not notice; it ends with the process, as a role would be killed.
    if (!options.roles.empty())
      (void)session.release();
  }
  // The run has been ended by another rank, which knows why.
  if (role >= 0 && status.code() == Code::kAborted)
    turn = -1;
  if (!status.ok() && writer)
    writer->incomplete(status);
  return status;
}

Status launch(const LaunchOptions &options, int32_t role, const LaunchedRank &rank, int32_t &turn) {
  return Launcher(options, role, rank).run(turn);
}

} // namespace rt
} // namespace penstock
