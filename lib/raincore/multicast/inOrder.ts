// What has been received and may not be delivered yet, with the view reports between: keeps the order. Used by Multicast
// only. It never holds more than the records of one carriage complete: an order that has left the token is stable.
import type { ViewId } from "../token.js";
import type { View } from "../types.js";
import type { Guarantee, OwnMessage } from "./outbox.js";

/** One message, in its place in the order. */
export interface Delivery {
  /** Grows from delivery to delivery, with gaps; the same on every member. */
  readonly order: number;
  /** The sender's nodeId. */
  readonly from: number;
  /** The view in which it was put on the token. */
  readonly view: ViewId;
  readonly guarantee: Guarantee;
  /** The receiver's to keep. Deliveries of one visit share an ArrayBuffer, so copy what is transferred or kept for long. */
  readonly bytes: Uint8Array;
}

export interface InOrderHooks {
  readonly deliver: (delivery: Delivery) => void;
  /** All messages of older views have been delivered. */
  readonly report: (view: View) => void;
  /** An own message was delivered. */
  readonly delivered: (message: OwnMessage) => void;
}

type Item =
  | { readonly type: "message"; readonly delivery: Delivery; readonly own: OwnMessage | undefined }
  | { readonly type: "view"; readonly view: View };

export class InOrder {
  readonly #hooks: InOrderHooks;
  #items: Item[] = [];
  /** Every member has everything up to here. */
  #stable = 0;

  constructor(hooks: InOrderHooks) {
    this.#hooks = hooks;
  }

  get isEmpty(): boolean {
    return this.#items.length === 0;
  }

  addView(view: View): void {
    // A view in which nothing was sent, and that is over before it could be reported, is not reported.
    if (this.#items.at(-1)?.type === "view") this.#items.pop();
    if (this.#items.length === 0) this.#hooks.report(view);
    else this.#items.push({ type: "view", view });
  }

  add(delivery: Delivery, own: OwnMessage | undefined): void {
    if (this.#items.length === 0 && this.#isRipe(delivery, own)) this.#deliver(delivery, own);
    else this.#items.push({ type: "message", delivery, own });
  }

  advance(stable: number): void {
    this.#stable = stable;
    let done = 0;
    for (const item of this.#items) {
      if (item.type === "view") this.#hooks.report(item.view);
      else if (this.#isRipe(item.delivery, item.own)) this.#deliver(item.delivery, item.own);
      else break;
      done += 1;
    }
    if (done > 0) this.#items.splice(0, done);
  }

  /** Forgets the messages from this order on: they are on no token. Returns the own ones among them. */
  dropFrom(order: number): OwnMessage[] {
    const own: OwnMessage[] = [];
    this.#items = this.#items.filter((item) => {
      if (item.type === "view" || item.delivery.order < order) return true;
      if (item.own !== undefined) own.push(item.own);
      return false;
    });
    return own;
  }

  clear(): OwnMessage[] {
    const own = this.dropFrom(0);
    this.#items = [];
    this.#stable = 0;
    return own;
  }

  #isRipe({ order, guarantee }: Delivery, own: OwnMessage | undefined): boolean {
    return order <= this.#stable || (own === undefined && guarantee === "agreed");
  }

  #deliver(delivery: Delivery, own: OwnMessage | undefined): void {
    this.#hooks.deliver(delivery);
    if (own !== undefined) this.#hooks.delivered(own);
  }
}
