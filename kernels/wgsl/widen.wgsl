// Y = X, for what reads f32 where X is stored in f16.
//
//     y[i] = f32(x[i])
//
// Bindings: 0 Params; 1 x (len numbers of f16, read); 2 y (len numbers, written).
// Grid: a thread a number, 256 a workgroup; workgroups are counted over x, then y.
// Intensity: nothing is computed: bound by memory, 6 bytes a number.

enable f16;

struct Params {
    len: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f16>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.y * groups.x * 256u + id.x;
    if i < p.len {
        y[i] = f32(x[i]);
    }
}
