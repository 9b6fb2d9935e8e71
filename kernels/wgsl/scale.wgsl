// X ← a · X.
//
//     x[i] = a · x[i]
//
// Bindings: 0 Params; 1 x (len numbers, read and written).
// Grid: a thread a number, 256 a workgroup; workgroups are counted over x, then y.
// Intensity: one product for 8 bytes: bound by memory.

struct Params {
    len: u32,
    a: f32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.y * groups.x * 256u + id.x;
    if i < p.len {
        x[i] = p.a * x[i];
    }
}
