/**
 * ONNX models by hand: the few protobuf messages (onnx.proto3) that a graph of f32 tensors needs.
 *
 * @module
 */

/** A field of a protobuf message: a number is a varint, anything else is length-delimited. */
type Field = readonly [number: number, value: number | string | Uint8Array];

/** An attribute of an operator. */
export type Attribute = number | readonly number[];

export interface OnnxNode {
  operator: string;
  /** `com.microsoft` for ONNX Runtime's own operators. */
  domain?: string;
  inputs: readonly string[];
  outputs: readonly string[];
  attributes?: Readonly<Record<string, Attribute>>;
}

export interface OnnxGraph {
  nodes: readonly OnnxNode[];
  input: { name: string; shape: readonly number[] };
  output: { name: string; shape: readonly number[] };
  constants: Readonly<Record<string, { shape: readonly number[]; data: Float32Array | BigInt64Array }>>;
}

const elementType = { float: 1, int64: 7 };
const attributeType = { integer: 2, integers: 7 };

/** Serialises a graph as an ONNX model (IR version 8, opset 17). */
export function onnxModel({ nodes, input, output, constants }: OnnxGraph): Uint8Array {
  const graph = message([
    ...nodes.map(({ operator, domain = '', inputs, outputs, attributes = {} }): Field => {
      return [
        1,
        message([
          ...inputs.map((name): Field => [1, name]),
          ...outputs.map((name): Field => [2, name]),
          [4, operator],
          ...Object.entries(attributes).map(([name, value]): Field => [5, attribute(name, value)]),
          [7, domain],
        ]),
      ];
    }),
    [2, 'graph'],
    ...Object.entries(constants).map(([name, { shape, data }]): Field => {
      const type = data instanceof Float32Array ? elementType.float : elementType.int64;
      const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
      return [5, message([...shape.map((size): Field => [1, size]), [2, type], [8, name], [9, bytes]])];
    }),
    [11, valueInformation(input)],
    [12, valueInformation(output)],
  ]);
  const opset = message([
    [1, ''],
    [2, 17],
  ]);
  const contributed = message([
    [1, 'com.microsoft'],
    [2, 1],
  ]);
  return message([
    [1, 8],
    [7, graph],
    [8, opset],
    [8, contributed],
  ]);
}

function attribute(name: string, value: Attribute): Uint8Array {
  return typeof value === 'number'
    ? message([
        [1, name],
        [3, value],
        [20, attributeType.integer],
      ])
    : message([[1, name], ...value.map((item): Field => [8, item]), [20, attributeType.integers]]);
}

function valueInformation({ name, shape }: { name: string; shape: readonly number[] }): Uint8Array {
  const dimensions = message(shape.map((size): Field => [1, message([[1, size]])]));
  const tensor = message([
    [1, elementType.float],
    [2, dimensions],
  ]);
  return message([
    [1, name],
    [2, message([[1, tensor]])],
  ]);
}

function message(fields: readonly Field[]): Uint8Array {
  const pieces = fields.flatMap(([number, value]) => {
    if (typeof value === 'number') return [varint(number * 8), varint(value)];
    const bytes = typeof value === 'string' ? new TextEncoder().encode(value) : value;
    return [varint(number * 8 + 2), varint(bytes.length), bytes];
  });
  const result = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const piece of pieces) {
    result.set(piece, offset);
    offset += piece.length;
  }
  return result;
}

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  for (; value >= 128; value = Math.floor(value / 128)) bytes.push((value % 128) + 128);
  bytes.push(value);
  return new Uint8Array(bytes);
}
