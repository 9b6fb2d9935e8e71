// Writes lookups down for the sparse gradient: the key of the row that each looks up, and what the row gets.
//
//     keys[first + j]  = first_keys[t] + ids[j]            for lookup j of bag b of list t
//     items[first + j] = (vector + b · tables + t, c)      c = w[j], for the mean divided by the bag's lookups
//
// The row's gradient is the sum of c · vectors[...] over the items of its key, where `vectors` are the gradients of
// pooled rows of all calls so far, one after the other.
//
// Bindings: 0 Params; 1 lookups (read; see embedding_bag); 2 first_keys (tables, read); 3 keys (written from first on);
// 4 items (two words each, the number of a vector and the bits of c; written from first on).
// Grid: a thread a bag, 256 a workgroup; workgroups are counted over x, then y.
// Intensity: at most one division for 20 bytes: bound by memory.

struct Params {
    bags: u32,
    tables: u32,
    ids_at: u32,
    weights_at: u32,
    mean: u32,
    first: u32,
    vector: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> lookups: array<u32>;
@group(0) @binding(2) var<storage, read> first_keys: array<u32>;
@group(0) @binding(3) var<storage, read_write> keys: array<u32>;
@group(0) @binding(4) var<storage, read_write> items: array<u32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.y * groups.x * 256u + id.x;
    if i >= p.bags * p.tables {
        return;
    }
    let table = i / p.bags;
    let vector = p.vector + i % p.bags * p.tables + table;
    let start = lookups[i];
    let end = lookups[i + 1u];
    for (var j = start; j < end; j++) {
        var c = 1.0;
        if p.weights_at != 0u {
            c = bitcast<f32>(lookups[p.weights_at + j]);
        }
        if p.mean == 1u {
            c /= f32(end - start);
        }
        keys[p.first + j] = first_keys[table] + lookups[p.ids_at + j];
        items[2u * (p.first + j)] = vector;
        items[2u * (p.first + j) + 1u] = bitcast<u32>(c);
    }
}
