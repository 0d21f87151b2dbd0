// Calls back on the event loop of the thread that made it, whenever a file descriptor is readable. Ends by itself, and tells so, when that
// thread's JavaScript ends: naturally, by process.exit, by a worker's terminate().
#pragma once

#include <node_api.h>

struct uv_poll_s;
struct uv_handle_s;

namespace rainfront::addon {

class LoopWatch {
 public:
  class Owner {
   public:
    virtual void onReadable() = 0;
    // The environment goes: the descriptor is not watched any more, and the watch is no longer the owner's.
    virtual void onEnvironmentEnd() = 0;

   protected:
    ~Owner() = default;
  };

  // Null when the loop refuses the descriptor. Keeps the loop alive until close().
  static LoopWatch* open(napi_env env, int fd, Owner* owner);
  LoopWatch(const LoopWatch&) = delete;
  LoopWatch& operator=(const LoopWatch&) = delete;

  // The owner hears nothing any more, from now on, and may close the descriptor. The watch deletes itself when the loop let go of it.
  void close();

 private:
  LoopWatch(Owner* owner, void* handle) : owner_(owner), handle_(handle) {}
  ~LoopWatch();
  static void onPoll(uv_poll_s* handle, int status, int events);
  static void onClosed(uv_handle_s* handle);
  static void onCleanup(napi_async_cleanup_hook_handle hook, void* watch);

  Owner* owner_;
  void* handle_;
  napi_async_cleanup_hook_handle hook_ = nullptr;
};

}  // namespace rainfront::addon
