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

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct rf_live_row);
} row SEC(".maps");

/* One packet, as it is written. */
struct packet {
  uint32_t source, destination;
  uint16_t source_port, destination_port;
  uint8_t protocol;
  struct rf_live_step step;
};

RF_INLINE void store32(uint8_t *p, uint32_t v) {
  rf_store16(p, (uint16_t)(v >> 16));
  rf_store16(p + 2, (uint16_t)v);
}

RF_INLINE uint64_t halves(uint32_t v) { return (v >> 16) + (v & 0xffff); }

/* TCP's packets are empty, and their frames padded. */
RF_INLINE void write_ip(uint8_t *ip, const struct packet *packet) {
  const uint16_t len = packet->protocol == RF_PROTO_TCP ? 40 : RF_LIVE_FRAME_LEN - 14;
  rf_store16(ip, 0x4500);
  rf_store16(ip + 2, len);
  store32(ip + 4, 0);
  rf_store16(ip + 8, (uint16_t)(64 << 8 | packet->protocol));
  store32(ip + 12, packet->source);
  store32(ip + 16, packet->destination);
  const uint64_t sum = 0x4500 + len + (64u << 8 | packet->protocol) + halves(packet->source) + halves(packet->destination);
  rf_store16(ip + 10, (uint16_t)~rf_checksum_fold(sum));
}

/* Behind the ports. Without a checksum: whoever is to judge TCP's must be told not to. */
RF_INLINE void write_rest(uint8_t *p, const struct packet *packet) {
  for (unsigned i = 0; i < 22; i++) p[i] = 0;
  if (packet->protocol == RF_PROTO_UDP) {
    rf_store16(p, RF_LIVE_FRAME_LEN - 34);
    return;
  }
  p[3] = packet->step.sequence;
  p[7] = packet->step.acknowledged;
  p[8] = 5 << 4;
  p[9] = packet->step.tcp_flags;
  rf_store16(p + 10, 0xffff);
}

RF_INLINE void write_frame(uint8_t *p, const struct rf_live_settings *s, const struct packet *packet) {
  for (unsigned i = 0; i < 6; i++) {
    p[i] = s->destination_mac[i];
    p[6 + i] = s->source_mac[i];
  }
  rf_store16(p + 12, RF_ETHERTYPE_IPV4);
  write_ip(p + 14, packet);
  rf_store16(p + 34, packet->source_port);
  rf_store16(p + 36, packet->destination_port);
  write_rest(p + 38, packet);
}

/* A batch of flows after the other: each batch's packets have gone their whole way before the answers to them are made, for the kernel takes packets in lists, and knows a connection when its
   first packet has left. */
RF_INLINE struct packet packet_of(const struct rf_live_settings *s, const struct rf_live_stream *stream, uint32_t stream_index, uint64_t n) {
  const uint32_t steps = stream->steps ? stream->steps : 1;
  const uint64_t batch = n / RF_LIVE_BATCH;
  const uint64_t nth = batch / steps * RF_LIVE_BATCH + n % RF_LIVE_BATCH;
  const uint32_t flow = stream->first + (uint32_t)(nth % (stream->flows ? stream->flows : 1));
  const uint32_t client = stream->source + flow / RF_LIVE_PORTS;
  const uint16_t client_port = (uint16_t)(RF_LIVE_CLIENT_PORT_MIN + flow % RF_LIVE_PORTS), port = (uint16_t)RF_LIVE_PORT(stream_index);
  const struct rf_live_step step = stream->step[batch % steps % RF_LIVE_STEPS];
  if (step.is_answer) return (struct packet){s->destination, client, port, client_port, stream->protocol, step};
  return (struct packet){client, s->destination, client_port, port, stream->protocol, step};
}

/* So many frames of a stream in a row, and then of the other, if there is one. */
RF_INLINE uint32_t next_stream(struct rf_live_row *at, struct rf_live_counts *n, const struct rf_live_settings *s) {
  const uint32_t stream = at->stream & 1;
  const uint32_t share = s->streams[stream].share;
  if (at->since_ns && at->sent++ < share) return stream;
  const uint64_t now_ns = bpf_ktime_get_ns();
  if (at->since_ns) {
    const uint64_t elapsed_ns = now_ns - at->since_ns;
    if (elapsed_ns < (uint64_t)share * RF_LIVE_FRAME_NS_MAX) {
      n->elapsed_ns[stream] += elapsed_ns;
      n->timed[stream] += share;
    }
    at->stream = s->streams[stream ^ 1].share ? stream ^ 1 : 0;
  }
  at->since_ns = now_ns;
  at->sent = 1;
  return at->stream & 1;
}

SEC("xdp")
int rf_generate(struct xdp_md *ctx) {
  __u32 zero = 0;
  const struct rf_live_settings *s = bpf_map_lookup_elem(&settings, &zero);
  struct rf_live_counts *n = bpf_map_lookup_elem(&live_counts, &zero);
  struct rf_live_row *at = bpf_map_lookup_elem(&row, &zero);
  uint8_t *p = (uint8_t *)(long)ctx->data;
  if (!s || !n || !at || p + RF_LIVE_FRAME_LEN > (uint8_t *)(long)ctx->data_end) return XDP_ABORTED;
  uint32_t stream = next_stream(at, n, s);
  RF_OPAQUE(stream);
  if (stream >= RF_LIVE_STREAMS) return XDP_ABORTED; /* the verifier does not know that it is not */
  const struct packet packet = packet_of(s, &s->streams[stream], stream, n->sent[stream]++);
  write_frame(p, s, &packet);
  return (int)bpf_redirect(s->interface, 0);
}

/* The stream of what the generator made, or RF_LIVE_STREAMS. */
RF_INLINE uint32_t stream_of(struct xdp_md *ctx) {
  const uint8_t *p = (uint8_t *)(long)ctx->data;
  if (p + 38 > (uint8_t *)(long)ctx->data_end) return RF_LIVE_STREAMS;
  if (rf_load16(p + 12) != RF_ETHERTYPE_IPV4 || (p[23] != RF_PROTO_UDP && p[23] != RF_PROTO_TCP)) return RF_LIVE_STREAMS;
  const uint32_t source = rf_load16(p + 34), destination = rf_load16(p + 36);
  const uint32_t stream = (source < RF_LIVE_CLIENT_PORT_MIN ? source : destination) - RF_LIVE_PORT(0);
  return stream < RF_LIVE_STREAMS ? stream : RF_LIVE_STREAMS;
}

SEC("xdp")
int rf_count(struct xdp_md *ctx) {
  __u32 zero = 0;
  struct rf_live_counts *n = bpf_map_lookup_elem(&live_counts, &zero);
  uint32_t stream = stream_of(ctx);
  RF_OPAQUE(stream);
  if (!n || stream >= RF_LIVE_STREAMS) return XDP_PASS;
  n->received[stream]++;
  return XDP_DROP;
}

SEC("xdp")
int rf_door(struct xdp_md *ctx) { return stream_of(ctx) < RF_LIVE_STREAMS ? XDP_DROP : XDP_PASS; }

char rf_license[] SEC("license") = "Dual BSD/GPL";
