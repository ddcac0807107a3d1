//===- GpuMachine.cpp - A GPU on the host that checks -------- -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "GpuMachine.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <map>
#include <new>
#include <sys/mman.h>
#include <ucontext.h>

namespace penstock::test {

namespace {

constexpr size_t kSlotBytes = size_t(1) << 30, kNumSlots = 512, kGuardBytes = size_t(1) << 16;
constexpr size_t kStackBytes = size_t(1) << 16;
constexpr int64_t kWarp = 32;

/// Who touched a byte, and when. `epoch` counts the barriers of the block.
struct Touch {
  int64_t block = -1;
  int32_t thread = -1, epoch = -1;

  bool isThere() const { return block >= 0; }
  bool conflictsWith(const Touch &other) const {
    if (!isThere() || (block == other.block && thread == other.thread))
      return false;
    return block != other.block || epoch == other.epoch;
  }
};

/// The history of a byte in one launch.
struct Cell {
  int64_t launch = -1;
  Touch write, reads[2];
  bool isWritten = false; ///< by anybody, ever
};

struct Buffer {
  std::string name;
  char *begin = nullptr;
  size_t numBytes = 0;
  std::vector<Cell> cells;
};

enum class State { Ready, AtBarrier, AtShuffle, Done };

/// A thread of the block that runs.
struct Thread {
  State state = State::Done;
  size_t fibre = 0;
  uint64_t value = 0; ///< of a shuffle: what this lane gives, then what it gets
  int32_t mode = 0, offset = 0, width = 0;
};

struct Fibre {
  ucontext_t context;
  std::unique_ptr<char[]> stack;
  bool isFree = true;
};

std::string describe(const Touch &touch) {
  return "thread " + std::to_string(touch.thread) + " of block " + std::to_string(touch.block);
}

} // namespace

class GpuMachine::Impl {
public:
  Impl() {
    void *memory = mmap(nullptr, kSlotBytes * kNumSlots, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
      throw std::bad_alloc();
    region = static_cast<char *>(memory);
  }
  ~Impl() { munmap(region, kSlotBytes * kNumSlots); }

  Buffer &addBuffer(const std::string &name, size_t numBytes, bool isWritten) {
    size_t slot = buffers.size();
    buffers.emplace_back();
    setBuffer(slot, name, numBytes, isWritten);
    return buffers.back();
  }

  void setBuffer(size_t slot, const std::string &name, size_t numBytes, bool isWritten) {
    if (slot >= kNumSlots || numBytes > kSlotBytes - 2 * kGuardBytes)
      throw std::bad_alloc();
    Buffer &buffer = buffers[slot];
    char *begin = region + slot * kSlotBytes + kGuardBytes;
    if (numBytes > 0 && mprotect(begin, numBytes, PROT_READ | PROT_WRITE) != 0)
      throw std::bad_alloc();
    buffer.name = name;
    buffer.begin = begin;
    buffer.numBytes = numBytes;
    buffer.cells.assign(numBytes, Cell());
    for (Cell &cell : buffer.cells)
      cell.isWritten = isWritten;
  }

  // Running.

  void launch(const std::string &name, Dims grid, Dims block, const std::function<void()> &function) {
    if (!error.empty())
      return;
    launches.push_back({name, grid, block});
    launchName = name;
    gridDims = grid;
    blockDims = block;
    body = &function;
    for (int64_t number = 0; number < grid[0] * grid[1] * grid[2] && error.empty(); ++number)
      runBlock(number);
  }

  void runBlock(int64_t number) {
    blockNumber = number;
    epoch = 0;
    for (size_t slot : sharedSlots)
      if (slot < buffers.size() && buffers[slot].begin)
        setBuffer(slot, buffers[slot].name, buffers[slot].numBytes, false);
    threads.assign(blockDims[0] * blockDims[1] * blockDims[2], Thread());
    nextThread = 0;
    for (Fibre &fibre : fibres)
      fibre.isFree = true;
    while (error.empty() && step())
      ;
  }

  /// Lets one fibre run until it waits. False when all threads are done.
  bool step() {
    if (nextThread < threads.size()) {
      resume(startFibre());
      return true;
    }
    for (Thread &thread : threads)
      if (thread.state == State::Ready) {
        current = &thread - threads.data();
        resume(thread.fibre);
        return true;
      }
    bool isDone = true;
    for (Thread &thread : threads)
      isDone &= thread.state == State::Done;
    if (isDone)
      return false;
    if (!releaseWarps() && !releaseBarrier())
      fail("divergence: some threads of block " + std::to_string(blockNumber) +
           " wait at a barrier or shuffle that the others never reach");
    return true;
  }

  size_t startFibre() {
    size_t index = 0;
    while (index < fibres.size() && !fibres[index].isFree)
      ++index;
    if (index == fibres.size()) {
      fibres.emplace_back();
      fibres.back().stack.reset(new char[kStackBytes]);
    }
    Fibre &fibre = fibres[index];
    fibre.isFree = false;
    getcontext(&fibre.context);
    fibre.context.uc_stack.ss_sp = fibre.stack.get();
    fibre.context.uc_stack.ss_size = kStackBytes;
    fibre.context.uc_link = &scheduler;
    makecontext(&fibre.context, &Impl::runThreads, 0);
    startedFibre = index;
    return index;
  }

  void resume(size_t fibre) { swapcontext(&scheduler, &fibres[fibre].context); }

  /// A fibre runs threads until one has to wait; then it belongs to that one.
  static void runThreads() {
    Impl &self = *active;
    size_t fibre = self.startedFibre;
    while (self.nextThread < self.threads.size() && self.error.empty()) {
      size_t number = self.nextThread++;
      self.current = number;
      self.threads[number].fibre = fibre;
      self.threads[number].state = State::Ready;
      (*self.body)();
      // Others may have run meanwhile.
      self.threads[number].state = State::Done;
    }
    self.fibres[fibre].isFree = true;
  }

  /// Gives control back until somebody makes this thread ready.
  void wait(State state) {
    size_t number = current;
    threads[number].state = state;
    swapcontext(&fibres[threads[number].fibre].context, &scheduler);
    current = number;
  }

  /// Leaves the thread for good.
  void fail(const std::string &text) {
    if (error.empty())
      error = "'" + launchName + "': " + text;
  }
  void failInThread(const std::string &text) {
    fail(text);
    ucontext_t dropped;
    swapcontext(&dropped, &scheduler);
  }

  bool releaseBarrier() {
    for (Thread &thread : threads)
      if (thread.state != State::AtBarrier)
        return false;
    ++epoch;
    for (Thread &thread : threads)
      thread.state = State::Ready;
    return true;
  }

  bool releaseWarps() {
    bool isAny = false;
    for (size_t first = 0; first < threads.size(); first += kWarp) {
      size_t end = std::min(first + kWarp, threads.size());
      bool isWhole = end - first == kWarp;
      for (size_t i = first; i < end; ++i)
        isWhole &= threads[i].state == State::AtShuffle && threads[i].mode == threads[first].mode;
      if (!isWhole)
        continue;
      exchange(first);
      isAny = true;
    }
    return isAny;
  }

  void exchange(size_t first) {
    uint64_t given[kWarp];
    for (int64_t lane = 0; lane < kWarp; ++lane)
      given[lane] = threads[first + lane].value;
    for (int64_t lane = 0; lane < kWarp; ++lane) {
      Thread &thread = threads[first + lane];
      int64_t base = lane / thread.width * thread.width, source = lane;
      switch (thread.mode) { // as gpu.shuffle numbers them: xor, down, up, idx
      case 0:
        source = lane ^ thread.offset;
        break;
      case 1:
        source = lane + thread.offset;
        break;
      case 2:
        source = lane - thread.offset;
        break;
      default:
        source = base + thread.offset;
      }
      bool isInside = source >= base && source < base + thread.width;
      thread.value = given[isInside ? source : lane];
      thread.state = State::Ready;
    }
  }

  uint64_t shuffle(uint64_t value, int32_t mode, int32_t offset, int32_t width) {
    Thread &thread = threads[current];
    thread.value = value;
    thread.mode = mode;
    thread.offset = offset;
    thread.width = width;
    size_t number = current;
    wait(State::AtShuffle);
    return threads[number].value;
  }

  int64_t getIndex(int32_t what, int32_t axis) const {
    auto part = [&](int64_t number, const Dims &dims) {
      return axis == 0 ? number % dims[0] : axis == 1 ? number / dims[0] % dims[1] : number / dims[0] / dims[1];
    };
    switch (what) {
    case 0:
      return part(current, blockDims);
    case 1:
      return part(blockNumber, gridDims);
    case 2:
      return blockDims[axis];
    default:
      return gridDims[axis];
    }
  }

  /// The i-th shared buffer of the block.
  void *getShared(int32_t index, int64_t numBytes) {
    while (sharedSlots.size() <= static_cast<size_t>(index)) {
      addBuffer("shared memory " + std::to_string(sharedSlots.size()), 0, false);
      sharedSlots.push_back(buffers.size() - 1);
    }
    size_t slot = sharedSlots[index];
    if (buffers[slot].numBytes != static_cast<size_t>(numBytes))
      setBuffer(slot, buffers[slot].name, numBytes, false);
    return buffers[slot].begin;
  }

  /// A copy of bytes of the host that the device may read.
  void *getConstant(const void *bytes, int64_t numBytes) {
    auto [it, isNew] = constants.try_emplace(bytes, buffers.size());
    if (isNew) {
      Buffer &buffer = addBuffer("constant " + std::to_string(constants.size() - 1), numBytes, true);
      std::memcpy(buffer.begin, bytes, numBytes);
    }
    return buffers[it->second].begin;
  }

  // Checks.

  void access(char *pointer, int64_t numBytes, bool isWrite) {
    Touch touch{blockNumber, static_cast<int32_t>(current), epoch};
    size_t slot = static_cast<size_t>(pointer - region) / kSlotBytes;
    const char *verb = isWrite ? "writes" : "reads";
    if (pointer < region || slot >= buffers.size())
      return failInThread("outside: " + describe(touch) + " " + verb + " where no buffer is");
    Buffer &buffer = buffers[slot];
    int64_t offset = pointer - buffer.begin;
    if (offset < 0 || offset + numBytes > static_cast<int64_t>(buffer.numBytes))
      return failInThread("outside: " + describe(touch) + " " + verb + " byte " + std::to_string(offset) + " of '" +
                          buffer.name + "', which has " + std::to_string(buffer.numBytes));
    for (int64_t i = 0; i < numBytes; ++i)
      touchByte(buffer, offset + i, touch, isWrite);
  }

  static std::string where(const Buffer &buffer, int64_t offset) {
    return " byte " + std::to_string(offset) + " of '" + buffer.name + "'";
  }

  void touchByte(Buffer &buffer, int64_t offset, const Touch &touch, bool isWrite) {
    Cell &cell = buffer.cells[offset];
    int64_t number = launches.size();
    if (cell.launch != number) {
      bool isWritten = cell.isWritten;
      cell = Cell();
      cell.launch = number;
      cell.isWritten = isWritten;
    }
    const Touch *other = cell.write.conflictsWith(touch) ? &cell.write : nullptr;
    for (const Touch &read : cell.reads)
      if (isWrite && read.conflictsWith(touch))
        other = &read;
    if (other)
      return failInThread("race: " + describe(touch) + (isWrite ? " writes" : " reads") + where(buffer, offset) +
                          ", which " + describe(*other) + (other == &cell.write ? " writes" : " reads") +
                          " with no barrier between");
    if (!isWrite && !cell.isWritten)
      return failInThread("unwritten: " + describe(touch) + " reads" + where(buffer, offset) +
                          ", which nobody has written");
    if (isWrite) {
      cell.write = touch;
      cell.isWritten = true;
      return;
    }
    // Two readers are remembered, so that there is one beside any writer; those of earlier barriers go first.
    Touch &first = cell.reads[0], &second = cell.reads[1];
    bool isSame = first.block == touch.block && first.thread == touch.thread;
    bool isOld = first.block == touch.block && first.epoch < touch.epoch;
    (!first.isThere() || isSame || isOld ? first : second) = touch;
  }

  static Impl *active;

  char *region = nullptr;
  std::vector<Buffer> buffers;
  std::vector<size_t> sharedSlots;
  std::map<const void *, size_t> constants; ///< by the host's address
  std::vector<Launch> launches;
  std::string error, launchName;

  Dims gridDims{}, blockDims{};
  int64_t blockNumber = 0;
  int32_t epoch = 0;
  size_t current = 0, nextThread = 0, startedFibre = 0;
  std::vector<Thread> threads;
  std::deque<Fibre> fibres; // contexts may not move
  ucontext_t scheduler;
  const std::function<void()> *body = nullptr;
};

GpuMachine::Impl *GpuMachine::Impl::active = nullptr;

GpuMachine::GpuMachine() : impl(std::make_unique<Impl>()) {}
GpuMachine::~GpuMachine() {
  if (Impl::active == impl.get())
    Impl::active = nullptr;
}

void *GpuMachine::allocate(const std::string &name, size_t numBytes, bool isWritten) {
  return impl->addBuffer(name, numBytes, isWritten).begin;
}

void GpuMachine::launch(const std::string &name, Dims grid, Dims block, const std::function<void()> &thread) {
  use();
  impl->launch(name, grid, block, thread);
}

const std::string &GpuMachine::getError() const { return impl->error; }
const std::vector<GpuMachine::Launch> &GpuMachine::getLaunches() const { return impl->launches; }
void GpuMachine::use() { Impl::active = impl.get(); }

std::vector<std::pair<std::string, void *>> GpuMachine::getFunctions() {
  struct Functions {
    static int64_t index(int32_t what, int32_t axis) { return Impl::active->getIndex(what, axis); }
    static void barrier() { Impl::active->wait(State::AtBarrier); }
    static uint64_t shuffle(uint64_t value, int32_t mode, int32_t offset, int32_t width) {
      return Impl::active->shuffle(value, mode, offset, width);
    }
    static void *shared(int32_t index, int64_t numBytes) { return Impl::active->getShared(index, numBytes); }
    static void *constant(const void *bytes, int64_t numBytes) { return Impl::active->getConstant(bytes, numBytes); }
    static void access(char *pointer, int64_t numBytes, int32_t isWrite) {
      Impl::active->access(pointer, numBytes, isWrite != 0);
    }
    static void launch(const char *name, void (*thread)(void *), void *arguments, const int64_t *sizes) {
      Impl::active->launch(name, {sizes[0], sizes[1], sizes[2]}, {sizes[3], sizes[4], sizes[5]},
                           [=] { thread(arguments); });
    }
  };
  return {{"gpu_index", reinterpret_cast<void *>(&Functions::index)},
          {"gpu_barrier", reinterpret_cast<void *>(&Functions::barrier)},
          {"gpu_shuffle", reinterpret_cast<void *>(&Functions::shuffle)},
          {"gpu_shared", reinterpret_cast<void *>(&Functions::shared)},
          {"gpu_constant", reinterpret_cast<void *>(&Functions::constant)},
          {"gpu_access", reinterpret_cast<void *>(&Functions::access)},
          {"gpu_launch", reinterpret_cast<void *>(&Functions::launch)}};
}

} // namespace penstock::test
