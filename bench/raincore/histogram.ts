// Latencies in buckets: 32 for each power of two, so that a value is known to within 1.6 % and a million of them fit on one
// line. The same arithmetic is in corosync/cpg_client.c.

const LINEAR = 64;
const PER_POWER = 32;
const VALUE_MAX = 2 ** 32 - 1;
export const BUCKETS = 960;

export function bucketOf(value_us: number): number {
  const value = Math.min(VALUE_MAX, Math.max(0, Math.floor(value_us)));
  if (value < LINEAR) return value;
  const exponent = 31 - Math.clz32(value);
  return Math.min(BUCKETS - 1, (exponent - 5) * PER_POWER + (value >>> (exponent - 5)));
}

/** The middle of a bucket. */
function valueOf_us(bucket: number): number {
  if (bucket < LINEAR) return bucket;
  const exponent = Math.floor(bucket / PER_POWER) + 4;
  const width = 2 ** (exponent - 5);
  return (bucket - (exponent - 5) * PER_POWER + 0.5) * width;
}

export class Histogram {
  private readonly counts = new Uint32Array(BUCKETS);
  private total = 0;

  add(value_us: number, count = 1): void {
    this.addToBucket(bucketOf(value_us), count);
  }

  addToBucket(bucket: number, count: number): void {
    this.counts[bucket] = (this.counts[bucket] ?? 0) + count;
    this.total += count;
  }

  /** The value that the given share of all values does not exceed; NaN when there are none. */
  percentile_us(share: number): number {
    let rank = Math.max(1, Math.ceil(this.total * share));
    for (const [bucket, count] of this.counts.entries()) {
      rank -= count;
      if (rank <= 0 && count > 0) return valueOf_us(bucket);
    }
    return Number.NaN;
  }

  pairs(): [bucket: number, count: number][] {
    return [...this.counts.entries()].filter(([, count]) => count > 0);
  }
}
