//===- RankRun.h - Roles joined by the `mpi` transport -----------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Each role has a control block of its own, as on a rank of its own; the fabrics are what a test gives.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_TEST_RUNTIME_RANKRUN_H
#define PENSTOCK_TEST_RUNTIME_RANKRUN_H

#include "ShmServer.h"
#include "cts/Conformance.h"
#include "transports/mpi/MpiTransport.h"

#include <functional>

namespace testfabric {

class RankRun : public penstock::rt::CandidateRun {
public:
  using FabricOf = std::function<penstock::rt::Fabric(int32_t role)>;
  /// `oneRank`: all roles are this rank, and tell their messages apart by tags.
  RankRun(const penstock::rt::ControlLayout &layout, const FabricOf &fabricOf, bool oneRank, bool helps,
          int64_t timeoutNs = 0) {
    using namespace penstock::rt;
    // Tags that no run before has used: what is left of that one may still be on its way.
    static int32_t numRuns = 0;
    int32_t firstTag = 1000 + 256 * numRuns++;
    for (int32_t role = 0; role < layout.numRoles; ++role) {
      blocks.emplace_back();
      EXPECT_TRUE(Mapping::anonymous(RunControl::bytesFor(layout), "a control block", blocks.back()).ok());
      controls.push_back(RunControl::create(blocks.back().data(), layout));
      MpiTransport::Place place;
      place.role = role;
      for (int32_t other = 0; other < layout.numRoles; ++other)
        place.ranks.push_back(oneRank ? 0 : other);
      place.timeoutNs = timeoutNs;
      place.firstNoteTag = firstTag;
      place.firstTag = firstTag + 16 * (role + 1);
      place.helps = helps;
      transports.push_back(std::make_unique<MpiTransport>(fabricOf(role), controls.back(), std::move(place)));
    }
  }
  penstock::rt::MpiTransport &transport(int32_t role) override { return *transports[size_t(role)]; }
  penstock::rt::RunControl &control(int32_t role) { return controls[size_t(role)]; }

private:
  std::deque<penstock::rt::Mapping> blocks;
  std::vector<penstock::rt::RunControl> controls;
  std::vector<std::unique_ptr<penstock::rt::MpiTransport>> transports;
};

/// The same for ranks of one host: each has a host process that hands its slots out. `addressOfFirst`: where role 0
/// says that its own is, though it is not.
class NeighbourRun : public penstock::rt::CandidateRun {
public:
  NeighbourRun(const penstock::rt::ControlLayout &layout, const std::vector<penstock::rt::ChannelDesc> &channels,
               const RankRun::FabricOf &fabricOf, const std::vector<std::string> &hostNames = {},
               const std::string &addressOfFirst = "") {
    using namespace penstock::rt;
    for (int32_t role = 0; role < layout.numRoles; ++role) {
      servers.emplace_back(layout, channels);
      hosts.push_back(servers.back().join(role, layout.numRoles, 0));
      MpiTransport::Place place;
      place.role = role;
      for (int32_t other = 0; other < layout.numRoles; ++other)
        place.ranks.push_back(other);
      place.host = hosts.back().get();
      place.identity = ShmServer::identityOf(role, layout.numRoles);
      place.hostName = hostNames.empty() ? hostIdentity() : hostNames[size_t(role)];
      place.address = role == 0 && !addressOfFirst.empty() ? addressOfFirst : servers.back().host->address();
      transports.push_back(std::make_unique<MpiTransport>(fabricOf(role), control(role), std::move(place)));
    }
  }
  penstock::rt::MpiTransport &transport(int32_t role) override { return *transports[size_t(role)]; }
  penstock::rt::RunControl control(int32_t role) { return servers[size_t(role)].host->runControl(); }

private:
  std::deque<ShmServer> servers;
  std::vector<std::unique_ptr<penstock::rt::ShmRole>> hosts;
  std::vector<std::unique_ptr<penstock::rt::MpiTransport>> transports;
};

} // namespace testfabric

#endif // PENSTOCK_TEST_RUNTIME_RANKRUN_H
