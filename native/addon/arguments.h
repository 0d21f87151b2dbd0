// Reading JavaScript values with a coded error that names the field: shared by the bindings.
#pragma once

#include <napi.h>

#include <optional>
#include <string>

#include "../neighbor/arp.h"
#include "../port/fd.h"
#include "../tables/vip_set.h"

namespace rainfront::addon {

// A JavaScript Error with `code`.
Napi::Error codedError(Napi::Env env, const std::string& code, const std::string& message);
Napi::Error codedError(Napi::Env env, const PortError& error);
Napi::Error badArgument(Napi::Env env, const std::string& field, const std::string& expected);

// Runs `work`; what a port throws becomes a JavaScript Error with its code.
template <typename Work>
auto coded(Napi::Env env, Work work) {
  try {
    return work();
  } catch (const PortError& error) {
    throw codedError(env, error);
  }
}

std::string stringField(const Napi::Object& object, const char* field);
uint16_t nodeIdOf(const Napi::Value& value, const char* field);
uint64_t bigintOf(const Napi::Value& value, const char* field);
Mac macField(const Napi::Object& object, const char* field);
std::optional<uint32_t> parseIpv4(const std::string& text);
std::string formatIpv4(uint32_t address);
std::optional<Address> parseAddress(const std::string& text);
std::string formatAddress(const Address& address);
std::string formatMac(const Mac& mac);

}  // namespace rainfront::addon
