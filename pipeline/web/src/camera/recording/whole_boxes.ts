/** Where a fragmented MP4 that was broken off still is whole. */

/**
 * The bytes up to the end of the last fragment that is whole: 0 where there is none.
 *
 * A fragment is a `moof` box and its `mdat` (ISO/IEC 14496-12, 8.8.4); a file that ends well has others after them.
 */
export async function wholeBytes(file: Blob): Promise<number> {
  let [at, whole] = [0, 0];
  while (at + 8 <= file.size) {
    const head = new DataView(await file.slice(at, at + 16).arrayBuffer());
    const kind = String.fromCharCode(...[4, 5, 6, 7].map((index) => head.getUint8(index)));
    const short = head.getUint32(0);
    // 1: the length is in the next eight bytes. 0: to the end of the file.
    const length = short === 1 && head.byteLength === 16 ? Number(head.getBigUint64(8)) : short || file.size - at;
    if (length < 8 || at + length > file.size) {
      break;
    }
    at += length;
    if (kind !== "moof") {
      whole = kind === "mdat" || whole > 0 ? at : 0;
    }
  }
  return whole;
}
