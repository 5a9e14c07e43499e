// Rows grouped by expert, second step: where each group begins.
//
// counts: [experts, chunks], replaced by the number of pairs (row, expert) before each of them. A group is an expert,
// or one expert's rows of one probe, `groups_per_expert` of them in the order of the chunks. starts[g] = the number of
// pairs before group g, and the number of blocks of up to block_rows rows before it; one entry more is for the end. One
// workgroup does all of it: each lane adds up a run of entries, and then those of the lanes before it.

struct Parameters {
  entries: u32,
  groups: u32,
  entries_per_group: u32,
  block_rows: u32,
}

@group(0) @binding(0) var<storage, read_write> counts: array<u32>;
@group(0) @binding(1) var<storage, read_write> starts: array<vec2<u32>>;
@group(0) @binding(2) var<uniform> parameters: Parameters;

const LANES: u32 = 64u;

var<workgroup> sums: array<u32, LANES>;

fn sum_before(lane: u32) -> u32 {
  var before = 0u;
  for (var other = 0u; other < lane; other++) {
    before += sums[other];
  }
  return before;
}

@compute @workgroup_size(LANES)
fn main(@builtin(local_invocation_index) lane: u32) {
  let run = (parameters.entries + LANES - 1u) / LANES;
  let first = min(lane * run, parameters.entries);
  let end = min(first + run, parameters.entries);
  var sum = 0u;
  for (var entry = first; entry < end; entry++) {
    sum += counts[entry];
  }
  sums[lane] = sum;
  workgroupBarrier();
  var before = sum_before(lane);
  for (var entry = first; entry < end; entry++) {
    let count = counts[entry];
    counts[entry] = before;
    if (entry % parameters.entries_per_group == 0u) {
      starts[entry / parameters.entries_per_group].x = before;
    }
    before += count;
  }
  if (lane == LANES - 1u) {
    starts[parameters.groups].x = before;
  }
  storageBarrier();
  workgroupBarrier();

  let group_run = (parameters.groups + LANES - 1u) / LANES;
  let first_group = min(lane * group_run, parameters.groups);
  let end_group = min(first_group + group_run, parameters.groups);
  sum = 0u;
  for (var group = first_group; group < end_group; group++) {
    sum += blocks_of(group);
  }
  sums[lane] = sum;
  workgroupBarrier();
  before = sum_before(lane);
  for (var group = first_group; group < end_group; group++) {
    starts[group].y = before;
    before += blocks_of(group);
  }
  if (lane == LANES - 1u) {
    starts[parameters.groups].y = before;
  }
}

fn blocks_of(group: u32) -> u32 {
  return (starts[group + 1u].x - starts[group].x + parameters.block_rows - 1u) / parameters.block_rows;
}
