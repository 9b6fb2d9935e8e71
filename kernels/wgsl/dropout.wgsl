// Dropout (Srivastava et al. 2014): number i passes, times `scale`, if draw `first + i` of the key is at least
// `threshold`.
//
//     y[i] = scale · x[i] or 0                       (add = 0)
//     y[i] = y[i] + (scale · x[i] or 0)              (add = 1)
//
// The draws are those of the processor, bit by bit: two of 32 bits in each word of SplitMix64 (Steele, Lea and Flood
// 2014), whose 64-bit numbers are pairs here, the low word first.
//
// Bindings: 0 Params; 1 x (len numbers, read); 2 y (len numbers, written, or read and written).
// Grid: a thread a number, 256 a workgroup; workgroups are counted over x, then y.
// Intensity: some hundred integer operations for 8 or 12 bytes: bound by them.

struct Params {
    len: u32,
    add: u32,
    threshold: u32,
    scale: f32,
    key: vec2<u32>,
    first: vec2<u32>,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

fn sum(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let low = a.x + b.x;
    return vec2<u32>(low, a.y + b.y + select(0u, 1u, low < a.x));
}

// The product of two words, whole.
fn wide(a: u32, b: u32) -> vec2<u32> {
    let a0 = a & 0xffffu;
    let a1 = a >> 16u;
    let b0 = b & 0xffffu;
    let b1 = b >> 16u;
    // None of these overflows: (2^16 - 1)² + 2 (2^16 - 1) = 2^32 - 1.
    let low = a0 * b0;
    let middle = a1 * b0 + (low >> 16u);
    let other = a0 * b1 + (middle & 0xffffu);
    return vec2<u32>(a * b, a1 * b1 + (middle >> 16u) + (other >> 16u));
}

// The low 64 bits of a product.
fn product(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let low = wide(a.x, b.x);
    return vec2<u32>(low.x, low.y + a.x * b.y + a.y * b.x);
}

// z ^ (z >> by), for by from 1 to 31.
fn folded(z: vec2<u32>, by: u32) -> vec2<u32> {
    return z ^ vec2<u32>((z.x >> by) | (z.y << (32u - by)), z.y >> by);
}

fn mix(start: vec2<u32>) -> vec2<u32> {
    var z = product(folded(start, 30u), vec2<u32>(0x1ce4e5b9u, 0xbf58476du));
    z = product(folded(z, 27u), vec2<u32>(0x133111ebu, 0x94d049bbu));
    return folded(z, 31u);
}

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.y * groups.x * 256u + id.x;
    if i >= p.len {
        return;
    }
    let draw = sum(p.first, vec2<u32>(i, 0u));
    let half = vec2<u32>((draw.x >> 1u) | (draw.y << 31u), draw.y >> 1u);
    let step = product(sum(half, vec2<u32>(1u, 0u)), vec2<u32>(0x7f4a7c15u, 0x9e3779b9u));
    let word = mix(sum(p.key, step));
    let bits = select(word.x, word.y, (draw.x & 1u) == 1u);
    var v = 0.0;
    if bits >= p.threshold {
        v = p.scale * x[i];
    }
    if p.add == 1u {
        y[i] += v;
    } else {
        y[i] = v;
    }
}
