// Y = A ⊙ B, or Y += A ⊙ B; a B of one number a row is that row's factor.
//
//     y[m, n] = a[m, n] · b[m, n]                    (b_cols = cols)
//     y[m, n] = a[m, n] · b[m]                       (b_cols = 1)
//     y[m, n] = y[m, n] + …                          (add = 1)
//
// Bindings: 0 Params; 1 a (len numbers, read); 2 b (len or len / cols numbers, read); 3 y (len numbers, written, or
// read and written).
// Grid: a thread a number, 256 a workgroup; workgroups are counted over x, then y.
// Intensity: one or two operations for 12 or 16 bytes: bound by memory.

struct Params {
    len: u32,
    cols: u32,
    b_cols: u32,
    add: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.y * groups.x * 256u + id.x;
    if i >= p.len {
        return;
    }
    var at = i;
    if p.b_cols != p.cols {
        at = i / p.cols;
    }
    let v = a[i] * b[at];
    if p.add == 1u {
        y[i] += v;
    } else {
        y[i] = v;
    }
}
