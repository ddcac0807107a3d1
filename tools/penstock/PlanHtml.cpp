//===- PlanHtml.cpp - Plans as a page -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// A table, and for each number of stages a row of bars: what each stage computes, sends and receives, beside the lower
// bound. Styles and pictures are inside; names of the model are escaped.
//===----------------------------------------------------------------------===//
#include "PlanReport.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Format.h"

namespace penstock::tool {
namespace {

constexpr int kBarHeight = 14, kStageHeight = 46, kLabelWidth = 90, kPlotWidth = 640;

constexpr const char *kHead = R"(<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Plan</title><style>
body { font: 15px/1.4 sans-serif; margin: 2em auto; max-width: 60em; color: #222; }
table { border-collapse: collapse; } th, td { padding: .2em .8em; text-align: right; border-bottom: 1px solid #ddd; }
th:last-child, td:last-child { text-align: left; }
text { font: 12px sans-serif; } .compute { fill: #3b6fb6; } .send { fill: #d98c3f; } .receive { fill: #6fa86f; }
.bound { stroke: #b03030; stroke-dasharray: 4 3; } .key { display: inline-block; width: .8em; height: .8em; }
</style></head><body>
)";

class HtmlWriter {
public:
  HtmlWriter(const PlanReport &report, llvm::raw_ostream &os) : report(report), os(os) {}
  void write();

private:
  void writeText(llvm::StringRef text) { llvm::printHTMLEscaped(text, os); }
  void writeCell(const std::string &text) {
    os << "<td>";
    writeText(text);
    os << "</td>";
  }
  void writeTable();
  void writeRow(const PlanEntry &entry);
  void writeBars(const PlanEntry &entry);
  void writeBar(const char *kind, int y, double seconds);
  double scale(double seconds) const { return longest > 0 ? seconds / longest * kPlotWidth : 0; }

  const PlanReport &report;
  llvm::raw_ostream &os;
  double longest = 0; ///< one scale for all pictures, so that they can be compared
};

void HtmlWriter::writeRow(const PlanEntry &entry) {
  os << "<tr>";
  writeCell(std::to_string(entry.numStages));
  if (entry.plan) {
    double bottleneck = entry.getBottleneckSeconds();
    std::optional<double> bound = entry.getLowerBoundSeconds();
    writeCell(formatMs(bottleneck));
    writeCell(bound ? formatMs(*bound) : "-");
    os << llvm::format("<td>%.2f%%</td><td>%.2f</td><td>%.1f%%</td>", entry.plan->gap * 100,
                       bottleneck > 0 ? report.oneStageSeconds / bottleneck : 0.0, entry.getBubble() * 100);
    writeCell(formatBytes(entry.getLargestMemoryBytes()));
    writeCell(formatBytes(entry.plan->trafficBytes));
    writeCell(formatCertificate(*entry.plan));
  } else {
    os << "<td colspan=\"8\">no plan: ";
    writeText(entry.error);
    os << "</td>";
  }
  os << "</tr>\n";
}

void HtmlWriter::writeTable() {
  os << "<table><tr><th>stages</th><th>bottleneck ms</th><th>lower bound ms</th><th>gap</th><th>speedup</th>"
        "<th>bubble</th><th>largest memory</th><th>traffic</th><th>certificate</th></tr>\n";
  for (const PlanEntry &entry : report.entries)
    writeRow(entry);
  os << "</table>\n";
}

void HtmlWriter::writeBar(const char *kind, int y, double seconds) {
  os << llvm::format(
      "<rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"%.2f\" height=\"%d\"><title>%s %.4g ms</title></rect>\n", kind,
      kLabelWidth, y, scale(seconds), kBarHeight - 2, kind, seconds * 1e3);
}

void HtmlWriter::writeBars(const PlanEntry &entry) {
  int height = kStageHeight * static_cast<int>(entry.plan->stages.size()) + 8;
  os << "<h2>" << entry.numStages << (entry.numStages == 1 ? " stage" : " stages") << "</h2>\n"
     << llvm::format("<svg width=\"%d\" height=\"%d\" role=\"img\">\n", kLabelWidth + kPlotWidth + 110, height);
  int y = 4;
  for (auto [i, stage] : llvm::enumerate(entry.plan->stages)) {
    os << llvm::format("<text x=\"0\" y=\"%d\">stage %zu</text>\n", y + kBarHeight, i);
    writeBar("compute", y, stage.computeSeconds);
    writeBar("send", y + kBarHeight, stage.sendSeconds);
    writeBar("receive", y + 2 * kBarHeight, stage.recvSeconds);
    os << llvm::format("<text x=\"%.2f\" y=\"%d\">%.4g ms, %s</text>\n",
                       kLabelWidth + scale(getRoleSeconds(entry.problem, stage)) + 6, y + kBarHeight - 3,
                       getRoleSeconds(entry.problem, stage) * 1e3, formatBytes(stage.memoryBytes).c_str());
    y += kStageHeight;
  }
  if (std::optional<double> bound = entry.getLowerBoundSeconds())
    os << llvm::format("<line class=\"bound\" x1=\"%.2f\" x2=\"%.2f\" y1=\"0\" y2=\"%d\"/>\n",
                       kLabelWidth + scale(*bound), kLabelWidth + scale(*bound), height);
  os << "</svg>\n";
}

void HtmlWriter::write() {
  for (const PlanEntry &entry : report.entries)
    if (entry.plan)
      for (const partition::StageCost &stage : entry.plan->stages)
        longest = std::max({longest, stage.computeSeconds, stage.sendSeconds, stage.recvSeconds});
  os << kHead << "<h1>";
  writeText(report.model);
  os << "</h1>\n<p>" << report.numKernels << " kernels; " << report.tier << " costs of ";
  writeText(llvm::join(report.profiles, ", "));
  os << "; balanced: " << report.balance << ".</p>\n";
  writeTable();
  for (const std::string &note : report.notes) {
    os << "<p>note: ";
    writeText(note);
    os << "</p>\n";
  }
  os << "<p><svg class=\"key\"><rect class=\"compute\" width=\"12\" height=\"12\"/></svg> compute "
        "<svg class=\"key\"><rect class=\"send\" width=\"12\" height=\"12\"/></svg> send "
        "<svg class=\"key\"><rect class=\"receive\" width=\"12\" height=\"12\"/></svg> receive, per microbatch; "
        "dashed: "
        "the lower bound that no plan with as many stages beats.</p>\n";
  for (const PlanEntry &entry : report.entries)
    if (entry.plan)
      writeBars(entry);
  os << "</body></html>\n";
}

} // namespace

void printHtml(const PlanReport &report, llvm::raw_ostream &os) { HtmlWriter(report, os).write(); }

} // namespace penstock::tool
