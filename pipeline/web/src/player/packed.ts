/** Reads the binary answers of the API: four letters, the length of the header, the header as JSON, columns. */
export class Columns<Header> {
  readonly header: Header;
  private readonly bytes: Uint8Array;
  private at: number;

  constructor(magic: string, data: ArrayBuffer) {
    const view = new DataView(data);
    const found = String.fromCharCode(...new Uint8Array(data, 0, 4));
    if (found !== magic) {
      throw new Error(`the server sent ${found} where ${magic} was expected; reload the page`);
    }
    const length = view.getUint32(4, true);
    this.header = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 8, length)));
    this.bytes = new Uint8Array(data);
    this.at = 8 + length;
  }

  take(count: number): Uint8Array {
    const end = this.at + count;
    if (end > this.bytes.length) {
      throw new Error("the server's answer is cut off; reload the page");
    }
    const taken = this.bytes.subarray(this.at, end);
    this.at = end;
    return taken;
  }

  uint16(count: number): Uint16Array {
    const bytes = this.take(2 * count);
    return Uint16Array.from({ length: count }, (_, i) => at(bytes, 2 * i) | (at(bytes, 2 * i + 1) << 8));
  }

  uint32(count: number): Uint32Array {
    const bytes = this.take(4 * count);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    return Uint32Array.from({ length: count }, (_, i) => view.getUint32(4 * i, true));
  }

  /** Columns of zigzag differences, all low bytes before all high ones; each column in whole units. */
  coordinates(columns: number, count: number): Int16Array {
    const low = this.take(columns * count);
    const high = this.take(columns * count);
    const values = new Int16Array(columns * count);
    let sum = 0;
    for (let i = 0; i < values.length; i++) {
      sum = i % count === 0 ? 0 : sum;
      const zigzag = at(low, i) | (at(high, i) << 8);
      sum += (zigzag >> 1) ^ -(zigzag & 1);
      values[i] = sum; // wraps at 16 bits, as the differences do
    }
    return values;
  }

  /** Columns of differences modulo 256. */
  bytesOfDifferences(columns: number, count: number): Uint8Array {
    const differences = this.take(columns * count);
    const values = new Uint8Array(columns * count);
    for (let i = 0; i < values.length; i++) {
      values[i] = at(differences, i) + (i % count === 0 ? 0 : at(values, i - 1));
    }
    return values;
  }

  get left(): number {
    return this.bytes.length - this.at;
  }
}

/** An element that is there. */
export function at(values: ArrayLike<number>, index: number): number {
  return values[index] as number;
}
