// Numbers at most `bound` away from 0.
//
//     y[i] = max(-bound, min(bound, x[i]))
//
// What is not a number stays what it is, and is looked for in its bits: WGSL lets a compiler take comparisons to be of
// numbers.
//
// Bindings: 0 Params; 1 x (len numbers, read); 2 y (len numbers, written).
// Grid: a thread a number, 256 a workgroup; workgroups are counted over x, then y.
// Intensity: two comparisons for 8 bytes: bound by memory.

struct Params {
    len: u32,
    bound: f32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.y * groups.x * 256u + id.x;
    if i >= p.len {
        return;
    }
    let v = x[i];
    if (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u {
        y[i] = v;
    } else {
        y[i] = clamp(v, -p.bound, p.bound);
    }
}
