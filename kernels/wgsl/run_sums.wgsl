// Of the sorted lookups in runs of 32, the sums over those at the front of a run that belong to a row which began in a
// run before.
//
//     runs[k, d] = Σ_i c · vectors[v, d],  (v, c) = items[order[i]],  over i = 32 k, 32 k + 1, … while keys[i] = keys[32 k]
//
// so that a row that was looked up thousands of times (ids follow Zipf's law) is not one thread's work: see row_sums.
// Runs whose first key is not that of the lookup before are left out.
//
// Bindings: 0 Params; 1 keys (len, sorted, read); 2 order (len, read); 3 items (two words each, the number of a vector
// and the bits of c, read); 4 vectors (of dim numbers, read); 5 runs (⌈len / 32⌉ × dim, written).
// Grid: a thread a number of a run's sum, 256 a workgroup; workgroups are counted over x, then y.
// Intensity: two operations for 4 bytes of a vector: bound by memory.

struct Params {
    len: u32,
    dim: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> keys: array<u32>;
@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read> items: array<u32>;
@group(0) @binding(4) var<storage, read> vectors: array<f32>;
@group(0) @binding(5) var<storage, read_write> runs: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.y * groups.x * 256u + id.x;
    let start = 32u * (i / p.dim);
    if start == 0u || start >= p.len {
        return;
    }
    let key = keys[start];
    if keys[start - 1u] != key {
        return;
    }
    let end = min(start + 32u, p.len);
    var sum = 0.0;
    for (var at = start; at < end && keys[at] == key; at++) {
        let item = 2u * order[at];
        sum += bitcast<f32>(items[item + 1u]) * vectors[items[item] * p.dim + i % p.dim];
    }
    runs[i] = sum;
}
