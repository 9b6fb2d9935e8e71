// A step of stochastic gradient descent, of one parameter.
//
//     w[i] = w[i] - lr · g[i]                        (nothing if off[0] is not 0)
//
// Bindings: 0 Params; 1 off (one number, read); 2 g (len numbers, read); 3 w (len numbers, read and written).
// Grid: a thread a number, 256 a workgroup; workgroups are counted over x, then y.
// Intensity: two operations for 12 bytes: bound by memory.

struct Params {
    len: u32,
    lr: f32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> off: array<f32>;
@group(0) @binding(2) var<storage, read> g: array<f32>;
@group(0) @binding(3) var<storage, read_write> w: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.y * groups.x * 256u + id.x;
    if i >= p.len || off[0] != 0.0 {
        return;
    }
    w[i] -= p.lr * g[i];
}
