// A step of Adagrad (Duchi et al. 2011), of one parameter.
//
//     s[i] = s[i] + g[i]²
//     w[i] = w[i] - lr · g[i] / (√s[i] + eps)        (nothing if off[0] is not 0)
//
// Bindings: 0 Params; 1 off (one number, read); 2 g (len numbers, read); 3 w, 4 s (len numbers, read and written).
// Grid: a thread a number, 256 a workgroup; workgroups are counted over x, then y.
// Intensity: seven operations for 20 bytes: bound by memory.

struct Params {
    len: u32,
    lr: f32,
    eps: f32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> off: array<f32>;
@group(0) @binding(2) var<storage, read> g: array<f32>;
@group(0) @binding(3) var<storage, read_write> w: array<f32>;
@group(0) @binding(4) var<storage, read_write> s: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.y * groups.x * 256u + id.x;
    if i >= p.len || off[0] != 0.0 {
        return;
    }
    let square = s[i] + g[i] * g[i];
    s[i] = square;
    w[i] -= p.lr * g[i] / (sqrt(square) + p.eps);
}
