/**
 * Ranges of bytes of tensors that a GGUF file has otherwise than transformers: in another order, or in two tensors.
 *
 * @module
 */

/** Reads some bytes of a tensor. */
export type ReadRange = (byteOffset: number, byteLength: number) => Promise<Uint8Array<ArrayBuffer>>;

/** A part of a tensor as one by itself. @param from its first byte */
export function partOf(read: ReadRange, from: number): ReadRange {
  return (byteOffset, byteLength) => read(from + byteOffset, byteLength);
}

/**
 * Rows of heads in the order of transformers; a file has both halves of a head interleaved.
 * @param width bytes of a row
 * @param head rows of a head
 */
export function headsInOrder(read: ReadRange, width: number, head: number): ReadRange {
  return async (byteOffset, byteLength) => {
    const firstHead = Math.floor(byteOffset / (width * head));
    const endHead = Math.ceil((byteOffset + byteLength) / (width * head));
    const heads = await read(firstHead * head * width, (endHead - firstHead) * head * width);
    const ordered = new Uint8Array(heads.byteLength);
    for (let row = 0; row * width < heads.byteLength; row++) {
      const place = row % head;
      const half = head / 2;
      // Row i of the first half lies at 2i, of the second at 2i + 1.
      const from = row - place + (place < half ? 2 * place : 2 * (place - half) + 1);
      ordered.set(heads.subarray(from * width, (from + 1) * width), row * width);
    }
    const start = byteOffset - firstHead * head * width;
    return ordered.slice(start, start + byteLength);
  };
}

/** f32 values that become others. */
export function mapped(read: ReadRange, map: (value: number) => number): ReadRange {
  return async (byteOffset, byteLength) => {
    const first = Math.floor(byteOffset / 4) * 4;
    const last = Math.ceil((byteOffset + byteLength) / 4) * 4;
    const values = new Float32Array((await read(first, last - first)).buffer);
    const bytes = new Uint8Array(values.map(map).buffer);
    return bytes.slice(byteOffset - first, byteOffset - first + byteLength);
  };
}

/**
 * Rows of two tensors in turns: `run` rows of the first, then `run` rows of the second.
 * @param width bytes of a row
 * @param run rows of a turn
 */
export function inTurns(reads: readonly [ReadRange, ReadRange], width: number, run: number): ReadRange {
  /** How many rows of one of them lie before a row. */
  const before = (row: number, which: number): number => {
    const place = row % (2 * run);
    return ((row - place) / (2 * run)) * run + Math.max(0, Math.min(run, place - which * run));
  };
  return async (byteOffset, byteLength) => {
    const first = Math.floor(byteOffset / width);
    const end = Math.ceil((byteOffset + byteLength) / width);
    const starts = [before(first, 0), before(first, 1)] as const;
    const parts = [];
    for (const [which, read] of reads.entries()) {
      parts.push(await read(starts[which]! * width, (before(end, which) - starts[which]!) * width));
    }
    const rows = new Uint8Array((end - first) * width);
    for (let row = first; row < end; row++) {
      const which = row % (2 * run) < run ? 0 : 1;
      const from = (before(row, which) - starts[which]) * width;
      rows.set(parts[which]!.subarray(from, from + width), (row - first) * width);
    }
    const start = byteOffset - first * width;
    return rows.slice(start, start + byteLength);
  };
}
