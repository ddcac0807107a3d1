//===- MpiPlugin.cpp - MPI behind the table of Fabric.h ----------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Built as libpenstock-mpi.so. It is linked without the MPI library: LoadFabric.cpp opens that first. MPI is asked for
// MPI_THREAD_SERIALIZED only; the lock of the transport keeps the calls of the role's thread and of its helper apart.
// Errors are returned, never fatal: whoever waits for a peer must be able to say so.
//
//===----------------------------------------------------------------------===//
#include "Fabric.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mpi.h>

using namespace penstock::rt;

static_assert(sizeof(MPI_Request) <= sizeof(void *), "a request is kept in a pointer");

namespace {

struct Mpi {
  MPI_Comm comm = MPI_COMM_NULL;
  MPI_Datatype line = MPI_DATATYPE_NULL;
};

Mpi &mpiOf(void *self) { return *static_cast<Mpi *>(self); }

MPI_Request requestOf(void *const *request) {
  MPI_Request result;
  std::memcpy(&result, request, sizeof(result));
  return result;
}

void keep(MPI_Request request, void **to) {
  *to = nullptr;
  std::memcpy(to, &request, sizeof(request));
}

int32_t send(void *self, int32_t rank, int32_t tag, const void *data, int64_t numBytes, void **request) {
  Mpi &mpi = mpiOf(self);
  MPI_Request made = MPI_REQUEST_NULL;
  int code = MPI_Isend(data, static_cast<int>(numBytes / kFabricLine), mpi.line, rank, tag, mpi.comm, &made);
  keep(made, request);
  return code;
}

int32_t receive(void *self, int32_t rank, int32_t tag, void *data, int64_t numBytes, void **request) {
  Mpi &mpi = mpiOf(self);
  MPI_Request made = MPI_REQUEST_NULL;
  int from = rank == kAnyRank ? MPI_ANY_SOURCE : rank;
  int code = MPI_Irecv(data, static_cast<int>(numBytes / kFabricLine), mpi.line, from, tag, mpi.comm, &made);
  keep(made, request);
  return code;
}

int32_t test(void *self, void **request, int32_t *done, int64_t *numBytes) {
  MPI_Request made = requestOf(request);
  MPI_Status status;
  int flag = 0, numLines = 0;
  if (int code = MPI_Test(&made, &flag, &status); code != MPI_SUCCESS)
    return code;
  keep(made, request);
  *done = flag;
  if (flag && MPI_Get_count(&status, mpiOf(self).line, &numLines) == MPI_SUCCESS && numLines != MPI_UNDEFINED)
    *numBytes = numLines * kFabricLine;
  return MPI_SUCCESS;
}

int32_t cancel(void *, void **request) {
  MPI_Request made = requestOf(request);
  if (made == MPI_REQUEST_NULL)
    return MPI_SUCCESS;
  int code = MPI_Cancel(&made), done = 0;
  if (code == MPI_SUCCESS)
    code = MPI_Test(&made, &done, MPI_STATUS_IGNORE); // a cancelled request ends without its message
  // One that has met its message ends with it, or never, if the sender is gone: not waited for.
  if (code == MPI_SUCCESS && !done)
    code = MPI_Request_free(&made);
  keep(made, request);
  return code;
}

int32_t finish(void *self) {
  Mpi &mpi = mpiOf(self);
  MPI_Type_free(&mpi.line);
  MPI_Comm_free(&mpi.comm);
  return MPI_Finalize();
}

void explain(void *, int32_t code, char *text, int64_t numBytes) {
  char words[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  MPI_Error_string(code, words, &length);
  std::snprintf(text, size_t(numBytes), "%s", words);
}

int32_t refuse(char *error, int64_t numBytes, const char *what, int code) {
  char words[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  MPI_Error_string(code, words, &length);
  std::snprintf(error, size_t(numBytes), "%s: %s", what, words);
  return 1;
}

} // namespace

extern "C" __attribute__((visibility("default"))) int32_t penstock_open_fabric(uint32_t version, Fabric *fabric,
                                                                               char *error, int64_t numBytes) {
  if (version != kFabricVersion) {
    std::snprintf(error, size_t(numBytes), "the plug-in has version %u, expected %u", kFabricVersion, version);
    return 1;
  }
  // Where ranks outnumber cores, Open MPI gives up the processor at each look at a request. A round has a dozen of
  // them, and on a busy machine each costs a turn of all others. Whoever waits naps between rounds anyway
  // (MpiTransport.cpp).
  setenv("OMPI_MCA_mpi_yield_when_idle", "0", 1);
  int provided = MPI_THREAD_SINGLE;
  if (int code = MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided); code != MPI_SUCCESS)
    return refuse(error, numBytes, "MPI_Init_thread failed", code);
  if (provided < MPI_THREAD_SERIALIZED) {
    std::snprintf(error, size_t(numBytes),
                  "the MPI library allows thread level %d, expected MPI_THREAD_SERIALIZED (%d)", provided,
                  MPI_THREAD_SERIALIZED);
    return 1;
  }
  static Mpi mpi; // as MPI itself: one per process
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  if (int code = MPI_Comm_dup(MPI_COMM_WORLD, &mpi.comm); code != MPI_SUCCESS)
    return refuse(error, numBytes, "MPI_Comm_dup failed", code);
  MPI_Comm_set_errhandler(mpi.comm, MPI_ERRORS_RETURN);
  MPI_Type_contiguous(static_cast<int>(kFabricLine), MPI_BYTE, &mpi.line);
  MPI_Type_commit(&mpi.line);
  int rank = 0, size = 1;
  MPI_Comm_rank(mpi.comm, &rank);
  MPI_Comm_size(mpi.comm, &size);
  fabric->self = &mpi;
  fabric->rank = rank, fabric->size = size;
  char library[MPI_MAX_LIBRARY_VERSION_STRING] = "";
  int length = 0;
  MPI_Get_library_version(library, &length);
  library[std::strcspn(library, ",\n")] = '\0';
  std::snprintf(fabric->library, sizeof(fabric->library), "%s", library);
  fabric->send = send, fabric->receive = receive, fabric->test = test, fabric->cancel = cancel;
  fabric->finish = finish, fabric->explain = explain;
  return 0;
}
