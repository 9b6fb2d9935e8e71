// The first half of a pass of a radix sort: how often each digit occurs in each tile of keys.
//
//     counts[g, v] = |{ i in tile g : (keys[i] >> shift) & 255 = v }|
//
// Counting is by atomic additions of integers, whose order does not matter.
//
// Bindings: 0 Params; 1 keys (len, read); 2 counts (tiles × 256, written).
// Grid: a workgroup of 256 threads a tile of 256 · rounds keys, along x.
// Intensity: one addition for 4 bytes: bound by memory.

struct Params {
    len: u32,
    shift: u32,
    rounds: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> keys: array<u32>;
@group(0) @binding(2) var<storage, read_write> counts: array<u32>;

var<workgroup> found: array<atomic<u32>, 256>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    for (var round = 0u; round < p.rounds; round++) {
        let i = (group.x * p.rounds + round) * 256u + lane;
        if i < p.len {
            atomicAdd(&found[(keys[i] >> p.shift) & 255u], 1u);
        }
    }
    workgroupBarrier();
    counts[group.x * 256u + lane] = atomicLoad(&found[lane]);
}
