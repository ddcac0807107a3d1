//===- Starters.cpp - Files for launchers ---------------------------------===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "penstock/Link/Starters.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Path.h"

using namespace penstock::link;

static constexpr const char *kMpirun = R"(#!/bin/sh
# One rank for each of the %STAGES% stages of %MODEL%. Arguments are those of launch:
#   sh starters/mpirun.sh --input NAME=FILE --output-dir DIR
# On several hosts, each of which has this folder under the same path:
#   MPIRUN_OPTIONS="--host a:2,b:2" sh starters/mpirun.sh ...
folder=$(cd "$(dirname "$0")/.." && pwd)
exec mpirun -n %STAGES% $MPIRUN_OPTIONS "$folder/launch" "$@"
)";

static constexpr const char *kSlurm = R"(#!/bin/sh
#SBATCH --job-name=%NAME%
#SBATCH --ntasks=%STAGES%
#SBATCH --cpus-per-task=%THREADS%
# One task for each of the %STAGES% stages of %MODEL%. Arguments are those of launch; to be submitted in the folder:
#   sbatch starters/slurm.sbatch --input NAME=FILE --output-dir DIR
exec srun --mpi=pmix -n %STAGES% "${PENSTOCK_FOLDER:-$SLURM_SUBMIT_DIR}/launch" "$@"
)";

static constexpr const char *kKubernetes =
    R"(# One pod for each of the %STAGES% stages of %MODEL%. To edit: the claim of the volume that holds this folder, and what is
# to be run. The stages meet at the first pod; the volume must be readable by all pods at once.
apiVersion: v1
kind: Service
metadata:
  name: %NAME%
spec:
  clusterIP: None
  publishNotReadyAddresses: true
  selector:
    job-name: %NAME%
---
apiVersion: batch/v1
kind: Job
metadata:
  name: %NAME%
spec:
  completions: %STAGES%
  parallelism: %STAGES%
  completionMode: Indexed
  backoffLimit: 0
  template:
    spec:
      subdomain: %NAME%
      restartPolicy: Never
      containers:
        - name: stage
          image: debian:12-slim
          command: ["/model/launch", "--random"]
          env:
            - name: RANK
              valueFrom:
                fieldRef:
                  fieldPath: metadata.annotations['batch.kubernetes.io/job-completion-index']
            - name: WORLD_SIZE
              value: "%STAGES%"
            - name: LOCAL_WORLD_SIZE
              value: "1"
            - name: MASTER_ADDR
              value: "%NAME%-0.%NAME%"
            - name: MASTER_PORT
              value: "29500"
          resources:
            requests:
              cpu: "%THREADS%"
          volumeMounts:
            - name: model
              mountPath: /model
              readOnly: true
      volumes:
        - name: model
          persistentVolumeClaim:
            claimName: %NAME%
)";

std::string penstock::link::jobName(llvm::StringRef model) {
  // With "penstock-" and the number of a pod after it, a name must stay below 63 characters.
  constexpr size_t kMostLetters = 40;
  std::string name;
  for (char c : llvm::sys::path::stem(model).take_front(kMostLetters))
    name += llvm::isAlnum(c) ? llvm::toLower(c) : '-';
  llvm::StringRef trimmed = llvm::StringRef(name).trim('-');
  return trimmed.empty() ? "penstock" : "penstock-" + trimmed.str();
}

/// A file name can hold whatever a file system takes; in a comment it must not begin a new line.
static std::string comment(llvm::StringRef model) {
  std::string text;
  for (char c : llvm::sys::path::filename(model))
    text += llvm::isPrint(c) ? c : '?';
  return text.empty() ? "the model" : text;
}

std::vector<Starter> penstock::link::makeStarters(const StarterInfo &info) {
  const std::pair<llvm::StringRef, std::string> words[] = {{"STAGES", std::to_string(info.numStages)},
                                                           {"THREADS", std::to_string(info.numThreads)},
                                                           {"NAME", jobName(info.model)},
                                                           {"MODEL", comment(info.model)}};
  auto fill = [&](llvm::StringRef form) {
    std::string text;
    for (bool isWord = false; !form.empty(); isWord = !isWord) {
      auto [part, rest] = form.split('%');
      for (auto &[word, value] : words)
        if (isWord && part == word)
          text += value;
      text += isWord ? "" : part.str();
      form = rest;
    }
    return text;
  };
  return {{"starters/mpirun.sh", fill(kMpirun)},
          {"starters/slurm.sbatch", fill(kSlurm)},
          {"starters/kubernetes.yaml", fill(kKubernetes)}};
}
