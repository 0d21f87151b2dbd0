// The token (the patent's group membership word, figure 7) as a value: its order among tokens and the changes of
// membership. Used by every part of the ring; nothing here knows time or the network.
import type { Member } from "./types.js";

export const MEMBERS_MAX = 256;
export const CARRIAGES_MAX = 16;
/** Of a whole encoded token. */
export const TOKEN_BYTES_MAX = 192 * 1024;

export interface MemberRecord extends Member {
  /** How often this process has asked to come in; tells a member that lost its membership from one that did not. */
  readonly session: number;
  /**
   * The member's own clock when it last sent this token (or an ancestor of it) on; undefined until it has. A token that
   * comes back with it proves to the member that nobody had given up on it before that moment: lease = passed_ms + L.
   */
  readonly passed_ms: number | undefined;
}

export interface Carriage {
  /** 1 to 32 of `a-z 0-9 . -`. */
  readonly name: string;
  /** The layout of the bytes, of the module that wrote them last. */
  readonly format: number;
  /** Grows whenever the bytes change. */
  readonly version: number;
  readonly bytes: Uint8Array;
}

/** A view's identity. The number alone is not enough: two nodes may make the same number at the same time. */
export interface ViewId {
  readonly epoch: number;
  readonly origin: number;
}

/** Where a token is in its life. */
export interface TokenId extends ViewId {
  readonly seq: number;
}

export interface Token extends TokenId {
  readonly members: readonly MemberRecord[];
  readonly carriages: readonly Carriage[];
  /** So many members pass the token on at once, without holding it: there is news. */
  readonly hurry: number;
  /** How long the token rested at the first member before this round, by that member's clock. */
  readonly rested_ms: number;
}

export const NO_TOKEN: TokenId = { epoch: 0, origin: 0, seq: 0 };

export function compareViews(a: ViewId, b: ViewId): number {
  return a.epoch - b.epoch || a.origin - b.origin;
}

/** Newer is greater. Within a view by serial number arithmetic (RFC 1982), so that seq may wrap. */
export function compareTokens(a: TokenId, b: TokenId): number {
  return compareViews(a, b) || (a.seq - b.seq) | 0;
}

export function nextSeq(seq: number): number {
  return (seq + 1) >>> 0;
}

export function findMember(token: Token, nodeId: number): MemberRecord | undefined {
  return token.members.find((member) => member.nodeId === nodeId);
}

/** The member behind `nodeId` in ring order; undefined if there is no other. */
export function successorOf(token: Token, nodeId: number): MemberRecord | undefined {
  const at = token.members.findIndex((member) => member.nodeId === nodeId);
  const next = token.members[(at + 1) % token.members.length];
  return next === undefined || next.nodeId === nodeId ? undefined : next;
}

export function withMember(token: Token, nodeId: number, change: Partial<MemberRecord>): Token {
  const members = token.members.map((member) => (member.nodeId === nodeId ? { ...member, ...change } : member));
  return { ...token, members };
}

/** A new view without some members. */
export function withoutMembers(token: Token, nodeIds: ReadonlySet<number>, id: ViewId): Token {
  const members = token.members.filter((member) => !nodeIds.has(member.nodeId));
  return { ...token, ...id, members, hurry: members.length };
}

/** A new view with members put in right behind `behind` (or in front, where `behind` is not a member). */
export function withJoiners(token: Token, behind: number, joiners: readonly MemberRecord[], id: ViewId): Token {
  const ids = new Set(joiners.map((joiner) => joiner.nodeId));
  const others = token.members.filter((member) => !ids.has(member.nodeId));
  const at = others.findIndex((member) => member.nodeId === behind) + 1;
  const members = [...others.slice(0, at), ...joiners, ...others.slice(at)];
  return { ...token, ...id, members, hurry: members.length };
}

export const CARRIAGE_NAME_CHARS_MAX = 32;

export function isCarriageName(name: string): boolean {
  return name.length <= CARRIAGE_NAME_CHARS_MAX && /^[a-z0-9.-]+$/.test(name);
}

/** What a group says of itself when it meets another: its view's identity and its members. */
export interface Group extends ViewId {
  readonly nodeIds: readonly number[];
}

export const NO_GROUP: Group = { epoch: 0, origin: 0, nodeIds: [] };

export function groupOf(token: Token | undefined): Group {
  if (token === undefined) return NO_GROUP;
  return { epoch: token.epoch, origin: token.origin, nodeIds: token.members.map((member) => member.nodeId) };
}

/**
 * When a node hears of another group from one of that group's members: the smaller one gives way; of equal ones, the one whose lowest nodeId
 * is higher. Positive: `own` stays. A node that both lists have counts for the other group alone, for one that is there says so, and a member
 * that was removed, or that lives in isolation, must not outweigh the others with the list it remembers.
 */
export function compareGroups(own: Group, other: Group): number {
  const left = own.nodeIds.filter((nodeId) => !other.nodeIds.includes(nodeId)).length;
  return left - other.nodeIds.length || lowest(other) - lowest(own);
}

function lowest(group: Group): number {
  return Math.min(0xffff, ...group.nodeIds);
}
