// JavaScript's DatagramPort: a datagram port on the event loop of the thread that made it.
#pragma once

#include <napi.h>

#include <memory>

#include "../datagram/datagram_port.h"
#include "loop_watch.h"

namespace rainfront::addon {

class DatagramPortBinding final : public Napi::ObjectWrap<DatagramPortBinding>, private LoopWatch::Owner {
 public:
  static Napi::Function define(Napi::Env env);
  explicit DatagramPortBinding(const Napi::CallbackInfo& info);
  ~DatagramPortBinding() override;

 private:
  datagram::DatagramPort& open(Napi::Env env);
  void listen(const Napi::CallbackInfo& info);
  void flush(const Napi::CallbackInfo& info);
  void setTimer(const Napi::CallbackInfo& info);
  Napi::Value now(const Napi::CallbackInfo& info);
  Napi::Value counters(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);

  void onReadable() override;
  void onEnvironmentEnd() override;

  // Keep the memory that the port reads and writes.
  Napi::Reference<Napi::TypedArray> incoming_, arrivals_, outgoing_, departures_;
  Napi::FunctionReference on_wake_;
  LoopWatch* watch_ = nullptr;
  std::shared_ptr<datagram::DatagramPort> port_;
};

}  // namespace rainfront::addon
