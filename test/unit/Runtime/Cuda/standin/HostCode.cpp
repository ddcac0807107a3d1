//===- HostCode.cpp - Images that are code of the host -----------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The library's code calls gpu_index and others of this library. Memory of a device is followed by its ranges; shared
// memory and constants are the machine's, which checks them itself.
//
//===----------------------------------------------------------------------===//
#include "HostCode.h"

#include "GpuMachine.h"
#include "Machine.h"

#include <algorithm>
#include <cstring>
#include <dlfcn.h>
#include <elf.h>
#include <sys/mman.h>
#include <unistd.h>

using penstock::test::GpuMachine;

namespace standin {

namespace {

struct Range {
  uintptr_t begin, end;
};

/// What one kind of access touches, in ranges that do not meet once they are asked for.
class Ranges {
public:
  void add(uintptr_t begin, uintptr_t end) {
    if (!list.empty() && list.back().begin <= begin && begin <= list.back().end) {
      list.back().end = std::max(list.back().end, end);
      return;
    }
    list.push_back({begin, end});
    if (list.size() >= limit) {
      join();
      limit = std::max<size_t>(kLimit, 2 * list.size());
    }
  }
  const std::vector<Range> &get() {
    join();
    return list;
  }

private:
  static constexpr size_t kLimit = 1 << 16;

  void join() {
    std::sort(list.begin(), list.end(), [](const Range &a, const Range &b) { return a.begin < b.begin; });
    size_t kept = 0;
    for (const Range &range : list)
      if (kept > 0 && range.begin <= list[kept - 1].end)
        list[kept - 1].end = std::max(list[kept - 1].end, range.end);
      else
        list[kept++] = range;
    list.resize(kept);
  }

  std::vector<Range> list;
  size_t limit = kLimit;
};

/// A library, and the file that it is in: as long as it is open, no other library has its name.
struct HostCode {
  int file = -1;
  void *library = nullptr;
};

/// The launch that is played.
struct Played {
  Ranges reads, writes;
};
Played *played = nullptr;

/// The machine's function of a name, of the right type.
template <typename Function> Function *machineFunction(const char *name) {
  for (const auto &[known, address] : GpuMachine::getFunctions())
    if (known == name)
      return reinterpret_cast<Function *>(address);
  return nullptr;
}

std::vector<Access> play(const KernelCall &call, const std::string &name, void (*thread)(void *)) {
  // The last one's shared memory is forgotten with it.
  GpuMachine machine;
  Played now;
  played = &now;
  std::vector<uint64_t> arguments = call.parameters;
  machine.launch(name, {call.grid[0], call.grid[1], call.grid[2]}, {call.block[0], call.block[1], call.block[2]},
                 [&] { thread(arguments.data()); });
  played = nullptr;
  if (!machine.getError().empty())
    addFault(machine.getError());
  std::vector<Access> touched;
  for (const Range &range : now.reads.get())
    touched.push_back({reinterpret_cast<const void *>(range.begin), range.end - range.begin, false});
  for (const Range &range : now.writes.get())
    touched.push_back({reinterpret_cast<const void *>(range.begin), range.end - range.begin, true});
  return touched;
}

/// The length of a library: its table of sections comes last.
size_t lengthOf(const void *image) {
  Elf64_Ehdr header;
  std::memcpy(&header, image, sizeof(header));
  return header.e_shoff + size_t(header.e_shentsize) * header.e_shnum;
}

} // namespace

bool isHostCode(const void *image) {
  Elf64_Ehdr header;
  std::memcpy(&header, image, SELFMAG);
  if (std::memcmp(&header, ELFMAG, SELFMAG) != 0)
    return false;
  std::memcpy(&header, image, sizeof(header));
  return header.e_machine == EM_X86_64 && header.e_type == ET_DYN;
}

void *loadHostCode(const void *image) {
  int file = memfd_create("image", MFD_CLOEXEC);
  size_t length = lengthOf(image);
  if (file < 0 || write(file, image, length) != ssize_t(length)) {
    addFault("an image of the host cannot be written");
    return nullptr;
  }
  void *library = dlopen(("/proc/self/fd/" + std::to_string(file)).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library)
    return new HostCode{file, library};
  addFault(words("an image of the host cannot be loaded: %s", dlerror()));
  close(file);
  return nullptr;
}

void dropHostCode(void *code) {
  auto *hostCode = static_cast<HostCode *>(code);
  dlclose(hostCode->library);
  close(hostCode->file);
  delete hostCode;
}

bool findHostKernel(void *code, const std::string &name, KernelModel &kernel) {
  void *library = static_cast<HostCode *>(code)->library;
  auto *thread = reinterpret_cast<void (*)(void *)>(dlsym(library, (name + "_thread").c_str()));
  auto *count = static_cast<const int64_t *>(dlsym(library, (name + "_arguments").c_str()));
  if (!thread || !count)
    return false;
  kernel.name = name;
  kernel.numParameters = size_t(*count);
  kernel.play = [=](const KernelCall &call) { return play(call, name, thread); };
  return true;
}

} // namespace standin

#pragma GCC visibility push(default)
extern "C" {

int64_t gpu_index(int32_t what, int32_t axis) {
  static auto *function = standin::machineFunction<int64_t(int32_t, int32_t)>("gpu_index");
  return function(what, axis);
}
void gpu_barrier() {
  static auto *function = standin::machineFunction<void()>("gpu_barrier");
  function();
}
uint64_t gpu_shuffle(uint64_t value, int32_t mode, int32_t offset, int32_t width) {
  static auto *function = standin::machineFunction<uint64_t(uint64_t, int32_t, int32_t, int32_t)>("gpu_shuffle");
  return function(value, mode, offset, width);
}
void *gpu_shared(int32_t index, int64_t numBytes) {
  static auto *function = standin::machineFunction<void *(int32_t, int64_t)>("gpu_shared");
  return function(index, numBytes);
}
void *gpu_constant(const void *bytes, int64_t numBytes) {
  static auto *function = standin::machineFunction<void *(const void *, int64_t)>("gpu_constant");
  return function(bytes, numBytes);
}
void gpu_access(char *pointer, int64_t numBytes, int32_t isWrite) {
  static auto *function = standin::machineFunction<void(char *, int64_t, int32_t)>("gpu_access");
  const standin::Block *block = standin::machine().blockAt(pointer, size_t(numBytes));
  if (!block || block->device < 0)
    return function(pointer, numBytes, isWrite); // which knows it, or says that it is no memory of the device
  auto begin = reinterpret_cast<uintptr_t>(pointer);
  (isWrite ? standin::played->writes : standin::played->reads).add(begin, begin + size_t(numBytes));
}

} // extern "C"
#pragma GCC visibility pop
