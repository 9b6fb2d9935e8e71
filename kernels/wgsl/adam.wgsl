// A step of Adam (Kingma and Ba 2015), of one parameter; rate and eps have the corrections of step t in them.
//
//     m[i] = β1 · m[i] + (1 - β1) · g[i]
//     v[i] = β2 · v[i] + (1 - β2) · g[i]²
//     w[i] = w[i] - rate · m[i] / (√v[i] + eps)      (nothing if off[0] is not 0)
//
// Bindings: 0 Params; 1 off (one number, read); 2 g (len numbers, read); 3 w, 4 m, 5 v (len numbers, read and
// written).
// Grid: a thread a number, 256 a workgroup; workgroups are counted over x, then y.
// Intensity: twelve operations for 28 bytes: bound by memory.

struct Params {
    len: u32,
    rate: f32,
    eps: f32,
    beta1: f32,
    beta2: f32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> off: array<f32>;
@group(0) @binding(2) var<storage, read> g: array<f32>;
@group(0) @binding(3) var<storage, read_write> w: array<f32>;
@group(0) @binding(4) var<storage, read_write> m: array<f32>;
@group(0) @binding(5) var<storage, read_write> v: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.y * groups.x * 256u + id.x;
    if i >= p.len || off[0] != 0.0 {
        return;
    }
    let mean = p.beta1 * m[i] + (1.0 - p.beta1) * g[i];
    let square = p.beta2 * v[i] + (1.0 - p.beta2) * (g[i] * g[i]);
    m[i] = mean;
    v[i] = square;
    w[i] -= p.rate * mean / (sqrt(square) + p.eps);
}
