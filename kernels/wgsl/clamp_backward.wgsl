// The way back through a clamp: the gradient passes where the number was not beyond the bound.
//
//     dx[i] = dy[i] if |x[i]| ≤ bound, else 0        (add = 0)
//     dx[i] = dx[i] + …                              (add = 1)
//
// No gradient passes where x is not a number, which is looked for in its bits: as unsigned integers, the bits of |x| are
// in the order of |x|, and NaN is above infinity.
//
// Bindings: 0 Params; 1 x (len numbers, read); 2 dy (len numbers, read); 3 dx (len numbers, written, or read and
// written).
// Grid: a thread a number, 256 a workgroup; workgroups are counted over x, then y.
// Intensity: at most two operations for 12 or 16 bytes: bound by memory.

struct Params {
    len: u32,
    bound: f32,
    add: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.y * groups.x * 256u + id.x;
    if i >= p.len {
        return;
    }
    var v = 0.0;
    if (bitcast<u32>(x[i]) & 0x7fffffffu) <= bitcast<u32>(abs(p.bound)) {
        v = dy[i];
    }
    if p.add == 1u {
        dx[i] += v;
    } else {
        dx[i] = v;
    }
}
