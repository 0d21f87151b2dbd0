// JavaScript's view of XDP: what runs on a NIC, and frames run through the program, for the vectors. Absent where the addon was built without it.
#pragma once

#include <napi.h>

#include <memory>

#include "../xdp/program.h"

namespace rainfront::addon {

class XdpPipelineBinding : public Napi::ObjectWrap<XdpPipelineBinding> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit XdpPipelineBinding(const Napi::CallbackInfo& info);

 private:
  void setTables(const Napi::CallbackInfo& info);
  void setVips(const Napi::CallbackInfo& info);
  void setLease(const Napi::CallbackInfo& info);
  void forget(const Napi::CallbackInfo& info);
  void know(const Napi::CallbackInfo& info);
  Napi::Value run(const Napi::CallbackInfo& info);

  std::unique_ptr<XdpFlows> flows_;
  std::unique_ptr<XdpProgram> program_;
};

// `attached(nic)`, `detach(nic)`, `probe()`, `Pipeline`.
Napi::Object xdpExports(Napi::Env env);

}  // namespace rainfront::addon
