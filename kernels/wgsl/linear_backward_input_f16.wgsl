// dX = dZ · W, or dX += dZ · W, where activations are stored in f16. Gradients are f32.
//
//     dz[m, n] = dy[m, n] where relu = 0 or y[m, n] > 0, else 0
//     dx[m, k] = Σ_n dz[m, n] · w[n, k]
//
// As linear_backward_input.wgsl; y is looked at only for its sign.
//
// Bindings: 0 Params; 1 y (m × n of f16, read; not looked at if relu = 0); 2 dy (m × n, read); 3 w (n × k, read); 4 dx (m ×
// k, written, or read and written if add = 1).
// Grid: 16 × 16 threads and a tile a workgroup; tiles of k along x, of m along y.
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
    add: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> y: array<f16>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read> w: array<f32>;
@group(0) @binding(4) var<storage, read_write> dx: array<f32>;

var<workgroup> zs: array<vec4<f32>, 272>;
var<workgroup> ws: array<vec4<f32>, 272>;

fn dz_at(m: u32, n: u32) -> f32 {
    if m < p.m && n < p.n {
        let i = m * p.n + n;
        if p.relu == 0u || y[i] > 0.0h {
            return dy[i];
        }
    }
    return 0.0;
}

fn w_at(n: u32, k: u32) -> f32 {
    if n < p.n && k < p.k {
        return w[n * p.k + k];
    }
    return 0.0;
}

fn store(m: u32, k: u32, sum: f32) {
    if m >= p.m || k >= p.k {
        return;
    }
    let i = m * p.k + k;
    if p.add == 1u {
        dx[i] += sum;
    } else {
        dx[i] = sum;
    }
}

fn store_row(m: u32, k: u32, sums: vec4<f32>) {
    store(m, k, sums.x);
    store(m, k + 1u, sums.y);
    store(m, k + 2u, sums.z);
    store(m, k + 3u, sums.w);
}

@compute @workgroup_size(16, 16)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) at: vec3<u32>) {
    let row = group.y * TILE + 4u * at.y;
    let column = group.x * TILE + 4u * at.x;
    var c0 = vec4<f32>();
    var c1 = vec4<f32>();
    var c2 = vec4<f32>();
    var c3 = vec4<f32>();
    for (var first = 0u; first < p.n; first += STEP) {
        let n = first + at.x;
        zs[at.x * COLUMN + at.y] = vec4(dz_at(row, n), dz_at(row + 1u, n), dz_at(row + 2u, n), dz_at(row + 3u, n));
        let o = first + at.y;
        let k = column;
        ws[at.y * COLUMN + at.x] = vec4(w_at(o, k), w_at(o, k + 1u), w_at(o, k + 2u), w_at(o, k + 3u));
        workgroupBarrier();
        for (var s = 0u; s < STEP; s++) {
            let u = zs[s * COLUMN + at.y];
            let v = ws[s * COLUMN + at.x];
            c0 += u.x * v;
            c1 += u.y * v;
            c2 += u.z * v;
            c3 += u.w * v;
        }
        workgroupBarrier();
    }
    store_row(row, column, c0);
    store_row(row + 1u, column, c1);
    store_row(row + 2u, column, c2);
    store_row(row + 3u, column, c3);
}
