//===- MpiNotes.cpp - What ranks tell each other beside tensors --*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "MpiNotes.h"

#include "MpiTransport.h"
#include "Word.h"
#include "transports/shm/Wire.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <ctime>

namespace penstock {
namespace rt {

static std::string padded(std::string bytes) {
  bytes.resize((bytes.size() + kFabricLine - 1) / kFabricLine * kFabricLine);
  return bytes;
}

std::string openNote(int32_t from, const Opening &opening) {
  WireWriter writer(kNoteOpen);
  writer.number(from);
  writer.number(opening.isProducer);
  writer.number(opening.consumer);
  writer.number(opening.tag);
  writer.text(opening.hostName);
  writer.text(opening.address);
  writer.channel(opening.desc);
  return writer.buffer;
}

static Opening readOpening(WireReader &reader) {
  Opening opening;
  opening.isProducer = reader.number() != 0;
  opening.consumer = static_cast<int32_t>(reader.number());
  opening.tag = static_cast<int32_t>(reader.number());
  opening.hostName = reader.text();
  opening.address = reader.text();
  opening.desc = reader.channel();
  return opening;
}

void MpiTransport::postNote(size_t index) {
  int32_t code = fabric.receive(fabric.self, kAnyRank, place.firstNoteTag + place.role, &noteRooms[index][0],
                                kNoteBytes, &noteRequests[index]);
  if (code)
    lose(nullptr, place.role, code);
}

void MpiTransport::send(int32_t role, std::string bytes, int32_t statusFor) {
  if (broken)
    return;
  if (int64_t(bytes.size()) > kNoteBytes)
    return control.reportFailure(
        place.role, fail(Code::kInvalid, "%s: the description of a channel has %zu bytes, expected at most %lld",
                         stageName(place.role).c_str(), bytes.size(), (long long)kNoteBytes));
  notes.emplace_back();
  Note &note = notes.back();
  note.bytes = padded(std::move(bytes));
  note.statusFor = statusFor;
  int32_t code = fabric.send(fabric.self, place.ranks[size_t(role)], place.firstNoteTag + role, note.bytes.data(),
                             int64_t(note.bytes.size()), &note.request);
  if (code) {
    notes.pop_back();
    return lose(nullptr, role, code);
  }
  if (statusFor >= 0)
    statusPending[size_t(statusFor)] = true;
}

void MpiTransport::reapNotes() {
  for (size_t i = 0; i < notes.size() && !broken;) {
    int32_t done = 0;
    int64_t ignored = 0;
    if (int32_t code = fabric.test(fabric.self, &notes[i].request, &done, &ignored))
      return lose(nullptr, place.role, code);
    if (!done) {
      ++i;
      continue;
    }
    if (notes[i].statusFor >= 0)
      statusPending[size_t(notes[i].statusFor)] = false;
    notes.erase(notes.begin() + std::ptrdiff_t(i));
  }
}

/// Receives match in the order in which they were posted, so that only the oldest one needs a look.
bool MpiTransport::takeNotes() {
  bool moved = false;
  while (!broken) {
    int32_t done = 0;
    int64_t numBytes = 0;
    if (int32_t code = fabric.test(fabric.self, &noteRequests[nextNote], &done, &numBytes)) {
      lose(nullptr, place.role, code);
      return true;
    }
    if (!done)
      break;
    std::string bytes = noteRooms[nextNote].substr(0, size_t(std::min(numBytes, kNoteBytes)));
    postNote(nextNote);
    nextNote = (nextNote + 1) % noteRooms.size();
    handle(bytes);
    moved = true;
  }
  return moved;
}

void MpiTransport::handle(const std::string &bytes) {
  WireReader reader(bytes);
  int64_t kind = reader.number();
  auto from = static_cast<int32_t>(reader.number());
  if (reader.bad() || !isRemote(from))
    return control.reportFailure(place.role, fail(Code::kMismatch,
                                                  "%s: a message of kind %lld from role %d, which is none of this run",
                                                  stageName(place.role).c_str(), (long long)kind, from));
  if (kind == kNoteState)
    return noteState(from, reader);
  if (kind == kNoteAbort)
    return noteAbort(from, reader);
  if (kind == kNoteWord)
    return control.role(from).hasWord.store(1, std::memory_order_release);
  if (kind != kNoteOpen)
    return;
  Opening opening = readOpening(reader);
  if (reader.bad())
    return control.reportFailure(place.role, fail(Code::kMismatch, "%s: what %s says of a channel cannot be read",
                                                  stageName(place.role).c_str(), stageName(from).c_str()));
  std::pair<int32_t, int32_t> key = {opening.desc.id, opening.consumer};
  (opening.isProducer ? producers : consumers)[key] = std::move(opening);
  for (Outgoing &out : outgoing)
    connect(out);
}

/// The copies of the other roles' states are what makes a wait here end when nothing moves there.
void MpiTransport::noteState(int32_t from, WireReader &reader) {
  RoleState &state = control.role(from);
  auto activity = static_cast<uint32_t>(reader.number());
  auto channel = static_cast<int32_t>(reader.number());
  int64_t microbatch = reader.number(), doneMicrobatch = reader.number();
  auto progress = static_cast<uint64_t>(reader.number()), computed = static_cast<uint64_t>(reader.number());
  int64_t submitted = reader.number();
  std::string step = reader.text();
  if (reader.bad() || activity > uint32_t(Activity::kEnded))
    return;
  if (!step.empty() && step != stepNames[size_t(from)]) {
    stepNames[size_t(from)] = step;
    rt_step_desc desc = {step.c_str(), nullptr, 0, nullptr};
    control.setStepNames(from, &desc, 1);
  }
  state.heardNs.store(nowNs(), std::memory_order_relaxed);
  state.channel.store(channel, std::memory_order_relaxed);
  state.microbatch.store(microbatch, std::memory_order_relaxed);
  state.doneMicrobatch.store(doneMicrobatch, std::memory_order_relaxed);
  state.doneStep.store(step.empty() ? 0 : 1, std::memory_order_relaxed);
  state.progress.store(progress, std::memory_order_relaxed);
  state.computed.store(computed, std::memory_order_relaxed);
  state.activity.store(activity, std::memory_order_release);
  int64_t known = control.submitted().load();
  if (submitted > known)
    control.submitted().compare_exchange_strong(known, submitted);
}

void MpiTransport::noteAbort(int32_t from, WireReader &reader) {
  auto code = static_cast<Code>(reader.number());
  std::string message = reader.text();
  heardAbort = true;
  if (code == Code::kOk || code == Code::kAborted || reader.bad())
    control.abort();
  else
    control.reportFailure(from, Status(code, message));
}

/// Once for a failure of this rank, and once for an end without one.
void MpiTransport::tellFailure() {
  if (toldFailure || broken)
    return;
  auto failureOf = [&](int32_t role) {
    const RoleState &state = control.role(role);
    auto code = static_cast<Code>(state.errorCode.load(std::memory_order_acquire));
    return code == Code::kOk || code == Code::kAborted
               ? Status()
               : Status(code, std::string(state.error, strnlen(state.error, sizeof(state.error))));
  };
  Status failure = failureOf(place.role);
  int32_t first = -1;
  (void)control.firstFailure(&first);
  if (failure.ok() && first == control.hostRole()) // else the host repeats what it has heard
    failure = failureOf(first);
  if (failure.ok() && (toldAbort || heardAbort))
    return;
  toldAbort = true;
  toldFailure = !failure.ok();
  WireWriter writer(kNoteAbort);
  writer.number(place.role);
  writer.number(static_cast<int64_t>(failure.code()));
  writer.text(failure.message());
  for (int32_t role = 0; role < numRoles(); ++role)
    if (isRemote(role))
      send(role, writer.buffer);
}

/// Of a stall that several notice, one tells. True: who it is is known here, or need not be.
bool MpiTransport::settleWord(int64_t now) {
  if (broken || !knowsOnlyStalls(control) || wordHolder(control) >= 0)
    return true;
  if (firstPresent(control, place.role, now, silenceNs) != place.role)
    return false;
  control.role(place.role).hasWord.store(1, std::memory_order_release);
  WireWriter writer(kNoteWord);
  writer.number(place.role);
  for (int32_t role = 0; role < numRoles(); ++role)
    if (isRemote(role))
      send(role, writer.buffer);
  return true;
}

void MpiTransport::beat(int64_t now) {
  nextBeatNs = now + beatNs;
  RoleState &state = control.role(place.role);
  auto activity = static_cast<Activity>(state.activity.load(std::memory_order_acquire));
  timespec time;
  bool computes = activity == Activity::kRunning || activity == Activity::kStarting;
  if (computes && hasClock && clock_gettime(roleClock, &time) == 0)
    state.computed.store(uint64_t(time.tv_sec) * 1000 + uint64_t(time.tv_nsec) / 1000000, std::memory_order_relaxed);
  int32_t step = state.doneStep.load(std::memory_order_acquire);
  WireWriter writer(kNoteState);
  writer.number(place.role);
  writer.number(static_cast<int64_t>(activity));
  writer.number(state.channel.load(std::memory_order_relaxed));
  writer.number(state.microbatch.load(std::memory_order_relaxed));
  writer.number(state.doneMicrobatch.load(std::memory_order_relaxed));
  const RoleState &host = control.role(control.hostRole());
  writer.number(static_cast<int64_t>(state.progress.load(std::memory_order_relaxed) +
                                     host.progress.load(std::memory_order_relaxed)));
  writer.number(static_cast<int64_t>(state.computed.load(std::memory_order_relaxed)));
  writer.number(control.submitted().load());
  writer.text(step > 0 ? control.stepName(place.role, step - 1).substr(0, 1024) : std::string());
  for (int32_t role = 0; role < numRoles(); ++role)
    if (isRemote(role) && !statusPending[size_t(role)])
      send(role, writer.buffer, role);
}

//===----------------------------------------------------------------------===//
// The first handshake
//===----------------------------------------------------------------------===//

static std::string helloOf(const RoleIdentity &identity) {
  WireWriter writer(kNoteHello);
  writer.identity(identity);
  return padded(writer.buffer);
}

static Status checkHello(const RoleIdentity &own, int32_t rank, const std::string &bytes, std::vector<int32_t> &ranks) {
  WireReader reader(bytes);
  RoleIdentity other;
  const char *me = own.name.c_str();
  if (reader.number() != kNoteHello || !reader.identity(other))
    return fail(Code::kMismatch, "%s: rank %d is no stage", me, rank);
  std::string who = own.name + ": " + other.name + " on rank " + std::to_string(rank);
  if (Status status = checkIdentity(other, who, own, own.name); !status.ok())
    return status;
  int32_t role = other.role, numRoles = other.numRoles;
  const std::string &name = other.name;
  if (numRoles != own.numRoles || role < 0 || role >= numRoles)
    return fail(Code::kMismatch, "%s: %s on rank %d is role %d of %d, expected one of %d", me, name.c_str(), rank, role,
                numRoles, own.numRoles);
  if (ranks[size_t(role)] >= 0)
    return fail(Code::kMismatch, "%s: rank %d runs %s, as rank %d does; expected each stage once", me, rank,
                name.c_str(), ranks[size_t(role)]);
  ranks[size_t(role)] = rank;
  return Status();
}

Status joinRanks(const Fabric &fabric, const RoleIdentity &identity, int64_t deadlineNs, std::vector<int32_t> &ranks) {
  const char *me = identity.name.c_str();
  if (fabric.size != identity.numRoles)
    return fail(Code::kInvalid,
                "%s: the model was compiled into %d stages, and MPI has %d ranks; expected one rank per stage", me,
                identity.numRoles, fabric.size);
  constexpr int64_t kHelloBytes = kNoteBytes;
  auto size = static_cast<size_t>(fabric.size);
  std::string hello = helloOf(identity);
  std::vector<std::string> rooms(size, std::string(size_t(kHelloBytes), '\0'));
  std::vector<void *> sends(size, nullptr), receives(size, nullptr);
  ranks.assign(size, -1);
  ranks[size_t(identity.role)] = fabric.rank;
  int32_t code = 0, numOpen = 0;
  for (int32_t rank = 0; rank < fabric.size && code == 0; ++rank) {
    if (rank == fabric.rank)
      continue;
    code = fabric.receive(fabric.self, rank, kHelloTag, &rooms[size_t(rank)][0], kHelloBytes, &receives[size_t(rank)]);
    if (code == 0)
      code = fabric.send(fabric.self, rank, kHelloTag, hello.data(), int64_t(hello.size()), &sends[size_t(rank)]);
    numOpen += 2;
  }
  std::vector<bool> sent(size, false), received(size, false);
  Status status;
  while (code == 0 && numOpen > 0) {
    int32_t silent = -1, before = numOpen;
    for (int32_t rank = 0; rank < fabric.size && code == 0; ++rank) {
      auto i = static_cast<size_t>(rank);
      if (rank == fabric.rank)
        continue;
      int32_t done = 0;
      int64_t numBytes = 0;
      if (!sent[i])
        code = fabric.test(fabric.self, &sends[i], &done, &numBytes);
      numOpen -= done;
      sent[i] = sent[i] || done;
      done = 0;
      if (!received[i] && code == 0)
        code = fabric.test(fabric.self, &receives[i], &done, &numBytes);
      numOpen -= done;
      if (done && status.ok())
        status = checkHello(identity, rank, rooms[i].substr(0, size_t(numBytes)), ranks);
      received[i] = received[i] || done;
      silent = received[i] ? silent : rank;
    }
    if (code == 0 && numOpen > 0 && nowNs() >= deadlineNs)
      return fail(Code::kTimeout, "%s: no word from rank %d before the deadline", me, silent);
    if (numOpen == before) // the others need the processor
      std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
  if (code == 0)
    return status;
  char words[256] = "";
  fabric.explain(fabric.self, code, words, sizeof(words));
  return fail(Code::kPeerLost, "%s: cannot reach the other ranks over %s: %s", me, fabric.library, words);
}

} // namespace rt
} // namespace penstock
