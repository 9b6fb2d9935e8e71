// Σ x², in a sum for each workgroup, which the processor adds up in f64.
//
//     out[3 g + 0] = Σ x[i]²                  over the numbers of workgroup g with 2^-40 ≤ |x| < 2^60
//     out[3 g + 1] = Σ (x[i] · 2^80)²         over those with |x| < 2^-40
//     out[3 g + 2] = Σ (x[i] · 2^-80)²        over the others, NaN and infinities among them
//
// 1. Squares of f32 leave the range of f32 at both ends: three sums, each of what is scaled so that it stays there.
// 2. Thread t of workgroup g sums numbers t, t + 256, … of its 2048, and the 256 sums are added by halves: the order
//    depends on their number alone, and a sum is off by at most 16 roundings.
//
// Bindings: 0 Params; 1 x (len numbers, read); 2 out (3 a workgroup, written).
// Grid: a workgroup of 256 threads for 2048 numbers; workgroups are counted over x, then y.
// Intensity: two operations for 4 bytes: bound by memory.

struct Params {
    len: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

var<workgroup> sums: array<vec3<f32>, 256>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let g = group.y * groups.x + group.x;
    if g * 2048u >= p.len {
        return;
    }
    var sum = vec3<f32>(0.0);
    let end = min(g * 2048u + 2048u, p.len);
    for (var i = g * 2048u + thread; i < end; i += 256u) {
        let v = x[i];
        // The exponent decides, as it is in the bits: 127 stands for 2^0.
        let exponent = (bitcast<u32>(v) >> 23u) & 255u;
        if exponent < 87u {
            let s = v * 0x1p80f;
            sum.y += s * s;
        } else if exponent < 187u {
            sum.x += v * v;
        } else {
            let s = v * 0x1p-80f;
            sum.z += s * s;
        }
    }
    sums[thread] = sum;
    for (var half = 128u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if thread < half {
            sums[thread] += sums[thread + half];
        }
    }
    if thread == 0u {
        out[3u * g] = sums[0].x;
        out[3u * g + 1u] = sums[0].y;
        out[3u * g + 2u] = sums[0].z;
    }
}
