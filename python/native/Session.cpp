//===- Session.cpp - Sessions for Python -------------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
// The module penstock._native: rt::Session with tensors as flat arrays of bytes beside a type and a shape;
// penstock.session makes NumPy arrays of them. No element is copied here.
//
// Threads: every call into the session releases the interpreter's lock, so that no thread waits for the one while it
// holds the other's. The session's own threads never touch Python: the arrays of a request that they let go of are put
// aside, and the next call that holds the lock frees them. Errors: penstock.errors.
//===----------------------------------------------------------------------===//
#include "penstock/rt/Session.h"

#include <mutex>
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>

namespace nb = nanobind;
using namespace penstock;

namespace {

using InputBytes = nb::ndarray<const uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using OutputBytes = nb::ndarray<nb::numpy, uint8_t, nb::ndim<1>>;

/// Throws the Python exception that a failure is. Needs the interpreter's lock.
void check(const rt::Status &status) {
  if (status.ok())
    return;
  const char *name = status.exitStatus() == 2 ? "InvalidArgument" : "Error";
  nb::object type = nb::module_::import_("penstock.errors").attr(name);
  PyErr_SetString(type.ptr(), status.message().c_str());
  throw nb::python_error();
}

/// Calls `function` without the interpreter's lock.
template <typename Function> auto withoutLock(Function function) {
  nb::gil_scoped_release release;
  return function();
}

/// Arrays that requests no longer need.
class Leftovers {
public:
  void add(std::vector<InputBytes> *arrays) {
    std::lock_guard<std::mutex> lock(mutex);
    waiting.emplace_back(arrays);
  }
  /// Needs the interpreter's lock.
  void free() {
    std::vector<std::unique_ptr<std::vector<InputBytes>>> taken;
    std::lock_guard<std::mutex> lock(mutex);
    taken.swap(waiting);
  }

private:
  std::mutex mutex;
  std::vector<std::unique_ptr<std::vector<InputBytes>>> waiting;
};

nb::list listDims(const std::vector<int64_t> &dims) {
  nb::list result;
  for (int64_t dim : dims)
    result.append(dim);
  return result;
}

/// name, type, extents: numbers, or the text of an expression over named dimensions.
nb::list listTensors(const rt::Plan &plan, const std::vector<rt::PlanTensor> &tensors) {
  nb::list result;
  std::vector<std::string> names = plan.symbolNames();
  for (const rt::PlanTensor &tensor : tensors) {
    nb::list dims;
    for (const rt::Expr &dim : tensor.dims)
      if (dim.isNumber())
        dims.append(dim.value);
      else
        dims.append(dim.toString(names));
    result.append(nb::make_tuple(tensor.name, rt::dtypeName(tensor.dtype), dims));
  }
  return result;
}

class Session {
public:
  Session(const std::string &folder, double timeoutSeconds, int32_t traceEvents, bool verifyWeights, bool spin)
      : leftovers(std::make_shared<Leftovers>()) {
    rt::SessionOptions options;
    options.timeoutNs = int64_t(timeoutSeconds * 1e9);
    options.traceEvents = traceEvents;
    if (verifyWeights)
      options.verifyBytes = INT64_MAX;
    options.spin = spin ? rt::SessionOptions::kAuto : rt::SessionOptions::kNeverSpin;
    check(withoutLock([&] { return rt::Session::open(folder, options, session); }));
  }
  ~Session() {
    withoutLock([&] { session.reset(); });
    leftovers->free();
  }

  nb::list inputs() const { return listTensors(session->plan(), session->plan().inputs); }
  nb::list outputs() const { return listTensors(session->plan(), session->plan().outputs); }

  /// `feeds`: name -> (type, shape, bytes).
  int64_t submit(nb::dict feeds) {
    leftovers->free();
    auto arrays = std::make_unique<std::vector<InputBytes>>();
    rt::TensorViewMap views;
    for (auto [name, value] : feeds)
      views[nb::cast<std::string>(name)] = makeView(nb::cast<nb::tuple>(value), *arrays);
    std::shared_ptr<void> keepAlive(arrays.release(), [leftovers = leftovers](void *pointer) {
      leftovers->add(static_cast<std::vector<InputBytes> *>(pointer));
    });
    int64_t request = -1;
    check(withoutLock([&] { return session->submit(views, request, std::move(keepAlive)); }));
    return request;
  }

  /// name -> (type, shape, bytes). Waits.
  nb::dict collect(int64_t request) {
    rt::TensorMap outputs;
    rt::Status status = withoutLock([&] { return session->collect(request, outputs); });
    leftovers->free();
    check(status);
    nb::dict result;
    for (auto &[name, tensor] : outputs)
      result[name.c_str()] = nb::make_tuple(rt::dtypeName(tensor.dtype), listDims(tensor.dims), makeBytes(tensor));
    return result;
  }

  nb::list stageFigures() const {
    nb::list result;
    for (const rt::StageFigures &figures : session->stageFigures()) {
      nb::dict entry;
      entry["name"] = figures.name;
      entry["busy_ms"] = double(figures.busyNs) * 1e-6;
      entry["wait_ms"] = double(figures.waitNs) * 1e-6;
      entry["send_ms"] = double(figures.sendNs) * 1e-6;
      entry["microbatches"] = figures.microbatches;
      entry["pid"] = figures.pid;
      result.append(entry);
    }
    return result;
  }

  nb::list channelFigures() const {
    nb::list result;
    for (const rt::ChannelFigures &figures : session->channelFigures()) {
      nb::dict entry;
      entry["name"] = figures.name;
      entry["tensor"] = figures.tensor;
      entry["messages"] = figures.messages;
      entry["bytes"] = figures.bytes;
      entry["bytes_copied"] = figures.bytesCopied;
      result.append(entry);
    }
    return result;
  }

  void writeTrace(const std::string &path) {
    check(withoutLock([&] { return session->writeTrace(path); }));
  }

  void close() {
    rt::Status status = withoutLock([&] { return session->close(); });
    leftovers->free();
    check(status);
  }

private:
  static rt::TensorView makeView(const nb::tuple &value, std::vector<InputBytes> &arrays) {
    rt::TensorView view;
    if (!rt::dtypeFromName(nb::cast<std::string>(value[0]), view.dtype))
      view.dtype = -1;
    for (nb::handle dim : value[1])
      view.dims.push_back(nb::cast<int64_t>(dim));
    InputBytes bytes = nb::cast<InputBytes>(value[2]);
    view.data = bytes.data();
    view.numBytes = int64_t(bytes.size());
    arrays.push_back(std::move(bytes));
    return view;
  }

  static OutputBytes makeBytes(const rt::Tensor &tensor) {
    auto *owner = new std::shared_ptr<char>(tensor.data);
    nb::capsule capsule(owner, [](void *pointer) noexcept { delete static_cast<std::shared_ptr<char> *>(pointer); });
    return OutputBytes(tensor.data.get(), {size_t(tensor.numBytes)}, capsule);
  }

  std::unique_ptr<rt::Session> session;
  std::shared_ptr<Leftovers> leftovers;
};

} // namespace

NB_MODULE(_native, module) {
  // A session that outlives the interpreter's modules is no fault; its stages end with the process.
  nb::set_leak_warnings(false);
  module.doc() = "Sessions of the runtime; use penstock.Session.";
  nb::class_<Session>(module, "Session")
      .def(nb::init<const std::string &, double, int32_t, bool, bool>(), nb::arg("folder"), nb::arg("timeout"),
           nb::arg("trace_events"), nb::arg("verify_weights"), nb::arg("spin"))
      .def("inputs", &Session::inputs)
      .def("outputs", &Session::outputs)
      .def("submit", &Session::submit, nb::arg("feeds"))
      .def("collect", &Session::collect, nb::arg("request"))
      .def("stage_figures", &Session::stageFigures)
      .def("channel_figures", &Session::channelFigures)
      .def("write_trace", &Session::writeTrace, nb::arg("path"))
      .def("close", &Session::close);
}
