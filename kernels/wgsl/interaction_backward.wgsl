// The way back through the interaction: with the triangle of pairs in the gradient G as the symmetric matrix that it is
// half of, dV = G · V, the diagonal counted twice, and the gradient of the copied dense vector on top.
//
//     dV_f = Σ_{j ≠ f} G[f, j] · V_j  (+ 2 G[f, f] · V_f if diagonal = 1)  (+ grad_out[b, 0 .. D] if f is the dense one)
//
// The vectors of a sample, or of several where they are small, are in workgroup memory, `chunk` columns at a time where
// they do not fit, and before them the triangle, which is read as G[f, j] = G[j, f]; where it is too large (kept = 0) it
// is read from the gradient. A thread makes a number of its own, over j from 0 up.
//
// Bindings: 0 Params; 1 dense (B × D, read; anything if lead = 0); 2 pooled (B × tables × D, read); 3 grad_out (B ×
// width, read); 4 grad_dense (B × D) and 5 grad_pooled (B × tables × D): nothing (to_ = 0), written (1), or read and
// written (2).
// Grid: a workgroup of 256 threads for a chunk of `samples` samples; samples are counted over x, then y, and chunks over z.
// Intensity: 2 F² D operations a sample for 8 F D + 2 F² bytes: 4.7 a byte at F = 27 and D = 16, 6.4 at D = 128. Bound by
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
    kept: u32,
    to_dense: u32,
    to_pooled: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> dense: array<f32>;
@group(0) @binding(2) var<storage, read> pooled: array<f32>;
@group(0) @binding(3) var<storage, read> grad_out: array<f32>;
@group(0) @binding(4) var<storage, read_write> grad_dense: array<f32>;
@group(0) @binding(5) var<storage, read_write> grad_pooled: array<f32>;

// The triangles of all samples, then their vectors.
var<workgroup> room: array<f32, 4096>;

fn value(sample: u32, feature: u32, column: u32) -> f32 {
    if feature < p.lead {
        return dense[sample * p.dim + column];
    }
    return pooled[(sample * p.tables + feature - p.lead) * p.dim + column];
}

// Where row i of the triangle starts.
fn row_start(i: u32) -> u32 {
    return i * (i + 1u) / 2u - i * (1u - p.diagonal);
}

fn write(sample: u32, feature: u32, column: u32, sum: f32) {
    if feature < p.lead {
        let at = sample * p.dim + column;
        let v = sum + grad_out[sample * p.width + column];
        if p.to_dense == 2u {
            grad_dense[at] += v;
        } else if p.to_dense == 1u {
            grad_dense[at] = v;
        }
        return;
    }
    let at = (sample * p.tables + feature - p.lead) * p.dim + column;
    if p.to_pooled == 2u {
        grad_pooled[at] += sum;
    } else if p.to_pooled == 1u {
        grad_pooled[at] = sum;
    }
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
    let pairs = p.width - front;
    let kept = pairs * p.kept;
    for (var i = thread; i < samples * kept; i += 256u) {
        room[i] = grad_out[(first + i / pairs) * p.width + front + i % pairs];
    }
    let vectors = samples * kept;
    let d = group.z * p.chunk;
    let columns = min(p.chunk, p.dim - d);
    for (var i = thread; i < samples * features * columns; i += 256u) {
        let row = i / columns;
        room[vectors + i] = value(first + row / features, row % features, d + i % columns);
    }
    workgroupBarrier();
    for (var i = thread; i < samples * features * columns; i += 256u) {
        let column = i % columns;
        let sample = i / columns / features;
        let f = i / columns % features;
        let v = vectors + sample * features * columns + column;
        let g = sample * kept;
        let g_out = (first + sample) * p.width + front;
        var sum = 0.0;
        for (var j = 0u; j < features; j++) {
            if j == f && p.diagonal == 0u {
                continue;
            }
            let pair = row_start(max(f, j)) + min(f, j);
            var factor = 0.0;
            if p.kept == 1u {
                factor = room[g + pair];
            } else {
                factor = grad_out[g_out + pair];
            }
            if j == f {
                factor *= 2.0;
            }
            sum += factor * room[v + j * columns];
        }
        write(first + sample, f, d + column, sum);
    }
}
