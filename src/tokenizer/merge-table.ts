/**
 * The merges of a byte-pair encoding in one hash table of numbers: a large vocabulary has some 300 thousand, which as
 * objects would cost more to make and to collect than all else of a tokenizer.
 *
 * @module
 */

/** Numbers of a slot: left id, right id, rank, id. */
const stride = 4;

/** What two neighbouring tokens become, and how early: the smallest rank goes first. */
export class MergeTable {
  readonly #slots: Int32Array;
  readonly #mask: number;

  /** @param capacity the most pairs that are set */
  constructor(capacity: number) {
    // At most half of the slots are taken, so that a search ends soon.
    const count = 2 ** Math.ceil(Math.log2(2 * capacity + 2));
    this.#slots = new Int32Array(count * stride).fill(-1);
    this.#mask = count - 1;
  }

  /** Sets what a pair of ids becomes; a later one replaces an earlier one. */
  set(left: number, right: number, { rank, id }: { rank: number; id: number }): void {
    const slots = this.#slots;
    const at = this.#slotOf(left, right);
    slots[at] = left;
    slots[at + 1] = right;
    slots[at + 2] = rank;
    slots[at + 3] = id;
  }

  /** Where a pair stands, for {@link rankOf} and {@link idOf}; -1 if it has no merge. */
  find(left: number, right: number): number {
    const at = this.#slotOf(left, right);
    return this.#slots[at] === left ? at : -1;
  }

  rankOf(found: number): number {
    return this.#slots[found + 2]!;
  }

  idOf(found: number): number {
    return this.#slots[found + 3]!;
  }

  /** Where a pair stands, or the free slot for it. */
  #slotOf(left: number, right: number): number {
    const slots = this.#slots;
    let hash = Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b);
    hash ^= hash >>> 15;
    for (let slot = hash & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const at = slot * stride;
      if (slots[at] === -1 || (slots[at] === left && slots[at + 1] === right)) return at;
    }
  }
}
