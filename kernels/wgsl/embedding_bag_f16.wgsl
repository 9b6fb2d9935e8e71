// Pooled lookups in many tables at once, stored in f16, of which this dispatch sees those pieces that are in one
// buffer.
//
//     out[b, t, d] = Σ_{j in offsets[t·bags + b] .. offsets[t·bags + b + 1]} w[j] · table_t[ids[j], d]
//     mean:  divided by the number of lookups; an empty bag gives zeros
//
// Tables lie in a few large buffers, as many rows of `dim` numbers; a table too large for one is cut between rows. Each
// piece adds the lookups in its rows. The pieces of a table come in the order of its rows, dispatch after dispatch, so
// that each sum has one order.
//
// Numbers of tables are widened as they are read; sums and `out` are of f32.
//
// Bindings: 0 Params; 1 rows (pieces of tables, of f16, read); 2 lookups (read: offsets, of which each list starts where
// the one before ends, so tables · bags + 1 in all; then from ids_at on the ids, and from weights_at on the bits of the
// weights, if that is not 0); 3 pieces (five words each, read); 4 out (bags × tables × dim, written, and read for all but
// a table's first piece).
// Grid: a thread a number of a pooled row, so that dim threads side by side read a row, 256 a workgroup; workgroups are
// counted over x, then y.
// Intensity: one addition (two operations with a weight) for 2 bytes of a table: bound by memory.

enable f16;

struct Params {
    bags: u32,
    tables: u32,
    dim: u32,
    first_piece: u32,
    pieces: u32,
    ids_at: u32,
    weights_at: u32,
    mean: u32,
}

struct Piece {
    // Which of the tables it belongs to.
    table: u32,
    // The table's rows that it has.
    first_row: u32,
    rows: u32,
    // Where they are in the buffer, in rows.
    at: u32,
    // 1 if the table has pieces before it, plus 2 if it is the table's last.
    order: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> rows: array<f16>;
@group(0) @binding(2) var<storage, read> lookups: array<u32>;
@group(0) @binding(3) var<storage, read> pieces: array<u32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.y * groups.x * 256u + id.x;
    let column = i % p.dim;
    let pair = i / p.dim;
    let bag = pair / p.pieces;
    if bag >= p.bags {
        return;
    }
    let at = 5u * (p.first_piece + pair % p.pieces);
    let piece = Piece(pieces[at], pieces[at + 1u], pieces[at + 2u], pieces[at + 3u], pieces[at + 4u]);
    let list = piece.table * p.bags + bag;
    let start = lookups[list];
    let end = lookups[list + 1u];
    var sum = 0.0;
    for (var j = start; j < end; j++) {
        // An id below the first row wraps around, to more than there are rows.
        let row = lookups[p.ids_at + j] - piece.first_row;
        if row < piece.rows {
            let value = f32(rows[(piece.at + row) * p.dim + column]);
            if p.weights_at != 0u {
                sum += bitcast<f32>(lookups[p.weights_at + j]) * value;
            } else {
                sum += value;
            }
        }
    }
    let to = (bag * p.tables + piece.table) * p.dim + column;
    if (piece.order & 1u) != 0u {
        sum += out[to];
    }
    if (piece.order & 2u) != 0u && p.mean == 1u && end > start {
        sum /= f32(end - start);
    }
    out[to] = sum;
}
