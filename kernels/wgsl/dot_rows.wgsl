// The dot product of each row of A with the same row of B.
//
//     y[m] = Σ_n a[m, n] · b[m, n]                   (add = 0)
//     y[m] = y[m] + Σ_n a[m, n] · b[m, n]            (add = 1)
//
// Thread t of a row sums columns t, t + 64, …, and the 64 sums are added by halves: the order depends on N alone.
//
// Bindings: 0 Params; 1 a (rows × cols, read); 2 b (rows × cols, read); 3 y (rows numbers, written, or read and written).
// Grid: a workgroup of 64 threads a row; workgroups are counted over x, then y.
// Intensity: two operations for 8 bytes: bound by memory.

struct Params {
    rows: u32,
    cols: u32,
    add: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

var<workgroup> sums: array<f32, 64>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let row = group.y * groups.x + group.x;
    if row >= p.rows {
        return;
    }
    var sum = 0.0;
    for (var n = thread; n < p.cols; n += 64u) {
        sum += a[row * p.cols + n] * b[row * p.cols + n];
    }
    sums[thread] = sum;
    for (var half = 32u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if thread < half {
            sums[thread] += sums[thread + half];
        }
    }
    if thread == 0u {
        if p.add == 1u {
            y[row] += sums[0];
        } else {
            y[row] = sums[0];
        }
    }
}
