#include "loop_watch.h"

#include <cstdlib>
#include <cstring>
#include <utility>

// What is needed of libuv, whose functions node exports. Its header does not come with the N-API headers that the addon is built with; its
// binary interface is stable within version 1, which hides the size of a handle behind uv_handle_size.
struct uv_loop_s;
extern "C" {
std::size_t uv_handle_size(int type);
const char* uv_handle_type_name(int type);
void uv_handle_set_data(uv_handle_s* handle, void* data);
void* uv_handle_get_data(const uv_handle_s* handle);
int uv_poll_init(uv_loop_s* loop, uv_poll_s* handle, int fd);
int uv_poll_start(uv_poll_s* handle, int events, void (*callback)(uv_poll_s* handle, int status, int events));
void uv_close(uv_handle_s* handle, void (*callback)(uv_handle_s* handle));
}

namespace rainfront::addon {
namespace {

constexpr int kPollType = 8;  // UV_POLL
constexpr int kReadable = 1;  // UV_READABLE

uv_handle_s* asHandle(void* handle) { return static_cast<uv_handle_s*>(handle); }
LoopWatch* watchOf(const void* handle) { return static_cast<LoopWatch*>(uv_handle_get_data(static_cast<const uv_handle_s*>(handle))); }

}  // namespace

LoopWatch* LoopWatch::open(napi_env env, int fd, Owner* owner) {
  uv_loop_s* loop = nullptr;
  const char* type = uv_handle_type_name(kPollType);
  if (type == nullptr || std::strcmp(type, "poll") != 0 || napi_get_uv_event_loop(env, &loop) != napi_ok) return nullptr;
  void* handle = std::calloc(1, uv_handle_size(kPollType));
  if (handle == nullptr) return nullptr;
  if (uv_poll_init(loop, static_cast<uv_poll_s*>(handle), fd) != 0) {
    std::free(handle);
    return nullptr;
  }
  auto* watch = new LoopWatch(owner, handle);
  uv_handle_set_data(asHandle(handle), watch);
  // The asynchronous kind: the environment then waits until the loop let go of the handle.
  const bool hooked = napi_add_async_cleanup_hook(env, onCleanup, watch, &watch->hook_) == napi_ok;
  if (hooked && uv_poll_start(static_cast<uv_poll_s*>(handle), kReadable, onPoll) == 0) return watch;
  watch->close();
  return nullptr;
}

LoopWatch::~LoopWatch() {
  std::free(handle_);
  if (hook_ != nullptr) napi_remove_async_cleanup_hook(hook_);
}

void LoopWatch::close() {
  owner_ = nullptr;
  uv_close(asHandle(handle_), onClosed);
}

void LoopWatch::onPoll(uv_poll_s* handle, int, int) {
  LoopWatch* watch = watchOf(handle);
  if (watch->owner_ != nullptr) watch->owner_->onReadable();
}

void LoopWatch::onClosed(uv_handle_s* handle) { delete watchOf(handle); }

void LoopWatch::onCleanup(napi_async_cleanup_hook_handle, void* data) {
  auto* watch = static_cast<LoopWatch*>(data);
  Owner* owner = std::exchange(watch->owner_, nullptr);
  if (owner == nullptr) return;  // closed already: the destructor is on its way
  watch->close();
  owner->onEnvironmentEnd();
}

}  // namespace rainfront::addon
