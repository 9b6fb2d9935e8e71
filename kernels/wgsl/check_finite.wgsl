// Looks whether every factor · x is finite.
//
//     found[0] = 1.0 if some factor · x[i] is NaN or infinite; else it stays
//
// In the bits, whose exponent is all ones then: WGSL lets a compiler take every number to be finite. Whoever finds one
// stores the same word, and nobody reads it meanwhile, so that the result does not depend on who is first.
//
// Bindings: 0 Params; 1 x (len numbers, read); 2 found (one number, as the bits it is made of, written).
// Grid: a thread a number, 256 a workgroup; workgroups are counted over x, then y.
// Intensity: one product for 4 bytes: bound by memory.

struct Params {
    len: u32,
    factor: f32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> found: array<atomic<u32>>;

// The bits of 1.0.
const ONE = 0x3f800000u;

fn is_finite(v: f32) -> bool {
    return (bitcast<u32>(v) & 0x7f800000u) != 0x7f800000u;
}

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.y * groups.x * 256u + id.x;
    if i >= p.len {
        return;
    }
    if !is_finite(x[i]) || !is_finite(p.factor * x[i]) {
        atomicStore(&found[0], ONE);
    }
}
