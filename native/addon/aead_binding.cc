#include "aead_binding.h"

#include <dlfcn.h>

#include <array>
#include <cstring>

#include "arguments.h"

namespace rainfront::addon {
namespace {

constexpr std::size_t kTagBytes = 16;
constexpr std::size_t kNonceBytes = 12;
constexpr int kSetTag = 0x11;  // EVP_CTRL_AEAD_SET_TAG
constexpr int kGetTag = 0x10;  // EVP_CTRL_AEAD_GET_TAG

// Looked up in the running program: node exports its OpenSSL, and the addon loads as well where it does not.
struct OpenSsl {
  void* (*newContext)() = nullptr;
  void (*freeContext)(void*) = nullptr;
  int (*control)(void*, int, int, void*) = nullptr;
  const void* (*cipher)() = nullptr;
  int (*init)(void*, const void*, void*, const uint8_t*, const uint8_t*, int) = nullptr;
  int (*update)(void*, uint8_t*, int*, const uint8_t*, int) = nullptr;
  int (*final)(void*, uint8_t*, int*) = nullptr;
  void (*cleanse)(void*, std::size_t) = nullptr;
  bool complete = true;

  OpenSsl() {
    find(newContext, "EVP_CIPHER_CTX_new");
    find(freeContext, "EVP_CIPHER_CTX_free");
    find(control, "EVP_CIPHER_CTX_ctrl");
    find(cipher, "EVP_chacha20_poly1305");
    find(init, "EVP_CipherInit_ex");
    find(update, "EVP_CipherUpdate");
    find(final, "EVP_CipherFinal_ex");
    find(cleanse, "OPENSSL_cleanse");
  }

 private:
  template <typename Function>
  void find(Function& function, const char* name) {
    function = reinterpret_cast<Function>(::dlsym(RTLD_DEFAULT, name));
    complete = complete && function != nullptr;
  }
};

const OpenSsl& openSsl() {
  static const OpenSsl functions;
  return functions;
}

void* newContext(const uint8_t* key, bool sealing) {
  const OpenSsl& ssl = openSsl();
  void* context = ssl.newContext();
  if (context != nullptr && ssl.init(context, ssl.cipher(), nullptr, key, nullptr, sealing ? 1 : 0) == 1) return context;
  if (context != nullptr) ssl.freeContext(context);
  return nullptr;
}

std::array<uint8_t, kNonceBytes> nonceOf(uint32_t high, uint32_t low) {
  std::array<uint8_t, kNonceBytes> nonce{};
  for (std::size_t i = 0; i < 4; i++) {
    nonce[4 + i] = static_cast<uint8_t>(high >> (24 - 8 * i));
    nonce[8 + i] = static_cast<uint8_t>(low >> (24 - 8 * i));
  }
  return nonce;
}

bool begin(void* context, const std::array<uint8_t, kNonceBytes>& nonce) {
  return openSsl().init(context, nullptr, nullptr, nullptr, nonce.data(), -1) == 1;
}

// The text in place, authenticated together with what stands before it.
bool transform(void* context, uint8_t* aad, int aad_bytes, int text_bytes) {
  const OpenSsl& ssl = openSsl();
  int done = 0;
  uint8_t* text = aad + aad_bytes;
  if (aad_bytes > 0 && ssl.update(context, nullptr, &done, aad, aad_bytes) != 1) return false;
  if (text_bytes > 0 && ssl.update(context, text, &done, text, text_bytes) != 1) return false;
  std::array<uint8_t, kTagBytes> rest;
  return ssl.final(context, rest.data(), &done) == 1;
}

}  // namespace

bool isAeadAvailable() {
  if (!openSsl().complete) return false;
  const std::array<uint8_t, 32> key{};
  void* context = newContext(key.data(), true);
  if (context == nullptr) return false;
  openSsl().freeContext(context);
  return true;
}

// The arguments of seal and open: buffer, at, aadBytes, textBytes, nonceHigh, nonceLow.
struct AeadKeyBinding::Range {
  explicit Range(const Napi::CallbackInfo& info) {
    napi_env env = info.Env();
    napi_typedarray_type type{};
    std::size_t size = 0;
    void* data = nullptr;
    if (napi_get_typedarray_info(env, info[0], &type, &size, &data, nullptr, nullptr) != napi_ok || type != napi_uint8_array)
      throw badArgument(info.Env(), "buffer", "a Buffer");
    const std::array<uint32_t*, 5> numbers{&at, &aad_bytes, &text_bytes, &nonce_high, &nonce_low};
    for (std::size_t i = 0; i < numbers.size(); i++)
      if (napi_get_value_uint32(env, info[i + 1], numbers[i]) != napi_ok) throw badArgument(info.Env(), "offsets and nonce", "numbers");
    constexpr uint32_t kBytesMax = 1u << 30;
    if (aad_bytes > kBytesMax || text_bytes > kBytesMax || uint64_t{at} + aad_bytes + text_bytes + kTagBytes > size)
      throw badArgument(info.Env(), "offsets", "within the buffer, with room for the tag");
    aad = static_cast<uint8_t*>(data) + at;
  }

  uint8_t* text() const { return aad + aad_bytes; }
  uint8_t* tag() const { return text() + text_bytes; }

  uint8_t* aad = nullptr;
  uint32_t at = 0, aad_bytes = 0, text_bytes = 0, nonce_high = 0, nonce_low = 0;
};

Napi::Function AeadKeyBinding::define(Napi::Env env) {
  return DefineClass(env, "AeadKey",
                     {
                         InstanceMethod<&AeadKeyBinding::setKey>("setKey"),
                         InstanceMethod<&AeadKeyBinding::seal>("seal"),
                         InstanceMethod<&AeadKeyBinding::open>("open"),
                         InstanceMethod<&AeadKeyBinding::destroy>("destroy"),
                     });
}

AeadKeyBinding::AeadKeyBinding(const Napi::CallbackInfo& info) : Napi::ObjectWrap<AeadKeyBinding>(info) {
  if (!openSsl().complete) throw codedError(info.Env(), "RF_INTERNAL", "this program has no OpenSSL with ChaCha20-Poly1305");
}

AeadKeyBinding::~AeadKeyBinding() { forget(); }

void AeadKeyBinding::setKey(const Napi::CallbackInfo& info) {
  napi_typedarray_type type{};
  std::size_t size = 0;
  void* data = nullptr;
  if (napi_get_typedarray_info(info.Env(), info[0], &type, &size, &data, nullptr, nullptr) != napi_ok || type != napi_uint8_array ||
      size != sizeof key_)
    throw badArgument(info.Env(), "key", "a Uint8Array of 32 bytes");
  std::memcpy(key_, data, sizeof key_);
  has_key_ = true;
  // A context costs more to make than to give another key.
  for (void* context : {sealing_, opening_})
    if (context != nullptr && openSsl().init(context, nullptr, nullptr, key_, nullptr, -1) != 1) forget();
}

void* AeadKeyBinding::context(Napi::Env env, bool sealing) {
  void*& context = sealing ? sealing_ : opening_;
  if (context == nullptr && has_key_) context = newContext(key_, sealing);
  if (context == nullptr)
    throw has_key_ ? codedError(env, "RF_INTERNAL", "this program's OpenSSL refuses ChaCha20-Poly1305")
                   : badArgument(env, "key", "set before it is used");
  return context;
}

void AeadKeyBinding::seal(const Napi::CallbackInfo& info) {
  const Range range(info);
  void* key = context(info.Env(), true);
  if (begin(key, nonceOf(range.nonce_high, range.nonce_low)) &&
      transform(key, range.aad, static_cast<int>(range.aad_bytes), static_cast<int>(range.text_bytes)) &&
      openSsl().control(key, kGetTag, kTagBytes, range.tag()) == 1)
    return;
  // Nothing that was not sealed leaves as if it were.
  openSsl().cleanse(range.text(), range.text_bytes + kTagBytes);
  throw codedError(info.Env(), "RF_INTERNAL", "OpenSSL did not seal");
}

Napi::Value AeadKeyBinding::open(const Napi::CallbackInfo& info) {
  const Range range(info);
  void* key = context(info.Env(), false);
  const bool authentic = begin(key, nonceOf(range.nonce_high, range.nonce_low)) && openSsl().control(key, kSetTag, kTagBytes, range.tag()) == 1 &&
                         transform(key, range.aad, static_cast<int>(range.aad_bytes), static_cast<int>(range.text_bytes));
  // What did not authenticate is not shown.
  if (!authentic) std::memset(range.text(), 0, range.text_bytes);
  return Napi::Boolean::New(info.Env(), authentic);
}

void AeadKeyBinding::destroy(const Napi::CallbackInfo&) { forget(); }

void AeadKeyBinding::forget() {
  if (sealing_ != nullptr) openSsl().freeContext(sealing_);
  if (opening_ != nullptr) openSsl().freeContext(opening_);
  sealing_ = opening_ = nullptr;
  if (has_key_) openSsl().cleanse(key_, sizeof key_);
  has_key_ = false;
}

}  // namespace rainfront::addon
