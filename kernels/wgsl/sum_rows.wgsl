// The sum of all rows.
//
//     y[n] = Σ_m x[m, n]                             (add = 0)
//     y[n] = y[n] + Σ_m x[m, n]                      (add = 1)
//
// A workgroup has 16 columns. Its thread (r, c) sums rows r, r + 16, … of column c, and the 16 sums of a column are
// added by halves: the order depends on M alone.
//
// Bindings: 0 Params; 1 x (rows × cols, read); 2 y (cols numbers, written, or read and written).
// Grid: a workgroup of 16 × 16 threads for 16 columns; workgroups are counted over x, then y.
// Intensity: one addition for 4 bytes: bound by memory, and with few columns by the few workgroups.

struct Params {
    rows: u32,
    cols: u32,
    add: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

var<workgroup> sums: array<f32, 256>;

@compute @workgroup_size(16, 16)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let col = (group.y * groups.x + group.x) * 16u + local.x;
    var sum = 0.0;
    if col < p.cols {
        for (var m = local.y; m < p.rows; m += 16u) {
            sum += x[m * p.cols + col];
        }
    }
    sums[thread] = sum;
    for (var half = 128u; half >= 16u; half /= 2u) {
        workgroupBarrier();
        if thread < half {
            sums[thread] += sums[thread + half];
        }
    }
    if local.y == 0u && col < p.cols {
        if p.add == 1u {
            y[col] += sums[thread];
        } else {
            y[col] = sums[thread];
        }
    }
}
