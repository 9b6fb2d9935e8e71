// Items of sums that are written out already, for lookups that come after them: each is a vector of its own.
//
//     items[i] = (i, 1.0)
//
// Bindings: 0 Params; 1 items (two words each, the number of a vector and the bits of a factor; written).
// Grid: a thread an item, 256 a workgroup; workgroups are counted over x, then y.
// Intensity: nothing computed for 8 bytes: bound by memory.

struct Params {
    len: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> items: array<u32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.y * groups.x * 256u + id.x;
    if i < p.len {
        items[2u * i] = i;
        items[2u * i + 1u] = bitcast<u32>(1.0);
    }
}
