// Y = act(X · Wᵀ + b): a linear layer between others, where activations are stored in f16.
//
//     y[m, n] = f16(act(Σ_k f32(x[m, k]) · w[n, k] + b[n]))
//
// As linear_forward.wgsl: in workgroup memory and registers numbers are f32, so each of Y is rounded once, as it is
// stored.
//
// Bindings: 0 Params; 1 x (m × k of f16, read); 2 w (n × k, read); 3 b (n, read; anything if bias = 0); 4 y (m × n of
// f16, written).
// Grid: 16 × 16 threads and a tile a workgroup; tiles of n along x, of m along y.
// Intensity: 131,072 operations on 64 · 16 numbers of 2 bytes and as many of 4, 6,144 bytes: 21 flop a byte.

enable f16;

const TILE = 64u;
const STEP = 16u;
const COLUMN = 17u;

struct Params {
    m: u32,
    n: u32,
    k: u32,
    bias: u32,
    relu: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f16>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read> b: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f16>;

var<workgroup> xs: array<vec4<f32>, 272>;
var<workgroup> ws: array<vec4<f32>, 272>;

fn x_at(m: u32, k: u32) -> f32 {
    if m < p.m && k < p.k {
        return f32(x[m * p.k + k]);
    }
    return 0.0;
}

fn w_at(n: u32, k: u32) -> f32 {
    if n < p.n && k < p.k {
        return w[n * p.k + k];
    }
    return 0.0;
}

fn store(m: u32, n: u32, sum: f32) {
    if m >= p.m || n >= p.n {
        return;
    }
    var v = sum;
    if p.bias == 1u {
        v += b[n];
    }
    if p.relu == 1u {
        v = select(v, 0.0, v < 0.0);
    }
    y[m * p.n + n] = f16(v);
}

fn store_row(m: u32, n: u32, sums: vec4<f32>) {
    store(m, n, sums.x);
    store(m, n + 1u, sums.y);
    store(m, n + 2u, sums.z);
    store(m, n + 3u, sums.w);
}

@compute @workgroup_size(16, 16)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) at: vec3<u32>) {
    let m = group.y * TILE;
    let n = group.x * TILE;
    var c0 = vec4<f32>();
    var c1 = vec4<f32>();
    var c2 = vec4<f32>();
    var c3 = vec4<f32>();
    for (var first = 0u; first < p.k; first += STEP) {
        let k = first + at.x;
        let i = m + 4u * at.y;
        let j = n + 4u * at.y;
        xs[at.x * COLUMN + at.y] = vec4(x_at(i, k), x_at(i + 1u, k), x_at(i + 2u, k), x_at(i + 3u, k));
        ws[at.x * COLUMN + at.y] = vec4(w_at(j, k), w_at(j + 1u, k), w_at(j + 2u, k), w_at(j + 3u, k));
        workgroupBarrier();
        for (var s = 0u; s < STEP; s++) {
            let u = xs[s * COLUMN + at.y];
            let v = ws[s * COLUMN + at.x];
            c0 += u.x * v;
            c1 += u.y * v;
            c2 += u.z * v;
            c3 += u.w * v;
        }
        workgroupBarrier();
    }
    let row = m + 4u * at.y;
    let column = n + 4u * at.x;
    store_row(row, column, c0);
    store_row(row + 1u, column, c1);
    store_row(row + 2u, column, c2);
    store_row(row + 3u, column, c3);
}
