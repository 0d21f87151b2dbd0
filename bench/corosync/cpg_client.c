/* One member of corosync's closed process group, driven over stdin and reporting JSON lines on stdout: what
 * bench/raincore/memberProgram.ts is for Rainfront, with the same commands, messages and checks (bench/raincore/protocol.ts
 * describes them). Compiled into build-bench/ by bench/corosync/client.ts; times are CLOCK_MONOTONIC microseconds. */

#define _GNU_SOURCE
#include <corosync/cpg.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
  NODES_MAX = 64,
  MESSAGE_BYTES_MAX = 65536,
  HEADER_BYTES = 24,
  END_BYTES = 64,
  BUCKETS = 960,
  KIND_DATA = 1,
  KIND_END = 2,
  /* How long to wait before trying again after CS_ERR_TRY_AGAIN when no delivery comes first. */
  RETRY_MS = 1,
  START_DEADLINE_MS = 30000,
};

struct header {
  uint32_t kind;
  uint32_t run;
  uint32_t sender;
  uint32_t number; /* of a data message, from 0; of an end message: how many data messages came before it */
  uint64_t sent_us;
};

_Static_assert(sizeof(struct header) == HEADER_BYTES, "the layout of bench/raincore/messages.ts");

static cpg_handle_t group;
static uint32_t self;
static uint8_t body_of[NODES_MAX][MESSAGE_BYTES_MAX];

static struct {
  uint32_t id;
  uint32_t senders;
  uint32_t bytes;
  /* Sending. */
  bool sending;
  uint64_t stop_us, next_us, interval_us;
  uint32_t window, outstanding, sent;
  uint64_t started_us;
  bool refused; /* the last attempt was answered by TRY_AGAIN */
  uint64_t refusals;
  /* Delivering. */
  uint32_t received[NODES_MAX];
  uint32_t ended;
  uint64_t delivered, wrong, ended_us;
  uint32_t hash[2];
  uint32_t latency[BUCKETS];
} run;

static uint64_t now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

__attribute__((format(printf, 1, 2), noreturn)) static void fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  printf("{\"event\":\"failed\",\"why\":\"");
  vprintf(format, arguments);
  printf("\"}\n");
  va_end(arguments);
  exit(1);
}

/* 32 buckets for each power of two: a value is known to within 1.6 %. */
static unsigned bucket_of(uint64_t latency_us) {
  if (latency_us < 64) return (unsigned)latency_us;
  uint32_t value = latency_us > UINT32_MAX ? UINT32_MAX : (uint32_t)latency_us;
  unsigned exponent = 31u - (unsigned)__builtin_clz(value);
  unsigned bucket = (exponent - 5) * 32 + (value >> (exponent - 5));
  return bucket < BUCKETS ? bucket : BUCKETS - 1;
}

static void mix(uint32_t value) {
  run.hash[0] = (run.hash[0] ^ value) * 0x01000193u;
  run.hash[1] = (run.hash[1] ^ value) * 0x85ebca6bu + 1u;
}

static bool mcast(const struct header *header, uint32_t bytes) {
  struct iovec parts[2] = {
      {.iov_base = (void *)header, .iov_len = HEADER_BYTES},
      {.iov_base = body_of[self], .iov_len = bytes - HEADER_BYTES},
  };
  cs_error_t result = cpg_mcast_joined(group, CPG_TYPE_AGREED, parts, 2);
  run.refused = result == CS_ERR_TRY_AGAIN;
  if (run.refused) run.refusals++;
  else if (result != CS_OK) fail("cpg_mcast_joined: error %d", result);
  return result == CS_OK;
}

/* Sends what time and the window allow, then the end message. */
static void pump(void) {
  run.refused = false;
  while (run.sending) {
    uint64_t now = now_us();
    if (now >= run.stop_us) {
      struct header end = {KIND_END, run.id, self, run.sent, now};
      if (mcast(&end, END_BYTES)) run.sending = false;
      return;
    }
    if (run.outstanding >= run.window || now < run.next_us) return;
    struct header header = {KIND_DATA, run.id, self, run.sent, now};
    if (!mcast(&header, run.bytes)) return;
    if (run.sent == 0) run.started_us = now;
    run.sent++;
    run.outstanding++;
    /* From half to one and a half intervals, so that senders do not fall into step with the token. */
    if (run.interval_us > 0) run.next_us = now + run.interval_us / 2 + (uint64_t)random() % run.interval_us;
  }
}

static void report_run(void) {
  printf("{\"event\":\"done\",\"run\":%u,\"sent\":%u,\"delivered\":%" PRIu64 ",\"wrong\":%" PRIu64
         ",\"refusals\":%" PRIu64 ",\"started_us\":%" PRIu64 ",\"ended_us\":%" PRIu64
         ",\"hash\":\"%08x%08x\",\"latency\":[",
         run.id, run.sent, run.delivered, run.wrong, run.refusals, run.started_us, run.ended_us, run.hash[0],
         run.hash[1]);
  const char *separator = "";
  for (unsigned bucket = 0; bucket < BUCKETS; bucket++) {
    if (run.latency[bucket] == 0) continue;
    printf("%s[%u,%u]", separator, bucket, run.latency[bucket]);
    separator = ",";
  }
  printf("]}\n");
}

static bool is_expected(const struct header *header, const uint8_t *message, size_t bytes) {
  if (header->number != run.received[header->sender]) return false;
  if (header->kind == KIND_END) return bytes == END_BYTES;
  return bytes == run.bytes &&
         memcmp(message + HEADER_BYTES, body_of[header->sender], bytes - HEADER_BYTES) == 0;
}

static void on_message(cpg_handle_t handle, const struct cpg_name *name, uint32_t node, uint32_t pid, void *message,
                       size_t bytes) {
  (void)handle, (void)name, (void)pid;
  struct header header;
  if (bytes < HEADER_BYTES || node >= NODES_MAX) return;
  memcpy(&header, message, HEADER_BYTES);
  if (header.run != run.id || header.sender != node) return;
  uint64_t now = now_us();
  mix(header.kind);
  mix(header.sender);
  mix(header.number);
  if (!is_expected(&header, message, bytes)) run.wrong++;
  if (header.kind == KIND_END) {
    if (++run.ended == run.senders) report_run();
    return;
  }
  run.received[node]++;
  run.delivered++;
  run.ended_us = now;
  run.latency[bucket_of(now - header.sent_us)]++;
  if (node == self) {
    run.outstanding--;
    pump();
  }
}

static void on_view(cpg_handle_t handle, const struct cpg_name *name, const struct cpg_address *members,
                    size_t members_count, const struct cpg_address *left, size_t left_count,
                    const struct cpg_address *joined, size_t joined_count) {
  (void)handle, (void)name, (void)left, (void)left_count, (void)joined, (void)joined_count;
  printf("{\"event\":\"view\",\"at_us\":%" PRIu64 ",\"members\":[", now_us());
  for (size_t i = 0; i < members_count; i++) printf("%s%u", i == 0 ? "" : ",", members[i].nodeid);
  printf("]}\n");
}

static void command(const char *line) {
  unsigned id, senders, bytes, duration_ms, window, interval_us;
  if (sscanf(line, "prepare %u %u %u", &id, &senders, &bytes) == 3) {
    if (bytes < HEADER_BYTES || bytes > MESSAGE_BYTES_MAX || senders > NODES_MAX) fail("bad command: %s", line);
    memset(&run, 0, sizeof run);
    run.id = id;
    run.senders = senders;
    run.bytes = bytes;
    run.hash[0] = run.hash[1] = 0x811c9dc5u;
    printf("{\"event\":\"prepared\",\"run\":%u}\n", id);
  } else if (sscanf(line, "go %u %u %u", &duration_ms, &window, &interval_us) == 3) {
    run.window = window;
    run.interval_us = interval_us;
    run.next_us = now_us() + (interval_us > 0 ? (uint64_t)random() % interval_us : 0);
    run.stop_us = now_us() + (uint64_t)duration_ms * 1000u;
    run.sending = true;
    pump();
  } else {
    fail("unknown command: %s", line);
  }
}

/* False at the end of stdin. */
static bool read_commands(void) {
  static char buffer[4096];
  static size_t used;
  ssize_t got = read(STDIN_FILENO, buffer + used, sizeof buffer - 1 - used);
  if (got <= 0) return false;
  used += (size_t)got;
  buffer[used] = 0;
  char *line = buffer;
  for (char *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
    *end = 0;
    command(line);
  }
  used = strlen(line);
  memmove(buffer, line, used + 1);
  return true;
}

/* corosync may have been started a moment ago only. */
static void join(void) {
  cpg_callbacks_t callbacks = {.cpg_deliver_fn = on_message, .cpg_confchg_fn = on_view};
  struct cpg_name name = {.length = 5, .value = "bench"};
  uint64_t deadline_us = now_us() + START_DEADLINE_MS * 1000u;
  cs_error_t result;
  while ((result = cpg_initialize(&group, &callbacks)) != CS_OK) {
    if (now_us() > deadline_us) fail("cpg_initialize: error %d", result);
    usleep(10000);
  }
  while ((result = cpg_join(group, &name)) == CS_ERR_TRY_AGAIN) {
    if (now_us() > deadline_us) break;
    usleep(10000);
  }
  if (result != CS_OK) fail("cpg_join: error %d", result);
  unsigned id;
  if ((result = cpg_local_get(group, &id)) != CS_OK || id >= NODES_MAX) fail("cpg_local_get: error %d", result);
  self = id;
}

static int wait_ms(void) {
  if (!run.sending) return -1;
  if (run.refused) return RETRY_MS;
  uint64_t now = now_us();
  uint64_t until_us = run.interval_us > 0 && run.next_us < run.stop_us ? run.next_us : run.stop_us;
  return until_us <= now ? 0 : (int)((until_us - now + 999) / 1000);
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 1 << 16);
  srandom((unsigned)now_us() ^ (unsigned)getpid());
  for (unsigned node = 0; node < NODES_MAX; node++)
    for (unsigned i = 0; i < MESSAGE_BYTES_MAX; i++) body_of[node][i] = (uint8_t)(i * 31 + node * 17);
  join();
  int group_fd;
  if (cpg_fd_get(group, &group_fd) != CS_OK) fail("cpg_fd_get failed");
  struct pollfd fds[2] = {{.fd = group_fd, .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};
  for (;;) {
    poll(fds, 2, wait_ms());
    if (fds[0].revents & (POLLHUP | POLLERR)) fail("corosync has ended");
    if (fds[0].revents & POLLIN) {
      cs_error_t result = cpg_dispatch(group, CS_DISPATCH_ALL);
      if (result != CS_OK && result != CS_ERR_TRY_AGAIN) fail("cpg_dispatch: error %d", result);
    }
    if (fds[1].revents != 0 && !read_commands()) return 0;
    pump();
  }
}
