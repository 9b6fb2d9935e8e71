// The logistic function.
//
//     y[i] = 1 / (1 + e^-x[i])
//
// With the exponential of -|x|, which is at most 1. What is not a number is looked for in its bits: WGSL lets a compiler
// take comparisons to be of numbers.
//
// Bindings: 0 Params; 1 x (len numbers, read); 2 y (len numbers, written).
// Grid: a thread a number, 256 a workgroup; workgroups are counted over x, then y.
// Intensity: an exponential and a quotient for 8 bytes: bound by memory.

struct Params {
    len: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

fn logistic(x: f32) -> f32 {
    if (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u {
        return x;
    }
    // Beyond 100 the exponential is 0 in f32, as it is for an infinite x.
    let e = exp(-min(abs(x), 100.0));
    return select(e, 1.0, x >= 0.0) / (1.0 + e);
}

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.y * groups.x * 256u + id.x;
    if i < p.len {
        y[i] = logistic(x[i]);
    }
}
