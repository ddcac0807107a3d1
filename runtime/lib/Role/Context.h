//===- Context.h - The state of a running role -------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What an rt_ctx is. Set up by runRole() (Role.cpp), moved along by the calls of Abi.h (Program.cpp). One thread,
// except rt_fail.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_LIB_ROLE_CONTEXT_H
#define PENSTOCK_RT_LIB_ROLE_CONTEXT_H

#include "Memory.h"
#include "WeightsFile.h"
#include "penstock/rt/Role.h"
#include "transports/faulty/Faulty.h"

#include <map>
#include <mutex>

namespace penstock {
namespace rt {
class CudaKernels;
class RoleDevice;
} // namespace rt
} // namespace penstock

struct rt_ctx {
  using Status = penstock::rt::Status;

  rt_ctx(const rt_role_desc &desc, penstock::rt::Transport &transport, const penstock::rt::RunControl &control,
         const penstock::rt::RoleOptions &options);
  ~rt_ctx();

  /// One channel of the role's table, in both directions.
  struct Channel {
    penstock::rt::ChannelDesc desc;
    penstock::rt::ChannelId in = -1, out = -1;
    bool isStaged = false; ///< the role is on a device, and the channel the host's: messages are copied
    bool waited = false, uploaded = false, released = false;
    bool acquired = false, downloaded = false, published = false;
    penstock::rt::Slot inSlot, outSlot;
    penstock::rt::MessageHeader header;
    std::vector<int64_t> dims; ///< of this microbatch, from the extents
    int64_t numBytes = 0;      ///< likewise; -1 where a symbol that it needs is still to be found
    std::vector<int32_t> inStorages, outStorages;
  };
  /// Where the values of a free arena lie for one tuple of symbol values.
  struct Placement {
    std::vector<int64_t> offsets; ///< per storage; -1 for those outside the arena
    int64_t numBytes = 0;
  };
  struct Local {
    const void *key;
    void *value;
    void (*destroy)(void *);
  };

  // Set-up, in order.
  Status openChannels(int64_t deadlineNs);
  Status reserveArena();

  // The calls.
  int32_t begin();
  int32_t wait(int32_t index);
  int32_t upload(int32_t index);
  int32_t bind();
  int32_t setSymbol(int32_t index, int32_t storage, int64_t lower, int64_t upper, const char *node);
  int32_t acquire(int32_t index);
  int32_t download(int32_t index);
  int32_t publish(int32_t index);
  int32_t release(int32_t index);
  int32_t done(int32_t step);
  int32_t end();

  /// Keeps the failure, tells the run, and gives its code.
  int32_t report(const Status &status);
  /// A mistake of the program.
  int32_t misuse(const char *call, int32_t channel, const char *expected);

  const rt_role_desc &desc;
  penstock::rt::Transport &transport;
  penstock::rt::RunControl control;
  penstock::rt::RoleState &state;
  penstock::rt::RoleOptions options;
  penstock::rt::ProgressWatch watch;
  penstock::rt::FaultInjector *faults = nullptr; ///< null: none
  std::string folder;

  std::vector<Channel> channels;
  std::vector<void *> buffers;
  std::vector<int64_t> extents, symbols;
  int32_t firstInput = -1;

  penstock::rt::WeightsFile weights;
  penstock::rt::Mapping arena;
  std::vector<penstock::rt::Mapping> states;
  std::map<std::vector<int64_t>, Placement> placements; ///< by the symbols that the inputs bind
  std::vector<int64_t> placeKey;
  const Placement *placement = nullptr;

  // The current microbatch.
  bool inMicrobatch = false, bound = false, streamEnded = false;
  std::vector<int64_t> shapedFor; ///< the symbol values that extents, shapes and places are those of
  int64_t ordinal = 0, request = 0, microbatch = 0;
  int64_t runBeginNs = 0, blockedNs = 0;
  int64_t stepBeginNs = 0; ///< when the last call that is no kernel returned

  Status failure;
  std::atomic<bool> kernelFailed{false};
  std::mutex kernelMutex; ///< guards kernelMessage
  std::string kernelMessage;
  std::vector<Local> locals;
  penstock::rt::RoleDevice *onDevice = nullptr;     ///< null: on the host
  penstock::rt::CudaKernels *cudaKernels = nullptr; ///< of a role on a CUDA device

private:
  struct Interval {
    int64_t beginNs = 0, endNs = 0;
    int64_t ns() const { return endNs - beginNs; }
  };
  template <typename Call>
  Status block(penstock::rt::Activity activity, const Channel &channel, bool idle, Interval &interval,
               const Call &call);
  Status waitFor(Channel &channel, bool idle);
  void pointTo(const std::vector<int32_t> &storages, const penstock::rt::Slot &slot) {
    for (int32_t storage : storages)
      buffers[size_t(storage)] = slot.data;
  }
  Status acquireFrom(Channel &channel, int64_t numBytes);
  Status finishStream();
  Status checkHeader(Channel &channel);
  bool isDataSymbol(size_t index) const { return index + size_t(desc.num_data_symbols) >= symbols.size(); }
  Status computeShapes();
  Status checkShape(const Channel &channel);
  Status place();
  Status planArena(Placement &made);
  Status timedOut(int64_t now);
  void record(int32_t kind, int32_t channel, const Interval &interval);
  Status recordResults(int32_t step);
  Status read(void *to, int32_t storage, int64_t numBytes);
  void beat();
};

#endif // PENSTOCK_RT_LIB_ROLE_CONTEXT_H
