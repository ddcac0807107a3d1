//===- QueueFabric.h - Ranks that are threads of one test --------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A fabric without a library: what is sent lies in a queue until a receive for it is posted. A rank can be cut off, as
// by a broken link: nothing comes from it or to it any more, and nobody is told.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_TEST_RUNTIME_QUEUEFABRIC_H
#define PENSTOCK_TEST_RUNTIME_QUEUEFABRIC_H

#include "transports/mpi/Fabric.h"

#include <cstdio>
#include <cstring>
#include <deque>
#include <list>
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace testfabric {

using penstock::rt::Fabric;

class QueueFabric {
public:
  explicit QueueFabric(int32_t size) {
    for (int32_t rank = 0; rank < size; ++rank)
      nodes.push_back({this, rank});
  }
  Fabric of(int32_t rank) {
    Fabric fabric;
    fabric.self = &nodes[size_t(rank)];
    fabric.rank = rank, fabric.size = int32_t(nodes.size());
    std::snprintf(fabric.library, sizeof(fabric.library), "a queue");
    fabric.send = send, fabric.receive = receive, fabric.test = test, fabric.cancel = cancel;
    fabric.finish = [](void *) -> int32_t { return 0; };
    fabric.explain = [](void *, int32_t code, char *text, int64_t numBytes) {
      std::snprintf(text, size_t(numBytes), "code %d", code);
    };
    return fabric;
  }
  void cutOff(int32_t rank) {
    std::lock_guard<std::mutex> lock(mutex);
    cut.insert(rank);
  }
  /// Sends to this rank fail from now on, as where the library notices that it is gone.
  void refuse(int32_t rank) {
    std::lock_guard<std::mutex> lock(mutex);
    refused.insert(rank);
  }
  /// Messages that came before a receive for them was posted, so far.
  int64_t numUnexpected() {
    std::lock_guard<std::mutex> lock(mutex);
    return unexpected;
  }

private:
  struct Node {
    QueueFabric *hub;
    int32_t rank;
  };
  struct Message {
    int32_t from, to, tag;
    std::string bytes;
  };
  struct Request {
    int32_t from, to, tag;
    char *data;
    int64_t room, numBytes;
    bool done;
  };

  static bool meets(const Message &message, const Request &request) {
    return message.to == request.to && message.tag == request.tag && (request.from < 0 || request.from == message.from);
  }
  static int32_t fill(Request &request, const Message &message) {
    if (int64_t(message.bytes.size()) > request.room)
      return 2;
    std::memcpy(request.data, message.bytes.data(), message.bytes.size());
    request.numBytes = int64_t(message.bytes.size());
    request.done = true;
    return 0;
  }

  static int32_t send(void *self, int32_t rank, int32_t tag, const void *data, int64_t numBytes, void **request) {
    auto &node = *static_cast<Node *>(self);
    QueueFabric &hub = *node.hub;
    std::lock_guard<std::mutex> lock(hub.mutex);
    if (hub.refused.count(rank))
      return 1;
    *request = &hub.sent;
    if (hub.cut.count(rank) || hub.cut.count(node.rank))
      return 0;
    Message message{node.rank, rank, tag, std::string(static_cast<const char *>(data), size_t(numBytes))};
    for (Request *posted : hub.posted)
      if (!posted->done && meets(message, *posted))
        return fill(*posted, message);
    ++hub.unexpected;
    hub.messages.push_back(std::move(message));
    return 0;
  }

  static int32_t receive(void *self, int32_t rank, int32_t tag, void *data, int64_t numBytes, void **request) {
    auto &node = *static_cast<Node *>(self);
    QueueFabric &hub = *node.hub;
    std::lock_guard<std::mutex> lock(hub.mutex);
    hub.requests.push_back({rank, node.rank, tag, static_cast<char *>(data), numBytes, 0, false});
    Request &made = hub.requests.back();
    *request = &made;
    for (auto message = hub.messages.begin(); message != hub.messages.end(); ++message) {
      if (!meets(*message, made))
        continue;
      int32_t code = fill(made, *message);
      hub.messages.erase(message);
      return code;
    }
    hub.posted.push_back(&made);
    return 0;
  }

  static int32_t test(void *self, void **request, int32_t *done, int64_t *numBytes) {
    QueueFabric &hub = *static_cast<Node *>(self)->hub;
    std::lock_guard<std::mutex> lock(hub.mutex);
    *done = 1;
    if (*request == &hub.sent) {
      *request = nullptr;
      return 0;
    }
    auto *made = static_cast<Request *>(*request);
    *done = made->done;
    *numBytes = made->numBytes;
    if (made->done)
      hub.forget(request);
    return 0;
  }

  static int32_t cancel(void *self, void **request) {
    QueueFabric &hub = *static_cast<Node *>(self)->hub;
    std::lock_guard<std::mutex> lock(hub.mutex);
    hub.forget(request);
    return 0;
  }

  void forget(void **request) {
    posted.remove(static_cast<Request *>(*request));
    requests.remove_if([&](const Request &other) { return &other == *request; });
    *request = nullptr;
  }

  std::mutex mutex; ///< guards what follows
  std::deque<Node> nodes;
  std::set<int32_t> cut, refused;
  std::list<Message> messages;
  std::list<Request> requests;
  std::list<Request *> posted; ///< in the order of the posts
  int64_t unexpected = 0;
  char sent = 0; ///< the request of every send: done at once
};

} // namespace testfabric

#endif // PENSTOCK_TEST_RUNTIME_QUEUEFABRIC_H
