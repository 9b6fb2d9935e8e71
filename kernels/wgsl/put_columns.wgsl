// Some columns of a matrix become another one.
//
//     out[m, first + n] = x[m, n]
//
// Bindings: 0 Params; 1 x (len / cols × cols, read); 2 out (len / cols × out_cols, other columns stay).
// Grid: a thread a number of x, 256 a workgroup; workgroups are counted over x, then y.
// Intensity: no operation for 8 bytes: bound by memory.

struct Params {
    len: u32,
    cols: u32,
    first: u32,
    out_cols: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.y * groups.x * 256u + id.x;
    if i >= p.len {
        return;
    }
    out[i / p.cols * p.out_cols + p.first + i % p.cols] = x[i];
}
