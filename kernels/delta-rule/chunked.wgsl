// The gated delta rule, chunked: for GPUs and runs of many tokens. A workgroup has thirty-two columns of a head's
// matrix M and takes CHUNK tokens at a time, so that all but a small triangle of the work are matrix products, whose
// operands wait in workgroup memory (arXiv 2412.06464, section 3.3). In delta-rule/scan.wgsl each token waits for the
// one before it.
//
// delta-rule/scan.wgsl says what is computed and how it is bound. With fade(j, i) the product of the decays of the
// tokens j + 1 … i, M what the chunk begins with, and 0 the place in front of its first token, token i learns
//
//   n_i = beta_i (v_i − fade(0, i) Mᵀ k̂_i) − Σ_{j < i} beta_i fade(j, i) (k̂_i · k̂_j) n_j
//   y_i = fade(0, i) Mᵀ q̂_i + Σ_{j ≤ i} fade(j, i) (q̂_i · k̂_j) n_j
//   M ← fade(0, last) M + Σ_i fade(i, last) k̂_i n_iᵀ
//
// Fades are multiplied up and never divided, so decays of 0 do no harm. Tokens behind the last one have rate 0 and
// decay 1 and change nothing.

alias Columns = f32;
alias Coefficients = vec4<f32>;

const ITEM_COLUMNS: u32 = 32u;
// Invocations that share a column. Each has QUADS quads of its rows; those behind the last row of all stay zeros.
const PARTS: u32 = 4u;
const LANES: u32 = PARTS * ITEM_COLUMNS;
const QUADS: u32 = (KEY_WIDTH + 4u * PARTS - 1u) / (4u * PARTS);
// Quads from one token's key to that of the next, with a pad against bank conflicts.
const STRIDE: u32 = PARTS * QUADS + 1u;

// k̂ and q̂ / √KEY_WIDTH of the chunk's tokens.
var<workgroup> keys: array<vec4<f32>, CHUNK * STRIDE>;
var<workgroup> queries: array<vec4<f32>, CHUNK * STRIDE>;
// Decay and rate of a token.
var<workgroup> numbers: array<vec2<f32>, CHUNK>;
// fade(0, i) and fade(i, last).
var<workgroup> fades: array<vec2<f32>, CHUNK>;
// What y_i and n_i have of n_j, [i, j].
var<workgroup> links: array<vec2<f32>, CHUNK * CHUNK>;
// The values of the chunk's tokens, then what they learn.
var<workgroup> learnt: array<f32, CHUNK * ITEM_COLUMNS>;
var<workgroup> sums: array<f32, CHUNK * LANES>;

// The loops over tokens are not unrolled, so that the sums of few of them are in registers at a time.

// The sum over the parts of a column.
fn sum_of(token: u32, column: u32) -> f32 {
  var sum = 0.0;
  for (var part = 0u; part < PARTS; part++) {
    sum += sums[token * LANES + part * ITEM_COLUMNS + column];
  }
  return sum;
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = group.y * groups.x + group.x;
  if (index / parameters.count >= parameters.probes) {
    return; // a surplus workgroup
  }
  let item = item_of(index);
  let part = lane / ITEM_COLUMNS;
  let column = lane % ITEM_COLUMNS;
  let exists = item.column + column < parameters.value_width;

  var matrix: array<vec4<f32>, QUADS>;
  if (continues(item) && exists) {
    for (var quad = 0u; quad < QUADS; quad++) {
      let d = 4u * (part * QUADS + quad);
      if (d < KEY_WIDTH) {
        let start = item.continued + d * parameters.value_width + column;
        let next = parameters.value_width;
        matrix[quad] =
          vec4<f32>(state[start], state[start + next], state[start + 2u * next], state[start + 3u * next]);
      }
    }
  }
  for (var first = 0u; first < item.tokens; first += CHUNK) {
    for (var place = lane; place < CHUNK * PARTS * QUADS; place += LANES) {
      let token = place / (PARTS * QUADS);
      let quad = place % (PARTS * QUADS);
      var key = vec4<f32>();
      var query = vec4<f32>();
      if (first + token < item.tokens && 4u * quad < KEY_WIDTH) {
        let row = row_of(item, first + token);
        let lengths = coefficients[row * parameters.heads + item.head].zw;
        let q = row * parameters.width + item.key_start + 4u * quad;
        let k = q + parameters.key_heads * KEY_WIDTH;
        key = lengths.x * vec4<f32>(x[k], x[k + 1u], x[k + 2u], x[k + 3u]);
        query = lengths.y * vec4<f32>(x[q], x[q + 1u], x[q + 2u], x[q + 3u]);
      }
      keys[token * STRIDE + quad] = key;
      queries[token * STRIDE + quad] = query;
    }
    for (var token = part; token < CHUNK; token += PARTS) {
      var value = 0.0;
      if (first + token < item.tokens && exists) {
        value = values[row_of(item, first + token) * parameters.value_stride + item.value_start + column];
      }
      learnt[token * ITEM_COLUMNS + column] = value;
    }
    if (lane < CHUNK) {
      var number = vec2<f32>(1.0, 0.0);
      if (first + lane < item.tokens) {
        number = coefficients[row_of(item, first + lane) * parameters.heads + item.head].xy;
      }
      numbers[lane] = number;
    }
    workgroupBarrier();

    for (var place = lane; place < CHUNK * CHUNK; place += LANES) {
      let i = place / CHUNK;
      let j = place % CHUNK;
      if (j <= i) {
        var products = vec2<f32>();
        for (var quad = 0u; quad < (parameters.key_width + 3u) / 4u; quad++) {
          let key = keys[j * STRIDE + quad];
          products += vec2<f32>(dot(queries[i * STRIDE + quad], key), dot(keys[i * STRIDE + quad], key));
        }
        var fade = 1.0;
        for (var token = j + 1u; token <= i; token++) {
          fade *= numbers[token].x;
        }
        links[place] = fade * vec2<f32>(1.0, numbers[i].y) * products;
      }
    }
    if (lane < CHUNK) {
      var fade = vec2<f32>(1.0);
      for (var token = 0u; token < parameters.chunk; token++) {
        let decay = numbers[token].x;
        fade *= select(vec2<f32>(1.0, decay), vec2<f32>(decay, 1.0), token <= lane);
      }
      fades[lane] = fade;
    }
    for (var token = 0u; token < parameters.chunk; token++) {
      var known = vec4<f32>();
      for (var quad = 0u; quad < QUADS; quad++) {
        known = fma(keys[token * STRIDE + part * QUADS + quad], matrix[quad], known);
      }
      sums[token * LANES + lane] = known.x + known.y + known.z + known.w;
    }
    workgroupBarrier();

    if (part == 0u) {
      for (var i = 0u; i < parameters.chunk; i++) {
        let value = learnt[i * ITEM_COLUMNS + column];
        var own = numbers[i].y * (value - fades[i].x * sum_of(i, column));
        for (var j = 0u; j < i; j++) {
          own -= links[i * CHUNK + j].y * learnt[j * ITEM_COLUMNS + column];
        }
        learnt[i * ITEM_COLUMNS + column] = own;
      }
    }
    workgroupBarrier();

    for (var token = 0u; token < parameters.chunk; token++) {
      var found = vec4<f32>();
      for (var quad = 0u; quad < QUADS; quad++) {
        found = fma(queries[token * STRIDE + part * QUADS + quad], matrix[quad], found);
      }
      sums[token * LANES + lane] = found.x + found.y + found.z + found.w;
    }
    let fade = fades[CHUNK - 1u].x;
    for (var quad = 0u; quad < QUADS; quad++) {
      matrix[quad] *= fade;
    }
    for (var token = 0u; token < parameters.chunk; token++) {
      let own = fades[token].y * learnt[token * ITEM_COLUMNS + column];
      for (var quad = 0u; quad < QUADS; quad++) {
        matrix[quad] = fma(vec4<f32>(own), keys[token * STRIDE + part * QUADS + quad], matrix[quad]);
      }
    }
    workgroupBarrier();

    for (var i = part; i < CHUNK; i += PARTS) {
      let token = first + i;
      if (token >= item.before && token < item.tokens && exists) {
        var result = fades[i].x * sum_of(i, column);
        for (var j = 0u; j <= i; j++) {
          result += links[i * CHUNK + j].x * learnt[j * ITEM_COLUMNS + column];
        }
        y[place_of(item, row_of(item, token)) + column] = result;
      }
    }
    // The next chunk takes the place of this one.
    workgroupBarrier();
  }
  if (KEEPS && exists) {
    for (var quad = 0u; quad < QUADS; quad++) {
      let d = 4u * (part * QUADS + quad);
      if (d < KEY_WIDTH) {
        let start = item.kept + d * parameters.value_width + column;
        let next = parameters.value_width;
        let rows = matrix[quad];
        state[start] = rows.x;
        state[start + next] = rows.y;
        state[start + 2u * next] = rows.z;
        state[start + 3u * next] = rows.w;
      }
    }
  }
}
