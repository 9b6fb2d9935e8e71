// The way back through the logistic function, from its output.
//
//     dx[i] = dy[i] · y[i] · (1 - y[i])              (add = 0)
//     dx[i] = dx[i] + dy[i] · y[i] · (1 - y[i])      (add = 1)
//
// Bindings: 0 Params; 1 y (len numbers, read); 2 dy (len numbers, read); 3 dx (len numbers, written, or read and
// written).
// Grid: a thread a number, 256 a workgroup; workgroups are counted over x, then y.
// Intensity: three or four operations for 12 or 16 bytes: bound by memory.

struct Params {
    len: u32,
    add: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> y: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.y * groups.x * 256u + id.x;
    if i >= p.len {
        return;
    }
    let v = dy[i] * y[i] * (1.0 - y[i]);
    if p.add == 1u {
        dx[i] += v;
    } else {
        dx[i] = v;
    }
}
