// Some columns of a matrix, on their own or added to another one.
//
//     x[m, n] = from_rows[m, first + n]                   (add = 0)
//     x[m, n] = x[m, n] + from_rows[m, first + n]         (add = 1)
//
// Bindings: 0 Params; 1 from_rows (len / cols × from_cols, read); 2 x (len / cols × cols, written, or read and written).
// Grid: a thread a number of x, 256 a workgroup; workgroups are counted over x, then y.
// Intensity: at most one addition for 8 or 12 bytes: bound by memory.

struct Params {
    len: u32,
    cols: u32,
    first: u32,
    from_cols: u32,
    add: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> from_rows: array<f32>;
@group(0) @binding(2) var<storage, read_write> x: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.y * groups.x * 256u + id.x;
    if i >= p.len {
        return;
    }
    let v = from_rows[i / p.cols * p.from_cols + p.first + i % p.cols];
    if p.add == 1u {
        x[i] += v;
    } else {
        x[i] = v;
    }
}
