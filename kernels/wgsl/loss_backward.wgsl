// The gradient of the logits, for a gradient g of the loss: see loss.wgsl.
//
//     dx[i] = g / len · w[y_i] · (σ(x_i) - y_i)                                   (mse = 0: binary cross entropy)
//     dx[i] = g / len · 2 · (σ(x_i) - y_i) · σ(x_i) · (1 - σ(x_i))                (mse = 1)
//     dx[i] = dx[i] + …                                                           (add = 1)
//
// A logit that is not a number has such a gradient: its σ is the logit itself, found by its bits.
//
// Bindings: 0 Params; 1 x (len numbers, read); 2 y (len numbers, read); 3 g (one number, read); 4 dx (len numbers,
// written, or read and written).
// Grid: a thread a number, 256 a workgroup; workgroups are counted over x, then y.
// Intensity: an exponential, a quotient and some operations for 12 or 16 bytes: bound by memory.

struct Params {
    len: u32,
    mse: u32,
    weight_0: f32,
    weight_1: f32,
    add: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> y: array<f32>;
@group(0) @binding(3) var<storage, read> g: array<f32>;
@group(0) @binding(4) var<storage, read_write> dx: array<f32>;

fn logistic(x: f32) -> f32 {
    if (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u {
        return x;
    }
    // Beyond 100 the exponential is 0 in f32, as it is for an infinite x.
    let e = exp(-min(abs(x), 100.0));
    return select(e, 1.0, x >= 0.0) / (1.0 + e);
}

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.y * groups.x * 256u + id.x;
    if i >= p.len {
        return;
    }
    let scale = g[0] / f32(p.len);
    let s = logistic(x[i]);
    var v = 0.0;
    if p.mse == 1u {
        v = scale * 2.0 * (s - y[i]) * s * (1.0 - s);
    } else {
        v = scale * select(p.weight_0, p.weight_1, y[i] >= 1.0) * (s - y[i]);
    }
    if p.add == 1u {
        dx[i] += v;
    } else {
        dx[i] = v;
    }
}
