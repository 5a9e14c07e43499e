// What the variants of attention share: their parameters and bindings.
//
// attention/direct.wgsl says what is computed. A variant declares Value, what it reads of v and writes of y at a time.

struct Parameters {
  rows: u32,
  heads: u32,
  key_heads: u32,
  rows_per_probe: u32,
  input_rows: u32,
  key_stride: u32,
  head_quads: u32, // HEAD_QUADS again, see attention/direct.wgsl
  slices: u32, // workgroups that share the keys of a row and head, see attention/workgroup.wgsl
  scale: f32,
  sink_offset: u32,
  sink_stride: u32,
  alibi_scale: f32,
}

@group(0) @binding(0) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> k: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> v: array<Value>;
@group(0) @binding(3) var<storage, read> ranges: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read_write> y: array<Value>;
@group(0) @binding(7) var<uniform> parameters: Parameters;
