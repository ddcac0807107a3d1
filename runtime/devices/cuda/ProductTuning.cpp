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

static constexpr size_t kMaxLine = 1024;

using File = std::unique_ptr<std::FILE, int (*)(std::FILE *)>;

/// All fields of a problem, in the order that they have in the file.
template <typename Problem> static auto fieldsOf(Problem &p) {
  return std::tie(p.batch, p.rows, p.inner, p.columns, p.workspaceBytes, p.alignment, p.type, p.activation,
                  p.allowsTf32, p.transposesLhs, p.transposesRhs, p.repeatsLhs, p.repeatsRhs, p.hasBias, p.hasResidual);
}

bool ProductProblemLess::operator()(const ProductProblem &lhs, const ProductProblem &rhs) const {
  return fieldsOf(lhs) < fieldsOf(rhs);
}

static void writeLine(std::FILE *file, const ProductProblem &problem, const ProductChoice &choice) {
  std::apply([file](auto... fields) { (std::fprintf(file, "%" PRId64 " ", static_cast<int64_t>(fields)), ...); },
             fieldsOf(problem));
  std::fputc(':', file);
  for (uint64_t word : choice.words)
    std::fprintf(file, " %016" PRIx64, word);
  std::fputc('\n', file);
}

/// A number and the blanks behind it; `line` goes on behind them.
template <typename Field> static bool readField(const char *&line, Field &field) {
  int64_t number = 0;
  int used = 0;
  if (std::sscanf(line, "%" SCNd64 " %n", &number, &used) != 1 || used == 0)
    return false;
  field = static_cast<Field>(number);
  line += used;
  return true;
}

static bool readLine(const char *line, ProductProblem &problem, ProductChoice &choice) {
  bool isWhole = std::apply([&line](auto &...fields) { return (readField(line, fields) && ...); }, fieldsOf(problem));
  if (!isWhole || *line++ != ':')
    return false;
  for (uint64_t &word : choice.words) {
    int used = 0;
    if (std::sscanf(line, "%" SCNx64 "%n", &word, &used) != 1 || used == 0)
      return false;
    line += used;
  }
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
