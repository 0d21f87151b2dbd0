// The packet pipeline by itself, over frames that the caller has: `new Pipeline({ frontMac })` (tests, replay of recordings).
#pragma once

#include <napi.h>

#include <atomic>
#include <memory>

#include "../neighbor/arp.h"
#include "../tables/steering_tables.h"

namespace rainfront::addon {

class PipelineBinding : public Napi::ObjectWrap<PipelineBinding> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit PipelineBinding(const Napi::CallbackInfo& info);

 private:
  void setTables(const Napi::CallbackInfo& info);
  void setVips(const Napi::CallbackInfo& info);
  void setLease(const Napi::CallbackInfo& info);
  // (frame, node, epoch, now_ns)
  void know(const Napi::CallbackInfo& info);
  // (frame, now_ns): { verdict, cause, node, fromPeer, conflict, told, out }
  Napi::Value steer(const Napi::CallbackInfo& info);

  Mac front_mac_{};
  std::shared_ptr<const SteeringTable> steering_ = std::make_shared<const SteeringTable>();
  VipSet vips_;
  FragmentTable fragments_{rf_hash_key{}};
  FlowMap flows_{{.established = 1024, .opening = 256}, FlowTable::Pages::kSmall};
  std::atomic<uint64_t> lease_until_ns_{0};
};

}  // namespace rainfront::addon
