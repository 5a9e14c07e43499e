// What the variants of the gated delta rule share: the bindings, and where the columns of an item are.
//
// delta-rule/scan.wgsl says what is computed. An item is some columns of a head (`Columns`) over a run: an invocation
// has one in delta-rule/scan.wgsl, a workgroup in delta-rule/shared.wgsl.

struct Parameters {
  count: u32, // items of one probe
  probes: u32,
  heads: u32,
  key_heads: u32,
  columns: u32, // items of a head
  width: u32,
  value_stride: u32, // width, and where values begin, in units of Columns
  first_value: u32,
  rows_per_probe: u32,
  key_width: u32, // KEY_WIDTH again, so that compilers do not unroll the loops
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> values: array<Columns>;
@group(0) @binding(2) var<storage, read> coefficients: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> runs: array<u32>;
@group(0) @binding(4) var<storage, read_write> state: array<Columns>;
@group(0) @binding(5) var<storage, read_write> y: array<Columns>;
@group(0) @binding(6) var<uniform> parameters: Parameters;

// Where an item reads and writes.
struct Item {
  probe: u32,
  head: u32,
  column: u32,
  run: u32, // its place in runs
  before: u32, // tokens that are walked without writing their results
  tokens: u32, // these and those whose results are written
  key_start: u32,
  value_start: u32,
  kept: u32, // its first row of the state, and that of the state that it goes on from
  continued: u32,
}

fn item_of(index: u32) -> Item {
  let columns = parameters.columns;
  var item: Item;
  item.probe = index / parameters.count;
  item.column = index % columns;
  item.head = index / columns % parameters.heads;
  item.run = 6u * (index % parameters.count / (columns * parameters.heads));
  item.before = runs[item.run + 1u] - runs[item.run];
  item.tokens = item.before + runs[item.run + 3u] - runs[item.run + 2u];
  item.key_start = item.head / (parameters.heads / parameters.key_heads) * KEY_WIDTH;
  item.value_start = parameters.first_value + item.head * columns + item.column;
  item.kept = first_of(item, runs[item.run + 4u]);
  item.continued = first_of(item, runs[item.run + 5u] - 1u);
  return item;
}

// Where an item has its first row in a state.
fn first_of(item: Item, state: u32) -> u32 {
  return (state * parameters.heads + item.head) * KEY_WIDTH * parameters.columns + item.column;
}

// Whether an item goes on from a state that an earlier pass left.
fn continues(item: Item) -> bool {
  return KEEPS && runs[item.run + 5u] != 0u;
}

// The row of a token of an item.
fn row_of(item: Item, token: u32) -> u32 {
  let first = runs[item.run];
  let own = select(runs[item.run + 2u] + token - item.before, first + token, token < item.before);
  return item.probe * parameters.rows_per_probe + own;
}

// Where the result of a row is written.
fn place_of(item: Item, row: u32) -> u32 {
  return (row * parameters.heads + item.head) * parameters.columns + item.column;
}
