/* The packet pipeline: one pure function from a frame and the tables to a verdict. No I/O, no allocation, no clock of its own.
   The rules, each with its reason: docs/packet-path.md; WO 01/35601, figures 15 to 17. */
#ifndef RAINFRONT_STEER_STEER_H
#define RAINFRONT_STEER_STEER_H

#include "assign.h"
#include "ethernet.h"
#include "flow.h"
#include "mac.h"
#include "neighbor.h"
#include "tables.h"
#include "verdict.h"

/* Whether `node` of the layer may relay to this one. One that left the view may until its lease has ended: so long it steers, rightly, by the view that it
   was in, and its packets belong to connections that were there before. */
RF_INLINE int rf_may_relay(const struct rf_tables *tables, uint16_t node, uint64_t now_ns) {
  return rf_tables_is_member(tables, node) || now_ns < rf_tables_departed_until_ns(tables, node);
}

/* Why nothing that `source_mac` sent is steered now, or 0. */
RF_INLINE int rf_standstill(const struct rf_tables *tables, const uint8_t *source_mac, int from_peer, uint64_t now_ns) {
  if (!rf_tables_has_view(tables)) return RF_COUNT_drop_no_view;
  if (now_ns >= rf_tables_lease_until_ns(tables)) return RF_COUNT_drop_lease_void;
  if (from_peer && !rf_may_relay(tables, rf_mac_node(source_mac), now_ns)) return RF_COUNT_drop_stale_peer;
  return 0;
}

/* A later fragment goes where the first one of its datagram went. `node`: as this port saw it, or 0. */
RF_INLINE struct rf_verdict rf_steer_later_fragment(uint16_t node, enum rf_relay_kind kind, int from_peer, const struct rf_tables *tables) {
  /* The peer that relayed it has seen the first one. */
  if (from_peer && (node == 0 || kind != RF_RELAY_ASK)) return rf_pass(from_peer);
  if (node == 0) return rf_verdict_of(RF_VERDICT_PUNT, RF_COUNT_punt_fragment, 0);
  if (node == rf_tables_self(tables)) return rf_pass(from_peer);
  if (!from_peer) return rf_relay(node, RF_RELAY_ASK, 0, 0);
  return rf_tables_policy(tables) == RF_POLICY_HASH ? rf_drop(RF_COUNT_drop_relay_bound, from_peer) : rf_relay(node, RF_RELAY_FINAL, from_peer, 0);
}

/* Where its authority handles a flow: a frame from a peer is handled here or dropped, so no frame can circle. One of a peer that knows an assignment is handled, for such a
   peer has asked the authority. */
RF_INLINE struct rf_verdict rf_steer_by_hash(uint16_t authority, enum rf_relay_kind kind, int from_peer, const struct rf_tables *tables) {
  if (authority == rf_tables_self(tables) || (from_peer && kind != RF_RELAY_ASK)) return rf_pass(from_peer);
  if (from_peer) return rf_drop(RF_COUNT_drop_relay_bound, from_peer);
  return rf_relay(authority, RF_RELAY_ASK, 0, 0);
}

/* A packet to the front MAC. */
RF_INLINE struct rf_verdict rf_steer_flow(const struct rf_flow *flow, const uint8_t *source_mac, int from_peer, const struct rf_tables *tables, uint64_t now_ns) {
  const int cause = rf_standstill(tables, source_mac, from_peer, now_ns);
  if (cause) return rf_drop(cause, from_peer);
  const enum rf_relay_kind kind = from_peer ? rf_mac_relay_kind(source_mac) : RF_RELAY_ASK;
  if (flow->fragment == RF_FRAGMENT_LATER) return rf_steer_later_fragment(rf_tables_fragment(tables, &flow->fragment_key, now_ns), kind, from_peer, tables);
  struct rf_verdict v;
  uint16_t node = 0; /* where it goes; of what is dropped for the bound, where it should have come from */
  if (rf_tables_policy(tables) == RF_POLICY_HASH) {
    node = rf_tables_authority_of(tables, rf_tables_flow_hash(tables, &flow->key));
    v = rf_steer_by_hash(node, kind, from_peer, tables);
  } else {
    v = rf_assign(flow, from_peer ? rf_mac_node(source_mac) : 0, kind, tables, now_ns);
    node = v.node;
  }
  if (v.kind == RF_VERDICT_PASS) node = rf_tables_self(tables);
  if (node != 0 && flow->fragment == RF_FRAGMENT_FIRST) rf_tables_remember_fragment(tables, &flow->fragment_key, node, now_ns);
  return v;
}

/* What one frame needs beside the stack, which is small in the kernel. */
struct rf_work {
  struct rf_reply reply; /* written when the verdict says so */
  struct rf_flow flow;
  struct rf_nd_message nd;
};

RF_INLINE int rf_decided(struct rf_verdict *v, struct rf_verdict verdict) {
  *v = verdict;
  return 0;
}

/* A frame from the segment, which is `bytes`, and `frame` to those who look at it apart; `front_mac` is this port's. True: it is a packet of `work->flow` to that
   MAC, and who handles the flow decides (rf_steer_flow). Else `v` is its verdict. */
RF_INLINE int rf_classify(rf_frame *frame, struct rf_bytes bytes, const uint8_t *front_mac, const struct rf_tables *tables, uint64_t now_ns, struct rf_work *work,
                          struct rf_ethernet *eth, struct rf_verdict *v) {
  int fault = rf_parse_ethernet(bytes, eth);
  if (fault) return rf_decided(v, rf_drop(fault, 0));
  if (eth->ethertype == RF_ETHERTYPE_ARP) return rf_decided(v, rf_arp(eth, front_mac, tables, now_ns, &work->reply));
  const int to_front = rf_mac_equal(eth->dst, front_mac);
  const int is_ip = eth->ethertype == RF_ETHERTYPE_IPV4 || eth->ethertype == RF_ETHERTYPE_IPV6;
  /* Of what is not for the front MAC only neighbour discovery is ours to look at, wherever it is sent: the kernel would answer for every VIP. */
  if (!to_front && eth->ethertype != RF_ETHERTYPE_IPV6) return rf_decided(v, rf_leave());
  if (to_front && rf_mac_same_node(eth->src, front_mac)) return rf_decided(v, rf_drop(RF_COUNT_drop_looped, 0));
  if (!is_ip) return rf_decided(v, rf_drop(RF_COUNT_drop_not_ip, 0));
  /* Without a VIP of it nobody was told of the front MAC by IPv6: a way in that no firewall rule expects. */
  if (eth->ethertype == RF_ETHERTYPE_IPV6 && !rf_tables_carries_ipv6(tables)) return rf_decided(v, to_front ? rf_drop(RF_COUNT_drop_ipv6, 0) : rf_leave());

  struct rf_flow *flow = &work->flow;
  fault = rf_parse_flow(eth->ethertype, frame, eth->payload, flow);
  if (!fault && flow->is_neighbor) return rf_decided(v, rf_nd(frame, eth, front_mac, tables, now_ns, &work->nd, &work->reply));
  if (!to_front) return rf_decided(v, rf_leave());
  if (fault) return rf_decided(v, rf_drop(fault, rf_mac_same_layer(eth->src, front_mac)));
  if (flow->is_local) return rf_decided(v, rf_pass(0));
  return 1;
}

/* Verdict for a frame from the segment: see rf_classify. */
RF_INLINE struct rf_verdict rf_steer(rf_frame *frame, struct rf_bytes bytes, const uint8_t *front_mac, const struct rf_tables *tables, uint64_t now_ns, struct rf_work *work) {
  struct rf_ethernet eth;
  struct rf_verdict v;
  if (!rf_classify(frame, bytes, front_mac, tables, now_ns, work, &eth, &v)) return v;
  return rf_steer_flow(&work->flow, eth.src, rf_mac_same_layer(eth.src, front_mac), tables, now_ns);
}

/* Makes `frame` a relay from this node to `node`: its MACs are the only bytes of a frame that a relay changes. */
RF_INLINE void rf_relay_rewrite(uint8_t *frame, const uint8_t *front_mac, uint16_t node, unsigned kind) {
  rf_mac_copy(frame, front_mac);
  rf_store16(frame + 4, node);
  rf_mac_copy(frame + RF_MAC_LEN, front_mac);
  frame[RF_MAC_LEN] |= (uint8_t)(kind << RF_MAC_KIND_SHIFT);
}

#endif
