//===- MpiLatency.cpp - One way between two ranks ----------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// usage: mpirun -n 2 MpiLatency raw|penstock pingpong|stream BYTES COUNT DEPTH
//
// Two ranks send a message to and fro, or a stream of messages one way with DEPTH of them under way, by MPI's own calls
// or over channels of the `mpi` transport. Prints the median and the 99th percentile of one way in microseconds, or
// messages and gigabytes per second. Nothing is judged.
//
//===----------------------------------------------------------------------===//
#include "Latency.h"
#include "transports/mpi/MpiTransport.h"

#include <mpi.h>
#include <optional>

using namespace latency;

namespace {

struct Options {
  std::string what;
  int64_t numBytes, count;
  int32_t depth;
};

/// Sends and receives of one rank; the other one is its peer.
class Player {
public:
  virtual ~Player() = default;
  virtual void send() = 0;
  virtual void receive() = 0;
  virtual void end() = 0;
  int32_t rank = 0;
};

class RawPlayer final : public Player {
public:
  explicit RawPlayer(const Options &options) : options(options), next(0) {
    MPI_Init(nullptr, nullptr);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    for (int32_t i = 0; i < options.depth; ++i) {
      rooms.emplace_back(size_t(options.numBytes));
      requests.push_back(MPI_REQUEST_NULL);
    }
  }
  void send() override {
    size_t at = next++ % requests.size();
    MPI_Wait(&requests[at], MPI_STATUS_IGNORE);
    rooms[at][0] = 1;
    MPI_Isend(rooms[at].data(), int(options.numBytes), MPI_BYTE, 1 - rank, 0, MPI_COMM_WORLD, &requests[at]);
  }
  void receive() override {
    MPI_Recv(rooms[0].data(), int(options.numBytes), MPI_BYTE, 1 - rank, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  }
  void end() override {
    for (MPI_Request &request : requests)
      MPI_Wait(&request, MPI_STATUS_IGNORE);
    MPI_Finalize();
  }

private:
  const Options &options;
  size_t next;
  std::vector<std::vector<char>> rooms;
  std::vector<MPI_Request> requests;
};

class ChannelPlayer final : public Player {
public:
  ChannelPlayer(const Options &options, const std::string &plugin) {
    Fabric fabric;
    check(loadFabric(plugin, fabric));
    rank = fabric.rank;
    ControlLayout layout = makeLayout(options.depth);
    check(Mapping::anonymous(RunControl::bytesFor(layout), "the control block", memory));
    RunControl control = RunControl::create(memory.data(), layout);
    control.role(rank).activity.store(uint32_t(Activity::kWaiting));
    MpiTransport::Place place;
    place.role = rank;
    place.ranks = {0, 1};
    transport = std::make_unique<MpiTransport>(fabric, control, std::move(place));
    transport->setSpin(20000);
    ends.emplace(*transport, rank, options.numBytes, options.depth);
  }
  void send() override { ends->send(); }
  void receive() override { ends->receive(); }
  void end() override {
    RunControl control;
    check(RunControl::attach(memory.data(), memory.bytes(), control));
    control.role(rank).activity.store(uint32_t(Activity::kEnded));
    check(transport->finish(Status()));
  }

private:
  Mapping memory;
  std::unique_ptr<MpiTransport> transport;
  std::optional<Ends> ends;
};

void toAndFro(Player &player, const Options &options) {
  std::vector<double> oneWayUs = pingPong(player, player.rank, options.count);
  if (player.rank != 0)
    return;
  printOneWay(options.numBytes, oneWayUs);
  std::printf("}\n");
}

void stream(Player &player, const Options &options) {
  for (int64_t i = 0; i < options.depth; ++i) // warm up
    player.rank == 0 ? player.send() : player.receive();
  int64_t begin = nowNs();
  for (int64_t i = 0; i < options.count; ++i)
    player.rank == 0 ? player.send() : player.receive();
  player.rank == 0 ? player.receive() : player.send(); // all have come
  double seconds = double(nowNs() - begin) * 1e-9;
  if (player.rank == 0)
    std::printf("{\"bytes\": %lld, \"messages_per_second\": %.0f, \"gigabytes_per_second\": %.3f}\n",
                (long long)options.numBytes, double(options.count) / seconds,
                double(options.count) * double(options.numBytes) / seconds * 1e-9);
}

} // namespace

int main(int argc, char **argv) {
  if (argc != 6) {
    std::fprintf(stderr, "usage: mpirun -n 2 MpiLatency raw|penstock pingpong|stream BYTES COUNT DEPTH\n");
    return 2;
  }
  Options options = {argv[2], std::max(1ll, std::atoll(argv[3])), std::max(1ll, std::atoll(argv[4])),
                     std::max(1, std::atoi(argv[5]))};
  std::unique_ptr<Player> player;
  if (std::string(argv[1]) == "raw")
    player = std::make_unique<RawPlayer>(options);
  else
    player = std::make_unique<ChannelPlayer>(options, PENSTOCK_BENCH_PLUGIN);
  options.what == "stream" ? stream(*player, options) : toAndFro(*player, options);
  std::fflush(stdout);
  player->end();
  return 0;
}
