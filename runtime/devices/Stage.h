//===- Stage.h - What a stage has on a device --------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//   memory   one piece, planned in parts before the first request; nothing is allocated afterwards
//   compute  the stream of the kernels
//   images   the code of the kernels, loaded before the first request
//   graphs   what one microbatch enqueues on the compute stream, per slot phase and tuple of symbol values: recorded
//            when a tuple first comes, launched whole from then on
//   staging  pinned memory and a stream of its own for each tensor that comes from the host or goes there
//
// Order: the host never waits for the device but in StagedInput::take (for a pinned slot that is still being copied)
// and StagedOutput::take (for results); all else is joined by events.
// Units: bytes; deadlines as in Transport.h. Threads: the one that opened the stage. Errors name the stage, the device
// and what could not be done.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_DEVICES_STAGE_H
#define PENSTOCK_RT_DEVICES_STAGE_H

#include "Device.h"
#include "penstock/rt/Transport.h"

#include <functional>
#include <map>
#include <memory>
#include <vector>

namespace penstock {
namespace rt {

/// Base of every part of a stage's memory, and of every slot.
constexpr int64_t kDeviceAlignment = 256;
/// The next multiple of kDeviceAlignment.
constexpr int64_t alignForDevice(int64_t numBytes) {
  return (numBytes + kDeviceAlignment - 1) / kDeviceAlignment * kDeviceAlignment;
}

/// What a wait looks at now and then: a failure ends the wait, such as the end of the run or the loss of a peer.
using Watch = std::function<Status()>;

/// Polls an event until it has happened. kTimeout: it has not by the deadline. Otherwise what `watch` says.
Status awaitEvent(const Device &device, const std::string &who, const char *what, void *event, int64_t deadlineNs,
                  const Watch &watch);

/// Memory of the device. kSystem: it does not suffice; `needs` tells what it is for: "weights 2.0 GiB, slots 1.0 GiB".
Status allocateMemory(const Device &device, const std::string &who, const std::string &needs, int64_t numBytes,
                      void *&data);
/// "2.0 GiB", "512 bytes".
std::string bytesToString(int64_t numBytes);

/// An event, dropped with its owner.
class DeviceEvent {
public:
  DeviceEvent() = default;
  DeviceEvent(DeviceEvent &&other) noexcept { std::swap(device, other.device), std::swap(event, other.event); }
  DeviceEvent &operator=(DeviceEvent &&other) noexcept {
    std::swap(device, other.device), std::swap(event, other.event);
    return *this;
  }
  ~DeviceEvent();
  static Status make(const Device &device, const std::string &who, DeviceEvent &made);
  void *get() const { return event; }

private:
  const Device *device = nullptr;
  void *event = nullptr;
};

class DeviceStage {
public:
  /// A part of the memory, and what it is for.
  struct Part {
    std::string what;
    int64_t numBytes = 0;
  };
  /// The code of some kernels. `archs`: what it was compiled for, for messages.
  struct Image {
    const void *data = nullptr;
    std::string archs;
  };

  /// `device` must outlive the stage. `watch` is called while the host waits. kSystem: the memory does not suffice; the
  /// message tells the needs of all parts.
  static Status open(const Device &device, const std::string &who, const std::vector<Part> &parts, Watch watch,
                     std::unique_ptr<DeviceStage> &stage);
  /// Work that is still on the compute stream is given up or done, as the device chooses.
  ~DeviceStage();
  DeviceStage(const DeviceStage &) = delete;
  DeviceStage &operator=(const DeviceStage &) = delete;

  const Device &device() const { return theDevice; }
  const std::string &who() const { return theWho; }
  const Watch &watch() const { return theWatch; }
  /// Aligned to kDeviceAlignment.
  void *part(size_t index) const { return parts[index]; }
  Stream compute() const { return Stream{computeStream}; }

  /// kMismatch: the code is for other chips than this device.
  Status load(const Image &image, void *&handle);
  /// `sharedBytes`: the most dynamic shared memory that its launches ask for.
  Status find(void *image, const char *name, int32_t sharedBytes, void *&kernel);
  /// On the compute stream. `name` is for messages.
  Status launch(const Launch &launch, const char *name);

  /// Does what `enqueue` gives to the compute stream, as a graph: `enqueue` is called when `key` comes for the first
  /// time. It may launch kernels, and nothing else. Of many keys, the one that was first made is forgotten.
  Status runGraph(const std::vector<int64_t> &key, const std::function<Status()> &enqueue);
  int64_t numGraphs() const { return int64_t(graphs.size()); }
  static constexpr size_t kMaxGraphs = 256;

private:
  DeviceStage(const Device &device, const std::string &who, Watch watch)
      : theDevice(device), theWho(who), theWatch(std::move(watch)) {}
  Status allocate(const std::vector<Part> &wanted);
  Status recordGraph(const std::function<Status()> &enqueue, void *&graph);

  const Device &theDevice;
  std::string theWho;
  Watch theWatch;
  void *memory = nullptr, *computeStream = nullptr;
  std::vector<void *> parts, images;
  struct Recorded {
    void *graph = nullptr;
    uint64_t number = 0; ///< in the order of their recording
  };
  std::map<std::vector<int64_t>, Recorded> graphs;
  uint64_t numRecorded = 0;
};

/// What staging has in both directions: `depth` pinned slots, each with its slot on the device.
class StagedTensor {
public:
  /// Bytes of the stage's memory that the slots take.
  static int64_t deviceBytes(int64_t numBytes, int32_t depth);
  StagedTensor(const StagedTensor &) = delete;
  StagedTensor &operator=(const StagedTensor &) = delete;

protected:
  struct Staged {
    void *pinned = nullptr, *data = nullptr;
    DeviceEvent copied, freed;
    int64_t numBytes = 0; ///< of the tensor that is in it
  };
  StagedTensor(DeviceStage &stage, const std::string &tensor, int64_t roomBytes)
      : stage(stage), device(stage.device()), who(stage.who() + ", tensor '" + tensor + "'"), roomBytes(roomBytes) {}
  ~StagedTensor();
  Status openSlots(int32_t depth, void *memory);
  Staged &slotOf(uint64_t number) { return slots[number % slots.size()]; }
  Status checkBytes(int64_t numBytes) const;

  DeviceStage &stage;
  const Device &device;
  std::string who; ///< for messages
  int64_t roomBytes;
  void *stream = nullptr;
  std::vector<Staged> slots;
};

/// A tensor that comes from the host.
class StagedInput : public StagedTensor {
public:
  /// `memory`: a part of the stage's memory, of deviceBytes(numBytes, depth).
  static Status open(DeviceStage &stage, const std::string &tensor, int64_t numBytes, int32_t depth, void *memory,
                     std::unique_ptr<StagedInput> &made);
  /// Copies to the next slot; later work on the compute stream finds it at `data`. `from` may be written again on
  /// return. kProgram: all slots are taken.
  Status take(const void *from, int64_t numBytes, int64_t deadlineNs, void *&data);
  /// The oldest taken slot may be reused once the work that is on the compute stream by now is done.
  Status release();

private:
  using StagedTensor::StagedTensor;
  uint64_t numTaken = 0, numReleased = 0;
};

/// A tensor that goes to the host.
class StagedOutput : public StagedTensor {
public:
  static Status open(DeviceStage &stage, const std::string &tensor, int64_t numBytes, int32_t depth, void *memory,
                     std::unique_ptr<StagedOutput> &made);
  /// The next slot, for later work on the compute stream to write. kProgram: all slots hold results.
  Status acquire(void *&data);
  /// What work on the compute stream has written to the acquired slot goes to the host once it is there.
  Status publish(int64_t numBytes);
  /// Waits for the oldest published result. kProgram: there is none, or `to` is too small.
  Status take(void *to, int64_t room, int64_t deadlineNs, int64_t &numBytes);

private:
  using StagedTensor::StagedTensor;
  uint64_t numAcquired = 0, numPublished = 0, numTaken = 0;
};

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_DEVICES_STAGE_H
