// The host's end of the way to the ring: requests of one turn of the loop go in one message, and multicasts that follow each other as one
// request. Used by ringThread.ts; worker.ts takes them apart again.
import { ByteBatch, packOne } from "./byteBatch.js";
import type { PostedRequest, SessionRequest } from "./protocol.js";

/** Words of one multicast in `heads`: id, length, 1 for safe. */
const MULTICAST_WORDS = 3;

export type Post = (requests: readonly PostedRequest[], transfer: readonly ArrayBuffer[]) => void;

export class RequestQueue {
  readonly #post: Post;
  readonly #batch = new ByteBatch();
  #heads: number[] = [];
  #requests: PostedRequest[] = [];
  #transfer: ArrayBuffer[] = [];

  constructor(post: Post) {
    this.#post = post;
  }

  /** Nothing waits to be posted. */
  get isEmpty(): boolean {
    return this.#requests.length === 0 && this.#heads.length === 0;
  }

  /** Bytes are copied now: their owner may change them afterwards. */
  add(request: SessionRequest): void {
    if (request.type === "multicast") {
      const { id, bytes, guarantee } = request;
      if (!this.#batch.hasRoom(bytes.length)) this.#endRun();
      this.#heads.push(id, bytes.length, guarantee === "safe" ? 1 : 0);
      this.#batch.add(bytes);
      return;
    }
    this.#endRun();
    if ((request.type === "send" || request.type === "update") && request.bytes !== undefined) {
      const { bytes, transfer } = packOne(request.bytes);
      this.#requests.push({ ...request, bytes });
      this.#transfer.push(...transfer);
    } else {
      this.#requests.push(request);
    }
  }

  flush(): void {
    this.#endRun();
    if (this.#requests.length === 0) return;
    const [requests, transfer] = [this.#requests, this.#transfer];
    this.#requests = [];
    this.#transfer = [];
    this.#post(requests, transfer);
  }

  #endRun(): void {
    if (this.#heads.length === 0) return;
    const { bytes, transfer } = this.#batch.take();
    this.#requests.push({ type: "multicasts", heads: Float64Array.from(this.#heads), bytes });
    this.#transfer.push(...transfer);
    this.#heads = [];
  }
}

/** Calls with every request, in the order in which they were added. */
export function unpackRequest(posted: PostedRequest, onRequest: (request: SessionRequest) => void): void {
  if (posted.type !== "multicasts") {
    onRequest(posted);
    return;
  }
  const { heads, bytes } = posted;
  let offset = 0;
  for (let at = 0; at < heads.length; at += MULTICAST_WORDS) {
    const end = offset + (heads[at + 1] ?? 0);
    const guarantee = heads[at + 2] === 1 ? "safe" : "agreed";
    onRequest({ type: "multicast", id: heads[at] ?? 0, bytes: bytes.subarray(offset, end), guarantee });
    offset = end;
  }
}
