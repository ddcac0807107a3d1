#!/usr/bin/env bash
# Where to cut a model: the cost of each number of stages, the partitioner's cut beside one by hand, and the same results.
#
# usage: where_to_cut.sh MODEL.onnx CUT [FLAG]... ; CUT is a tensor of the model at which a stage ends (`penstock inspect
# MODEL.onnx` lists them), FLAGs as --shape x=1x3x48x192 make the shapes static. Writes into ./results. Exit status 1 if the
# two cuts give different results.
#
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
set -euo pipefail
if [ $# -lt 2 ]; then
  sed -n '/^# usage: /,/^#$/ { s/^# \{0,1\}//; p }' "$0" >&2
  exit 2
fi
model=$1 cut=$2
shift 2
mkdir -p results

echo "== what each number of stages would cost (results/plan.html has pictures)"
penstock plan "$model" --stages 1..4 --html results/plan.html "$@"

echo "== the best cut into two stages"
penstock compile "$model" -o results/best.penstock --stages 2 "$@"

echo "== cut by hand after '$cut'"
penstock compile "$model" -o results/by-hand.penstock --stages 2 --cut "$cut" "$@"

for name in best by-hand; do
  penstock run "results/$name.penstock" --random --output-dir "results/$name" >/dev/null
done
if diff -r results/best results/by-hand; then
  echo "== both give the same bits"
else
  echo "error: the two cuts give different results" >&2
  exit 1
fi
