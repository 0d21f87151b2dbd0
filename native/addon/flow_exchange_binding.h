// JavaScript's FlowExchange.
#pragma once

#include <napi.h>

#include <memory>
#include <string>

#include "../flows/flow_exchange.h"

namespace rainfront::addon {

class FlowExchangeBinding : public Napi::ObjectWrap<FlowExchangeBinding> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit FlowExchangeBinding(const Napi::CallbackInfo& info);

  // Of an object of this class; none: `value` is undefined. Throws RF_ARGUMENT.
  static std::shared_ptr<FlowExchange> of(const Napi::Value& value, const std::string& backend);
  // Of this process, by what its `handle` said, which may be in another thread's JavaScript; none: it is closed.
  static std::shared_ptr<FlowExchange> byHandle(uint32_t handle);

 private:
  FlowExchange& open(Napi::Env env);
  Napi::Value takeQuestions(const Napi::CallbackInfo& info);
  Napi::Value answer(const Napi::CallbackInfo& info);
  void settle(const Napi::CallbackInfo& info);
  void abandon(const Napi::CallbackInfo& info);
  Napi::Value takeTold(const Napi::CallbackInfo& info);
  void learn(const Napi::CallbackInfo& info);
  Napi::Value figures(const Napi::CallbackInfo& info);
  Napi::Value handle(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);

  std::string backend_;
  uint32_t handle_ = 0;
  std::shared_ptr<FlowExchange> exchange_;
};

}  // namespace rainfront::addon
