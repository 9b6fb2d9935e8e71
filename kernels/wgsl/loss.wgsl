// The loss of logits x for labels y, a mean over the samples; σ is the logistic function.
//
//     out[0] = mean_i(w[y_i] · (max(x_i, 0) - x_i · y_i + ln(1 + e^-|x_i|)))      (mse = 0: binary cross entropy)
//     out[0] = mean_i((σ(x_i) - y_i)²)                                            (mse = 1)
//
// 1. A label that is no class counts as class 0 below 1 and as class 1 from 1 on.
// 2. WGSL's log may be off by 2^-21 near 1, whatever the result; ln(1 + e) is 2 artanh(e / (2 + e)), of which eight terms
//    are enough for f32 as that argument is at most a third.
// 3. Terms are divided by their number before they are summed, so that no sum overflows if the mean does not.
// 4. Thread t of the one workgroup sums terms t, t + 256, …, and the 256 sums are added by halves: the order depends on
//    their number alone.
// 5. What is not finite spreads as in any sum, to infinity or to what is no number. WGSL lets a compiler take every number
//    to be finite, so the bits of logits and labels are looked at as well: if one of them is not finite (or, for the
//    squared error, whose σ takes infinities, is no number) and the mean is, the mean is made no number, in bits.
//
// Bindings: 0 Params; 1 x (len numbers, read); 2 y (len numbers, read); 3 out (one number, written).
// Grid: one workgroup of 256 threads.
// Intensity: an exponential and some thirty operations for 8 bytes; as little as this is, it is bound by its start.

struct Params {
    len: u32,
    mse: u32,
    weight_0: f32,
    weight_1: f32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> y: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<u32>;

const NAN_BITS = 0x7fc00000u;

var<workgroup> sums: array<f32, 256>;
var<workgroup> spoiled: array<u32, 256>;

fn magnitude(v: f32) -> u32 {
    return bitcast<u32>(v) & 0x7fffffffu;
}

// ln(1 + e) for e from 0 to 1.
fn ln_1p(e: f32) -> f32 {
    let s = e / (2.0 + e);
    let q = s * s;
    var sum = 1.0 / 15.0;
    sum = sum * q + 1.0 / 13.0;
    sum = sum * q + 1.0 / 11.0;
    sum = sum * q + 1.0 / 9.0;
    sum = sum * q + 1.0 / 7.0;
    sum = sum * q + 1.0 / 5.0;
    sum = sum * q + 1.0 / 3.0;
    return 2.0 * s * (sum * q + 1.0);
}

fn term(x: f32, y: f32) -> f32 {
    // Beyond 100 the exponential is 0 in f32, as it is for an infinite x.
    let e = exp(-min(abs(x), 100.0));
    if p.mse == 1u {
        let d = select(e, 1.0, x >= 0.0) / (1.0 + e) - y;
        return d * d / f32(p.len);
    }
    let weight = select(p.weight_0, p.weight_1, y >= 1.0);
    return weight / f32(p.len) * (max(x, 0.0) - x * y + ln_1p(e));
}

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) thread: u32) {
    var sum = 0.0;
    var largest = 0u;
    for (var i = thread; i < p.len; i += 256u) {
        sum += term(x[i], y[i]);
        largest = max(largest, max(magnitude(x[i]), magnitude(y[i])));
    }
    sums[thread] = sum;
    // The bits of infinity, and in the squared error those above them, which are no numbers.
    spoiled[thread] = select(0u, 1u, largest >= 0x7f800000u + p.mse);
    for (var half = 128u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if thread < half {
            sums[thread] += sums[thread + half];
            spoiled[thread] |= spoiled[thread + half];
        }
    }
    if thread == 0u {
        let mean = bitcast<u32>(sums[0]);
        let is_finite = (mean & 0x7f800000u) != 0x7f800000u;
        out[0] = select(mean, NAN_BITS, spoiled[0] == 1u && is_finite);
    }
}
