/* Who handles a flow where that is assigned: its authority decides at the first packet, the others ask it until they are told (WO 01/35601, figures 16 and 17;
   docs/decisions/0018). Pure; called by steer.h for packets that a node with a view and a lease has got.

   A packet takes two relays at most: RF_RELAY_ASK or RF_RELAY_DIRECT, and RF_RELAY_FINAL, which is handled where it arrives. */
#ifndef RAINFRONT_STEER_ASSIGN_H
#define RAINFRONT_STEER_ASSIGN_H

#include "mac.h"
#include "tables.h"
#include "verdict.h"

/* Who asks for a flow so often is told, and again whenever that number has doubled: most flows are over before, and a word that gets lost is said again. */
#define RF_ASKS_BEFORE_TOLD 4u
#define RF_ASKS_MAX 64u

RF_INLINE struct rf_verdict rf_relay(uint16_t node, enum rf_relay_kind kind, int from_peer, int cause) {
  struct rf_verdict v = rf_verdict_of(RF_VERDICT_RELAY, cause, from_peer);
  v.node = node;
  v.relay = (uint8_t)kind;
  return v;
}

RF_INLINE struct rf_assignment rf_assignment_to(uint16_t node, const struct rf_flow *flow, const struct rf_tables *tables, enum rf_flow_life life) {
  struct rf_assignment a = {rf_tables_epoch(tables), node, 0, 0};
  a.flags_and_life = (uint8_t)(life << RF_ASSIGNMENT_LIFE_SHIFT | (flow->is_from_low ? RF_ASSIGNED_FROM_LOW : 0));
  return a;
}

/* Its node was a member all the time since. */
RF_INLINE int rf_assignment_holds(const struct rf_assignment *a, const struct rf_tables *tables) {
  const uint32_t since = rf_tables_member_since(tables, a->node);
  return since != 0 && a->epoch >= since;
}

RF_INLINE enum rf_flow_life rf_life_of(const struct rf_flow *flow) {
  if (flow->key.protocol != RF_PROTO_TCP) return RF_LIFE_DATAGRAM;
  return flow->phase == RF_PHASE_CLOSING ? RF_LIFE_CLOSING : RF_LIFE_STREAM;
}

/* Remembers what the packet changes: an answer makes an opening flow an established one, an end lets it be forgotten soon. What is only about a flow changes nothing. */
RF_INLINE void rf_assignment_advance(const struct rf_flow *flow, uint64_t hash, struct rf_assignment *a, int place, int is_asked, const struct rf_tables *tables, uint64_t now_ns) {
  const uint8_t life = rf_assignment_life(a);
  uint8_t next = life;
  if (!flow->is_error) {
    const int is_answer = rf_assignment_has(a, RF_ASSIGNED_FROM_LOW) != (flow->is_from_low != 0);
    if (life == RF_LIFE_OPENING && is_answer) next = (uint8_t)rf_life_of(flow);
    if (life == RF_LIFE_STREAM && flow->phase == RF_PHASE_CLOSING) next = RF_LIFE_CLOSING;
  }
  if (is_asked) a->asks = a->asks + 1u < RF_ASKS_MAX ? (uint8_t)(a->asks + 1u) : (uint8_t)(RF_ASKS_MAX / 2);
  if (next == life && !is_asked) return;
  a->flags_and_life = (uint8_t)((a->flags_and_life & RF_ASSIGNMENT_FLAGS) | next << RF_ASSIGNMENT_LIFE_SHIFT);
  rf_tables_put_flow(tables, &flow->key, hash, a, next == RF_LIFE_OPENING ? place : RF_FLOW_ESTABLISHED, now_ns);
  if (next != RF_LIFE_OPENING && place == RF_FLOW_OPENING) rf_tables_forget_opening(tables, &flow->key, hash);
}

RF_INLINE int rf_is_power_of_two(unsigned n) { return (n & (n - 1)) == 0; }

/* This node handles it, for a relay says so. `place`: where `known` was found, of an earlier connection if `is_new`. */
RF_INLINE struct rf_verdict rf_handle_as_told(const struct rf_flow *flow, uint64_t hash, int place, const struct rf_assignment *known, int is_new, const struct rf_tables *tables,
                                              uint64_t now_ns) {
  if (flow->is_error) return rf_pass(1);
  struct rf_assignment mine = rf_assignment_to(rf_tables_self(tables), flow, tables, RF_LIFE_OPENING);
  if (place != RF_FLOW_UNKNOWN && known->node != 0 && !is_new) mine.flags_and_life = known->flags_and_life;
  rf_tables_put_flow(tables, &flow->key, hash, &mine, place != RF_FLOW_UNKNOWN ? place : RF_FLOW_OPENING, now_ns);
  return rf_pass(1);
}

/* Whom the authority gives a flow that nobody handles. `asker`: 0, or who asked. */
RF_INLINE uint16_t rf_chosen(const struct rf_tables *tables, uint64_t hash, uint16_t asker) {
  const uint16_t self = rf_tables_self(tables);
  uint16_t chosen = asker == 0 ? self : asker;
  if (rf_tables_policy(tables) == RF_POLICY_BALANCED) chosen = rf_tables_choice(tables, hash);
  return rf_tables_is_ready(tables, chosen) ? chosen : self;
}

/* Whether somebody else may handle a flow that its authority does not know. */
RF_INLINE int rf_may_be_elsewhere(const struct rf_flow *flow, const struct rf_tables *tables, uint64_t now_ns) {
  if (flow->phase == RF_PHASE_OPENING) return 0;
  return flow->key.protocol == RF_PROTO_TCP || now_ns < rf_tables_settled_ns(tables);
}

/* At the authority, of a flow that no member is known to handle. `before` is what was found at `place`: whose node is gone, of a connection that is over (`is_new`), or that all
   others were asked. */
RF_INLINE struct rf_verdict rf_decide(const struct rf_flow *flow, uint64_t hash, uint16_t asker, int place, const struct rf_assignment *before, int is_new,
                                      const struct rf_tables *tables, uint64_t now_ns) {
  const uint16_t self = rf_tables_self(tables);
  const int from_peer = asker != 0;
  /* This node's kernel knows best what to do with an error about a flow that nobody knows. */
  if (flow->is_error) return rf_pass(from_peer);
  /* Its node is gone, and what that told of its connections it told their authorities. */
  const int is_orphan = place != RF_FLOW_UNKNOWN && before->node != 0 && !is_new;
  if (place == RF_FLOW_UNKNOWN && rf_may_be_elsewhere(flow, tables, now_ns)) return rf_verdict_of(RF_VERDICT_PUNT, RF_COUNT_punt_flow, from_peer);
  struct rf_assignment made = rf_assignment_to(is_orphan ? self : rf_chosen(tables, hash, asker), flow, tables, RF_LIFE_OPENING);
  if (place != RF_FLOW_UNKNOWN) rf_tables_put_flow(tables, &flow->key, hash, &made, place, now_ns);
  else rf_tables_admit_flow(tables, &flow->key, hash, &made, now_ns);
  if (made.node != self) return rf_relay(made.node, from_peer ? RF_RELAY_FINAL : RF_RELAY_DIRECT, from_peer, RF_COUNT_flows_assigned);
  return rf_verdict_of(RF_VERDICT_PASS, RF_COUNT_flows_assigned, from_peer);
}

/* A packet with its flow's key; `asker`: 0, or the node of the layer that relayed it, as a relay of `kind`. */
RF_INLINE struct rf_verdict rf_assign(const struct rf_flow *flow, uint16_t asker, enum rf_relay_kind kind, const struct rf_tables *tables, uint64_t now_ns) {
  const uint16_t self = rf_tables_self(tables);
  const int from_peer = asker != 0;
  const uint64_t hash = rf_tables_flow_hash(tables, &flow->key);
  struct rf_assignment known = {0, 0, 0, 0};
  const int place = rf_tables_find_flow(tables, &flow->key, hash, now_ns, &known);
  /* Another connection between the same ends. */
  const int is_new = flow->phase == RF_PHASE_OPENING && rf_assignment_life(&known) == RF_LIFE_CLOSING;
  const int is_held = place != RF_FLOW_UNKNOWN && !is_new && rf_assignment_holds(&known, tables);
  const int is_mine = is_held && known.node == self;
  if (from_peer && !is_mine && (kind == RF_RELAY_FINAL || (kind == RF_RELAY_DIRECT && !is_held))) return rf_handle_as_told(flow, hash, place, &known, is_new, tables, now_ns);
  if (is_held) {
    const int is_asked = from_peer && !is_mine;
    rf_assignment_advance(flow, hash, &known, place, is_asked, tables, now_ns);
    if (is_mine) return rf_pass(from_peer);
    struct rf_verdict v = rf_relay(known.node, from_peer ? RF_RELAY_FINAL : RF_RELAY_DIRECT, from_peer, 0);
    v.is_told = is_asked && known.node != asker && known.asks >= RF_ASKS_BEFORE_TOLD && rf_is_power_of_two(known.asks);
    return v;
  }
  const uint16_t authority = rf_tables_authority_of(tables, hash);
  if (authority == self) return rf_decide(flow, hash, asker, place, &known, is_new, tables, now_ns);
  if (from_peer) return rf_drop(RF_COUNT_drop_relay_bound, from_peer);
  return rf_relay(authority, RF_RELAY_ASK, 0, 0);
}

#endif
