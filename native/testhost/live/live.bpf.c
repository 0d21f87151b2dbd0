/* Load from inside the kernel: `rf_generate`, run as live frames, writes a packet of the next flow and sends it; `rf_count`, where packets arrive, counts
   and ends them; `rf_door` ends them at once, so that the generator's own cost can be told. Every byte is written each time: the pages come back as others
   have left them. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "../../steer/checksum.h"
#include "../../steer/ip.h"
#include "live.h"

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct rf_live_settings);
} settings SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct rf_live_counts);
} live_counts SEC(".maps");

RF_INLINE void store32(uint8_t *p, uint32_t v) {
  rf_store16(p, (uint16_t)(v >> 16));
  rf_store16(p + 2, (uint16_t)v);
}

RF_INLINE void write_frame(uint8_t *p, const struct rf_live_settings *s, uint32_t flow) {
  const uint32_t source = s->source + flow / RF_LIVE_PORTS;
  for (unsigned i = 0; i < 6; i++) {
    p[i] = s->destination_mac[i];
    p[6 + i] = s->source_mac[i];
  }
  rf_store16(p + 12, RF_ETHERTYPE_IPV4);
  uint8_t *ip = p + 14;
  rf_store16(ip, 0x4500);
  rf_store16(ip + 2, RF_LIVE_FRAME_LEN - 14);
  store32(ip + 4, 0);
  rf_store16(ip + 8, 64 << 8 | RF_PROTO_UDP);
  store32(ip + 12, source);
  store32(ip + 16, s->destination);
  uint64_t sum = 0x4500 + RF_LIVE_FRAME_LEN - 14 + (64 << 8 | RF_PROTO_UDP);
  sum += (source >> 16) + (source & 0xffff) + (s->destination >> 16) + (s->destination & 0xffff);
  rf_store16(ip + 10, (uint16_t)~rf_checksum_fold(sum));
  uint8_t *udp = ip + 20;
  rf_store16(udp, (uint16_t)(1024 + flow % RF_LIVE_PORTS));
  rf_store16(udp + 2, RF_LIVE_PORT);
  rf_store16(udp + 4, RF_LIVE_FRAME_LEN - 34);
  rf_store16(udp + 6, 0); /* no checksum */
  for (unsigned i = 42; i < RF_LIVE_FRAME_LEN; i++) p[i] = 0;
}

SEC("xdp")
int rf_generate(struct xdp_md *ctx) {
  __u32 zero = 0;
  const struct rf_live_settings *s = bpf_map_lookup_elem(&settings, &zero);
  struct rf_live_counts *n = bpf_map_lookup_elem(&live_counts, &zero);
  uint8_t *p = (uint8_t *)(long)ctx->data;
  if (!s || !n || p + RF_LIVE_FRAME_LEN > (uint8_t *)(long)ctx->data_end) return XDP_ABORTED;
  write_frame(p, s, (uint32_t)(n->sent++ % s->flows));
  return (int)bpf_redirect(s->interface, 0);
}

RF_INLINE int is_load(struct xdp_md *ctx) {
  const uint8_t *p = (uint8_t *)(long)ctx->data;
  if (p + 38 > (uint8_t *)(long)ctx->data_end) return 0;
  return rf_load16(p + 12) == RF_ETHERTYPE_IPV4 && p[23] == RF_PROTO_UDP && rf_load16(p + 36) == RF_LIVE_PORT;
}

SEC("xdp")
int rf_count(struct xdp_md *ctx) {
  __u32 zero = 0;
  struct rf_live_counts *n = bpf_map_lookup_elem(&live_counts, &zero);
  if (!n || !is_load(ctx)) return XDP_PASS;
  n->received++;
  return XDP_DROP;
}

SEC("xdp")
int rf_door(struct xdp_md *ctx) { return is_load(ctx) ? XDP_DROP : XDP_PASS; }

char rf_license[] SEC("license") = "Dual BSD/GPL";
