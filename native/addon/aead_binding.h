// JavaScript's AeadKey: ChaCha20-Poly1305 with one key, in place, by the OpenSSL that is part of node.
#pragma once

#include <napi.h>

namespace rainfront::addon {

// False when node has no such OpenSSL, or it does not allow the cipher.
bool isAeadAvailable();

class AeadKeyBinding final : public Napi::ObjectWrap<AeadKeyBinding> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit AeadKeyBinding(const Napi::CallbackInfo& info);
  ~AeadKeyBinding() override;

 private:
  struct Range;
  void setKey(const Napi::CallbackInfo& info);
  void seal(const Napi::CallbackInfo& info);
  Napi::Value open(const Napi::CallbackInfo& info);
  void destroy(const Napi::CallbackInfo& info);
  void* context(Napi::Env env, bool sealing);
  void forget();

  uint8_t key_[32] = {};
  bool has_key_ = false;
  // Each made at its first use: a key serves one direction as a rule.
  void* sealing_ = nullptr;
  void* opening_ = nullptr;
};

}  // namespace rainfront::addon
