// Adam on the rows that were looked up, stored in f16; lazy as torch.optim.SparseAdam: m and v of the others stand
// still.
//
//     m = β1·m + (1-β1)·g;  v = β2·v + (1-β2)·g²;  w = round(w - rate · m / (√v + eps))
//     rate = lr · √(1-β2^t) / (1-β1^t)
//
// Nothing changes if off[0] is not 0.
//
// A row's sum g is at the place of its first lookup among the sorted ones (see row_sums). Its key says in which piece of
// a table it is; rows in other buffers are left to their dispatches. Rows that were not looked up do not change.
//
// A step is computed in f32. Rounding to the nearest would lose every step of less than half a unit in w's last place, so
// a number is rounded up or down at random, with the probability that makes the mean right. The draw is a hash of the
// row's key, the column, and the step's number t: the same bits each run. What is beyond ±65504 becomes ±65504; NaN stays
// NaN.
//
// Bindings: 0 Params; 1 keys (len, sorted, read); 2 sums (len × dim, read); 3 pieces (three words each: the first key, the
// number of rows, and where they are in the buffer, in rows; read); 4 off (one number, read); 5 rows (pieces of tables, of
// f16, read and written); 6 first (m) and 7 second (v), beside rows, read and written.
// Grid: a thread a number of a sum, 256 a workgroup; workgroups are counted over x, then y.
// Intensity: thirteen operations and some thirty of integers for 24 bytes: bound by memory.

enable f16;

const NONE = 0xffffffffu;

struct Params {
    len: u32,
    dim: u32,
    first_piece: u32,
    pieces: u32,
    rate: f32,
    eps: f32,
    beta1: f32,
    beta2: f32,
    t: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> keys: array<u32>;
@group(0) @binding(2) var<storage, read> sums: array<f32>;
@group(0) @binding(3) var<storage, read> pieces: array<u32>;
@group(0) @binding(4) var<storage, read> off: array<f32>;
@group(0) @binding(5) var<storage, read_write> rows: array<f16>;
@group(0) @binding(6) var<storage, read_write> first: array<f32>;
@group(0) @binding(7) var<storage, read_write> second: array<f32>;

// The row of the buffer that has the key, or none: the pieces' keys rise.
fn row_of(key: u32) -> u32 {
    var low = 0u;
    var high = p.pieces;
    while low < high {
        let mid = (low + high) / 2u;
        if pieces[3u * (p.first_piece + mid)] <= key {
            low = mid + 1u;
        } else {
            high = mid;
        }
    }
    if low > 0u {
        let piece = 3u * (p.first_piece + low - 1u);
        let row = key - pieces[piece];
        if row < pieces[piece + 1u] {
            return pieces[piece + 2u] + row;
        }
    }
    return NONE;
}

// PCG as a hash (Jarzynski and Olano 2020).
fn hash(v: u32) -> u32 {
    let state = v * 747796405u + 2891336453u;
    let word = ((state >> ((state >> 28u) + 4u)) ^ state) * 277803737u;
    return (word >> 22u) ^ word;
}

// One of the two numbers of f16 around v.
fn rounded(v: f32, key: u32, column: u32) -> f16 {
    let draw = hash(key + hash(column + hash(p.t)));
    let bits = bitcast<u32>(v);
    let size = bits & 0x7fffffffu;
    var to = size; // NaN stays NaN
    if size < 0x38800000u {
        // Below 2^-14 numbers of f16 are 2^-24 apart.
        let steps = abs(v) * 16777216.0;
        let up = f32(draw >> 8u) < fract(steps) * 16777216.0;
        to = bitcast<u32>((floor(steps) + select(0.0, 1.0, up)) / 16777216.0);
    } else if size <= 0x7f800000u {
        // 13 bits of 23 go; the largest is 65504.
        to = min((size + (draw >> 19u)) & 0xffffe000u, 0x477fe000u);
    }
    return f16(bitcast<f32>(to | (bits & 0x80000000u)));
}

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.y * groups.x * 256u + id.x;
    let at = i / p.dim;
    if at >= p.len || (at > 0u && keys[max(at, 1u) - 1u] == keys[at]) || off[0] != 0.0 {
        return;
    }
    let row = row_of(keys[at]);
    if row == NONE {
        return;
    }
    let to = row * p.dim + i % p.dim;
    let g = sums[i];
    let m = p.beta1 * first[to] + (1.0 - p.beta1) * g;
    let v = p.beta2 * second[to] + (1.0 - p.beta2) * (g * g);
    first[to] = m;
    second[to] = v;
    rows[to] = rounded(f32(rows[to]) - p.rate * m / (sqrt(v) + p.eps), keys[at], i % p.dim);
}
