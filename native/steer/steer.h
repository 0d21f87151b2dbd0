/* The packet pipeline: one pure function from a frame and the tables to a verdict. No I/O, no allocation, no clock of its own.
   Rules and reasons: docs/architecture.md, "The packet path"; WO 01/35601, figures 16 and 17. */
#ifndef RAINFRONT_STEER_STEER_H
#define RAINFRONT_STEER_STEER_H

#include "counters.h"
#include "flow_key.h"
#include "mac.h"
#include "parse.h"
#include "types.h"

enum rf_verdict_kind {
  RF_VERDICT_PASS,  /* to this node's kernel */
  RF_VERDICT_DROP,  /* for `cause` */
  RF_VERDICT_RELAY, /* to `node` */
};

struct rf_verdict {
  enum rf_verdict_kind kind;
  uint16_t cause; /* enum rf_counter; of a drop */
  uint16_t node;  /* of a relay */
  uint8_t from_peer;
};

/* What the pipeline asks of its tables; user space and BPF each implement these four. */
struct rf_tables;
RF_INLINE uint16_t rf_tables_self(const struct rf_tables *tables);
RF_INLINE int rf_tables_is_member(const struct rf_tables *tables, uint16_t node);
/* The flow's authoritative node, or 0 when there is no view. */
RF_INLINE uint16_t rf_tables_authority(const struct rf_tables *tables, const struct rf_flow_key *key);
/* Until when (ns, the host's clock) this node may act on its view. */
RF_INLINE uint64_t rf_tables_lease_until_ns(const struct rf_tables *tables);

RF_INLINE struct rf_verdict rf_drop(int cause, int from_peer) {
  struct rf_verdict v = {RF_VERDICT_DROP, (uint16_t)cause, 0, (uint8_t)from_peer};
  return v;
}

/* Verdict for a frame that is not ARP. `front_mac` is this port's. A node relays a frame at most once: the receiving node relays to the
   authority; a frame that comes from a peer is handled here or dropped, so no frame can circle. */
RF_INLINE struct rf_verdict rf_steer(const uint8_t *frame, uint32_t len, const uint8_t *front_mac, const struct rf_tables *tables, uint64_t now_ns) {
  if (len < RF_ETH_HEADER_LEN) return rf_drop(RF_COUNT_drop_runt, 0);
  const uint8_t *source = frame + RF_MAC_LEN;
  if (!rf_mac_equal(frame, front_mac)) return rf_drop(RF_COUNT_drop_foreign, 0);
  if (rf_mac_equal(source, front_mac)) return rf_drop(RF_COUNT_drop_looped, 0);
  int from_peer = rf_mac_same_layer(source, front_mac);

  if (rf_load16(frame + 12) != RF_ETHERTYPE_IPV4) return rf_drop(RF_COUNT_drop_not_ipv4, from_peer);
  struct rf_flow_key key;
  int fault = rf_parse_flow_ipv4(frame + RF_ETH_HEADER_LEN, len - RF_ETH_HEADER_LEN, &key);
  if (fault) return rf_drop(fault, from_peer);

  uint16_t authority = rf_tables_authority(tables, &key);
  if (authority == 0) return rf_drop(RF_COUNT_drop_no_view, from_peer);
  if (now_ns >= rf_tables_lease_until_ns(tables)) return rf_drop(RF_COUNT_drop_lease_void, from_peer);
  if (from_peer && !rf_tables_is_member(tables, rf_mac_node(source))) return rf_drop(RF_COUNT_drop_stale_peer, from_peer);

  struct rf_verdict v = {RF_VERDICT_PASS, 0, 0, (uint8_t)from_peer};
  if (authority == rf_tables_self(tables)) return v;
  if (from_peer) return rf_drop(RF_COUNT_drop_relay_bound, from_peer);
  v.kind = RF_VERDICT_RELAY;
  v.node = authority;
  return v;
}

/* Makes `frame` a relay from this node to `node`: its MACs are the only bytes of a frame that a relay changes. */
RF_INLINE void rf_relay_rewrite(uint8_t *frame, const uint8_t *front_mac, uint16_t node) {
  rf_mac_copy(frame, front_mac);
  rf_store16(frame + 4, node);
  rf_mac_copy(frame + RF_MAC_LEN, front_mac);
}

#endif
