// Counts what a decoder asks for: every buffer, typed array, array and string whose size somebody names. The count is
// made before the memory is taken, so a claimed length is caught whatever the machine would have given. Used by oracle.ts.

/** Thrown in the decoder's face: so much in one piece is never right, and may end the process. */
export class AllocationRefused extends Error {
  constructor(bytes: number) {
    super(`asked for ${bytes} bytes in one piece`);
    this.name = "AllocationRefused";
  }
}

const PIECE_BYTES_MAX = 64 * 1024 * 1024;
const SLOT_BYTES = 8;

let installed = false;
let counting = false;
let counted_bytes = 0;

/** Bytes that `work` asked for by size. Its result or exception passes through `work`'s own hands. */
export function countAllocations(work: () => void): number {
  install();
  counted_bytes = 0;
  counting = true;
  try {
    work();
  } finally {
    counting = false;
  }
  return counted_bytes;
}

function note(bytes: number): void {
  if (!counting || !(bytes > 0)) return;
  counted_bytes += bytes;
  if (bytes > PIECE_BYTES_MAX) throw new AllocationRefused(bytes);
}

/** Replaces the global constructors for good; outside of `countAllocations` they only pass on. */
function install(): void {
  if (installed) return;
  installed = true;
  for (const name of TYPED_ARRAYS) watchConstructor(name, globalThis[name].BYTES_PER_ELEMENT);
  watchConstructor("ArrayBuffer", 1);
  watchConstructor("SharedArrayBuffer", 1);
  watchConstructor("Array", SLOT_BYTES);
  watchArrayFrom();
  for (const name of ["alloc", "allocUnsafe", "allocUnsafeSlow"] as const)
    watchMethod(Buffer, name, (_, size) => numeric(size));
  watchMethod(Buffer, "from", (_, source) => lengthOf(source));
  watchMethod(Buffer, "concat", (_, list, total) => (total === undefined ? sumOfLengths(list) : numeric(total)));
  watchMethod(String.prototype, "repeat", (self, times) => lengthOf(self) * numeric(times));
  watchMethod(String.prototype, "padStart", (_, length) => numeric(length));
  watchMethod(String.prototype, "padEnd", (_, length) => numeric(length));
}

const TYPED_ARRAYS = [
  "Uint8Array",
  "Uint8ClampedArray",
  "Uint16Array",
  "Uint32Array",
  "BigUint64Array",
  "Int8Array",
  "Int16Array",
  "Int32Array",
  "BigInt64Array",
  "Float32Array",
  "Float64Array",
] as const;

type Constructor = new (...args: unknown[]) => object;

function watchConstructor(
  name: (typeof TYPED_ARRAYS)[number] | "ArrayBuffer" | "SharedArrayBuffer" | "Array",
  unit: number,
) {
  const original = globalThis[name] as unknown as Constructor;
  const watched: Constructor = new Proxy(original, {
    construct(target, args, newTarget) {
      note(unit * requested(args));
      return Reflect.construct(target, args, newTarget === watched ? target : newTarget);
    },
    apply(target, self, args) {
      note(unit * requested(args));
      return Reflect.apply(target as unknown as (...args: unknown[]) => unknown, self, args);
    },
  });
  Object.defineProperty(globalThis, name, { value: watched, writable: true, configurable: true });
}

/** How many elements a constructor's arguments ask for; a view of a buffer that is there already asks for none. */
function requested(args: readonly unknown[]): number {
  const [first] = args;
  if (typeof first === "number") return args.length === 1 ? first : args.length;
  if (first instanceof ArrayBuffer || first instanceof SharedArrayBuffer) return 0;
  return lengthOf(first);
}

/** Array.from({ length }) makes its array by the length it is told. */
function watchArrayFrom(): void {
  const original = Array.from as (...args: unknown[]) => unknown[];
  Array.from = function from(this: unknown, ...args: unknown[]) {
    const [source] = args;
    const isIterable = typeof source === "object" && source !== null && Symbol.iterator in source;
    if (!isIterable) note(SLOT_BYTES * lengthOf(source));
    return original.apply(Array, args);
  } as typeof Array.from;
}

function watchMethod<T extends object>(
  owner: T,
  name: keyof T & string,
  size: (self: unknown, ...args: unknown[]) => number,
): void {
  const original = owner[name] as (...args: unknown[]) => unknown;
  const watched = function (this: unknown, ...args: unknown[]): unknown {
    note(size(String.prototype === owner ? String(this) : this, ...args));
    return original.apply(this, args);
  };
  Object.defineProperty(owner, name, { value: watched, writable: true, configurable: true });
}

function numeric(value: unknown): number {
  return typeof value === "number" ? value : 0;
}

function lengthOf(value: unknown): number {
  if (typeof value === "string") return value.length;
  return typeof value === "object" && value !== null && "length" in value ? numeric(value.length) : 0;
}

function sumOfLengths(list: unknown): number {
  return Array.isArray(list) ? list.reduce<number>((sum, one) => sum + lengthOf(one), 0) : 0;
}
