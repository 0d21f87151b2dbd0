/* The packet pipeline on the NIC: native/steer over BPF maps. What is left or passed goes to the kernel's own stack, a relay or an answer out of the
   NIC that the frame came in by. */
#include "tables.bpf.h"

RF_INLINE void count(__u32 counter) {
  __u64 *value = bpf_map_lookup_elem(&counters, &counter);
  if (value) *value += 1;
}

SEC("xdp")
int rf_xdp(struct xdp_md *ctx) {
  __u32 zero = 0;
  const struct rf_port_state *state = bpf_map_lookup_elem(&port_state, &zero);
  if (!state) return XDP_PASS;
  uint8_t *data = (uint8_t *)(long)ctx->data;
  uint8_t *end = (uint8_t *)(long)ctx->data_end;
  struct rf_bytes frame = {data, data, end, (uint32_t)(end - data)};
  struct rf_tables tables = {state};
  struct rf_work *work = bpf_map_lookup_elem(&work_of_cpu, &zero);
  if (!work) return XDP_PASS;
  const uint64_t now_ns = state->clock_ns ? state->clock_ns : bpf_ktime_get_boot_ns();
  struct rf_verdict v = rf_steer(ctx, frame, state->front_mac, &tables, now_ns, work);
  if (v.cause) count(v.cause);
  if (v.from_peer) count(RF_COUNT_relay_in_frames);
  switch (v.kind) {
    case RF_VERDICT_LEAVE:
      return XDP_PASS;
    case RF_VERDICT_PASS:
      if (data + RF_ETH_HEADER_LEN > end) return XDP_DROP;
      rf_mac_copy(data, state->nic_mac);
      return XDP_PASS;
    case RF_VERDICT_RELAY:
      if (data + RF_ETH_HEADER_LEN > end) return XDP_DROP;
      rf_relay_rewrite(data, state->front_mac, v.node);
      return bpf_redirect(ctx->ingress_ifindex, 0);
    case RF_VERDICT_REPLY: {
      int change = (int)work->reply.len - (int)(end - data);
      if (bpf_xdp_adjust_tail(ctx, change)) return XDP_DROP;
      uint32_t len = work->reply.len & 127;
      if (len > sizeof work->reply.frame || len == 0) return XDP_DROP;
      if (bpf_xdp_store_bytes(ctx, 0, work->reply.frame, len)) return XDP_DROP;
      return bpf_redirect(ctx->ingress_ifindex, 0);
    }
    default:
      return XDP_DROP;
  }
}

char rf_license[] SEC("license") = "Dual BSD/GPL";
