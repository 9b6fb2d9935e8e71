// The second half of a pass of a radix sort: every key, and the value beside it, to its place by one digit; keys with
// the same digit keep their order.
//
//     to(i) = |{ j : digit(j) < digit(i) }| + |{ j < i : digit(j) = digit(i) }|     digit(i) = (keys[i] >> shift) & 255
//     keys_out[to(i)] = keys[i];  values_out[to(i)] = values[i], in the first pass i
//
// 1. Each workgroup adds the counts of all tiles up by itself: a few thousand loads side by side, instead of a dispatch
//    of its own for each pass.
// 2. Within 256 keys the place among those of the same digit comes from one bit a thread: `threads` has 256 bits a digit,
//    of which each thread sets its own (the order does not matter) and counts those below. So no two threads write to
//    one place, and the result is the same each run.
//
// Bindings: 0 Params; 1 keys (len, read); 2 values (len, read but in the first pass); 3 counts (tiles × 256, read);
// 4 keys_out (len, written); 5 values_out (len, written).
// Grid: a workgroup of 256 threads a tile of 256 · rounds keys, along x.
// Intensity: some 40 integer operations for 16 bytes: bound by memory, and by how scattered the places are.

struct Params {
    len: u32,
    shift: u32,
    rounds: u32,
    tiles: u32,
    is_first: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> keys: array<u32>;
@group(0) @binding(2) var<storage, read> values: array<u32>;
@group(0) @binding(3) var<storage, read> counts: array<u32>;
@group(0) @binding(4) var<storage, read_write> keys_out: array<u32>;
@group(0) @binding(5) var<storage, read_write> values_out: array<u32>;

// Where the next key of each digit goes.
var<workgroup> next: array<u32, 256>;
// Word w of digit v, at 256 w + v: bit b is set if thread 32 w + b has that digit.
var<workgroup> threads: array<atomic<u32>, 2048>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    var before = 0u;
    var total = 0u;
    for (var tile = 0u; tile < p.tiles; tile++) {
        let count = counts[tile * 256u + lane];
        if tile < group.x {
            before += count;
        }
        total += count;
    }
    // The sums over all smaller digits, by doubling.
    next[lane] = total;
    workgroupBarrier();
    for (var step = 1u; step < 256u; step *= 2u) {
        var smaller = 0u;
        if lane >= step {
            smaller = next[lane - step];
        }
        workgroupBarrier();
        next[lane] += smaller;
        workgroupBarrier();
    }
    next[lane] += before - total;

    for (var round = 0u; round < p.rounds; round++) {
        let i = (group.x * p.rounds + round) * 256u + lane;
        for (var word = 0u; word < 8u; word++) {
            atomicStore(&threads[256u * word + lane], 0u);
        }
        workgroupBarrier();
        var key = 0u;
        if i < p.len {
            key = keys[i];
            atomicOr(&threads[lane / 32u * 256u + ((key >> p.shift) & 255u)], 1u << (lane % 32u));
        }
        workgroupBarrier();
        if i < p.len {
            let digit = (key >> p.shift) & 255u;
            var to = next[digit];
            for (var word = 0u; word < lane / 32u; word++) {
                to += countOneBits(atomicLoad(&threads[256u * word + digit]));
            }
            let below = (1u << (lane % 32u)) - 1u;
            to += countOneBits(atomicLoad(&threads[lane / 32u * 256u + digit]) & below);
            keys_out[to] = key;
            if p.is_first == 1u {
                values_out[to] = i;
            } else {
                values_out[to] = values[i];
            }
        }
        workgroupBarrier();
        for (var word = 0u; word < 8u; word++) {
            next[lane] += countOneBits(atomicLoad(&threads[256u * word + lane]));
        }
        workgroupBarrier();
    }
}
