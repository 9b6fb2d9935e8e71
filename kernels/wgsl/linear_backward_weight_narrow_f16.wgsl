// dW = dZᵀ · X and db = Σ_m dZ[m] for a layer of few outputs, where activations are stored in f16.
//
//     dz[m, n] = dy[m, n] where relu = 0 or y[m, n] > 0, else 0
//     dw[s, n, k] = Σ_m dz[m, n] · f32(x[m, k])     over the samples m of slice s, from s · rows to (s + 1) · rows
//     db[s, n]    = Σ_m dz[m, n]                    the same
//
// As linear_backward_weight_narrow.wgsl. Such a layer's Y is f32: see linear_forward_narrow_f16.wgsl.
//
// Bindings: 0 Params; 1 y (m × n, read; not looked at if relu = 0); 2 dy (m × n, read); 3 x (m × k of f16, read); 4 dw
// (slices × n × k, written, or read and written if dw_add = 1); 5 db (slices × n, the same with db_add; not touched if
// bias = 0).
// Grid: 64 threads a workgroup, for 64 of k + 1 columns; columns along x, n along y, slices along z.
// Intensity: a multiply-add for the 2 bytes of x, 1 flop a byte: bound by memory.

enable f16;

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
@group(0) @binding(1) var<storage, read> y: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read> x: array<f16>;
@group(0) @binding(4) var<storage, read_write> dw: array<f32>;
@group(0) @binding(5) var<storage, read_write> db: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let k = id.x;
    let n = id.y;
    let slice = id.z;
    if k > p.k {
        return;
    }
    var sum = 0.0;
    for (var m = slice * p.rows; m < min((slice + 1u) * p.rows, p.m); m++) {
        let i = m * p.n + n;
        if p.relu == 0u || y[i] > 0.0 {
            if k < p.k {
                sum += dy[i] * f32(x[m * p.k + k]);
            } else {
                sum += dy[i];
            }
        }
    }
    if k < p.k {
        let i = (slice * p.n + n) * p.k + k;
        if p.dw_add == 1u {
            sum += dw[i];
        }
        dw[i] = sum;
    } else if p.bias == 1u {
        let i = slice * p.n + n;
        if p.db_add == 1u {
            sum += db[i];
        }
        db[i] = sum;
    }
}
