// The noise of a stored weight with padding (src/tensor/axis.ts), as in random/quads.wgsl. An element draws the same
// number as in the weight without padding; a padding element draws 0.
//
// parameters: the first row_width of every row_stride rows, and the first column_width of every column_stride columns,
// are not padding. width_quads is the number of quads of a stored row. As constants these would save a few divisions
// beside two blocks of random numbers, for a kernel to compile for each shape.

struct Place {
  // The first element of a quad, counted without padding.
  element: u32,
  // The number of elements of the quad that are not padding.
  count: u32,
}

fn place_of(quad: u32) -> Place {
  let row = quad / parameters.width_quads;
  let column = quad % parameters.width_quads * 4u;
  let in_rows = row % parameters.row_stride;
  let in_columns = column % parameters.column_stride;
  let plain_row = row / parameters.row_stride * parameters.row_width + in_rows;
  let plain_column = column / parameters.column_stride * parameters.column_width + in_columns;
  let plain_columns = parameters.width_quads * 4u / parameters.column_stride * parameters.column_width;
  let columns_left = parameters.column_width - min(in_columns, parameters.column_width);
  let count = select(0u, min(4u, columns_left), in_rows < parameters.row_width);
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
