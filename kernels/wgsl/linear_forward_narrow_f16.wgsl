// Y = act(X · Wᵀ + b) for a layer of few outputs, where activations are stored in f16.
//
//     y[m, n] = act(Σ_k f32(x[m, k]) · w[n, k] + b[n])
//
// As linear_forward_narrow.wgsl. Y stays f32: it is small, and what is made of it (a probability, a loss) is not.
//
// Bindings: 0 Params; 1 x (m × k of f16, read); 2 w (n × k, read); 3 b (n, read; anything if bias = 0); 4 y (m × n,
// written).
// Grid: 64 threads and a number of Y a workgroup; workgroups are counted over x, then y.
// Intensity: a multiply-add for the 2 bytes of x, 1 flop a byte: bound by memory.

enable f16;

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
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

var<workgroup> sums: array<f32, 64>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let i = group.y * groups.x + group.x;
    if i >= p.m * p.n {
        return;
    }
    let m = i / p.n;
    let n = i % p.n;
    var sum = 0.0;
    for (var k = thread; k < p.k; k += 64u) {
        sum += f32(x[m * p.k + k]) * w[n * p.k + k];
    }
    sums[thread] = sum;
    for (var half = 32u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if thread < half {
            sums[thread] += sums[thread + half];
        }
    }
    if thread == 0u {
        var v = sums[0];
        if p.bias == 1u {
            v += b[n];
        }
        if p.relu == 1u {
            v = select(v, 0.0, v < 0.0);
        }
        y[i] = v;
    }
}
