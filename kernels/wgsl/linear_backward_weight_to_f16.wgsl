// dW = dZᵀ · X and db = Σ_m dZ[m] of a layer whose input is of f32, where activations are stored in f16.
//
//     dz[m, n] = dy[m, n] where relu = 0 or y[m, n] > 0, else 0
//     dw[s, n, k] = Σ_m dz[m, n] · x[m, k]     over the samples m of slice s, from s · rows to (s + 1) · rows
//     db[s, n]    = Σ_m dz[m, n]               the same
//
// As linear_backward_weight.wgsl; y is looked at only for its sign. The way back through linear_forward_to_f16.wgsl.
//
// Bindings: 0 Params; 1 y (m × n of f16, read; not looked at if relu = 0); 2 dy (m × n, read); 3 x (m × k, read); 4 dw
// (slices × n × k, written, or read and written if dw_add = 1); 5 db (slices × n, the same with db_add; not touched if
// bias = 0).
// Grid: 16 × 16 threads and a tile a workgroup; tiles of k along x, of n along y, slices along z.
// Intensity: 131,072 operations on 64 · 16 numbers of 2 bytes and 2 · 64 · 16 of 4, 10,240 bytes: 13 flop a byte with ReLU.

enable f16;

const TILE = 64u;
const STEP = 16u;
const COLUMN = 17u;

struct Params {
    m: u32,
    n: u32,
    k: u32,
    relu: u32,
    bias: u32,
    rows: u32,
    dw_add: u32,
    db_add: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> y: array<f16>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read> x: array<f32>;
@group(0) @binding(4) var<storage, read_write> dw: array<f32>;
@group(0) @binding(5) var<storage, read_write> db: array<f32>;

var<workgroup> zs: array<vec4<f32>, 272>;
var<workgroup> xs: array<vec4<f32>, 272>;

fn dz_at(m: u32, n: u32, end: u32) -> f32 {
    if m < end && n < p.n {
        let i = m * p.n + n;
        if p.relu == 0u || y[i] > 0.0h {
            return dy[i];
        }
    }
    return 0.0;
}

fn x_at(m: u32, k: u32, end: u32) -> f32 {
    if m < end && k < p.k {
        return x[m * p.k + k];
    }
    return 0.0;
}

fn store(slice: u32, n: u32, k: u32, sum: f32) {
    if n >= p.n || k >= p.k {
        return;
    }
    let i = (slice * p.n + n) * p.k + k;
    if p.dw_add == 1u {
        dw[i] += sum;
    } else {
        dw[i] = sum;
    }
}

fn store_row(slice: u32, n: u32, k: u32, sums: vec4<f32>) {
    store(slice, n, k, sums.x);
    store(slice, n, k + 1u, sums.y);
    store(slice, n, k + 2u, sums.z);
    store(slice, n, k + 3u, sums.w);
}

fn store_bias(slice: u32, n: u32, sum: f32) {
    if n >= p.n {
        return;
    }
    let i = slice * p.n + n;
    if p.db_add == 1u {
        db[i] += sum;
    } else {
        db[i] = sum;
    }
}

@compute @workgroup_size(16, 16)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) at: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let slice = group.z;
    let end = min((slice + 1u) * p.rows, p.m);
    let n = group.y * TILE + 4u * at.x;
    let k = group.x * TILE + 4u * at.x;
    let sums_bias = p.bias == 1u && group.x == 0u && thread < 16u;
    var c0 = vec4<f32>();
    var c1 = vec4<f32>();
    var c2 = vec4<f32>();
    var c3 = vec4<f32>();
    var bias = vec4<f32>();
    for (var first = slice * p.rows; first < end; first += STEP) {
        let m = first + at.y;
        let i = at.y * COLUMN + at.x;
        zs[i] = vec4(dz_at(m, n, end), dz_at(m, n + 1u, end), dz_at(m, n + 2u, end), dz_at(m, n + 3u, end));
        xs[i] = vec4(x_at(m, k, end), x_at(m, k + 1u, end), x_at(m, k + 2u, end), x_at(m, k + 3u, end));
        workgroupBarrier();
        for (var s = 0u; s < STEP; s++) {
            let u = zs[s * COLUMN + at.y];
            let v = xs[s * COLUMN + at.x];
            c0 += u.x * v;
            c1 += u.y * v;
            c2 += u.z * v;
            c3 += u.w * v;
        }
        if sums_bias {
            for (var s = 0u; s < STEP; s++) {
                bias += zs[s * COLUMN + thread];
            }
        }
        workgroupBarrier();
    }
    let row = group.y * TILE + 4u * at.y;
    store_row(slice, row, k, c0);
    store_row(slice, row + 1u, k, c1);
    store_row(slice, row + 2u, k, c2);
    store_row(slice, row + 3u, k, c3);
    if sums_bias {
        store_bias(slice, n, bias.x);
        store_bias(slice, n + 1u, bias.y);
        store_bias(slice, n + 2u, bias.z);
        store_bias(slice, n + 3u, bias.w);
    }
}
