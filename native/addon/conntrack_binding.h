// JavaScript's ConntrackShare.
#pragma once

#include <napi.h>

#include <memory>

#include "../conntrack/conntrack_share.h"

namespace rainfront::addon {

class ConntrackShareBinding : public Napi::ObjectWrap<ConntrackShareBinding> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit ConntrackShareBinding(const Napi::CallbackInfo& info);
  ~ConntrackShareBinding() override;

 private:
  static void endOf(void* binding);
  ConntrackShare& open(Napi::Env env);
  void become(const Napi::CallbackInfo& info);
  void drain(const Napi::CallbackInfo& info);
  Napi::Value take(const Napi::CallbackInfo& info);
  void receive(const Napi::CallbackInfo& info);
  Napi::Value replica(const Napi::CallbackInfo& info);
  Napi::Value figures(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);

  std::unique_ptr<ConntrackShare> share_;
};

}  // namespace rainfront::addon
