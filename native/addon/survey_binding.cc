#include "survey_binding.h"

#include "../neighbor/survey.h"
#include "arguments.h"

namespace rainfront::addon {

namespace {

constexpr int64_t kPatience_ms_max = 60'000;

std::vector<Address> addressesOf(const Napi::Value& value) {
  Napi::Env env = value.Env();
  if (!value.IsArray()) throw badArgument(env, "addresses", "an array");
  const Napi::Array list = value.As<Napi::Array>();
  std::vector<Address> addresses;
  for (uint32_t i = 0; i < list.Length(); i++) {
    const Napi::Value item = list.Get(i);
    const auto address = item.IsString() ? parseAddress(item.As<Napi::String>().Utf8Value()) : std::nullopt;
    if (!address) throw badArgument(env, "addresses[]", "an IPv4 or IPv6 address");
    addresses.push_back(*address);
  }
  return addresses;
}

}  // namespace

Napi::Value survey(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!info[0].IsObject()) throw badArgument(env, "options", "an object");
  const Napi::Object options = info[0].As<Napi::Object>();
  const std::string nic = stringField(options, "nic");
  const Mac own = macField(options, "mac");
  const std::vector<Address> addresses = addressesOf(options.Get("addresses"));
  const Napi::Value patience = options.Get("patience_ms");
  const int64_t patience_ms = patience.IsNumber() ? patience.As<Napi::Number>().Int64Value() : -1;
  if (patience_ms < 0 || patience_ms > kPatience_ms_max) throw badArgument(env, "patience_ms", "a number from 0 to 60000");

  const auto answers = coded(env, [&] { return rainfront::survey(nic, own, addresses, std::chrono::milliseconds(patience_ms)); });
  Napi::Array result = Napi::Array::New(env, answers.size());
  for (uint32_t i = 0; i < answers.size(); i++) {
    Napi::Object one = Napi::Object::New(env);
    one.Set("address", formatAddress(answers[i].address));
    one.Set("mac", formatMac(answers[i].mac));
    result.Set(i, one);
  }
  return result;
}

}  // namespace rainfront::addon
