//===- GpuMachine.h - A GPU on the host that checks ---------- -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Executes launches of device functions that were compiled for the host (GpuOnHost.h): blocks one after the other, the
// threads of a block as fibres that change at barriers and shuffles. Every access to memory is checked:
//
//   outside        an address that belongs to no buffer, or not all of it
//   unwritten      a read of what nobody has written
//   race           two threads touch a byte, one of them writes, and no barrier of their block lies between; threads of
//                  two blocks have no barrier at all
//   divergence     a barrier or shuffle that some threads of the block or lanes of the warp never reach
//
// The first finding ends the launch; later launches do nothing.
//
// Units: bytes. Threads: one at a time; one machine runs launches at a time in a process.
//
//===----------------------------------------------------------------------===//

#ifndef PENSTOCK_TEST_UNIT_CUDA_GPUMACHINE_H
#define PENSTOCK_TEST_UNIT_CUDA_GPUMACHINE_H

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace penstock::test {

using Dims = std::array<int64_t, 3>;

class GpuMachine {
public:
  GpuMachine();
  ~GpuMachine();

  /// Memory that device functions may touch, 64-byte aligned, far from any other.
  void *allocate(const std::string &name, size_t numBytes, bool isWritten);

  /// Calls `thread` once for each thread of the grid.
  void launch(const std::string &name, Dims grid, Dims block, const std::function<void()> &thread);

  /// What was found; empty: nothing.
  const std::string &getError() const;
  /// Launches so far, with their grids and blocks.
  struct Launch {
    std::string name;
    Dims grid, block;
  };
  const std::vector<Launch> &getLaunches() const;

  /// The functions that device code calls, by name. They serve the machine that runs a launch, or that `use` names.
  static std::vector<std::pair<std::string, void *>> getFunctions();
  void use();

private:
  class Impl;
  std::unique_ptr<Impl> impl;
};

} // namespace penstock::test

#endif // PENSTOCK_TEST_UNIT_CUDA_GPUMACHINE_H
