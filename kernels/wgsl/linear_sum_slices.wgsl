// Y = Σ_s P[s], or Y += Σ_s P[s]: the sums of the slices of a batch, added in order.
//
//     y[i] = Σ_s parts[s, i]            (add = 0)
//     y[i] = y[i] + Σ_s parts[s, i]     (add = 1)
//
// The order is that of the slices, so the bits are the same in each run; atomic additions would come in any order.
//
// Bindings: 0 Params; 1 parts (slices × len, read); 2 y (len numbers, written, or read and written).
// Grid: a thread a number, 256 a workgroup; workgroups are counted over x, then y.
// Intensity: one addition for 4 bytes: bound by memory, and by the last cache where the slices were just written.

struct Params {
    len: u32,
    slices: u32,
    add: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> parts: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.y * groups.x * 256u + id.x;
    if i >= p.len {
        return;
    }
    var sum = 0.0;
    for (var s = 0u; s < p.slices; s++) {
        sum += parts[s * p.len + i];
    }
    if p.add == 1u {
        sum += y[i];
    }
    y[i] = sum;
}
