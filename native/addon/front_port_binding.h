// JavaScript's FrontPort.
#pragma once

#include <napi.h>

#include <memory>
#include <mutex>

#include "../port/port.h"

namespace rainfront::addon {

class FrontPortBinding : public Napi::ObjectWrap<FrontPortBinding> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit FrontPortBinding(const Napi::CallbackInfo& info);

 private:
  class AttachAgain;

  Port& open(Napi::Env env);
  // Nobody puts a program on the NIC for it any more.
  std::unique_ptr<Port> take();
  void setTables(const Napi::CallbackInfo& info);
  Napi::Value setVips(const Napi::CallbackInfo& info);
  Napi::Value setLease(const Napi::CallbackInfo& info);
  void announceAgain(const Napi::CallbackInfo& info);
  void collectCounters(const Napi::CallbackInfo& info);
  Napi::Value attachAgain(const Napi::CallbackInfo& info);
  Napi::Value mode(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);
  void leave(const Napi::CallbackInfo& info);
  Napi::Value leaseUntil(const Napi::CallbackInfo& info);
  Napi::Value memberSince(const Napi::CallbackInfo& info);

  Napi::Reference<Napi::TypedArray> counters_;  // keeps the memory that the port's thread writes to
  std::mutex attaching_;                        // held by a thread of the pool while it puts the program back: the port stays until then
  bool has_flows_ = false;
  std::unique_ptr<Port> port_;                  // declared last: its thread ends before the memory goes
};

}  // namespace rainfront::addon
