// The interaction of a sample's vectors (paper section 2.1.3): the dense one in front, and the dot products of all
// pairs.
//
//     V = [dense; pooled_1; …]                       (F × D; the dense vector if lead = 1)
//     out[b] = [dense, V_i · V_j for i = 0, 1, … and j < i (diagonal = 0) or j ≤ i (diagonal = 1)]
//
// The vectors of a sample, or of several where they are small, are read into workgroup memory once, `chunk` columns at
// a time where they do not fit; a thread makes an output of its own out of them, from column 0 up. Rows there are an odd
// number of words apart, so that neighbouring threads, which read neighbouring rows, hit different banks.
//
// Bindings: 0 Params; 1 dense (B × D, read; anything if lead = 0); 2 pooled (B × tables × D, read); 3 out (B × width,
// written; read where there are chunks).
// Grid: a workgroup of 256 threads for `samples` samples, or for `share` outputs of one; workgroups are counted over x,
// then y, and the shares of a sample over z.
// Intensity: F² D operations a sample for 4 F D + 2 F² bytes: 3.5 a byte at F = 27 and D = 16, 6 at D = 128. Bound by
// memory, and beside it by workgroup memory, of which each two operations read 8 bytes.

struct Params {
    batch: u32,
    tables: u32,
    dim: u32,
    lead: u32,
    diagonal: u32,
    width: u32,
    samples: u32,
    chunk: u32,
    share: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> dense: array<f32>;
@group(0) @binding(2) var<storage, read> pooled: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

var<workgroup> rows: array<f32, 4096>;

fn value(sample: u32, feature: u32, column: u32) -> f32 {
    if feature < p.lead {
        return dense[sample * p.dim + column];
    }
    return pooled[(sample * p.tables + feature - p.lead) * p.dim + column];
}

// The row of a triangle with its diagonal, row i of i + 1 numbers, that number q lies in.
fn triangle_row(q: u32) -> u32 {
    var i = u32((sqrt(f32(8u * q + 1u)) - 1.0) / 2.0);
    // The root may be a little off.
    while i * (i + 1u) / 2u > q {
        i -= 1u;
    }
    while (i + 1u) * (i + 2u) / 2u <= q {
        i += 1u;
    }
    return i;
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let first = (group.y * groups.x + group.x) * p.samples;
    if first >= p.batch {
        return;
    }
    let samples = min(p.samples, p.batch - first);
    let features = p.tables + p.lead;
    let front = p.lead * p.dim;
    let stride = p.chunk | 1u;
    let begin = group.z * p.share;
    let end = min(begin + p.share, samples * p.width);
    for (var d = 0u; d < p.dim; d += p.chunk) {
        let columns = min(p.chunk, p.dim - d);
        workgroupBarrier();
        for (var i = thread; i < samples * features * columns; i += 256u) {
            let row = i / columns;
            let column = i % columns;
            rows[row * stride + column] = value(first + row / features, row % features, d + column);
        }
        workgroupBarrier();
        for (var o = begin + thread; o < end; o += 256u) {
            let sample = o / p.width;
            let at = o % p.width;
            let to = first * p.width + o;
            if at < front {
                if d == 0u {
                    out[to] = dense[(first + sample) * p.dim + at];
                }
                continue;
            }
            let row = triangle_row(at - front);
            let i = (sample * features + row + 1u - p.diagonal) * stride;
            let j = (sample * features + at - front - row * (row + 1u) / 2u) * stride;
            var sum = 0.0;
            if d > 0u {
                sum = out[to];
            }
            for (var c = 0u; c < columns; c++) {
                sum += rows[i + c] * rows[j + c];
            }
            out[to] = sum;
        }
    }
}
