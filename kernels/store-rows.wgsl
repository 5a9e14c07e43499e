// Writes new keys and values into the cache: row i of both becomes row slots[i], each row being `width` f32.

struct Parameters {
  count: u32,
  width: u32,
}

@group(0) @binding(0) var<storage, read> slots: array<u32>;
@group(0) @binding(1) var<storage, read> key: array<f32>;
@group(0) @binding(2) var<storage, read> value: array<f32>;
@group(0) @binding(3) var<storage, read_write> cached_keys: array<f32>;
@group(0) @binding(4) var<storage, read_write> cached_values: array<f32>;
@group(0) @binding(5) var<uniform> parameters: Parameters;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = (group.y * groups.x + group.x) * 64u + lane;
  let row = index / parameters.width;
  if (row >= parameters.count) {
    return;
  }
  let target_index = slots[row] * parameters.width + index % parameters.width;
  cached_keys[target_index] = key[index];
  cached_values[target_index] = value[index];
}
