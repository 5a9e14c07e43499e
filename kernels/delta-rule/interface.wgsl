// What the variants of the gated delta rule share: the bindings, and where the columns of an item are.
//
// delta-rule/scan.wgsl says what is computed. An item is ITEM_COLUMNS units of `Columns` of a head over a run: an
// invocation has one in delta-rule/scan.wgsl, a workgroup in the others.

struct Parameters {
  count: u32, // items of one probe
  probes: u32,
  heads: u32,
  key_heads: u32,
  items: u32, // of a head
  width: u32,
  value_width: u32, // of a head, in units of Columns, as the next two
  value_stride: u32, // width
  first_value: u32,
  rows_per_probe: u32,
  key_width: u32, // KEY_WIDTH again, so that compilers do not unroll the loops
  chunk: u32, // CHUNK again, where there is one, for the same reason
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> values: array<Columns>;
@group(0) @binding(2) var<storage, read> coefficients: array<Coefficients>;
@group(0) @binding(3) var<storage, read> runs: array<u32>;
@group(0) @binding(4) var<storage, read_write> state: array<Columns>;
@group(0) @binding(5) var<storage, read_write> y: array<Columns>;
@group(0) @binding(6) var<uniform> parameters: Parameters;

// Where an item reads and writes.
struct Item {
  probe: u32,
  head: u32,
  column: u32, // its first one, in units of Columns
  run: u32, // its place in runs
  first_before: u32, // the first row of the tokens that are walked without writing their results
  before: u32, // how many these are
  first_own: u32, // the first row of those whose results are written
  tokens: u32, // all of them
  key_start: u32,
  value_start: u32,
  kept: u32, // its first row of the state, and that of the state that it goes on from
  continued: u32,
}

fn item_of(index: u32) -> Item {
  var item: Item;
  item.probe = index / parameters.count;
  item.column = index % parameters.items * ITEM_COLUMNS;
  item.head = index / parameters.items % parameters.heads;
  item.run = 6u * (index % parameters.count / (parameters.items * parameters.heads));
  item.first_before = runs[item.run];
  item.before = runs[item.run + 1u] - item.first_before;
  item.first_own = runs[item.run + 2u];
  item.tokens = item.before + runs[item.run + 3u] - item.first_own;
  item.key_start = item.head / (parameters.heads / parameters.key_heads) * KEY_WIDTH;
  item.value_start = parameters.first_value + item.head * parameters.value_width + item.column;
  item.kept = first_of(item, runs[item.run + 4u]);
  item.continued = first_of(item, runs[item.run + 5u] - 1u);
  return item;
}

// Where an item has its first row in a state.
fn first_of(item: Item, state: u32) -> u32 {
  return (state * parameters.heads + item.head) * KEY_WIDTH * parameters.value_width + item.column;
}

// Whether an item goes on from a state that an earlier pass left.
fn continues(item: Item) -> bool {
  return KEEPS && runs[item.run + 5u] != 0u;
}

// The row of a token of an item.
fn row_of(item: Item, token: u32) -> u32 {
  let own = select(item.first_own + token - item.before, item.first_before + token, token < item.before);
  return item.probe * parameters.rows_per_probe + own;
}

// Where the result of a row is written.
fn place_of(item: Item, row: u32) -> u32 {
  return (row * parameters.heads + item.head) * parameters.value_width + item.column;
}
