// The noise of a stored weight with padding (src/tensor/axis.ts), as in random/quads.wgsl. An element draws the same
// number as in the weight without padding; a padding element draws 0.
//
// Constants: the first ROW_WIDTH of every ROW_STRIDE rows, and the first COLUMN_WIDTH of every COLUMN_STRIDE columns,
// are not padding. ROW_QUADS is the number of quads of a stored row.

struct Place {
  // The first element of a quad, counted without padding.
  element: u32,
  // The number of elements of the quad that are not padding.
  count: u32,
}

fn place_of(quad: u32) -> Place {
  let row = quad / ROW_QUADS;
  let column = quad % ROW_QUADS * 4u;
  let in_rows = row % ROW_STRIDE;
  let in_columns = column % COLUMN_STRIDE;
  let plain_row = row / ROW_STRIDE * ROW_WIDTH + in_rows;
  let plain_column = column / COLUMN_STRIDE * COLUMN_WIDTH + in_columns;
  let plain_columns = ROW_QUADS * 4u / COLUMN_STRIDE * COLUMN_WIDTH;
  let count = select(0u, min(4u, COLUMN_WIDTH - min(in_columns, COLUMN_WIDTH)), in_rows < ROW_WIDTH);
  return Place(plain_row * plain_columns + plain_column, count);
}

fn noise_quad(counter: vec4<u32>, key: vec2<u32>) -> vec4<f32> {
  let place = place_of(counter.x);
  let block = place.element / 4u;
  let blocks = gaussian_quads(vec4<u32>(block, counter.yzw), block + 1u, key);
  var numbers = array<f32, 8>(
    blocks.first.x, blocks.first.y, blocks.first.z, blocks.first.w,
    blocks.second.x, blocks.second.y, blocks.second.z, blocks.second.w,
  );
  var z = vec4<f32>(0.0);
  for (var i = 0u; i < place.count; i++) {
    z[i] = numbers[place.element % 4u + i];
  }
  return z;
}

fn noise_quads(counter: vec4<u32>, second_quad: u32, key: vec2<u32>) -> TwoQuads {
  return TwoQuads(noise_quad(counter, key), noise_quad(vec4<u32>(second_quad, counter.yzw), key));
}

fn has_noise(quad: u32) -> vec4<bool> {
  return vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(place_of(quad).count);
}
