#include "pipeline_binding.h"

#include <array>
#include <cstring>
#include <vector>

#include "arguments.h"
#include "tables_arguments.h"

namespace rainfront::addon {

namespace {

constexpr std::array kVerdictNames = {"leave", "pass", "drop", "relay", "reply", "punt"};

#define RF_COUNTER(name, meaning) #name,
constexpr std::array kCounterNames = {
#include "../steer/counters.def"
};
#undef RF_COUNTER

constexpr int kPoison = 0xa5;

Napi::Buffer<uint8_t> bufferOf(Napi::Env env, const uint8_t* bytes, std::size_t length) { return Napi::Buffer<uint8_t>::Copy(env, bytes, length); }

}  // namespace

Napi::Function PipelineBinding::define(Napi::Env env) {
  return DefineClass(env, "Pipeline",
                     {
                         InstanceMethod<&PipelineBinding::setTables>("setTables"),
                         InstanceMethod<&PipelineBinding::setVips>("setVips"),
                         InstanceMethod<&PipelineBinding::setLease>("setLease"),
                         InstanceMethod<&PipelineBinding::know>("know"),
                         InstanceMethod<&PipelineBinding::steer>("steer"),
                     });
}

PipelineBinding::PipelineBinding(const Napi::CallbackInfo& info) : Napi::ObjectWrap<PipelineBinding>(info) {
  if (!info[0].IsObject()) throw badArgument(info.Env(), "options", "an object");
  front_mac_ = macField(info[0].As<Napi::Object>(), "frontMac");
}

void PipelineBinding::setTables(const Napi::CallbackInfo& info) { steering_ = steeringTableOf(info[0]); }

void PipelineBinding::setVips(const Napi::CallbackInfo& info) { vips_ = vipSetOf(info[0]); }

void PipelineBinding::setLease(const Napi::CallbackInfo& info) { lease_until_ns_ = bigintOf(info[0], "until_ns"); }

void PipelineBinding::know(const Napi::CallbackInfo& info) {
  const KnownFlow known = knownFlowOf(info);
  flows_.put(known.key, rf_flow_hash(&known.key, &steering_->secret), known.assignment, RF_FLOW_ESTABLISHED, known.now_ns);
}

Napi::Value PipelineBinding::steer(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!info[0].IsBuffer()) throw badArgument(env, "frame", "a Buffer");
  const auto given = info[0].As<Napi::Buffer<uint8_t>>();
  // A copy of exactly this size, so that a sanitizer sees a read past the end.
  std::vector<uint8_t> frame(given.Data(), given.Data() + given.Length());
  const uint64_t now_ns = bigintOf(info[1], "now_ns");
  const rf_tables tables{steering_.get(), &vips_, &fragments_, &lease_until_ns_, &flows_};
  // Whatever goes out has been written.
  rf_work work;
  std::memset(&work, kPoison, sizeof work);
  const rf_bytes bytes = rf_bytes_of(frame.data(), static_cast<uint32_t>(frame.size()));
  const rf_verdict verdict = rf_steer(&bytes, bytes, front_mac_.data(), &tables, now_ns, &work);

  Napi::Object result = Napi::Object::New(env);
  result.Set("verdict", kVerdictNames.at(verdict.kind));
  result.Set("cause", verdict.cause == 0 ? "" : kCounterNames.at(verdict.cause));
  result.Set("node", verdict.node);
  result.Set("fromPeer", verdict.from_peer != 0);
  result.Set("conflict", verdict.conflict != 0);
  result.Set("told", verdict.told);
  if (verdict.kind == RF_VERDICT_REPLY) result.Set("out", bufferOf(env, work.reply.frame, work.reply.len));
  if (verdict.kind == RF_VERDICT_RELAY) {
    rf_relay_rewrite(frame.data(), front_mac_.data(), verdict.node, verdict.relay);
    result.Set("out", bufferOf(env, frame.data(), frame.size()));
  }
  return result;
}

}  // namespace rainfront::addon
