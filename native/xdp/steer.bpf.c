/* The packet pipeline on the NIC: native/steer over BPF maps. What is left or passed goes to the kernel's own stack, where a macvlan has the front MAC;
   a relay or an answer out of the NIC that the frame came in by (XDP_TX, which needs nothing but the queue that it came in by); and what only user space can decide to it, by a ring buffer. */
#include "tables.bpf.h"

/* What one frame needs of the maps. */
struct rf_port {
  struct rf_tables tables;
  struct rf_work *work;
  struct rf_counts *counts;
};

RF_INLINE int find_port(struct rf_port *port) {
  __u32 zero = 0;
  __u32 cpu = bpf_get_smp_processor_id();
  port->tables.state = bpf_map_lookup_elem(&port_state, &zero);
  if (!port->tables.state) return -1;
  __u32 active = port->tables.state->active & 1;
  port->tables.view = bpf_map_lookup_elem(&views, &active);
  port->tables.assignment = bpf_map_lookup_elem(&assignments, &active);
  port->tables.turn = bpf_map_lookup_elem(&turns, &cpu);
  port->work = bpf_map_lookup_elem(&work_of_cpu, &zero);
  port->counts = bpf_map_lookup_elem(&counts, &zero);
  return port->tables.view && port->tables.assignment && port->tables.turn && port->work && port->counts ? 0 : -1;
}

RF_INLINE void count_sent(struct rf_counts *counts, uint64_t bytes) {
  counts->n[RF_COUNT_tx_frames]++;
  counts->n[RF_COUNT_tx_bytes] += bytes;
}

RF_INLINE void tell_conflict(void) {
  struct rf_event_head event = {RF_EVENT_CONFLICT, 0, 0};
  bpf_ringbuf_output(&events, &event, sizeof event, 0); /* full: one of the same is waiting */
}

/* Nobody is told where the ring is full: the next packets go the longer way, and it is said again. */
RF_INLINE void tell(const struct rf_verdict *v, const struct rf_port *port) {
  struct rf_told_event *event = bpf_ringbuf_reserve(&flow_events, sizeof *event, 0);
  if (!event) return;
  event->head.kind = RF_EVENT_TOLD;
  event->head.len = 0;
  event->key = port->work->flow.key;
  event->assignment = rf_told(v, &port->tables);
  event->peer = v->told;
  bpf_ringbuf_submit(event, 0);
}

RF_INLINE int punt(struct xdp_md *ctx, uint32_t len, uint32_t cause, struct rf_counts *counts) {
  void *ring = cause == RF_COUNT_punt_flow ? (void *)&flow_events : (void *)&events;
  struct rf_frame_event *event = bpf_ringbuf_reserve(ring, sizeof *event, 0);
  if (!event) {
    counts->n[cause == RF_COUNT_punt_flow ? RF_COUNT_drop_flow_unknown : RF_COUNT_drop_fragment_orphan]++;
    return XDP_DROP;
  }
  RF_OPAQUE(len);
  if (len < RF_ETH_HEADER_LEN || len > RF_XDP_FRAME_LEN_MAX || bpf_xdp_load_bytes(ctx, 0, event->frame, len)) {
    bpf_ringbuf_discard(event, 0);
    counts->n[RF_COUNT_drop_oversize]++;
    return XDP_DROP;
  }
  event->head.kind = RF_EVENT_PUNT;
  event->head.len = (uint16_t)len;
  bpf_ringbuf_submit(event, 0);
  return XDP_DROP;
}

RF_INLINE int send_back(const struct xdp_md *ctx, const struct rf_port *port, uint64_t bytes) {
  count_sent(port->counts, bytes);
  return port->tables.state->redirects ? (int)bpf_redirect(ctx->ingress_ifindex, 0) : XDP_TX;
}

RF_INLINE int reply(struct xdp_md *ctx, uint32_t frame_len, const struct rf_port *port) {
  const struct rf_reply *answer = &port->work->reply;
  uint32_t len = answer->len & 127;
  const int is_bounded = len != 0 && len <= sizeof answer->frame;
  if (!is_bounded || bpf_xdp_adjust_tail(ctx, (int)len - (int)frame_len) || bpf_xdp_store_bytes(ctx, 0, (void *)answer->frame, len)) {
    port->counts->n[RF_COUNT_drop_reply_room]++;
    return XDP_DROP;
  }
  return send_back(ctx, port, len);
}

RF_INLINE int act(struct xdp_md *ctx, const struct rf_verdict *v, const struct rf_port *port) {
  uint8_t *data = (uint8_t *)(long)ctx->data;
  uint8_t *end = (uint8_t *)(long)ctx->data_end;
  const uint32_t len = (uint32_t)(end - data);
  struct rf_counts *counts = port->counts;
  if (v->kind == RF_VERDICT_LEAVE) return XDP_PASS;
  counts->n[RF_COUNT_rx_frames]++;
  counts->n[RF_COUNT_rx_bytes] += len;
  uint32_t cause = v->cause;
  RF_OPAQUE(cause);
  if (cause && cause < RF_COUNTER_COUNT) counts->n[cause]++;
  if (v->from_peer) counts->n[RF_COUNT_relay_in_frames]++;
  if (v->conflict) tell_conflict();
  switch (v->kind) {
    case RF_VERDICT_PASS:
      if (v->told) tell(v, port);
      counts->n[RF_COUNT_pass_frames]++;
      return XDP_PASS;
    case RF_VERDICT_RELAY:
      if (data + RF_ETH_HEADER_LEN > end) return XDP_DROP;
      if (v->told) tell(v, port);
      rf_relay_rewrite(data, port->tables.state->front_mac, v->node, v->relay);
      counts->n[RF_COUNT_relay_out_frames]++;
      return send_back(ctx, port, len);
    case RF_VERDICT_REPLY:
      return reply(ctx, len, port);
    case RF_VERDICT_PUNT:
      return punt(ctx, len, cause, counts);
    default:
      return XDP_DROP;
  }
}

/* The time by which flows are judged, at most a tick of the kernel old: to look at the clock costs nearly as much as all that is done for a packet. */
RF_INLINE uint64_t flow_time_ns(const struct rf_tables *tables) {
  struct rf_turn *turn = tables->turn;
  const uint64_t jiffies = bpf_jiffies64();
  if (tables->state->clock_ns) return tables->state->clock_ns;
  if (turn->jiffies != jiffies) {
    turn->now_ns = bpf_ktime_get_boot_ns();
    turn->jiffies = jiffies;
  }
  return turn->now_ns;
}

SEC("xdp")
int rf_xdp(struct xdp_md *ctx) {
  struct rf_port port;
  if (find_port(&port)) return XDP_PASS;
  uint8_t *data = (uint8_t *)(long)ctx->data;
  uint8_t *end = (uint8_t *)(long)ctx->data_end;
  struct rf_bytes frame = {data, data, end, (uint32_t)(end - data)};
  const struct rf_port_state *state = port.tables.state;
  struct rf_verdict v = rf_steer(ctx, frame, state->front_mac, &port.tables, flow_time_ns(&port.tables), port.work);
  const int action = act(ctx, &v, &port);
  rf_turn_end(port.tables.turn);
  return action;
}

char rf_license[] SEC("license") = "Dual BSD/GPL";
