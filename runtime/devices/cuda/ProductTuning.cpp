//===- ProductTuning.cpp - Algorithms that were chosen before ----*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "ProductTuning.h"

#include "lib/Core/Memory.h"

#include <cinttypes>
#include <cstdio>
#include <fcntl.h>
#include <memory>
#include <sys/stat.h>
#include <tuple>
#include <unistd.h>

namespace penstock {
namespace rt {

static constexpr int kNumFields = 15;
static constexpr size_t kMaxLine = 1024;

using File = std::unique_ptr<std::FILE, int (*)(std::FILE *)>;

bool ProductProblemLess::operator()(const ProductProblem &lhs, const ProductProblem &rhs) const {
  auto words = [](const ProductProblem &p) {
    return std::tie(p.batch, p.rows, p.inner, p.columns, p.workspaceBytes, p.alignment, p.type, p.activation,
                    p.allowsTf32, p.transposesLhs, p.transposesRhs, p.repeatsLhs, p.repeatsRhs, p.hasBias,
                    p.hasResidual);
  };
  return words(lhs) < words(rhs);
}

static void writeLine(std::FILE *file, const ProductProblem &p, const ProductChoice &choice) {
  const int64_t fields[kNumFields] = {p.batch,          p.rows,          p.inner,         p.columns,
                                      p.workspaceBytes, p.alignment,     int64_t(p.type), int64_t(p.activation),
                                      p.allowsTf32,     p.transposesLhs, p.transposesRhs, p.repeatsLhs,
                                      p.repeatsRhs,     p.hasBias,       p.hasResidual};
  for (int64_t field : fields)
    std::fprintf(file, "%" PRId64 " ", field);
  std::fputc(':', file);
  for (uint64_t word : choice.words)
    std::fprintf(file, " %016" PRIx64, word);
  std::fputc('\n', file);
}

static bool readLine(const char *line, ProductProblem &p, ProductChoice &choice) {
  int64_t fields[kNumFields];
  for (int64_t &field : fields) {
    int used = 0;
    if (std::sscanf(line, "%" SCNd64 " %n", &field, &used) != 1 || used == 0)
      return false;
    line += used;
  }
  if (*line++ != ':')
    return false;
  for (uint64_t &word : choice.words) {
    int used = 0;
    if (std::sscanf(line, "%" SCNx64 "%n", &word, &used) != 1 || used == 0)
      return false;
    line += used;
  }
  p.batch = fields[0], p.rows = fields[1], p.inner = fields[2], p.columns = fields[3];
  p.workspaceBytes = fields[4], p.alignment = fields[5];
  p.type = ProductType(int32_t(fields[6])), p.activation = ProductActivation(int32_t(fields[7]));
  p.allowsTf32 = fields[8], p.transposesLhs = fields[9], p.transposesRhs = fields[10];
  p.repeatsLhs = fields[11], p.repeatsRhs = fields[12], p.hasBias = fields[13], p.hasResidual = fields[14];
  choice.isKnown = true;
  return *line == '\n';
}

/// A regular file; nothing waits for a pipe.
static std::FILE *openFile(const std::string &path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat facts;
  if (!fd.valid() || fstat(fd.get(), &facts) != 0 || !S_ISREG(facts.st_mode))
    return nullptr;
  return fdopen(fd.take(), "r");
}

void ProductTuning::open(const std::string &where, const std::string &machine) {
  path = where;
  head = "penstock tuning 1: " + machine + "\n";
  File file(openFile(path), std::fclose);
  char line[kMaxLine];
  if (!file || !std::fgets(line, sizeof(line), file.get()) || head != line)
    return;
  while (choices.size() < kMaxChoices && std::fgets(line, sizeof(line), file.get())) {
    ProductProblem problem;
    ProductChoice choice;
    if (readLine(line, problem, choice))
      choices.emplace(problem, choice);
  }
}

ProductChoice ProductTuning::find(const ProductProblem &problem) const {
  auto found = choices.find(problem);
  return found == choices.end() ? ProductChoice() : found->second;
}

void ProductTuning::add(const ProductProblem &problem, const ProductChoice &choice) {
  if (path.empty() || (choices.size() >= kMaxChoices && choices.count(problem) == 0))
    return;
  choices[problem] = choice;
  isChanged = true;
}

void ProductTuning::save() {
  if (!isChanged)
    return;
  isChanged = false;
  (void)mkdir(path.substr(0, path.rfind('/')).c_str(), 0777);
  std::string partial;
  int fd = createBeside(path, 0, partial).take();
  File file(fd < 0 ? nullptr : fdopen(fd, "w"), std::fclose);
  if (!file)
    return;
  std::fputs(head.c_str(), file.get());
  for (const auto &[problem, choice] : choices)
    writeLine(file.get(), problem, choice);
  bool isWritten = std::fflush(file.get()) == 0 && !std::ferror(file.get());
  if (!isWritten || std::rename(partial.c_str(), path.c_str()) != 0)
    (void)unlink(partial.c_str());
}

} // namespace rt
} // namespace penstock
