// The gradient of l2 / 2 · Σ w² over the rows that were looked up, each once, added to their sums; the
// rows are stored in f16.
//
//     g += l2 · w
//
// A row's sum g is at the place of its first lookup among the sorted ones (see row_sums). Its key says in which piece of
// a table it is; rows in other buffers are left to their dispatches. Rows that were not looked up do not change.
//
// Bindings: 0 Params; 1 keys (len, sorted, read); 2 pieces (three words each: the first key, the number of rows, and
// where they are in the buffer, in rows; read); 3 rows (pieces of tables, of f16, read); 4 sums (len × dim, read and
// written).
// Grid: a thread a number of a sum, 256 a workgroup; workgroups are counted over x, then y.
// Intensity: two operations for 10 bytes: bound by memory.

enable f16;

const NONE = 0xffffffffu;

struct Params {
    len: u32,
    dim: u32,
    first_piece: u32,
    pieces: u32,
    l2: f32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> keys: array<u32>;
@group(0) @binding(2) var<storage, read> pieces: array<u32>;
@group(0) @binding(3) var<storage, read> rows: array<f16>;
@group(0) @binding(4) var<storage, read_write> sums: array<f32>;

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

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.y * groups.x * 256u + id.x;
    let at = i / p.dim;
    if at >= p.len || (at > 0u && keys[max(at, 1u) - 1u] == keys[at]) {
        return;
    }
    let row = row_of(keys[at]);
    if row == NONE {
        return;
    }
    let to = row * p.dim + i % p.dim;
    sums[i] += p.l2 * f32(rows[to]);
}
