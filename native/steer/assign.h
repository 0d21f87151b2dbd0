/* Who handles a flow where that is assigned: its authority decides at the first packet, the others ask it until they are told (WO 01/35601, figures 16 and 17;
   docs/packet-path.md, rules 22 to 34). Pure; called by steer.h for packets that a node with a view and a lease has got.

   A packet takes two relays at most: RF_RELAY_ASK or RF_RELAY_DIRECT, and RF_RELAY_FINAL, which is handled where it arrives. */
#ifndef RAINFRONT_STEER_ASSIGN_H
#define RAINFRONT_STEER_ASSIGN_H

#include "mac.h"
#include "tables.h"
#include "verdict.h"

/* Who asks for a flow so often is told: most flows are over before. */
#define RF_ASKS_BEFORE_TOLD 4u

/* One packet's flow, and all that is known of it here. */
struct rf_flow_look {
  const struct rf_flow *flow;
  uint64_t hash;
  uint64_t now_ns;
  uint16_t owner; /* of the part of a port range that it is in, or 0 */
  uint16_t asker; /* 0, or the node of the layer that relayed the packet */
  int place;      /* enum rf_flow_place */
  struct rf_assignment known;
  int is_doubted; /* the packet may be of another connection between the same ends: what is known is of the one before */
  int is_held; /* the node that is known has been a member since, and handles it */
};

RF_INLINE struct rf_verdict rf_relay(uint16_t node, enum rf_relay_kind kind, int from_peer, int cause) {
  struct rf_verdict v = rf_verdict_of(RF_VERDICT_RELAY, cause, from_peer);
  v.node = node;
  v.relay = (uint8_t)kind;
  return v;
}

RF_INLINE struct rf_assignment rf_assignment_to(uint16_t node, const struct rf_flow *flow, const struct rf_tables *tables) {
  const enum rf_flow_life life = flow->phase == RF_PHASE_CLOSING ? RF_LIFE_CLOSING : RF_LIFE_OPENING;
  struct rf_assignment a = {rf_tables_epoch(tables), node, 0, rf_flags_and_life(flow->is_from_low ? RF_ASSIGNED_FROM_LOW : 0, life)};
  return a;
}

/* Its node was a member all the time since. */
RF_INLINE int rf_assignment_holds(const struct rf_assignment *a, const struct rf_tables *tables) {
  const uint32_t since = rf_tables_member_since(tables, a->node);
  return since != 0 && a->epoch >= since;
}

RF_INLINE enum rf_flow_life rf_life_of(const struct rf_flow *flow) { return flow->key.protocol == RF_PROTO_TCP ? RF_LIFE_STREAM : RF_LIFE_DATAGRAM; }

RF_INLINE uint8_t rf_counted_on(uint8_t count) { return count + 1u < RF_ASSIGNMENT_COUNT_MAX ? (uint8_t)(count + 1u) : (uint8_t)(RF_ASSIGNMENT_COUNT_MAX / 2); }

/* A word that gets lost is said again, ever more seldom: at 1, 2, 4 and so on, and at every 32nd. */
RF_INLINE int rf_is_told_at(uint8_t count) { return (count & (count - 1u)) == 0; }

/* How far the connection is after a packet of it. An answer says that a flow is one, but anybody can have TCP answered: there the first end has to speak again. Of an alias only the
   answers come by, and some firewall knows the connection. */
RF_INLINE uint8_t rf_after_packet(const struct rf_flow *flow, const struct rf_assignment *a) {
  const unsigned life = rf_assignment_life(a);
  unsigned flags = a->flags_and_life & RF_ASSIGNMENT_FLAGS;
  const int is_answer = rf_assignment_has(a, RF_ASSIGNED_FROM_LOW) != (flow->is_from_low != 0);
  if (flow->is_error || (life != RF_LIFE_OPENING && life != RF_LIFE_STREAM)) return a->flags_and_life;
  if (flow->phase == RF_PHASE_CLOSING) return rf_flags_and_life(flags, RF_LIFE_CLOSING);
  if (life == RF_LIFE_STREAM) return a->flags_and_life;
  if (is_answer) flags |= RF_ASSIGNED_ANSWERED;
  const int has_spoken_again = (flags & RF_ASSIGNED_ALIAS) || (!is_answer && (flags & RF_ASSIGNED_ANSWERED));
  const int is_spoken = flow->key.protocol == RF_PROTO_TCP ? has_spoken_again && flow->phase != RF_PHASE_OPENING : is_answer;
  return rf_flags_and_life(flags, is_spoken ? (unsigned)rf_life_of(flow) : life);
}

/* Remembers what the packet changes, and `count`. */
RF_INLINE void rf_advance(struct rf_flow_look *look, uint8_t count, const struct rf_tables *tables) {
  struct rf_assignment *a = &look->known;
  const uint8_t after = rf_after_packet(look->flow, a);
  if (after == a->flags_and_life && count == a->count) return;
  a->flags_and_life = after;
  a->count = count;
  /* What ends before it has begun stays where a flood may drive it out. */
  const int is_established = look->place == RF_FLOW_ESTABLISHED || rf_assignment_life(a) > RF_LIFE_CLOSING;
  rf_tables_put_flow(tables, &look->flow->key, look->hash, a, is_established ? RF_FLOW_ESTABLISHED : look->place, look->now_ns);
  if (is_established && look->place == RF_FLOW_OPENING) rf_tables_forget_flow(tables, &look->flow->key, look->hash, RF_FLOW_OPENING);
}

/* Not of what a flood may be, and what is over. */
RF_INLINE int rf_is_worth_telling(const struct rf_assignment *a) { return rf_assignment_life(a) == RF_LIFE_STREAM || rf_assignment_life(a) == RF_LIFE_DATAGRAM; }

RF_INLINE void rf_tell(struct rf_verdict *v, uint16_t node, const struct rf_assignment *a) {
  v->told = node;
  v->told_as = a->flags_and_life;
}

/* What others are told: see rf_verdict. */
RF_INLINE struct rf_assignment rf_told(const struct rf_verdict *v, const struct rf_tables *tables) {
  const struct rf_assignment a = {rf_tables_epoch(tables), v->kind == RF_VERDICT_PASS ? rf_tables_self(tables) : v->node, 0, v->told_as};
  return a;
}

/* The node that assigns it. */
RF_INLINE uint16_t rf_authority_of(const struct rf_flow_look *look, const struct rf_tables *tables) {
  return look->owner != 0 ? look->owner : rf_tables_authority_of(tables, look->hash);
}

/* This node handles it, as it knows, and its authority, which sees few of its packets, or none, is told so as long as there are any. */
RF_INLINE struct rf_verdict rf_handle(struct rf_flow_look *look, int is_first_in_period, const struct rf_tables *tables) {
  struct rf_verdict v = rf_pass(look->asker != 0);
  const uint16_t authority = is_first_in_period ? rf_authority_of(look, tables) : 0;
  const int is_counted = authority != 0 && authority != rf_tables_self(tables);
  const uint8_t count = is_counted ? rf_counted_on(look->known.count) : look->known.count;
  rf_advance(look, count, tables);
  if (is_counted && rf_is_told_at(count) && rf_is_worth_telling(&look->known)) rf_tell(&v, authority, &look->known);
  return v;
}

/* This node handles it, for a relay says so. */
RF_INLINE struct rf_verdict rf_handle_as_told(const struct rf_flow_look *look, const struct rf_tables *tables) {
  if (look->flow->is_error) return rf_pass(1);
  struct rf_assignment mine = rf_assignment_to(rf_tables_self(tables), look->flow, tables);
  const int is_over = look->is_doubted && rf_assignment_life(&look->known) == RF_LIFE_CLOSING;
  if (look->place != RF_FLOW_UNKNOWN && look->known.node != 0 && !is_over) {
    const unsigned life = look->flow->phase == RF_PHASE_CLOSING ? (unsigned)RF_LIFE_CLOSING : rf_assignment_life(&look->known);
    mine.flags_and_life = rf_flags_and_life(look->known.flags_and_life & RF_ASSIGNMENT_FLAGS & ~(unsigned)RF_ASSIGNED_GUESSED, life);
  }
  rf_tables_put_flow(tables, &look->flow->key, look->hash, &mine, look->place != RF_FLOW_UNKNOWN ? look->place : RF_FLOW_OPENING, look->now_ns);
  return rf_pass(1);
}

/* Another node handles it. */
RF_INLINE struct rf_verdict rf_pass_on(struct rf_flow_look *look, const struct rf_tables *tables) {
  const uint16_t node = look->known.node;
  const int is_asked = look->asker != 0;
  const uint8_t count = is_asked ? rf_counted_on(look->known.count) : look->known.count;
  rf_advance(look, count, tables);
  struct rf_verdict v = rf_relay(node, is_asked ? RF_RELAY_FINAL : RF_RELAY_DIRECT, is_asked, 0);
  if (is_asked && node != look->asker && count >= RF_ASKS_BEFORE_TOLD && rf_is_told_at(count)) rf_tell(&v, look->asker, &look->known);
  return v;
}

/* By weights, and for all flows of one host beyond the layer alike. */
RF_INLINE uint16_t rf_chosen_by_host(const struct rf_flow_look *look, enum rf_stickiness sticks, const struct rf_tables *tables) {
  const struct rf_flow *flow = look->flow;
  const int is_low = (sticks == RF_STICKS_TO_SOURCE) == (flow->is_from_low != 0);
  return rf_tables_choice(tables, rf_tables_host_hash(tables, is_low ? flow->key.addr_low : flow->key.addr_high));
}

/* What is said of one end of a flow: of its port, else of its address. */
RF_INLINE int rf_service_of_end(const struct rf_flow_key *flow, int is_low, const struct rf_tables *tables, struct rf_service *service) {
  const uint64_t *address = is_low ? flow->addr_low : flow->addr_high;
  struct rf_service_key key = {{address[0], address[1]}, flow->family, (uint16_t)(is_low ? flow->ports >> 16 : flow->ports), (uint8_t)flow->protocol, 0, {0, 0}};
  if (rf_tables_service(tables, &key, service)) return 1;
  key.port = 0;
  key.protocol = 0;
  return rf_tables_service(tables, &key, service);
}

/* How a new flow gets its node: as is said of where its packet goes to, or comes from, or of all. */
RF_INLINE struct rf_service rf_service_of(const struct rf_flow *flow, const struct rf_tables *tables) {
  struct rf_service service = {(uint8_t)rf_tables_policy(tables), (uint8_t)rf_tables_stickiness(tables)};
  if (!rf_tables_has_services(tables) || rf_service_of_end(&flow->key, !flow->is_from_low, tables, &service)) return service;
  (void)rf_service_of_end(&flow->key, flow->is_from_low, tables, &service);
  return service;
}

/* Whom the authority gives a flow that nobody handles. In the middle of a connection: itself, for what others could know of it they told its authority. */
RF_INLINE uint16_t rf_chosen(const struct rf_flow_look *look, const struct rf_tables *tables) {
  const uint16_t self = rf_tables_self(tables);
  uint16_t chosen = look->asker == 0 ? self : look->asker;
  if (look->flow->key.protocol == RF_PROTO_TCP && look->flow->phase != RF_PHASE_OPENING) return self;
  /* Under a port of this node's, so it is an answer: nobody else translates to that. TCP's connections to such a port show as such. */
  if (look->flow->key.protocol == RF_PROTO_UDP && look->owner == self) return self;
  const struct rf_service service = rf_service_of(look->flow, tables);
  if (service.stickiness != RF_STICKS_TO_NOTHING) chosen = rf_chosen_by_host(look, (enum rf_stickiness)service.stickiness, tables);
  else if (service.policy == RF_POLICY_BALANCED) chosen = rf_tables_choice(tables, look->hash);
  else if (service.policy == RF_POLICY_HASH) return self;
  return rf_tables_is_ready(tables, chosen) ? chosen : self;
}

/* Whether another node may handle a flow that its authority does not know. `is_outdated`: it knows it of a node that has been away since. */
RF_INLINE int rf_may_be_elsewhere(const struct rf_flow_look *look, int is_outdated, const struct rf_tables *tables) {
  if (look->flow->phase == RF_PHASE_OPENING) return 0;
  return is_outdated || look->flow->key.protocol == RF_PROTO_TCP || look->now_ns < rf_tables_settled_ns(tables);
}

/* At the authority, of a flow that no member is known to handle. */
RF_INLINE struct rf_verdict rf_decide(const struct rf_flow_look *look, const struct rf_tables *tables) {
  const uint16_t self = rf_tables_self(tables);
  const int from_peer = look->asker != 0;
  const int was_known = look->place != RF_FLOW_UNKNOWN && !look->is_doubted;
  /* This node's kernel knows best what to do with an error about a flow that nobody knows. */
  if (look->flow->is_error) return rf_pass(from_peer);
  /* In an earlier view somebody else may have given it away since. */
  const int was_asked = was_known && look->known.node == 0 && look->known.epoch == rf_tables_epoch(tables);
  /* Who handled it is gone: what that one told of its connections it told their authorities, by the keys of their first packets. But what was said before this node was away says nothing of
     who has it since. */
  const int is_gone = was_known && look->known.node != 0 && rf_tables_member_since(tables, look->known.node) == 0;
  const int is_orphan = is_gone && look->known.epoch >= rf_tables_member_since(tables, self) && !rf_assignment_has(&look->known, RF_ASSIGNED_ALIAS);
  if (!was_asked && !is_orphan && rf_may_be_elsewhere(look, was_known, tables)) return rf_verdict_of(RF_VERDICT_PUNT, RF_COUNT_punt_flow, from_peer);
  const struct rf_assignment wished = rf_assignment_to(is_orphan ? self : rf_chosen(look, tables), look->flow, tables);
  struct rf_assignment made = wished;
  if (look->place != RF_FLOW_UNKNOWN) rf_tables_put_flow(tables, &look->flow->key, look->hash, &made, look->place, look->now_ns);
  else rf_tables_admit_flow(tables, &look->flow->key, look->hash, &made, look->now_ns);
  /* Nobody's: the others have been asked just now. */
  if (made.node == 0) made = wished;
  /* Final, whatever that node remembers of an earlier connection. */
  struct rf_verdict v = made.node == self ? rf_pass(from_peer) : rf_relay(made.node, RF_RELAY_FINAL, from_peer, 0);
  v.cause = RF_COUNT_flows_assigned;
  /* Who handled the connection between the same ends that is over would take the answers for its own. */
  const uint16_t former = look->is_doubted ? look->known.node : 0;
  if (former != 0 && former != self && former != made.node && rf_tables_is_member(tables, former)) rf_tell(&v, former, &made);
  return v;
}

/* Whether a packet may be of another connection than what is known. Clients use their ports again, and who has seen nothing of a connection's end knows it still. So who opens one, and who
   answers him, goes by no more than what can be of these two packets, and else by the authority. */
RF_INLINE int rf_is_doubted(const struct rf_flow_look *look, uint32_t periods, int is_direct, const struct rf_tables *tables) {
  const struct rf_assignment *a = &look->known;
  const struct rf_flow *flow = look->flow;
  const unsigned life = rf_assignment_life(a);
  const int is_answering = flow->phase == RF_PHASE_ANSWERING;
  if (flow->key.protocol != RF_PROTO_TCP || flow->is_error) return 0;
  if (life == RF_LIFE_CLOSING && (is_answering || flow->phase == RF_PHASE_OPENING || periods > RF_CLOSING_PERIODS)) return 1;
  if (!is_answering && periods <= RF_QUIET_PERIODS) return 0;
  const uint16_t self = rf_tables_self(tables);
  const int is_of_view = a->epoch == rf_tables_epoch(tables);
  const int is_hearsay = a->node != self && !(is_of_view && rf_authority_of(look, tables) == self);
  /* Who sent it on as a direct relay has heard of it lately. */
  if (periods > RF_QUIET_PERIODS && !is_direct && (is_hearsay || life == RF_LIFE_OPENING)) return 1;
  if (!is_answering) return 0;
  if (life == RF_LIFE_OPENING) return !is_of_view || (is_hearsay && periods >= RF_ANSWERED_PERIODS);
  if (a->node == self) return periods >= RF_ANSWERED_PERIODS;
  return is_hearsay || rf_assignment_has(a, RF_ASSIGNED_ALIAS);
}

/* Whether a direct relay may be of another connection than the one that this node handled, of which its sender has seen no end. What the authority says is no hearsay; and where all others
   were asked, there is nobody else. */
RF_INLINE int rf_is_by_hearsay(const struct rf_flow_look *look, uint16_t authority, const struct rf_tables *tables) {
  const int was_asked = look->place != RF_FLOW_UNKNOWN && !look->is_doubted && look->known.node == 0 && look->known.epoch == rf_tables_epoch(tables);
  const int is_amidst = look->flow->phase == RF_PHASE_AMIDST || look->flow->phase == RF_PHASE_CLOSING;
  return is_amidst && look->asker != authority && !was_asked;
}

/* A packet with its flow's key; `asker`: 0, or the node of the layer that relayed it, as a relay of `kind`. */
RF_INLINE struct rf_verdict rf_assign(const struct rf_flow *flow, uint16_t asker, enum rf_relay_kind kind, const struct rf_tables *tables, uint64_t now_ns) {
  const uint16_t self = rf_tables_self(tables);
  struct rf_found_flow found = {{0, 0, 0, 0}, 0};
  struct rf_flow_look look = {flow, rf_tables_flow_hash(tables, &flow->key), now_ns, rf_tables_port_owner(tables, &flow->key), asker, RF_FLOW_UNKNOWN, {0, 0, 0, 0}, 0, 0};
  look.place = rf_tables_find_flow(tables, &flow->key, look.hash, now_ns, &found);
  look.known = found.assignment;
  const int is_direct = asker != 0 && kind == RF_RELAY_DIRECT;
  look.is_doubted = look.place != RF_FLOW_UNKNOWN && rf_is_doubted(&look, found.periods, is_direct, tables);
  look.is_held = look.place != RF_FLOW_UNKNOWN && !look.is_doubted && rf_assignment_holds(&look.known, tables);
  if (look.is_held && look.known.node == self) return rf_handle(&look, found.periods != 0, tables);
  if (asker != 0 && kind == RF_RELAY_FINAL) return rf_handle_as_told(&look, tables);
  if (look.is_held) return rf_pass_on(&look, tables);
  const uint16_t authority = rf_authority_of(&look, tables);
  if (is_direct && !rf_is_by_hearsay(&look, authority, tables)) return rf_handle_as_told(&look, tables);
  /* An authority that assigns it anew puts that in the place of what was known. */
  if (look.is_doubted && (authority != self || flow->phase != RF_PHASE_OPENING)) rf_tables_forget_flow(tables, &flow->key, look.hash, look.place);
  if (authority == self) return rf_decide(&look, tables);
  if (is_direct) {
    /* What holds no more is not what was asked for. */
    if (look.place != RF_FLOW_UNKNOWN && !look.is_doubted) rf_tables_forget_flow(tables, &flow->key, look.hash, look.place);
    return rf_verdict_of(RF_VERDICT_PUNT, RF_COUNT_punt_flow, 1);
  }
  if (asker != 0) return rf_drop(RF_COUNT_drop_relay_bound, 1);
  return rf_relay(authority, RF_RELAY_ASK, 0, 0);
}

#endif
