/**
 * GGUF files laid out by hand, so that the tests do not lean on the reader.
 *
 * @module
 */

/** Numbers of the kinds of values. */
export const kind = {
  ...{ u8: 0, i8: 1, u16: 2, i16: 3, u32: 4, i32: 5, f32: 6, flag: 7, text: 8, list: 9, u64: 10, i64: 11, f64: 12 },
} as const;

export type Kind = keyof typeof kind;

/** A value with its kind; a list holds values of one kind. */
export type Value =
  | { kind: Exclude<Kind, 'list'>; value: number | bigint | boolean | string }
  | { kind: 'list'; of: Kind; values: readonly Value[] };

export interface TensorToLayOut {
  name: string;
  /** As the file has them: innermost first. */
  dimensions: readonly (number | bigint)[];
  type: number;
  data?: Uint8Array;
  /** From the start of the data; behind the tensor before by default. */
  offset?: number;
}

export interface FileToLayOut {
  version?: number;
  keys?: readonly (readonly [string, Value])[];
  tensors?: readonly TensorToLayOut[];
  alignment?: number;
  /** Counts in the beginning; those of the lists by default. */
  keyCount?: bigint;
  tensorCount?: bigint;
}

export const u32 = (value: number): Value => ({ kind: 'u32', value });
export const f32 = (value: number): Value => ({ kind: 'f32', value });
export const text = (value: string): Value => ({ kind: 'text', value });
export const flag = (value: boolean): Value => ({ kind: 'flag', value });
export const list = (of: Exclude<Kind, 'list'>, values: readonly (number | bigint | boolean | string)[]): Value => ({
  kind: 'list',
  of,
  values: values.map((value) => ({ kind: of, value })),
});

/** Bytes that grow. */
class Bytes {
  readonly parts: Uint8Array[] = [];
  length = 0;

  add(bytes: Uint8Array): void {
    this.parts.push(bytes);
    this.length += bytes.length;
  }

  number(bytes: number, write: (view: DataView) => void): void {
    const part = new Uint8Array(bytes);
    write(new DataView(part.buffer));
    this.add(part);
  }

  u32(value: number): void {
    this.number(4, (view) => view.setUint32(0, value, true));
  }

  u64(value: bigint | number): void {
    this.number(8, (view) => view.setBigUint64(0, BigInt(value), true));
  }

  text(value: string): void {
    const bytes = new TextEncoder().encode(value);
    this.u64(bytes.length);
    this.add(bytes);
  }

  value(value: Value): void {
    if (value.kind === 'list') {
      this.u32(kind[value.of]);
      this.u64(value.values.length);
      for (const entry of value.values) this.value(entry);
      return;
    }
    const { kind: of, value: content } = value;
    const [whole, big] = [Number(content), () => BigInt(content as number | bigint)];
    if (of === 'text') this.text(String(content));
    else if (of === 'u8') this.number(1, (view) => view.setUint8(0, whole));
    else if (of === 'i8') this.number(1, (view) => view.setInt8(0, whole));
    else if (of === 'flag') this.number(1, (view) => view.setUint8(0, whole));
    else if (of === 'u16') this.number(2, (view) => view.setUint16(0, whole, true));
    else if (of === 'i16') this.number(2, (view) => view.setInt16(0, whole, true));
    else if (of === 'u32') this.number(4, (view) => view.setUint32(0, whole, true));
    else if (of === 'i32') this.number(4, (view) => view.setInt32(0, whole, true));
    else if (of === 'f32') this.number(4, (view) => view.setFloat32(0, whole, true));
    else if (of === 'u64') this.number(8, (view) => view.setBigUint64(0, big(), true));
    else if (of === 'i64') this.number(8, (view) => view.setBigInt64(0, big(), true));
    else this.number(8, (view) => view.setFloat64(0, whole, true));
  }

  pad(alignment: number): void {
    this.add(new Uint8Array((alignment - (this.length % alignment)) % alignment));
  }

  joined(): Uint8Array<ArrayBuffer> {
    const result = new Uint8Array(this.length);
    let at = 0;
    for (const part of this.parts) {
      result.set(part, at);
      at += part.length;
    }
    return result;
  }
}

/** Lays out a file. */
export function layOutGguf({
  version = 3,
  keys = [],
  tensors = [],
  alignment = 32,
  keyCount = BigInt(keys.length),
  tensorCount = BigInt(tensors.length),
}: FileToLayOut): Uint8Array<ArrayBuffer> {
  const bytes = new Bytes();
  bytes.add(new TextEncoder().encode('GGUF'));
  bytes.u32(version);
  bytes.u64(tensorCount);
  bytes.u64(keyCount);
  for (const [key, value] of keys) {
    bytes.text(key);
    bytes.u32(kind[value.kind]);
    bytes.value(value);
  }
  const data = new Bytes();
  for (const tensor of tensors) {
    data.pad(alignment);
    bytes.text(tensor.name);
    bytes.u32(tensor.dimensions.length);
    for (const dimension of tensor.dimensions) bytes.u64(dimension);
    bytes.u32(tensor.type);
    bytes.u64(tensor.offset ?? data.length);
    if (tensor.data) data.add(tensor.data);
  }
  if (tensors.length > 0) bytes.pad(alignment);
  bytes.add(data.joined());
  return bytes.joined();
}
