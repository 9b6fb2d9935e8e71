// Y = X, or Y += X; an X of one row goes to every row of Y.
//
//     y[i] = x[i mod x_len]            (add = 0)
//     y[i] = y[i] + x[i mod x_len]     (add = 1)
//
// Bindings: 0 Params; 1 x (x_len numbers, read); 2 y (len numbers, written, or read and written).
// Grid: a thread a number, 256 a workgroup; workgroups are counted over x, then y.
// Intensity: one addition for 8 or 12 bytes: bound by memory.

struct Params {
    len: u32,
    x_len: u32,
    add: u32,
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
    let v = x[i % p.x_len];
    if p.add == 1u {
        y[i] += v;
    } else {
        y[i] = v;
    }
}
