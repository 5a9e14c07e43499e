// Queries, keys and values out of one packed projection: copies of its heads into three buffers.
//
// packed: [rows, (heads + 2 · key_heads) · 4·head_quads] f32; query: [rows, heads · 4·head_quads]; key, value: [rows,
// key_heads · 4·head_quads]. A packed row has all queries, then all keys, then all values; if GROUPED it has for each
// key head the heads / key_heads queries that see it, then the key, then the value. One invocation per quad.

struct Parameters {
  rows: u32,
  heads: u32,
  key_heads: u32,
  head_quads: u32,
}

@group(0) @binding(0) var<storage, read> packed: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> query: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> key: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> value: array<vec4<f32>>;
@group(0) @binding(4) var<uniform> parameters: Parameters;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let heads = parameters.heads;
  let key_heads = parameters.key_heads;
  let index = (group.y * groups.x + group.x) * 64u + lane;
  let quad = index % parameters.head_quads;
  let place = (index / parameters.head_quads) % (heads + 2u * key_heads);
  let row = index / (parameters.head_quads * (heads + 2u * key_heads));
  if (row >= parameters.rows) {
    return;
  }
  // Which of the heads of its kind it is; kind 0 are queries, 1 keys, 2 values.
  var head = place;
  var kind = 0u;
  if (GROUPED) {
    let queries = heads / key_heads;
    let key_head = place / (queries + 2u);
    let member = place % (queries + 2u);
    kind = max(member, queries - 1u) - (queries - 1u);
    head = select(key_head, key_head * queries + member, kind == 0u);
  } else if (place >= heads) {
    kind = 1u + (place - heads) / key_heads;
    head = (place - heads) % key_heads;
  }
  if (kind == 0u) {
    query[(row * heads + head) * parameters.head_quads + quad] = packed[index];
    return;
  }
  let target_quad = (row * key_heads + head) * parameters.head_quads + quad;
  if (kind == 1u) {
    key[target_quad] = packed[index];
  } else {
    value[target_quad] = packed[index];
  }
}
