// JavaScript's FrontPort.
#pragma once

#include <napi.h>

#include <memory>

#include "../port/front_port.h"

namespace rainfront::addon {

class FrontPortBinding : public Napi::ObjectWrap<FrontPortBinding> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit FrontPortBinding(const Napi::CallbackInfo& info);

 private:
  FrontPort& open(Napi::Env env);
  void setTables(const Napi::CallbackInfo& info);
  Napi::Value setVips(const Napi::CallbackInfo& info);
  void setLease(const Napi::CallbackInfo& info);
  void announceAgain(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);

  Napi::Reference<Napi::TypedArray> counters_;  // keeps the memory that the port's thread writes to
  std::unique_ptr<FrontPort> port_;             // declared last: its thread ends before the memory goes
};

}  // namespace rainfront::addon
