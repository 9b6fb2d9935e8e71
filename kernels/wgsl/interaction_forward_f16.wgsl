// The interaction of a sample's vectors, where activations are stored in f16.
//
//     V = [dense; pooled_1; …]                       (F × D; the dense vector if lead = 1)
//     out[b] = f16([dense, V_i · V_j for i = 0, 1, … and j < i (diagonal = 0) or j ≤ i (diagonal = 1)])
//
// As interaction_forward.wgsl, for vectors that fit in workgroup memory whole, so that `chunk` is D: sums of pieces would be
// rounded in between.
//
// Bindings: 0 Params; 1 dense (B × D, read; anything if lead = 0); 2 pooled (B × tables × D, read); 3 out (B × width of
// f16, written).
// Grid: a workgroup of 256 threads for `samples` samples, or for `share` outputs of one; workgroups are counted over x,
// then y, and the shares of a sample over z.
// Intensity: F² D operations a sample for 4 F D + F² bytes: 4.8 a byte at F = 27 and D = 16, 6.4 at D = 128.

enable f16;

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
@group(0) @binding(3) var<storage, read_write> out: array<f16>;

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
    let stride = p.dim | 1u;
    let begin = group.z * p.share;
    let end = min(begin + p.share, samples * p.width);
    for (var i = thread; i < samples * features * p.dim; i += 256u) {
        let row = i / p.dim;
        let column = i % p.dim;
        rows[row * stride + column] = value(first + row / features, row % features, column);
    }
    workgroupBarrier();
    for (var o = begin + thread; o < end; o += 256u) {
        let sample = o / p.width;
        let at = o % p.width;
        let to = first * p.width + o;
        if at < front {
            out[to] = f16(dense[(first + sample) * p.dim + at]);
            continue;
        }
        let row = triangle_row(at - front);
        let i = (sample * features + row + 1u - p.diagonal) * stride;
        let j = (sample * features + at - front - row * (row + 1u) / 2u) * stride;
        var sum = 0.0;
        for (var c = 0u; c < p.dim; c++) {
            sum += rows[i + c] * rows[j + c];
        }
        out[to] = f16(sum);
    }
}
