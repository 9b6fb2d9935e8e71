// The gradient of each row that was looked up: at the place of its first lookup among the sorted ones, and zeros at the
// places of the others.
//
//     sums[i, d] = Σ_j c · vectors[v, d],  (v, c) = items[order[j]],  over j = i, i + 1, … while keys[j] = keys[i]
//                  if i = 0 or keys[i - 1] ≠ keys[i], else 0
//
// The lookups up to the end of the run of 32 that the row begins in one by one, then whole runs (see run_sums), in their
// order: every sum has one order, whatever the device.
//
// Bindings: 0 Params; 1 keys (len, sorted, read); 2 order (len, read); 3 items (two words each, the number of a vector
// and the bits of c, read); 4 vectors (of dim numbers, read); 5 runs (⌈len / 32⌉ × dim, read); 6 sums (len × dim,
// written).
// Grid: a thread a number of a sum, 256 a workgroup; workgroups are counted over x, then y.
// Intensity: two operations for 4 bytes read and 4 written: bound by memory.

struct Params {
    len: u32,
    dim: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> keys: array<u32>;
@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read> items: array<u32>;
@group(0) @binding(4) var<storage, read> vectors: array<f32>;
@group(0) @binding(5) var<storage, read> runs: array<f32>;
@group(0) @binding(6) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.y * groups.x * 256u + id.x;
    let start = i / p.dim;
    let column = i % p.dim;
    if start >= p.len {
        return;
    }
    let key = keys[start];
    var sum = 0.0;
    if start == 0u || keys[max(start, 1u) - 1u] != key {
        let end = min((start / 32u + 1u) * 32u, p.len);
        var at = start;
        for (; at < end && keys[at] == key; at++) {
            let item = 2u * order[at];
            sum += bitcast<f32>(items[item + 1u]) * vectors[items[item] * p.dim + column];
        }
        if at == end {
            for (; at < p.len && keys[at] == key; at += 32u) {
                sum += runs[at / 32u * p.dim + column];
            }
        }
    }
    sums[i] = sum;
}
